//! Batches: some orchestrators and clouds start only so many replicas at a time. What does not fit now waits in a queue that
//! outlives a restart: the more important first, then who has waited longer.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vocab::ports::Catalog;
use vocab::{PortResult, TimestampMs};

use crate::outside::Limit;
use crate::policy::{Policy, replicas};

/// Namespace of the queues' documents.
const NAMESPACE: &str = "autoscaler-batches";

/// How many replicas may start at a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// Of this orchestrator.
    pub orchestrator: String,
    /// In this cluster only.
    pub cluster: Option<String>,
    /// Most replicas that start at a time, all services together.
    pub max_batch: u32,
}

impl Batch {
    fn concerns(&self, policy: &Policy) -> bool {
        self.orchestrator == policy.orchestrator && self.cluster.as_ref().is_none_or(|c| *c == policy.cluster)
    }

    /// The key of its document.
    fn key(&self) -> String {
        format!("{}/{}", self.orchestrator, self.cluster.as_deref().unwrap_or("*"))
    }
}

/// A service that waits for its turn.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting {
    service: String,
    priority: u8,
    since_ms: TimestampMs,
    /// Replicas it still wants.
    wants: u32,
}

#[derive(Debug, Default)]
struct Queue {
    /// Replicas that are starting, by service.
    starting: HashMap<String, u32>,
    /// Who waits, next first.
    waiting: Vec<Waiting>,
    /// Whether the stored queue is another one.
    dirty: bool,
}

/// What a round asks of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn {
    /// Replicas the service runs or was told to run.
    pub(crate) current: u32,
    /// Replicas of those that are still starting.
    pub(crate) starting: u32,
    /// Replicas it takes now.
    pub(crate) to: u32,
    /// Replicas it would take without batches.
    pub(crate) intent: u32,
}

/// All queues.
#[derive(Debug, Default)]
pub(crate) struct Batches {
    queues: Mutex<Vec<(Batch, Queue)>>,
}

impl Queue {
    /// How many more may start for a service: what is free, less what those before it still want.
    fn free(&self, batch: &Batch, policy: &Policy, starting: u32) -> u32 {
        let others: u32 = self.starting.iter().filter(|(s, _)| **s != policy.service).map(|(_, n)| *n).sum();
        let own = self.waiting.iter().position(|w| w.service == policy.service);
        let is_before = |(index, waiting): &(usize, &Waiting)| match own {
            Some(own) => *index < own,
            None => waiting.priority >= policy.operations.priority,
        };
        let before: u32 = self.waiting.iter().enumerate().filter(is_before).map(|(_, w)| w.wants).sum();
        batch.max_batch.saturating_sub(others).saturating_sub(starting).saturating_sub(before)
    }
}

impl Batches {
    /// Takes the batches in force; queues of those that stay, stay.
    pub(crate) fn set(&self, batches: &[Batch]) {
        let mut queues = self.queues.lock();
        let mut before = std::mem::take(&mut *queues);
        *queues = batches
            .iter()
            .map(|batch| {
                let known = before.iter_mut().find(|(b, _)| b.key() == batch.key());
                (batch.clone(), known.map(|(_, queue)| std::mem::take(queue)).unwrap_or_default())
            })
            .collect();
    }

    /// Reads the queues of before.
    pub(crate) async fn load(&self, catalog: &Arc<dyn Catalog>) -> PortResult<()> {
        for document in catalog.documents(NAMESPACE).await? {
            // A queue that cannot be read is an empty one: services that wait ask again at their next round.
            let waiting: Vec<Waiting> = serde_json::from_value(document.value).unwrap_or_default();
            let mut queues = self.queues.lock();
            if let Some((_, queue)) = queues.iter_mut().find(|(b, _)| b.key() == document.key) {
                *queue = Queue { waiting, ..Queue::default() };
            }
        }
        Ok(())
    }

    /// Writes the queues that have changed.
    pub(crate) async fn save(&self, catalog: &Arc<dyn Catalog>) -> PortResult<()> {
        let changed: Vec<(String, serde_json::Value)> = {
            let mut queues = self.queues.lock();
            let changed = queues.iter_mut().filter_map(|(batch, queue)| {
                let waiting = || serde_json::to_value(&queue.waiting).unwrap_or_default();
                let document = queue.dirty.then(|| (batch.key(), waiting()));
                queue.dirty = false;
                document
            });
            changed.collect()
        };
        for (key, value) in changed {
            catalog.put_document(NAMESPACE, &key, &value, None).await?;
        }
        Ok(())
    }

    /// Most replicas that a service may ask for now.
    pub(crate) fn ceiling(&self, policy: &Policy, current: u32, starting: u32) -> Option<Limit> {
        let queues = self.queues.lock();
        let (batch, queue) = queues.iter().find(|(b, _)| b.concerns(policy))?;
        let free = queue.free(batch, policy, starting);
        let reason = format!(
            "{} starts {} at a time: {free} now, the rest waits in the queue",
            batch.orchestrator,
            replicas(batch.max_batch)
        );
        Some(Limit { guard: "batch".into(), replicas: current.saturating_add(free), reason })
    }

    /// Writes down what a round took and what waits; `false` when its turn was taken by another service meanwhile.
    pub(crate) fn settle(&self, policy: &Policy, turn: Turn, now_ms: TimestampMs) -> bool {
        let mut queues = self.queues.lock();
        let Some((batch, queue)) = queues.iter_mut().find(|(b, _)| b.concerns(policy)) else { return true };
        let asked = turn.to.saturating_sub(turn.current);
        if asked > queue.free(batch, policy, turn.starting) {
            return false;
        }
        let starting = turn.starting.saturating_add(asked);
        if starting > 0 {
            queue.starting.insert(policy.service.clone(), starting);
        } else {
            queue.starting.remove(&policy.service);
        }
        let wants = turn.intent.saturating_sub(turn.to.max(turn.current));
        let at = queue.waiting.iter().position(|w| w.service == policy.service);
        match (at, wants) {
            (None, 0) => {}
            (Some(at), 0) => {
                queue.waiting.remove(at);
                queue.dirty = true;
            }
            (Some(at), wants) => {
                queue.dirty |= queue.waiting[at].wants != wants;
                queue.waiting[at].wants = wants;
            }
            (None, wants) => {
                let priority = policy.operations.priority;
                let waiting = Waiting { service: policy.service.clone(), priority, since_ms: now_ms, wants };
                let at = queue.waiting.partition_point(|w| w.priority >= priority);
                queue.waiting.insert(at, waiting);
                queue.dirty = true;
            }
        }
        true
    }

    /// Forgets services that are no longer scaled.
    pub(crate) fn retain(&self, keep: impl Fn(&str) -> bool) {
        for (_, queue) in self.queues.lock().iter_mut() {
            queue.starting.retain(|service, _| keep(service));
            let before = queue.waiting.len();
            queue.waiting.retain(|w| keep(&w.service));
            queue.dirty |= queue.waiting.len() != before;
        }
    }
}

#[cfg(test)]
mod tests;
