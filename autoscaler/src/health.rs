//! HTTP health checks of replicas, made when someone asks and remembered for their interval.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use vocab::Clock;

use crate::http;

/// Most checks under way at once for one service.
const CHECKS_AT_ONCE_MAX: usize = 32;
/// Failed checks in a row after which a ready replica no longer counts as ready: one may be lost to a busy machine.
const FAILURES_MAX: u32 = 2;
/// A check gets at most this long, so that one dead replica does not hold up the others.
const TIMEOUT_MAX: Duration = Duration::from_secs(2);

/// How replicas are checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthCheck {
    /// The path that is asked; any 2xx answer is good.
    pub path: String,
    /// Time between checks.
    pub interval: Duration,
}

#[derive(Debug, Clone, Default)]
struct Entry {
    checked_at: Duration,
    ready: bool,
    failures: u32,
    note: String,
}

/// Results of the checks of one service's replicas.
#[derive(Debug)]
pub(crate) struct HealthBook {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    entries: Mutex<HashMap<String, Entry>>,
    /// One round of checks at a time: callers that come meanwhile take its results.
    checking: tokio::sync::Mutex<()>,
}

impl HealthBook {
    /// An empty book.
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Self {
        // The plain client cannot fail to build: it has no TLS, proxy or resolver to set up.
        let client = http::client().timeout(TIMEOUT_MAX).build().unwrap_or_default();
        Self { client, clock, entries: Mutex::default(), checking: tokio::sync::Mutex::default() }
    }

    /// Checks what is due and gives (ready, note) for each of `replicas`, in order. What is not asked for any more is
    /// forgotten.
    pub(crate) async fn check(
        &self,
        check: &HealthCheck,
        replicas: &[(String, Option<SocketAddr>)],
    ) -> Vec<(bool, String)> {
        let _one_round = self.checking.lock().await;
        let now = self.clock.monotonic();
        let due: Vec<(String, SocketAddr)> = {
            let mut entries = self.entries.lock();
            entries.retain(|key, _| replicas.iter().any(|r| r.0 == *key));
            let is_due =
                |key: &String| entries.get(key).is_none_or(|e| now.saturating_sub(e.checked_at) >= check.interval);
            replicas.iter().filter(|r| is_due(&r.0)).filter_map(|r| Some((r.0.clone(), r.1?))).collect()
        };
        let results: Vec<(String, Result<(), String>)> = futures::stream::iter(due)
            .map(|(key, address)| async move { (key, self.ask(address, &check.path).await) })
            .buffer_unordered(CHECKS_AT_ONCE_MAX)
            .collect()
            .await;
        let mut entries = self.entries.lock();
        for (key, result) in results {
            let entry = entries.entry(key).or_default();
            entry.checked_at = now;
            match result {
                Ok(()) => *entry = Entry { checked_at: now, ready: true, ..Entry::default() },
                Err(note) => {
                    entry.failures = entry.failures.saturating_add(1);
                    entry.ready &= entry.failures < FAILURES_MAX;
                    entry.note = note;
                }
            }
        }
        replicas
            .iter()
            .map(|r| entries.get(&r.0).map_or((false, String::new()), |e| (e.ready, e.note.clone())))
            .collect()
    }

    async fn ask(&self, address: SocketAddr, path: &str) -> Result<(), String> {
        let answer = self.client.get(format!("http://{address}{path}")).send().await;
        match answer {
            Ok(answer) if answer.status().is_success() => Ok(()),
            Ok(answer) => Err(format!("health check answers {}", answer.status().as_u16())),
            Err(error) if error.is_timeout() => Err("health check timed out".into()),
            Err(error) if error.is_connect() => Err("health check finds nobody listening".into()),
            Err(_) => Err("health check broke off".into()),
        }
    }
}
