//! One round as a pure step: (policy, state, observation, now) → (state′, plan). The same code runs live and in replay.

use vocab::TimestampMs;
use vocab::scaling::{DecisionState, ScalingDecision, ScalingMode};

use crate::fall;
use crate::guard::{Guarded, guard};
use crate::level::{self, Level};
use crate::observation::{Observation, ReplicaCounts};
use crate::policy::{Policy, ms, replicas};
use crate::predict::{Predictor, Seen};
use crate::recommend::{Recommendation, Wishes, recommend};
use crate::schedule;
use crate::state::{Awaiting, FreezeCause, ReasonClass, Recorded, State};
use crate::threshold;
use crate::verify::{Finished, Notice, verify};

/// A decision that changes nothing is recorded at most this often, in milliseconds, when only its class changed.
const HOLD_RECORD_MS: i64 = 60_000;
/// Metrics unknown for this long are alarmed, in milliseconds.
const UNKNOWN_ALARM_MS: i64 = 15 * 60_000;
/// For this long after a change an orchestrator may still show the old number, in milliseconds.
const ORCHESTRATOR_LAG_MS: i64 = 10_000;

/// What is to be done about a decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    /// Nothing: the number is right or held.
    None,
    /// Tell the orchestrator.
    Act,
    /// Ask a person.
    Ask,
    /// Only write it down.
    Skip,
}

/// A round's outcome.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The decision with all its numbers; its id is given when it is recorded.
    pub decision: ScalingDecision,
    /// Why, as a class.
    pub class: ReasonClass,
    /// What is to be done.
    pub effect: Effect,
    /// Whether it is worth a row: the number or the class changed.
    pub record: bool,
    /// A decision recorded earlier that this round acts on: it waited for a person.
    pub approved: Option<i64>,
    /// Earlier decisions that ended.
    pub finished: Vec<Finished>,
    /// What a person should hear of.
    pub notices: Vec<Notice>,
    /// The round in one sentence.
    pub status: String,
}

/// Takes one step. Never panics and never leaves the bounds, whatever the numbers are.
pub fn step(policy: &Policy, state: &State, observation: &Observation, now: TimestampMs) -> (State, Plan) {
    let mut state = state.clone();
    // Windows never run backwards, whatever an operator does to the clock.
    let now = state.last_ms.map_or(now, |last| now.max(last));
    let Some(counts) = observation.replicas else {
        let plan = silent(policy, &mut state, observation, now);
        state.last_ms = Some(now);
        return (state, plan);
    };
    let (counts, mut notices) = reconcile_wanted(policy, &mut state, counts, now);
    let (mut finished, verify_notices) = verify(policy, &mut state, observation, counts, now);
    notices.extend(verify_notices);
    let was_unknown_alarmed = state.unknown_alarmed;
    let fall = fall::gate(policy, &mut state, observation, counts, now);
    look_ahead(policy, &mut state, observation, counts, fall.is_some(), now);
    let (wishes, level_notice) = wishes(policy, &mut state, observation, counts, now);
    notices.extend(level_notice);
    let recommendation = recommend(policy, observation, counts, state.predictor.as_ref(), wishes);
    let guarded = guard(policy, &mut state, observation, counts, &recommendation, fall.as_ref(), now);
    notices.extend(unknown_notice(policy, &mut state, &recommendation, was_unknown_alarmed, now));
    state.last_ms = Some(now);

    let class = classify(&guarded, counts);
    let reason = reason(policy, &recommendation, &guarded, counts);
    let (effect, skip_words) = effect(observation, counts, guarded.to);
    let mut plan = Plan {
        status: reason.clone(),
        decision: ScalingDecision {
            id: 0,
            time_ms: now,
            cluster: policy.cluster.clone(),
            service: policy.service.clone(),
            policy: policy.name.clone(),
            orchestrator: policy.orchestrator.clone(),
            from: counts.wanted,
            to: guarded.to,
            ready: counts.ready,
            mode: observation.mode,
            reason,
            seen: observation.seen(),
            candidates: recommendation.candidates,
            guards: guarded.verdicts,
            state: match effect {
                Effect::Act => DecisionState::Recorded,
                Effect::Ask => DecisionState::AwaitingApproval,
                Effect::None | Effect::Skip => DecisionState::Skipped,
            },
            result: skip_words,
            acted_at_ms: None,
            finished_at_ms: matches!(effect, Effect::None | Effect::Skip).then_some(now),
        },
        class,
        effect,
        record: false,
        approved: None,
        finished: Vec::new(),
        notices,
    };
    approval(&mut state, observation, &mut plan, &mut finished);
    plan.finished = finished;
    note_record(&mut state, &mut plan, now);
    (state, plan)
}

