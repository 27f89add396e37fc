//! The odd one out: a replica whose errors or latency at the gateway are far from its siblings'. Pure.
//!
//! A replica is odd in a window when it is far above the median of the others, measured by their own spread, and also by a
//! plain factor, so that tiny differences between very equal siblings do not count. Three windows in a row make it a case;
//! then it is replaced, one at a time, and never while others start or leave. When three
//! replacements did not help, the fault is not the replica's: from then on there is only an alarm.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::policy::short;

/// Windows in a row after which a replica is a case.
const STRIKES: u32 = 3;
/// Replacements that did not help, after which there is only an alarm.
const TRIES: u32 = 3;
/// Windows in a row without an odd replica after which the tries are forgotten.
const CALM: u32 = 10;
/// Siblings without which nobody can be told to be odd.
const SIBLINGS_MIN: usize = 3;
/// How many times the spread of the others a replica must be away.
const FAR: f64 = 6.0;
/// Makes the median absolute deviation comparable with a standard deviation.
const MAD_SCALE: f64 = 1.4826;
/// How many times the median of the others it must be.
const FACTOR: f64 = 2.0;
/// A share of errors below this is not odd, whatever the others have.
const ERRORS_MIN: f64 = 0.05;
/// A latency below this is not odd, in seconds.
const LATENCY_MIN: f64 = 0.05;

/// One replica in one window, as the gateway saw it.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The replica.
    pub replica: String,
    /// Share of its answers that were errors of the server; `None` when unknown.
    pub errors: Option<f64>,
    /// How long its answers took, in seconds; `None` when unknown.
    pub latency: Option<f64>,
}

/// What is remembered between windows.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OddState {
    /// Windows in a row in which a replica was odd.
    strikes: BTreeMap<String, u32>,
    /// Replacements since all was calm.
    tries: u32,
    /// Windows in a row without an odd replica.
    calm: u32,
}

/// What a window leads to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Verdict {
    /// The replica to replace, with the reason.
    pub replace: Option<(String, String)>,
    /// What people should look at.
    pub alarm: Option<String>,
    /// Whether nothing has been odd for long enough that an alarm is over.
    pub calm: bool,
}

/// Judges a window. While the service is not `settled` (replicas start, leave, or are taken away)
/// strikes are counted and nobody is replaced.
pub fn judge(state: &OddState, samples: &[Sample], settled: bool) -> (OddState, Verdict) {
    let mut next = OddState { strikes: BTreeMap::new(), ..state.clone() };
    let mut cases: Vec<(u32, String, String)> = Vec::new();
    for sample in samples {
        let errors = oddness(samples, sample, |s| s.errors, ERRORS_MIN);
        let latency = oddness(samples, sample, |s| s.latency, LATENCY_MIN);
        let reason = match (errors, latency) {
            (Some((own, others)), _) => {
                format!(
                    "{} % of its answers are errors, {} % of its siblings'",
                    short(own * 100.0),
                    short(others * 100.0)
                )
            }
            (None, Some((own, others))) => {
                format!("its answers take {} ms, its siblings' {} ms", short(own * 1000.0), short(others * 1000.0))
            }
            (None, None) => continue,
        };
        let strikes = state.strikes.get(&sample.replica).copied().unwrap_or(0).saturating_add(1);
        next.strikes.insert(sample.replica.clone(), strikes);
        if strikes >= STRIKES {
            cases.push((strikes, sample.replica.clone(), reason));
        }
    }
    next.calm = if next.strikes.is_empty() { state.calm.saturating_add(1) } else { 0 };
    if next.calm >= CALM {
        next.tries = 0;
    }
    let mut verdict = Verdict { calm: next.calm >= CALM, ..Verdict::default() };
    // The longest first; many at once are no odd ones but a service that is ill.
    cases.sort_by_key(|(strikes, replica, _)| (std::cmp::Reverse(*strikes), replica.clone()));
    let Some((_, first, reason)) = cases.first() else { return (next, verdict) };
    if cases.len() * 3 > samples.len() {
        verdict.alarm =
            Some(format!("{} of {} replicas are odd, such as {first}: {reason}", cases.len(), samples.len()));
        return (next, verdict);
    }
    if next.tries >= TRIES {
        verdict.alarm = Some(format!("{TRIES} replacements did not help; {first}: {reason}"));
        return (next, verdict);
    }
    if settled {
        next.strikes.remove(first);
        next.tries += 1;
        verdict.replace = Some((first.clone(), reason.clone()));
    }
    (next, verdict)
}

/// A value that is far above the others', with their median; `None` when it is not, or nobody can tell.
fn oddness(
    samples: &[Sample],
    sample: &Sample,
    value: impl Fn(&Sample) -> Option<f64>,
    least: f64,
) -> Option<(f64, f64)> {
    let own = value(sample).filter(|v| v.is_finite() && *v >= least)?;
    let others: Vec<f64> = samples
        .iter()
        .filter(|s| s.replica != sample.replica)
        .filter_map(&value)
        .filter(|v| v.is_finite() && *v >= 0.0)
        .collect();
    if others.len() < SIBLINGS_MIN {
        return None;
    }
    let middle = median(others.clone());
    let spread = MAD_SCALE * median(others.iter().map(|v| (v - middle).abs()).collect());
    let is_far = own - middle >= FAR * spread.max(least / 10.0) && own >= FACTOR * middle;
    is_far.then_some((own, middle))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let half = values.len() / 2;
    match (values.get(half), values.len() % 2) {
        (None, _) => 0.0,
        (Some(high), 1) => *high,
        (Some(high), _) => (values[half - 1] + high) / 2.0,
    }
}

#[cfg(test)]
mod tests;
