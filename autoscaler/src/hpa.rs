//! The Horizontal Pod Autoscaler's algorithm (`autoscaling/v2`): what it recommends, and how its `behavior` block limits
//! that. Replays compare with it, and policies of `kind: hpa` decide by it.

mod live;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;

pub(crate) use self::live::{candidate, paced};

use crate::policy::ms;

/// How far a ratio may be off 1 before anything changes.
pub const TOLERANCE: f64 = 0.1;

/// A pod as the algorithm sees it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pod {
    /// Its metric; `None`: no sample.
    pub value: Option<f64>,
    /// What it may use: the request for a share of a resource, 1 for a plain metric.
    pub request: f64,
    /// Whether it is ready and past its start, so that its sample counts.
    pub counts: bool,
}

/// A metric and its target.
#[derive(Debug, Clone, PartialEq)]
pub enum HpaMetric {
    /// `Resource` with `averageUtilization` (target as a share of the request), per pod.
    Utilization {
        /// The pods that are not failed or deleted.
        pods: Vec<Pod>,
        /// The target, 0.7 for 70 %.
        target: f64,
    },
    /// `Pods` with `averageValue`, per pod.
    PodsAverage {
        /// The pods that are not failed or deleted.
        pods: Vec<Pod>,
        /// The target per pod.
        target: f64,
    },
    /// `External` or `Object` with `averageValue`: a total divided over the pods.
    TotalAverage {
        /// The total; `None`: no sample.
        total: Option<f64>,
        /// The target per pod.
        target: f64,
    },
    /// `External` or `Object` with `value`: a level that grows with the load per pod.
    Level {
        /// The level; `None`: no sample.
        level: Option<f64>,
        /// Its target.
        target: f64,
        /// Ready pods.
        ready: u32,
    },
}

impl HpaMetric {
    /// Replicas this metric asks for at `current`; `None` when it is invalid.
    pub fn replicas(&self, current: u32, tolerance: f64) -> Option<u32> {
        let is_near = |ratio: f64| (1.0 - ratio).abs() <= tolerance;
        match self {
            Self::Utilization { pods, target } => per_pod(pods, *target, current, tolerance, 1.0),
            Self::PodsAverage { pods, target } => per_pod(pods, *target, current, tolerance, *target),
            Self::TotalAverage { total, target } => {
                let total = (*total)?;
                let ratio = total / (target * f64::from(current));
                Some(if is_near(ratio) { current } else { ceil(total / target) })
            }
            Self::Level { level, target, ready } => {
                let ratio = (*level)? / target;
                Some(if is_near(ratio) { current } else { ceil(ratio * f64::from(*ready)) })
            }
        }
    }
}

/// The algorithm over pods: those without a sample count as fully used on the way down (`missing_as` of their request), as idle
/// on the way up; those that do not count yet as idle on the way up.
fn per_pod(pods: &[Pod], target: f64, current: u32, tolerance: f64, missing_as: f64) -> Option<u32> {
    let is_near = |ratio: f64| (1.0 - ratio).abs() <= tolerance;
    let ratio_of = |list: &[(f64, f64)]| {
        let (used, asked) = list.iter().fold((0.0, 0.0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        used / asked / target
    };
    let known: Vec<(f64, f64)> = pods.iter().filter(|p| p.counts).filter_map(|p| Some((p.value?, p.request))).collect();
    if known.is_empty() {
        return None;
    }
    let missing = || pods.iter().filter(|p| p.value.is_none());
    let ignored = || pods.iter().filter(|p| p.value.is_some() && !p.counts);
    let ratio = ratio_of(&known);
    let has_ignored = ratio > 1.0 && ignored().count() > 0;
    if !has_ignored && missing().count() == 0 {
        return Some(if is_near(ratio) { current } else { ceil(ratio * known.len() as f64) });
    }
    let mut all = known;
    if ratio < 1.0 {
        all.extend(missing().map(|p| (missing_as * p.request, p.request)));
    } else {
        all.extend(missing().map(|p| (0.0, p.request)));
    }
    if has_ignored {
        all.extend(ignored().map(|p| (0.0, p.request)));
    }
    let again = ratio_of(&all);
    let flips = (ratio < 1.0 && again > 1.0) || (ratio > 1.0 && again < 1.0);
    if is_near(again) || flips {
        return Some(current);
    }
    let wanted = ceil(again * all.len() as f64);
    let overshoots = (again < 1.0 && wanted > current) || (again > 1.0 && wanted < current);
    Some(if overshoots { current } else { wanted })
}

fn ceil(value: f64) -> u32 {
    // A last digit that is off does not make a replica.
    (value - 1e-9).ceil().max(0.0) as u32
}

/// What several metrics ask for: the most; without one that is valid, nothing changes, and with one that is not, nothing is
/// given back.
pub fn of_metrics(metrics: &[HpaMetric], current: u32, tolerance: f64) -> Option<u32> {
    let asked: Vec<Option<u32>> = metrics.iter().map(|m| m.replicas(current, tolerance)).collect();
    let most = asked.iter().flatten().copied().max()?;
    Some(if asked.contains(&None) { most.max(current) } else { most })
}

/// How a rate is said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub enum RateKind {
    /// Pods within the period.
    Pods(u32),
    /// Percent of the pods at the period's begin.
    Percent(u32),
}

/// One policy of a `behavior` block.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// How much.
    pub kind: RateKind,
    /// Within what time.
    pub period: Duration,
}

