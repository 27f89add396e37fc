//! The sections as they stand in the file.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::behavior::RawBehavior;
use super::schedules::{RawHolidays, RawSchedule};
use super::targets::RawStep;
use crate::metrics_api::config::RawMetricsApi;
use crate::orchestrators::kubernetes::config::RawKubernetes;
use crate::orchestrators::marathon::config::RawMarathon;
use crate::orchestrators::nomad::config::RawNomad;
use crate::orchestrators::sections::RawSections;
use crate::orchestrators::webhook::config::RawWebhook;

/// The sections of this crate.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawAutoscaler {
    /// Policies.
    pub autoscaling: Vec<RawPolicy>,
    /// Supervised services.
    pub process: Vec<RawProcess>,
    /// Docker Swarm.
    pub swarm: Option<RawSwarm>,
    /// Kubernetes clusters.
    pub kubernetes: Vec<RawKubernetes>,
    /// Marathons.
    pub marathon: Vec<RawMarathon>,
    /// Nomads.
    pub nomad: Vec<RawNomad>,
    /// Webhooks.
    pub webhook: Vec<RawWebhook>,
    /// Kubernetes's metrics APIs.
    pub metrics_api: Option<RawMetricsApi>,
    /// Balancers.
    pub balancers: Vec<RawBalancer>,
    /// What holds for all services.
    pub scaling: RawScaling,
}

/// What holds for all services.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawScaling {
    /// How long the lease of the process that decides lasts, `15s` by default.
    pub lease: Option<String>,
    /// Quotas and budgets.
    pub quotas: Vec<RawQuota>,
    /// Orchestrators that start only so many replicas at a time.
    pub batches: Vec<RawBatch>,
    /// Times in which nothing is changed.
    pub freeze_windows: Vec<RawFreezeWindow>,
    /// Calendars of holidays, for schedules.
    pub holidays: Vec<RawHolidays>,
}

/// A quota or budget.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawQuota {
    /// Its name.
    pub name: String,
    /// Of services of this cluster only.
    pub cluster: Option<String>,
    /// Of services of this team only.
    pub team: Option<String>,
    /// Of these services only.
    #[serde(default)]
    pub services: Vec<String>,
    /// Replicas together.
    pub replicas: Option<u32>,
    /// Price together, per hour.
    pub cost_per_hour: Option<f64>,
}

/// An orchestrator that starts only so many replicas at a time.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBatch {
    /// Its name.
    pub orchestrator: String,
    /// In this cluster only.
    pub cluster: Option<String>,
    /// Most replicas that start at a time.
    pub max_batch: u32,
}

/// A time in which nothing is changed.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawFreezeWindow {
    /// Its name.
    pub name: String,
    /// Services it is for; all by default.
    #[serde(default)]
    pub services: Vec<String>,
    /// `in`, `out` or `both` (default).
    pub closes: Option<String>,
    /// Where the clock hangs, UTC by default.
    pub time_zone: Option<String>,
    /// Once: first moment, local time.
    pub from: Option<String>,
    /// Once: first moment after it.
    pub to: Option<String>,
    /// Each week: days on which it begins, all by default.
    #[serde(default)]
    pub days: Vec<String>,
    /// Each week: time of day at which it begins.
    pub start: Option<String>,
    /// Each week: time of day at which it ends; on the next day when not after the start.
    pub end: Option<String>,
}

/// A service that another one needs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawDependency {
    /// The service that is needed.
    pub service: String,
    /// Its replicas per replica of the parent.
    pub ratio: f64,
    /// Replicas beside those, 0 by default.
    pub elastic: Option<u32>,
}

impl RawAutoscaler {
    /// The sections of orchestrators behind HTTP.
    pub fn clusters(&self) -> RawSections<'_> {
        RawSections {
            kubernetes: &self.kubernetes,
            marathon: &self.marathon,
            nomad: &self.nomad,
            webhook: &self.webhook,
        }
    }
}

