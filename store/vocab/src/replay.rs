//! Replays: what a policy would have done on a load that was recorded, beside what others would have done.

use serde::{Deserialize, Serialize};

use crate::time::TimestampMs;

/// What is to be replayed.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ReplayRequest {
    /// The service whose policy in force is replayed; not looked at when `policy` is given.
    pub service: String,
    /// A policy to try, as it would stand under `autoscaling` in the configuration: an object, or YAML as a text.
    pub policy: Option<serde_json::Value>,
    /// From when on.
    pub from_ms: TimestampMs,
    /// Until when.
    pub to_ms: TimestampMs,
}

/// A replay. All lists have one entry for each step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The policy's name.
    pub policy: String,
    /// Its service.
    pub service: String,
    /// When the first step begins.
    pub start_ms: TimestampMs,
    /// Length of a step, in milliseconds.
    pub step_ms: i64,
    /// What was asked of the store for the load (PromQL).
    pub query: String,
    /// Unit of the load: `RPS` …
    pub unit: String,
    /// Load that one replica should carry, in that unit.
    pub per_replica: f64,
    /// How long a replica takes to start in the replay, in seconds.
    pub startup_seconds: f64,
    /// Whether that was measured on the service.
    pub startup_measured: bool,
    /// What a reader must know: gaps that were bridged, what was not recorded.
    pub notes: Vec<String>,
    /// The highest load of each step.
    pub load: Vec<f64>,
    /// The policy first, then what it is compared with.
    pub outcomes: Vec<ReplayOutcome>,
}

/// Whose decisions they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplayedBy {
    /// The policy's.
    Policy,
    /// The Horizontal Pod Autoscaler's, at 70 % of what saturates a replica.
    Hpa,
    /// Nobody's: a number that always suffices.
    Fixed,
    /// As it really ran.
    Actual,
}

/// What came of one way to scale.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReplayOutcome {
    /// Whose decisions.
    pub by: ReplayedBy,
    /// The most replicas asked for in each step.
    pub wanted: Vec<u32>,
    /// The fewest replicas ready in each step.
    pub ready: Vec<u32>,
    /// Share of requests that were slow or lost.
    pub bad_ratio: f64,
    /// Minutes with more than 1 % of such requests.
    pub bad_minutes: u64,
    /// Hours of replicas that were paid for.
    pub replica_hours: f64,
    /// Changes of the number.
    pub actions: u64,
    /// Changes of direction within ten minutes.
    pub reversals: u64,
}
