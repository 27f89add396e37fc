//! Guards: what a recommendation must pass before it becomes a decision. Each says what it did and why.
//!
//! In this order: the orchestrator's own numbers (someone else's change), unknown metrics, a sudden fall, the windows, the
//! first round, starting replicas, cooldown, turn, pace, failed tries, what binds from outside, bounds. Bounds come last, so that no guard can leave
//! them; scale-out to the minimum and scale-in to the maximum happen whatever is unknown.

use vocab::TimestampMs;
use vocab::duration::format_duration;
use vocab::scaling::GuardVerdict;

use crate::fall::Fall;
use crate::hpa;
use crate::observation::{Observation, ReplicaCounts, sane};
use crate::policy::{Pace, Policy, ms, replicas, short};
use crate::predict::TRIFLE_SHARE;
use crate::recommend::{Recommendation, need};
use crate::state::{ReasonClass, State};

/// After being unknown for this long, in milliseconds, a service is held at what its forecast says, if that is more.
const UNKNOWN_FORECAST_MS: i64 = 3 * 60_000;

/// What came out.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Guarded {
    /// Replicas to have.
    pub(crate) to: u32,
    /// What each guard that changed the number did, in order.
    pub(crate) verdicts: Vec<GuardVerdict>,
    /// The class of the guard that decided, when one did.
    pub(crate) class: Option<ReasonClass>,
}

struct Chain {
    to: u32,
    verdicts: Vec<GuardVerdict>,
    class: Option<ReasonClass>,
}

impl Chain {
    /// Lets a guard set the number; no change, no verdict.
    fn set(&mut self, guard: &str, to: u32, class: ReasonClass, reason: impl FnOnce() -> String) {
        if to != self.to {
            self.verdicts.push(GuardVerdict { guard: guard.into(), before: self.to, after: to, reason: reason() });
            self.to = to;
            self.class = Some(class);
        }
    }

    /// Lets a guard hold a scale-in: the number does not fall below `floor`.
    fn at_least(&mut self, guard: &str, floor: u32, class: ReasonClass, reason: impl FnOnce() -> String) {
        self.set(guard, self.to.max(floor), class, reason);
    }
}

/// Runs a recommendation through all guards. Changes only windows and marks in `state`.
pub(crate) fn guard(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    recommendation: &Recommendation,
    fall: Option<&Fall>,
    now: TimestampMs,
) -> Guarded {
    let current = counts.wanted;
    let mut chain = Chain { to: recommendation.wanted.unwrap_or(current), verdicts: Vec::new(), class: None };
    unknown(&mut chain, policy, state, observation, recommendation, current, now);
    needs_of_others(&mut chain, observation);
    if let Some(fall) = fall {
        chain.at_least("zero_glitch", fall.needed, ReasonClass::Unconfirmed, || fall.reason.clone());
    }
    // The windows see every need within bounds, held or not: what was needed is what they remember.
    let planned = chain.to.clamp(policy.min, policy.max);
    let mut need = planned;
    if state.predictor.is_some() && recommendation.unknown.is_empty() && fall.is_none() {
        // What was only planned is held by the plan, as long as it says.
        let of_others = observation.outside.floored(0).0;
        need = recommendation.measured.unwrap_or(need).max(of_others).clamp(policy.min, policy.max);
    }
    windows(&mut chain, policy, state, current, (need, planned), now);
    if observation.first_round {
        chain.at_least("first_round", current, ReasonClass::Waiting, || {
            "the first round after a start gives nothing back".into()
        });
    }
    starting(&mut chain, state, counts);
    after_changes(&mut chain, policy, state, current, now);
    left_alone(&mut chain, state, current, now);
    limits_of_others(&mut chain, observation, current);
    bounds(&mut chain, policy);
    Guarded { to: chain.to, verdicts: chain.verdicts, class: chain.class }
}

