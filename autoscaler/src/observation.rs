//! What one round sees, with every unknown said aloud.

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;
use vocab::scaling::{ScalingMode, SeenMetric};

use crate::outside::Outside;

/// What the orchestrator says of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplicaCounts {
    /// Replicas the orchestrator was told to run.
    pub wanted: u32,
    /// Replicas that answer their health check.
    pub ready: u32,
    /// Replicas that exist, starting and leaving ones included.
    pub total: u32,
    /// Version of what was read; a change names it.
    pub version: u64,
}

/// Everything a decision may depend on, besides state, policy and time.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The replicas; `None` while the orchestrator does not answer.
    pub replicas: Option<ReplicaCounts>,
    /// Why the replicas are unknown, or empty.
    pub replicas_note: String,
    /// How old the replica counts are, in milliseconds: orchestrators are asked, simulators may be late.
    pub replicas_age_ms: i64,
    /// The load of each target, parallel to the policy's targets.
    pub loads: Vec<SeenMetric>,
    /// Replicas behind each load, where the load comes from replicas; parallel to `loads`.
    pub counted: Vec<Option<u32>>,
    /// Requests that wait; `None` when the policy does not ask.
    pub queue: Option<SeenMetric>,
    /// The second source; `None` when the policy does not ask.
    pub confirm: Option<SeenMetric>,
    /// The forecast; `None` when the policy does not ask.
    pub forecast: Option<SeenMetric>,
    /// Whether this is the first round since the start.
    pub first_round: bool,
    /// Whether the global stop switch is on, and who turned it.
    pub stopped_by: Option<String>,
    /// How far the autoscaler may go now.
    pub mode: ScalingMode,
    /// What binds the service from outside its own load.
    #[serde(default)]
    pub outside: Outside,
    /// A decision that a person has approved since the last round.
    pub approved: Option<i64>,
    /// The metric of each step, parallel to the policy's steps.
    #[serde(default)]
    pub steps: Vec<SeenMetric>,
    /// What the clocks on the wall say, for schedules; `None` where there is no calendar, as in a simulation.
    #[serde(default)]
    pub wall_ms: Option<TimestampMs>,
}

impl Observation {
    /// A load by its index, unless it is unknown or not a number that a load can be.
    pub fn load(&self, index: usize) -> Option<f64> {
        self.loads.get(index).and_then(sane)
    }

    /// All metrics that were looked at, for the record.
    pub fn seen(&self) -> Vec<SeenMetric> {
        let extra = [&self.queue, &self.confirm, &self.forecast];
        self.loads.iter().chain(extra.into_iter().flatten()).chain(&self.steps).cloned().collect()
    }
}

/// A metric's value if it can be a load: finite and not negative.
pub fn sane(metric: &SeenMetric) -> Option<f64> {
    metric.value.filter(|v| v.is_finite() && *v >= 0.0)
}
