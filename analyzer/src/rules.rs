//! Prometheus rules: recording and alerting.
//!
//! [`file`] reads and checks rule files, [`defaults`] are the built-in ones; [`group`] evaluates the rules of a group one after the
//! other and writes their results; [`alerting`] keeps what an alerting rule remembers between rounds, and [`restore`] gives it
//! back after a restart.

pub mod alerting;
pub mod defaults;
pub mod expand;
pub mod file;
pub mod group;
pub mod restore;

pub use file::{GroupConfig, RawRuleFile, RuleConfig, RuleFile, RuleKind};
pub use group::GroupRunner;
