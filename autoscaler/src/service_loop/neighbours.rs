//! What binds a service from outside its own load, gathered before a round's plan and settled with it.

use std::collections::HashSet;
use std::time::Duration;

use vocab::error::chain;
use vocab::scaling::ScalingMode;

use super::{ServiceLoop, Shared};
use crate::batches::Turn;
use crate::board::Posted;
use crate::config::AutoscalerConfig;
use crate::dependencies;
use crate::freeze_window;
use crate::observation::{Observation, ReplicaCounts};
use crate::outside::{Hold, Limit, Outside};
use crate::plan::{Plan, step};
use crate::policy::short;
use crate::quota::{self, Settled};
use crate::state::State;
use crate::verify::Notice;

/// How long a parent waits for a dependency that goes first, before it takes what the dependency can ever have for granted.
const DEPENDENCY_WAIT: Duration = Duration::from_secs(30);
/// Longest wait to hear what there is room for: what is needed is not kept waiting for it.
const ROOM_TIMEOUT: Duration = Duration::from_secs(5);
/// Times a plan is made again because what it counted on was taken meanwhile. After that the service keeps what it has.
const PLANS_MAX: usize = 3;
/// Guards that hold back for a moment only: what would be had without them is what dependencies prepare for.
const PASSING: [&str; 2] = ["dependency_first", "batch"];

impl Shared {
    /// Takes what binds services together from a configuration.
    pub(crate) fn set_config(&self, config: &AutoscalerConfig) {
        self.board.set_policies(&config.policies);
        self.quotas.set(&config.scaling.quotas, &config.policies, self.clock.monotonic());
        self.batches.set(&config.scaling.batches);
        self.freeze_windows.write().clone_from(&config.scaling.freeze_windows);
        let services: HashSet<&str> = config.policies.iter().map(|p| p.service.as_str()).collect();
        self.quotas.retain(|service| services.contains(service));
        self.batches.retain(|service| services.contains(service));
    }
}

impl ServiceLoop {
    /// Plans under what binds the service now. When another service takes what the plan counted on, it is made again.
    pub(super) async fn plan(&mut self, mut observation: Observation) -> (Observation, (State, Plan)) {
        let now = self.planner_now();
        let mut tries = 0;
        let mut room: Option<Limit> = None;
        let mut has_asked = false;
        loop {
            observation.outside = self.outside(&observation);
            observation.outside.ceilings.extend(room.clone());
            if tries == PLANS_MAX {
                let current = observation.replicas.map_or(0, |r| r.wanted);
                let reason = "others are taking what is left at this moment".to_owned();
                observation.outside.ceilings.push(Limit { guard: "quota".into(), replicas: current, reason });
            }
            let (state, plan) = step(&self.policy, &self.state, &observation, now);
            let current = observation.replicas.map_or(u32::MAX, |r| r.wanted);
            if plan.decision.to > current && !has_asked {
                has_asked = true;
                room = self.room(current).await;
                if room.as_ref().is_some_and(|room| room.replicas < plan.decision.to) {
                    continue;
                }
            }
            if self.settle_shares(&observation, &state, &plan) || tries == PLANS_MAX {
                return (observation, (state, plan));
            }
            tries += 1;
        }
    }

    /// What the orchestrator has room for, asked before anything is added. Unknown binds nothing: then it is found out by
    /// adding replicas and looking whether they become ready.
    async fn room(&self, current: u32) -> Option<Limit> {
        let room = tokio::select! {
            room = self.orchestrator.room(&self.policy.service) => room,
            () = self.shared.clock.sleep(ROOM_TIMEOUT) => Ok(None),
        };
        let room = room.unwrap_or_else(|error| {
            tracing::debug!(service = self.policy.service, error = chain(&error), "its room is not known");
            None
        })?;
        Some(Limit { guard: "room".into(), replicas: current.saturating_add(room.more), reason: room.reason })
    }

    /// What binds this service from outside its own load.
    fn outside(&self, observation: &Observation) -> Outside {
        let (policy, shared) = (&self.policy, &self.shared);
        let now = shared.clock.monotonic();
        let patient = self.waits_since.is_none_or(|since| now.saturating_sub(since) < DEPENDENCY_WAIT);
        let needed = shared.board.needed(policy, patient);
        let mut outside = Outside { floors: Vec::from_iter(shared.board.floor(&policy.service)), ..Outside::default() };
        outside.ceilings.extend(dependencies::limit(policy.max, &needed));
        if let Some(counts) = observation.replicas {
            outside.ceilings.extend(shared.quotas.ceiling(policy, counts.wanted, now));
            outside.ceilings.extend(dependencies::first(policy.max, &needed));
            outside.ceilings.extend(shared.batches.ceiling(policy, counts.wanted, self.starting(counts)));
        }
        let paused =
            |what: &str, who: &str| Hold { guard: "paused".into(), reason: format!("{what} is paused by {who}") };
        let (by_person, actor) = shared.switches.paused(&policy.service).unwrap_or_default();
        let who = if by_person == Default::default() { "the policy" } else { actor.as_str() };
        if policy.operations.paused_in || by_person.scale_in {
            outside.hold_in.push(paused("giving replicas back", who));
        }
        if policy.operations.paused_out || by_person.scale_out {
            outside.hold_out.push(paused("adding replicas", who));
        }
        freeze_window::close(&shared.freeze_windows.read(), &policy.service, shared.clock.now_ms(), &mut outside);
        outside
    }

