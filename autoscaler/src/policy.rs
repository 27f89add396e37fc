//! Policies: what a service should carry per replica, and how fast and how far it may be changed.

use std::time::Duration;

use models::load::Costs;
use serde::{Deserialize, Serialize};
use vocab::TimestampMs;
use vocab::duration::format_duration;
use vocab::scaling::ScalingMode;

use crate::hpa::Behavior;
use crate::operations::Operations;
use crate::schedule::Schedule;
use crate::threshold::Step;

/// What kind of load a target measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// Requests per second through the balancer, waiting ones included: demand, which has no ceiling.
    Rps,
    /// CPU cores used: it saturates, so that it says "at least" when replicas are busy.
    Cpu,
    /// Whatever a query says.
    Promql,
    /// Seconds that an answer takes, such as the p95: a level, which falls when replicas are added, but not in proportion.
    Latency,
    /// Any other level.
    Level,
    /// What waits to be done.
    Queue,
    /// Log lines per second.
    LogRate,
    /// What the business counts: transactions, orders.
    Volume,
    /// CPU as a share of what each replica may use, summed over the replicas.
    CpuShare,
    /// Memory as a share of what each replica may use, summed over the replicas.
    MemoryShare,
}

impl TargetKind {
    /// All of them, as they are offered.
    pub const ALL: [Self; 10] = [
        Self::Rps,
        Self::Cpu,
        Self::CpuShare,
        Self::MemoryShare,
        Self::Latency,
        Self::Queue,
        Self::LogRate,
        Self::Volume,
        Self::Level,
        Self::Promql,
    ];

    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Rps => "rps",
            Self::Cpu => "cpu",
            Self::Promql => "promql",
            Self::Latency => "latency",
            Self::Level => "level",
            Self::Queue => "queue",
            Self::LogRate => "log_rate",
            Self::Volume => "volume",
            Self::CpuShare => "cpu_share",
            Self::MemoryShare => "memory_share",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }

    /// The unit behind numbers in sentences.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Rps => "RPS",
            Self::Cpu => "CPU cores",
            Self::Promql => "load",
            Self::Latency => "s of latency",
            Self::Level => "level",
            Self::Queue => "waiting",
            Self::LogRate => "log lines/s",
            Self::Volume => "volume",
            Self::CpuShare => "CPU shares",
            Self::MemoryShare => "memory shares",
        }
    }

    /// Whether it is a level, which is the same for all replicas, rather than a load that they divide among them.
    pub fn is_level(self) -> bool {
        matches!(self, Self::Latency | Self::Level)
    }

    /// Whether it comes from users, whatever is decided: only that can be replayed and looked ahead of.
    pub fn is_demand(self) -> bool {
        matches!(self, Self::Rps | Self::Promql | Self::LogRate | Self::Volume)
    }
}

/// How much of one kind of load a replica should carry.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// What is measured.
    pub kind: TargetKind,
    /// Load per replica, in the unit of the kind; positive.
    pub value: f64,
    /// PromQL that gives the service's whole load as one number.
    pub query: String,
    /// PromQL that gives the number of replicas behind that load; empty when the load does not come from replicas.
    pub count_query: String,
    /// Load at which a replica is saturated and its measured load only a lower bound; `None` for demand.
    pub saturation: Option<f64>,
}

/// The share of its saturation that a replica should carry when nothing else is said: below it hardly any request is slow.
pub const CARRIED_SHARE: f64 = 0.8;

impl Target {
    /// Demand, which has no ceiling, of replicas that are saturated at a load: each should carry [`CARRIED_SHARE`] of it.
    pub fn demand(kind: TargetKind, saturated_at: f64) -> Self {
        Self {
            kind,
            value: saturated_at * CARRIED_SHARE,
            query: String::new(),
            count_query: String::new(),
            saturation: None,
        }
    }

    /// The target in words: `100 RPS per replica`.
    pub fn words(&self) -> String {
        if self.kind.is_level() {
            return format!("at most {} {}", short(self.value), self.kind.unit());
        }
        format!("{} {} per replica", short(self.value), self.kind.unit())
    }
}

/// How many replicas may be added or removed within a period; the larger of the two counts.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Pace {
    /// As a number of replicas.
    pub replicas: u32,
    /// As a share of the replicas at the period's begin, in percent.
    pub percent: f64,
    /// The period.
    pub period: Duration,
}

/// Looking ahead: candidates replay the recorded load of the first target, if that is demand.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Predict {
    /// What a request that is slow or lost costs, against the capacity to serve it.
    pub bad_cost: f64,
    /// Name of the time zone that days follow, so that a change of the clock does not shift them.
    pub time_zone: String,
}

impl Default for Predict {
    fn default() -> Self {
        Self { bad_cost: 100.0, time_zone: "UTC".into() }
    }
}

