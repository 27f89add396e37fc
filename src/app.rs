//! Composition: builds the rooms, starts them, and drains them in reverse.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use analyzer::{Analyzer, AnalyzerDeps};
use autoscaler::{Autoscaler, AutoscalerDeps};
use collector::{Collector, CollectorDeps, ProcessReplica, push::Receiver};
use dashboards::{AuthTokens, Ports, Server, ServerConfig};
use parking_lot::Mutex;
use store::catalog::{self, SqlCatalog};
use store::{LogStore, LogStoreConfig, MetricStore, MetricStoreConfig, SqlEngine, StoreError};
use thiserror::Error;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vocab::error::chain;
use vocab::limits::Limits;
use vocab::ports::{Appender, Catalog, LogAppender, LogSearcher, Querier};
use vocab::telemetry::Telemetry;
use vocab::{Clock, MemoryBudget, Problems, TenantId};

use crate::admin::ProcessAdmin;
use crate::cli::{Role, Serve};
use crate::config::{self, Config};
use crate::logging::LogControl;
use crate::memory;
use crate::self_metrics::SelfMetrics;

/// How long the API may take to finish what it has begun.
const DRAIN: Duration = Duration::from_secs(20);

/// Why it does not start: one line that says what to do.
#[derive(Debug, Error)]
pub enum StartError {
    /// The configuration has mistakes.
    #[error("{0}")]
    Config(Problems),
    /// A flag has a value that cannot be used.
    #[error("{0}")]
    Flag(String),
    /// The data folder cannot be used.
    #[error("cannot use the data folder {path}: {reason}; choose another with --data-dir")]
    DataDir {
        /// The folder.
        path: String,
        /// Why.
        reason: String,
    },
    /// The data folder belongs to a running process.
    #[error(
        "the data folder {path} is in use by process {pid}; stop that process or choose another folder with --data-dir"
    )]
    InUse {
        /// The folder.
        path: String,
        /// Its process id.
        pid: String,
    },
    /// The API does not start.
    #[error("{0}; choose another address with --listen")]
    Server(dashboards::ServerError),
    /// A room does not start.
    #[error("the {room} does not start: {reason}")]
    Room {
        /// Which.
        room: &'static str,
        /// Why.
        reason: String,
    },
}

/// The running program.
#[derive(Debug)]
pub struct App {
    metrics: Arc<MetricStore>,
    logs: Arc<LogStore>,
    catalog: Arc<SqlCatalog>,
    collector: Arc<Collector>,
    analyzer: Arc<Analyzer>,
    autoscaler: Arc<Autoscaler>,
    admin: Arc<ProcessAdmin>,
    stop_serving: CancellationToken,
    server: Option<JoinHandle<()>>,
    url: String,
}

/// The parts that a reload changes.
#[derive(Debug)]
pub(crate) struct Reloadable {
    pub(crate) collector: Arc<Collector>,
    pub(crate) analyzer: Arc<Analyzer>,
    pub(crate) autoscaler: Arc<Autoscaler>,
    pub(crate) external_labels: Arc<parking_lot::RwLock<vocab::Labels>>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) roles: Vec<Role>,
    pub(crate) url: Mutex<String>,
}

impl Reloadable {
    /// Gives every room its part. Rooms that are not among the roles stay idle.
    pub(crate) async fn apply(&self, config: Config) {
        self.external_labels.write().clone_from(&config.external_labels);
        self.limits.replace(config.tenants);
        // The autoscaler first: it adopts running replicas before anything measures them.
        if self.roles.contains(&Role::Autoscaler) {
            self.autoscaler.apply(config.autoscaler).await;
        }
        if self.roles.contains(&Role::Collector) {
            self.collector.apply(config.collector).await;
        }
        if self.roles.contains(&Role::Analyzer) {
            let mut analyzer = config.analyzer;
            self.url.lock().clone_into(&mut analyzer.external_url);
            self.analyzer.apply(analyzer).await;
        }
    }
}