/// Unknown holds: it never shrinks a service, and grows it only by what is known.
fn unknown(
    chain: &mut Chain,
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    recommendation: &Recommendation,
    current: u32,
    now: TimestampMs,
) {
    if recommendation.unknown.is_empty() {
        state.unknown_since_ms = None;
        state.unknown_alarmed = false;
        return;
    }
    let since_ms = *state.unknown_since_ms.get_or_insert(now);
    let usual = || state.predictor.as_ref().and_then(|p| p.usual(now, &policy.days_before(now)));
    let forecast = observation.forecast.as_ref().and_then(sane).or_else(usual).zip(policy.targets.first());
    if let Some((load, target)) = forecast
        && now.saturating_sub(since_ms) >= UNKNOWN_FORECAST_MS
    {
        chain.at_least("unknown_forecast", need(load, target.value), ReasonClass::Unknown, || {
            format!("unknown for a while; {} {} are expected by now", short(load), target.kind.unit())
        });
    }
    let list = recommendation.unknown.join(", ");
    chain.at_least("unknown_holds", current, ReasonClass::Unknown, || {
        format!("unknown is not zero: {list}; nothing is given back")
    });
    // Holding the present number is a hold too, though no number changed.
    if chain.to == current {
        chain.class = Some(ReasonClass::Unknown);
    }
}

/// What services that depend on this one need of it.
fn needs_of_others(chain: &mut Chain, observation: &Observation) {
    for (floor, guard, reason) in observation.outside.floored(chain.to).1 {
        chain.at_least(guard, floor, ReasonClass::ScaleOut, || reason.to_owned());
    }
}

/// Quotas, dependencies, batches, calendars and pauses keep changes from happening.
fn limits_of_others(chain: &mut Chain, observation: &Observation, current: u32) {
    for (to, guard, reason) in observation.outside.limited(chain.to, current) {
        chain.set(guard, to, ReasonClass::Limited, || reason.to_owned());
    }
}

/// What was needed is held; what is planned must be so for a while before it is added.
fn windows(
    chain: &mut Chain,
    policy: &Policy,
    state: &mut State,
    current: u32,
    (need, planned): (u32, u32),
    now: TimestampMs,
) {
    // A stretch nobody watched does not count as low load: the window begins anew at what ran then.
    let unwatched_ms = state.last_ms.map_or(i64::MAX, |last| now.saturating_sub(last));
    if unwatched_ms > (ms(policy.hold) / 2).max(3 * ms(policy.interval)) {
        state.highest.push_max(now, current.clamp(policy.min, policy.max));
    }
    state.highest.push_max(now, need);
    state.lowest.push_min(now, planned);
    state.forget_before(policy.hold, policy.stabilization_up, now);
    let highest = state.highest.extreme().unwrap_or(need);
    let lowest = state.lowest.extreme().unwrap_or(planned);
    if chain.to < current {
        chain.at_least("stabilization", highest.min(current), ReasonClass::Waiting, || {
            format!(
                "{} were needed within the last {}, so they are held",
                replicas(highest),
                format_duration(policy.hold)
            )
        });
    } else if chain.to > current && lowest < chain.to {
        let to = lowest.max(current);
        chain.set("stabilization_up", to, ReasonClass::Waiting, || {
            format!("the need is not steady yet over {}", format_duration(policy.stabilization_up))
        });
    }
}

/// While replicas start, nothing is given back, and nothing that is already starting is asked for again: the need is an
/// absolute number, compared with what is wanted, not with what is ready.
fn starting(chain: &mut Chain, state: &State, counts: ReplicaCounts) {
    let starts = state.pending.iter().any(|p| p.to > p.from && p.ready_at_ms.is_none());
    if starts && counts.ready < counts.wanted {
        chain.at_least("starting", counts.wanted, ReasonClass::Waiting, || {
            format!("{} of {} are still starting", counts.wanted - counts.ready, replicas(counts.wanted))
        });
    }
}