/// One policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPolicy {
    /// The service.
    pub service: String,
    /// The policy's name; the service's by default.
    pub name: Option<String>,
    /// The cluster; the configuration's by default.
    pub cluster: Option<String>,
    /// `process`, `swarm` or the name of another section's entry; the one that runs the service by default.
    pub orchestrator: Option<String>,
    /// Fewest replicas, 1 by default.
    pub min: Option<u32>,
    /// Most replicas.
    pub max: u32,
    /// `observe`, `advise` or `act` (default).
    pub mode: Option<String>,
    /// Time between rounds, `5s` by default.
    pub interval: Option<String>,
    /// How often the metrics are scraped, `15s` by default.
    pub scrape_interval: Option<String>,
    /// Window of rates in default queries, four scrape intervals by default.
    pub rate_window: Option<String>,
    /// What a replica should carry.
    #[serde(default)]
    pub targets: Vec<RawTarget>,
    /// How far off its target the load may be, `0.1` by default.
    pub tolerance: Option<f64>,
    /// How long replicas are held before they are given back, `5m` by default.
    pub hold: Option<String>,
    /// How long a higher need must last, `0` by default.
    pub stabilization_up: Option<String>,
    /// No scale-in for this long after a change, `30s` by default.
    pub cooldown: Option<String>,
    /// No scale-in for this long after scale-out began, twice `hold` by default.
    pub turn_pause: Option<String>,
    /// How fast replicas are given back, by default 1 or 10 % a minute.
    pub scale_in: Option<RawPace>,
    /// How fast replicas are added, by default at once.
    pub scale_out: Option<RawPace>,
    /// How long a replica takes to become ready until it is measured, `30s` by default.
    pub startup: Option<String>,
    /// A forecast that may add replicas.
    pub forecast: Option<RawForecast>,
    /// Looking ahead: on for demand unless how to react is set by hand.
    pub predict: Option<RawPredict>,
    /// Requests that wait.
    pub queue_query: Option<String>,
    /// A second source that confirms a sudden fall.
    pub confirm_query: Option<String>,
    /// What a reader must know.
    #[serde(default)]
    pub notes: Vec<String>,
    /// The team that pays.
    pub team: Option<String>,
    /// 0 to 100, 50 by default: who has more is served first when quota is short.
    pub priority: Option<u8>,
    /// Price of one replica for an hour.
    pub price_per_hour: Option<f64>,
    /// Services that must grow along.
    #[serde(default)]
    pub dependencies: Vec<RawDependency>,
    /// `in`, `out`, `both` or `none` (default).
    pub paused: Option<String>,
    /// How long a change by someone else is left as it is, `hold` by default.
    pub manual_hold: Option<String>,
    /// Over which clusters it is placed.
    pub placement: Option<RawPlacement>,
    /// Replicas far from their siblings at the gateway are replaced.
    pub odd_replica: Option<RawOddReplica>,
    /// `targets` (default), or `hpa`: judged and limited as the Horizontal Pod Autoscaler does.
    pub kind: Option<String>,
    /// With `kind: hpa`: its rules.
    pub behavior: Option<RawBehavior>,
    /// Thresholds that add replicas at once.
    #[serde(default)]
    pub steps: Vec<RawStep>,
    /// Least replicas by the calendar.
    #[serde(default)]
    pub schedules: Vec<RawSchedule>,
}

/// How replicas are compared at the gateway.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawOddReplica {
    /// Length of a window, `30s` by default.
    pub window: Option<String>,
    /// Gives the share of errors by `server`; from HAProxy by default.
    pub errors_query: Option<String>,
    /// Gives the latency in seconds by `server`; from HAProxy by default.
    pub latency_query: Option<String>,
}

