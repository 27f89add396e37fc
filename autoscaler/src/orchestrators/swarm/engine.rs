//! Requests to a Docker Engine.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::Method;
use serde_json::Value;

use super::KIND;
use crate::error::OrchestratorError;
use crate::orchestrators::rest::{self, Answer, Auth, Body, Rest};
use crate::orchestrators::retry::CallError;

/// Version of the API: the first one with service status; every engine since 20.10 speaks it.
const API: &str = "http://docker/v1.41";
/// Longest wait for an answer.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(15);

/// A Docker Engine behind its Unix socket.
#[derive(Debug, Clone)]
pub struct Engine {
    rest: Rest,
}

impl Engine {
    /// An engine; connects when it is used.
    pub fn new(socket: PathBuf) -> Self {
        Self::with_timeout(socket, TIMEOUT)
    }

    /// An engine that is waited for no longer than `timeout`.
    pub fn with_timeout(socket: PathBuf, timeout: Duration) -> Self {
        let builder = rest::builder(timeout).unix_socket(socket.clone());
        // The plain client cannot fail to build: it has no TLS, proxy or resolver to set up.
        let client = builder.build().unwrap_or_default();
        Self { rest: Rest::new(KIND, API, client, Auth::None).shown_as(socket.display().to_string()) }
    }

    /// GETs a path below the API's version, once.
    ///
    /// # Errors
    /// [`OrchestratorError::Unreachable`] and [`OrchestratorError::Refused`].
    pub async fn get(&self, path: &str) -> Result<Value, OrchestratorError> {
        self.try_get(path).await.map_err(|e| e.error)
    }

    /// POSTs JSON to a path below the API's version, once.
    ///
    /// # Errors
    /// As [`Engine::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, OrchestratorError> {
        self.try_post(path, body).await.map_err(|e| e.error)
    }

    pub(crate) async fn try_get(&self, path: &str) -> Result<Value, CallError> {
        value(&self.rest.call(Method::GET, path, None).await?)
    }

    pub(crate) async fn try_post(&self, path: &str, body: &Value) -> Result<Value, CallError> {
        let bytes = body.to_string();
        value(&self.rest.call(Method::POST, path, Some(Body::json(bytes.as_bytes()))).await?)
    }
}

fn value(answer: &Answer) -> Result<Value, CallError> {
    if answer.is_success() {
        // Some answers are empty.
        return if answer.body.is_empty() { Ok(Value::Null) } else { answer.json(KIND, "valid JSON") };
    }
    let words = answer.words("/message");
    let failed = CallError::refused(KIND, answer, &words);
    // The version moves by itself during a rolling update, and a read right after a change may show the old one.
    if words.0.contains("out of sequence") {
        return Err(CallError::stale(failed.error));
    }
    // A worker does not become a manager within seconds.
    if answer.status == 503 && words.0.contains("not a swarm manager") {
        return Err(CallError::never(failed.error));
    }
    Err(failed)
}
