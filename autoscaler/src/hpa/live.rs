//! The Horizontal Pod Autoscaler's algorithm on a policy's targets, in the live loop: its formulas give the candidates, its
//! `behavior` the pace; windows and all guards are those of every policy.

use vocab::TimestampMs;
use vocab::scaling::Candidate;

use super::{Behavior, HpaMetric, Pod};
use crate::observation::{Observation, ReplicaCounts};
use crate::policy::{Target, TargetKind, ms, replicas, short};
use crate::state::State;

/// What one target asks for, by the formula of its kind.
pub(crate) fn candidate(
    behavior: &Behavior,
    target: &Target,
    observation: &Observation,
    index: usize,
    counts: ReplicaCounts,
) -> Candidate {
    let (name, unit) = (target.kind.as_str().to_owned(), target.kind.unit());
    let current = counts.wanted;
    let load = observation.load(index);
    if target.kind.is_level() && counts.ready == 0 && load.is_some() {
        // The formula would say none: a level without anybody behind it says nothing.
        let reason = format!("no replica is ready, so its {unit} says nothing");
        return Candidate { name, replicas: Some(current), reason };
    }
    let counted = observation.counted.get(index).copied().flatten();
    let metric = metric(target, load, counted, counts);
    let asked = |tolerance: f64| metric.replicas(current, tolerance);
    let wanted = match (asked(behavior.up.tolerance), asked(behavior.down.tolerance)) {
        (Some(up), _) if up > current => Some(up),
        (_, Some(down)) if down < current => Some(down),
        (Some(_), _) => Some(current),
        (None, _) => None,
    };
    let reason = match (load, wanted) {
        (Some(load), Some(wanted)) => {
            let per = if target.kind.is_level() { String::new() } else { " per replica".to_owned() };
            format!("{} {unit} against {}{per} at {}: {wanted}", short(load), short(target.value), replicas(current))
        }
        _ => format!("{unit} unknown"),
    };
    Candidate { name, replicas: wanted, reason }
}

fn metric(target: &Target, load: Option<f64>, counted: Option<u32>, counts: ReplicaCounts) -> HpaMetric {
    if target.kind.is_level() {
        return HpaMetric::Level { level: load, target: target.value, ready: counts.ready };
    }
    let Some((load, counted)) = load.zip(counted).filter(|(_, counted)| *counted > 0) else {
        return HpaMetric::TotalAverage { total: load, target: target.value };
    };
    // Only the sum over the pods is known, and how many there are in it; the formula needs no more.
    let pod = |value: Option<f64>, counts: bool| Pod { value, request: 1.0, counts };
    let missing = counts.ready.saturating_sub(counted) as usize;
    let starting = counts.wanted.saturating_sub(counts.ready.max(counted)) as usize;
    let mut pods = vec![pod(Some(load / f64::from(counted)), true); counted as usize];
    pods.resize(pods.len() + missing, pod(None, true));
    pods.resize(pods.len() + starting, pod(Some(0.0), false));
    match target.kind {
        TargetKind::CpuShare | TargetKind::MemoryShare => HpaMetric::Utilization { pods, target: target.value },
        _ => HpaMetric::PodsAverage { pods, target: target.value },
    }
}

/// What of a wish the `behavior` block lets pass, from the changes that were made.
pub(crate) fn paced(behavior: &Behavior, state: &State, current: u32, to: u32, now: TimestampMs) -> u32 {
    behavior.limit(current, to, |period, sign| state.changed_since(now.saturating_sub(ms(period)), sign).abs())
}
