//! Verification: did the replicas of a decision become ready, and is the load per replica where it should be?

use vocab::TimestampMs;
use vocab::scaling::DecisionState;

use crate::observation::{Observation, ReplicaCounts};
use crate::policy::{Policy, Target, ms, replicas, short};
use crate::state::{FreezeCause, Frozen, Pending, State, TRIES_MAX};

/// How many scrapes pass until the load has settled on new replicas.
pub(crate) const SETTLE_SCRAPES: i64 = 5;

/// How a decision ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// The decision.
    pub decision_id: i64,
    /// Its last state.
    pub state: DecisionState,
    /// In words.
    pub result: String,
}

/// What a person should hear of.
#[derive(Debug, Clone, PartialEq)]
pub enum Notice {
    /// A service is left alone after failed tries: ticket.
    Frozen(String),
    /// A service is no longer left alone.
    Thawed,
    /// Metrics have been unknown for too long: ticket.
    UnknownTooLong(String),
    /// Metrics are known again.
    KnownAgain,
    /// A quota trims what a service needs by more than a tenth: ticket.
    Trimmed(String),
    /// It no longer does.
    TrimmedNoMore,
    /// More replicas do not lower a level, such as latency: ticket.
    NoEffect(String),
    /// It is where it should be again.
    EffectAgain,
    /// Someone else has changed the replicas.
    ForeignChange {
        /// Replicas before.
        from: u32,
        /// Replicas found.
        to: u32,
    },
}

/// Goes through the decisions that wait for their verification.
pub(crate) fn verify(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    now: TimestampMs,
) -> (Vec<Finished>, Vec<Notice>) {
    let (mut finished, mut notices) = (Vec::new(), Vec::new());
    if counts.ready >= counts.wanted && state.frozen.as_ref().is_some_and(|f| f.cause == FreezeCause::NotReady) {
        state.unfreeze();
        notices.push(Notice::Thawed);
    }
    let mut rest = Vec::new();
    for pending in std::mem::take(&mut state.pending) {
        let (kept, result) = look(policy, state, observation, counts, pending, now);
        rest.extend(kept);
        if let Some((end, result, notice)) = result {
            finished.push(Finished { decision_id: pending.decision_id, state: end, result });
            notices.extend(notice);
        }
    }
    state.pending = rest;
    (finished, notices)
}

type Look = (Option<Pending>, Option<(DecisionState, String, Option<Notice>)>);

fn look(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    mut pending: Pending,
    now: TimestampMs,
) -> Look {
    let took_ms = now.saturating_sub(pending.acted_at_ms);
    let is_overtaken = counts.wanted != pending.to;
    if pending.to < pending.from {
        let end = if is_overtaken {
            Some((DecisionState::Verified, format!("overtaken by a change to {}", counts.wanted), None))
        } else if counts.total <= pending.to {
            let load = load_words(policy, observation, counts).map_or(String::new(), |w| format!("; {w}"));
            Some((DecisionState::Verified, format!("{} left after {}{load}", left(pending), seconds(took_ms)), None))
        } else if now >= pending.deadline_ms.saturating_add(ms(policy.hold)) {
            let count = counts.total - pending.to;
            Some((DecisionState::Failed, format!("{} still there after {}", count, seconds(took_ms)), None))
        } else {
            None
        };
        return if end.is_some() { (None, end) } else { (Some(pending), None) };
    }
    if counts.ready >= pending.to {
        let ready_at_ms = match pending.ready_at_ms {
            Some(at) => at,
            None => {
                state.learn_startup(took_ms.saturating_sub(observation.replicas_age_ms));
                state.tries = 0;
                now
            }
        };
        pending.ready_at_ms = Some(ready_at_ms);
        let ready = format!("ready after {}", seconds(ready_at_ms.saturating_sub(pending.acted_at_ms)));
        let settled = now.saturating_sub(ready_at_ms) >= SETTLE_SCRAPES * ms(policy.scrape_interval);
        let fits = load_fits(policy, observation, counts);
        if is_overtaken || fits == Some(true) || settled {
            let words = load_words(policy, observation, counts).unwrap_or_else(|| "load unknown".into());
            return (None, Some((DecisionState::Verified, format!("{ready}; {words}"), None)));
        }
        return (Some(pending), None);
    }
    if is_overtaken && counts.wanted < pending.to {
        let result = format!("overtaken by a change to {} before all were ready", counts.wanted);
        return (None, Some((DecisionState::Skipped, result, None)));
    }
    if now < pending.deadline_ms {
        return (Some(pending), None);
    }
    if is_overtaken {
        let result = format!("overtaken by a change to {} while replicas were starting", counts.wanted);
        return (None, Some((DecisionState::Skipped, result, None)));
    }
    state.tries += 1;
    if state.tries < TRIES_MAX {
        pending.deadline_ms = now.saturating_add(state.startup_deadline_ms(policy));
        return (Some(pending), None);
    }
    let missing = pending.to - counts.ready;
    let result = format!(
        "{} not ready after {} and {TRIES_MAX} waits; what runs is kept and nothing more is asked for",
        replicas(missing),
        seconds(took_ms)
    );
    let reason = format!("scaling {} from {} to {} did not help: {result}", policy.service, pending.from, pending.to);
    state.frozen = Some(Frozen { since_ms: now, cause: FreezeCause::NotReady, reason: reason.clone() });
    (None, Some((DecisionState::Failed, result, Some(Notice::Frozen(reason)))))
}

fn left(pending: Pending) -> String {
    replicas(pending.from - pending.to)
}

/// Whether each known load per ready replica is within its target; `None` when no load is known.
fn load_fits(policy: &Policy, observation: &Observation, counts: ReplicaCounts) -> Option<bool> {
    let ready = f64::from(counts.ready.max(1));
    let loads = policy.targets.iter().enumerate().filter_map(|(i, t)| Some((observation.load(i)?, t)));
    let each = |load: f64, target: &Target| if target.kind.is_level() { load } else { load / ready };
    loads.map(|(load, target)| each(load, target) <= target.value * (1.0 + policy.tolerance)).reduce(|a, b| a && b)
}

/// `load per replica 93 of 100 RPS`.
fn load_words(policy: &Policy, observation: &Observation, counts: ReplicaCounts) -> Option<String> {
    let ready = f64::from(counts.ready.max(1));
    let words = |is_level: bool| {
        let of_kind = policy.targets.iter().enumerate().filter(|(_, t)| t.kind.is_level() == is_level);
        let words = of_kind.filter_map(|(i, t)| {
            let load = observation.load(i)?;
            let each = if is_level { load } else { load / ready };
            Some(format!("{} of {} {}", short(each), short(t.value), t.kind.unit()))
        });
        words.collect::<Vec<String>>().join(", ")
    };
    match (words(false), words(true)) {
        (loads, levels) if loads.is_empty() && levels.is_empty() => None,
        (loads, levels) if levels.is_empty() => Some(format!("load per replica {loads}")),
        (loads, levels) if loads.is_empty() => Some(levels),
        (loads, levels) => Some(format!("load per replica {loads}; {levels}")),
    }
}

fn seconds(ms: i64) -> String {
    #[allow(clippy::cast_precision_loss, reason = "only shown")]
    let seconds = ms as f64 / 1000.0;
    format!("{} s", short(seconds))
}
