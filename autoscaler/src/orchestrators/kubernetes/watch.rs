//! Pods of a namespace, kept current by a watch.
//!
//! One watch serves all targets of a namespace. While it does not run, whoever asks lists for itself, so that a watch that
//! fails costs speed and never truth.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use rand::Rng;
use serde::Deserialize;
use tokio_util::sync::{CancellationToken, DropGuard};
use vocab::Clock;
use vocab::error::chain;

use super::client::Client;
use super::pods::{self, Pod};
use super::selector::Selector;
use crate::error::OrchestratorError;
use crate::orchestrators::retry::CallError;

/// Longest line of a watch: the largest object that the API server stores has 1.5 MiB, in JSON somewhat more.
const LINE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// How long the server keeps a watch open, in seconds; then it is opened again from where it was.
const WATCH_SECONDS: u32 = 240;
/// A namespace that nobody has asked about for this long is not watched any more.
const IDLE: Duration = Duration::from_secs(600);
/// A watch that ended before this is opened again only after a wait, so that a server that ends each at once is not flooded.
const LONG: Duration = Duration::from_secs(5);
/// Wait after the first failure, in milliseconds; doubled up to the most.
const BACKOFF_MS: (u64, u64) = (500, 30_000);

/// The watched namespaces of a cluster.
#[derive(Debug)]
pub(crate) struct PodWatch {
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    namespaces: Mutex<HashMap<String, Arc<Namespace>>>,
    cancel: CancellationToken,
    _ends_with_this: DropGuard,
}

#[derive(Debug, Default)]
struct Namespace {
    pods: RwLock<HashMap<String, Pod>>,
    is_current: AtomicBool,
    asked_at: Mutex<Duration>,
    has_ended: AtomicBool,
}

/// How a watch ended.
enum End {
    /// As it does; go on from this version.
    Regular(String),
    /// Its version is too old: list again.
    Gone,
}

impl PodWatch {
    pub(crate) fn new(client: Arc<Client>, clock: Arc<dyn Clock>) -> Self {
        let cancel = CancellationToken::new();
        let guard = cancel.clone().drop_guard();
        Self { client, clock, namespaces: Mutex::default(), cancel, _ends_with_this: guard }
    }

    /// The pods of a selector, or `None` while they are not known; they will be soon.
    pub(crate) fn pods(&self, namespace: &str, selector: &Selector) -> Option<Vec<Pod>> {
        let watched = {
            let mut namespaces = self.namespaces.lock();
            namespaces.retain(|_, n| !n.has_ended.load(Ordering::Acquire));
            let watched = namespaces.entry(namespace.to_owned()).or_insert_with(|| {
                let watched = Arc::new(Namespace::default());
                let (client, clock) = (Arc::clone(&self.client), Arc::clone(&self.clock));
                let (name, cancel) = (namespace.to_owned(), self.cancel.clone());
                tokio::spawn(run(Arc::clone(&watched), client, clock, name, cancel));
                watched
            });
            Arc::clone(watched)
        };
        *watched.asked_at.lock() = self.clock.monotonic();
        let pods = watched.pods.read();
        watched.is_current.load(Ordering::Acquire).then(|| {
            let mut found: Vec<Pod> = pods.values().filter(|p| selector.matches(&p.labels)).cloned().collect();
            found.sort_by(|a, b| a.name.cmp(&b.name));
            found
        })
    }
}

