//! One service's rounds: observe, plan, record, act. Rounds of different services do not wait for each other.
//!
//! `neighbours` gathers what binds the service from outside and leaves its numbers for others; `carry_out` records and acts, and takes up what an earlier life left half-way; `tell` writes tickets and changes and what
//! is shown.

mod carry_out;
mod neighbours;
mod tell;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;
use tokio_util::sync::CancellationToken;
use vocab::error::chain;
use vocab::ports::catalog::Fence;
use vocab::ports::{Appender, Catalog};
use vocab::scaling::{ScaledService, ScalingDecision, ScalingMode};
use vocab::{Clock, ErrorKind, PortError, PortResult, TenantId, TimestampMs};

use self::carry_out::Unsure;
use crate::balance::BalancerViews;
use crate::batches::Batches;
use crate::board::Board;
use crate::capacity::Learner;
use crate::freeze_window::FreezeWindow;
use crate::inventory::Running;
use crate::leader::Leader;
use crate::leaving::Leaving;
use crate::ledger::Meter;
use crate::metrics::Metrics;
use crate::observation::{Observation, ReplicaCounts};
use crate::observe::Observer;
use crate::orchestrator::{Orchestrator, ServiceState};
use crate::outside::Outside;
use crate::policy::{Policy, ms};
use crate::quota::Quotas;
use crate::series::Series;
use crate::state::{ReasonClass, State};
use crate::switches::Switches;

/// State is saved this often even when nothing is decided, so that a restart knows the windows.
const SAVE_INTERVAL: Duration = Duration::from_secs(15);
/// Longest wait for an orchestrator; after it, it counts as silent for this round.
const ORCHESTRATOR_TIMEOUT: Duration = Duration::from_secs(20);
/// Rounds that others wake are at least this far apart.
const WOKEN_PAUSE: Duration = Duration::from_millis(200);
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
    pub(crate) leader: Leader,
    pub(crate) board: Board,
    pub(crate) quotas: Quotas,
    pub(crate) batches: Batches,
    pub(crate) freeze_windows: RwLock<Vec<FreezeWindow>>,
    pub(crate) meter: Meter,
    /// Who sits where at the balancers, and who carries no load any more.
    pub(crate) balancers: BalancerViews,
    /// What the balancers drain because it is replaced.
    pub(crate) leaving: Leaving,
    /// What orchestrators run now.
    pub(crate) running: Running,
    /// The term for which switches and queues of before were read.
    pub(crate) prepared: tokio::sync::Mutex<Option<i64>>,
    /// What is shown of each service, by service.
    pub(crate) shown: RwLock<HashMap<String, ScaledService>>,
}

impl Shared {
    /// Reads what people have switched and what waits, once for each term.
    async fn prepare(&self, fence: &Fence) -> PortResult<()> {
        let mut prepared = self.prepared.lock().await;
        if *prepared != Some(fence.token) {
            self.switches.load().await?;
            self.batches.load(&self.catalog).await?;
            *prepared = Some(fence.token);
        }
        Ok(())
    }
}

/// One service under a policy.
#[derive(Debug)]
pub(crate) struct ServiceLoop {
    policy: Policy,
    orchestrator: Arc<dyn Orchestrator>,
    shared: Arc<Shared>,
    /// The term in which this service was taken up.
    fence: Fence,
    state: State,
    /// Decisions that have not reached their last state.
    open: HashMap<i64, ScalingDecision>,
    /// Decisions of which nobody knows yet whether they were carried out.
    unsure: Vec<Unsure>,
    /// Whether the catalog left it open if it has recorded the last decision.
    in_doubt: bool,
    /// Decisions whose outcome the catalog has not taken yet.
    unwritten: BTreeMap<i64, ScalingDecision>,
    series: Series,
    capacity: Learner,
    first_round: bool,
    last_saved: Option<Duration>,
    /// Since when it waits for a dependency that goes first.
    waits_since: Option<Duration>,
    /// Whether a trimmed wish has been alarmed.
    trimmed: bool,
    /// When the last round was, for the ledger.
    last_round: Option<Duration>,
    /// Planner time is wall time at the start plus monotonic time since: it never jumps.
    origin: (TimestampMs, Duration),
}

impl ServiceLoop {
    /// Restores state and unfinished decisions.
    ///
    /// # Errors
    /// `Unavailable` while another process decides; the catalog's.
    pub(crate) async fn open(
        policy: Policy,
        orchestrator: Arc<dyn Orchestrator>,
        shared: Arc<Shared>,
    ) -> PortResult<Self> {
        let elsewhere = || PortError::new(ErrorKind::Unavailable, "another process decides");
        let fence = shared.leader.fence().ok_or_else(elsewhere)?;
        // A stop that was asked for before the restart counts: without the switches nothing is taken up.
        shared.prepare(&fence).await?;
        let stored = shared.catalog.scaling_state(&shared.tenant, &policy.cluster, &policy.service).await?;
        let state = stored.as_deref().and_then(State::from_bytes).unwrap_or_else(State::new);
        let wall_ms = shared.clock.now_ms();
        let origin = (state.last_ms.map_or(wall_ms, |last| last.max(wall_ms)), shared.clock.monotonic());
        let series = Series::new(&policy);
        let capacity = Learner::restore(&policy, state.learned.as_ref(), origin.0);
        let mut service = Self {
            policy,
            orchestrator,
            shared,
            fence,
            state,
            open: HashMap::new(),
            unsure: Vec::new(),
            in_doubt: false,
            unwritten: BTreeMap::new(),
            series,
            capacity,
            first_round: true,
            last_saved: None,
            waits_since: None,
            trimmed: false,
            last_round: None,
            origin,
        };
        service.take_up().await?;
        Ok(service)
    }

