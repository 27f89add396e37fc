//! Levels, such as the p95 of latency: they fall when replicas are added, but nobody can say by how much.
//!
//! A level is no load that replicas divide among them, so no division gives a count. What is sound is to go and see: above
//! the target replicas are added by the ratio, never more than `SURGE` times those that serve now; then all of them must be
//! ready, and the level must have had time to follow, before the next look. Three looks without an effect, and the level asks
//! for nothing more: something else is slow. It never takes replicas away by a ratio either: well below the target it lets a
//! tenth go at a time, and near the target none.

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;
use vocab::scaling::Candidate;

use crate::observation::ReplicaCounts;
use crate::policy::{Policy, Target, ms, replicas, short};
use crate::state::TRIES_MAX;
use crate::verify::SETTLE_SCRAPES;

/// Most times as many replicas as serve now, in one go.
pub(crate) const SURGE: f64 = 2.0;
/// A level fell if it is at most this share of what it was when replicas were asked for.
const EFFECT_SHARE: f64 = 0.9;
/// From this share of the target on no replica is given back, whatever other targets say.
const NEAR_SHARE: f64 = 0.8;
/// When no other target says how much load there is, replicas are given back below this share only.
const WELL_UNDER_SHARE: f64 = 0.5;
/// Replicas that are given back at a time, one in so many.
const STEP_IN: u32 = 10;

/// What is remembered of a level: the go that is under way.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize, Default)]
#[serde(from = "StoredLevel", into = "StoredLevel")]
pub struct Level {
    /// Replicas that it asked for; 0 for none.
    asked: u32,
    /// The level at that time.
    from: f32,
    /// When all of them were ready.
    ready_ms: Option<TimestampMs>,
    /// Goes in a row without an effect.
    tries: u32,
}

/// As it is stored: a state is bounded, and names take room.
type StoredLevel = (u32, f32, Option<TimestampMs>, u32);

impl From<Level> for StoredLevel {
    fn from(level: Level) -> Self {
        (level.asked, level.from, level.ready_ms, level.tries)
    }
}

impl From<StoredLevel> for Level {
    fn from((asked, from, ready_ms, tries): StoredLevel) -> Self {
        Self { asked, from, ready_ms, tries }
    }
}

impl Level {
    /// Whether adding replicas has stopped to help.
    pub fn is_given_up(&self) -> bool {
        self.tries >= TRIES_MAX
    }
}

/// What a level asks for. `has_load`: another target of the policy says how much load there is.
pub(crate) fn candidate(
    policy: &Policy,
    target: &Target,
    level: Option<f64>,
    state: &mut Level,
    counts: ReplicaCounts,
    has_load: bool,
    now: TimestampMs,
) -> Candidate {
    let name = target.kind.as_str().to_owned();
    let unit = target.kind.unit();
    let Some(level) = level else {
        return Candidate { name, replicas: None, reason: format!("{unit} unknown") };
    };
    let words = format!("{} {unit}, at most {} wanted", short(level), short(target.value));
    let (count, why) = if level > target.value * (1.0 + policy.tolerance) {
        above(policy, target, level, state, counts, now)
    } else {
        *state = Level::default();
        below(target, level, counts, has_load)
    };
    Candidate { name, replicas: Some(count), reason: format!("{words}: {why}") }
}

fn above(
    policy: &Policy,
    target: &Target,
    level: f64,
    state: &mut Level,
    counts: ReplicaCounts,
    now: TimestampMs,
) -> (u32, String) {
    let hold = |why: String| (counts.wanted, why);
    if state.is_given_up() {
        return hold(format!(
            "it did not fall in {TRIES_MAX} goes, so more replicas do not help; {} stay",
            counts.wanted
        ));
    }
    if counts.ready < counts.wanted && state.asked <= counts.wanted {
        return hold(format!("{} of {} are still starting", counts.wanted - counts.ready, replicas(counts.wanted)));
    }
    if state.asked > 0 && counts.wanted >= state.asked {
        let since_ms = *state.ready_ms.get_or_insert(now);
        if now.saturating_sub(since_ms) < SETTLE_SCRAPES * ms(policy.scrape_interval) {
            return hold(format!("it is given time to follow {}", replicas(counts.wanted)));
        }
        state.tries = if level <= f64::from(state.from) * EFFECT_SHARE { 0 } else { state.tries + 1 };
        if state.is_given_up() {
            return hold(format!("it did not fall in {TRIES_MAX} goes, so more replicas do not help"));
        }
    }
    let ratio = (level / target.value).min(SURGE);
    // What was asked for and is not carried out yet, for want of an approval or of room, is asked for again, unchanged.
    let open = if state.asked > counts.wanted { state.asked.min(times(counts.ready.max(1), SURGE)) } else { 0 };
    let need = times(counts.ready.max(1), ratio).max(open).max(counts.wanted.saturating_add(1));
    let need = need.min(policy.max.max(counts.wanted));
    #[allow(clippy::cast_possible_truncation, reason = "it is compared with a tenth of itself")]
    let from = level as f32;
    (state.asked, state.from, state.ready_ms) = (need, from, None);
    (need, format!("{} that serve, times {}, are {need}", replicas(counts.ready), short(ratio)))
}

fn below(target: &Target, level: f64, counts: ReplicaCounts, has_load: bool) -> (u32, String) {
    let share = if has_load { NEAR_SHARE } else { WELL_UNDER_SHARE };
    if counts.ready < counts.wanted || level >= target.value * share {
        return (counts.wanted, format!("{} stay", counts.wanted));
    }
    let fewer = counts.wanted.saturating_sub((counts.wanted / STEP_IN).max(1));
    (fewer, format!("well below, so {fewer} are tried"))
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative, and the cast saturates")]
fn times(count: u32, factor: f64) -> u32 {
    (f64::from(count) * factor * (1.0 - 1e-9)).ceil() as u32
}

#[cfg(test)]
mod tests;