    /// Replicas that were asked for and are not ready yet; those that are no longer waited for do not count.
    fn starting(&self, counts: ReplicaCounts) -> u32 {
        let waits = self.state.pending.iter().any(|p| p.to > p.from && p.ready_at_ms.is_none());
        if waits { counts.wanted.saturating_sub(counts.ready) } else { 0 }
    }

    /// Takes this plan's share of quotas and batches; `false` when it is no longer there.
    fn settle_shares(&self, observation: &Observation, state: &State, plan: &Plan) -> bool {
        let (policy, shared) = (&self.policy, &self.shared);
        let acts = acts(observation);
        // While the orchestrator is silent the service keeps what it has, and waits for nothing.
        let current = observation.replicas.map_or(plan.decision.from, |r| r.wanted);
        let is_held = !acts || observation.replicas.is_none() || state.frozen.is_some();
        let to = if is_held { current } else { plan.decision.to };
        let without = |guards: &[&str]| before(plan, guards).filter(|_| !is_held).unwrap_or(to);
        let settled = Settled { current, intent: without(&["quota"]).min(policy.max), to };
        let starting = observation.replicas.map_or(0, |counts| self.starting(counts));
        let turn = Turn { current, starting, to, intent: without(&["batch"]).min(policy.max) };
        shared.quotas.settle(policy, settled) && shared.batches.settle(policy, turn, shared.clock.now_ms())
    }

    /// Leaves this round's numbers for the services that concern it, and for the ledger.
    pub(super) async fn post(&mut self, observation: &Observation, plan: &Plan) {
        let now = self.shared.clock.monotonic();
        let waits = before(plan, &["dependency_first"]);
        self.waits_since = waits.map(|_| self.waits_since.unwrap_or(now));
        let current = observation.replicas.map(|_| self.state.last_wanted.unwrap_or(plan.decision.from));
        let most = self.most(observation, plan);
        let intent = before(plan, &PASSING).unwrap_or(plan.decision.to);
        let posted = Posted { current, intent, most: Some(most), acts: acts(observation) };
        self.shared.board.post(&self.policy, posted);
        self.tell_trimmed(observation, plan).await;
        let runs = self.state.last_wanted.unwrap_or(0);
        if let Some(last) = self.last_round.replace(now) {
            self.shared.meter.count(&self.policy, runs, now.saturating_sub(last), self.shared.clock.now_ms());
        }
        if let Err(error) = self.shared.batches.save(&self.shared.catalog).await {
            self.shared.metrics.error("catalog.put_document");
            tracing::warn!(error = chain(&error), "the queue of batches could not be kept");
        }
    }

    /// Most replicas this service can have, and what stands against more.
    pub(super) fn most(&self, observation: &Observation, plan: &Plan) -> (u32, String) {
        let now = self.state.last_wanted.unwrap_or(plan.decision.from);
        if let Some(frozen) = &self.state.frozen {
            return (now, frozen.reason.clone());
        }
        if let Some(hold) = observation.outside.hold_out.first() {
            return (now, hold.reason.clone());
        }
        let lasting = observation.outside.ceilings.iter().filter(|c| !PASSING.contains(&c.guard.as_str()));
        match lasting.min_by_key(|c| c.replicas).filter(|c| c.replicas < self.policy.max) {
            Some(ceiling) => (ceiling.replicas.max(now), ceiling.reason.clone()),
            None => (self.policy.max, "the most its policy allows".into()),
        }
    }

    /// A quota that trims more than a tenth of what is needed is a matter for people.
    async fn tell_trimmed(&mut self, observation: &Observation, plan: &Plan) {
        let Some(counts) = observation.replicas.filter(|_| acts(observation)) else { return };
        let verdict = plan.decision.guards.iter().find(|v| matches!(v.guard.as_str(), "quota" | "room"));
        let settled = verdict.map(|v| Settled { current: counts.wanted, intent: v.before, to: v.after });
        let share = settled.and_then(quota::alarm);
        if share.is_some() == self.trimmed {
            return;
        }
        self.trimmed = share.is_some();
        let notice = match (share, verdict) {
            (Some(share), Some(verdict)) => Notice::Trimmed(format!(
                "{} needs {} replicas and gets {}: {} % of what it asks for is not there ({})",
                self.policy.service,
                verdict.before,
                verdict.after,
                short(share * 100.0),
                verdict.reason
            )),
            _ => Notice::TrimmedNoMore,
        };
        self.tell(&notice).await;
    }
}

/// Whether this round's decision is acted on.
fn acts(observation: &Observation) -> bool {
    observation.mode == ScalingMode::Act && observation.stopped_by.is_none()
}

/// The number before the first of these guards changed it.
fn before(plan: &Plan, guards: &[&str]) -> Option<u32> {
    plan.decision.guards.iter().find(|v| guards.contains(&v.guard.as_str())).map(|v| v.before)
}
