//! What a policy would have done on a recorded load, beside what others would have done: the pipeline that runs live, in a
//! world in which replicas take their time to start and a replica carries so much.

mod asked;
mod page;
pub mod recorded;
#[cfg(test)]
mod tests;
mod world;

use std::time::Duration;

use models::load::Costs;
use vocab::replay::ReplayedBy;
use vocab::scaling::SeenMetric;
use vocab::{Cancel, PortError, PortResult};

pub(crate) use self::asked::Replays;
pub use self::page::{html, table};
pub use self::world::{Outcome, Trace};
use crate::hpa::{Behavior, Hpa, HpaMetric};
use crate::policy::{CARRIED_SHARE, Policy, ms};
use crate::step::{Session, demand_seen};
use world::TICKS_MAX;

/// Time between rounds.
const TICK: Duration = Duration::from_secs(15);
/// A decision sees what was two rounds ago: the scrape, and the window of the rate.
const LATE_TICKS: usize = 2;
/// The share of saturation that the Horizontal Pod Autoscaler is compared at.
const HPA_SHARE: f64 = 0.7;

/// Replays a policy on a load, and beside it the Horizontal Pod Autoscaler at 70 % and a fixed number that always suffices.
/// The first outcome is the policy's.
///
/// # Errors
/// In words, when the policy's first target is no load or the trace is too short.
pub fn replay(policy: &Policy, trace: &Trace) -> Result<Vec<Outcome>, String> {
    replay_beside(policy, trace, &Cancel::new(), |_| None).map_err(|error| error.message().to_owned())
}

/// The same, until it is cancelled, and beside what really ran: replicas wanted and ready at so many rounds, if that is known.
fn replay_beside(
    policy: &Policy,
    trace: &Trace,
    cancel: &Cancel,
    actual: impl FnOnce(usize) -> Option<(Vec<u32>, Vec<u32>)>,
) -> PortResult<Vec<Outcome>> {
    let no_load = || PortError::invalid("the policy's first target is no load");
    let target = policy.targets.first().filter(|t| !t.kind.is_level()).ok_or_else(no_load)?;
    let costs = Costs { capacity: (target.value / CARRIED_SHARE) as f32, knee: CARRIED_SHARE as f32, bad: 1.0 };
    let capacity = target.value / CARRIED_SHARE;
    let loads = trace.at_every(TICK).map_err(PortError::invalid)?;
    let world = world::World { loads: &loads, startup_ticks: ticks(policy.startup), late: LATE_TICKS, costs, cancel };
    let mut live = policy.clone();
    (live.interval, live.scrape_interval) = (TICK, TICK);
    let mut session = Session::new(live);
    let first = need(loads[0], target.value).clamp(policy.min, policy.max);
    let ours = world.run((ReplayedBy::Policy, &format!("policy {}", policy.name)), first, |tick, seen| {
        let mut observation = demand_seen(Some(seen.load), seen.wanted, seen.ready);
        observation.loads.resize(policy.targets.len(), observation.loads[0].clone());
        observation.counted.resize(policy.targets.len(), None);
        for load in observation.loads.iter_mut().skip(1) {
            // Only the first target's load was recorded; the others are taken as idle.
            load.value = Some(0.0);
        }
        // Nor were the metrics of steps.
        observation.steps = vec![SeenMetric { value: Some(0.0), ..observation.loads[0].clone() }; policy.steps.len()];
        observation.replicas_age_ms = LATE_TICKS as i64 * ms(TICK);
        let since_ms = tick as i64 * ms(TICK);
        observation.wall_ms = trace.begin_ms().map(|begin| begin + since_ms);
        session.round(&observation, observation.wall_ms.unwrap_or(since_ms)).decision.to
    })?;
    let mut hpa = Hpa::new(policy.min.max(1), policy.max, Behavior::default());
    let reactive = world.run((ReplayedBy::Hpa, "HPA 70 %"), first, |tick, seen| {
        let metric = HpaMetric::TotalAverage { total: Some(seen.load), target: HPA_SHARE * capacity };
        hpa.round(&[metric], seen.wanted, tick as i64 * ms(TICK))
    })?;
    let peak = loads.iter().copied().fold(0.0, f64::max);
    let most = need(peak, target.value).clamp(policy.min, policy.max);
    let fixed = world.run((ReplayedBy::Fixed, "fixed"), most, |_, _| most)?;
    let ran = actual(loads.len());
    let ran = ran.map(|(wanted, ready)| world.judge((ReplayedBy::Actual, "as it ran"), wanted, ready));
    Ok([ours, reactive, fixed].into_iter().chain(ran).collect())
}

fn need(load: f64, per_replica: f64) -> u32 {
    crate::recommend::need(load, per_replica).max(1)
}

fn ticks(time: Duration) -> usize {
    usize::try_from(ms(time).div_euclid(ms(TICK))).unwrap_or(0)
}