impl App {
    /// Starts everything; when this returns, the API answers.
    ///
    /// # Errors
    /// [`StartError`], one line that says what to do.
    pub async fn start(serve: &Serve, clock: Arc<dyn Clock>, log: LogControl) -> Result<Self, StartError> {
        let config = config::load(serve.config.as_deref()).map_err(StartError::Config)?;
        check_roles(&serve.roles)?;
        let limit =
            memory::limit_bytes(serve.memory_limit.as_deref()).map_err(|e| StartError::Flag(e.message().to_owned()))?;
        let budget = Arc::new(MemoryBudget::new(limit, memory::SHARES));
        let telemetry = Telemetry::new();
        let data_dir = data_dir(serve)?;
        let limits = Limits::new(config.tenants.clone());
        let server_config = server_config(serve, &config, &limits)?;

        let store = open_stores(&data_dir, &config, &limits, &budget, &telemetry, &clock).await?;
        let tenant = TenantId::default();
        let querier = Arc::clone(&store.metrics) as Arc<dyn Querier>;
        let appender = Arc::clone(&store.metrics) as Arc<dyn Appender>;
        let catalog = Arc::clone(&store.catalog) as Arc<dyn Catalog>;
        let searcher = Arc::clone(&store.logs) as Arc<dyn LogSearcher>;
        let analyzer = Arc::new(Analyzer::new(
            AnalyzerDeps {
                querier: Arc::clone(&querier),
                appender: Arc::clone(&appender),
                logs: Arc::clone(&searcher),
                catalog: Arc::clone(&catalog),
                clock: Arc::clone(&clock),
                telemetry: telemetry.clone(),
                memory: budget.pool("queries"),
                engine: server_config.engine.clone(),
            },
            tenant.clone(),
        ));
        let log_appender = analyzer.pattern_stage(Arc::clone(&store.logs) as Arc<dyn LogAppender>);
        let autoscaler = Autoscaler::new(
            AutoscalerDeps {
                querier: Arc::clone(&querier),
                appender: Arc::clone(&appender),
                catalog: Arc::clone(&catalog),
                clock: Arc::clone(&clock),
                telemetry: telemetry.clone(),
                memory: budget.pool("queries"),
                engine: server_config.engine.clone(),
                dir: data_dir.join("process"),
            },
            tenant.clone(),
        );
        let self_metrics = SelfMetrics::new(&telemetry, Arc::clone(&budget), clock.as_ref());
        let collector = Collector::new(
            CollectorDeps {
                appender,
                log_appender,
                catalog: Arc::clone(&catalog),
                clock: Arc::clone(&clock),
                telemetry: telemetry.clone(),
                memory: budget.pool("ingest"),
                limits: Arc::clone(&limits),
                self_metrics: {
                    let own = self_metrics.clone();
                    Arc::new(move || own.encode())
                },
                replicas: replica_source(&autoscaler),
            },
            tenant,
        );
        let sql = Arc::new(SqlEngine::new(Arc::clone(&querier), Arc::clone(&store.logs), Arc::clone(&clock)));
        let reloadable = Reloadable {
            collector: Arc::clone(&collector),
            analyzer: Arc::clone(&analyzer),
            autoscaler: Arc::clone(&autoscaler),
            external_labels: Arc::clone(&server_config.external_labels),
            limits: Arc::clone(&limits),
            roles: serve.roles.clone(),
            url: Mutex::new(String::new()),
        };
        let admin = Arc::new(ProcessAdmin::new(
            reloadable,
            &store,
            budget.clone(),
            self_metrics,
            Arc::clone(&clock),
            log,
            data_dir,
            &config,
        ));
        let receiver: Arc<Receiver> = collector.receiver();
        let ports = Ports {
            querier,
            logs: searcher,
            catalog,
            sql,
            targets: Arc::clone(&collector) as _,
            sources: Arc::clone(&collector) as _,
            rules: analyzer.view(),
            scaling: autoscaler.view(),
            admin: Arc::clone(&admin) as _,
            ingest: receiver,
        };
        let keeper_clock = Arc::clone(&clock);
        let server =
            Server::bind(server_config, ports, clock, &telemetry, &budget).await.map_err(StartError::Server)?;
        let url = format!("http://{}", server.local_addr());
        admin.reloadable().url.lock().clone_from(&url);
        let stop_serving = CancellationToken::new();
        if let Some(retention) = config.storage.catalog_retention {
            let (catalog, clock) = (Arc::clone(&store.catalog) as _, Arc::clone(&keeper_clock));
            tokio::spawn(catalog::keep(catalog, retention, clock, telemetry.clone(), stop_serving.child_token()));
        }
        let server = {
            let stop = stop_serving.clone();
            tokio::spawn(async move {
                if let Err(error) = server.serve(stop.cancelled_owned()).await {
                    tracing::error!(error = %chain(&error), "the API has stopped");
                }
            })
        };
        admin.reloadable().apply(config).await;
        admin.set_ready();
        let Stores { metrics, logs, catalog } = store;
        Ok(Self {
            metrics,
            logs,
            catalog,
            collector,
            analyzer,
            autoscaler,
            admin,
            stop_serving,
            server: Some(server),
            url,
        })
    }

