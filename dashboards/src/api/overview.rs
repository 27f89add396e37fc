//! The first page: what needs attention, in a sentence and a list.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use vocab::ports::catalog::{ChangeFilter, TicketFilter};
use vocab::sentence::read_all;
use vocab::ticket::TicketState;
use vocab::{AlertState, Sentence, TimestampMs};

use super::said::said_with;
use super::{hosts, services, shapes};
use crate::app::{Caller, Shared};
use crate::error::ApiResult;
use crate::params::Params;

/// Most rows of "needs attention": what does not fit is on the pages.
const ATTENTION_MAX: usize = 8;
/// Changes shown.
const CHANGES_MAX: usize = 50;
/// Tickets counted at most.
const TICKETS_MAX: usize = 10_000;
/// How long after a start an empty page means "collecting", not "nothing there".
const COLLECTING_MS: i64 = 60_000;

/// Everything the first page shows.
#[utoipa::path(get, path = "/api/v1/overview", tag = "Overview", params(("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query)),
    responses((status = 200, description = "sentence, counts, what needs attention, services, changes, sources")))]
pub(crate) async fn overview(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let now_ms = app.clock.now_ms();
    let range = params.range(now_ms)?;
    let (services, hosts) = tokio::try_join!(services::rows(&app, &caller, range), hosts::rows(&app, &caller, range))?;
    let (hosts, containers) = hosts;
    let alerts = app.ports.rules.alerts().await;
    let firing: Vec<_> = alerts.iter().filter(|a| a.state == AlertState::Firing).collect();
    let states = vec![TicketState::Open, TicketState::Acknowledged];
    let tickets = TicketFilter { states, limit: TICKETS_MAX, ..TicketFilter::default() };
    let tickets = app.ports.catalog.tickets(&caller.tenant, &tickets).await?;
    let changes =
        ChangeFilter { from_ms: Some(range.0), to_ms: Some(range.1), limit: CHANGES_MAX, ..ChangeFilter::default() };
    let changes = app.ports.catalog.changes(&caller.tenant, &changes).await?;
    let sources = app.ports.sources.sources().await;

    let mut attention = Vec::new();
    for alert in &firing {
        let severity = match alert.labels.get("severity") {
            Some("critical" | "page") => "critical",
            _ => "warning",
        };
        let what = alert.annotations.get("summary").unwrap_or(&alert.rule);
        let href = alert.ticket_id.map_or_else(|| "/alerts".to_owned(), |id| format!("/tickets/{id}"));
        let since = alert.fired_at_ms.unwrap_or(alert.active_at_ms);
        attention.push(row(severity, what, Some(since), alert.labels.get("service").unwrap_or_default(), &href));
    }
    // A service or host that is only unwell because of an alert is in the list already.
    let unwell = |health: &str, reason: &Sentence| health != "ok" && reason.key != services::ALERT_FIRES;
    let mut sentences = Vec::new();
    let mut about = |severity: &str, subject: &str, why: Vec<Sentence>, href: &str| {
        let what = Sentence::say("attention.about", [("subject", subject.into()), ("why", why.into())]);
        attention.push(row(severity, &what.text, None, subject, href));
        sentences.push(what);
    };
    for service in services.iter().filter(|s| unwell(s.health, &s.reason)) {
        let href = format!("/services/{}", encode(&service.service));
        about(service.health, &service.service, vec![service.reason.clone()], &href);
    }
    for host in hosts.iter().filter(|h| unwell(h.health, &h.reason)) {
        about(host.health, &host.host, vec![host.reason.clone()], &format!("/hosts/{}", encode(&host.host)));
    }
    for source in sources.iter().filter(|s| !s.healthy) {
        about("warning", &source.name, read_all(&source.problem), "/targets");
    }
    let order = |v: &Value| match v["severity"].as_str() {
        Some("critical") => 0,
        Some("warning") => 1,
        _ => 2,
    };
    attention.sort_by_key(order);
    attention.truncate(ATTENTION_MAX);
    sentences.retain(|s| attention.iter().any(|row| row["what"] == s.text));

    let unhealthy = services.iter().filter(|s| matches!(s.health, "warning" | "critical")).count()
        + hosts.iter().filter(|h| matches!(h.health, "warning" | "critical")).count();
    let key = if attention.is_empty() { "overview.fine" } else { "overview.attention" };
    let args = json!({"services": services.len(), "hosts": hosts.len(), "containers": containers.len(), "unhealthy": unhealthy});
    let started = app.ports.admin.status().await.started_at_ms;
    let answer = json!({
        "sentence": {"key": key, "args": args},
        "counts": {
            "services": services.len(),
            "hosts": hosts.len(),
            "containers": containers.len(),
            "alerts_firing": firing.len(),
            "tickets_open": tickets.len(),
        },
        "attention": attention,
        "services": services.into_iter().map(|s| s.json).collect::<Vec<_>>(),
        "changes": changes.iter().map(shapes::change).collect::<Vec<_>>(),
        "collecting": hosts.is_empty() && now_ms - started < COLLECTING_MS,
        "sources": sources,
    });
    Ok(said_with(answer, sentences))
}

fn row(severity: &str, what: &str, since_ms: Option<TimestampMs>, subject: &str, href: &str) -> Value {
    json!({"severity": severity, "what": what, "since_ms": since_ms, "subject": subject, "href": href})
}

/// A name as one segment of a path.
pub(super) fn encode(name: &str) -> String {
    let mut text = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
    }
    text
}
