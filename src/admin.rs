//! The running process as its operator sees it.

use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use store::{LogStore, MetricStore};
use vocab::ports::Admin;
use vocab::ports::admin::{Deletion, PoolStatus, ProcessStatus, StoreStatus};
use vocab::time::TimestampMs;
use vocab::{Clock, Ctx, ErrorKind, MemoryBudget, PortError, PortResult};

use crate::app::{Reloadable, Stores};
use crate::config::{self, Config};
use crate::logging::LogControl;
use crate::memory::resident_bytes;
use crate::self_metrics::SelfMetrics;

/// Implements [`Admin`] over the rooms.
#[derive(Debug)]
pub struct ProcessAdmin {
    reloadable: Reloadable,
    metrics: Arc<MetricStore>,
    logs: Arc<LogStore>,
    budget: Arc<MemoryBudget>,
    self_metrics: SelfMetrics,
    clock: Arc<dyn Clock>,
    log: LogControl,
    data_dir: PathBuf,
    config_file: Option<PathBuf>,
    started_at_ms: TimestampMs,
    state: Mutex<State>,
    /// One reload at a time.
    reloading: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    shown: String,
    problem: String,
    loaded_at_ms: TimestampMs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Starting,
    Ready,
    Stopping,
}

impl ProcessAdmin {
    /// The admin of a process that is starting.
    #[allow(clippy::too_many_arguments, reason = "called once, where everything is put together")]
    pub(crate) fn new(
        reloadable: Reloadable,
        stores: &Stores,
        budget: Arc<MemoryBudget>,
        self_metrics: SelfMetrics,
        clock: Arc<dyn Clock>,
        log: LogControl,
        data_dir: PathBuf,
        config: &Config,
    ) -> Self {
        let now = clock.now_ms();
        let state =
            State { phase: Phase::Starting, shown: config.shown.clone(), problem: String::new(), loaded_at_ms: now };
        Self {
            reloadable,
            metrics: Arc::clone(&stores.metrics),
            logs: Arc::clone(&stores.logs),
            budget,
            self_metrics,
            clock,
            log,
            data_dir,
            config_file: config.file.clone(),
            started_at_ms: now,
            state: Mutex::new(state),
            reloading: tokio::sync::Mutex::new(()),
        }
    }

    pub(crate) fn reloadable(&self) -> &Reloadable {
        &self.reloadable
    }

    pub(crate) fn set_ready(&self) {
        self.state.lock().phase = Phase::Ready;
    }

    pub(crate) fn set_stopping(&self) {
        self.state.lock().phase = Phase::Stopping;
    }

    fn store_status(&self) -> StoreStatus {
        let mut status = self.metrics.status();
        self.logs.status(&mut status);
        status
    }
}

#[async_trait]
impl Admin for ProcessAdmin {
    async fn flush(&self) -> PortResult<()> {
        self.metrics.flush().await.map_err(PortError::from)?;
        self.logs.flush().await.map_err(PortError::from)
    }

    async fn compact(&self) -> PortResult<()> {
        self.metrics.compact().await.map_err(PortError::from)?;
        self.logs.compact().await.map_err(PortError::from)
    }

    async fn delete_series(&self, ctx: &Ctx, deletion: Deletion) -> PortResult<()> {
        self.metrics.delete_series(ctx, deletion).await.map_err(PortError::from)
    }

    async fn clean_tombstones(&self, ctx: &Ctx) -> PortResult<()> {
        self.metrics.clean_tombstones(&ctx.tenant).await.map_err(PortError::from)
    }

    async fn snapshot(&self, ctx: &Ctx, skip_head: bool) -> PortResult<String> {
        self.metrics.snapshot(&ctx.tenant, skip_head).await.map_err(PortError::from)
    }

    async fn reload(&self) -> PortResult<()> {
        let _one_at_a_time = self.reloading.lock().await;
        match config::load(self.config_file.as_deref()) {
            Ok(config) => {
                {
                    let mut state = self.state.lock();
                    config.shown.clone_into(&mut state.shown);
                    state.problem.clear();
                    state.loaded_at_ms = self.clock.now_ms();
                }
                self.reloadable.apply(config).await;
                Ok(())
            }
            Err(problems) => {
                let text = problems.to_string();
                self.state.lock().problem.clone_from(&text);
                Err(PortError::new(ErrorKind::Invalid, text))
            }
        }
    }

    async fn status(&self) -> ProcessStatus {
        let memory = self.budget.pools().map(|p| PoolStatus {
            name: p.name().to_owned(),
            limit_bytes: p.limit_bytes() as u64,
            used_bytes: p.used_bytes() as u64,
        });
        let mut tasks = self.reloadable.analyzer.tasks();
        tasks.sort_by(|a, b| a.name.cmp(&b.name));
        let store = self.store_status();
        let mut warnings = store.damaged.clone();
        if !store.refusing_writes.is_empty() {
            warnings.push(store.refusing_writes.clone());
        }
        let state = self.state.lock();
        if !state.problem.is_empty() {
            warnings.push(format!("the configuration was not loaded, the old one is in force: {}", state.problem));
        }
        ProcessStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at_ms: self.started_at_ms,
            data_dir: self.data_dir.display().to_string(),
            config_file: self.config_file.as_ref().map(|p| p.display().to_string()).unwrap_or_default(),
            config_yaml: state.shown.clone(),
            config_problem: state.problem.clone(),
            config_loaded_at_ms: state.loaded_at_ms,
            memory: memory.collect(),
            memory_limit_bytes: self.budget.total_bytes() as u64,
            resident_bytes: resident_bytes(),
            store,
            tasks,
            warnings,
        }
    }

    async fn ready(&self) -> Result<(), String> {
        match self.state.lock().phase {
            Phase::Starting => return Err("starting".to_owned()),
            Phase::Stopping => return Err("stopping".to_owned()),
            Phase::Ready => {}
        }
        let refusing = self.store_status().refusing_writes;
        if refusing.is_empty() { Ok(()) } else { Err(refusing) }
    }

    fn set_log_filter(&self, filter: &str) -> PortResult<()> {
        self.log.set(filter)
    }

    fn metrics_text(&self) -> String {
        self.self_metrics.encode()
    }
}
