//! HAProxy through its runtime API: slots made by `server-template` are filled and emptied as replicas come and go.
//!
//! ```text
//! global
//!     stats socket /run/haproxy/tidewatch.sock mode 660 level admin
//! backend web
//!     option httpchk GET /health
//!     option redispatch
//!     server-template web 1-20 127.0.0.1:1 check inter 500ms disabled
//! ```
//!
//! Nothing is remembered but since when a slot drains: each round reads `show servers state`, so that a restarted HAProxy
//! (whose slots are all empty again) is filled at the next round. `slots` is the plan (pure), `socket` the conversation.

mod slots;
mod socket;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;

use self::slots::{Slot, Step};
pub use self::socket::Endpoint;
use crate::balancer::{Balancer, Reconciled};
use crate::error::BalancerError;
use crate::orchestrator::Replica;

/// One backend of one HAProxy.
#[derive(Debug)]
pub struct HaproxyBackend {
    endpoint: Endpoint,
    backend: String,
    /// The backend and the endpoint, for people.
    place: String,
    prefix: String,
    drain_timeout: Duration,
    /// Since when (monotonic) each slot drains.
    draining: Mutex<HashMap<String, Duration>>,
}

impl HaproxyBackend {
    /// A backend whose slots are called `<prefix>1`, `<prefix>2` …; a slot is emptied after `drain_timeout` even if sessions
    /// are still open.
    pub fn new(endpoint: Endpoint, backend: &str, prefix: &str, drain_timeout: Duration) -> Self {
        let (backend, prefix, place) = (backend.to_owned(), prefix.to_owned(), format!("{backend} at {endpoint}"));
        Self { endpoint, backend, place, prefix, drain_timeout, draining: Mutex::default() }
    }

    /// Reads the slots: where they point, how they are, how many sessions they have.
    async fn read(&self) -> Result<Vec<Slot>, BalancerError> {
        let state = self.endpoint.ask(&format!("show servers state {}", self.backend)).await?;
        let statistics = self.endpoint.ask(&format!("show stat {} 4 -1", self.backend)).await?;
        let found = slots::parse(&state, &statistics, &self.prefix);
        if found.is_empty() {
            return Err(BalancerError::NoSlots { backend: self.backend.clone(), prefix: self.prefix.clone() });
        }
        Ok(found)
    }

    async fn apply(&self, step: &Step) -> Result<(), BalancerError> {
        let server = format!("{}/{}", self.backend, step.slot());
        let commands = match step {
            Step::Fill { address, .. } => vec![
                format!("set server {server} addr {} port {}", address.ip(), address.port()),
                format!("set server {server} state ready"),
            ],
            Step::Ready { .. } => vec![format!("set server {server} state ready")],
            Step::Drain { .. } => vec![format!("set server {server} state drain")],
            Step::Empty { .. } => vec![format!("set server {server} state maint")],
        };
        for command in commands {
            let answer = self.endpoint.ask(&command).await?;
            let answer = answer.trim();
            // A change of address is confirmed in words; anything else that is said is a complaint.
            if !answer.is_empty() && !answer.contains("changed from") && !answer.contains("no need to change") {
                return Err(BalancerError::Refused { command, answer: answer.to_owned() });
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Balancer for HaproxyBackend {
    fn kind(&self) -> &'static str {
        "haproxy"
    }

    fn place(&self) -> &str {
        &self.place
    }

    async fn reconcile(&self, replicas: &[Replica], now: Duration) -> Result<Reconciled, BalancerError> {
        let slots = self.read().await?;
        let drained_for = {
            let mut draining = self.draining.lock();
            draining.retain(|name, _| slots.iter().any(|s| s.name == *name && s.is_draining()));
            for slot in slots.iter().filter(|s| s.is_draining()) {
                draining.entry(slot.name.clone()).or_insert(now);
            }
            draining.iter().map(|(name, since)| (name.clone(), now.saturating_sub(*since))).collect::<HashMap<_, _>>()
        };
        let plan = slots::plan(&slots, replicas, &drained_for, self.drain_timeout);
        let replica_of =
            |slot: &slots::Slot| replicas.iter().find(|r| r.address.is_some() && r.address == slot.address);
        let in_use = slots.iter().filter(|s| !s.is_empty());
        let mut reconciled = Reconciled {
            serving: plan.serving,
            drained: plan.drained,
            unplaced: plan.unplaced,
            seats: in_use.filter_map(|s| Some((s.name.clone(), replica_of(s)?.id.clone()))).collect(),
            changes: Vec::new(),
        };
        for step in &plan.steps {
            self.apply(step).await?;
            reconciled.changes.push(step.words());
        }
        Ok(reconciled)
    }
}
