//! What the rooms show of themselves.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use crate::alert::Alert;
use crate::error::{PortError, PortResult};
use crate::labels::Labels;
use crate::problems::Problem;
use crate::replay::{Replay, ReplayRequest};
use crate::scaling::{PolicyObject, PolicyVersion, RunningReplica, ScaledService, ScalingMode, ShownWindow};
use crate::tenant::TenantId;
use crate::time::TimestampMs;

/// Health of a scrape target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum TargetHealth {
    /// Not scraped yet.
    #[default]
    Unknown,
    /// The last scrape succeeded.
    Up,
    /// The last scrape failed.
    Down,
}

/// One scrape target.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct TargetStatus {
    /// The job.
    pub scrape_pool: String,
    /// Labels before relabelling.
    pub discovered_labels: BTreeMap<String, String>,
    /// Labels of its series.
    pub labels: Labels,
    /// What is fetched.
    pub scrape_url: String,
    /// The same as others would reach it.
    pub global_url: String,
    /// Health.
    pub health: TargetHealth,
    /// Why it is down, or empty.
    pub last_error: String,
    /// When it was last scraped.
    pub last_scrape_ms: Option<TimestampMs>,
    /// How long that took, in seconds.
    pub last_duration_seconds: f64,
    /// Samples of the last scrape.
    pub last_samples: u64,
    /// Since when it is down.
    pub down_since_ms: Option<TimestampMs>,
    /// Scrape interval, in seconds.
    pub interval_seconds: f64,
    /// Scrape timeout, in seconds.
    pub timeout_seconds: f64,
}

/// A target that relabelling dropped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DroppedTarget {
    /// Labels before relabelling.
    pub discovered_labels: BTreeMap<String, String>,
    /// The job.
    pub scrape_pool: String,
}

/// What is scraped.
#[async_trait]
pub trait TargetView: Send + Sync + Debug {
    /// Active targets, by pool and labels. Built-in sources are not targets; see [`SourceView`].
    async fn active(&self) -> Vec<TargetStatus>;
    /// Dropped targets (at most the first few hundred of each pool) and their number by pool.
    async fn dropped(&self) -> (Vec<DroppedTarget>, BTreeMap<String, u64>);
    /// Names of the scrape pools.
    async fn pools(&self) -> Vec<String>;
    /// Metadata as the targets last exposed it: (target labels, metadata); filtered by metric when given.
    async fn metadata(&self, metric: Option<&str>) -> Vec<(Labels, crate::sample::MetricMetadata)>;
}

/// Health of a built-in source (`host`, `containers`, `self`, `system_logs`) or of a configured log source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceStatus {
    /// Its name.
    pub name: String,
    /// `metrics` or `logs`.
    pub kind: String,
    /// Whether it delivers.
    pub healthy: bool,
    /// What it reads: `procfs`, `journal`, `/var/log/*.log`, a file.
    pub reading: String,
    /// What is wrong and what would help ("no permission to read the journal: add the user to group systemd-journal"); or empty.
    pub problem: String,
    /// Samples or lines delivered since start.
    pub delivered: u64,
    /// Lines or values that did not parse.
    pub malformed: u64,
    /// When it last delivered.
    pub last_ms: Option<TimestampMs>,
}

/// What is read besides scrape targets.
#[async_trait]
pub trait SourceView: Send + Sync + Debug {
    /// The sources, by name.
    async fn sources(&self) -> Vec<SourceStatus>;
}

/// One rule and how it did.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleStatus {
    /// Alert or record name.
    pub name: String,
    /// Whether it is an alerting rule.
    pub alerting: bool,
    /// Its expression.
    pub query: String,
    /// `for`, in seconds.
    pub for_seconds: f64,
    /// `keep_firing_for`, in seconds.
    pub keep_firing_for_seconds: f64,
    /// Its labels.
    pub labels: Labels,
    /// Its annotations, as written.
    pub annotations: Labels,
    /// Its alerts now (alerting rules).
    pub alerts: Vec<Alert>,
    /// `ok`, `err` or `unknown`.
    pub health: String,
    /// The last error, or empty.
    pub last_error: String,
    /// When it was last evaluated.
    pub last_evaluation_ms: Option<TimestampMs>,
    /// How long that took, in seconds.
    pub evaluation_seconds: f64,
}

/// A rule group and how it did.
#[derive(Debug, Clone, PartialEq)]
pub struct RuleGroupStatus {
    /// Its name.
    pub name: String,
    /// The file it stands in.
    pub file: String,
    /// Its interval, in seconds.
    pub interval_seconds: f64,
    /// `limit`, 0 for none.
    pub limit: u64,
    /// Its rules, in order.
    pub rules: Vec<RuleStatus>,
    /// When it was last evaluated.
    pub last_evaluation_ms: Option<TimestampMs>,
    /// How long that took, in seconds.
    pub evaluation_seconds: f64,
}

/// A log pattern as the analyzer knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternInfo {
    /// Its id, as in [`crate::log_record::LogRecord::pattern_id`].
    pub id: u64,
    /// Its template, variable parts as `<*>`.
    pub template: String,
    /// The service it was first seen in.
    pub service: String,
    /// When it was first seen.
    pub first_seen_ms: TimestampMs,
    /// When it was last seen.
    pub last_seen_ms: TimestampMs,
    /// Records since it is known.
    pub count: u64,
}