/// Which of several policies counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Select {
    /// The one that changes most.
    Max,
    /// The one that changes least.
    Min,
    /// None: this direction is off.
    Disabled,
}

/// The rules of one direction.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Policies; none: no limit.
    pub rates: Vec<Rate>,
    /// Which counts.
    pub select: Select,
    /// The stabilization window.
    pub window: Duration,
    /// How far the ratio may be off 1.
    pub tolerance: f64,
}

/// A `behavior` block.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Behavior {
    /// Scaling out.
    pub up: Rules,
    /// Scaling in.
    pub down: Rules,
}

impl Default for Behavior {
    fn default() -> Self {
        let period = Duration::from_secs(15);
        let rate = |kind| Rate { kind, period };
        Self {
            up: Rules {
                rates: vec![rate(RateKind::Pods(4)), rate(RateKind::Percent(100))],
                select: Select::Max,
                window: Duration::ZERO,
                tolerance: TOLERANCE,
            },
            down: Rules {
                rates: vec![rate(RateKind::Percent(100))],
                select: Select::Max,
                window: Duration::from_secs(300),
                tolerance: TOLERANCE,
            },
        }
    }
}

impl Behavior {
    /// What of a wish its rates let pass. `changed` says how many replicas were added (1) or given back (-1) within a
    /// period.
    pub fn limit(&self, current: u32, wanted: u32, changed: impl Fn(Duration, i64) -> i64) -> u32 {
        let choose = |select: Select, limits: Vec<i64>, farthest: bool| match (select, farthest) {
            (Select::Max, true) | (Select::Min, false) => limits.into_iter().max(),
            _ => limits.into_iter().min(),
        };
        let current_pods = i64::from(current);
        let (rules, is_up) = if wanted > current { (&self.up, true) } else { (&self.down, false) };
        if wanted == current || rules.select == Select::Disabled {
            return current;
        }
        let limits = rules.rates.iter().map(|rate| {
            let sign = if is_up { 1 } else { -1 };
            let begin = current_pods - sign * changed(rate.period, sign);
            match rate.kind {
                RateKind::Pods(pods) => begin + sign * i64::from(pods),
                RateKind::Percent(percent) => {
                    let part = f64::from(percent) / 100.0;
                    let exact = begin as f64 * (1.0 + sign as f64 * part);
                    if is_up { (exact - 1e-9).ceil() as i64 } else { (exact + 1e-9).floor() as i64 }
                }
            }
        });
        let Some(limit) = choose(rules.select, limits.collect(), is_up) else { return wanted };
        let limit = u32::try_from(limit.max(0)).unwrap_or(u32::MAX);
        if is_up { wanted.min(limit.max(current)) } else { wanted.max(limit.min(current)) }
    }
}

/// Most recommendations and changes that are remembered.
const REMEMBERED_MAX: usize = 4096;

/// One autoscaler: recommendations and changes of the past, and the limits.
#[derive(Debug, Clone)]
pub struct Hpa {
    min: u32,
    max: u32,
    behavior: Behavior,
    recommended: VecDeque<(TimestampMs, u32)>,
    changed: VecDeque<(TimestampMs, i64)>,
}

impl Hpa {
    /// An autoscaler that has just started.
    pub fn new(min: u32, max: u32, behavior: Behavior) -> Self {
        Self { min, max, behavior, recommended: VecDeque::new(), changed: VecDeque::new() }
    }

    /// One round: replicas to have.
    pub fn round(&mut self, metrics: &[HpaMetric], current: u32, now: TimestampMs) -> u32 {
        if current == 0 && self.min > 0 {
            // Someone has switched the service off: hands off.
            return 0;
        }
        if current > self.max || current < self.min {
            return self.change(current, current.clamp(self.min, self.max), now);
        }
        let tolerance = |rules: &Rules| of_metrics(metrics, current, rules.tolerance);
        let wanted = match (tolerance(&self.behavior.up), tolerance(&self.behavior.down)) {
            (Some(up), _) if up > current => up,
            (_, Some(down)) if down < current => down,
            (Some(_), _) => current,
            (None, _) => return current,
        };
        let stable = self.stabilize(current, wanted, now);
        let limited = self.limit(current, stable, now).clamp(self.min, self.max);
        self.change(current, limited, now)
    }

    /// On the way down the most, on the way up the least that was recommended within the window.
    fn stabilize(&mut self, current: u32, wanted: u32, now: TimestampMs) -> u32 {
        let (mut floor, mut ceiling) = (wanted, wanted);
        for (at, recommended) in &self.recommended {
            if *at > now - ms(self.behavior.down.window) {
                floor = floor.max(*recommended);
            }
            if *at > now - ms(self.behavior.up.window) {
                ceiling = ceiling.min(*recommended);
            }
        }
        remember(&mut self.recommended, (now, wanted));
        if current < ceiling {
            ceiling
        } else if current > floor {
            floor
        } else {
            current
        }
    }

    fn limit(&self, current: u32, wanted: u32, now: TimestampMs) -> u32 {
        self.behavior.limit(current, wanted, |period, sign| {
            let within = self.changed.iter().filter(|c| c.0 > now - ms(period) && c.1.signum() == sign);
            within.map(|c| c.1.abs()).sum()
        })
    }

    fn change(&mut self, current: u32, to: u32, now: TimestampMs) -> u32 {
        if to != current {
            remember(&mut self.changed, (now, i64::from(to) - i64::from(current)));
        }
        to
    }
}

fn remember<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == REMEMBERED_MAX {
        list.pop_front();
    }
    list.push_back(item);
}
