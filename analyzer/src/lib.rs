//! What the data means: rules, anomaly scores, forecasts, log patterns, tickets, inspection reports.
//!
//! [`Analyzer`] is the whole room: made once with the ports it works through, told what to do by an [`AnalyzerConfig`], looked
//! into through `RuleView`. [`rules`] evaluates Prometheus rules with the [`template`] language of their annotations;
//! [`tickets`] follow firing alerts and [`notify`] passes them on; [`logs`] mines patterns at ingest. Results go where everything goes:
//! series to the store, rows to the catalog.

mod analyzer;
pub mod config;
mod deps;
pub mod error;
mod evaluate;
pub mod logs;
mod metrics;
pub mod notify;
pub mod report;
pub mod rules;
mod tasks;
pub mod template;
#[cfg(test)]
pub(crate) mod testing;
mod ticker;
pub mod tickets;
pub mod watch;

pub use analyzer::Analyzer;
pub use config::AnalyzerConfig;
pub use deps::AnalyzerDeps;