    /// Where the API and the web UI are.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Loads the configuration again; a bad file keeps the old one running.
    pub async fn reload(&self) {
        use vocab::ports::Admin as _;
        match self.admin.reload().await {
            Ok(()) => tracing::info!("configuration loaded"),
            Err(error) => tracing::error!("the configuration was not loaded, the old one stays in force: {error}"),
        }
    }

    /// Stops taking requests and data, finishes what was begun, and writes everything down.
    pub async fn drain(mut self) {
        self.admin.set_stopping();
        self.stop_serving.cancel();
        if let Some(server) = self.server.take()
            && tokio::time::timeout(DRAIN, server).await.is_err()
        {
            tracing::warn!("requests were cut off after {DRAIN:?}");
        }
        self.autoscaler.stop().await;
        self.collector.stop().await;
        self.analyzer.stop().await;
        self.logs.close().await;
        self.metrics.close().await;
        self.catalog.close().await;
    }
}

/// The three stores.
#[derive(Debug)]
pub(crate) struct Stores {
    pub(crate) metrics: Arc<MetricStore>,
    pub(crate) logs: Arc<LogStore>,
    pub(crate) catalog: Arc<SqlCatalog>,
}

async fn open_stores(
    dir: &Path,
    config: &Config,
    limits: &Arc<Limits>,
    budget: &MemoryBudget,
    telemetry: &Telemetry,
    clock: &Arc<dyn Clock>,
) -> Result<Stores, StartError> {
    let room = |room: &'static str, error: &dyn std::error::Error| StartError::Room { room, reason: chain(error) };
    let storage = &config.storage;
    let default_bytes = crate::disk_share::default_retention_bytes(dir);
    let mut metrics_config = MetricStoreConfig::new(dir.to_path_buf());
    metrics_config.tenants = Arc::clone(limits);
    metrics_config.fsync = storage.fsync;
    metrics_config.retention_bytes = storage.metrics.bytes.unwrap_or(default_bytes);
    metrics_config.retention_time = storage.metrics.age;
    metrics_config.downsampling = storage.downsampling;
    if let Some(count) = storage.exemplars_max {
        metrics_config.exemplars_max = count;
    }
    if let Some(window) = storage.out_of_order_window {
        let window_ms = i64::try_from(window.as_millis()).unwrap_or(i64::MAX);
        metrics_config.limits.scrape_window_ms = window_ms;
        metrics_config.limits.write_window_ms = window_ms;
    }
    let counted = telemetry.shared(store::metrics::Metrics::new);
    let metrics = MetricStore::open(metrics_config, budget, counted, Arc::clone(clock)).await.map_err(|e| match e {
        StoreError::Locked { path, pid } => StartError::InUse { path: path.display().to_string(), pid },
        e => room("metric store", &e),
    })?;
    metrics.start();
    let logs_config = LogStoreConfig {
        fsync: storage.fsync,
        retention_bytes: Some(storage.logs.bytes.unwrap_or(default_bytes)),
        retention_age: storage.logs.age,
        ..LogStoreConfig::new(dir.join("logs"))
    };
    let logs =
        LogStore::open(logs_config, budget, telemetry, Arc::clone(clock)).await.map_err(|e| room("log store", &e))?;
    let file = dir.join("catalog.db");
    let catalog = match &storage.catalog {
        Some(server) => SqlCatalog::open_postgres(server, &file, Arc::clone(clock)).await,
        None => SqlCatalog::open(&file, Arc::clone(clock)).await,
    };
    let catalog = catalog.map_err(|e| room("catalog", &e))?;
    Ok(Stores { metrics, logs, catalog: Arc::new(catalog) })
}

