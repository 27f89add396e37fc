//! The metric engine, the log engine, the catalog and SQL.
//!
//! Reading order: [`disk`] and [`wal`] are what both engines stand on; [`metrics`] is what the store counts.

pub mod catalog;
pub mod disk;
pub mod logs;
pub mod metrics;
pub mod sql;
pub mod wal;
