//! Requests to a Docker Engine.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::error::OrchestratorError;
use crate::http;

/// Version of the API: the first one with service status; every engine since 20.10 speaks it.
const API: &str = "http://docker/v1.41";
/// Longest wait for an answer.
const TIMEOUT: Duration = Duration::from_secs(15);
/// Most bytes of an answer: ten thousand tasks of some 2 KiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A Docker Engine behind its Unix socket.
#[derive(Debug, Clone)]
pub struct Engine {
    client: reqwest::Client,
    socket: PathBuf,
}

impl Engine {
    /// An engine; connects when it is used.
    pub fn new(socket: PathBuf) -> Self {
        let builder = http::client().timeout(TIMEOUT).unix_socket(socket.clone());
        // The plain client cannot fail to build: it has no TLS, proxy or resolver to set up.
        Self { client: builder.build().unwrap_or_default(), socket }
    }

    /// GETs a path below the API's version.
    ///
    /// # Errors
    /// [`OrchestratorError::Unreachable`] and [`OrchestratorError::Refused`].
    pub async fn get(&self, path: &str) -> Result<Value, OrchestratorError> {
        self.send(self.client.request(Method::GET, format!("{API}{path}"))).await
    }

    /// POSTs JSON to a path below the API's version.
    ///
    /// # Errors
    /// As [`Engine::get`].
    pub async fn post(&self, path: &str, body: &Value) -> Result<Value, OrchestratorError> {
        self.send(self.client.request(Method::POST, format!("{API}{path}")).json(body)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Value, OrchestratorError> {
        let unreachable = |error: reqwest::Error| OrchestratorError::Unreachable {
            orchestrator: "swarm",
            endpoint: self.socket.display().to_string(),
            source: Box::new(error),
        };
        let mut answer = request.send().await.map_err(unreachable)?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(unreachable)? {
            if body.len() + chunk.len() > ANSWER_BYTES_MAX {
                return Err(OrchestratorError::Malformed { orchestrator: "swarm", missing: "an end within 64 MiB" });
            }
            body.extend_from_slice(&chunk);
        }
        let value = serde_json::from_slice::<Value>(&body);
        if status.is_success() {
            // Some answers are empty.
            return if body.is_empty() {
                Ok(Value::Null)
            } else {
                value.map_err(|_| OrchestratorError::Malformed { orchestrator: "swarm", missing: "valid JSON" })
            };
        }
        let message = match value {
            Ok(value) => value["message"].as_str().unwrap_or("no reason given").to_owned(),
            Err(_) => String::from_utf8_lossy(&body).chars().take(200).collect(),
        };
        Err(OrchestratorError::Refused { orchestrator: "swarm", status: status.as_u16(), message })
    }
}
