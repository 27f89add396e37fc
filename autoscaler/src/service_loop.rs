//! One service's rounds: observe, plan, record, act. Rounds of different services do not wait for each other.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::error::chain;
use vocab::ports::catalog::DecisionFilter;
use vocab::ports::{Appender, Catalog};
use vocab::scaling::{DecisionState, ScaledService, ScalingDecision, ScalingMode};
use vocab::ticket::{Ticket, TicketEntry, TicketState};
use vocab::{Clock, PortResult, TenantId, TimestampMs};

use crate::metrics::Metrics;
use crate::observation::Observation;
use crate::observe::Observer;
use crate::orchestrator::{Orchestrator, ScaleChange};
use crate::plan::{Effect, Plan, step};
use crate::policy::Policy;
use crate::series::Series;
use crate::state::{ReasonClass, State};
use crate::switches::Switches;
use crate::verify::Notice;

/// State is saved this often even when nothing is decided, so that a restart knows the windows.
const SAVE_INTERVAL: Duration = Duration::from_secs(15);
/// Longest wait for an orchestrator; after it, it counts as silent for this round.
const ORCHESTRATOR_TIMEOUT: Duration = Duration::from_secs(20);
/// Most decisions of the past that are looked at when a service is taken up.
const OPEN_DECISIONS_MAX: usize = 100;
/// The name under which changes and tickets are written.
pub(crate) const ACTOR: &str = "autoscaler";

/// What all services share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tenant: TenantId,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) switches: Switches,
    pub(crate) observer: Observer,
    /// What is shown of each service, by service.
    pub(crate) shown: RwLock<HashMap<String, ScaledService>>,
}

/// One service under a policy.
#[derive(Debug)]
pub(crate) struct ServiceLoop {
    policy: Policy,
    orchestrator: Arc<dyn Orchestrator>,
    shared: Arc<Shared>,
    state: State,
    /// Decisions that have not reached their last state.
    open: HashMap<i64, ScalingDecision>,
    series: Series,
    first_round: bool,
    last_saved: Option<Duration>,
    /// Planner time is wall time at the start plus monotonic time since: it never jumps.
    origin: (TimestampMs, Duration),
}

impl ServiceLoop {
    /// Restores state and unfinished decisions.
    pub(crate) async fn open(
        policy: Policy,
        orchestrator: Arc<dyn Orchestrator>,
        shared: Arc<Shared>,
    ) -> PortResult<Self> {
        // A stop that was asked for before the restart counts: without the switches nothing is taken up.
        shared.switches.load().await?;
        let stored = shared.catalog.scaling_state(&shared.tenant, &policy.cluster, &policy.service).await?;
        let state = stored.as_deref().and_then(State::from_bytes).unwrap_or_else(State::new);
        let wall_ms = shared.clock.now_ms();
        let origin = (state.last_ms.map_or(wall_ms, |last| last.max(wall_ms)), shared.clock.monotonic());
        let series = Series::new(&policy);
        let mut service = Self {
            policy,
            orchestrator,
            shared,
            state,
            open: HashMap::new(),
            series,
            first_round: true,
            last_saved: None,
            origin,
        };
        service.take_up().await?;
        Ok(service)
    }

    /// Takes up decisions of before: one that was recorded but not known to be acted on is decided anew, which is safe since
    /// a decision is a number of replicas, not a difference.
    async fn take_up(&mut self) -> PortResult<()> {
        let filter = DecisionFilter {
            service: Some(self.policy.service.clone()),
            states: vec![DecisionState::Recorded, DecisionState::AwaitingApproval, DecisionState::Acted],
            limit: OPEN_DECISIONS_MAX,
            ..DecisionFilter::default()
        };
        let shared = Arc::clone(&self.shared);
        for mut decision in shared.catalog.decisions(&shared.tenant, &filter).await? {
            if decision.cluster != self.policy.cluster {
                continue;
            }
            let is_known = self.state.pending.iter().any(|p| p.decision_id == decision.id)
                || self.state.awaiting.is_some_and(|a| a.decision_id == decision.id);
            if is_known {
                self.open.insert(decision.id, decision);
                continue;
            }
            decision.state = DecisionState::Skipped;
            decision.result = "Tidewatch stopped between recording and acting; decided anew".into();
            decision.finished_at_ms = Some(shared.clock.now_ms());
            shared.catalog.update_decision(&shared.tenant, &decision).await?;
        }
        Ok(())
    }