/// A checked policy of one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Its name; the service's when none was given.
    pub name: String,
    /// The service.
    pub service: String,
    /// The cluster.
    pub cluster: String,
    /// Which orchestrator runs the service: `process` or `swarm`.
    pub orchestrator: String,
    /// Fewest replicas, always kept.
    pub min: u32,
    /// Most replicas, never passed.
    pub max: u32,
    /// How far the autoscaler may go, unless a person has set something else.
    pub mode: ScalingMode,
    /// Time between rounds.
    pub interval: Duration,
    /// How often the metrics behind the targets are scraped: data older than three of these is unknown.
    pub scrape_interval: Duration,
    /// What a replica should carry; the largest need wins.
    pub targets: Vec<Target>,
    /// PromQL for requests that wait; they count as demand. Empty for none.
    pub queue_query: String,
    /// PromQL of a second source that must confirm a sudden fall. Empty for none.
    pub confirm_query: String,
    /// PromQL of the expected load of the first target when replicas started now would be ready. Empty for none.
    pub forecast_query: String,
    /// How far the load per replica may be off its target before anything changes, as a share.
    pub tolerance: f64,
    /// Scale-in: the highest need of this window counts.
    pub hold: Duration,
    /// Scale-out: the lowest need of this window counts; zero acts at once.
    pub stabilization_up: Duration,
    /// No scale-in for this long after a confirmed change.
    pub cooldown: Duration,
    /// No scale-in for this long after the direction turned to scale-out.
    pub turn_pause: Duration,
    /// How fast replicas may be given back.
    pub scale_in: Pace,
    /// How fast replicas may be added; `None`: to the computed number in one call.
    pub scale_out: Option<Pace>,
    /// How long a replica takes to become ready, until that has been measured.
    pub startup: Duration,
    /// Looking ahead; `None`: the measured load alone decides.
    pub predict: Option<Predict>,
    /// What a reader must know of this policy.
    pub notes: Vec<String>,
    /// What it says besides load.
    #[serde(default)]
    pub operations: Operations,
    /// How the Horizontal Pod Autoscaler would limit changes: with it, the targets are judged as that one does.
    #[serde(default)]
    pub behavior: Option<Behavior>,
    /// Thresholds at which replicas are added in one step.
    #[serde(default)]
    pub steps: Vec<Step>,
    /// Least replicas by the calendar.
    #[serde(default)]
    pub schedules: Vec<Schedule>,
}

/// A hold shorter than this is worth a note.
const SHORT_HOLD: Duration = Duration::from_secs(60);

impl Policy {
    /// The policy of a service that nobody has tuned: every default in one place.
    pub fn untuned(service: &str, target: Target) -> Self {
        let hold = Duration::from_secs(300);
        Self {
            name: service.to_owned(),
            service: service.to_owned(),
            cluster: String::new(),
            orchestrator: String::new(),
            min: 1,
            max: 1,
            mode: ScalingMode::Act,
            interval: Duration::from_secs(5),
            scrape_interval: Duration::from_secs(15),
            targets: vec![target],
            queue_query: String::new(),
            confirm_query: String::new(),
            forecast_query: String::new(),
            tolerance: 0.1,
            hold,
            stabilization_up: Duration::ZERO,
            cooldown: Duration::from_secs(30),
            turn_pause: hold * 2,
            scale_in: Pace { replicas: 1, percent: 10.0, period: Duration::from_secs(60) },
            scale_out: None,
            startup: Duration::from_secs(30),
            predict: Some(Predict::default()),
            notes: Vec::new(),
            operations: Operations::default(),
            behavior: None,
            steps: Vec::new(),
            schedules: Vec::new(),
        }
    }

    /// What capacity costs to the planner; `None` when it does not plan: the load must be demand, which has no ceiling.
    pub fn costs(&self) -> Option<Costs> {
        let (predict, target) = (self.predict.as_ref()?, self.targets.first()?);
        let capacity = (target.value / CARRIED_SHARE) as f32;
        let is_usable =
            target.kind.is_demand() && target.saturation.is_none() && capacity.is_finite() && capacity > 0.0;
        is_usable.then_some(Costs { capacity, knee: CARRIED_SHARE as f32, bad: predict.bad_cost as f32 })
    }

    /// Lags of the last seven days in minutes, as the clocks of the policy's time zone have it: a day on which they are
    /// changed has 23 or 25 hours.
    pub fn days_before(&self, now: TimestampMs) -> [i64; 7] {
        const DAY_MS: i64 = 86_400_000;
        let zone = self.predict.as_ref().map(|p| p.time_zone.as_str()).filter(|z| *z != "UTC");
        let zone = zone.and_then(|z| jiff::tz::TimeZone::get(z).ok());
        let offset_minutes = |at_ms: i64| match (&zone, jiff::Timestamp::from_millisecond(at_ms)) {
            (Some(zone), Ok(at)) => i64::from(zone.to_offset(at).seconds()) / 60,
            _ => 0,
        };
        let here = offset_minutes(now);
        std::array::from_fn(|day| {
            let days = day as i64 + 1;
            days * 1440 - here + offset_minutes(now.saturating_sub(days * DAY_MS))
        })
    }

    /// The notes, and what follows from the numbers.
    pub fn all_notes(&self) -> Vec<String> {
        let mut notes = self.notes.clone();
        if self.hold < SHORT_HOLD {
            notes.push(format!(
                "replicas are held for {} only before they are given back; services that matter hold minutes",
                format_duration(self.hold)
            ));
        }
        notes
    }
}

/// A number as people read it: three significant digits at most behind the point, no trailing zeros.
pub(crate) fn short(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 => 0,
        v if v >= 10.0 => 1,
        v if v >= 1.0 => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// Milliseconds of a duration.
pub(crate) fn ms(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// `1 replica`, `3 replicas`.
pub(crate) fn replicas(count: u32) -> String {
    if count == 1 { "1 replica".to_owned() } else { format!("{count} replicas") }
}