fn check_roles(roles: &[Role]) -> Result<(), StartError> {
    if roles.contains(&Role::Store) {
        Ok(())
    } else {
        Err(StartError::Flag("--roles must contain store: a store on another machine is not supported yet".to_owned()))
    }
}

/// The folder for all data, made when absent and proved writable.
fn data_dir(serve: &Serve) -> Result<PathBuf, StartError> {
    let dir = match &serve.data_dir {
        Some(dir) => dir.clone(),
        None => {
            let base = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|p| p.is_absolute());
            let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/share"));
            let base = base
                .or(home)
                .ok_or_else(|| StartError::Flag("neither HOME nor --data-dir says where data goes".to_owned()))?;
            base.join("tidewatch")
        }
    };
    let fail =
        |error: std::io::Error| StartError::DataDir { path: dir.display().to_string(), reason: error.to_string() };
    std::fs::create_dir_all(&dir).map_err(fail)?;
    let probe = dir.join(".writable");
    std::fs::write(&probe, b"").and_then(|()| std::fs::remove_file(&probe)).map_err(fail)?;
    dir.canonicalize().map_err(fail)
}

fn server_config(serve: &Serve, config: &Config, limits: &Arc<Limits>) -> Result<ServerConfig, StartError> {
    let auth = match &serve.auth_token_file {
        None => None,
        Some(file) => {
            let fail = |reason: String| StartError::Flag(format!("--auth-token-file {}: {reason}", file.display()));
            let text = std::fs::read_to_string(file).map_err(|e| fail(e.to_string()))?;
            Some(AuthTokens::parse(&text).map_err(fail)?)
        }
    };
    let mut flags = std::collections::BTreeMap::new();
    flags.insert("listen".to_owned(), serve.listen.to_string());
    flags.insert("config".to_owned(), serve.config.as_ref().map(|p| p.display().to_string()).unwrap_or_default());
    flags.insert("data-dir".to_owned(), serve.data_dir.as_ref().map(|p| p.display().to_string()).unwrap_or_default());
    flags.insert("memory-limit".to_owned(), serve.memory_limit.clone().unwrap_or_default());
    flags.insert("enable-admin-api".to_owned(), serve.enable_admin_api.to_string());
    flags.insert("log".to_owned(), serve.log.clone());
    let server = ServerConfig {
        auth,
        allowed_hosts: serve.allowed_hosts.clone(),
        external_labels: Arc::new(parking_lot::RwLock::new(config.external_labels.clone())),
        flags,
        limits: Arc::clone(limits),
        enable_admin_api: serve.enable_admin_api,
        ..ServerConfig::new(serve.listen)
    };
    let mut problems = Problems::default();
    server.check(&mut problems);
    problems.into_result(server).map_err(StartError::Config)
}

/// The replicas that the process orchestrator supervises, as the collector asks for them.
fn replica_source(autoscaler: &Arc<Autoscaler>) -> collector::ReplicaSource {
    let autoscaler = Arc::clone(autoscaler);
    Arc::new(move || {
        let replicas = autoscaler.process_replicas();
        replicas
            .into_iter()
            .map(|r| ProcessReplica { cluster: r.cluster, service: r.service, replica: r.replica, pid: r.pid })
            .collect()
    })
}