/// What is judged.
#[async_trait]
pub trait RuleView: Send + Sync + Debug {
    /// The rule groups, in file order.
    async fn groups(&self) -> Vec<RuleGroupStatus>;
    /// Pending and firing alerts.
    async fn alerts(&self) -> Vec<Alert>;
    /// URLs of the Alertmanagers that firing alerts are sent to.
    async fn alertmanagers(&self) -> Vec<String> {
        Vec::new()
    }
    /// The patterns with these ids; all (at most 10,000) when `ids` is empty.
    async fn patterns(&self, tenant: &TenantId, ids: &[u64]) -> Vec<PatternInfo>;
    /// Writes an inspection report over a time range in a language (`en`, `zh`), stores it, and gives its number.
    ///
    /// # Errors
    /// `Invalid` for an empty range or an unknown language; the store's own errors.
    async fn write_report(
        &self,
        tenant: &TenantId,
        from_ms: TimestampMs,
        to_ms: TimestampMs,
        language: &str,
    ) -> PortResult<i64>;
}

/// What is scaled, and its switches.
#[async_trait]
pub trait ScalingView: Send + Sync + Debug {
    /// The scaled services.
    async fn services(&self, tenant: &TenantId) -> Vec<ScaledService>;
    /// The replicas of a service that orchestrators run now; `None` when no orchestrator knows the service, or one of them does
    /// not answer.
    async fn running(&self, _tenant: &TenantId, _service: &str) -> Option<Vec<RunningReplica>> {
        None
    }
    /// Whether the global stop switch is on, and since when and by whom.
    async fn stopped(&self) -> Option<(TimestampMs, String)>;
    /// Turns the global stop switch on or off. Kept in the catalog.
    ///
    /// # Errors
    /// The catalog's.
    async fn set_stopped(&self, stopped: bool, actor: &str) -> PortResult<()>;
    /// Sets how far the autoscaler may go with a service. Kept in the catalog, so that it outlives a restart.
    ///
    /// # Errors
    /// `NotFound` when the service has no policy.
    async fn set_mode(&self, tenant: &TenantId, service: &str, mode: ScalingMode, actor: &str) -> PortResult<()>;
    /// Approves a decision that waits (mode advise); it is acted on at the next round if it still holds.
    ///
    /// # Errors
    /// `NotFound`, or `Conflict` when it no longer waits.
    async fn approve(&self, tenant: &TenantId, decision_id: i64, actor: &str) -> PortResult<()>;
    /// Closes or opens the directions in which a service may be scaled. Kept in the catalog.
    ///
    /// # Errors
    /// `NotFound` when the service has no policy.
    async fn set_paused(&self, _tenant: &TenantId, service: &str, _paused: Paused, _actor: &str) -> PortResult<()> {
        Err(nothing_scaled(service))
    }
    /// Ends the freeze of a service that was left alone after failed tries.
    ///
    /// # Errors
    /// `NotFound` when the service has no policy.
    async fn unfreeze(&self, _tenant: &TenantId, service: &str, _actor: &str) -> PortResult<()> {
        Err(nothing_scaled(service))
    }
    /// All policies: those of the configuration file, then those that are kept, by name.
    ///
    /// # Errors
    /// The catalog's.
    async fn policies(&self, _tenant: &TenantId) -> PortResult<Vec<PolicyObject>> {
        Ok(Vec::new())
    }
    /// The versions of a kept policy, newest first.
    ///
    /// # Errors
    /// The catalog's.
    async fn policy_versions(&self, _tenant: &TenantId, name: &str) -> PortResult<Vec<PolicyVersion>> {
        Err(nothing_scaled(name))
    }
    /// Keeps a policy as its next version; with `expected` (0: must not exist yet) only if that is its present one.
    ///
    /// # Errors
    /// `Invalid` with all mistakes, `Forbidden` when the configuration file has it, `Conflict` for another version.
    async fn put_policy(
        &self,
        _tenant: &TenantId,
        name: &str,
        _policy: &serde_json::Value,
        _expected: Option<i64>,
        _actor: &str,
    ) -> PortResult<PolicyObject> {
        Err(nothing_scaled(name))
    }
    /// All that is wrong with a policy, without keeping it; key paths begin at the policy.
    ///
    /// # Errors
    /// The catalog's.
    async fn check_policy(
        &self,
        _tenant: &TenantId,
        name: &str,
        _policy: &serde_json::Value,
    ) -> PortResult<Vec<Problem>> {
        Err(nothing_scaled(name))
    }
    /// What a policy would have done on its load as it was recorded, beside what others would have done. Bounded in length,
    /// number and time; ends when nobody waits for it any more.
    ///
    /// # Errors
    /// `NotFound` when the service has no policy or nothing was recorded, `Invalid` with all mistakes of the policy or for a
    /// range that is empty or too long, `Unavailable` while too many replays are under way, `Timeout`; the store's own.
    async fn replay(&self, _tenant: &TenantId, request: ReplayRequest) -> PortResult<Replay> {
        Err(nothing_scaled(&request.service))
    }
    /// The freeze windows of the configuration, in its order.
    async fn freeze_windows(&self, _tenant: &TenantId) -> Vec<ShownWindow> {
        Vec::new()
    }
    /// Removes a kept policy; its versions stay.
    ///
    /// # Errors
    /// `NotFound`, or `Forbidden` when it stands in the configuration file.
    async fn delete_policy(&self, _tenant: &TenantId, name: &str, _actor: &str) -> PortResult<()> {
        Err(nothing_scaled(name))
    }
}

/// What a view says in which nothing is scaled.
fn nothing_scaled(name: &str) -> PortError {
    PortError::not_found(format!("{name:?} has no policy: nothing is scaled here"))
}

/// Directions in which a service is not scaled for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct Paused {
    /// Nothing is given back.
    #[serde(rename = "in")]
    pub scale_in: bool,
    /// Nothing is added.
    #[serde(rename = "out")]
    pub scale_out: bool,
}
