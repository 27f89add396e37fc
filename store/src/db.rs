//! The metric store: log, head and blocks put together.

mod config;
mod flush;
mod lock;
mod maintain;
mod ports;
mod tenants;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use vocab::ports::admin::StoreStatus;
use vocab::{Clock, MemoryBudget};

use crate::block::BlockSet;
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::head::{Head, Replay, ReplayReport};
use crate::metrics::Metrics;
use crate::query::run::Sources;
use crate::wal::{Wal, WalConfig, WalReport};

pub use config::MetricStoreConfig;
use lock::FolderLock;

/// Name of the memory share that the head draws on.
pub const HEAD_POOL: &str = "head";

/// Name of the memory share that indexes of blocks draw on.
pub const CACHE_POOL: &str = "caches";

/// The metric store of a data folder. Implements [`vocab::ports::Appender`] and [`vocab::ports::Querier`].
#[derive(Debug)]
pub struct MetricStore {
    config: MetricStoreConfig,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    disk: Arc<dyn Disk>,
    wal: Arc<Wal>,
    sources: Sources,
    /// Held for reading by appends, for writing by whoever ends a generation.
    gate: tokio::sync::RwLock<()>,
    /// One flush, merge or retention at a time.
    maintenance: tokio::sync::Mutex<maintain::State>,
    wake: Arc<Notify>,
    closing: AtomicBool,
    background: Mutex<Option<JoinHandle<()>>>,
    replayed: WalReport,
    _lock: FolderLock,
}

impl MetricStore {
    /// Opens the store of a data folder, which is made when absent: lists its blocks and replays its log.
    ///
    /// Draws on the shares [`HEAD_POOL`] and [`CACHE_POOL`] of the budget.
    ///
    /// # Errors
    /// When the folder cannot be made or written, or another process has it open. Damaged files are set aside and are no error;
    /// see [`MetricStore::status`].
    pub async fn open(
        config: MetricStoreConfig,
        budget: &MemoryBudget,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, StoreError> {
        Self::open_on(config, budget, metrics, clock, Arc::new(OsDisk)).await
    }

    async fn open_on(
        config: MetricStoreConfig,
        budget: &MemoryBudget,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
        disk: Arc<dyn Disk>,
    ) -> Result<Arc<Self>, StoreError> {
        let (head_pool, cache_pool) = (budget.pool(HEAD_POOL), budget.pool(CACHE_POOL));
        let store = blocking(move || {
            let folder = config.dir.join("metrics");
            std::fs::create_dir_all(&folder).map_err(|e| StoreError::io("create the folder", &folder, e))?;
            let lock = FolderLock::take(&folder)?;
            let blocks = Arc::new(BlockSet::load(&folder.join("blocks"), &cache_pool, Arc::clone(&metrics))?);
            let head = Arc::new(Head::new(config.limits, &head_pool));
            tenants::load(&folder.join("tenants"), &head)?;
            let wal = WalConfig { fsync: config.fsync, ..WalConfig::new("metrics", folder.join("wal")) };
            let (wal, reader) = Wal::open(wal, Arc::clone(&disk), Arc::clone(&metrics))?;
            let mut replay = Replay::new(&head);
            let replayed = reader.replay(|_, record| replay.record(record));
            report_replay(replay.finish(), &replayed);
            Ok(Self {
                config,
                clock,
                metrics,
                disk,
                wal,
                sources: Sources { head, blocks },
                gate: tokio::sync::RwLock::default(),
                maintenance: tokio::sync::Mutex::default(),
                wake: Arc::default(),
                closing: AtomicBool::new(false),
                background: Mutex::new(None),
                replayed,
                _lock: lock,
            })
        });
        Ok(Arc::new(store.await?))
    }

    /// Starts the task that flushes, merges and applies retention until the store is closed or dropped.
    pub fn start(self: &Arc<Self>) {
        let mut background = self.background.lock();
        if background.is_none() {
            let task = maintain::run(Arc::downgrade(self), Arc::clone(&self.wake), Arc::clone(&self.clock));
            *background = Some(tokio::spawn(task));
        }
    }

    /// Stops taking writes and ends the background task and the log. What is acknowledged is in the log and is there again
    /// at the next start; queries go on.
    pub async fn close(&self) {
        self.closing.store(true, Ordering::Release);
        self.wake.notify_one();
        let background = self.background.lock().take();
        if let Some(task) = background {
            // It may wait for the clock, which a test may have stopped; nothing it does is lost by ending it, because blocks are
            // published in one step.
            let running = self.maintenance.lock().await;
            task.abort();
            drop(running);
            drop(task.await);
        }
        let appends = self.gate.write().await;
        self.wal.close().await;
        drop(appends);
    }

    /// What the store holds. Fields that concern logs are left at zero. Reads counters and walks the head.
    pub fn status(&self) -> StoreStatus {
        let extent = self.sources.head.extent();
        let blocks = self.sources.blocks.all();
        let mut damaged = self.sources.blocks.damaged();
        damaged.extend(self.replayed.damaged.iter().cloned());
        StoreStatus {
            head_series: extent.num_series,
            head_samples: extent.num_samples,
            head_min_time_ms: extent.min_time,
            head_max_time_ms: extent.max_time,
            blocks: blocks.len() as u64,
            blocks_bytes: blocks.iter().map(|b| b.meta().num_bytes()).sum(),
            metrics_wal_bytes: self.wal.size_bytes(),
            damaged,
            refusing_writes: self.refusing_writes(),
            ..StoreStatus::default()
        }
    }

    /// What the replay of the log met when the store was opened.
    pub fn replayed(&self) -> &WalReport {
        &self.replayed
    }

    fn refusing_writes(&self) -> String {
        if self.closing.load(Ordering::Acquire) {
            return "the store is closing".to_owned();
        }
        self.wal.refusing().unwrap_or_default()
    }

    fn folder(&self) -> PathBuf {
        self.config.dir.join("metrics")
    }
}

fn report_replay(replay: ReplayReport, report: &WalReport) {
    if replay.num_orphans > 0 {
        tracing::error!(
            num_samples = replay.num_orphans,
            "samples in the log belong to series whose labels were lost to damage"
        );
    }
    if replay.num_strange > 0 {
        tracing::error!(num_records = replay.num_strange, "records in the log could not be understood");
    }
    if report.num_records > 0 {
        tracing::info!(
            num_records = report.num_records,
            num_samples = replay.num_samples,
            num_bytes = report.num_bytes,
            "replayed the write-ahead log"
        );
    }
}

/// Runs work that blocks on files or computes for long away from the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| StoreError::Closed)?
}

/// Runs work of a query on this thread, letting the other tasks of it go on elsewhere: a query's own thread, which the server
/// gives to each, is not changed twice for what often takes less than a change does. Where there is only one thread, another one
/// takes the work.
pub(crate) async fn inline<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => blocking(work).await,
    }
}

#[cfg(test)]
mod tests;
