//! The log engine: records in a write-ahead log and in memory until they are in splits on disk.
//!
//! A batch is acknowledged once it is in the write-ahead log; from then on it is found. Recent records are scanned in memory;
//! a flush sorts them into a split ([`split`]), which has a Parquet file for the records and a full-text index beside it. Small
//! splits are merged, old ones removed. [`query`] is the query language and the one definition of what it means.
//!
//! Reading order: [`config`], [`error`], [`tokens`], [`query`], [`cursor`], [`codec`], [`split`], [`tenant`], [`engine`]; then
//! what the engine does: `open`, `append`, `flush`, `merge`, `search`, `aggregate`, `tail`, `scan`.

pub(crate) mod aggregate;
pub(crate) mod append;
pub(crate) mod codec;
pub(crate) mod config;
pub(crate) mod cursor;
pub(crate) mod engine;
pub(crate) mod error;
pub(crate) mod flush;
pub(crate) mod merge;
pub(crate) mod open;
pub(crate) mod query;
pub(crate) mod scan;
pub(crate) mod search;
pub(crate) mod split;
pub(crate) mod tail;
pub(crate) mod tenant;
#[cfg(test)]
mod tests;
pub(crate) mod tokens;

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::stream::BoxStream;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use vocab::ports::admin::StoreStatus;
use vocab::ports::logs::{
    Direction, FacetValue, FoundRecord, HistogramBucket, LogAppendOutcome, LogAppender, LogBatch, LogQuery,
    LogSearcher, PatternCount,
};
use vocab::telemetry::Telemetry;
use vocab::{Clock, Ctx, ErrorKind, LogRecord, MemoryBudget, PortError, PortResult};

pub use append::{BATCH_BYTES_MAX, RECORD_BYTES_MAX, RECORD_FIELDS_MAX, RECORD_PAIR_BYTES_MAX};
pub use config::LogStoreConfig;
pub use error::LogError;
pub use search::SEARCH_RECORDS_MAX;

use crate::disk::{Disk, OsDisk};
use crate::metrics::Metrics;
use cursor::Key;
use engine::Engine;
use query::Query;

/// Name of the memory share of recent records and of writing splits.
const POOL: &str = "logs";
/// How often the background task looks whether a flush is due.
const FLUSH_CHECK: Duration = Duration::from_secs(2);
/// How often merges and retention are looked at.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(30);

/// The log store.
#[derive(Debug)]
pub struct LogStore {
    pub(crate) engine: Arc<Engine>,
    stop: watch::Sender<bool>,
    tasks: Mutex<Vec<JoinHandle<()>>>,
}

impl LogStore {
    /// Opens the store, brings back what the write-ahead log holds, and starts the background work. Memory comes from the
    /// share `logs` of the budget.
    ///
    /// # Errors
    /// When the folder cannot be made or read. Damaged splits are no error: they are set aside and named in the status.
    pub async fn open(
        config: LogStoreConfig,
        budget: &MemoryBudget,
        telemetry: &Telemetry,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, LogError> {
        Self::open_on(config, Arc::new(OsDisk), budget, telemetry, clock).await
    }

    async fn open_on(
        config: LogStoreConfig,
        disk: Arc<dyn Disk>,
        budget: &MemoryBudget,
        telemetry: &Telemetry,
        clock: Arc<dyn Clock>,
    ) -> Result<Arc<Self>, LogError> {
        let (pool, metrics) = (budget.pool(POOL), telemetry.shared(Metrics::new));
        let open = tokio::task::spawn_blocking(move || Engine::open(config, disk, pool, metrics, clock));
        let engine = Arc::new(open.await.map_err(|_| LogError::Task)??);
        let (stop, stopped) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(flush_in_background(Arc::clone(&engine), stopped.clone())),
            tokio::spawn(keep_in_background(Arc::clone(&engine), stopped)),
        ];
        Ok(Arc::new(Self { engine, stop, tasks: Mutex::new(tasks) }))
    }

    /// Returns when everything acknowledged before the call is in splits on disk and the write-ahead log is cut.
    ///
    /// # Errors
    /// When the disk is full or fails; nothing is lost, and the next flush tries again.
    pub async fn flush(&self) -> Result<(), LogError> {
        self.engine.flush().await
    }

