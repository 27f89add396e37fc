//! The room's front: starts, reloads and drains everything that brings data in.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use parking_lot::{Mutex, RwLock};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vocab::budget::MemoryPool;
use vocab::limits::Limits;
use vocab::ports::views::{DroppedTarget, SourceStatus, SourceView, TargetStatus, TargetView};
use vocab::ports::{Appender, Catalog, LogAppender};
use vocab::sample::MetricMetadata;
use vocab::telemetry::Telemetry;
use vocab::{Clock, Labels, TenantId};

use crate::config::{CollectorConfig, HostIdentity, SourcesConfig};
use crate::entities::{self, EntityBook};
use crate::metrics::Metrics;
use crate::scrape_pool::{PoolHandle, PoolView};
use crate::shared::{Host, Shared};
use crate::sources::SourceBook;
use crate::ticker::Ticker;
use crate::{containers, haproxy, host, self_source, syslog, system_logs};

/// Gives the process's own metrics in the OpenMetrics text format.
pub type SelfMetrics = Arc<dyn Fn() -> String + Send + Sync>;
/// Gives the replicas that the process orchestrator supervises now.
pub type ReplicaSource = Arc<dyn Fn() -> Vec<ProcessReplica> + Send + Sync>;

/// A supervised process that is a replica of a service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessReplica {
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The replica's id.
    pub replica: String,
    /// Its process; children count along.
    pub pid: u32,
}

/// What the collector is built from.
#[derive(Clone)]
pub struct CollectorDeps {
    /// Where samples go.
    pub appender: Arc<dyn Appender>,
    /// Where log records go.
    pub log_appender: Arc<dyn LogAppender>,
    /// Where entities and positions go.
    pub catalog: Arc<dyn Catalog>,
    /// The only clock.
    pub clock: Arc<dyn Clock>,
    /// Where metrics are registered.
    pub telemetry: Telemetry,
    /// The memory share that writes draw on.
    pub memory: Arc<MemoryPool>,
    /// What tenants may push.
    pub limits: Arc<Limits>,
    /// What the source `self` reads.
    pub self_metrics: SelfMetrics,
    /// The process orchestrator's replicas, shown by the source `containers`.
    pub replicas: ReplicaSource,
}

impl fmt::Debug for CollectorDeps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CollectorDeps").field("memory", &self.memory).finish_non_exhaustive()
    }
}

/// A running piece that is started again only when its configuration changes.
struct Piece {
    /// The configuration as text: equal text, nothing to do.
    config: String,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

#[derive(Default)]
struct Running {
    pools: BTreeMap<String, PoolHandle>,
    pieces: BTreeMap<String, Piece>,
    housekeeping: Option<(CancellationToken, JoinHandle<()>)>,
}

/// Everything that brings data in, for one tenant.
pub struct Collector {
    pub(crate) shared: Arc<Shared>,
    self_metrics: SelfMetrics,
    replicas: ReplicaSource,
    running: tokio::sync::Mutex<Running>,
    /// Views of the pools, so that looking never waits for a reload.
    views: Mutex<BTreeMap<String, Arc<PoolView>>>,
}

impl fmt::Debug for Collector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Collector").field("pools", &self.views.lock().keys()).finish_non_exhaustive()
    }
}

impl Collector {
    /// A collector that does nothing yet; call [`Collector::apply`].
    pub fn new(deps: CollectorDeps, tenant: TenantId) -> Arc<Self> {
        let shared = Arc::new(Shared {
            appender: deps.appender,
            log_appender: deps.log_appender,
            catalog: deps.catalog,
            clock: deps.clock,
            memory: deps.memory,
            limits: deps.limits,
            metrics: Metrics::new(&deps.telemetry),
            tenant,
            resolver: RwLock::default(),
            otlp: RwLock::default(),
            host: RwLock::default(),
            entities: EntityBook::default(),
            sources: SourceBook::default(),
            epoch: AtomicU64::new(0),
            draining: AtomicBool::new(false),
        });
        Arc::new(Self {
            shared,
            self_metrics: deps.self_metrics,
            replicas: deps.replicas,
            running: tokio::sync::Mutex::default(),
            views: Mutex::default(),
        })
    }

