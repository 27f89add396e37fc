//! What the load will be when capacity asked for now has come, by several simple methods.

use super::history::LoadHistory;
use super::onsets::Onsets;

/// Time between values, in milliseconds.
pub const TICK_MS: i64 = 15_000;
/// Values per minute.
pub const TICKS_PER_MINUTE: i64 = 60_000 / TICK_MS;
/// A value is seen this many ticks after the load was there: the scrape, and the window of the rate.
pub(super) const LAG_TICKS: i64 = 2;
/// Minutes that make a level to which a profile is scaled.
const LEVEL_MINUTES: i64 = 10;
/// A forecast of the past's shape is believed from this share of the present load …
const CLIP_LOW: f32 = 0.3;
/// … up to this multiple of it.
const CLIP_HIGH: f32 = 4.0;
/// Capacity is given back only when it will not be needed for this long, in minutes.
const KEEP_MINUTES: i64 = 6;
/// Days whose median is the profile.
const DAYS_MEDIAN: usize = 3;
/// Days whose highest is a surge that may come again.
const DAYS_SURGE: usize = 4;
/// Hours whose highest is a surge that may come again.
const HOURS_SURGE: i64 = 12;
/// Hours …
const HOURS_ONSET: i64 = 24;
/// … and days whose onsets may come again; the first day is in the hours.
const DAYS_ONSET: usize = 4;
/// History without which nothing of the past's shape is believed, in minutes.
const HISTORY_MIN: i64 = 1440;

/// A way to look ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LoadMethod {
    /// The load stays as it is.
    Steady,
    /// The slope of the last minute goes on.
    Slope,
    /// The load moves as at this time of day: the median of three days.
    Day,
    /// What happened at this minute of any of the last hours, or at this time of any of the last days, happens again.
    Surge,
    /// The load moves as a week ago.
    Week,
    /// The load stays as it is, but where it rose at once at this very moment of several of the last hours or days it rises
    /// again.
    Onset,
}

/// All methods, in the order of [`outlook`]'s answers.
pub const METHODS: [LoadMethod; 6] =
    [LoadMethod::Steady, LoadMethod::Slope, LoadMethod::Day, LoadMethod::Surge, LoadMethod::Week, LoadMethod::Onset];

impl LoadMethod {
    /// The word in reasons.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Steady => "steady",
            Self::Slope => "slope",
            Self::Day => "day",
            Self::Surge => "surge",
            Self::Week => "week",
            Self::Onset => "onset",
        }
    }
}

/// What a method says.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// Load when capacity asked for now has come.
    pub soon: f32,
    /// The highest load from now until six minutes later than that.
    pub later: f32,
}

/// Asks every method, at tick number `tick`, the newest in `history`. `delay_ticks` is the time from asking to having;
/// `days` are the lags of the last seven days in minutes, 1440 each but for changes of the zone's offset.
///
/// No method says less than the present load: a forecast only adds.
pub fn outlook(
    history: &LoadHistory,
    onsets: &Onsets,
    tick: i64,
    delay_ticks: i64,
    days: &[i64; 7],
) -> [Outlook; METHODS.len()] {
    let now = history.mean_recent(2);
    let level = history.mean_recent((LEVEL_MINUTES * TICKS_PER_MINUTE) as usize);
    let past = Past { history, tick, delay_ticks, now, level };
    let plain = Outlook { soon: now, later: now };
    let is_old = history.span_minutes() >= HISTORY_MIN;
    let shaped = |shape: Option<Outlook>| shape.filter(|_| is_old).unwrap_or(plain);
    METHODS.map(|method| match method {
        LoadMethod::Steady => plain,
        LoadMethod::Slope => past.slope(),
        LoadMethod::Day => shaped(past.median(&days[..DAYS_MEDIAN])),
        LoadMethod::Surge => {
            let hours = (1..=HOURS_SURGE).map(|h| h * 60);
            shaped(past.highest(days[..DAYS_SURGE].iter().copied().chain(hours)))
        }
        LoadMethod::Week => shaped(past.highest(days[6..].iter().copied())),
        LoadMethod::Onset => past.onset(onsets, days),
    })
}