async fn run(
    watched: Arc<Namespace>,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    name: String,
    cancel: CancellationToken,
) {
    // The first asker has not noted its time yet.
    *watched.asked_at.lock() = clock.monotonic();
    let mut version: Option<String> = None;
    let mut backoff_ms = BACKOFF_MS.0;
    let mut complained = false;
    while clock.monotonic().saturating_sub(*watched.asked_at.lock()) < IDLE {
        let start = clock.monotonic();
        let result = tokio::select! {
            result = follow(&watched, &client, &name, version.take()) => result,
            () = cancel.cancelled() => break,
        };
        let was_long = clock.monotonic().saturating_sub(start) >= LONG;
        match result {
            Ok(end) => {
                match end {
                    End::Regular(next) => version = Some(next).filter(|v| !v.is_empty()),
                    End::Gone => watched.is_current.store(false, Ordering::Release),
                }
                if was_long {
                    backoff_ms = BACKOFF_MS.0;
                    complained = false;
                    continue;
                }
            }
            Err(failed) => {
                watched.is_current.store(false, Ordering::Release);
                if !complained {
                    let error = chain(&failed.error);
                    tracing::warn!(namespace = name, error, "pods are not watched but listed until a watch succeeds");
                    complained = true;
                }
            }
        }
        let wait = Duration::from_millis(rand::rng().random_range(backoff_ms / 2..=backoff_ms));
        backoff_ms = (backoff_ms * 2).min(BACKOFF_MS.1);
        tokio::select! {
            () = clock.sleep(wait) => {}
            () = cancel.cancelled() => break,
        }
    }
    watched.is_current.store(false, Ordering::Release);
    watched.has_ended.store(true, Ordering::Release);
}

/// Lists, unless there is a version to go on from, and watches until the stream ends.
async fn follow(watched: &Namespace, client: &Client, name: &str, version: Option<String>) -> Result<End, CallError> {
    let mut version = match version {
        Some(version) => version,
        None => {
            let (listed, version) = pods::list(client, name, None).await?;
            *watched.pods.write() = listed.into_iter().map(|p| (p.name.clone(), p)).collect();
            version
        }
    };
    let path = format!(
        "/api/v1/namespaces/{name}/pods?watch=true&allowWatchBookmarks=true&timeoutSeconds={WATCH_SECONDS}&resourceVersion={}",
        crate::orchestrators::rest::segment(&version)
    );
    let mut stream = match client.watch(&path).await {
        Err(CallError { error: OrchestratorError::Refused { status: 410, .. }, .. }) => return Ok(End::Gone),
        other => other?,
    };
    watched.is_current.store(true, Ordering::Release);
    let mut buffer: Vec<u8> = Vec::new();
    loop {
        let Ok(chunk) = stream.chunk().await else {
            // Broken or silent: open it again from here; until then what is known may be old.
            watched.is_current.store(false, Ordering::Release);
            return Ok(End::Regular(version));
        };
        let Some(chunk) = chunk else { return Ok(End::Regular(version)) };
        buffer.extend_from_slice(&chunk);
        while let Some(end) = buffer.iter().position(|b| *b == b'\n') {
            let line: Vec<u8> = buffer.drain(..=end).collect();
            match apply(watched, &line)? {
                Applied::Version(next) => version = next,
                Applied::Nothing => {}
                Applied::Gone => return Ok(End::Gone),
            }
        }
        if buffer.len() > LINE_BYTES_MAX {
            let missing = "an end of line within 4 MiB";
            return Err(OrchestratorError::Malformed { orchestrator: super::client::KIND, missing }.into());
        }
    }
}

enum Applied {
    Version(String),
    Nothing,
    Gone,
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    object: serde_json::Value,
}

fn apply(watched: &Namespace, line: &[u8]) -> Result<Applied, CallError> {
    if line.trim_ascii().is_empty() {
        return Ok(Applied::Nothing);
    }
    let malformed = || OrchestratorError::Malformed { orchestrator: super::client::KIND, missing: "a watch event" };
    let event: Event = serde_json::from_slice(line).map_err(|_| malformed())?;
    let version = event.object["metadata"]["resourceVersion"].as_str().map(str::to_owned);
    match event.kind.as_str() {
        "ADDED" | "MODIFIED" => {
            let pod = pods::parse(event.object).ok_or_else(malformed)?;
            watched.pods.write().insert(pod.name.clone(), pod);
        }
        "DELETED" => {
            if let Some(name) = event.object["metadata"]["name"].as_str() {
                watched.pods.write().remove(name);
            }
        }
        "BOOKMARK" => {}
        // Whatever the reason, a fresh list is right; most often the version has expired.
        "ERROR" => return Ok(Applied::Gone),
        _ => return Ok(Applied::Nothing),
    }
    Ok(version.map_or(Applied::Nothing, Applied::Version))
}