    /// Starts what the configuration says, or changes over to it: what stays the same keeps running.
    pub async fn apply(&self, config: CollectorConfig) {
        let mut running = self.running.lock().await;
        self.shared.draining.store(false, Ordering::Release);
        *self.shared.resolver.write() = Arc::new(config.resolver.clone());
        *self.shared.otlp.write() = Arc::new(config.otlp.clone());
        *self.shared.host.write() = Arc::new(this_host(&config.host));
        self.shared.epoch.fetch_add(1, Ordering::AcqRel);
        self.apply_pools(&mut running, &config).await;
        self.apply_pieces(&mut running, config).await;
        if running.housekeeping.is_none() {
            let stop = CancellationToken::new();
            let task = tokio::spawn(note_entities(Arc::clone(&self.shared), stop.clone()));
            running.housekeeping = Some((stop, task));
        }
    }

    async fn apply_pools(&self, running: &mut Running, config: &CollectorConfig) {
        let wanted: BTreeMap<_, _> = config.scrape_configs.iter().map(|c| (c.job_name.clone(), c)).collect();
        let gone: Vec<String> = running.pools.keys().filter(|n| !wanted.contains_key(*n)).cloned().collect();
        for name in gone {
            if let Some(pool) = running.pools.remove(&name) {
                pool.stop(true).await;
            }
        }
        for (name, job) in wanted {
            match running.pools.get_mut(&name) {
                Some(pool) => pool.reconfigure(job.clone()).await,
                None => {
                    running.pools.insert(name, PoolHandle::start(&self.shared, job.clone()));
                }
            }
        }
        *self.views.lock() = running.pools.iter().map(|(name, pool)| (name.clone(), Arc::clone(&pool.view))).collect();
    }

    async fn apply_pieces(&self, running: &mut Running, config: CollectorConfig) {
        let mut plan = Plan::default();
        let shared = &self.shared;
        self.plan_sources(&mut plan, config.sources);
        for entry in config.haproxy {
            plan.add(format!("haproxy/{}", entry.name), &entry.clone(), |stop| {
                haproxy::run(Arc::clone(shared), entry, stop)
            });
        }
        for (index, entry) in config.logs.into_iter().enumerate() {
            let name = crate::tail::source_name(index, &entry);
            plan.add(name.clone(), &entry.clone(), |stop| crate::tail::run(Arc::clone(shared), name, entry, stop));
        }
        if let Some(entry) = config.syslog {
            plan.add(syslog::NAME.to_owned(), &entry.clone(), |stop| syslog::run(Arc::clone(shared), entry, stop));
        }
        let unchanged = |name: &String, piece: &Piece| plan.pieces.get(name).is_some_and(|p| p.0 == piece.config);
        let gone: Vec<String> = running.pieces.iter().filter(|(n, p)| !unchanged(n, p)).map(|p| p.0.clone()).collect();
        let gone: Vec<Piece> = gone.iter().filter_map(|name| running.pieces.remove(name)).collect();
        stop_pieces(gone).await;
        for (name, (config, start)) in plan.pieces {
            running.pieces.entry(name).or_insert_with(|| {
                let stop = CancellationToken::new();
                Piece { config, task: start(stop.clone()), stop }
            });
        }
    }

    fn plan_sources<'a>(&'a self, plan: &mut Plan<'a>, sources: SourcesConfig) {
        let shared = &self.shared;
        if let Some(config) = sources.host {
            plan.add(host::NAME.to_owned(), &config.clone(), |stop| host::run(Arc::clone(shared), config, stop));
        }
        if let Some(config) = sources.containers {
            let replicas = Arc::clone(&self.replicas);
            plan.add(containers::NAME.to_owned(), &config.clone(), |stop| {
                containers::run(Arc::clone(shared), config, replicas, stop)
            });
        }
        if let Some(config) = sources.self_metrics {
            let metrics = Arc::clone(&self.self_metrics);
            plan.add(self_source::NAME.to_owned(), &config.clone(), |stop| {
                self_source::run(Arc::clone(shared), config, metrics, stop)
            });
        }
        if let Some(config) = sources.system_logs {
            plan.add(system_logs::NAME.to_owned(), &config.clone(), |stop| {
                system_logs::run(Arc::clone(shared), config, stop)
            });
        }
    }

    /// Drains: loops end, what they hold is written, positions and entities are saved.
    pub async fn stop(&self) {
        let mut running = self.running.lock().await;
        self.shared.draining.store(true, Ordering::Release);
        let pools = std::mem::take(&mut running.pools);
        // The end of the process is not the end of the targets: no staleness markers.
        futures::future::join_all(pools.into_values().map(|pool| pool.stop(false))).await;
        stop_pieces(std::mem::take(&mut running.pieces).into_values().collect()).await;
        if let Some((stop, task)) = running.housekeeping.take() {
            stop.cancel();
            report_end(task.await);
        }
        entities::flush(&self.shared).await;
        self.views.lock().clear();
    }

    /// The decoder of push protocols, which shares the collector's metrics and identity resolver.
    pub fn receiver(&self) -> Arc<crate::push::Receiver> {
        Arc::new(crate::push::Receiver::new(Arc::clone(&self.shared)))
    }
}

