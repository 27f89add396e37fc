//! Operations on the running process.

use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::{ErrorKind, PortError, PortResult};
use crate::matcher::Matcher;
use crate::time::TimestampMs;

/// One memory share and its use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PoolStatus {
    /// Its name.
    pub name: String,
    /// Its limit in bytes.
    pub limit_bytes: u64,
    /// Bytes in use.
    pub used_bytes: u64,
}

/// What the store holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct StoreStatus {
    /// Series in the head, all tenants.
    pub head_series: u64,
    /// Samples in the head.
    pub head_samples: u64,
    /// Oldest sample of the head.
    pub head_min_time_ms: Option<TimestampMs>,
    /// Newest sample of the head.
    pub head_max_time_ms: Option<TimestampMs>,
    /// Metric blocks.
    pub blocks: u64,
    /// Bytes of metric blocks.
    pub blocks_bytes: u64,
    /// Bytes of the metric WAL.
    pub metrics_wal_bytes: u64,
    /// Log splits.
    pub splits: u64,
    /// Bytes of log splits.
    pub splits_bytes: u64,
    /// Bytes of the log WAL.
    pub logs_wal_bytes: u64,
    /// Log records not yet in a split.
    pub head_records: u64,
    /// Log records in splits.
    pub split_records: u64,
    /// Blocks and splits set aside as damaged, each with its reason.
    pub damaged: Vec<String>,
    /// Why writes are refused now, or empty.
    pub refusing_writes: String,
}

/// A periodic task and its last run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskStatus {
    /// Its name.
    pub name: String,
    /// How often it runs, in seconds.
    pub interval_seconds: f64,
    /// When its last run ended.
    pub last_run_ms: Option<TimestampMs>,
    /// How long that took, in seconds.
    pub last_seconds: f64,
    /// What it did or why it failed.
    pub last_result: String,
    /// Whether it failed.
    pub failed: bool,
}

/// The process as its operator sees it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ProcessStatus {
    /// Its version.
    pub version: String,
    /// When it started.
    pub started_at_ms: TimestampMs,
    /// Where its data is.
    pub data_dir: String,
    /// The configuration file; empty for none.
    pub config_file: String,
    /// The configuration in force, secrets left out.
    pub config_yaml: String,
    /// Result of the last reload: empty when it worked.
    pub config_problem: String,
    /// When the configuration was last loaded successfully.
    pub config_loaded_at_ms: TimestampMs,
    /// Memory shares.
    pub memory: Vec<PoolStatus>,
    /// The whole budget in bytes.
    pub memory_limit_bytes: u64,
    /// Resident memory now.
    pub resident_bytes: u64,
    /// The store.
    pub store: StoreStatus,
    /// Periodic tasks.
    pub tasks: Vec<TaskStatus>,
    /// Things an operator should know (a pipe that is not read, a key that has no effect here).
    pub warnings: Vec<String>,
}

/// Which samples of a tenant are to be deleted.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Deletion {
    /// Each inner list is one `match[]`; samples of a series that satisfies one of them go.
    pub any_of: Vec<Vec<Matcher>>,
    /// First time, included.
    pub start_ms: TimestampMs,
    /// Last time, included.
    pub end_ms: TimestampMs,
}

fn no_such_store<T>() -> PortResult<T> {
    Err(PortError::new(ErrorKind::Unavailable, "this store has no blocks of metrics"))
}

/// Operations on the running process.
#[async_trait]
pub trait Admin: Send + Sync + Debug {
    /// Returns when everything acknowledged is in blocks or splits on disk and the WAL is cut.
    ///
    /// # Errors
    /// `Unavailable` when the disk is full.
    async fn flush(&self) -> PortResult<()>;
    /// Returns when no merge is due any more.
    ///
    /// # Errors
    /// As [`Admin::flush`].
    async fn compact(&self) -> PortResult<()>;
    /// Deletes samples of the context's tenant: queries no longer see them when this returns, and it stays so after a
    /// crash. What is written afterwards is not concerned.
    ///
    /// # Errors
    /// As [`Admin::flush`]; `Limit` when too many deletions wait to be cleaned up.
    async fn delete_series(&self, _ctx: &Ctx, _deletion: Deletion) -> PortResult<()> {
        no_such_store()
    }
    /// Returns when nothing of what the context's tenant deleted is on disk any more.
    ///
    /// # Errors
    /// As [`Admin::flush`].
    async fn clean_tombstones(&self, _ctx: &Ctx) -> PortResult<()> {
        no_such_store()
    }
    /// Makes a folder below `snapshots` in the data folder that holds the metrics of the context's tenant as they are
    /// now (`skip_head`: only what is in blocks already), and gives its name. It shares its files with the store.
    ///
    /// # Errors
    /// As [`Admin::flush`].
    async fn snapshot(&self, _ctx: &Ctx, _skip_head: bool) -> PortResult<String> {
        no_such_store()
    }
    /// Loads the configuration again.
    ///
    /// # Errors
    /// `Invalid` with all mistakes; the old configuration stays in force.
    async fn reload(&self) -> PortResult<()>;
    /// The process's state.
    async fn status(&self) -> ProcessStatus;
    /// Whether everything is started and writes are taken; the reason when not.
    async fn ready(&self) -> Result<(), String>;
    /// Sets the log filter at run time (`info`, `store=debug,info`).
    ///
    /// # Errors
    /// `Invalid` when the filter cannot be read.
    fn set_log_filter(&self, filter: &str) -> PortResult<()>;
    /// Our own metrics in the OpenMetrics text format.
    fn metrics_text(&self) -> String;
}
