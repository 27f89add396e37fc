//! Looks for odd replicas at the gateway, and has them drained, ended and replaced.
//!
//! A case is written down first; then the balancers drain the replica, and only when they have, the orchestrator is told to end
//! it and to start another one. What another process or an earlier life has begun is taken up where it stands.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::error::chain;
use vocab::scaling::ScalingMode;
use vocab::{ErrorKind, PortResult, TimestampMs};

use crate::balance::Seat;
use crate::freeze_window;
use crate::leaving::{DRAIN_MIN, Departure, STAGE_MAX};
use crate::odd_replica::{OddState, Sample, judge};
use crate::orchestrator::{Orchestrator, Replica, ServiceState};
use crate::outside::Outside;
use crate::policy::{Policy, ms};
use crate::service_loop::{ACTOR, Shared};
use crate::tickets::Draft;

/// Namespace of what is remembered.
const NAMESPACE: &str = "autoscaler-odd";

/// Time between looks at a replica on its way out.
const STEP: Duration = Duration::from_secs(1);

/// Shortest time after a departure until windows end again: by then the gateway's rates are no longer those of the one that
/// left, whose server another one may have.
const RATES_SETTLE: Duration = Duration::from_secs(60);

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

/// The watch over one service, or over its replicas in one of several clusters: siblings are those of the same cluster.
#[derive(Debug)]
pub(crate) struct OddWatch {
    policy: Policy,
    watch: OddReplica,
    orchestrator: Arc<dyn Orchestrator>,
    /// The name under which the orchestrator is configured.
    orchestrator_name: String,
    shared: Arc<Shared>,
    state: Option<OddState>,
    /// Whether what is written down has been read in this term.
    has_taken_up: bool,
    /// The replica on its way out.
    departure: Option<Departure>,
    /// When the last window ended.
    judged_at: Duration,
}

impl OddWatch {
    pub(crate) fn new(
        policy: Policy,
        watch: OddReplica,
        orchestrator: Arc<dyn Orchestrator>,
        orchestrator_name: &str,
        shared: Arc<Shared>,
    ) -> Self {
        Self {
            policy,
            watch,
            orchestrator,
            orchestrator_name: orchestrator_name.to_owned(),
            state: None,
            has_taken_up: false,
            departure: None,
            judged_at: shared.clock.monotonic(),
            shared,
        }
    }

    /// Windows until cancelled.
    pub(crate) async fn run(mut self, cancel: CancellationToken) {
        let mut complaint = String::new();
        while !cancel.is_cancelled() {
            let now = self.turn().await.err().unwrap_or_default();
            if now != complaint && !now.is_empty() {
                tracing::warn!(service = self.policy.service, "{now}");
            }
            complaint = now;
            tokio::select! {
                () = self.shared.clock.sleep(STEP) => {}
                () = cancel.cancelled() => {}
            }
        }
        // Whoever watches next reads what is written down.
        if self.departure.is_some() {
            self.shared.leaving.end(&self.policy.service);
        }
    }

    /// What is to be done now: a replica on its way out goes first, and windows begin some time after it is gone.
    pub(crate) async fn turn(&mut self) -> Result<(), String> {
        let now = self.shared.clock.monotonic();
        if self.shared.leader.fence().is_none() {
            // Whoever decides looks on; what it has found is read again when it is our turn.
            (self.state, self.departure, self.has_taken_up, self.judged_at) = (None, None, false, now);
            return Ok(());
        }
        if !self.has_taken_up {
            self.departure = Departure::load(self.shared.catalog.as_ref(), &self.key()).await.map_err(|e| chain(&e))?;
            self.has_taken_up = true;
        }
        if let Some(departure) = self.departure.clone() {
            self.judged_at = now + RATES_SETTLE.saturating_sub(self.watch.window);
            return self.depart(departure).await;
        }
        if now.saturating_sub(self.judged_at) < self.watch.window {
            return Ok(());
        }
        self.judged_at = now;
        if let Err(reason) = self.look().await {
            tracing::debug!(service = self.policy.service, reason, "its replicas were not compared");
        }
        Ok(())
    }

    fn key(&self) -> String {
        format!("{}/{}", self.orchestrator_name, self.policy.service)
    }

