//! How an API at a fixed address is reached: address, authority, credentials, patience.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::OnceCell;
use vocab::Problems;
use vocab::duration::parse_duration;

use super::rest::{self, Auth, Rest, plain_base};
use crate::error::OrchestratorError;

/// An API at a fixed address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Its address, without a slash at its end.
    pub url: String,
    /// Authorities to trust, PEM; `None` for the system's.
    pub ca_file: Option<PathBuf>,
    /// How requests say who they are from.
    pub auth: Auth,
    /// Longest wait for an answer.
    pub timeout: Duration,
}

impl Access {
    /// Checks address, authority and patience.
    pub(crate) fn check(
        (url, ca_file, timeout): (&str, Option<&String>, Option<&String>),
        auth: Auth,
        path: &str,
        problems: &mut Problems,
    ) -> Self {
        let url = plain_base(url).unwrap_or_else(|message| {
            problems.add(format!("{path}.url"), message);
            String::new()
        });
        let timeout = match timeout.map(|t| parse_duration(t)) {
            None => rest::TIMEOUT,
            Some(Ok(timeout)) if !timeout.is_zero() => timeout,
            Some(other) => {
                problems.add(format!("{path}.timeout"), other.err().unwrap_or_else(|| "want more than 0".to_owned()));
                rest::TIMEOUT
            }
        };
        Self { url, ca_file: ca_file.map(PathBuf::from), auth, timeout }
    }
}

/// The client of an API, made when it is first used.
#[derive(Debug)]
pub(crate) struct LazyRest {
    kind: &'static str,
    access: Access,
    rest: OnceCell<Rest>,
}

impl LazyRest {
    pub(crate) fn new(kind: &'static str, access: Access) -> Self {
        Self { kind, access, rest: OnceCell::new() }
    }

    /// The client.
    pub(crate) async fn get(&self) -> Result<&Rest, OrchestratorError> {
        self.rest.get_or_try_init(|| self.make()).await
    }

    async fn make(&self) -> Result<Rest, OrchestratorError> {
        let builder = self.trusting(rest::builder(self.access.timeout)).await?;
        let client = builder.build().map_err(|e| self.misconfigured(vocab::error::chain(&e)))?;
        Ok(Rest::new(self.kind, &self.access.url, client, self.access.auth.clone()))
    }

    /// A client for answers that come in a stream.
    pub(crate) async fn stream_client(&self, silence: Duration) -> Result<reqwest::Client, OrchestratorError> {
        let builder = self.trusting(rest::stream_builder().read_timeout(silence)).await?;
        builder.build().map_err(|e| self.misconfigured(vocab::error::chain(&e)))
    }

    async fn trusting(&self, builder: reqwest::ClientBuilder) -> Result<reqwest::ClientBuilder, OrchestratorError> {
        let Some(path) = &self.access.ca_file else { return Ok(builder) };
        let fail = |reason: String| self.misconfigured(format!("ca_file {}: {reason}", path.display()));
        let pem = tokio::fs::read(path).await.map_err(|e| fail(e.to_string()))?;
        let authorities = reqwest::Certificate::from_pem_bundle(&pem).ok().filter(|list| !list.is_empty());
        Ok(builder.tls_certs_only(authorities.ok_or_else(|| fail("it has no PEM certificate".to_owned()))?))
    }

    fn misconfigured(&self, reason: String) -> OrchestratorError {
        OrchestratorError::Misconfigured { orchestrator: self.kind, reason }
    }
}
