//! The world of a replay: a load, replicas that start and serve, and what the requests get.

use std::collections::VecDeque;
use std::time::Duration;

use models::load::Costs;
use vocab::replay::ReplayedBy;
use vocab::{Cancel, PortResult, TimestampMs};

use crate::policy::ms;

/// Longest replay, in rounds: a year.
pub(super) const TICKS_MAX: usize = 4 * 60 * 24 * 366;
/// A change of direction within this many rounds of the one before is a reversal: ten minutes.
const REVERSAL_TICKS: usize = 40;
/// Rounds per minute, over which a violation is judged.
const MINUTE_TICKS: usize = 4;
/// A minute with more than this share of slow or lost requests violates the objective.
const VIOLATION_SHARE: f64 = 0.01;

/// A recorded load: seconds and values.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    points: Vec<(f64, f64)>,
    /// When it began, where that is known.
    begin_ms: Option<TimestampMs>,
}

impl Trace {
    /// Reads lines of `seconds,value`; a first line that is no number is a heading.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut points: Vec<(f64, f64)> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() {
                continue;
            }
            let (seconds, value) = line.split_once(',').unwrap_or((line, ""));
            let number = |text: &str| text.trim().parse::<f64>().ok().filter(|v| v.is_finite());
            match (number(seconds), number(value)) {
                (Some(seconds), Some(value)) if points.last().is_none_or(|last| seconds > last.0) => {
                    points.push((seconds, value.max(0.0)));
                }
                (Some(_), Some(_)) => return Err(format!("line {}: times must increase", index + 1)),
                _ if index == 0 => {}
                _ => return Err(format!("line {}: want seconds,value", index + 1)),
            }
        }
        if points.len() < 2 {
            Err("want at least two lines of seconds,value".into())
        } else {
            Ok(Self { points, begin_ms: None })
        }
    }

    /// A load of known times: seconds since its begin, increasing, and values.
    pub(super) fn recorded(points: Vec<(f64, f64)>, begin_ms: TimestampMs) -> Result<Self, String> {
        if points.len() < 2 {
            return Err("one point is no load over time".into());
        }
        Ok(Self { points, begin_ms: Some(begin_ms) })
    }

    /// When it began, where that is known: days and schedules then follow the clocks on the wall.
    pub(super) fn begin_ms(&self) -> Option<TimestampMs> {
        self.begin_ms
    }

    /// The load at equal steps, straight lines between the points.
    pub(super) fn at_every(&self, step: Duration) -> Result<Vec<f64>, String> {
        let (Some(first), Some(last)) = (self.points.first(), self.points.last()) else {
            return Err("the trace is empty".into());
        };
        let count = ((last.0 - first.0) / step.as_secs_f64()) as usize;
        if !(2 * MINUTE_TICKS..=TICKS_MAX).contains(&count) {
            return Err(format!("the trace spans {:.0} s; want two minutes to a year", last.0 - first.0));
        }
        let mut from = 0;
        Ok((0..count)
            .map(|tick| {
                let at = first.0 + (tick as f64 + 0.5) * step.as_secs_f64();
                while from + 2 < self.points.len() && self.points[from + 1].0 <= at {
                    from += 1;
                }
                let ((t0, v0), (t1, v1)) = (self.points[from], self.points[from + 1]);
                v0 + (v1 - v0) * ((at - t0) / (t1 - t0)).clamp(0.0, 1.0)
            })
            .collect())
    }
}

/// What a decision sees.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seen {
    pub(super) load: f64,
    pub(super) ready: u32,
    pub(super) wanted: u32,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Whose decisions.
    pub by: ReplayedBy,
    /// The same in words.
    pub name: String,
    /// The load at every round.
    pub loads: Vec<f64>,
    /// Replicas asked for at every round.
    pub wanted: Vec<u32>,
    /// Replicas ready at every round.
    pub ready: Vec<u32>,
    /// Share of requests that were slow or lost.
    pub bad_share: f64,
    /// Minutes with more than 1 % of such requests.
    pub violations: usize,
    /// Hours of replicas that were paid for.
    pub replica_hours: f64,
    /// Changes.
    pub actions: usize,
    /// Changes of direction within ten minutes.
    pub reversals: usize,
}

