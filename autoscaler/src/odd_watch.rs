//! Looks for odd replicas at the gateway, and has them drained, ended and replaced.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use vocab::PortResult;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::error::chain;
use vocab::scaling::ScalingMode;

use crate::freeze_window;
use crate::odd_replica::{OddState, Sample, judge};
use crate::orchestrator::Orchestrator;
use crate::outside::Outside;
use crate::policy::Policy;
use crate::service_loop::{ACTOR, Shared};
use crate::tickets::Draft;

/// Namespace of what is remembered.
const NAMESPACE: &str = "autoscaler-odd";

/// What its tickets are about.
const ODD: &str = "odd";

/// How a service's replicas are compared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OddReplica {
    /// Length of a window; three in a row make a case.
    pub window: Duration,
    /// PromQL that gives the share of errors by `server`.
    pub errors_query: String,
    /// PromQL that gives the latency in seconds by `server`.
    pub latency_query: String,
}

/// The watch over one service.
#[derive(Debug)]
pub(crate) struct OddWatch {
    policy: Policy,
    watch: OddReplica,
    orchestrator: Arc<dyn Orchestrator>,
    shared: Arc<Shared>,
    state: Option<OddState>,
}

impl OddWatch {
    pub(crate) fn new(
        policy: Policy,
        watch: OddReplica,
        orchestrator: Arc<dyn Orchestrator>,
        shared: Arc<Shared>,
    ) -> Self {
        Self { policy, watch, orchestrator, shared, state: None }
    }

    /// Windows until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        while !cancel.is_cancelled() {
            tokio::select! {
                () = self.shared.clock.sleep(self.watch.window) => {}
                () = cancel.cancelled() => return,
            }
            if self.shared.leader.fence().is_none() {
                // Whoever decides looks on; what it has found is read again when it is our turn.
                self.state = None;
            } else if let Err(reason) = self.look().await {
                tracing::debug!(service = self.policy.service, reason, "its replicas were not compared");
            }
        }
    }

    fn key(&self) -> String {
        format!("{}/{}", self.policy.cluster, self.policy.service)
    }

    /// One window.
    pub(crate) async fn look(&mut self) -> Result<(), String> {
        let state = match self.state.take() {
            Some(state) => state,
            None => {
                let kept = self.shared.catalog.document(NAMESPACE, &self.key()).await.map_err(|e| chain(&e))?;
                kept.and_then(|d| serde_json::from_value(d.value).ok()).unwrap_or_default()
            }
        };
        let seen = self.see().await;
        let (samples, settled) = match seen {
            Ok(seen) => seen,
            Err(reason) => {
                self.state = Some(state);
                return Err(reason);
            }
        };
        let (next, verdict) = judge(&state, &samples, settled && self.acts());
        if next != state {
            let value = serde_json::to_value(&next).unwrap_or_default();
            let put = self.shared.catalog.put_document(NAMESPACE, &self.key(), &value, None).await;
            if let Err(error) = put {
                // Nothing is done that is not written down: the next window judges again.
                self.state = Some(state);
                return Err(chain(&error));
            }
        }
        self.state = Some(next);
        if let Some((replica, reason)) = &verdict.replace {
            self.replace(replica, reason).await;
        }
        match verdict.alarm {
            Some(alarm) => self.alarm(&alarm).await,
            None if verdict.calm => self.resolve().await,
            None => Ok(()),
        }
        .map_err(|e| chain(&e))
    }

    fn acts(&self) -> bool {
        let (switches, service) = (&self.shared.switches, &self.policy.service);
        let mut closed = Outside::default();
        freeze_window::close(&self.shared.freeze_windows.read(), service, self.shared.clock.now_ms(), &mut closed);
        let is_open = closed == Outside::default() && self.orchestrator.may_write().is_ok();
        is_open && switches.stopped().is_none() && switches.mode(service, self.policy.mode) == ScalingMode::Act
    }

    /// The window's samples, and whether no replica starts or leaves.
    async fn see(&self) -> Result<(Vec<Sample>, bool), String> {
        let observer = &self.shared.observer;
        let errors = observer.ask_by(&self.policy, &self.watch.errors_query, "server").await?;
        let latency = observer.ask_by(&self.policy, &self.watch.latency_query, "server").await?;
        let state = self.orchestrator.state(&self.policy.service).await.map_err(|e| chain(&e))?;
        let counts = state.counts();
        let seats = self.shared.seats.read().get(&self.policy.service).cloned().unwrap_or_default();
        let of = |list: &[(String, f64)], server: &str| list.iter().find(|(s, _)| s == server).map(|(_, value)| *value);
        let samples = seats
            .iter()
            .filter(|(_, replica)| state.replicas.iter().any(|r| r.id == *replica && r.ready && !r.leaving))
            .map(|(server, replica)| Sample {
                replica: replica.clone(),
                errors: of(&errors, server),
                latency: of(&latency, server),
            })
            .collect();
        let settled = counts.ready == counts.wanted && counts.total == counts.wanted;
        Ok((samples, settled))
    }

    /// Writes down that a replica is replaced, and then has it done.
    async fn replace(&self, replica: &str, reason: &str) {
        let service = &self.policy.service;
        let summary = format!("{replica} is replaced: {reason}");
        tracing::warn!(service, "{summary}");
        let event = ChangeEvent {
            time_ms: self.shared.clock.now_ms(),
            kind: ChangeKind::Restart,
            cluster: self.policy.cluster.clone(),
            service: service.clone(),
            subject: replica.to_owned(),
            actor: ACTOR.into(),
            summary,
            details: Default::default(),
        };
        if let Err(error) = self.shared.catalog.record_change(&self.shared.tenant, &event).await {
            tracing::error!(service, error = chain(&error), "not replaced: it could not be written down");
            return;
        }
        if let Err(error) = self.orchestrator.replace(service, replica).await {
            self.shared.metrics.error("orchestrator.replace");
            let alarm = format!("{replica} is odd ({reason}), and could not be replaced: {}", chain(&error));
            if let Err(error) = self.alarm(&alarm).await {
                tracing::error!(service, error = chain(&error), "{alarm}");
            }
        }
    }

    async fn alarm(&self, text: &str) -> PortResult<()> {
        let draft = Draft {
            what: ODD,
            title: format!("{} has an odd replica", self.policy.service),
            severity: "warning",
            text,
            evidence: vec![self.watch.errors_query.clone(), self.watch.latency_query.clone()],
        };
        self.shared.open_ticket(&self.policy, draft).await
    }

    async fn resolve(&self) -> PortResult<()> {
        self.shared.resolve_tickets(&self.policy, ODD, "all replicas are alike again").await
    }
}

#[cfg(test)]
mod tests;
