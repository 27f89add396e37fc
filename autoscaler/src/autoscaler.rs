//! The running autoscaler: starts and stops what a configuration asks for.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use promql::EngineOptions;
use tokio::sync::Mutex as AsyncMutex;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use vocab::error::chain;
use vocab::ports::views::ScalingView;
use vocab::ports::{Appender, Catalog, Querier};
use vocab::telemetry::Telemetry;
use vocab::{Clock, MemoryPool, PortResult, TenantId};

use crate::balance::BalanceLoop;
use crate::balancers::haproxy::HaproxyBackend;
use crate::config::AutoscalerConfig;
use crate::inventory;
use crate::metrics::Metrics;
use crate::metrics_api::{self, MetricsApiDeps, ObjectNames};
use crate::observe::Observer;
use crate::orchestrator::Orchestrator;
use crate::orchestrators::breaker::Guarded;
use crate::orchestrators::kubernetes::ClusterReader;
use crate::orchestrators::process::{ProcessOrchestrator, ProcessReplica};
use crate::orchestrators::swarm::SwarmOrchestrator;
use crate::policy::Policy;
use crate::service_loop::{ServiceLoop, Shared};
use crate::switches::Switches;
use crate::view::View;

/// Wait between tries to take up a service while the catalog does not answer.
const RETRY: Duration = Duration::from_secs(5);

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
    config: Option<AutoscalerConfig>,
    cancel: CancellationToken,
    tasks: TaskTracker,
    process: Option<Arc<ProcessOrchestrator>>,
}

/// Scales services.
#[derive(Debug)]
pub struct Autoscaler {
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
        let shared = Shared {
            switches: Switches::new(tenant.clone(), Arc::clone(&deps.catalog), Arc::clone(&deps.clock)),
            tenant,
            catalog: Arc::clone(&deps.catalog),
            appender: deps.appender,
            clock: Arc::clone(&deps.clock),
            metrics: Metrics::new(&deps.telemetry),
            observer,
            shown: RwLock::new(HashMap::new()),
        };
        Arc::new(Self {
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
        if running.config.as_ref() == Some(&config) {
            return;
        }
        self.end(&mut running, &config).await;
        if let Err(error) = self.shared.switches.load().await {
            tracing::error!(
                error = chain(&error),
                "the switches of before are not known yet; no service is taken up until they are"
            );
        }
        let orchestrators = self.start_orchestrators(&mut running, &config).await;
        self.start_balancers(&running, &config, &orchestrators);
        self.start_metrics_api(&running, &config);
        for orchestrator in orchestrators.values() {
            let (shared, cancel) = (Arc::clone(&self.shared), running.cancel.clone());
            running.tasks.spawn(inventory::run(Arc::clone(orchestrator), shared, cancel));
        }
        for policy in &config.policies {
            if let Some(orchestrator) = orchestrators.get(policy.orchestrator.as_str()) {
                let (shared, cancel) = (Arc::clone(&self.shared), running.cancel.clone());
                running.tasks.spawn(scale(policy.clone(), Arc::clone(orchestrator), shared, cancel));
            }
        }
        self.policies.write().clone_from(&config.policies);
        running.tasks.close();
        running.config = Some(config);
    }

    /// Ends all loops and gives processes back as their configuration says.
    pub async fn stop(&self) {
        let mut running = self.running.lock().await;
        running.cancel.cancel();
        running.tasks.close();
        running.tasks.wait().await;
        self.process.lock().take();
        if let Some(process) = running.process.take() {
            process.stop().await;
        }
        *running = Running::default();
    }

    /// What is scaled, and its switches.
    pub fn view(&self) -> Arc<dyn ScalingView> {
        Arc::new(View::new(Arc::clone(&self.shared), Arc::clone(&self.policies)))
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
        self.shared.shown.write().retain(|name, _| next.policies.iter().any(|p| p.service == *name));
        *running = Running::default();
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
                interval: balancer.interval,
                clock: Arc::clone(&self.clock),
                metrics: self.shared.metrics.clone(),
            };
            running.tasks.spawn(balance.run(running.cancel.clone()));
        }
    }
}

/// Takes a service up, as soon as the catalog gives its state, and scales it.
async fn scale(policy: Policy, orchestrator: Arc<dyn Orchestrator>, shared: Arc<Shared>, cancel: CancellationToken) {
    loop {
        match ServiceLoop::open(policy.clone(), Arc::clone(&orchestrator), Arc::clone(&shared)).await {
            Ok(service) => return service.run(cancel).await,
            Err(error) => {
                tracing::error!(
                    service = policy.service,
                    error = chain(&error),
                    "not scaled while its state is unknown"
                );
            }
        }
        tokio::select! {
            () = shared.clock.sleep(RETRY) => {}
            () = cancel.cancelled() => return,
        }
    }
}
