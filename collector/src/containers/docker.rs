//! Names, images and labels of containers from the Docker API, where it answers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::Deserialize;
use vocab::Clock;

/// The engine answers in milliseconds or hangs.
const TIMEOUT: Duration = Duration::from_secs(3);
/// Asked again after this long when it did not answer.
const PAUSE: Duration = Duration::from_secs(60);

/// What the API says of a container.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) image: String,
    pub(super) labels: BTreeMap<String, String>,
    pub(super) created_seconds: f64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RawContainer {
    id: String,
    #[serde(default)]
    names: Vec<String>,
    #[serde(default)]
    image: String,
    #[serde(default)]
    labels: Option<BTreeMap<String, String>>,
    #[serde(default)]
    created: f64,
}

/// Asks the API; keeps the last answer.
#[derive(Debug)]
pub(super) struct DockerNames {
    socket: PathBuf,
    client: Option<reqwest::Client>,
    quiet_until: Duration,
    problem: Option<String>,
}

impl DockerNames {
    pub(super) fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned(), client: None, quiet_until: Duration::ZERO, problem: None }
    }

    /// Why an engine that is there cannot be asked.
    pub(super) fn problem(&self) -> Option<&str> {
        self.problem.as_deref()
    }

    /// Containers by id; empty when no engine answers.
    pub(super) async fn names(&mut self, clock: &Arc<dyn Clock>) -> BTreeMap<String, Named> {
        if clock.monotonic() < self.quiet_until || !self.socket.exists() {
            return BTreeMap::new();
        }
        let asked = tokio::select! {
            asked = self.ask() => asked,
            () = clock.sleep(TIMEOUT) => Err("no answer in time".to_owned()),
        };
        match asked {
            Ok(names) => {
                self.problem = None;
                names
            }
            Err(reason) => {
                self.quiet_until = clock.monotonic() + PAUSE;
                let help = if reason.contains("ermission denied") { ": add the user to group docker" } else { "" };
                let problem = format!("containers are shown without names: {}: {reason}{help}", self.socket.display());
                tracing::debug!(problem, "the Docker API does not answer");
                self.problem = Some(problem);
                BTreeMap::new()
            }
        }
    }

    async fn ask(&mut self) -> Result<BTreeMap<String, Named>, String> {
        let text = |e: reqwest::Error| vocab::error::chain(&e.without_url());
        let client = match &self.client {
            Some(client) => client.clone(),
            None => {
                let client = reqwest::Client::builder().unix_socket(self.socket.as_path()).no_proxy().build();
                self.client.insert(client.map_err(text)?).clone()
            }
        };
        let response = client.get("http://docker/containers/json").send().await.map_err(text)?;
        let raw: Vec<RawContainer> = response.error_for_status().map_err(text)?.json().await.map_err(text)?;
        Ok(raw.into_iter().map(|r| (r.id.clone(), named(r))).collect())
    }
}

fn named(raw: RawContainer) -> Named {
    let name = raw.names.first().map_or("", String::as_str).trim_start_matches('/').to_owned();
    Named { name, image: raw.image, labels: raw.labels.unwrap_or_default(), created_seconds: raw.created }
}
