//! Recording, acting, and taking up what an earlier life left between the two.

use std::sync::Arc;

use vocab::PortResult;
use vocab::change_event::ChangeKind;
use vocab::error::chain;
use vocab::ports::catalog::{DecisionFilter, ScalingWrite};
use vocab::scaling::{DecisionState, ScalingDecision};
use vocab::{ErrorKind, TimestampMs};

use super::{ORCHESTRATOR_TIMEOUT, ServiceLoop};
use crate::error::OrchestratorError;
use crate::observation::ReplicaCounts;
use crate::orchestrator::ScaleChange;
use crate::plan::{Effect, Plan};
use crate::verify::Notice;

/// Most decisions of the past that are looked at when a service is taken up.
const OPEN_DECISIONS_MAX: usize = 100;

/// A decision of which nobody knows yet whether the orchestrator has taken it: the next look at the replicas tells.
#[derive(Debug)]
pub(super) struct Unsure {
    decision: ScalingDecision,
    left: Left,
}

/// How it was left.
#[derive(Debug)]
enum Left {
    /// Between recording and acting.
    Recorded,
    /// Waiting for a person, who may have approved it.
    Awaiting,
    /// The orchestrator did not answer the change.
    Unanswered(String),
}

impl ServiceLoop {
    /// What the catalog did not answer is looked up or written again, before anything new is decided.
    pub(super) async fn catch_up(&mut self) {
        if self.in_doubt {
            match self.take_up().await {
                Ok(()) => self.in_doubt = false,
                Err(error) => {
                    let error = chain(&error);
                    tracing::warn!(service = self.policy.service, error, "not known whether its decision was recorded");
                    return;
                }
            }
        }
        let mut waiting = std::mem::take(&mut self.unwritten);
        while let Some((id, decision)) = waiting.pop_first() {
            self.update(&decision).await;
            if self.unwritten.contains_key(&id) {
                // It still does not answer; the others are kept as well.
                self.unwritten.append(&mut waiting);
                return;
            }
        }
    }

    /// Takes up decisions of before. One that was recorded, but of which nobody knows whether it was acted on, is finished or
    /// undone at the first look at the replicas; it is never carried out a second time.
    pub(super) async fn take_up(&mut self) -> PortResult<()> {
        let filter = DecisionFilter {
            service: Some(self.policy.service.clone()),
            states: vec![DecisionState::Recorded, DecisionState::AwaitingApproval, DecisionState::Acted],
            limit: OPEN_DECISIONS_MAX,
            ..DecisionFilter::default()
        };
        let shared = Arc::clone(&self.shared);
        for decision in shared.catalog.decisions(&shared.tenant, &filter).await? {
            let is_known =
                self.open.contains_key(&decision.id) || self.unsure.iter().any(|u| u.decision.id == decision.id);
            if decision.cluster != self.policy.cluster || is_known {
                continue;
            }
            let is_pending = self.state.pending.iter().any(|p| p.decision_id == decision.id);
            let is_awaited = self.state.awaiting.is_some_and(|a| a.decision_id == decision.id);
            if is_awaited {
                self.unsure.push(Unsure { decision: decision.clone(), left: Left::Awaiting });
            }
            if is_pending || is_awaited {
                self.open.insert(decision.id, decision);
            } else {
                self.unsure.push(Unsure { decision, left: Left::Recorded });
            }
        }
        // Oldest first: what was done later stands later in the state.
        self.unsure.sort_by_key(|u| u.decision.id);
        Ok(())
    }

    /// Looks whether decisions that were left half-way have been carried out.
    pub(super) async fn settle(&mut self, counts: ReplicaCounts) {
        for Unsure { mut decision, left } in std::mem::take(&mut self.unsure) {
            if decision.from != decision.to && counts.wanted == decision.to {
                self.acted(&mut decision).await;
                continue;
            }
            match left {
                Left::Awaiting => {}
                Left::Unanswered(reason) => self.refused(&mut decision, &reason).await,
                Left::Recorded => {
                    decision.state = DecisionState::Skipped;
                    decision.result = "this was recorded and not carried out: decided anew".into();
                    decision.finished_at_ms = Some(self.shared.clock.now_ms());
                    self.open.remove(&decision.id);
                    self.state.pending.retain(|p| p.decision_id != decision.id);
                    self.update(&decision).await;
                }
            }
        }
    }

