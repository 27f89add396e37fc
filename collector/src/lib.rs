//! Discovery, scraping, host, containers, HAProxy and log sources: everything that brings data in.
//!
//! [`Collector`] is the room's front: built once with its [`CollectorDeps`], it is given a [`config::CollectorConfig`]
//! at start and at every reload, and drains when it is stopped. [`push::Receiver`] decodes what others push.
//!
//! Reading order. Scraping: `discovery` yields target groups, `relabel` and `target` make targets of them, `scrape_pool` keeps
//! one `scrape_loop` per target, which uses `fetch`, [`exposition`] and `scrape_cache`. Built-in metric sources: `host`,
//! `containers`, `self_source` and `haproxy` make a `snapshot` each round. Logs: `tail` and `multiline` read files, `journal`,
//! `kmsg` and `system_logs` the system's log, `syslog` receives; `parse_line` makes sense of lines; `log_sink` writes them.
//! `entities` notes in the catalog what was seen, `sources` how each source does.

pub mod collector;
pub mod config;
mod containers;
mod discovery;
mod entities;
pub mod error;
pub mod exposition;
pub mod fetch;
mod haproxy;
mod host;
mod journal;
mod kmsg;
mod log_sink;
pub mod metrics;
pub mod multiline;
pub mod parse_line;
pub mod push;
pub mod relabel;
mod scrape_cache;
mod scrape_loop;
mod scrape_pool;
mod self_source;
mod shared;
mod snapshot;
mod sources;
mod syslog;
mod system_logs;
mod tail;
mod target;
mod ticker;

#[cfg(test)]
mod testing;

pub use collector::{Collector, CollectorDeps, ProcessReplica, ReplicaSource, SelfMetrics};
