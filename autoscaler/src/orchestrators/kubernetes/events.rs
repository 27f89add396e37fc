//! Events on targets, so that `kubectl describe` tells who scaled and why.

use reqwest::Method;
use serde_json::{Value, json};
use vocab::Clock;

use super::client::{Client, refused};
use super::resource::Resource;
use crate::orchestrators::rest::Body;
use crate::orchestrators::retry::CallError;

/// Longest note that the API server takes, in bytes.
const NOTE_BYTES_MAX: usize = 1024;
/// Who reports.
const CONTROLLER: &str = "tidewatch";

/// What happened to which object.
#[derive(Debug)]
pub(crate) struct Happened<'a> {
    pub(crate) resource: &'a Resource,
    pub(crate) kind: &'a str,
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) uid: Option<&'a str>,
    /// `Normal` or `Warning`.
    pub(crate) level: &'static str,
    /// `ScaledOut`, `ScaledIn`, `ScaleFailed`.
    pub(crate) reason: &'static str,
    pub(crate) note: &'a str,
}

/// Writes an event.
pub(crate) async fn write(client: &Client, clock: &dyn Clock, happened: &Happened<'_>) -> Result<(), CallError> {
    let event = event(clock.now_ms(), rand::random(), happened);
    let bytes = event.to_string();
    let path = format!("/apis/events.k8s.io/v1/namespaces/{}/events", event_namespace(happened));
    let answer = client.call(Method::POST, &path, Some(Body::json(bytes.as_bytes()))).await?;
    if answer.is_success() { Ok(()) } else { Err(refused(&answer)) }
}

/// Events of objects without a namespace are kept in `default`.
fn event_namespace<'a>(happened: &Happened<'a>) -> &'a str {
    if happened.resource.is_namespaced { happened.namespace } else { "default" }
}

fn event(now_ms: i64, random: u64, happened: &Happened<'_>) -> Value {
    let time = jiff::Timestamp::from_millisecond(now_ms).unwrap_or_default();
    let mut note = happened.note.to_owned();
    if note.len() > NOTE_BYTES_MAX {
        note.truncate(note.floor_char_boundary(NOTE_BYTES_MAX));
    }
    // Names have at most 253 characters.
    let stem: String = happened.name.chars().take(200).collect();
    let mut regarding = json!({
        "apiVersion": happened.resource.api_version(), "kind": happened.kind, "name": happened.name});
    if happened.resource.is_namespaced {
        regarding["namespace"] = json!(happened.namespace);
    }
    if let Some(uid) = happened.uid {
        regarding["uid"] = json!(uid);
    }
    json!({
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"name": format!("{stem}.{random:016x}"), "namespace": event_namespace(happened)},
        "eventTime": micro_time(time),
        "reportingController": CONTROLLER,
        "reportingInstance": instance(),
        "action": "Scale",
        "reason": happened.reason,
        "regarding": regarding,
        "note": note,
        "type": happened.level,
    })
}

/// A time with six digits behind the point, the only form that the API takes for a MicroTime.
pub(crate) fn micro_time(time: jiff::Timestamp) -> String {
    format!("{time:.6}")
}

/// Which Tidewatch this is: the pod's (or host's) name.
pub(crate) fn instance() -> String {
    let name = nix::unistd::gethostname().ok().and_then(|n| n.into_string().ok()).filter(|n| !n.is_empty());
    name.unwrap_or_else(|| CONTROLLER.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_as_the_api_wants_it() {
        let resource =
            Resource { group: "apps".into(), version: "v1".into(), plural: "deployments".into(), is_namespaced: true };
        let happened = Happened {
            resource: &resource,
            kind: "Deployment",
            namespace: "shop",
            name: "web",
            uid: Some("u-1"),
            level: "Normal",
            reason: "ScaledOut",
            note: &"ä".repeat(1000),
        };
        let event = event(1_795_255_200_500, 255, &happened);
        assert_eq!(event["metadata"], json!({"name": "web.00000000000000ff", "namespace": "shop"}));
        assert_eq!(event["eventTime"], "2026-11-21T10:00:00.500000Z");
        assert_eq!(
            event["regarding"],
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "namespace": "shop", "uid": "u-1"})
        );
        assert_eq!(event["note"].as_str().map(str::len), Some(1024));
        assert!(!event["reportingInstance"].as_str().unwrap_or_default().is_empty());
    }
}
