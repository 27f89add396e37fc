//! How much a replica carries, learned from the rounds of a service: its load against CPU, latency and errors. What was seen is
//! stored with the service's state, so that a restart does not forget it.

use std::collections::VecDeque;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;

use models::capacity::{Capacity, CapacityBy, CapacityLimits, CapacitySample, capacity};
use serde::{Deserialize, Serialize};
use vocab::scaling::ServiceCapacity;
use vocab::{Labels, TimestampMs};

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

/// Form of the stored samples; another one is not read, and learning begins anew.
const VERSION: u32 = 1;
/// Samples older than this are forgotten at a start, in milliseconds: by then another build may run.
const AGE_MS_MAX: i64 = 7 * 86_400_000;
/// Most samples that are stored, evenly out of those that are remembered: the state of a service has little room.
const SAMPLES_STORED_MAX: usize = 120;
/// Bytes of a stored sample: load, CPU and latency, each the upper half of a float, which is exact to 0.4 %.
const SAMPLE_BYTES: usize = 6;

/// Samples as they are stored: at most 1 KiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Learned {
    version: u32,
    /// When the newest sample was taken.
    at_ms: TimestampMs,
    /// What the load is, so that another target begins anew.
    about: String,
    /// Packed floats in base64; what is not known is no number.
    samples: String,
}

impl Learned {
    /// As large as it can be.
    #[cfg(test)]
    pub(crate) fn largest() -> Self {
        let samples = STANDARD_NO_PAD.encode([0xff; SAMPLES_STORED_MAX * SAMPLE_BYTES]);
        Self { version: VERSION, at_ms: i64::MIN, about: "f".repeat(16), samples }
    }
}

/// What is remembered.
#[derive(Debug, Default)]
pub(crate) struct Learner {
    samples: VecDeque<CapacitySample>,
    last_ms: Option<TimestampMs>,
    learned: Option<Capacity>,
}

impl Learner {
    /// Takes up what was stored, if it is about the same load and not too old.
    pub(crate) fn restore(policy: &Policy, stored: Option<&Learned>, now: TimestampMs) -> Self {
        let is_usable = |s: &&Learned| {
            s.version == VERSION && s.about == about(policy) && now.saturating_sub(s.at_ms) <= AGE_MS_MAX
        };
        let Some(stored) = stored.filter(is_usable) else { return Self::default() };
        let bytes = STANDARD_NO_PAD.decode(&stored.samples).unwrap_or_default();
        let samples = bytes.chunks_exact(SAMPLE_BYTES).take(SAMPLES_MAX).filter_map(unpack).collect();
        let mut learner = Self { samples, last_ms: Some(stored.at_ms.min(now)), learned: None };
        learner.learn(policy);
        learner
    }

    /// What is to be stored; `None` while there is nothing.
    pub(crate) fn stored(&self, policy: &Policy) -> Option<Learned> {
        let at_ms = self.last_ms?;
        let every = self.samples.len().div_ceil(SAMPLES_STORED_MAX).max(1);
        let bytes: Vec<u8> = self.samples.iter().step_by(every).flat_map(pack).collect();
        Some(Learned { version: VERSION, at_ms, about: about(policy), samples: STANDARD_NO_PAD.encode(bytes) })
    }

    /// Takes in a round; `true` when there is something new. Rounds in which replicas start or leave, or in which the load is
    /// unknown, teach nothing.
    pub(crate) fn note(&mut self, policy: &Policy, observation: &Observation, now: TimestampMs) -> bool {
        if self.last_ms.is_some_and(|last| now.saturating_sub(last) < SAMPLE_MS) {
            return false;
        }
        let Some(sample) = sample(policy, observation) else { return false };
        self.last_ms = Some(now);
        if self.samples.len() >= SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
        self.learn(policy);
        true
    }

