//! The running autoscaler: starts and stops what a configuration asks for.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Weak};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use promql::EngineOptions;
use tokio::sync::Mutex as AsyncMutex;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::error::chain;
use vocab::ports::views::ScalingView;
use vocab::ports::{Appender, Catalog, Querier};
use vocab::scaling::PolicyObject;
use vocab::telemetry::Telemetry;
use vocab::{Clock, MemoryPool, PortResult, TenantId};

use crate::balance::{BalanceLoop, BalancerViews};
use crate::balancers::haproxy::HaproxyBackend;
use crate::batches::Batches;
use crate::board::Board;
use crate::config::AutoscalerConfig;
use crate::inventory;
use crate::leader::{self, Leader};
use crate::leaving::{self, Leaving};
use crate::ledger::{FLUSH_INTERVAL, Meter};
use crate::metrics::Metrics;
use crate::metrics_api::{self, MetricsApiDeps, ObjectNames};
use crate::observe::Observer;
use crate::odd_watch::OddWatch;
use crate::orchestrator::Orchestrator;
use crate::orchestrators::breaker::Guarded;
use crate::orchestrators::kubernetes::ClusterReader;
use crate::orchestrators::process::{ProcessOrchestrator, ProcessReplica};
use crate::orchestrators::swarm::SwarmOrchestrator;
use crate::placed::Placed;
use crate::policies::{Kept, Policies, merge};
use crate::policy::Policy;
use crate::quota::Quotas;
use crate::service_loop::{ServiceLoop, Shared};
use crate::switches::Switches;
use crate::view::View;

/// Wait between tries to take up a service while the catalog does not answer.
const RETRY: Duration = Duration::from_secs(5);
/// How often the catalog is asked what other processes have changed.
const REFRESH_INTERVAL: Duration = Duration::from_secs(15);

/// What the autoscaler needs of others.
#[derive(Debug, Clone)]
pub struct AutoscalerDeps {
    /// Reads load.
    pub querier: Arc<dyn Querier>,
    /// Takes the autoscaler's own series.
    pub appender: Arc<dyn Appender>,
    /// Keeps decisions, state, switches and the process table.
    pub catalog: Arc<dyn Catalog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Takes the crate's own metrics.
    pub telemetry: Telemetry,
    /// Where queries count their memory.
    pub memory: Arc<MemoryPool>,
    /// How queries are evaluated.
    pub engine: EngineOptions,
    /// Where output of supervised processes goes.
    pub dir: PathBuf,
}

/// What runs of one configuration.
#[derive(Debug, Default)]
struct Running {
    /// The file's configuration, without kept policies.
    file: Option<AutoscalerConfig>,
    /// What is in force.
    config: Option<AutoscalerConfig>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    process: Option<Arc<ProcessOrchestrator>>,
    orchestrators: BTreeMap<String, Arc<dyn Orchestrator>>,
    /// The loops, by service.
    services: HashMap<String, Scaled>,
}

/// The loop of one service.
#[derive(Debug)]
struct Scaled {
    policy: Policy,
    cancel: CancellationToken,
    task: JoinHandle<()>,
}

/// Scales services.
#[derive(Debug)]
pub struct Autoscaler {
    /// Itself, for those who may outlive it.
    me: Weak<Self>,
    kept: Policies,
    /// Ends the task that looks for changes in the catalog.
    fresh: Mutex<Option<CancellationToken>>,
    shared: Arc<Shared>,
    catalog: Arc<dyn Catalog>,
    clock: Arc<dyn Clock>,
    dir: PathBuf,
    metrics_api: MetricsApiDeps,
    policies: Arc<RwLock<Vec<Policy>>>,
    running: AsyncMutex<Running>,
    process: Mutex<Option<Arc<ProcessOrchestrator>>>,
}

