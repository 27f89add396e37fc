//! Alert history, rules, tickets.

use axum::Json;
use axum::extract::{Path, State};
use serde::Deserialize;
use serde_json::{Value, json};
use vocab::ports::catalog::{AlertFilter, TicketFilter};
use vocab::ports::views::RuleStatus;
use vocab::ticket::{TicketEntry, TicketState};

use super::body::JsonBody;
use super::said::said;
use super::shapes;
use super::system::note;
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// Most rows of a list.
pub(super) const ROWS_MAX: usize = 1000;
/// Rows when the caller names no number.
pub(super) const ROWS_DEFAULT: usize = 100;
/// Longest comment on a ticket, in bytes.
const COMMENT_BYTES_MAX: usize = 16 * 1024;

/// Alerts of a time, ended ones included.
#[utoipa::path(get, path = "/api/v1/alerts/history", tag = "Alerts and tickets", params(("from_ms" = Option<i64>, Query),
    ("to_ms" = Option<i64>, Query), ("limit" = Option<u64>, Query)), responses((status = 200, description = "newest first")))]
pub(crate) async fn history(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let filter = AlertFilter {
        from_ms: params.millis("from_ms")?,
        to_ms: params.millis("to_ms")?,
        limit: params.number("limit", ROWS_DEFAULT, ROWS_MAX)?,
        ..AlertFilter::default()
    };
    let alerts = app.ports.catalog.alerts(&caller.tenant, &filter).await?;
    Ok(said(json!({"alerts": alerts.iter().map(shapes::alert).collect::<Vec<_>>()})))
}

/// The rule groups, with times in milliseconds.
#[utoipa::path(get, path = "/api/v1/alerting/rules", tag = "Alerts and tickets", responses((status = 200, description = "groups in file order")))]
pub(crate) async fn rules(State(app): State<Shared>) -> Json<Value> {
    let groups = app.ports.rules.groups().await;
    let groups: Vec<_> = groups
        .iter()
        .map(|g| {
            json!({
                "name": g.name,
                "file": g.file,
                "interval_seconds": g.interval_seconds,
                "last_evaluation_ms": g.last_evaluation_ms,
                "evaluation_seconds": g.evaluation_seconds,
                "rules": g.rules.iter().map(rule).collect::<Vec<_>>(),
            })
        })
        .collect();
    said(json!({"groups": groups}))
}

fn rule(rule: &RuleStatus) -> Value {
    json!({
        "name": rule.name,
        "alerting": rule.alerting,
        "query": rule.query,
        "for_seconds": rule.for_seconds,
        "keep_firing_for_seconds": rule.keep_firing_for_seconds,
        "labels": rule.labels,
        "annotations": rule.annotations,
        "health": rule.health,
        "last_error": rule.last_error,
        "last_evaluation_ms": rule.last_evaluation_ms,
        "evaluation_seconds": rule.evaluation_seconds,
        "alerts": rule.alerts.iter().map(shapes::alert).collect::<Vec<_>>(),
    })
}

fn state_of(word: &str) -> ApiResult<TicketState> {
    TicketState::parse(word)
        .ok_or_else(|| ApiError::invalid(format!("want open, acknowledged, resolved or closed, not {word:?}")))
}

/// Tickets with their timelines.
#[utoipa::path(get, path = "/api/v1/tickets", tag = "Alerts and tickets", params(("state" = Option<String>, Query, description = "separated by commas"),
    ("limit" = Option<u64>, Query)), responses((status = 200, description = "newest first")))]
pub(crate) async fn tickets(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let words = params.get("state").into_iter().flat_map(|s| s.split(',')).map(str::trim).filter(|w| !w.is_empty());
    let filter = TicketFilter {
        states: words.map(state_of).collect::<ApiResult<_>>().map_err(|e| e.parameter("state"))?,
        limit: params.number("limit", ROWS_DEFAULT, ROWS_MAX)?,
        ..TicketFilter::default()
    };
    Ok(said(json!({"tickets": app.ports.catalog.tickets(&caller.tenant, &filter).await?})))
}

/// One ticket.
#[utoipa::path(get, path = "/api/v1/tickets/{id}", tag = "Alerts and tickets", params(("id" = i64, Path)),
    responses((status = 200, description = "the ticket"), (status = 404, description = "there is none")))]
pub(crate) async fn ticket(State(app): State<Shared>, caller: Caller, Path(id): Path<i64>) -> ApiResult<Json<Value>> {
    Ok(said(shapes::json(&app.ports.catalog.ticket(&caller.tenant, id).await?)))
}

/// What changes on a ticket; what is left out stays.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct TicketChange {
    /// open, acknowledged, resolved or closed.
    #[serde(default)]
    state: Option<String>,
    /// Who has it now; empty for nobody.
    #[serde(default)]
    owner: Option<String>,
    /// Goes to the timeline.
    #[serde(default)]
    comment: Option<String>,
}

/// Changes state or owner, or adds a comment.
#[utoipa::path(post, path = "/api/v1/tickets/{id}/update", tag = "Alerts and tickets", params(("id" = i64, Path)), request_body = TicketChange,
    responses((status = 200, description = "the ticket as it is now"), (status = 404, description = "there is none"),
    (status = 409, description = "it cannot be reopened beside another open one")))]
pub(crate) async fn update_ticket(
    State(app): State<Shared>,
    caller: Caller,
    Path(id): Path<i64>,
    JsonBody(change): JsonBody<TicketChange>,
) -> ApiResult<Json<Value>> {
    let state = change.state.as_deref().map(state_of).transpose()?;
    let comment = change.comment.as_deref().map(str::trim).filter(|c| !c.is_empty());
    if comment.is_some_and(|c| c.len() > COMMENT_BYTES_MAX) {
        return Err(ApiError::new(vocab::ErrorKind::Limit, format!("a comment has at most {COMMENT_BYTES_MAX} bytes")));
    }
    let mut parts = Vec::new();
    parts.extend(state.map(|s| format!("state: {}", s.as_str())));
    parts.extend(
        change.owner.as_deref().map(|o| if o.is_empty() { "owner: nobody".into() } else { format!("owner: {o}") }),
    );
    parts.extend(comment.map(str::to_owned));
    if parts.is_empty() {
        return Err(ApiError::invalid("nothing to change: give a state, an owner or a comment"));
    }
    let text = parts.join("; ");
    let entry = TicketEntry { time_ms: app.clock.now_ms(), actor: caller.actor.clone(), text: text.clone() };
    app.ports.catalog.update_ticket(&caller.tenant, id, state, change.owner.as_deref(), &entry).await?;
    note(&app, &caller, "ticket.update", &format!("ticket {id}"), &text).await;
    Ok(said(shapes::json(&app.ports.catalog.ticket(&caller.tenant, id).await?)))
}
