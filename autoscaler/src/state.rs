//! What the autoscaler remembers of a service between rounds: a plain value, bounded, stored with each decision.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;

use crate::capacity::Learned;
use crate::level::Level;
use crate::policy::{Policy, ms};
use crate::predict::Predictor;
use crate::threshold::Taken;
use crate::window::Window;

/// Format of the stored state; another one is not read, and the service starts anew (holding).
const FORMAT: u32 = 3;
/// Most bytes of a stored state.
pub const STATE_BYTES_MAX: usize = 32 * 1024;
/// Most changes that are remembered for the pace.
const CHANGES_MAX: usize = 30;
/// Most decisions that wait for their verification.
const PENDING_MAX: usize = 8;
/// Most start-up times that are remembered.
const STARTUPS_MAX: usize = 32;
/// Longest start-up time that is believed, in milliseconds: a day. What takes longer did not start.
const STARTUP_MS_MAX: i64 = 86_400_000;
/// Failed tries after which a service is left alone.
pub const TRIES_MAX: u32 = 3;
/// A replica is given this many times the usual start-up time.
const STARTUP_FACTOR: i64 = 3;
/// Shortest time that is given, in milliseconds: health checks and rounds have a grain of seconds.
const STARTUP_DEADLINE_MS_MIN: i64 = 15_000;
/// First wait after a refused change, in milliseconds; doubled with each try.
const RETRY_WAIT_MS: i64 = 5_000;

/// A change that was made; stored as a pair, because a service may have many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(TimestampMs, i64)", into = "(TimestampMs, i64)")]
pub struct Change {
    /// When it was confirmed.
    pub at_ms: TimestampMs,
    /// Replicas added (or, negative, removed).
    pub delta: i64,
}

impl From<Change> for (TimestampMs, i64) {
    fn from(change: Change) -> Self {
        (change.at_ms, change.delta)
    }
}

impl From<(TimestampMs, i64)> for Change {
    fn from((at_ms, delta): (TimestampMs, i64)) -> Self {
        Self { at_ms, delta }
    }
}

/// A decision that was acted on and is not verified yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pending {
    /// The decision.
    pub decision_id: i64,
    /// Replicas before.
    pub from: u32,
    /// Replicas after.
    pub to: u32,
    /// When the orchestrator accepted it.
    pub acted_at_ms: TimestampMs,
    /// Until when the replicas should be ready; moved with each try.
    pub deadline_ms: TimestampMs,
    /// When all were ready; their load is then watched until it has settled.
    pub ready_at_ms: Option<TimestampMs>,
}

/// A decision that waits for a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Awaiting {
    /// The decision.
    pub decision_id: i64,
    /// Replicas it wants.
    pub to: u32,
}

/// Why a service is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FreezeCause {
    /// Replicas did not become ready; ends when they do.
    NotReady,
    /// The orchestrator refused the change; ends when a person (or another program) changes something.
    Refused,
}

/// Since when, and why, a service is left alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frozen {
    /// Since when.
    pub since_ms: TimestampMs,
    /// Why.
    pub cause: FreezeCause,
    /// In words.
    pub reason: String,
}

/// Why a decision is what it is, coarse enough that a change of it is worth a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReasonClass {
    /// The load fits.
    Steady,
    /// More replicas.
    ScaleOut,
    /// Fewer replicas.
    ScaleIn,
    /// A metric is unknown.
    Unknown,
    /// A sudden fall is not confirmed.
    Unconfirmed,
    /// A window, a cooldown or a pace holds.
    Waiting,
    /// A quota, a dependency, a batch, a calendar or a pause keeps it.
    Limited,
    /// Someone else has changed the replicas.
    Foreign,
    /// Three tries failed.
    Frozen,
    /// The orchestrator does not answer.
    Silent,
}

/// The last decision that was recorded, so that the same one is not recorded again each round.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recorded {
    /// When.
    pub at_ms: TimestampMs,
    /// Its class.
    pub class: ReasonClass,
    /// Replicas before.
    pub from: u32,
    /// Replicas wanted.
    pub to: u32,
}