impl Autoscaler {
    /// An autoscaler that scales nothing until [`Autoscaler::apply`].
    pub fn new(deps: AutoscalerDeps, tenant: TenantId) -> Arc<Self> {
        let metrics_api = MetricsApiDeps {
            querier: Arc::clone(&deps.querier),
            clock: Arc::clone(&deps.clock),
            memory: Arc::clone(&deps.memory),
            engine: deps.engine.clone(),
            tenant: tenant.clone(),
            names: None,
        };
        let observer = Observer::new(deps.querier, deps.engine, deps.memory, Arc::clone(&deps.clock), tenant.clone());
        let metrics = Metrics::new(&deps.telemetry);
        let leader = Leader::new(
            format!("autoscaler/{tenant}"),
            leader::instance(&deps.dir),
            Arc::clone(&deps.catalog),
            Arc::clone(&deps.clock),
            metrics.leader.clone(),
        );
        let shared = Shared {
            switches: Switches::new(tenant.clone(), Arc::clone(&deps.catalog), Arc::clone(&deps.clock)),
            tenant,
            catalog: Arc::clone(&deps.catalog),
            appender: deps.appender,
            clock: Arc::clone(&deps.clock),
            metrics,
            observer,
            leader,
            board: Board::default(),
            quotas: Quotas::default(),
            batches: Batches::default(),
            freeze_windows: RwLock::default(),
            meter: Meter::default(),
            balancers: BalancerViews::default(),
            leaving: Leaving::default(),
            running: Default::default(),
            prepared: AsyncMutex::default(),
            shown: RwLock::new(HashMap::new()),
        };
        let kept = Policies::new(&shared.tenant, Arc::clone(&deps.catalog), Arc::clone(&deps.clock));
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            kept,
            fresh: Mutex::default(),
            shared: Arc::new(shared),
            catalog: deps.catalog,
            clock: deps.clock,
            dir: deps.dir,
            metrics_api,
            policies: Arc::default(),
            running: AsyncMutex::default(),
            process: Mutex::default(),
        })
    }

    /// Brings what runs in line with a configuration; can be called again. Running replicas are adopted; what a new
    /// configuration no longer names is let go of as its `stop_with` says. Policies take up where they were.
    pub async fn apply(&self, config: AutoscalerConfig) {
        let mut running = self.running.lock().await;
        if running.file.as_ref() == Some(&config) {
            return;
        }
        let merged = match self.kept.load().await {
            Ok(kept) => merged(&config, &kept),
            Err(error) => {
                let error = chain(&error);
                tracing::error!(error, "policies kept in the catalog are not known yet; those in the file hold");
                config.clone()
            }
        };
        running.file = Some(config);
        if self.fresh.lock().is_none() {
            let cancel = CancellationToken::new();
            tokio::spawn(keep_fresh(self.me.clone(), Arc::clone(&self.clock), cancel.clone()));
            *self.fresh.lock() = Some(cancel);
        }
        self.enact(&mut running, merged).await;
    }

    /// Takes over what was changed in the catalog: kept policies and, when another process turned them, switches.
    pub(crate) async fn refresh(&self) {
        let mut running = self.running.lock().await;
        let Some(file) = running.file.clone() else { return };
        if let Err(error) = self.shared.switches.load().await {
            tracing::warn!(error = chain(&error), "the switches could not be read again");
        }
        match self.kept.load().await {
            Ok(kept) => self.enact(&mut running, merged(&file, &kept)).await,
            // What is in force stays so.
            Err(error) => tracing::warn!(error = chain(&error), "the kept policies could not be read again"),
        }
    }

    /// The configuration of the file.
    pub(crate) async fn file(&self) -> AutoscalerConfig {
        self.running.lock().await.file.clone().unwrap_or_default()
    }

    /// The policies that are kept in the catalog.
    pub(crate) fn kept(&self) -> &Policies {
        &self.kept
    }

    /// All policies, those of the file and those that are kept.
    pub(crate) async fn policy_objects(&self) -> PortResult<Vec<PolicyObject>> {
        Ok(merge(&self.file().await, &self.kept.load().await?).objects)
    }

    /// Starts and stops what a configuration changes, and no more: when only policies differ, only their services' loops.
    async fn enact(&self, running: &mut Running, config: AutoscalerConfig) {
        if running.config.as_ref() == Some(&config) {
            return;
        }
        if running.config.as_ref().is_none_or(|before| ground(before) != ground(&config)) {
            self.end(running, &config).await;
            self.lead(running, &config).await;
            running.orchestrators = self.start_orchestrators(running, &config).await;
            self.start_balancers(running, &config, &running.orchestrators);
            self.start_metrics_api(running, &config);
            for orchestrator in running.orchestrators.values() {
                let (shared, cancel) = (Arc::clone(&self.shared), running.cancel.clone());
                running.tasks.spawn(inventory::run(Arc::clone(orchestrator), shared, cancel));
            }
        }
        self.shared.set_config(&config);
        self.retarget(running, &config).await;
        self.policies.write().clone_from(&config.policies);
        self.shared.shown.write().retain(|name, _| running.services.contains_key(name));
        running.config = Some(config);
    }

    /// Ends the loops of services whose policy is gone or another one, and starts those that are missing.
    async fn retarget(&self, running: &mut Running, config: &AutoscalerConfig) {
        let wanted: HashMap<&str, &Policy> = config.policies.iter().map(|p| (p.service.as_str(), p)).collect();
        let stays = |service: &str, scaled: &Scaled| wanted.get(service).is_some_and(|p| **p == scaled.policy);
        let gone: Vec<Scaled> =
            running.services.extract_if(|service, scaled| !stays(service, scaled)).map(|g| g.1).collect();
        gone.iter().for_each(|scaled| scaled.cancel.cancel());
        for scaled in gone {
            // A loop that panicked has ended too.
            let _ended = scaled.task.await;
        }
        let number = u32::try_from(config.policies.len()).unwrap_or(u32::MAX).max(1);
        for (index, policy) in (0u32..).zip(&config.policies) {
            if running.services.contains_key(&policy.service) {
                continue;
            }
            let cancel = running.cancel.child_token();
            let Some(orchestrator) = self.orchestrator_of(running, policy, &cancel) else { continue };
            for watch in self.odd_watches(running, policy) {
                running.tasks.spawn(watch.run(cancel.clone()));
            }
            // Rounds of many services are spread over their interval.
            let offset = policy.interval.mul_f64(f64::from(index) / f64::from(number));
            let rounds = scale(policy.clone(), orchestrator, Arc::clone(&self.shared), offset, cancel.clone());
            let task = running.tasks.spawn(rounds);
            running.services.insert(policy.service.clone(), Scaled { policy: policy.clone(), cancel, task });
        }
    }

    /// Those who look for a policy's odd replicas: one in each cluster that runs its service.
    fn odd_watches(&self, running: &Running, policy: &Policy) -> Vec<OddWatch> {
        let Some(watch) = &policy.operations.odd_replica else { return Vec::new() };
        let shares = policy.operations.placement.iter().flat_map(|p| &p.shares);
        let placed: Vec<&str> = shares.map(|s| s.orchestrator.as_str()).collect();
        let names = if placed.is_empty() { vec![policy.orchestrator.as_str()] } else { placed };
        let found = names.into_iter().filter_map(|name| Some((name, running.orchestrators.get(name)?)));
        let watch = |(name, orchestrator): (&str, &Arc<dyn Orchestrator>)| {
            OddWatch::new(policy.clone(), watch.clone(), Arc::clone(orchestrator), name, Arc::clone(&self.shared))
        };
        found.map(watch).collect()
    }

    /// What runs a policy's service: one orchestrator, or several as one.
    fn orchestrator_of(
        &self,
        running: &Running,
        policy: &Policy,
        cancel: &CancellationToken,
    ) -> Option<Arc<dyn Orchestrator>> {
        let named = |name: &str| running.orchestrators.get(name).map(Arc::clone);
        let Some(placement) = &policy.operations.placement else { return named(&policy.orchestrator) };
        let members: Option<Vec<_>> = placement.shares.iter().map(|s| named(&s.orchestrator)).collect();
        let (placement, shared) = (placement.clone(), Arc::clone(&self.shared));
        let placed = Arc::new(Placed::new(&policy.service, &policy.name, placement, members?, shared));
        running.tasks.spawn(Arc::clone(&placed).run(cancel.clone()));
        Some(placed)
    }

    /// Claims to decide, and goes on claiming.
    async fn lead(&self, running: &Running, config: &AutoscalerConfig) {
        self.shared.leader.set_ttl(config.scaling.lease);
        let claimed = if self.shared.leader.fence().is_some() {
            self.shared.leader.renew().await
        } else {
            self.shared.leader.begin().await
        };
        if let Err(error) = claimed {
            tracing::error!(error = chain(&error), "the lease to decide could not be asked for; it is tried again");
        }
        let (shared, cancel) = (Arc::clone(&self.shared), running.cancel.clone());
        running.tasks.spawn(async move { shared.leader.run(cancel).await });
        let (shared, cancel) = (Arc::clone(&self.shared), running.cancel.clone());
        running.tasks.spawn(keep_ledger(shared, cancel));
        let (shared, cancel) = (Arc::clone(&self.shared), running.cancel.clone());
        running.tasks.spawn(leaving::follow(shared, cancel));
    }

    /// Ends all loops and gives processes back as their configuration says.
    pub async fn stop(&self) {
        if let Some(fresh) = self.fresh.lock().take() {
            fresh.cancel();
        }
        let mut running = self.running.lock().await;
        running.cancel.cancel();
        running.tasks.close();
        running.tasks.wait().await;
        self.shared.leader.resign().await;
        self.process.lock().take();
        if let Some(process) = running.process.take() {
            process.stop().await;
        }
        *running = Running::default();
    }

    /// What is scaled, and its switches.
    pub fn view(&self) -> Arc<dyn ScalingView> {
        Arc::new(View::new(Arc::clone(&self.shared), Arc::clone(&self.policies), self.me.clone()))
    }

    /// Running replicas of the process orchestrator.
    pub fn process_replicas(&self) -> Vec<ProcessReplica> {
        self.process.lock().as_ref().map(|p| p.process_replicas()).unwrap_or_default()
    }

    /// Ends the loops of the configuration of before. Supervised services that stay as they were are only let go of, to be
    /// adopted again at once; only those that are gone from the configuration stop, if they say so.
    async fn end(&self, running: &mut Running, next: &AutoscalerConfig) {
        running.cancel.cancel();
        running.tasks.close();
        running.tasks.wait().await;
        self.process.lock().take();
        if let Some(process) = running.process.take() {
            let stays = |name: &str| next.processes.iter().any(|p| p.name == name);
            process.hand_over(&stays).await;
        }
        let file = running.file.take();
        *running = Running { file, ..Running::default() };
    }

    async fn start_orchestrators(
        &self,
        running: &mut Running,
        config: &AutoscalerConfig,
    ) -> BTreeMap<String, Arc<dyn Orchestrator>> {
        let mut orchestrators: BTreeMap<String, Arc<dyn Orchestrator>> = BTreeMap::new();
        if !config.processes.is_empty() {
            match self.start_processes(config).await {
                Ok(process) => {
                    *self.process.lock() = Some(Arc::clone(&process));
                    running.process = Some(Arc::clone(&process));
                    orchestrators.insert("process".to_owned(), process);
                }
                Err(error) => {
                    tracing::error!(
                        error = chain(&error),
                        "no process is supervised: the process table cannot be read"
                    );
                }
            }
        }
        if let Some(swarm) = &config.swarm {
            let swarm = SwarmOrchestrator::new(&config.cluster, swarm.clone(), Arc::clone(&self.clock));
            orchestrators.insert("swarm".to_owned(), self.guarded("swarm", Arc::new(swarm)));
        }
        for (name, cluster) in config.clusters.start(&self.clock) {
            let guarded = self.guarded(&name, cluster);
            orchestrators.insert(name, guarded);
        }
        orchestrators
    }

    fn start_metrics_api(&self, running: &Running, config: &AutoscalerConfig) {
        let Some(api) = config.metrics_api.clone() else { return };
        let is_asked = |name: &String| api.cluster.as_ref().is_none_or(|cluster| cluster == name);
        let cluster = config.clusters.kubernetes.iter().find(|k| is_asked(&k.name)).cloned();
        let reader = cluster.map(|cluster| Arc::new(ClusterReader::new(cluster, Arc::clone(&self.clock))));
        let names = reader.clone().map(|reader| reader as Arc<dyn ObjectNames>);
        let deps = MetricsApiDeps { names, ..self.metrics_api.clone() };
        running.tasks.spawn(metrics_api::run(api, reader, deps, running.cancel.clone()));
    }

    /// An orchestrator that may be dead without delaying the others.
    fn guarded(&self, name: &str, orchestrator: Arc<dyn Orchestrator>) -> Arc<dyn Orchestrator> {
        Arc::new(Guarded::new(name, orchestrator, self.shared.metrics.clone(), Arc::clone(&self.clock)))
    }

    async fn start_processes(&self, config: &AutoscalerConfig) -> PortResult<Arc<ProcessOrchestrator>> {
        ProcessOrchestrator::start(
            &config.cluster,
            config.processes.clone(),
            self.dir.clone(),
            Arc::clone(&self.catalog),
            Arc::clone(&self.clock),
        )
        .await
    }

    fn start_balancers(
        &self,
        running: &Running,
        config: &AutoscalerConfig,
        orchestrators: &BTreeMap<String, Arc<dyn Orchestrator>>,
    ) {
        self.shared.balancers.clear();
        for balancer in &config.balancers {
            let Some(orchestrator) = orchestrators.get(balancer.orchestrator.as_str()) else { continue };
            let backend = HaproxyBackend::new(
                balancer.endpoint.clone(),
                &balancer.backend,
                &balancer.prefix,
                balancer.drain_timeout,
            );
            let balance = BalanceLoop {
                service: balancer.service.clone(),
                balancer: Arc::new(backend),
                orchestrator: Arc::clone(orchestrator),
                orchestrator_name: balancer.orchestrator.clone(),
                interval: balancer.interval,
                shared: Arc::clone(&self.shared),
            };
            running.tasks.spawn(balance.run(running.cancel.clone()));
        }
    }
}

