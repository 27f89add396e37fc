//! Scaling decisions as they are recorded, and what the UI shows of a scaled service.

use serde::{Deserialize, Serialize};

use crate::ports::views::Paused;
use crate::time::TimestampMs;

/// How far the autoscaler may go with a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum ScalingMode {
    /// Decide and record only.
    Observe,
    /// Act after a person has approved.
    Advise,
    /// Act.
    #[default]
    Act,
}

impl ScalingMode {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Advise => "advise",
            Self::Act => "act",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Observe, Self::Advise, Self::Act].into_iter().find(|m| m.as_str() == word)
    }
}

/// One number that the autoscaler saw, or that it could not see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SeenMetric {
    /// What it is: `rps`, `cpu`, `forecast_rps` …
    pub name: String,
    /// The value; `None` is unknown, and unknown never shrinks a service.
    pub value: Option<f64>,
    /// Age of the newest sample behind it, in milliseconds.
    pub age_ms: Option<i64>,
    /// The query that gave it.
    pub query: String,
    /// Why it is unknown, or empty.
    pub note: String,
}

/// What one policy target asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Candidate {
    /// Which target or forecast.
    pub name: String,
    /// Replicas it asks for; `None` when its metric is unknown.
    pub replicas: Option<u32>,
    /// In words: `412 RPS / 100 per replica = 4.12, rounded up`.
    pub reason: String,
}

/// What one guard did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GuardVerdict {
    /// Its name: `bounds`, `stabilization`, `cooldown`, `unknown_holds` …
    pub guard: String,
    /// Replicas before it.
    pub before: u32,
    /// Replicas after it.
    pub after: u32,
    /// Why, in words.
    pub reason: String,
}

/// How a decision ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecisionState {
    /// Recorded, nothing done yet.
    Recorded,
    /// Waiting for a person's approval (mode advise).
    AwaitingApproval,
    /// The orchestrator has accepted it.
    Acted,
    /// The new replicas are ready and the load per replica is where it should be.
    Verified,
    /// The orchestrator refused or the replicas did not become ready.
    Failed,
    /// Not acted on: mode observe, the stop switch, or overtaken by a newer decision.
    Skipped,
}

impl DecisionState {
    /// The word in rows and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::AwaitingApproval => "awaiting_approval",
            Self::Acted => "acted",
            Self::Verified => "verified",
            Self::Failed => "failed",
            Self::Skipped => "skipped",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Recorded, Self::AwaitingApproval, Self::Acted, Self::Verified, Self::Failed, Self::Skipped]
            .into_iter()
            .find(|s| s.as_str() == word)
    }
}

/// A decision: recorded before it is acted on, with the numbers seen and the reason in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScalingDecision {
    /// Its number, given by the catalog; 0 in a decision that is yet to be recorded.
    pub id: i64,
    /// When it was taken.
    pub time_ms: TimestampMs,
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The policy's name.
    pub policy: String,
    /// `process`, `swarm` …
    pub orchestrator: String,
    /// Replicas wanted before.
    pub from: u32,
    /// Replicas wanted now.
    pub to: u32,
    /// Replicas ready when it was taken.
    pub ready: u32,
    /// The mode it was taken in.
    pub mode: ScalingMode,
    /// One sentence a person reads at 3 a.m.
    pub reason: String,
    /// What was seen.
    pub seen: Vec<SeenMetric>,
    /// What each target asked for.
    pub candidates: Vec<Candidate>,
    /// What each guard did, in order.
    pub guards: Vec<GuardVerdict>,
    /// How it ended.
    pub state: DecisionState,
    /// How it ended, in words: `ready after 8 s, load per replica back to 93`.
    pub result: String,
    /// When the orchestrator accepted it.
    pub acted_at_ms: Option<TimestampMs>,
    /// When it reached its last state.
    pub finished_at_ms: Option<TimestampMs>,
}