/// All that is remembered of a service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct State {
    format: u32,
    /// When the last round was; rounds never go back in time.
    pub last_ms: Option<TimestampMs>,
    /// Replicas the orchestrator was last seen or told to run.
    pub last_wanted: Option<u32>,
    /// Highest needs of the hold window.
    pub highest: Window,
    /// Lowest needs of the scale-out window.
    pub lowest: Window,
    /// Changes made, oldest first.
    pub changes: Vec<Change>,
    /// When replicas were last added.
    pub added_ms: Option<TimestampMs>,
    /// The last load of each target that was believed.
    pub levels: Vec<Option<f64>>,
    /// The second source at that time.
    pub confirm_level: Option<f64>,
    /// Since when a fall is not believed.
    pub fall_since_ms: Option<TimestampMs>,
    /// Since when a metric is unknown.
    pub unknown_since_ms: Option<TimestampMs>,
    /// Whether that has been alarmed.
    pub unknown_alarmed: bool,
    /// Until when a change by someone else is left as it is.
    pub foreign_until_ms: Option<TimestampMs>,
    /// Decisions to verify, oldest first.
    pub pending: Vec<Pending>,
    /// A decision that waits for a person.
    pub awaiting: Option<Awaiting>,
    /// Failed tries in a row.
    pub tries: u32,
    /// No try before this time.
    pub retry_after_ms: Option<TimestampMs>,
    /// Left alone.
    pub frozen: Option<Frozen>,
    /// Measured start-up times in milliseconds, oldest first.
    pub startups_ms: Vec<i64>,
    /// The last recorded decision.
    pub recorded: Option<Recorded>,
    /// What each target that is a level has tried; parallel to the policy's targets.
    #[serde(default)]
    pub levels_tried: Vec<Level>,
    /// Steps that were taken and are not over; parallel to the policy's.
    #[serde(default)]
    pub steps: Vec<Option<Taken>>,
    /// What was learned of how much a replica carries.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) learned: Option<Learned>,
    /// The planner, once it has seen a load.
    #[serde(skip)]
    pub predictor: Option<Predictor>,
}

impl State {
    /// The state of a service never seen.
    pub fn new() -> Self {
        Self { format: FORMAT, ..Self::default() }
    }

    /// Reads a stored state; `None` when it is damaged or of another format.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        // Plain numbers and texts first, as JSON, in which there is no zero byte; the planner's packed numbers behind one.
        let (text, packed) = match bytes.iter().position(|b| *b == 0) {
            Some(end) => (&bytes[..end], Some(&bytes[end + 1..])),
            None => (bytes, None),
        };
        let mut state = serde_json::from_slice::<Self>(text).ok().filter(|state| state.format == FORMAT)?;
        // A planner that cannot be read begins anew; the windows and tries are worth keeping.
        state.predictor = packed.and_then(Predictor::from_bytes);
        Some(state)
    }

    /// The form that is stored; at most [`STATE_BYTES_MAX`] by the bounds of its parts.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Plain numbers, strings and lists always have a JSON form.
        let mut bytes = serde_json::to_vec(self).unwrap_or_default();
        if let Some(predictor) = &self.predictor {
            bytes.push(0);
            bytes.extend(predictor.to_bytes());
        }
        bytes
    }

    /// How long nine of ten starts took, or the policy's guess while none was seen.
    pub fn startup_ms(&self, policy: &Policy) -> i64 {
        let mut sorted = self.startups_ms.clone();
        sorted.sort_unstable();
        sorted.get((sorted.len() * 9).div_ceil(10).saturating_sub(1)).copied().unwrap_or(ms(policy.startup))
    }

    /// How long new replicas are waited for.
    pub fn startup_deadline_ms(&self, policy: &Policy) -> i64 {
        self.startup_ms(policy).saturating_mul(STARTUP_FACTOR).max(STARTUP_DEADLINE_MS_MIN)
    }

    /// Notes that the orchestrator has accepted a decision.
    pub fn acted(&mut self, policy: &Policy, decision_id: i64, from: u32, to: u32, now: TimestampMs) {
        self.last_wanted = Some(to);
        let delta = i64::from(to) - i64::from(from);
        if delta > 0 {
            self.added_ms = Some(now);
        }
        self.note_change(Change { at_ms: now, delta });
        let deadline_ms = now.saturating_add(self.startup_deadline_ms(policy));
        let pending = Pending { decision_id, from, to, acted_at_ms: now, deadline_ms, ready_at_ms: None };
        push_bounded(&mut self.pending, pending, PENDING_MAX);
        self.retry_after_ms = None;
        self.awaiting = None;
        if self.frozen.is_none() && self.pending.len() == 1 {
            self.tries = 0;
        }
    }

    /// Notes that the orchestrator has refused a change; `true` when that was the last try.
    pub fn refused(&mut self, reason: &str, now: TimestampMs) -> bool {
        self.tries += 1;
        if self.tries >= TRIES_MAX {
            self.frozen = Some(Frozen { since_ms: now, cause: FreezeCause::Refused, reason: reason.to_owned() });
            return true;
        }
        let wait = RETRY_WAIT_MS.saturating_mul(1 << self.tries.min(8));
        self.retry_after_ms = Some(now.saturating_add(wait));
        false
    }

    /// Notes that a change was put off, since something else is being done to the service: no failed try, only a wait.
    pub fn put_off(&mut self, now: TimestampMs) {
        self.retry_after_ms = Some(now.saturating_add(RETRY_WAIT_MS));
    }

    /// Ends a freeze and forgets failed tries, as a person asks.
    pub fn unfreeze(&mut self) {
        self.frozen = None;
        self.tries = 0;
        self.retry_after_ms = None;
    }

    /// Remembers a change. When there is no room two of the oldest that go the same way become one, at the later time: paces
    /// then see it longer than asked, never shorter.
    fn note_change(&mut self, change: Change) {
        if self.changes.len() >= CHANGES_MAX {
            let same_way = |pair: &[Change]| pair[0].delta.signum() == pair[1].delta.signum();
            match self.changes.windows(2).position(same_way) {
                Some(index) => {
                    let older = self.changes.remove(index);
                    self.changes[index].delta = self.changes[index].delta.saturating_add(older.delta);
                }
                None => drop(self.changes.remove(0)),
            }
        }
        self.changes.push(change);
    }

    /// Remembers a measured start-up time.
    pub(crate) fn learn_startup(&mut self, took_ms: i64) {
        push_bounded(&mut self.startups_ms, took_ms.clamp(0, STARTUP_MS_MAX), STARTUPS_MAX);
    }

    /// Replicas added minus removed since a time.
    pub(crate) fn changed_since(&self, since_ms: TimestampMs, direction: i64) -> i64 {
        self.changes.iter().filter(|c| c.at_ms > since_ms && c.delta.signum() == direction).map(|c| c.delta).sum()
    }

    /// The hold window may be that long without forgetting.
    pub(crate) fn forget_before(&mut self, hold: Duration, up: Duration, now: TimestampMs) {
        self.highest.expire(now.saturating_sub(ms(hold)));
        self.lowest.expire(now.saturating_sub(ms(up)));
    }
}

