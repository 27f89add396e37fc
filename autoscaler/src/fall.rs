//! The zero-glitch gate: a sudden fall of the load is believed only when a second source says so, or when it has lasted.

use vocab::TimestampMs;

use crate::observation::{Observation, ReplicaCounts, sane};
use crate::policy::{Policy, ms, short};
use crate::recommend::need;
use crate::state::State;

/// A load below this share of the last believed one is a sudden fall.
const FALL_SHARE: f64 = 0.4;
/// The second source confirms when it is below this share of what it was.
const CONFIRM_SHARE: f64 = 0.7;
/// A fall that the second source contradicts is believed after this long all the same, in milliseconds: the source may
/// have a base load that never goes away.
const CONTRADICTED_HOLD_MS: i64 = 20 * 60_000;
/// Where the planner looks ahead, a fall that nobody confirms is believed after this many times the policy's hold: fifteen
/// minutes by default, longer than a pipeline usually takes to heal. A hold that is set by hand is taken as it is.
const UNCONFIRMED_HOLDS: i64 = 3;
/// An unconfirmed fall lasts at least this many scrapes before it is believed.
const SCRAPES_MIN: i64 = 3;

/// A load below this share of what is usual at this time of day, when it was as usual just now, is an outage somewhere …
const DIP_SHARE: f64 = 0.5;
/// … if it was at least this share of the usual …
const USUAL_SHARE: f64 = 0.7;
/// … and its users will be back: capacity for them is held this long, in milliseconds.
const DIP_HOLD_MS: i64 = 30 * 60_000;

/// What the gate says of a round.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Fall {
    /// Replicas that the last believed load needs.
    pub(crate) needed: u32,
    /// In words.
    pub(crate) reason: String,
}

/// Looks at the loads, believes them or not, and remembers the believed ones.
pub(crate) fn gate(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    now: TimestampMs,
) -> Option<Fall> {
    state.levels.resize(policy.targets.len(), None);
    let confirm = observation.confirm.as_ref().and_then(sane);
    let mut fall: Option<Fall> = None;
    for (index, target) in policy.targets.iter().enumerate() {
        let (Some(load), Some(level)) = (observation.load(index), state.levels[index]) else { continue };
        let usual = if index == 0 { usual(policy, state, load, now) } else { None };
        let mut needed = need(usual.unwrap_or(level).max(level), target.value).min(counts.wanted);
        let is_fall = load < level * FALL_SHARE || usual.is_some();
        if target.kind.is_level() {
            // Only the HPA's formula takes replicas away in proportion to a level.
            needed = if policy.behavior.is_some() { counts.wanted } else { 0 };
        }
        if !is_fall || needed == 0 || (!target.kind.is_level() && need(load, target.value) >= needed) {
            continue;
        }
        let since_ms = *state.fall_since_ms.get_or_insert(now);
        let lasted_ms = now.saturating_sub(since_ms);
        let holds = if policy.predict.is_some() { UNCONFIRMED_HOLDS } else { 1 };
        let unit = target.kind.unit();
        let words = format!("{} {unit} after {}", short(load), short(level));
        let (wait_ms, reason) = match (confirm, state.confirm_level) {
            (Some(now), Some(then)) if now < then * CONFIRM_SHARE => continue,
            (Some(now), Some(then)) => (
                CONTRADICTED_HOLD_MS,
                format!(
                    "{words} is a sudden fall that the second source denies ({} after {})",
                    short(now),
                    short(then)
                ),
            ),
            _ if usual.is_some() => (
                DIP_HOLD_MS,
                format!(
                    "{words} is a sudden fall where {} are usual at this time; their return finds room",
                    short(usual.unwrap_or_default())
                ),
            ),
            _ => (
                (holds * ms(policy.hold)).max(SCRAPES_MIN * ms(policy.scrape_interval)),
                format!("{words} is a sudden fall that no second source confirms yet"),
            ),
        };
        if lasted_ms < wait_ms && fall.as_ref().is_none_or(|f| f.needed < needed) {
            fall = Some(Fall { needed, reason });
        }
    }
    if fall.is_none() {
        state.fall_since_ms = None;
        for (index, level) in state.levels.iter_mut().enumerate() {
            *level = observation.load(index).or(*level);
        }
        state.confirm_level = confirm.or(state.confirm_level);
    }
    fall
}

/// The load that is usual now, when the measured one has just left it downwards.
fn usual(policy: &Policy, state: &State, load: f64, now: TimestampMs) -> Option<f64> {
    let predictor = state.predictor.as_ref()?;
    let usual = predictor.usual(now, &policy.days_before(now))?;
    (load < DIP_SHARE * usual && predictor.level() >= USUAL_SHARE * usual).then_some(usual)
}