/// Cooldown, turn and pace.
fn after_changes(chain: &mut Chain, policy: &Policy, state: &State, current: u32, now: TimestampMs) {
    let since = |at: Option<TimestampMs>| at.map_or(i64::MAX, |at| now.saturating_sub(at));
    let since_change = since(state.changes.last().map(|c| c.at_ms));
    // Replicas that only a forecast asked for, and that no load ever needed, are given back when it asks no more.
    let needed = state.predictor.as_ref().map_or(current, |p| p.measured().max(policy.min).min(current));
    if since_change < ms(policy.cooldown) {
        chain.at_least("cooldown", needed, ReasonClass::Waiting, || {
            format!("the last change was {} s ago; {} must pass", since_change / 1000, format_duration(policy.cooldown))
        });
    }
    let given_back = f64::from(current.saturating_sub(chain.to)) / f64::from(current.max(1));
    if state.predictor.is_some() && given_back < TRIFLE_SHARE {
        chain.at_least("trifle", current, ReasonClass::Waiting, || {
            format!("less than {} % to give back is not worth a change", short(TRIFLE_SHARE * 100.0))
        });
    }
    let since_turn = since(state.added_ms);
    if since_turn <= ms(policy.turn_pause) {
        chain.at_least("turn", needed, ReasonClass::Waiting, || {
            format!(
                "replicas were added {} s ago; the direction turns once in {} at most",
                since_turn / 1000,
                format_duration(policy.turn_pause)
            )
        });
    }
    if let Some(behavior) = &policy.behavior {
        let to = hpa::paced(behavior, state, current, chain.to, now);
        chain.set("behavior", to, ReasonClass::Waiting, || {
            format!(
                "its behavior lets {} be {} now",
                replicas(to.abs_diff(current)),
                if to > current { "added" } else { "given back" }
            )
        });
        return;
    }
    if chain.to < needed {
        // Slow is counted from what the load needed: giving back the rest took none of it away.
        let slow = current.saturating_sub(allowance(policy.scale_in, state, current, -1, now));
        let floor = if needed < current { needed } else { slow };
        chain.at_least("scale_in_pace", floor, ReasonClass::Waiting, || pace_words("given back", policy.scale_in));
    }
    if let Some(pace) = policy.scale_out
        && chain.to > current
    {
        let ceiling = current.saturating_add(allowance(pace, state, current, 1, now));
        let to = chain.to.min(ceiling);
        chain.set("scale_out_pace", to, ReasonClass::Waiting, || pace_words("added", pace));
    }
}

/// How many more replicas a pace allows now, from what was changed within its period.
fn allowance(pace: Pace, state: &State, current: u32, direction: i64, now: TimestampMs) -> u32 {
    let done = state.changed_since(now.saturating_sub(ms(pace.period)), direction);
    let at_begin = (i64::from(current) - done).max(0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        reason = "replica counts are far below 2^52, and the cast saturates"
    )]
    let by_share = (at_begin as f64 * pace.percent / 100.0).ceil() as i64;
    let allowed = by_share.max(i64::from(pace.replicas));
    u32::try_from((allowed - done.abs()).max(0)).unwrap_or(u32::MAX)
}

fn pace_words(what: &str, pace: Pace) -> String {
    format!(
        "at most {} or {} % may be {what} within {}",
        replicas(pace.replicas),
        short(pace.percent),
        format_duration(pace.period)
    )
}

/// Failed tries and other people's changes leave the number as it is.
fn left_alone(chain: &mut Chain, state: &State, current: u32, now: TimestampMs) {
    if let Some(until) = state.foreign_until_ms.filter(|until| now < *until) {
        chain.set("foreign_change", current, ReasonClass::Foreign, || {
            format!("someone else has set {}; left so for {} s more", replicas(current), (until - now) / 1000)
        });
    }
    if let Some(retry) = state.retry_after_ms.filter(|retry| now < *retry) {
        chain.set("retry", current, ReasonClass::Waiting, || {
            let ended = if state.tries == 0 { "put off" } else { "refused" };
            format!("the last try was {ended}; the next one is in {} s", (retry - now) / 1000)
        });
    }
    if let Some(frozen) = &state.frozen {
        chain.set("frozen", current, ReasonClass::Frozen, || frozen.reason.clone());
        chain.class = Some(ReasonClass::Frozen);
    }
}

fn bounds(chain: &mut Chain, policy: &Policy) {
    let to = chain.to.clamp(policy.min, policy.max);
    let class = if to > chain.to { ReasonClass::ScaleOut } else { ReasonClass::Waiting };
    chain.set("bounds", to, class, || format!("the policy allows {} to {}", policy.min, replicas(policy.max)));
}
