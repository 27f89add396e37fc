//! How much a replica carries, learned from the rounds of a service: its load against CPU, latency and errors.

use std::collections::VecDeque;

use models::capacity::{Capacity, CapacityBy, CapacityLimits, CapacitySample, capacity};
use vocab::TimestampMs;
use vocab::scaling::ServiceCapacity;

use crate::observation::{Observation, sane};
use crate::policy::{Policy, TargetKind, replicas, short};

/// Samples that are remembered: four hours at one a minute, 14 KiB a service.
const SAMPLES_MAX: usize = 240;
/// Time between samples, in milliseconds.
const SAMPLE_MS: i64 = 60_000;
/// A replica may use this share of its CPU.
const CPU_MAX: f64 = 0.8;
/// This share of requests may fail.
const ERRORS_MAX: f64 = 0.01;
/// The second source of a service whose policy names none: CPU, in cores.
const DEFAULT_CONFIRM: &str = "sum(rate(container_cpu_usage_seconds_total{";

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Learner {
    samples: VecDeque<CapacitySample>,
    last_ms: Option<TimestampMs>,
    learned: Option<Capacity>,
}

impl Learner {
    /// Takes in a round. Rounds in which replicas start or leave, or in which the load is unknown, teach nothing.
    pub(crate) fn note(&mut self, policy: &Policy, observation: &Observation, now: TimestampMs) {
        if self.last_ms.is_some_and(|last| now.saturating_sub(last) < SAMPLE_MS) {
            return;
        }
        let Some(sample) = sample(policy, observation) else { return };
        self.last_ms = Some(now);
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        let latency = policy.targets.iter().find(|t| t.kind == TargetKind::Latency).map_or(f64::INFINITY, |t| t.value);
        let limits = CapacityLimits { cpu: CPU_MAX, latency, errors: ERRORS_MAX };
        self.learned = capacity(self.samples.make_contiguous(), &limits);
    }

    /// What was learned, for a number of ready replicas and for the most there may be.
    pub(crate) fn say(&self, policy: &Policy, ready: u32, (most, why): (u32, &str)) -> Option<ServiceCapacity> {
        let (learned, unit) = (self.learned?, policy.targets.get(demand(policy)?)?.kind.unit());
        let (by, limited) = match learned.by {
            CapacityBy::Cpu => ("cpu", "CPU limits it"),
            CapacityBy::Latency => ("latency", "latency limits it"),
            CapacityBy::Errors => ("errors", "errors limit it"),
            CapacityBy::AtLeast => ("at_least", "nothing has limited it yet, so it is at least that"),
        };
        let (now, all) = (learned.of(ready), learned.of(most));
        Some(ServiceCapacity {
            unit: unit.to_owned(),
            per_replica: learned.per_replica,
            by: by.to_owned(),
            now,
            most: all,
            most_replicas: most,
            words: format!(
                "this service can carry {} {unit} now, {} with {} ({why}); {limited}",
                short(now),
                short(all),
                replicas(most)
            ),
        })
    }
}

/// The first target whose load comes from users.
fn demand(policy: &Policy) -> Option<usize> {
    policy.targets.iter().position(|t| t.kind.is_demand())
}

fn sample(policy: &Policy, observation: &Observation) -> Option<CapacitySample> {
    let counts = observation.replicas.filter(|c| c.ready > 0 && c.ready == c.wanted && c.total == c.wanted)?;
    let ready = f64::from(counts.ready);
    let load = observation.load(demand(policy)?)? / ready;
    let of = |kind: TargetKind| {
        let found = policy.targets.iter().enumerate().find(|(_, t)| t.kind == kind);
        found.and_then(|(index, target)| Some((observation.load(index)?, target)))
    };
    let confirmed = || observation.confirm.as_ref().filter(|_| policy.confirm_query.starts_with(DEFAULT_CONFIRM));
    let cpu = of(TargetKind::CpuShare)
        .map(|(shares, _)| shares / ready)
        .or_else(|| of(TargetKind::Cpu).map(|(cores, target)| cores / ready / target.saturation.unwrap_or(1.0)))
        .or_else(|| confirmed().and_then(sane).map(|cores| cores / ready));
    Some(CapacitySample { load, cpu, latency: of(TargetKind::Latency).map(|(latency, _)| latency), errors: None })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Target;
    use crate::step::demand_seen;

    fn policy() -> Policy {
        let mut policy = Policy::untuned("web", Target::demand(TargetKind::Rps, 100.0));
        policy.targets.push(Target { kind: TargetKind::CpuShare, value: 0.6, ..policy.targets[0].clone() });
        policy
    }

    fn seen(load: f64, cpu: f64, wanted: u32, ready: u32) -> Observation {
        let mut seen = demand_seen(Some(load), wanted, ready);
        seen.loads.push(seen.loads[0].clone());
        seen.loads[1].value = Some(cpu);
        seen
    }

    #[test]
    fn it_says_what_the_service_carries_now_and_at_most() {
        let (policy, mut learner) = (policy(), Learner::default());
        for minute in 0..60 {
            // Four replicas; a request a second costs half a percent of a replica's CPU.
            let load = 200.0 + 4.0 * f64::from(minute);
            learner.note(&policy, &seen(load, load * 0.005, 4, 4), i64::from(minute) * SAMPLE_MS);
        }
        let said = learner.say(&policy, 4, (40, "quota shop")).expect("learned");
        assert_eq!((said.by.as_str(), said.most_replicas), ("cpu", 40));
        assert!((said.per_replica - 160.0).abs() < 1.0, "{said:?}");
        assert_eq!(said.words, "this service can carry 640 RPS now, 6400 with 40 replicas (quota shop); CPU limits it");
    }

    #[test]
    fn rounds_that_say_nothing_teach_nothing() {
        let (policy, mut learner) = (policy(), Learner::default());
        for minute in 0..100 {
            learner.note(&policy, &seen(100.0, 0.5, 4, 3), i64::from(minute) * SAMPLE_MS);
            learner.note(&policy, &demand_seen(None, 4, 4), i64::from(minute) * SAMPLE_MS);
        }
        assert_eq!(learner.say(&policy, 4, (40, "")), None);
        // One sample a minute, however many rounds, and a bounded number of them.
        for round in 0..40_000 {
            learner.note(&policy, &seen(100.0, 0.5, 4, 4), round * 5000);
        }
        assert_eq!(learner.samples.len(), SAMPLES_MAX);
        assert_eq!(learner.say(&policy, 4, (8, "")).map(|c| (c.by, c.now)), Some(("at_least".to_owned(), 100.0)));
    }
}
