//! A firing alert opens or joins a ticket; when the last alert of a ticket resolves, so does the ticket.
//!
//! Nothing is repeated after a restart: the alert's row carries its ticket, and an entry that stands in a timeline already is not
//! written again.

use vocab::ticket::{Ticket, TicketEntry, TicketState};
use vocab::{Alert, AlertState, PortResult, TimestampMs};

use crate::deps::Shared;

/// Who writes the entries.
const ACTOR: &str = "tidewatch";
/// Alerts named one by one in a ticket's timeline; of a storm of alerts only the first are.
const ENTRIES_MAX: usize = 50;

/// The ticket that an alert goes to: its name and service.
pub fn dedup_key(alert: &Alert) -> String {
    let label = |name| alert.labels.get(name).unwrap_or("");
    match (label("cluster"), label("service")) {
        ("", "") => alert.rule.clone(),
        ("", service) => format!("{}/{service}", alert.rule),
        (cluster, service) => format!("{}/{cluster}/{service}", alert.rule),
    }
}

/// Opens or joins the ticket of an alert that has begun to fire; gives its number.
pub(crate) async fn fired(shared: &Shared, alert: &Alert, now_ms: TimestampMs) -> PortResult<i64> {
    let text = format!("alert fired: {}", what(alert));
    let severity = alert.labels.get("severity").unwrap_or("warning");
    let ticket = Ticket {
        id: 0,
        dedup_key: dedup_key(alert),
        title: title(alert),
        severity: severity.to_owned(),
        service: alert.labels.get("service").unwrap_or("").to_owned(),
        state: TicketState::Open,
        owner: String::new(),
        opened_at_ms: now_ms,
        updated_at_ms: now_ms,
        resolved_at_ms: None,
        timeline: vec![entry(now_ms, text.clone())],
        evidence: evidence(alert),
    };
    let (id, created) = shared.catalog.open_ticket(&shared.tenant, &ticket).await?;
    if created {
        shared.metrics.tickets_opened.inc();
        return Ok(id);
    }
    let existing = shared.catalog.ticket(&shared.tenant, id).await?;
    // The same alert may fire twice in one ticket; only an entry of the same moment is a repetition (after a restart).
    let repeated = existing.timeline.iter().any(|e| e.text == text && e.time_ms >= alert.active_at_ms);
    if !repeated && existing.timeline.len() < ENTRIES_MAX {
        shared.catalog.update_ticket(&shared.tenant, id, None, None, &entry(now_ms, text)).await?;
    }
    Ok(id)
}

/// Notes the end of an alert in its ticket, and resolves the ticket when `others_firing` is false.
pub(crate) async fn resolved(
    shared: &Shared,
    alert: &Alert,
    id: i64,
    others_firing: bool,
    now_ms: TimestampMs,
) -> PortResult<()> {
    let ticket = shared.catalog.ticket(&shared.tenant, id).await?;
    let open = matches!(ticket.state, TicketState::Open | TicketState::Acknowledged);
    if !open {
        return Ok(());
    }
    if others_firing {
        if ticket.timeline.len() < ENTRIES_MAX {
            let text = format!("alert resolved: {}", what(alert));
            shared.catalog.update_ticket(&shared.tenant, id, None, None, &entry(now_ms, text)).await?;
        }
        return Ok(());
    }
    let text = format!("resolved: {} no longer holds", what(alert));
    shared.catalog.update_ticket(&shared.tenant, id, Some(TicketState::Resolved), None, &entry(now_ms, text)).await?;
    shared.metrics.tickets_resolved.inc();
    Ok(())
}

fn entry(time_ms: TimestampMs, text: String) -> TicketEntry {
    TicketEntry { time_ms, actor: ACTOR.to_owned(), text }
}

fn title(alert: &Alert) -> String {
    let said = ["summary", "title", "message", "description"].iter().find_map(|name| alert.annotations.get(name));
    match said {
        Some(text) => format!("{}: {}", alert.rule, first_line(text)),
        None => match alert.labels.get("service") {
            Some(service) => format!("{} on {service}", alert.rule),
            None => alert.rule.clone(),
        },
    }
}

fn first_line(text: &str) -> String {
    text.trim().lines().next().unwrap_or("").chars().take(200).collect()
}

fn what(alert: &Alert) -> String {
    let labels = alert.labels.without(&["alertname", "severity"]);
    let labels = if labels.is_empty() { String::new() } else { labels.to_string() };
    format!("{}{labels} (value {})", alert.rule, crate::template::format_g(alert.value, 4))
}

/// Expressions that show what happened: the rule's own, and the alert's history.
fn evidence(alert: &Alert) -> Vec<String> {
    let mut list = vec![alert.expression.clone(), format!("ALERTS{{alertname={:?}}}", alert.rule)];
    if let Some(service) = alert.labels.get("service") {
        list.push(format!("tidewatch_anomaly_score{{service={service:?}}}"));
    }
    list
}

/// Whether another alert of the same ticket still fires.
pub(crate) fn others_firing<'a>(alerts: impl IntoIterator<Item = &'a Alert>, alert: &Alert, ticket_id: i64) -> bool {
    alerts.into_iter().any(|a| {
        a.ticket_id == Some(ticket_id)
            && a.state == AlertState::Firing
            && (a.fingerprint != alert.fingerprint || a.group != alert.group || a.rule != alert.rule)
    })
}
