//! A webhook: whatever can run services and speaks a few lines of JSON.
//!
//! ```text
//! GET  <url>/services                  200 {"services": ["web"]}
//! GET  <url>/services/<service>        200 {"version": 7, "wanted": 3, "replicas": [{"id": "a", "ready": true,
//!                                           "address": "10.0.0.1:80", "leaving": false, "note": "",
//!                                           "started_at": "2026-11-21T10:00:00Z", "ready_at": "2026-11-21T10:00:07Z"}]}
//!                                      404 unknown
//! POST <url>/services/<service>/scale  {"from": 3, "to": 5, "reason": "…"}
//!                                      2xx taken; 409 another number than `from` is wanted by now, nothing was changed
//! POST <url>/services/<service>/replace  {"replica": "a"}
//!                                      2xx taken: `a` ends, another one starts for it, elsewhere if that can be, and `wanted`
//!                                      stays; 409 not now, nothing was changed; 404 and 501 single replicas cannot be ended
//! ```
//!
//! With a key every request carries `X-Tidewatch-Signature: t=<unix seconds>,v1=<hex>`, the HMAC-SHA256 of
//! `<t>.<METHOD>.<path and query as they are sent>.<body>`. A repeated POST of one change carries the same `Idempotency-Key`.

pub mod config;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;

use async_trait::async_trait;
use reqwest::Method;
use ring::hmac;
use serde::Deserialize;
use serde_json::json;
use vocab::Clock;

pub use self::config::WebhookConfig;
use super::access::LazyRest;
use super::rest::{Answer, Body, segment};
use super::retry::{CallError, with_retries};
use super::secret::Secret;
use crate::error::OrchestratorError;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Replica, ScaleChange, ServiceState};

/// The orchestrator's kind.
const KIND: &str = "webhook";
/// The header with the signature.
const SIGNATURE: &str = "x-tidewatch-signature";
/// Most replicas that an answer may name.
const REPLICAS_MAX: usize = 100_000;

/// Scales what a webhook runs.
#[derive(Debug)]
pub struct WebhookOrchestrator {
    cluster: String,
    /// The path of the address, which the signature covers too.
    prefix: String,
    key: Option<Secret>,
    rest: LazyRest,
    clock: Arc<dyn Clock>,
}

#[derive(Deserialize)]
struct Services {
    services: Vec<String>,
}

#[derive(Deserialize)]
struct RawState {
    #[serde(default)]
    version: u64,
    wanted: u32,
    #[serde(default)]
    replicas: Vec<RawReplica>,
}

#[derive(Deserialize)]
struct RawReplica {
    id: String,
    #[serde(default)]
    ready: bool,
    #[serde(default)]
    leaving: bool,
    address: Option<SocketAddr>,
    started_at: Option<String>,
    ready_at: Option<String>,
    #[serde(default)]
    note: String,
}

impl WebhookOrchestrator {
    /// An orchestrator; nothing is asked before it is used.
    pub fn new(config: WebhookConfig, clock: Arc<dyn Clock>) -> Self {
        let prefix = url::Url::parse(&config.access.url).map(|u| u.path().trim_end_matches('/').to_owned());
        Self {
            cluster: config.cluster,
            prefix: prefix.unwrap_or_default(),
            key: config.key,
            rest: LazyRest::new(KIND, config.access),
            clock,
        }
    }

    async fn call(&self, method: Method, path: &str, body: &[u8], id: Option<&str>) -> Result<Answer, CallError> {
        let mut headers = Vec::new();
        if let Some(key) = &self.key {
            let misconfigured =
                |reason| CallError::never(OrchestratorError::Misconfigured { orchestrator: KIND, reason });
            let key = key.read().await.map_err(misconfigured)?;
            let seconds = self.clock.now_ms().div_euclid(1000);
            let signed = sign(&key, seconds, method.as_str(), &format!("{}{path}", self.prefix), body);
            headers.push((SIGNATURE, signed));
        }
        headers.extend(id.map(|id| ("idempotency-key", id.to_owned())));
        let content_type = if body.is_empty() { "" } else { "application/json" };
        let sent = Body { content_type, bytes: body, headers: &headers };
        self.rest.get().await?.call(method, path, Some(sent)).await
    }

    async fn read(&self, service: &str) -> Result<RawState, CallError> {
        let answer = self.call(Method::GET, &format!("/services/{}", segment(service)), b"", None).await?;
        match answer.status {
            200 => answer.json(KIND, "a service's state"),
            404 => Err(CallError::never(unknown(service))),
            _ => Err(refused(&answer)),
        }
    }