    /// Writes how earlier decisions ended.
    pub(super) async fn finish(&mut self, plan: &Plan) {
        for finished in &plan.finished {
            let Some(mut decision) = self.open.remove(&finished.decision_id) else { continue };
            decision.state = finished.state;
            decision.result.clone_from(&finished.result);
            decision.finished_at_ms = Some(self.shared.clock.now_ms());
            self.update(&decision).await;
        }
    }

    /// Records the decision, and only then acts.
    pub(super) async fn carry_out(&mut self, plan: &mut Plan) {
        if let Some(id) = plan.approved {
            // It was recorded when it was asked.
            if let Some(decision) = self.open.get(&id) {
                plan.decision = decision.clone();
                self.act(plan).await;
            }
            return;
        }
        if !plan.record {
            return;
        }
        if self.in_doubt {
            // The last one may stand there: a second one would be carried out beside it.
            self.state.recorded = None;
            return;
        }
        let state = self.state.to_bytes();
        match self.write(ScalingWrite::Record { decision: &plan.decision, state: &state }).await {
            Ok(id) => plan.decision.id = id,
            Err(error) => {
                self.shared.metrics.error("catalog.write_scaling");
                tracing::error!(
                    service = self.policy.service,
                    error = chain(&error),
                    "not acted on: the decision could not be recorded"
                );
                self.state.recorded = None;
                self.in_doubt = error.kind() != ErrorKind::Conflict;
                return;
            }
        }
        let outcome =
            vec![("service", self.policy.service.clone()), ("state", plan.decision.state.as_str().to_owned())];
        self.shared.metrics.decisions.get_or_create(&outcome).inc();
        tracing::info!(service = self.policy.service, decision = plan.decision.id, "{}", plan.decision.reason);
        match plan.effect {
            Effect::Act => self.act(plan).await,
            Effect::Ask => {
                self.state.asked(plan.decision.id, plan.decision.to);
                self.open.insert(plan.decision.id, plan.decision.clone());
                self.save().await;
            }
            Effect::None | Effect::Skip => {}
        }
    }

    async fn act(&mut self, plan: &mut Plan) {
        if !self.leads() {
            // Whoever decides now finds it recorded, and sees by the replicas that it was not carried out.
            return;
        }
        let decision = &mut plan.decision;
        let change = ScaleChange { from: decision.from, to: decision.to };
        let answer = tokio::select! {
            answer = self.orchestrator.scale_because(&self.policy.service, change, &decision.reason) => Some(answer),
            () = self.shared.clock.sleep(ORCHESTRATOR_TIMEOUT) => None,
        };
        match answer {
            Some(Ok(())) => self.acted(decision).await,
            // It may have been taken all the same: the next look at the replicas tells.
            None => self.unanswered(decision, "no answer in time".into()),
            Some(Err(error)) if error.kind() == ErrorKind::Unavailable => self.unanswered(decision, chain(&error)),
            // Something else is being done to the service: that is no refusal, and ends by itself.
            Some(Err(error @ (OrchestratorError::Busy { .. } | OrchestratorError::Conflict { .. }))) => {
                self.put_off(decision, &chain(&error)).await;
            }
            Some(Err(error)) => self.refused(decision, &chain(&error)).await,
        }
    }

    fn unanswered(&mut self, decision: &ScalingDecision, reason: String) {
        self.shared.metrics.error("orchestrator.scale");
        tracing::warn!(service = self.policy.service, decision = decision.id, reason, "the change was not answered");
        self.unsure.push(Unsure { decision: decision.clone(), left: Left::Unanswered(reason) });
    }