    /// Rounds until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            let start = self.shared.clock.monotonic();
            self.round().await;
            let spent = self.shared.clock.monotonic().saturating_sub(start);
            let pause = self.shared.clock.sleep(self.policy.interval.saturating_sub(spent));
            tokio::select! {
                () = pause => {}
                () = cancel.cancelled() => {}
            }
        }
        self.save().await;
    }

    fn planner_now(&self) -> TimestampMs {
        let passed = self.shared.clock.monotonic().saturating_sub(self.origin.1);
        self.origin.0.saturating_add(crate::policy::ms(passed))
    }

    /// One round.
    pub(crate) async fn round(&mut self) {
        let service = self.policy.service.clone();
        let count = |family: &vocab::telemetry::Family<_, vocab::telemetry::Counter>| {
            family.get_or_create(&vec![("service", service.clone())]).inc();
        };
        if self.shared.switches.take_unfrozen(&service) {
            self.state.unfreeze();
        }
        let observation = self.observe().await;
        let (state, mut plan) = step(&self.policy, &self.state, &observation, self.planner_now());
        // Planner time is for windows; rows carry the wall clock's.
        plan.decision.time_ms = self.shared.clock.now_ms();
        self.state = state;
        self.first_round &= observation.replicas.is_none();
        count(&self.shared.metrics.rounds);
        if matches!(plan.class, ReasonClass::Unknown | ReasonClass::Silent) {
            count(&self.shared.metrics.unknown_rounds);
        }
        self.finish(&plan).await;
        for notice in &plan.notices {
            self.tell(notice).await;
        }
        self.carry_out(&mut plan).await;
        self.show(&observation, &plan);
        self.series.append(&self.shared, &observation, &plan).await;
        let now = self.shared.clock.monotonic();
        if self.last_saved.is_none_or(|last| now.saturating_sub(last) >= SAVE_INTERVAL) {
            self.save().await;
        }
    }

    async fn observe(&self) -> Observation {
        let (policy, observer) = (&self.policy, &self.shared.observer);
        let loads = futures::future::join_all(policy.targets.iter().map(|target| async move {
            let load = observer.ask(policy, target.kind.as_str(), &target.query).await;
            let count = observer.ask(policy, "count", &target.count_query).await;
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a count of series; the cast saturates"
            )]
            let counted = count.and_then(|c| c.value).map(|c| c as u32);
            (load, counted)
        }));
        let (loads, queue, confirm, forecast, replicas) = tokio::join!(
            loads,
            observer.ask(policy, "queue", &policy.queue_query),
            observer.ask(policy, "confirm", &policy.confirm_query),
            observer.ask(policy, "forecast", &policy.forecast_query),
            self.replicas(),
        );
        let (replicas, replicas_note) = match replicas {
            Ok(counts) => (Some(counts), String::new()),
            Err(note) => (None, note),
        };
        let awaiting = self.state.awaiting.map(|a| a.decision_id);
        Observation {
            replicas,
            replicas_note,
            replicas_age_ms: 0,
            counted: loads.iter().map(|l| l.1).collect(),
            loads: loads.into_iter().filter_map(|l| l.0).collect(),
            queue,
            confirm,
            forecast,
            first_round: self.first_round,
            stopped_by: self.shared.switches.stopped().map(|s| s.1),
            mode: match self.orchestrator.may_write() {
                Ok(()) => self.shared.switches.mode(&policy.service, policy.mode),
                // Another Tidewatch holds the orchestrator's lease and acts.
                Err(_holder) => ScalingMode::Observe,
            },
            approved: awaiting.filter(|id| self.shared.switches.take_approval(*id)),
        }
    }

    async fn replicas(&self) -> Result<crate::observation::ReplicaCounts, String> {
        let state = self.orchestrator.state(&self.policy.service);
        let result = tokio::select! {
            result = state => result.map(|s| s.counts()).map_err(|e| chain(&e)),
            () = self.shared.clock.sleep(ORCHESTRATOR_TIMEOUT) => {
                Err(format!("no answer within {} s", ORCHESTRATOR_TIMEOUT.as_secs()))
            }
        };
        if result.is_err() {
            self.shared.metrics.error("orchestrator.state");
        }
        result
    }

    /// Writes how earlier decisions ended.
    async fn finish(&mut self, plan: &Plan) {
        for finished in &plan.finished {
            let Some(mut decision) = self.open.remove(&finished.decision_id) else { continue };
            decision.state = finished.state;
            decision.result.clone_from(&finished.result);
            decision.finished_at_ms = Some(self.shared.clock.now_ms());
            self.update(&decision).await;
        }
    }

    /// Records the decision, and only then acts.
    async fn carry_out(&mut self, plan: &mut Plan) {
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
        let recorded =
            self.shared.catalog.record_decision(&self.shared.tenant, &plan.decision, &self.state.to_bytes()).await;
        match recorded {
            Ok(id) => plan.decision.id = id,
            Err(error) => {
                self.shared.metrics.error("catalog.record_decision");
                tracing::error!(
                    service = self.policy.service,
                    error = chain(&error),
                    "not acted on: the decision could not be recorded"
                );
                self.state.recorded = None;
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
        let (id, from, to) = (plan.decision.id, plan.decision.from, plan.decision.to);
        let change = ScaleChange { from, to };
        let scale = self.orchestrator.scale_because(&self.policy.service, change, &plan.decision.reason);
        let result = tokio::select! {
            result = scale => result.map_err(|e| chain(&e)),
            () = self.shared.clock.sleep(ORCHESTRATOR_TIMEOUT) => Err("no answer in time".to_owned()),
        };
        let now_ms = self.shared.clock.now_ms();
        match result {
            Ok(()) => {
                self.state.acted(&self.policy, id, from, to, self.planner_now());
                plan.decision.state = DecisionState::Acted;
                plan.decision.acted_at_ms = Some(now_ms);
                plan.decision.finished_at_ms = None;
                self.update(&plan.decision).await;
                self.open.insert(id, plan.decision.clone());
                let summary = plan.decision.reason.clone();
                self.change(ChangeKind::Scale, summary, &[("from", from), ("to", to)], Some(id)).await;
            }
            Err(reason) => {
                self.shared.metrics.error("orchestrator.scale");
                tracing::warn!(
                    service = self.policy.service,
                    decision = id,
                    reason,
                    "the orchestrator did not take the change"
                );
                plan.decision.state = DecisionState::Failed;
                plan.decision.result = format!("not taken by {}: {reason}", self.policy.orchestrator);
                plan.decision.finished_at_ms = Some(now_ms);
                self.open.remove(&id);
                self.state.awaiting = None;
                self.update(&plan.decision).await;
                let words =
                    format!("scaling {} from {from} to {to} was refused three times: {reason}", self.policy.service);
                if self.state.refused(&words, self.planner_now()) {
                    self.tell(&Notice::Frozen(words)).await;
                }
            }
        }
        self.save().await;
    }

    async fn update(&self, decision: &ScalingDecision) {
        if let Err(error) = self.shared.catalog.update_decision(&self.shared.tenant, decision).await {
            self.shared.metrics.error("catalog.update_decision");
            tracing::error!(
                service = self.policy.service,
                decision = decision.id,
                error = chain(&error),
                "its outcome could not be written"
            );
        }
    }

    async fn save(&mut self) {
        let (shared, policy) = (&self.shared, &self.policy);
        let saved = shared
            .catalog
            .save_scaling_state(&shared.tenant, &policy.cluster, &policy.service, &self.state.to_bytes())
            .await;
        match saved {
            Ok(()) => self.last_saved = Some(shared.clock.monotonic()),
            Err(error) => {
                shared.metrics.error("catalog.save_scaling_state");
                tracing::warn!(service = policy.service, error = chain(&error), "its scaling state could not be saved");
            }
        }
    }

    /// Tells people: tickets for what needs them, change events for what they may want to know.
    async fn tell(&self, notice: &Notice) {
        let service = &self.policy.service;
        match notice {
            Notice::Frozen(reason) => {
                self.open_ticket("frozen", format!("{service} is no longer scaled"), reason).await
            }
            Notice::UnknownTooLong(reason) => {
                self.open_ticket("unknown", format!("{service} is scaled blindly: its metrics are unknown"), reason)
                    .await;
            }
            Notice::Thawed => self.resolve_ticket("frozen", "replicas became ready; scaling goes on").await,
            Notice::KnownAgain => self.resolve_ticket("unknown", "metrics are known again").await,
            Notice::ForeignChange { from, to } => {
                let summary =
                    format!("replicas were set from {from} to {to} by someone else; left so for one hold window");
                self.change(ChangeKind::Scale, summary, &[("from", *from), ("to", *to)], None).await;
            }
        }
    }

    fn ticket_key(&self, what: &str) -> String {
        format!("autoscaler/{}/{}/{what}", self.policy.cluster, self.policy.service)
    }

    async fn open_ticket(&self, what: &str, title: String, reason: &str) {
        let now = self.shared.clock.now_ms();
        tracing::error!(service = self.policy.service, "{reason}");
        let entry = TicketEntry { time_ms: now, actor: "tidewatch".into(), text: reason.to_owned() };
        let ticket = Ticket {
            id: 0,
            dedup_key: self.ticket_key(what),
            title,
            severity: "critical".into(),
            service: self.policy.service.clone(),
            state: TicketState::Open,
            owner: String::new(),
            opened_at_ms: now,
            updated_at_ms: now,
            resolved_at_ms: None,
            timeline: vec![entry],
            evidence: self.policy.targets.iter().map(|t| t.query.clone()).collect(),
        };
        if let Err(error) = self.shared.catalog.open_ticket(&self.shared.tenant, &ticket).await {
            self.shared.metrics.error("catalog.open_ticket");
            tracing::error!(service = self.policy.service, error = chain(&error), "the ticket could not be opened");
        }
    }

    async fn resolve_ticket(&self, what: &str, text: &str) {
        let (catalog, tenant) = (&self.shared.catalog, &self.shared.tenant);
        let filter = vocab::ports::catalog::TicketFilter {
            states: vec![TicketState::Open, TicketState::Acknowledged],
            dedup_key: Some(self.ticket_key(what)),
            ..Default::default()
        };
        let entry = TicketEntry { time_ms: self.shared.clock.now_ms(), actor: "tidewatch".into(), text: text.into() };
        let result = async {
            for ticket in catalog.tickets(tenant, &filter).await? {
                catalog.update_ticket(tenant, ticket.id, Some(TicketState::Resolved), None, &entry).await?;
            }
            PortResult::Ok(())
        };
        if let Err(error) = result.await {
            self.shared.metrics.error("catalog.update_ticket");
            tracing::error!(service = self.policy.service, error = chain(&error), "the ticket could not be resolved");
        }
    }

    async fn change(&self, kind: ChangeKind, summary: String, numbers: &[(&str, u32)], decision: Option<i64>) {
        let mut details: std::collections::BTreeMap<String, String> =
            numbers.iter().map(|(name, value)| ((*name).to_owned(), value.to_string())).collect();
        details.extend(decision.map(|id| ("decision_id".to_owned(), id.to_string())));
        let event = ChangeEvent {
            time_ms: self.shared.clock.now_ms(),
            kind,
            cluster: self.policy.cluster.clone(),
            service: self.policy.service.clone(),
            subject: String::new(),
            actor: if decision.is_some() { ACTOR.into() } else { String::new() },
            summary,
            details,
        };
        if let Err(error) = self.shared.catalog.record_change(&self.shared.tenant, &event).await {
            self.shared.metrics.error("catalog.record_change");
            tracing::warn!(
                service = self.policy.service,
                error = chain(&error),
                "the change could not be written down"
            );
        }
    }

    /// Publishes what the round saw and did.
    fn show(&self, observation: &Observation, plan: &Plan) {
        let policy = &self.policy;
        let first = policy.targets.first();
        let wanted = match plan.decision.state {
            DecisionState::Acted => Some(plan.decision.to),
            _ => observation.replicas.map(|r| r.wanted),
        };
        let shown = ScaledService {
            cluster: policy.cluster.clone(),
            service: policy.service.clone(),
            policy: policy.name.clone(),
            orchestrator: policy.orchestrator.clone(),
            mode: observation.mode,
            min: policy.min,
            max: policy.max,
            wanted,
            ready: observation.replicas.map(|r| r.ready),
            targets: policy.targets.iter().map(crate::policy::Target::words).collect(),
            seen: observation.seen(),
            load_query: first.map(|t| t.query.clone()).unwrap_or_default(),
            forecast_query: policy.forecast_query.clone(),
            target_per_replica: first.map(|t| t.value),
            status: plan.status.clone(),
            last_round_ms: Some(self.shared.clock.now_ms()),
            hold_seconds: policy.hold.as_secs_f64(),
            notes: policy.all_notes(),
        };
        self.shared.shown.write().insert(policy.service.clone(), shown);
    }
}