    /// Rounds until cancelled, or until another process decides.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let wake = self.shared.board.wake(&self.policy.service);
        let mut terms = self.shared.leader.terms();
        while !cancel.is_cancelled() && self.leads() {
            let start = self.shared.clock.monotonic();
            self.round().await;
            let spent = self.shared.clock.monotonic().saturating_sub(start);
            tokio::select! {
                () = self.shared.clock.sleep(self.policy.interval.saturating_sub(spent)) => {}
                () = async {
                    wake.notified().await;
                    self.shared.clock.sleep(WOKEN_PAUSE).await;
                } => {}
                _ = terms.changed() => {}
                () = cancel.cancelled() => {}
            }
        }
        if self.leads() {
            self.save().await;
        }
    }

    /// One round.
    pub(crate) async fn round(&mut self) {
        let service = self.policy.service.clone();
        let count = |family: &vocab::telemetry::Family<_, vocab::telemetry::Counter>| {
            family.get_or_create(&vec![("service", service.clone())]).inc();
        };
        if self.shared.switches.is_unfrozen(&service) {
            self.state.unfreeze();
            self.save().await;
            self.forgot("unfreeze", self.shared.switches.forget_unfreeze(&service).await);
        }
        let observation = self.observe().await;
        if !self.leads() {
            // Looking takes time: whoever decides by now tells people what there is to tell.
            return;
        }
        self.catch_up().await;
        if let Some(counts) = observation.replicas {
            self.settle(counts).await;
        }
        let (observation, (state, mut plan)) = self.plan(observation).await;
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
        // An approval lasts until its decision no longer waits: a crash in between loses none.
        if let Some(id) = observation.approved.filter(|id| self.state.awaiting.is_none_or(|a| a.decision_id != *id)) {
            self.forgot("approval", self.shared.switches.forget_approval(id).await);
        }
        self.post(&observation, &plan).await;
        let now_ms = self.planner_now();
        if self.capacity.note(&self.policy, &observation, now_ms) {
            self.state.learned = self.capacity.stored(&self.policy);
        }
        self.show(&observation, &plan);
        self.series.append(&self.shared, &observation, &plan).await;
        let now = self.shared.clock.monotonic();
        if self.last_saved.is_none_or(|last| now.saturating_sub(last) >= SAVE_INTERVAL) {
            self.save().await;
        }
    }

    /// What was taken note of and could not be removed is found again, and does no harm.
    fn forgot(&self, what: &str, result: PortResult<()>) {
        if let Err(error) = result {
            self.shared.metrics.error("catalog.delete_document");
            tracing::warn!(service = self.policy.service, what, error = chain(&error), "could not be removed");
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
        let steps = futures::future::join_all(
            policy
                .steps
                .iter()
                .map(|step| async move { observer.ask(policy, &format!("step {}", step.name), &step.query).await }),
        );
        let (loads, steps, queue, confirm, forecast, replicas) = tokio::join!(
            loads,
            steps,
            observer.ask(policy, "queue", &policy.queue_query),
            observer.ask(policy, "confirm", &policy.confirm_query),
            observer.ask(policy, "forecast", &policy.forecast_query),
            self.replicas(),
        );
        let (replicas, replicas_age_ms, replicas_note) = match replicas {
            Ok((counts, age_ms)) => (Some(counts), age_ms, String::new()),
            Err(note) => (None, 0, note),
        };
        let awaiting = self.state.awaiting.map(|a| a.decision_id);
        Observation {
            replicas,
            replicas_note,
            replicas_age_ms,
            counted: loads.iter().map(|l| l.1).collect(),
            loads: loads.into_iter().filter_map(|l| l.0).collect(),
            steps: steps.into_iter().flatten().collect(),
            wall_ms: Some(self.shared.clock.now_ms()),
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
            outside: Outside::default(),
            approved: awaiting.filter(|id| self.shared.switches.is_approved(*id)),
        }
    }

    /// The numbers, and for how long they have been so where the orchestrator notes when replicas became ready: a start
    /// is then measured to that moment, not to the round that sees it.
    async fn replicas(&self) -> Result<(ReplicaCounts, i64), String> {
        let state = self.orchestrator.state(&self.policy.service);
        let age_ms = |state: &ServiceState| {
            let last = state.replicas.iter().filter(|r| r.ready && !r.leaving).filter_map(|r| r.ready_at_ms).max();
            let age_ms = last.map(|at| self.shared.clock.now_ms().saturating_sub(at).max(0));
            // An earlier round has seen what is older.
            age_ms.filter(|age| *age <= 2 * ms(self.policy.interval)).unwrap_or(0)
        };
        let result = tokio::select! {
            result = state => result.map(|s| (s.counts(), age_ms(&s))).map_err(|e| chain(&e)),
            () = self.shared.clock.sleep(ORCHESTRATOR_TIMEOUT) => {
                Err(format!("no answer within {} s", ORCHESTRATOR_TIMEOUT.as_secs()))
            }
        };
        if result.is_err() {
            self.shared.metrics.error("orchestrator.state");
        }
        result
    }
}