/// Writes the ledger now and then, and at the end.
async fn keep_ledger(shared: Arc<Shared>, cancel: CancellationToken) {
    while !cancel.is_cancelled() {
        tokio::select! {
            () = shared.clock.sleep(FLUSH_INTERVAL) => {}
            () = cancel.cancelled() => {}
        }
        let Some(fence) = shared.leader.fence() else { continue };
        if let Err(error) = shared.meter.flush(&shared.catalog, &shared.tenant, Some(&fence)).await {
            shared.metrics.error("catalog.add_to_ledger");
            tracing::warn!(error = chain(&error), "the cost ledger could not be written; it is kept for the next time");
        }
    }
}

/// Looks for what other processes have changed in the catalog. It stands beside the tasks of a configuration, since what it
/// finds may end them.
async fn keep_fresh(autoscaler: Weak<Autoscaler>, clock: Arc<dyn Clock>, cancel: CancellationToken) {
    loop {
        tokio::select! {
            () = clock.sleep(REFRESH_INTERVAL) => {}
            () = cancel.cancelled() => return,
        }
        let Some(autoscaler) = autoscaler.upgrade() else { return };
        autoscaler.refresh().await;
    }
}

/// A file with the policies that are kept.
fn merged(file: &AutoscalerConfig, kept: &[Kept]) -> AutoscalerConfig {
    let merged = merge(file, kept);
    for object in merged.objects.iter().filter(|o| !o.problem.is_empty()) {
        tracing::warn!(policy = object.name, "not in force: {}", object.problem);
    }
    merged.config
}