    /// Returns when no merge of splits is due any more.
    ///
    /// # Errors
    /// As [`LogStore::flush`].
    pub async fn compact(&self) -> Result<(), LogError> {
        self.engine.compact().await
    }

    /// Fills in what the log engine knows of a status: splits, head records, write-ahead log, damage.
    pub fn status(&self, status: &mut StoreStatus) {
        self.engine.status(status);
    }

    /// Stops the background work and makes the write-ahead log durable; later writes are refused, reads go on.
    pub async fn close(&self) {
        self.stop.send_replace(true);
        let tasks = std::mem::take(&mut *self.tasks.lock());
        for task in tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a background task of the log engine ended badly");
            }
        }
        self.engine.wal.close().await;
    }

    /// Runs reading work where blocking is allowed.
    async fn read<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        work: impl FnOnce(&Engine, &Ctx, &Query) -> PortResult<T> + Send + 'static,
    ) -> PortResult<T> {
        let query = Query::compile(query)?;
        let (engine, ctx) = (Arc::clone(&self.engine), ctx.clone());
        tokio::task::spawn_blocking(move || work(&engine, &ctx, &query))
            .await
            .map_err(|e| PortError::with_source(ErrorKind::Internal, "a log search ended without an answer", e))?
    }
}

async fn flush_in_background(engine: Arc<Engine>, mut stopped: watch::Receiver<bool>) {
    loop {
        let wanted = tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = engine.flush_wanted.notified() => true,
            () = engine.clock.sleep(FLUSH_CHECK) => engine.flush_due(),
        };
        if wanted && engine.flush().await.is_err() {
            // The flush has said why; trying again at once would only say it again.
            tokio::select! {
                _ = stopped.wait_for(|stop| *stop) => return,
                () = engine.clock.sleep(FLUSH_CHECK) => {}
            }
        }
    }
}

async fn keep_in_background(engine: Arc<Engine>, mut stopped: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            () = engine.clock.sleep(UPKEEP_INTERVAL) => {}
        }
        engine.apply_retention().await;
        if let Err(error) = engine.compact().await {
            tracing::warn!(error = vocab::error::chain(&error), "log splits cannot be merged; it is tried again");
        }
    }
}

#[async_trait]
impl LogAppender for LogStore {
    async fn append(&self, ctx: &Ctx, batch: LogBatch) -> PortResult<LogAppendOutcome> {
        self.engine.append(ctx, batch).await
    }
}

#[async_trait]
impl LogSearcher for LogStore {
    async fn search(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        direction: Direction,
        limit: usize,
        after: Option<&str>,
    ) -> PortResult<Vec<FoundRecord>> {
        let after = after.map(Key::parse).transpose()?;
        self.read(ctx, query, move |engine, ctx, query| engine.search(ctx, query, direction, limit, after)).await
    }

    async fn histogram(&self, ctx: &Ctx, query: &LogQuery, num_buckets: usize) -> PortResult<Vec<HistogramBucket>> {
        self.read(ctx, query, move |engine, ctx, query| engine.histogram(ctx, query, num_buckets)).await
    }

    async fn facet(&self, ctx: &Ctx, query: &LogQuery, name: &str, limit: usize) -> PortResult<Vec<FacetValue>> {
        let name = name.to_owned();
        self.read(ctx, query, move |engine, ctx, query| engine.facet(ctx, query, &name, limit)).await
    }

    async fn patterns(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        num_buckets: usize,
        limit: usize,
    ) -> PortResult<Vec<PatternCount>> {
        self.read(ctx, query, move |engine, ctx, query| engine.patterns(ctx, query, num_buckets, limit)).await
    }

    async fn field_names(&self, ctx: &Ctx, query: &LogQuery, limit: usize) -> PortResult<Vec<FacetValue>> {
        self.read(ctx, query, move |engine, ctx, query| engine.field_names(ctx, query, limit)).await
    }

    async fn tail(&self, ctx: &Ctx, query: &LogQuery) -> PortResult<BoxStream<'static, LogRecord>> {
        Ok(self.engine.tail(ctx, Query::compile(query)?))
    }
}