fn push_bounded<T>(list: &mut Vec<T>, item: T, max: usize) {
    if list.len() >= max {
        list.remove(0);
    }
    list.push(item);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_largest_state_fits_its_bound() {
        let mut state = State::new();
        let far = i64::MIN / 3;
        for step in 0..1000 {
            state.highest.push_max(far + step, u32::MAX - u32::try_from(step).expect("small"));
            state.lowest.push_min(far + step, u32::MAX - 1000 + u32::try_from(step).expect("small"));
            state.note_change(Change { at_ms: far, delta: far });
            let pending =
                Pending { decision_id: far, from: 1, to: 2, acted_at_ms: far, deadline_ms: far, ready_at_ms: None };
            push_bounded(&mut state.pending, pending, PENDING_MAX);
            state.learn_startup(i64::MAX);
        }
        state.levels = vec![Some(f64::MIN_POSITIVE); 16];
        state.levels_tried = vec![Level::from((u32::MAX, 1.234_567_9e-30, Some(far), TRIES_MAX)); 16];
        let taken = Taken { asked: u32::MAX, from: u32::MAX, ready_ms: Some(far) };
        state.steps = vec![Some(taken); 8];
        let costs = models::load::Costs { capacity: 100.0, knee: 0.8, bad: 100.0 };
        let mut predictor = Predictor::new(0, &costs);
        // Rises enough for all that are remembered.
        for tick in 0..1000 {
            let days = [1440; 7];
            let seen = crate::predict::Seen {
                now: tick * 15_000,
                load: Some(if tick % 10 == 0 { 1e6 } else { 1e3 }),
                replicas: 60_000,
                delay_ms: i64::MAX,
                days: &days,
                max: u32::MAX,
            };
            predictor.tick(&seen, &costs);
        }
        state.predictor = Some(predictor);
        let reason = "x".repeat(500);
        state.frozen = Some(Frozen { since_ms: far, cause: FreezeCause::Refused, reason });
        state.learned = Some(Learned::largest());
        let bytes = state.to_bytes();
        assert!(bytes.len() <= STATE_BYTES_MAX, "{} bytes", bytes.len());
        assert_eq!(State::from_bytes(&bytes), Some(state));
        assert_eq!(State::from_bytes(b"{}"), None);
        assert_eq!(State::from_bytes(b"\xff"), None);
    }
}
