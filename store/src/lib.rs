//! The metric engine, the log engine, the catalog and SQL.
//!
//! Reading order: [`disk`] and [`wal`] are what both engines stand on; [`metrics`] is what the store counts. The metric engine is
//! [`db`] (the store that is opened), `head` (the newest samples in memory), `block` (the rest on disk), `codec` (samples as
//! bytes), `compact`, `downsample`, `retention` and `tombstones` (what becomes of blocks), `snapshot` (a copy of them), `row_file` (plain rows for others), `query` (answers from both).

mod block;
mod cardinality;
pub mod catalog;
mod codec;
mod compact;
pub mod db;
pub mod disk;
mod downsample;
pub mod error;
mod head;
pub mod logs;
pub mod metrics;
mod partition;
mod query;
mod retention;
mod row_file;
mod snapshot;
pub mod sql;
mod tombstones;
pub mod wal;

pub use db::{MetricStore, MetricStoreConfig};
pub use error::StoreError;
pub use head::HeadLimits;
pub use logs::{LogError, LogStore, LogStoreConfig};
pub use row_file::RowFileWriter;
pub use sql::SqlEngine;
