//! The traits at the edges between rooms.
//!
//! Async at the door, plain CPU work behind it. Implementations of [`append`], [`query`], [`logs`], [`catalog`] and
//! [`sql`] are in `store`; the views are implemented by the rooms they look into; `dashboards` only uses them.

pub mod admin;
pub mod append;
pub mod catalog;
pub mod ingest;
pub mod logs;
pub mod query;
pub mod sql;
pub mod views;

pub use admin::Admin;
pub use append::{AppendOutcome, Appender, WriteBatch};
pub use catalog::Catalog;
pub use ingest::Ingest;
pub use logs::{LogAppender, LogSearcher};
pub use query::{Fragment, Querier, SelectRequest};
pub use sql::Sql;
pub use views::{RuleView, ScalingView, SourceView, TargetView};