/// What levels, steps and schedules ask for, and what people should hear of it.
fn wishes(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    now: TimestampMs,
) -> (Wishes, Option<Notice>) {
    let (mut others, unknown) = threshold::candidates(policy, state, observation, counts, now);
    if let Some(wall_ms) = observation.wall_ms {
        others.extend(schedule::candidates(&policy.schedules, wall_ms, state.startup_ms(policy)));
    }
    let has_load =
        (0..policy.targets.len()).any(|i| !policy.targets[i].kind.is_level() && observation.load(i).is_some());
    let is_given_up = |state: &State| state.levels_tried.iter().any(Level::is_given_up);
    let was_given_up = is_given_up(state);
    state.levels_tried.resize(policy.targets.len(), Level::default());
    let tried = policy.targets.iter().zip(&mut state.levels_tried).enumerate();
    let levels: Vec<_> = tried
        .map(|(index, (target, tried))| {
            let level = observation.load(index);
            let is_level = target.kind.is_level() && policy.behavior.is_none();
            is_level.then(|| level::candidate(policy, target, level, tried, counts, has_load, now))
        })
        .collect();
    let notice = match (was_given_up, is_given_up(state)) {
        (false, true) => {
            let reasons = levels.iter().flatten().map(|c| format!("{}: {}", policy.service, c.reason));
            Some(Notice::NoEffect(reasons.collect::<Vec<_>>().join("; ")))
        }
        (true, false) => Some(Notice::EffectAgain),
        _ => None,
    };
    (Wishes { levels, others, unknown }, notice)
}

/// Lets the planner take in the round. A load that is not believed is unknown to it.
fn look_ahead(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    is_doubted: bool,
    now: TimestampMs,
) {
    let Some(costs) = policy.costs() else {
        state.predictor = None;
        return;
    };
    let seen = Seen {
        now,
        load: observation.load(0).filter(|_| !is_doubted),
        replicas: counts.wanted,
        delay_ms: state.startup_ms(policy),
        days: &policy.days_before(now),
        max: policy.max,
    };
    state.predictor.get_or_insert_with(|| Predictor::new(now, &costs)).tick(&seen, &costs);
}

/// A round in which the orchestrator does not answer: everything is held, windows stand.
fn silent(policy: &Policy, state: &mut State, observation: &Observation, now: TimestampMs) -> Plan {
    let known = state.last_wanted.unwrap_or(policy.min);
    let reason = format!("holding: {} does not answer ({})", policy.orchestrator, observation.replicas_note);
    let mut plan = Plan {
        status: reason.clone(),
        decision: ScalingDecision {
            id: 0,
            time_ms: now,
            cluster: policy.cluster.clone(),
            service: policy.service.clone(),
            policy: policy.name.clone(),
            orchestrator: policy.orchestrator.clone(),
            from: known,
            to: known,
            ready: 0,
            mode: observation.mode,
            reason,
            seen: observation.seen(),
            candidates: Vec::new(),
            guards: Vec::new(),
            state: DecisionState::Skipped,
            result: "nothing could be changed".into(),
            acted_at_ms: None,
            finished_at_ms: Some(now),
        },
        class: ReasonClass::Silent,
        effect: Effect::None,
        record: false,
        approved: None,
        finished: Vec::new(),
        notices: Vec::new(),
    };
    note_record(state, &mut plan, now);
    plan
}

/// Tells our own changes from those of others: one that is not ours is adopted and left alone for one hold window.
fn reconcile_wanted(
    policy: &Policy,
    state: &mut State,
    mut counts: ReplicaCounts,
    now: TimestampMs,
) -> (ReplicaCounts, Vec<Notice>) {
    let Some(known) = state.last_wanted else {
        state.last_wanted = Some(counts.wanted);
        return (counts, Vec::new());
    };
    if known == counts.wanted {
        return (counts, Vec::new());
    }
    let lags = |p: &&crate::state::Pending| {
        p.from == counts.wanted && p.to == known && now.saturating_sub(p.acted_at_ms) < ORCHESTRATOR_LAG_MS
    };
    if let Some(pending) = state.pending.iter().find(lags) {
        counts.wanted = pending.to;
        return (counts, Vec::new());
    }
    state.last_wanted = Some(counts.wanted);
    state.foreign_until_ms = Some(now.saturating_add(ms(policy.operations.manual_hold.unwrap_or(policy.hold))));
    state.awaiting = None;
    if state.frozen.as_ref().is_some_and(|f| f.cause == FreezeCause::Refused) {
        state.unfreeze();
    }
    (counts, vec![Notice::ForeignChange { from: known, to: counts.wanted }])
}

fn unknown_notice(
    policy: &Policy,
    state: &mut State,
    recommendation: &Recommendation,
    was_alarmed: bool,
    now: TimestampMs,
) -> Option<Notice> {
    match state.unknown_since_ms {
        None => was_alarmed.then_some(Notice::KnownAgain),
        Some(since) if !state.unknown_alarmed && now.saturating_sub(since) >= UNKNOWN_ALARM_MS => {
            state.unknown_alarmed = true;
            Some(Notice::UnknownTooLong(format!(
                "metrics of {} have been unknown for {} minutes, its replicas are held: {}",
                policy.service,
                now.saturating_sub(since) / 60_000,
                recommendation.unknown.join(", ")
            )))
        }
        Some(_) => None,
    }
}

