//! What a report is made of: plain values, nothing formatted.

use vocab::scaling::ScalingDecision;
use vocab::ticket::Ticket;
use vocab::{Alert, TimestampMs};

/// Points of a line: time and value.
pub(super) type Points = Vec<(TimestampMs, f64)>;

/// Everything a report says.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ReportInput {
    /// Start of the time.
    pub from_ms: TimestampMs,
    /// End of the time.
    pub to_ms: TimestampMs,
    /// When the report is written.
    pub created_at_ms: TimestampMs,
    /// Services with load, by name.
    pub services: Vec<ServiceLoad>,
    /// Decisions that changed replicas, oldest first.
    pub decisions: Vec<ScalingDecision>,
    /// Alerts that fired, oldest first.
    pub alerts: Vec<Alert>,
    /// Tickets opened or changed, oldest first.
    pub tickets: Vec<Ticket>,
    /// Log records and those of at least severity error; `None` when unknown.
    pub log_records: Option<(u64, u64)>,
    /// The most frequent patterns and new ones.
    pub patterns: Vec<PatternRow>,
    /// Hosts, by name.
    pub hosts: Vec<HostHealth>,
    /// What could not be read: (what, why).
    pub gaps: Vec<(String, String)>,
}

/// How much a counter grew; `None` is unknown.
pub type Delta = Option<f64>;

/// One service as the load balancer sees it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceLoad {
    /// Its name.
    pub service: String,
    /// Requests per second.
    pub rps: Points,
    /// Servers active in the load balancer.
    pub active: Points,
    /// Requests answered.
    pub requests: Delta,
    /// Answered with 5xx.
    pub failed: Delta,
    /// Connections to servers that failed.
    pub connection_errors: Delta,
    /// Answers that broke off.
    pub response_errors: Delta,
    /// Requests tried again.
    pub retries: Delta,
    /// Requests given to another server.
    pub redispatches: Delta,
    /// What is expected next; `None` without enough history.
    pub outlook: Option<Outlook>,
}

/// The expected peak.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Outlook {
    /// How far ahead, in milliseconds.
    pub ahead_ms: i64,
    /// Highest expected value.
    pub mean: f64,
    /// Highest upper bound, 95 %.
    pub upper: f64,
}

/// One log pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternRow {
    /// Its template, or a record when the pattern is no longer known.
    pub template: String,
    /// The service it was first seen in.
    pub service: String,
    /// Records in this time.
    pub count: u64,
    /// Whether it was first seen in this time.
    pub is_new: bool,
}

/// One host. Shares are 0 to 1; `None` is unknown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct HostHealth {
    /// Its name; empty for this machine.
    pub host: String,
    /// Mean use of the CPU.
    pub cpu_mean: Option<f64>,
    /// Highest use of the CPU.
    pub cpu_max: Option<f64>,
    /// Highest use of memory.
    pub memory_max: Option<f64>,
    /// Disks, the fullest first.
    pub disks: Vec<Disk>,
}

/// One file system.
#[derive(Debug, Clone, PartialEq)]
pub struct Disk {
    /// Where it is mounted.
    pub mount: String,
    /// How full it is.
    pub used: f64,
    /// When it is full if it goes on so, in milliseconds from the end; `None` when that is far off or unknown.
    pub full_in_ms: Option<i64>,
}
