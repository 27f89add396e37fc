//! A Lease as a lock: of several that are configured with it, one writes.
//!
//! As Kubernetes's own leader election has it: whether another's lease is over is told by how long it has not changed on our
//! own clock, never by comparing clocks; and a holder stops to write well before others may take over.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::Method;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use vocab::Clock;
use vocab::error::chain;

use super::client::{Client, KIND, refused};
use super::config::LeaseConfig;
use super::events::{instance, micro_time};
use crate::error::OrchestratorError;
use crate::orchestrators::rest::Body;
use crate::orchestrators::retry::CallError;

#[derive(Debug, Default)]
struct Held {
    /// Until when this one may write, on the monotonic clock.
    until: Option<Duration>,
    /// The other's holder and renewal as last seen, and since when.
    seen: Option<(String, String, Duration)>,
    holder: String,
}

/// A lease that this Tidewatch tries to hold.
#[derive(Debug)]
pub(crate) struct Lease {
    config: LeaseConfig,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    identity: String,
    held: Mutex<Held>,
}

impl Lease {
    pub(crate) fn new(config: LeaseConfig, client: Arc<Client>, clock: Arc<dyn Clock>) -> Self {
        let identity = format!("{}_{:016x}", instance(), rand::random::<u64>());
        Self { config, client, clock, identity, held: Mutex::default() }
    }

    /// Whether this one may write now, or who may.
    pub(crate) fn check(&self) -> Result<(), String> {
        let held = self.held.lock();
        match held.until {
            Some(until) if self.clock.monotonic() < until => Ok(()),
            _ if held.holder.is_empty() || held.holder == self.identity => Err("nobody".to_owned()),
            _ => Err(held.holder.clone()),
        }
    }

    /// Takes and renews it until cancelled, and gives it back then.
    pub(crate) async fn run(self: Arc<Self>, cancel: CancellationToken) {
        let mut complaint = String::new();
        while !cancel.is_cancelled() {
            let now = self.round().await.err().map(|e| chain(&e.error)).unwrap_or_default();
            if now != complaint && !now.is_empty() {
                tracing::warn!(lease = self.config.name, "the lease could not be asked for: {now}");
            }
            complaint = now;
            tokio::select! {
                () = self.clock.sleep(self.config.duration / 5) => {}
                () = cancel.cancelled() => {}
            }
        }
        if let Err(failed) = self.give_back().await {
            tracing::debug!(lease = self.config.name, error = chain(&failed.error), "the lease ends by itself");
        }
    }

    /// Lets another take it at once.
    async fn give_back(&self) -> Result<(), CallError> {
        if self.held.lock().until.take().is_none() {
            return Ok(());
        }
        let path = self.path().await?;
        let mut lease: Value = self.client.get(&path, "a Lease").await?;
        if lease["spec"]["holderIdentity"] == json!(self.identity) {
            lease["spec"]["holderIdentity"] = json!("");
            self.client.call(Method::PUT, &path, Some(Body::json(lease.to_string().as_bytes()))).await?;
        }
        Ok(())
    }

    async fn path(&self) -> Result<String, CallError> {
        let namespace = match &self.config.namespace {
            Some(namespace) => namespace.clone(),
            None => self.client.live().await?.namespace.clone(),
        };
        Ok(format!("/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/{}", self.config.name))
    }

    /// One try to take or renew it; `true` while it is held.
    pub(crate) async fn round(&self) -> Result<bool, CallError> {
        let start = self.clock.monotonic();
        let one = self.path().await?;
        let (all, _) = one.rsplit_once('/').unwrap_or((&one, ""));
        let now = micro_time(jiff::Timestamp::from_millisecond(self.clock.now_ms()).unwrap_or_default());
        let seconds = self.config.duration.as_secs();
        let found = match self.client.get::<Value>(&one, "a Lease").await {
            Ok(found) => Some(found),
            Err(CallError { error: OrchestratorError::Refused { status: 404, .. }, .. }) => None,
            Err(error) => return Err(error),
        };
        let answer = if let Some(mut lease) = found {
            let text = |key: &str| lease["spec"][key].as_str().unwrap_or_default().to_owned();
            let (holder, renewed) = (text("holderIdentity"), text("renewTime"));
            let is_ours = holder == self.identity;
            if !is_ours && !holder.is_empty() && !self.is_over(&holder, &renewed, &lease["spec"]) {
                return Ok(false);
            }
            if !is_ours {
                let transitions = lease["spec"]["leaseTransitions"].as_i64().unwrap_or(0);
                lease["spec"]["leaseTransitions"] = json!(transitions + 1);
                lease["spec"]["acquireTime"] = json!(now);
            }
            lease["spec"]["holderIdentity"] = json!(self.identity);
            lease["spec"]["leaseDurationSeconds"] = json!(seconds);
            lease["spec"]["renewTime"] = json!(now);
            // Its resourceVersion goes along: of two that try, one gets a conflict.
            self.client.call(Method::PUT, &one, Some(Body::json(lease.to_string().as_bytes()))).await?
        } else {
            let lease = json!({
                "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
                "metadata": {"name": self.config.name},
                "spec": {"holderIdentity": self.identity, "leaseDurationSeconds": seconds, "acquireTime": now,
                         "renewTime": now, "leaseTransitions": 0}});
            self.client.call(Method::POST, all, Some(Body::json(lease.to_string().as_bytes()))).await?
        };
        if answer.is_success() {
            let mut held = self.held.lock();
            // Counted from before the request, and only two thirds of it: others wait for all of it.
            held.until = Some(start + self.config.duration * 2 / 3);
            held.holder.clone_from(&self.identity);
            held.seen = None;
            return Ok(true);
        }
        if answer.status == 409 { Ok(false) } else { Err(refused(&answer)) }
    }

    /// Whether another's lease has not changed for as long as it lasts.
    fn is_over(&self, holder: &str, renewed: &str, spec: &Value) -> bool {
        let now = self.clock.monotonic();
        let mut held = self.held.lock();
        holder.clone_into(&mut held.holder);
        let since = match &held.seen {
            Some((h, r, since)) if h == holder && r == renewed => *since,
            _ => {
                held.seen = Some((holder.to_owned(), renewed.to_owned(), now));
                now
            }
        };
        let lasts = spec["leaseDurationSeconds"].as_u64().map_or(self.config.duration, Duration::from_secs);
        now.saturating_sub(since) >= lasts
    }

    /// The failure of a write without the lease.
    pub(crate) fn refuse(&self, service: &str) -> Result<(), OrchestratorError> {
        self.check().map_err(|holder| OrchestratorError::NotScalable {
            service: service.to_owned(),
            reason: format!("{KIND} lease {} is held by {holder}, and only its holder writes", self.config.name),
        })
    }
}