fn classify(guarded: &Guarded, counts: ReplicaCounts) -> ReasonClass {
    match guarded.to.cmp(&counts.wanted) {
        std::cmp::Ordering::Greater => ReasonClass::ScaleOut,
        std::cmp::Ordering::Less => ReasonClass::ScaleIn,
        std::cmp::Ordering::Equal => guarded.class.unwrap_or(ReasonClass::Steady),
    }
}

/// One sentence a person reads at 3 a.m.
fn reason(policy: &Policy, recommendation: &Recommendation, guarded: &Guarded, counts: ReplicaCounts) -> String {
    let (from, to) = (counts.wanted, guarded.to);
    let why = match guarded.verdicts.last() {
        Some(verdict) => verdict.reason.clone(),
        None if !recommendation.unknown.is_empty() => {
            format!("unknown is not zero: {}", recommendation.unknown.join(", "))
        }
        None => recommendation.reason.clone(),
    };
    let need = match (recommendation.wanted, guarded.verdicts.is_empty()) {
        (Some(_), false) => format!("{}; ", recommendation.reason),
        _ => String::new(),
    };
    match to.cmp(&from) {
        std::cmp::Ordering::Greater => {
            format!("{} added, {from} to {to}: {need}{why}", replicas(to - from))
        }
        std::cmp::Ordering::Less => {
            format!("{} given back, {from} to {to}: {need}{why}", replicas(from - to))
        }
        std::cmp::Ordering::Equal => {
            let at =
                if to == policy.max && recommendation.wanted.is_some_and(|w| w > to) { " (the maximum)" } else { "" };
            format!("holding {to}{at}: {need}{why}")
        }
    }
}

fn effect(observation: &Observation, counts: ReplicaCounts, to: u32) -> (Effect, String) {
    if to == counts.wanted {
        return (Effect::None, "nothing to change".into());
    }
    if let Some(actor) = &observation.stopped_by {
        return (Effect::Skip, format!("not acted on: the stop switch is on (by {actor})"));
    }
    match observation.mode {
        ScalingMode::Observe => (Effect::Skip, "not acted on: mode observe".into()),
        ScalingMode::Advise => (Effect::Ask, String::new()),
        ScalingMode::Act => (Effect::Act, String::new()),
    }
}

/// Mode advise: the same wish waits as one decision; an approval turns it into an act if it still holds.
fn approval(state: &mut State, observation: &Observation, plan: &mut Plan, finished: &mut Vec<Finished>) {
    let Some(awaiting) = state.awaiting else { return };
    let holds = plan.effect == Effect::Ask && plan.decision.to == awaiting.to;
    if holds && observation.approved == Some(awaiting.decision_id) {
        plan.effect = Effect::Act;
        plan.approved = Some(awaiting.decision_id);
    } else if !holds {
        state.awaiting = None;
        finished.push(Finished {
            decision_id: awaiting.decision_id,
            state: DecisionState::Skipped,
            result: format!("no longer holds: {}", plan.decision.reason),
        });
    }
}

/// Decides whether a plan is worth a row, and remembers it if so.
fn note_record(state: &mut State, plan: &mut Plan, now: TimestampMs) {
    let this = Recorded { at_ms: now, class: plan.class, from: plan.decision.from, to: plan.decision.to };
    let last = state.recorded;
    let is_same = last.is_some_and(|l| (l.class, l.from, l.to) == (this.class, this.from, this.to));
    plan.record = match plan.effect {
        Effect::Act => plan.approved.is_none(),
        Effect::Ask => state.awaiting.is_none(),
        Effect::Skip => !is_same,
        // A change of class only, or a changed number that someone else has set.
        Effect::None => last.is_none_or(|l| {
            let is_news = l.class != this.class && !matches!(l.class, ReasonClass::ScaleOut | ReasonClass::ScaleIn);
            (is_news && now.saturating_sub(l.at_ms) >= HOLD_RECORD_MS)
                || (l.class != this.class && is_grave(this.class))
        }),
    };
    if plan.record {
        state.recorded = Some(this);
    } else if plan.effect == Effect::None
        && last.is_some_and(|l| matches!(l.class, ReasonClass::ScaleOut | ReasonClass::ScaleIn))
    {
        // After a change the number is right: that is no news, but the next hold is.
        state.recorded = Some(this);
    }
}

/// Classes that are recorded at once.
fn is_grave(class: ReasonClass) -> bool {
    matches!(
        class,
        ReasonClass::Unknown | ReasonClass::Frozen | ReasonClass::Silent | ReasonClass::Foreign | ReasonClass::Limited
    )
}

impl State {
    /// Notes that a decision waits for a person.
    pub fn asked(&mut self, decision_id: i64, to: u32) {
        self.awaiting = Some(Awaiting { decision_id, to });
    }
}

#[cfg(test)]
mod tests;