    /// The orchestrator has taken a decision.
    async fn acted(&mut self, decision: &mut ScalingDecision) {
        let (id, from, to) = (decision.id, decision.from, decision.to);
        self.state.acted(&self.policy, id, from, to, self.planner_now());
        decision.state = DecisionState::Acted;
        decision.acted_at_ms = Some(self.shared.clock.now_ms());
        decision.finished_at_ms = None;
        self.update(decision).await;
        self.open.insert(id, decision.clone());
        let summary = decision.reason.clone();
        self.change(ChangeKind::Scale, summary, &[("from", from), ("to", to)], Some(id)).await;
    }

    /// The orchestrator is doing something else with the service. What a person has approved stays approved and is tried at the
    /// next round; anything else is decided anew after a short wait.
    async fn put_off(&mut self, decision: &mut ScalingDecision, reason: &str) {
        let id = decision.id;
        self.shared.metrics.error("orchestrator.busy");
        tracing::info!(service = self.policy.service, decision = id, reason, "the change was put off");
        if self.state.awaiting.is_some_and(|a| a.decision_id == id) {
            return;
        }
        decision.state = DecisionState::Skipped;
        decision.result = format!("put off by {}: {reason}", self.policy.orchestrator);
        decision.finished_at_ms = Some(self.shared.clock.now_ms());
        self.open.remove(&id);
        self.state.put_off(self.planner_now());
        self.update(decision).await;
    }

    /// The orchestrator has not taken a decision.
    async fn refused(&mut self, decision: &mut ScalingDecision, reason: &str) {
        let (id, from, to) = (decision.id, decision.from, decision.to);
        self.shared.metrics.error("orchestrator.scale");
        tracing::warn!(
            service = self.policy.service,
            decision = id,
            reason,
            "the orchestrator did not take the change"
        );
        decision.state = DecisionState::Failed;
        decision.result = format!("not taken by {}: {reason}", self.policy.orchestrator);
        decision.finished_at_ms = Some(self.shared.clock.now_ms());
        self.open.remove(&id);
        self.state.awaiting = None;
        let words = format!("scaling {} from {from} to {to} was refused three times: {reason}", self.policy.service);
        let is_last = self.state.refused(&words, self.planner_now());
        self.update(decision).await;
        if is_last {
            self.tell(&Notice::Frozen(words)).await;
        }
    }

    /// Writes how a decision goes on, with the state that goes with it.
    async fn update(&mut self, decision: &ScalingDecision) {
        let state = self.state.to_bytes();
        if let Err(error) = self.write(ScalingWrite::Update { decision, state: Some(&state) }).await {
            if error.kind() == ErrorKind::Unavailable {
                self.unwritten.insert(decision.id, decision.clone());
            }
            self.shared.metrics.error("catalog.write_scaling");
            tracing::error!(
                service = self.policy.service,
                decision = decision.id,
                error = chain(&error),
                "its outcome could not be written"
            );
        } else {
            self.unwritten.remove(&decision.id);
        }
    }

    /// Saves the state alone.
    pub(super) async fn save(&mut self) {
        let state = self.state.to_bytes();
        let (cluster, service) = (self.policy.cluster.clone(), self.policy.service.clone());
        match self.write(ScalingWrite::State { cluster: &cluster, service: &service, state: &state }).await {
            Ok(_) => self.last_saved = Some(self.shared.clock.monotonic()),
            Err(error) => {
                self.shared.metrics.error("catalog.write_scaling");
                tracing::warn!(service, error = chain(&error), "its scaling state could not be saved");
            }
        }
    }

    /// Every write shows the fence of this term; a refused fence ends the term.
    async fn write(&self, write: ScalingWrite<'_>) -> PortResult<i64> {
        let written = self.shared.catalog.write_scaling(&self.shared.tenant, write, Some(&self.fence)).await;
        if written.as_ref().is_err_and(|e| e.kind() == ErrorKind::Conflict) && self.leads() {
            self.shared.leader.overtaken();
        }
        written
    }

    /// Whether the term in which this service was taken up still lasts.
    pub(super) fn leads(&self) -> bool {
        self.shared.leader.fence().as_ref() == Some(&self.fence)
    }

    pub(super) fn planner_now(&self) -> TimestampMs {
        let passed = self.shared.clock.monotonic().saturating_sub(self.origin.1);
        self.origin.0.saturating_add(crate::policy::ms(passed))
    }
}