/// Over which clusters a service is placed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPlacement {
    /// The clusters; the first comes back first.
    pub clusters: Vec<RawShare>,
    /// A cluster that fails its probes for this long is lost, `30s` by default.
    pub lost_after: Option<String>,
    /// It comes back after it was well for this long, `10m` by default.
    pub return_after: Option<String>,
    /// Time between the steps of a return, `1m` by default.
    pub return_step: Option<String>,
}

/// A cluster's part.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawShare {
    /// The orchestrator, by its name.
    pub orchestrator: String,
    /// Its weight, 1 by default.
    pub weight: Option<u32>,
    /// Fewest replicas there, 0 by default.
    pub min: Option<u32>,
    /// Most replicas there, the policy's by default.
    pub max: Option<u32>,
    /// URLs that answer while the cluster is well.
    #[serde(default)]
    pub probes: Vec<String>,
}

/// One target of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawTarget {
    /// `rps`, `cpu`, `cpu_share`, `memory_share`, `latency`, `queue`, `log_rate`, `volume`, `level` or `promql`.
    pub kind: String,
    /// Load per replica; for `latency` (seconds) and `level` the most there should be.
    pub value: f64,
    /// Gives the service's whole load, or the level; has a default for most kinds.
    pub query: Option<String>,
    /// Load at which a replica is saturated; for `cpu` 1 core or `value`, whichever is more.
    pub saturation: Option<f64>,
}

/// A pace: the larger of the two within a period.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawPace {
    /// Replicas, 1 by default.
    pub replicas: Option<u32>,
    /// Percent of the replicas, 10 by default.
    pub percent: Option<f64>,
    /// The period, `1m` by default.
    pub period: Option<String>,
}

/// A forecast.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawForecast {
    /// Gives the load of the first target as it is expected when replicas started now are ready.
    pub query: String,
}

/// How a policy looks ahead.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawPredict {
    /// Whether it does, `true` by default.
    pub enabled: Option<bool>,
    /// What a slow or lost request costs against the capacity to serve it, `100` by default.
    pub bad_cost: Option<f64>,
    /// The time zone that days follow, `UTC` by default.
    pub time_zone: Option<String>,
}

/// A supervised service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawProcess {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub command: Vec<String>,
    /// Environment.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Where it runs.
    pub working_dir: Option<String>,
    /// Replicas at the first start, 1 by default.
    pub replicas: Option<u32>,
    /// Health check.
    pub health: Option<RawHealth>,
    /// `never` (default) or `tidewatch`.
    pub stop_with: Option<String>,
    /// Time between SIGTERM and SIGKILL, `10s` by default.
    pub stop_grace: Option<String>,
}

/// A health check over HTTP.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawHealth {
    /// The path.
    pub path: String,
    /// Time between checks, `1s` by default.
    pub interval: Option<String>,
}

/// Docker Swarm.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RawSwarm {
    /// The engine's socket, `/var/run/docker.sock` by default.
    pub socket: Option<String>,
    /// What the engine does not say of its services.
    pub services: Vec<RawSwarmService>,
    /// Longest wait for an answer, `15s` by default.
    pub timeout: Option<String>,
}

/// What the engine does not say of a service.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawSwarmService {
    /// Its name.
    pub name: String,
    /// Port inside the containers; the service label `tidewatch.port` by default.
    pub port: Option<u16>,
    /// Health check.
    pub health: Option<RawHealth>,
}

/// One backend of a balancer.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawBalancer {
    /// `haproxy`.
    pub kind: String,
    /// The service.
    pub service: String,
    /// The orchestrator that runs it; the policy's rule by default.
    pub orchestrator: Option<String>,
    /// The runtime socket.
    pub socket: String,
    /// The backend.
    pub backend: String,
    /// Prefix of the slots, the backend's name by default.
    pub server_template: Option<String>,
    /// Time between reconciliations, `1s` by default.
    pub interval: Option<String>,
    /// Longest wait for sessions, `30s` by default.
    pub drain_timeout: Option<String>,
}
