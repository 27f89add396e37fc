//! Sends alerts to Alertmanagers (API v2).
//!
//! Alerts wait in a bounded queue; one task sends them in batches to every Alertmanager and tries again with growing pauses. When the
//! queue is full the oldest go, since the newest say more.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use serde::Serialize;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use vocab::{Alert, AlertState, Clock, Labels, TimestampMs};

use crate::config::AlertmanagerConfig;
use crate::metrics::Metrics;

/// Most alerts that wait: a few minutes of a bad day.
const QUEUE_MAX: usize = 10_000;
/// Most alerts in one request.
const BATCH_MAX: usize = 256;
/// Tries per batch and Alertmanager.
const TRIES_MAX: u32 = 4;
/// Pause before the second try; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Firing alerts are sent again this often, since an Alertmanager forgets what it does not hear of.
pub const RESEND_DELAY: Duration = Duration::from_secs(60);

/// An alert as the Alertmanager's API takes it.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Posted {
    labels: Labels,
    annotations: Labels,
    #[serde(rename = "startsAt")]
    starts_at: String,
    #[serde(rename = "endsAt")]
    ends_at: String,
    #[serde(rename = "generatorURL")]
    generator_url: String,
}

/// The queue and the task that empties it.
#[derive(Debug)]
pub struct Notifier {
    queue: Mutex<VecDeque<Posted>>,
    wake: Notify,
    stop: CancellationToken,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    external_labels: Labels,
    external_url: String,
    targets: Vec<AlertmanagerConfig>,
}

impl Notifier {
    /// Starts a notifier; without targets it takes nothing and starts nothing.
    pub fn start(
        targets: Vec<AlertmanagerConfig>,
        external_labels: Labels,
        external_url: String,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
    ) -> (Arc<Self>, Option<tokio::task::JoinHandle<()>>) {
        let notifier = Arc::new(Self {
            queue: Mutex::new(VecDeque::new()),
            wake: Notify::new(),
            stop: CancellationToken::new(),
            clock,
            metrics,
            external_labels,
            external_url,
            targets,
        });
        if notifier.targets.is_empty() {
            return (notifier, None);
        }
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build();
        let task = match client {
            Ok(client) => Some(tokio::spawn(Arc::clone(&notifier).run(client))),
            Err(error) => {
                tracing::error!(error = %vocab::error::chain(&error), "no alerts are sent: the HTTP client cannot be made");
                None
            }
        };
        (notifier, task)
    }

    /// Whether there is anyone to tell.
    pub fn is_active(&self) -> bool {
        !self.targets.is_empty()
    }

    /// Queues a firing or resolved alert. `valid` is how long it counts without being sent again.
    pub fn push(&self, alert: &Alert, now_ms: TimestampMs, valid: Duration) {
        if !self.is_active() {
            return;
        }
        let ends_ms = match (alert.state, alert.resolved_at_ms) {
            (AlertState::Resolved, Some(at)) => at,
            _ => now_ms + i64::try_from(valid.as_millis()).unwrap_or(i64::MAX / 4),
        };
        let mut labels = vocab::LabelsBuilder::from(&self.external_labels);
        for (name, value) in &alert.labels {
            labels.set(name, value);
        }
        let query: String = url::form_urlencoded::byte_serialize(alert.expression.as_bytes()).collect();
        let posted = Posted {
            labels: labels.build(),
            annotations: alert.annotations.clone(),
            starts_at: rfc3339(alert.fired_at_ms.unwrap_or(alert.active_at_ms)),
            ends_at: rfc3339(ends_ms),
            generator_url: format!("{}/graph?g0.expr={query}&g0.tab=1", self.external_url.trim_end_matches('/')),
        };
        let mut queue = self.queue.lock();
        if queue.len() >= QUEUE_MAX {
            queue.pop_front();
            self.metrics.notifications_dropped.inc();
        }
        queue.push_back(posted);
        drop(queue);
        self.wake.notify_one();
    }

    /// Ends the task after a last try with what is queued.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    async fn run(self: Arc<Self>, client: reqwest::Client) {
        loop {
            let batch: Vec<Posted> = {
                let mut queue = self.queue.lock();
                let size = queue.len().min(BATCH_MAX);
                queue.drain(..size).collect()
            };
            if batch.is_empty() {
                if self.stop.is_cancelled() {
                    return;
                }
                tokio::select! {
                    () = self.wake.notified() => {}
                    () = self.stop.cancelled() => {}
                }
                continue;
            }
            futures::future::join_all(self.targets.iter().map(|target| self.deliver(&client, target, &batch))).await;
        }
    }

    async fn deliver(&self, client: &reqwest::Client, target: &AlertmanagerConfig, batch: &[Posted]) {
        let mut pause = FIRST_PAUSE;
        for attempt in 1..=TRIES_MAX {
            let sent = client.post(&target.url).timeout(target.timeout).json(batch).send().await;
            let failure = match sent {
                Ok(answer) if answer.status().is_success() => {
                    self.metrics.notifications_sent.inc_by(batch.len() as u64);
                    return;
                }
                Ok(answer) => format!("status {}", answer.status()),
                Err(error) => vocab::error::chain(&error),
            };
            self.metrics.notification_failures.inc();
            let give_up = attempt == TRIES_MAX || self.stop.is_cancelled();
            tracing::warn!(url = %target.url, attempt, %failure, give_up, "an Alertmanager did not take alerts");
            if give_up {
                break;
            }
            tokio::select! {
                () = self.clock.sleep(pause) => {}
                () = self.stop.cancelled() => {}
            }
            pause *= 2;
        }
        self.metrics.notifications_dropped.inc_by(batch.len() as u64);
    }
}

fn rfc3339(ms: TimestampMs) -> String {
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH).to_string()
}

#[cfg(test)]
mod tests;