    async fn scale_once(&self, service: &str, change: ScaleChange, reason: &str, id: &str) -> Result<(), CallError> {
        let found = self.read(service).await?.wanted;
        if !change.is_due(service, found)? {
            return Ok(());
        }
        let body = json!({"from": change.from, "to": change.to, "reason": reason}).to_string();
        let path = format!("/services/{}/scale", segment(service));
        let answer = self.call(Method::POST, &path, body.as_bytes(), Some(id)).await?;
        match answer.status {
            200..=299 => Ok(()),
            404 => Err(CallError::never(unknown(service))),
            // What is wanted is read again, and decided again.
            409 => Err(CallError::stale(refused(&answer).error)),
            _ => Err(refused(&answer)),
        }
    }

    async fn replace_once(&self, service: &str, replica: &str, id: &str) -> Result<(), CallError> {
        if !self.read(service).await?.replicas.iter().any(|r| r.id == replica && !r.leaving) {
            return Ok(());
        }
        let body = json!({"replica": replica}).to_string();
        let path = format!("/services/{}/replace", segment(service));
        let answer = self.call(Method::POST, &path, body.as_bytes(), Some(id)).await?;
        match answer.status {
            200..=299 => Ok(()),
            // The service is there, so it is the request that is not known.
            404 | 501 => {
                let reason = format!("the webhook does not know how (status {})", answer.status);
                Err(CallError::never(OrchestratorError::NotReplaceable { reason }))
            }
            409 => Err(CallError::stale(refused(&answer).error)),
            _ => Err(refused(&answer)),
        }
    }
}

/// The signature header of a request.
fn sign(key: &str, seconds: i64, method: &str, path: &str, body: &[u8]) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_bytes());
    let mut context = hmac::Context::with_key(&key);
    context.update(format!("{seconds}.{method}.{path}.").as_bytes());
    context.update(body);
    let hex: String = context.sign().as_ref().iter().map(|b| format!("{b:02x}")).collect();
    format!("t={seconds},v1={hex}")
}

fn time_ms(text: Option<&String>) -> Option<i64> {
    Some(text?.parse::<jiff::Timestamp>().ok()?.as_millisecond())
}

fn refused(answer: &Answer) -> CallError {
    CallError::refused(KIND, answer, &answer.words("/message"))
}

fn unknown(service: &str) -> OrchestratorError {
    OrchestratorError::UnknownService { orchestrator: KIND, service: service.to_owned() }
}

#[async_trait]
impl Orchestrator for WebhookOrchestrator {
    fn kind(&self) -> &'static str {
        KIND
    }

    fn cluster(&self) -> &str {
        &self.cluster
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        let ask = || async {
            let answer = self.call(Method::GET, "/services", b"", None).await?;
            if answer.is_success() {
                answer.json::<Services>(KIND, "a list of services")
            } else {
                Err(refused(&answer))
            }
        };
        let mut names = with_retries(self.clock.as_ref(), ask).await?.services;
        names.sort_unstable();
        names.dedup();
        Ok(names)
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        let raw = with_retries(self.clock.as_ref(), || self.read(service)).await?;
        if raw.replicas.len() > REPLICAS_MAX {
            return Err(OrchestratorError::Malformed { orchestrator: KIND, missing: "at most 100000 replicas" });
        }
        let mut replicas: Vec<Replica> = raw
            .replicas
            .into_iter()
            .map(|r| Replica {
                ready: r.ready && !r.leaving,
                leaving: r.leaving,
                address: r.address,
                started_at_ms: time_ms(r.started_at.as_ref()),
                ready_at_ms: time_ms(r.ready_at.as_ref()),
                note: r.note,
                pid: None,
                container: None,
                id: r.id,
            })
            .collect();
        replicas.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(ServiceState { version: raw.version, wanted: raw.wanted, replicas })
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        self.scale_because(service, change, "").await
    }

    async fn scale_because(&self, service: &str, change: ScaleChange, reason: &str) -> Result<(), OrchestratorError> {
        let id = format!("{:032x}", rand::random::<u128>());
        with_retries(self.clock.as_ref(), || self.scale_once(service, change, reason, &id)).await
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        let id = format!("{:032x}", rand::random::<u128>());
        with_retries(self.clock.as_ref(), || self.replace_once(service, replica, &id)).await
    }

    async fn release(&self, _service: &str, _replicas: &[String]) {
        // What runs behind a webhook chooses and stops by itself.
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        Vec::new()
    }
}
