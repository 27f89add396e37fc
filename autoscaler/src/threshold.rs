//! Steps: a threshold that is passed adds replicas at once, without arithmetic on the load: CPU above 50 % doubles, 60,000
//! transactions a minute bring a hundred more.
//!
//! A step asks for its number as long as its metric has not fallen below `below`. It counts from the replicas that serve, so
//! that those that are starting are not doubled again. With `repeat` it is taken once more when all of them are ready and
//! the metric, having had its time to follow, is still above.

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;
use vocab::scaling::Candidate;

use crate::observation::{Observation, ReplicaCounts, sane};
use crate::policy::{Policy, ms, replicas, short};
use crate::state::State;
use crate::verify::SETTLE_SCRAPES;

/// What a step does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Adds {
    /// So many times the replicas that serve.
    Factor(f64),
    /// So many more.
    More(u32),
    /// So many in all.
    To(u32),
}

/// One step of a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Its name, for people.
    pub name: String,
    /// PromQL of the metric.
    pub query: String,
    /// Above this value it is taken.
    pub above: f64,
    /// Below this value it is over.
    pub below: f64,
    /// What it does.
    pub adds: Adds,
    /// Whether it is taken again while the metric stays above.
    pub repeat: bool,
}

/// A step that was taken and is not over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "StoredTaken", into = "StoredTaken")]
pub struct Taken {
    /// Replicas it asks for.
    pub asked: u32,
    /// Replicas before.
    pub from: u32,
    /// When all of them were ready.
    pub ready_ms: Option<TimestampMs>,
}

/// As it is stored: a state is bounded, and names take room.
type StoredTaken = (u32, u32, Option<TimestampMs>);

impl From<Taken> for StoredTaken {
    fn from(taken: Taken) -> Self {
        (taken.asked, taken.from, taken.ready_ms)
    }
}

impl From<StoredTaken> for Taken {
    fn from((asked, from, ready_ms): StoredTaken) -> Self {
        Self { asked, from, ready_ms }
    }
}

/// What the steps ask for, and the names of those whose metric is unknown.
pub(crate) fn candidates(
    policy: &Policy,
    state: &mut State,
    observation: &Observation,
    counts: ReplicaCounts,
    now: TimestampMs,
) -> (Vec<Candidate>, Vec<String>) {
    state.steps.resize(policy.steps.len(), None);
    let (mut asked, mut unknown) = (Vec::new(), Vec::new());
    for (index, (step, taken)) in policy.steps.iter().zip(&mut state.steps).enumerate() {
        let seen = observation.steps.get(index);
        let value = seen.and_then(sane);
        if value.is_none() {
            let note = seen.map_or("", |m| m.note.as_str());
            let note = if note.is_empty() { "no usable value" } else { note };
            unknown.push(format!("step {} ({note})", step.name));
        }
        asked.extend(one(policy, step, taken, value, counts, now));
    }
    (asked, unknown)
}

fn one(
    policy: &Policy,
    step: &Step,
    taken: &mut Option<Taken>,
    value: Option<f64>,
    counts: ReplicaCounts,
    now: TimestampMs,
) -> Option<Candidate> {
    if value.is_some_and(|v| v < step.below) {
        *taken = None;
    }
    let is_above = value.is_some_and(|v| v > step.above);
    if is_above && taken.as_mut().is_none_or(|t| is_due(policy, step, t, counts, now)) {
        let asked = step.adds.from(counts).min(policy.max.max(counts.wanted));
        *taken = Some(Taken { asked, from: counts.wanted, ready_ms: None });
    }
    let Taken { asked, from, .. } = (*taken)?;
    let name = format!("step {}", step.name);
    let reason = match value {
        Some(value) if is_above => {
            format!("step {}: {} is above {}: {from} to {asked}", step.name, short(value), short(step.above))
        }
        Some(value) => format!(
            "step {}: {} is not below {} yet: {} stay",
            step.name,
            short(value),
            short(step.below),
            replicas(asked)
        ),
        None => format!("step {}: unknown, so {} stay", step.name, replicas(asked)),
    };
    Some(Candidate { name, replicas: Some(asked), reason })
}

/// Whether a step is to be taken again: what it asked for serves, and its metric had time to follow.
fn is_due(policy: &Policy, step: &Step, taken: &mut Taken, counts: ReplicaCounts, now: TimestampMs) -> bool {
    if !step.repeat || counts.ready < counts.wanted || counts.wanted < taken.asked {
        return false;
    }
    let since_ms = *taken.ready_ms.get_or_insert(now);
    now.saturating_sub(since_ms) >= SETTLE_SCRAPES * ms(policy.scrape_interval)
}

impl Adds {
    fn from(self, counts: ReplicaCounts) -> u32 {
        let number = match self {
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "factors are positive, and the cast saturates"
            )]
            Self::Factor(factor) => (f64::from(counts.ready.max(1)) * factor * (1.0 - 1e-9)).ceil() as u32,
            Self::More(more) => counts.wanted.saturating_add(more),
            Self::To(number) => number,
        };
        number.max(counts.wanted)
    }

    /// In words: `doubled`, `100 more`.
    pub fn words(self) -> String {
        match self {
            Self::Factor(factor) => format!("times {}", short(factor)),
            Self::More(more) => format!("{more} more"),
            Self::To(number) => format!("at least {number}"),
        }
    }
}

#[cfg(test)]
mod tests;