type Start<'a> = Box<dyn FnOnce(CancellationToken) -> JoinHandle<()> + Send + Sync + 'a>;

/// What is to run.
#[derive(Default)]
struct Plan<'a> {
    pieces: BTreeMap<String, (String, Start<'a>)>,
}

impl<'a> Plan<'a> {
    fn add<F>(
        &mut self,
        name: String,
        config: &impl fmt::Debug,
        start: impl FnOnce(CancellationToken) -> F + Send + Sync + 'a,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let start: Start<'a> = Box::new(move |stop| tokio::spawn(start(stop)));
        self.pieces.insert(name, (format!("{config:?}"), start));
    }
}

async fn stop_pieces(pieces: Vec<Piece>) {
    for piece in &pieces {
        piece.stop.cancel();
    }
    for piece in pieces {
        report_end(piece.task.await);
    }
}

fn report_end(result: Result<(), tokio::task::JoinError>) {
    if let Err(error) = result {
        tracing::error!(error = %error, "a source's task failed");
    }
}

/// The configured name and labels, or the system's name.
fn this_host(config: &HostIdentity) -> Host {
    let name = if config.name.is_empty() {
        nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).unwrap_or_else(|| "localhost".to_owned())
    } else {
        config.name.clone()
    };
    Host { name, labels: config.labels.clone() }
}

async fn note_entities(shared: Arc<Shared>, stop: CancellationToken) {
    // The first write comes early, so that a fresh start shows something at once.
    let first = std::time::Duration::from_secs(2);
    let mut ticker = Ticker::new(&shared.clock, &stop, first, entities::FLUSH_INTERVAL);
    while ticker.tick().await {
        entities::flush(&shared).await;
    }
}

#[async_trait]
impl TargetView for Collector {
    async fn active(&self) -> Vec<TargetStatus> {
        let views = self.views.lock();
        let states = views.values().flat_map(|v| v.active.lock().clone());
        states.map(|s| s.status.lock().clone()).collect()
    }

    async fn dropped(&self) -> (Vec<DroppedTarget>, BTreeMap<String, u64>) {
        let mut all = Vec::new();
        let mut counts = BTreeMap::new();
        for (name, view) in self.views.lock().iter() {
            let dropped = view.dropped.lock();
            all.extend(dropped.0.iter().cloned());
            counts.insert(name.clone(), dropped.1);
        }
        (all, counts)
    }

    async fn pools(&self) -> Vec<String> {
        self.views.lock().keys().cloned().collect()
    }

    async fn metadata(&self, metric: Option<&str>) -> Vec<(Labels, MetricMetadata)> {
        let mut all = Vec::new();
        for view in self.views.lock().values() {
            for state in view.active.lock().iter() {
                let labels = state.status.lock().labels.clone();
                let metadata = state.metadata.lock();
                match metric {
                    Some(name) => all.extend(metadata.get(name).map(|m| (labels, m.clone()))),
                    None => all.extend(metadata.values().map(|m| (labels.clone(), m.clone()))),
                }
            }
        }
        all
    }
}

#[async_trait]
impl SourceView for Collector {
    async fn sources(&self) -> Vec<SourceStatus> {
        self.shared.sources.list()
    }
}

#[cfg(test)]
mod tests;