/// What a configuration stands on: when it differs, everything starts anew.
fn ground(config: &AutoscalerConfig) -> AutoscalerConfig {
    let scaling = crate::config::ScalingConfig { lease: config.scaling.lease, ..Default::default() };
    AutoscalerConfig { policies: Vec::new(), raw: Default::default(), scaling, ..config.clone() }
}

/// Scales a service whenever this process decides: takes it up, as soon as the catalog gives its state, and lets go of it
/// when another process takes over. `offset` spreads the rounds of many services over their interval.
pub(crate) async fn scale(
    policy: Policy,
    orchestrator: Arc<dyn Orchestrator>,
    shared: Arc<Shared>,
    offset: Duration,
    cancel: CancellationToken,
) {
    let mut terms = shared.leader.terms();
    if !offset.is_zero() {
        tokio::select! {
            () = shared.clock.sleep(offset) => {}
            () = cancel.cancelled() => return,
        }
    }
    while !cancel.is_cancelled() {
        let leads = terms.borrow_and_update().is_some();
        if leads {
            match ServiceLoop::open(policy.clone(), Arc::clone(&orchestrator), Arc::clone(&shared)).await {
                Ok(service) => service.run(cancel.clone()).await,
                Err(error) => {
                    tracing::error!(
                        service = policy.service,
                        error = chain(&error),
                        "not scaled while its state is unknown"
                    );
                }
            }
        }
        tokio::select! {
            () = shared.clock.sleep(RETRY) => {}
            _ = terms.changed() => {}
            () = cancel.cancelled() => return,
        }
    }
}