/// What the UI shows of one scaled service now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScaledService {
    /// The cluster.
    pub cluster: String,
    /// The service.
    pub service: String,
    /// The policy's name.
    pub policy: String,
    /// The orchestrator's kind.
    pub orchestrator: String,
    /// How far the autoscaler may go.
    pub mode: ScalingMode,
    /// Fewest replicas allowed.
    pub min: u32,
    /// Most replicas allowed.
    pub max: u32,
    /// Replicas wanted; `None` while the orchestrator does not answer.
    pub wanted: Option<u32>,
    /// Replicas ready; `None` while the orchestrator does not answer.
    pub ready: Option<u32>,
    /// The policy's targets in words: `100 RPS per replica`.
    pub targets: Vec<String>,
    /// What was seen at the last round.
    pub seen: Vec<SeenMetric>,
    /// Load expression (PromQL) for the chart; empty when the policy has none.
    pub load_query: String,
    /// Forecast expression (PromQL) for the chart; empty when there is none.
    pub forecast_query: String,
    /// Load one replica should carry, in the unit of `load_query`.
    pub target_per_replica: Option<f64>,
    /// The last round's outcome in one sentence: `holding 3: …`.
    pub status: String,
    /// When the last round ended.
    pub last_round_ms: Option<TimestampMs>,
    /// How long replicas are held before they are given back, in seconds.
    pub hold_seconds: f64,
    /// Notes a reader must see, such as "this policy holds 15 s only; for a demo".
    pub notes: Vec<String>,
    /// What keeps it from being scaled besides its own load.
    #[serde(default)]
    pub held: Held,
    /// How much it carries; `None` while too little was seen.
    #[serde(default)]
    pub capacity: Option<ServiceCapacity>,
    /// How long nine of ten replicas took to become ready, in seconds; `None` while none was seen.
    #[serde(default)]
    pub startup_seconds: Option<f64>,
}

/// A replica as its orchestrator shows it now.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RunningReplica {
    /// Its name.
    pub id: String,
    /// Where it serves, `address:port`; or empty.
    pub address: String,
    /// Whether it is ready to serve.
    pub ready: bool,
    /// Whether it is about to end.
    pub leaving: bool,
    /// What the balancers that are kept in line with the service call it.
    pub servers: Vec<String>,
}

/// What keeps a service from being scaled: people, calendars, failed tries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(default)]
pub struct Held {
    /// Directions that a person has closed.
    pub paused: Paused,
    /// Who closed them, or empty.
    pub paused_by: String,
    /// Directions that its policy closes.
    pub paused_by_policy: Paused,
    /// Since when it is left alone after failed tries.
    pub frozen_since_ms: Option<TimestampMs>,
    /// Why it is left alone, or empty.
    pub frozen_reason: String,
    /// Names of the freeze windows that are open for it.
    pub windows: Vec<String>,
}

/// A freeze window as it is shown: a time in which nothing is changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct ShownWindow {
    /// Its name.
    pub name: String,
    /// Services it is for; all when empty.
    pub services: Vec<String>,
    /// What it closes.
    pub closes: Paused,
    /// Whether it is open now.
    pub open: bool,
    /// When it begins: the present or next time of a weekly one. `None` when there is no next time.
    pub from_ms: Option<TimestampMs>,
    /// First moment after it.
    pub to_ms: Option<TimestampMs>,
    /// Days on which a weekly one begins: `mon` …; empty for one that comes once.
    pub days: Vec<String>,
    /// Time of day at which a weekly one begins, or empty.
    pub start: String,
    /// Time of day at which a weekly one ends, or empty.
    pub end: String,
    /// Where the clock of a weekly one hangs, or empty.
    pub time_zone: String,
}

/// How much load a service carries, as it was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ServiceCapacity {
    /// Unit of the load: `RPS` …
    pub unit: String,
    /// Load that one replica carries.
    pub per_replica: f64,
    /// What limits it: `cpu`, `latency`, `errors`; `at_least` when nothing has yet.
    pub by: String,
    /// Load that the ready replicas carry.
    pub now: f64,
    /// Load that the most replicas it may have carry.
    pub most: f64,
    /// The most replicas it may have, with quotas and what else binds.
    pub most_replicas: u32,
    /// All of it in one sentence.
    pub words: String,
}

/// A policy as it is shown, kept and changed by people.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyObject {
    /// Its name, unique.
    pub name: String,
    /// The service it scales.
    pub service: String,
    /// Whether it stands in the configuration file: then it is changed there only.
    pub from_file: bool,
    /// Grows by one with each change; 0 for one from the file.
    pub version: i64,
    /// When it was last changed; `None` for one from the file.
    pub updated_at_ms: Option<TimestampMs>,
    /// Who changed it.
    pub actor: String,
    /// Why it is not in force, or empty.
    pub problem: String,
    /// As it would stand under `autoscaling` in the configuration file.
    pub policy: serde_json::Value,
}

/// One version of a kept policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicyVersion {
    /// Its number.
    pub version: i64,
    /// When it was made.
    pub time_ms: TimestampMs,
    /// By whom.
    pub actor: String,
    /// The policy; null when this version is its removal.
    pub policy: serde_json::Value,
}
