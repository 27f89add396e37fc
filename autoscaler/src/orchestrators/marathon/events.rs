//! Marathon's event stream (server-sent events): tasks that die, deployments that end.

use std::sync::Arc;
use std::time::Duration;

use rand::Rng;
use reqwest::Method;
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use vocab::error::chain;

use super::{KIND, Shared, time_ms};
use crate::error::OrchestratorError;
use crate::orchestrator::OrchestratorEvent;
use crate::orchestrators::rest::Body;
use crate::orchestrators::retry::CallError;

/// The events that are asked for.
const PATH: &str =
    "/v2/events?event_type=status_update_event&event_type=deployment_success&event_type=deployment_failed";
/// Silence after which the stream is opened anew: Marathon sends an empty line every few seconds.
const SILENCE: Duration = Duration::from_secs(90);
/// Longest event.
const EVENT_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Most events that wait to be taken.
const EVENTS_MAX: usize = 256;
/// Wait before the stream is opened anew, in milliseconds; doubled up to the most.
const BACKOFF_MS: (u64, u64) = (1000, 60_000);

/// Follows the stream until cancelled.
pub(super) async fn run(shared: Arc<Shared>, cancel: CancellationToken) {
    let mut backoff_ms = BACKOFF_MS.0;
    loop {
        let start = shared.clock.monotonic();
        let result = tokio::select! {
            result = follow(&shared) => result,
            () = cancel.cancelled() => return,
        };
        if shared.clock.monotonic().saturating_sub(start) > SILENCE {
            backoff_ms = BACKOFF_MS.0;
        }
        if let Err(failed) = result {
            // Events only add to what is read anyway: no reason to complain aloud.
            tracing::debug!(error = chain(&failed.error), "Marathon's events are not followed");
        }
        let wait = Duration::from_millis(rand::rng().random_range(backoff_ms / 2..=backoff_ms));
        backoff_ms = (backoff_ms * 2).min(BACKOFF_MS.1);
        tokio::select! {
            () = shared.clock.sleep(wait) => {}
            () = cancel.cancelled() => return,
        }
    }
}

async fn follow(shared: &Shared) -> Result<(), CallError> {
    let client = shared.rest.stream_client(SILENCE).await?;
    let headers = [("accept", "text/event-stream".to_owned())];
    let rest = shared.rest.get().await?;
    let (mut stream, hidden) = rest.open(&client, Method::GET, PATH, Some(Body::headers(&headers))).await?;
    let status = stream.status().as_u16();
    if status != 200 {
        let message = "the event stream was refused".to_owned();
        return Err(OrchestratorError::Refused { orchestrator: KIND, status, message }.into());
    }
    let mut buffer = Vec::new();
    while let Some(chunk) = stream.chunk().await.map_err(|e| rest.unreachable(e, &hidden))? {
        buffer.extend_from_slice(&chunk);
        take_events(&mut buffer, |name, data| note(shared, name, data));
        if buffer.len() > EVENT_BYTES_MAX {
            let missing = "an end of an event within 4 MiB";
            return Err(OrchestratorError::Malformed { orchestrator: KIND, missing }.into());
        }
    }
    Ok(())
}

/// Takes whole events from the front of a buffer.
pub(super) fn take_events(buffer: &mut Vec<u8>, mut each: impl FnMut(&str, &str)) {
    let end_of = |bytes: &[u8]| {
        let newline = bytes.windows(2).position(|w| w == b"\n\n").map(|at| at + 2);
        let both = bytes.windows(4).position(|w| w == b"\r\n\r\n").map(|at| at + 4);
        newline.into_iter().chain(both).min()
    };
    while let Some(end) = end_of(buffer) {
        let block: Vec<u8> = buffer.drain(..end).collect();
        let text = String::from_utf8_lossy(&block);
        let (mut name, mut data) = ("message", String::new());
        for line in text.lines() {
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "event" => name = value,
                "data" if data.is_empty() => value.clone_into(&mut data),
                "data" => {
                    data.push('\n');
                    data.push_str(value);
                }
                _ => {}
            }
        }
        if !data.is_empty() {
            each(name, &data);
        }
    }
}

pub(super) fn note(shared: &Shared, name: &str, data: &str) {
    let Ok(event) = serde_json::from_str::<Value>(data) else { return };
    match name {
        "deployment_success" | "deployment_failed" => {
            if let Some(id) = event["id"].as_str().or_else(|| event["plan"]["id"].as_str()) {
                shared.ours.lock().values_mut().for_each(|list| list.retain(|d| d.0 != id));
            }
        }
        "status_update_event" => {
            let (state, app) = (event["taskStatus"].as_str().unwrap_or(""), event["appId"].as_str().unwrap_or(""));
            let has_died = matches!(state, "TASK_FAILED" | "TASK_LOST" | "TASK_ERROR" | "TASK_GONE" | "TASK_DROPPED");
            let Some(service) = shared.services.lock().get(app).cloned().filter(|_| has_died) else { return };
            let message = event["message"].as_str().filter(|m| !m.is_empty()).unwrap_or(state);
            let message: String = message.chars().take(200).collect();
            let time = event["timestamp"].as_str().map(str::to_owned);
            let mut events = shared.events.lock();
            if events.len() >= EVENTS_MAX {
                events.remove(0);
            }
            events.push(OrchestratorEvent {
                time_ms: time_ms(time.as_ref()).unwrap_or_else(|| shared.clock.now_ms()),
                service,
                replica: event["taskId"].as_str().unwrap_or_default().to_owned(),
                summary: format!("died ({message}), replaced by Marathon"),
            });
        }
        _ => {}
    }
}