pub(super) struct World<'a> {
    pub(super) loads: &'a [f64],
    pub(super) startup_ticks: usize,
    pub(super) late: usize,
    pub(super) costs: Costs,
    /// Raised when nobody waits for the outcome any more.
    pub(super) cancel: &'a Cancel,
}

impl World<'_> {
    /// Runs from a number of ready replicas, asking for a decision at every round.
    pub(super) fn run(
        &self,
        (by, name): (ReplayedBy, &str),
        first: u32,
        mut decide: impl FnMut(usize, Seen) -> u32,
    ) -> PortResult<Outcome> {
        let (mut ready, mut wanted) = (first, first);
        let mut starting: VecDeque<(usize, u32)> = VecDeque::new();
        let (mut readys, mut wanteds) = (Vec::new(), Vec::new());
        for tick in 0..self.loads.len() {
            self.cancel.check()?;
            while starting.front().is_some_and(|s| s.0 <= tick) {
                ready += starting.pop_front().map_or(0, |s| s.1);
            }
            if tick >= self.late {
                let past = tick - self.late;
                let to = decide(tick, Seen { load: self.loads[past], ready: readys[past], wanted });
                if to > wanted {
                    starting.push_back((tick + self.startup_ticks, to - wanted));
                }
                let mut drop = wanted.saturating_sub(to);
                // Those that start go first, the newest first.
                while drop > 0
                    && let Some((due, count)) = starting.pop_back()
                {
                    if count > drop {
                        starting.push_back((due, count - drop));
                    }
                    drop -= drop.min(count);
                }
                ready -= drop;
                wanted = to;
            }
            readys.push(ready);
            wanteds.push(wanted);
        }
        Ok(self.judge((by, name), wanteds, readys))
    }

    /// Adds up what replicas came to on the load.
    pub(super) fn judge(&self, (by, name): (ReplayedBy, &str), wanted: Vec<u32>, ready: Vec<u32>) -> Outcome {
        let bad: Vec<f64> = self
            .loads
            .iter()
            .zip(&ready)
            .map(|(load, ready)| {
                let utilisation = *load as f32 / (ready.max(&1).to_owned() as f32 * self.costs.capacity);
                if *ready == 0 { *load } else { f64::from(self.costs.bad_share(utilisation)) * load }
            })
            .collect();
        let minutes = bad.chunks(MINUTE_TICKS).zip(self.loads.chunks(MINUTE_TICKS));
        let violations = minutes
            .filter(|(bad, load)| bad.iter().sum::<f64>() > VIOLATION_SHARE * load.iter().sum::<f64>().max(1e-9))
            .count();
        let (mut actions, mut reversals, mut last) = (0, 0, None::<(usize, bool)>);
        for (tick, pair) in wanted.windows(2).enumerate().filter(|(_, pair)| pair[0] != pair[1]) {
            let is_out = pair[1] > pair[0];
            actions += 1;
            reversals += usize::from(last.is_some_and(|l| l.1 != is_out && tick - l.0 <= REVERSAL_TICKS));
            last = Some((tick, is_out));
        }
        let hours = ms(super::TICK) as f64 / 3_600_000.0;
        Outcome {
            by,
            name: name.to_owned(),
            loads: self.loads.to_vec(),
            bad_share: bad.iter().sum::<f64>() / self.loads.iter().sum::<f64>().max(1e-9),
            violations,
            replica_hours: wanted.iter().map(|w| f64::from(*w)).sum::<f64>() * hours,
            wanted,
            ready,
            actions,
            reversals,
        }
    }
}