    /// What its tickets are about.
    fn subject(&self) -> String {
        format!("odd/{}", self.orchestrator_name)
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
        let (samples, replicas) = match seen {
            Ok(seen) => seen,
            Err(reason) => {
                self.state = Some(state);
                return Err(reason);
            }
        };
        let counts = replicas.counts();
        // Whether no replica starts or leaves.
        let settled = counts.ready == counts.wanted && counts.total == counts.wanted;
        // One of the service at a time, over all clusters.
        let is_free = !self.shared.leaving.has_one(&self.policy.service);
        let (next, verdict) = judge(&state, &samples, settled && is_free && self.acts());
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
            let started_at_ms = replicas.replicas.iter().find(|r| r.id == *replica).and_then(|r| r.started_at_ms);
            self.replace(replica, started_at_ms, reason).await;
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

    /// The window's samples, and the replicas.
    async fn see(&self) -> Result<(Vec<Sample>, ServiceState), String> {
        let observer = &self.shared.observer;
        let errors = observer.ask_by(&self.policy, &self.watch.errors_query, "server").await?;
        let latency = observer.ask_by(&self.policy, &self.watch.latency_query, "server").await?;
        let state = self.orchestrator.state(&self.policy.service).await.map_err(|e| chain(&e))?;
        let seats = self.shared.balancers.seats(&self.policy.service);
        let of = |list: &[(String, f64)], server: &str| list.iter().find(|(s, _)| s == server).map(|(_, value)| *value);
        let worse = |one: Option<f64>, other: Option<f64>| one.into_iter().chain(other).reduce(f64::max);
        let is_here = |s: &&Seat| {
            let is_well = |r: &Replica| r.id == s.replica && r.ready && !r.leaving;
            s.orchestrator == self.orchestrator_name && state.replicas.iter().any(is_well)
        };
        let mut samples: BTreeMap<String, Sample> = BTreeMap::new();
        for Seat { server, replica, .. } in seats.iter().filter(is_here) {
            // At several balancers, what the worst of them sees.
            let new = || Sample { replica: replica.clone(), errors: None, latency: None };
            let sample = samples.entry(replica.clone()).or_insert_with(new);
            sample.errors = worse(sample.errors, of(&errors, server));
            sample.latency = worse(sample.latency, of(&latency, server));
        }
        let samples = samples.into_values().collect();
        Ok((samples, state))
    }

    /// Writes down that a replica is replaced, and has it drained; not when that cannot be written.
    async fn replace(&mut self, replica: &str, started_at_ms: Option<TimestampMs>, reason: &str) {
        let (service, now) = (&self.policy.service, self.shared.clock.now_ms());
        if !self.shared.leaving.begin(service, &self.orchestrator_name, replica, self.shared.clock.monotonic()) {
            return;
        }
        let summary = format!("{replica} is replaced: {reason}");
        tracing::warn!(service, "{summary}");
        let event = ChangeEvent {
            time_ms: now,
            kind: ChangeKind::Restart,
            cluster: self.orchestrator.cluster().to_owned(),
            service: service.clone(),
            subject: replica.to_owned(),
            actor: ACTOR.into(),
            summary,
            details: Default::default(),
        };
        let departure = Departure {
            service: service.clone(),
            orchestrator: self.orchestrator_name.clone(),
            replica: replica.to_owned(),
            started_at_ms,
            reason: reason.to_owned(),
            since_ms: now,
            told: false,
        };
        let written = async {
            self.shared.catalog.record_change(&self.shared.tenant, &event).await?;
            departure.save(self.shared.catalog.as_ref(), &self.key()).await
        };
        if let Err(error) = written.await {
            self.shared.metrics.error("catalog.put_document");
            tracing::error!(service, error = chain(&error), "not replaced: it could not be written down");
            self.shared.leaving.end(service);
            return;
        }
        self.departure = Some(departure);
    }

    /// One step of a replica on its way out.
    async fn depart(&mut self, departure: Departure) -> Result<(), String> {
        let (service, replica) = (&self.policy.service, departure.replica.as_str());
        self.shared.leaving.drain(service, &self.orchestrator_name, replica, self.shared.clock.monotonic());
        let since = self.shared.clock.now_ms().saturating_sub(departure.since_ms);
        let is_late = since > ms(STAGE_MAX);
        let state = match self.orchestrator.state(service).await {
            Ok(state) => state,
            Err(error) if is_late => return self.give_up(&departure, &chain(&error)).await,
            Err(error) => return Err(format!("whether {replica} has left is not known: {}", chain(&error))),
        };
        if !departure.is_among(&state.replicas) {
            return self.forget().await;
        }
        if departure.told {
            return if is_late {
                self.give_up(&departure, "it was told to end and is still there").await
            } else {
                Ok(())
            };
        }
        if !self.acts() {
            tracing::info!(service, replica, "it stays: nothing is acted on any more");
            return self.forget().await;
        }
        let is_drained = self.shared.balancers.drained(service, &self.orchestrator_name).iter().any(|id| id == replica);
        if since < ms(DRAIN_MIN) || !is_drained {
            return if is_late { self.give_up(&departure, "its balancer does not drain it").await } else { Ok(()) };
        }
        let Err(error) = self.orchestrator.replace(service, replica).await else {
            let told = Departure { since_ms: self.shared.clock.now_ms(), told: true, ..departure };
            // Should this be lost, it is told once more, which changes nothing.
            let saved = told.save(self.shared.catalog.as_ref(), &self.key()).await;
            self.departure = Some(told);
            return saved.map_err(|e| chain(&e));
        };
        self.shared.metrics.error("orchestrator.replace");
        let can_pass = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Conflict);
        if can_pass && !is_late {
            return Err(format!("{replica} could not be replaced yet: {}", chain(&error)));
        }
        self.give_up(&departure, &chain(&error)).await
    }

    /// Lets a replica take load again, and has people look at it.
    async fn give_up(&mut self, departure: &Departure, why: &str) -> Result<(), String> {
        let Departure { replica, reason, .. } = departure;
        let alarm = format!("{replica} could not be replaced: {why}; {reason}");
        if let Err(error) = self.alarm(&alarm).await {
            tracing::error!(service = self.policy.service, error = chain(&error), "{alarm}");
        }
        self.forget().await
    }

    /// Ends a departure.
    async fn forget(&mut self) -> Result<(), String> {
        self.shared.leaving.end(&self.policy.service);
        self.departure = None;
        Departure::forget(self.shared.catalog.as_ref(), &self.key()).await.map_err(|e| chain(&e))
    }

    async fn alarm(&self, text: &str) -> PortResult<()> {
        let draft = Draft {
            what: &self.subject(),
            title: format!("{} has an odd replica", self.policy.service),
            severity: "warning",
            text,
            evidence: vec![self.watch.errors_query.clone(), self.watch.latency_query.clone()],
        };
        self.shared.open_ticket(&self.policy, draft).await
    }

    async fn resolve(&self) -> PortResult<()> {
        self.shared.resolve_tickets(&self.policy, &self.subject(), "all replicas are alike again").await
    }
}

#[cfg(test)]
mod tests;