struct Past<'a> {
    history: &'a LoadHistory,
    tick: i64,
    delay_ticks: i64,
    now: f32,
    level: f32,
}

impl Past<'_> {
    /// A straight line through the values of the last minute.
    fn slope(&self) -> Outlook {
        let count = TICKS_PER_MINUTE as usize;
        let recent = self.history.recent();
        let tail = &recent[recent.len().saturating_sub(count)..];
        let middle = (tail.len() as f32 - 1.0) / 2.0;
        let (mut up, mut across) = (0.0, 0.0);
        for (place, value) in tail.iter().enumerate() {
            let x = place as f32 - middle;
            up += x * value;
            across += x * x;
        }
        let slope = if across > 0.0 { up / across } else { 0.0 };
        let mean = self.history.mean_recent(count);
        let ahead = middle + (self.delay_ticks + LAG_TICKS) as f32;
        let soon = (mean + slope * ahead).clamp(self.now, CLIP_HIGH * self.now.max(0.0));
        Outlook { soon, later: soon }
    }

    /// How the load moved from this time on, `lag` minutes ago, as factors of the level then.
    fn shape(&self, lag: i64) -> Option<(f32, f32)> {
        let then = self.tick - lag * TICKS_PER_MINUTE;
        let minute = |tick: i64| tick.div_euclid(TICKS_PER_MINUTE);
        let level = self.history.mean(minute(then) - LEVEL_MINUTES + 1, minute(then))?.max(f32::MIN_POSITIVE);
        let due = then + LAG_TICKS + self.delay_ticks;
        let soon = self.history.highest(minute(due - 1), minute(due + 1))?;
        let later = self.history.highest(minute(then + 1), minute(due) + KEEP_MINUTES)?;
        Some((soon / level, later / level))
    }

    fn scaled(&self, soon: f32, later: f32) -> Outlook {
        // A profile may say less than now, within bounds; what is asked for never is less than what is measured.
        let clip = |factor: f32| (self.level * factor).clamp(CLIP_LOW * self.now, CLIP_HIGH * self.now).max(self.now);
        Outlook { soon: clip(soon), later: clip(later).max(clip(soon)) }
    }

    /// What rose at once rises again, to the same height. It is waited for until it would have been seen.
    fn onset(&self, onsets: &Onsets, days: &[i64; 7]) -> Outlook {
        let hours = (1..=HOURS_ONSET).map(|h| h * 60);
        let minutes = days[1..DAYS_ONSET].iter().copied().chain(hours);
        let lags: Vec<i64> = minutes.map(|minutes| minutes * TICKS_PER_MINUTE).collect();
        let due = self.tick + LAG_TICKS + self.delay_ticks;
        let expected = onsets.expected(self.tick, due + KEEP_MINUTES * TICKS_PER_MINUTE, &lags);
        let clip = |peak: f32| peak.min(CLIP_HIGH * self.now).max(self.now);
        let soon = expected.get((due - self.tick).unsigned_abs() as usize).copied().unwrap_or(0.0);
        Outlook { soon: clip(soon), later: clip(expected.iter().copied().fold(0.0, f32::max)) }
    }

    fn median(&self, lags: &[i64]) -> Option<Outlook> {
        let (mut soon, mut later): (Vec<f32>, Vec<f32>) = lags.iter().filter_map(|lag| self.shape(*lag)).unzip();
        Some(self.scaled(middle(&mut soon)?, middle(&mut later)?))
    }

    fn highest(&self, lags: impl Iterator<Item = i64>) -> Option<Outlook> {
        let all = lags.filter_map(|lag| self.shape(lag));
        let (soon, later) = all.reduce(|a, b| (a.0.max(b.0), a.1.max(b.1)))?;
        Some(self.scaled(soon, later))
    }
}

fn middle(values: &mut [f32]) -> Option<f32> {
    values.sort_by(f32::total_cmp);
    let count = values.len();
    let high = *values.get(count / 2)?;
    Some(if count % 2 == 1 { high } else { (values[count / 2 - 1] + high) / 2.0 })
}