    fn learn(&mut self, policy: &Policy) {
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

#[allow(clippy::cast_possible_truncation, reason = "a float of half the width, and then its upper half")]
fn pack(sample: &CapacitySample) -> Vec<u8> {
    let half = |value: Option<f64>| {
        let bits = (value.unwrap_or(f64::NAN) as f32).to_bits();
        ((bits.saturating_add(0x8000)) >> 16) as u16
    };
    let halves = [half(Some(sample.load)), half(sample.cpu), half(sample.latency)];
    halves.into_iter().flat_map(u16::to_le_bytes).collect()
}

fn unpack(bytes: &[u8]) -> Option<CapacitySample> {
    let (halves, _) = bytes.as_chunks::<2>();
    let of = |index: usize| {
        let value = halves.get(index).map(|b| f64::from(f32::from_bits(u32::from(u16::from_le_bytes(*b)) << 16)));
        value.filter(|v| v.is_finite() && *v >= 0.0)
    };
    Some(CapacitySample { load: of(0)?, cpu: of(1), latency: of(2), errors: None })
}

/// What a policy's load is: a hash of the kind and the query of its first demand.
fn about(policy: &Policy) -> String {
    let target = demand(policy).and_then(|index| policy.targets.get(index));
    let pairs = target.map(|t| [("kind", t.kind.as_str()), ("query", t.query.as_str())]);
    format!("{:016x}", Labels::from_pairs(pairs.into_iter().flatten()).stable_hash())
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
    fn what_was_learned_outlives_a_restart() {
        let (policy, mut learner) = (policy(), Learner::default());
        assert_eq!(learner.stored(&policy), None);
        let at = |minute: i32| i64::from(minute) * SAMPLE_MS;
        for minute in 0..60 {
            let load = 200.0 + 4.0 * f64::from(minute);
            assert!(learner.note(&policy, &seen(load, load * 0.005, 4, 4), at(minute)));
        }
        let stored = learner.stored(&policy).expect("something");
        let text = serde_json::to_string(&stored).expect("JSON");
        assert_eq!(serde_json::from_str::<Learned>(&text).expect("JSON"), stored);
        let say = |learner: &Learner| learner.say(&policy, 4, (40, "quota shop")).expect("learned");
        let mut again = Learner::restore(&policy, Some(&stored), at(90));
        assert!((say(&again).per_replica / say(&learner).per_replica - 1.0).abs() < 0.01, "{:?}", say(&again));
        assert_eq!(say(&again).by, "cpu");
        assert!(again.note(&policy, &seen(100.0, 0.5, 4, 4), at(90)) && again.samples.len() == 61);
        // The time between samples is kept over the restart, and a clock that went back does not stop learning.
        assert!(!Learner::restore(&policy, Some(&stored), at(59)).note(&policy, &seen(100.0, 0.5, 4, 4), at(59) + 1));
        assert!(Learner::restore(&policy, Some(&stored), 0).note(&policy, &seen(100.0, 0.5, 4, 4), SAMPLE_MS));
        // Another load, another form, damage, or too long ago: it begins anew.
        let mut other = policy.clone();
        other.targets[0].query = "sum(rate(other[1m]))".into();
        let forgets = |policy: &Policy, stored: Learned, now: TimestampMs| {
            let learner = Learner::restore(policy, Some(&stored), now);
            assert!(learner.learned.is_none(), "{stored:?}");
        };
        forgets(&other, stored.clone(), at(90));
        forgets(&policy, Learned { version: VERSION + 1, ..stored.clone() }, at(90));
        forgets(&policy, Learned { samples: "***".into(), ..stored.clone() }, at(90));
        forgets(&policy, stored, at(59) + AGE_MS_MAX + 1);
        // However much is remembered, little is stored, and from all of its time.
        for minute in 100..100 + 2 * i32::try_from(SAMPLES_MAX).expect("small") {
            again.note(&policy, &seen(f64::from(minute), 0.5, 4, 4), at(minute));
        }
        let all = again.stored(&policy).expect("something");
        assert_eq!(all.samples.len(), SAMPLES_STORED_MAX * SAMPLE_BYTES * 4 / 3);
        let restored = Learner::restore(&policy, Some(&all), at(1000));
        let loads: Vec<f64> = restored.samples.iter().map(|s| s.load * 4.0).collect();
        assert!((loads[0] - 340.0).abs() < 2.0 && (loads[119] - 578.0).abs() < 3.0, "{loads:?}");
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
