//! The metric store: log, head and blocks put together.

mod config;
mod delete;
mod flush;
mod limits;
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
use vocab::{Clock, Ctx, MemoryBudget, TenantId};

use crate::block::BlockSet;
use crate::disk::{Disk, OsDisk};
use crate::error::StoreError;
use crate::head::{Head, Replay, ReplayReport};
use crate::metrics::Metrics;
use crate::query::run::Sources;
use crate::snapshot;
use crate::tombstones::Tombstones;
use crate::wal::{Wal, WalConfig, WalReport};

pub use config::MetricStoreConfig;
use lock::FolderLock;

/// Name of the memory share that the head draws on.
pub const HEAD_POOL: &str = "head";

/// Name of the memory share that indexes of blocks draw on.
pub const CACHE_POOL: &str = "caches";

/// Part of the whole memory that the index of a merged block may take while it is made.
const MERGE_PERCENT: usize = 10;

/// About what one series takes then: its labels, its place in the postings, its chunks.
const MERGED_SERIES_BYTES: usize = 320;

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
    /// Most series of blocks that are merged.
    merged_series_max: u64,
    rates: limits::Rates,
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
        let merged_series_max = (budget.total_bytes() / 100 * MERGE_PERCENT / MERGED_SERIES_BYTES) as u64;
        let (head_pool, cache_pool) = (budget.pool(HEAD_POOL), budget.pool(CACHE_POOL));
        let store = blocking(move || {
            let folder = config.dir.join("metrics");
            std::fs::create_dir_all(&folder).map_err(|e| StoreError::io("create the folder", &folder, e))?;
            let lock = FolderLock::take(&folder)?;
            let tombstones = Tombstones::load(&folder.join("tombstones"))?;
            let blocks =
                Arc::new(BlockSet::load(&folder.join("blocks"), tombstones, &cache_pool, Arc::clone(&metrics))?);
            let head = Arc::new(Head::new(config.exemplars_max, &head_pool));
            tenants::load(&folder.join("tenants"), &head)?;
            let wal = WalConfig { fsync: config.fsync, ..WalConfig::new("metrics", folder.join("wal")) };
            let (wal, reader) = Wal::open(wal, Arc::clone(&disk), Arc::clone(&metrics))?;
            let mut replay = Replay::new(&head);
            let replayed = reader.replay(|_, record| replay.record(record));
            report_replay(replay.finish(), &replayed);
            head.set_time(clock.now_ms());
            let downsampling = config.downsampling;
            Ok(Self {
                config,
                clock,
                metrics,
                disk,
                wal,
                sources: Sources { head, blocks, downsampling },
                gate: tokio::sync::RwLock::default(),
                maintenance: tokio::sync::Mutex::default(),
                wake: Arc::default(),
                closing: AtomicBool::new(false),
                merged_series_max,
                rates: limits::Rates::default(),
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

    /// Makes a folder below `snapshots` in the data folder with a tenant's metrics as they are now, and gives its name. It is a
    /// data folder by itself and shares its files with the store. With `skip_head` only what is in blocks already is in it.
    ///
    /// # Errors
    /// When the head cannot be moved into blocks, or the folder's file system has no hard links.
    pub async fn snapshot(&self, tenant: &TenantId, skip_head: bool) -> Result<String, StoreError> {
        let mut state = self.maintenance.lock().await;
        if !skip_head {
            self.flush_locked(&mut state).await?;
        }
        let now_ms = self.clock.now_ms();
        let (set, dir, tenant) = (Arc::clone(&self.sources.blocks), self.config.dir.clone(), tenant.clone());
        let side = self.folder().join("tenants").join(format!("{tenant}.json"));
        blocking(move || {
            let name = snapshot::name(now_ms, set.next_ulid(now_ms));
            snapshot::write(&dir, &name, &set, &tenant, &side)?;
            Ok(name)
        })
        .await
    }

    /// What the store holds. Fields that concern logs are left at zero. Reads counters only.
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

/// Runs work of a query on this thread, letting the other tasks of it go on elsewhere, unless it is to be brief: a query's own
/// thread, which the server gives to each, is not changed twice for what often takes less than a change does. Where there is only
/// one thread, another one takes the work.
pub(crate) async fn inline<T: Send + 'static>(
    ctx: &Ctx,
    work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    if ctx.cancel.is_brief() {
        return work();
    }
    match Handle::current().runtime_flavor() {
        RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => blocking(work).await,
    }
}

#[cfg(test)]
mod tests;
