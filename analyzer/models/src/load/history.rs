//! A week of load in ten kilobytes: the highest value of each minute, on a logarithmic scale of one byte.

/// Minutes remembered: a week, and what lies around the same time a week ago.
const MINUTES: usize = 7 * 1440 + 90;
/// Newest values kept as they are.
const RECENT: usize = 48;
/// Codes per doubling: a step is 3.5 %, so that a value is remembered within 1.8 %.
const STEPS_PER_OCTAVE: f32 = 20.0;
/// The code of a minute nobody saw.
const UNKNOWN: u8 = 0;
/// The code of a load too small to tell from none.
const ZERO: u8 = 1;
/// The highest code.
const TOP: u8 = u8::MAX;

/// What the load was.
#[derive(Debug, Clone, PartialEq)]
pub struct LoadHistory {
    /// One code per minute, at the place of its number modulo [`MINUTES`].
    codes: Vec<u8>,
    /// Number of the newest minute.
    last_minute: i64,
    /// Number of the first minute.
    first_minute: i64,
    /// The value of the lowest code above zero.
    unit: f32,
    /// The newest values, oldest first.
    recent: Vec<f32>,
}

impl LoadHistory {
    /// A history that begins with a minute; `unit` is a load that is next to nothing.
    pub fn new(minute: i64, unit: f32) -> Self {
        let unit = if unit.is_finite() && unit > 0.0 { unit } else { 1.0 };
        let mut codes = vec![UNKNOWN; MINUTES];
        codes.shrink_to_fit();
        Self { codes, last_minute: minute, first_minute: minute, unit, recent: Vec::with_capacity(RECENT) }
    }

    /// Adds a value that was seen in a minute. Minutes never run backwards: an older one counts as the newest.
    pub fn push(&mut self, minute: i64, value: f32) {
        let missed = minute.saturating_sub(self.last_minute).max(0);
        if missed >= MINUTES as i64 {
            self.codes.fill(UNKNOWN);
            self.first_minute = minute;
        } else {
            for gone in 1..=missed {
                let place = self.place(self.last_minute + gone);
                self.codes[place] = UNKNOWN;
            }
        }
        if missed > 2 {
            // What lay before a gap is no slope to go on with.
            self.recent.clear();
        }
        self.last_minute = self.last_minute.saturating_add(missed);
        let value = if value.is_finite() { value.max(0.0) } else { 0.0 };
        let code = self.code(value);
        let place = self.place(self.last_minute);
        self.codes[place] = self.codes[place].max(code);
        if self.recent.len() == RECENT {
            self.recent.remove(0);
        }
        self.recent.push(value);
    }

    fn place(&self, minute: i64) -> usize {
        minute.rem_euclid(MINUTES as i64) as usize
    }

    fn code(&mut self, value: f32) -> u8 {
        if value < self.unit {
            return ZERO;
        }
        loop {
            let code = f32::from(ZERO) + 1.0 + ((value / self.unit).log2() * STEPS_PER_OCTAVE).round();
            if code <= f32::from(TOP) || !self.unit.is_finite() {
                return code.min(f32::from(TOP)) as u8;
            }
            // The scale moves up by an octave; what was small becomes nothing.
            self.unit *= 2.0;
            for code in &mut self.codes {
                if *code > ZERO {
                    *code = code.saturating_sub(STEPS_PER_OCTAVE as u8).max(ZERO);
                }
            }
        }
    }

    fn value(&self, code: u8) -> f32 {
        if code <= ZERO { 0.0 } else { self.unit * (f32::from(code - ZERO - 1) / STEPS_PER_OCTAVE).exp2() }
    }

    /// How many minutes the history spans.
    pub fn span_minutes(&self) -> i64 {
        self.last_minute - self.first_minute
    }

    /// The newest values, oldest first: 12 minutes of them at most.
    pub fn recent(&self) -> &[f32] {
        &self.recent
    }

    /// Mean of the newest `count` values; 0 when there are none.
    pub fn mean_recent(&self, count: usize) -> f32 {
        let tail = &self.recent[self.recent.len().saturating_sub(count)..];
        if tail.is_empty() { 0.0 } else { tail.iter().sum::<f32>() / tail.len() as f32 }
    }

    /// The highest value of the minutes `from..=to`; `None` when none of them was seen.
    pub fn highest(&self, from: i64, to: i64) -> Option<f32> {
        self.codes_in(from, to).max().map(|code| self.value(code))
    }

    /// Mean of the minutes `from..=to` that were seen.
    pub fn mean(&self, from: i64, to: i64) -> Option<f32> {
        let (mut sum, mut count) = (0.0, 0.0f32);
        for code in self.codes_in(from, to) {
            sum += self.value(code);
            count += 1.0;
        }
        (count > 0.0).then(|| sum / count)
    }

    fn codes_in(&self, from: i64, to: i64) -> impl Iterator<Item = u8> + '_ {
        let oldest = self.first_minute.max(self.last_minute - MINUTES as i64 + 1);
        let (from, to) = (from.max(oldest), to.min(self.last_minute));
        let count = usize::try_from(to - from + 1).unwrap_or(0).min(MINUTES);
        let first = self.place(from);
        let tail = &self.codes[first..(first + count).min(MINUTES)];
        let head = &self.codes[..count - tail.len()];
        tail.iter().chain(head).copied().filter(|c| *c != UNKNOWN)
    }

    /// Its parts, for storing.
    pub fn parts(&self) -> HistoryParts<'_> {
        HistoryParts {
            first_minute: self.first_minute,
            last_minute: self.last_minute,
            unit: self.unit,
            codes: &self.codes,
            recent: &self.recent,
        }
    }

    /// From stored parts; `None` when they do not fit together.
    pub fn from_parts(
        first_minute: i64,
        last_minute: i64,
        unit: f32,
        codes: Vec<u8>,
        recent: Vec<f32>,
    ) -> Option<Self> {
        let fits = codes.len() == MINUTES
            && recent.len() <= RECENT
            && first_minute <= last_minute
            && unit.is_finite()
            && unit > 0.0
            && recent.iter().all(|v| v.is_finite() && *v >= 0.0);
        fits.then_some(Self { codes, last_minute, first_minute, unit, recent })
    }
}

/// The parts of a [`LoadHistory`].
#[derive(Debug, Clone, Copy)]
pub struct HistoryParts<'a> {
    /// Number of the first minute.
    pub first_minute: i64,
    /// Number of the newest minute.
    pub last_minute: i64,
    /// The value of the lowest code above zero.
    pub unit: f32,
    /// One code per minute.
    pub codes: &'a [u8],
    /// The newest values, oldest first.
    pub recent: &'a [f32],
}
