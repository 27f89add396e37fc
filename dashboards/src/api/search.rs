//! The command palette: pages, services, hosts, metrics, alerts and tickets by a part of their name.

use axum::Json;
use axum::extract::State;
use serde_json::{Value, json};
use vocab::entity::EntityKind;
use vocab::labels::METRIC_NAME;
use vocab::ports::catalog::{EntityFilter, TicketFilter};
use vocab::ports::query::SeriesFilter;

use super::overview::encode;
use crate::app::{Caller, Shared};
use crate::error::ApiResult;
use crate::params::Params;

/// Most items of an answer.
const ITEMS_MAX: usize = 20;
/// Most items of one kind, so that metrics do not crowd out the rest.
const KIND_MAX: usize = 8;
/// Rows looked at of each kind.
const ROWS_MAX: usize = 10_000;

/// The app's pages by the words people look for.
const PAGES: [(&str, &str); 10] = [
    ("Overview", "/"),
    ("Services", "/services"),
    ("Hosts", "/hosts"),
    ("Metrics", "/explore"),
    ("Logs", "/logs"),
    ("Alerts and tickets", "/alerts"),
    ("Autoscaling", "/autoscaling"),
    ("Reports", "/reports"),
    ("Targets", "/targets"),
    ("Status", "/status"),
];

/// What a part of a name could mean.
#[utoipa::path(get, path = "/api/v1/search", tag = "Frame", params(("q" = Option<String>, Query)), responses((status = 200, description = "at most 20 items")))]
pub(crate) async fn search(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let wanted = params.get("q").unwrap_or_default().to_lowercase();
    let hit = |text: &str| text.to_lowercase().contains(&wanted);
    let item = |kind: &str, title: &str, detail: &str, href: String| json!({"kind": kind, "title": title, "detail": detail, "href": href});
    let mut items: Vec<Value> =
        PAGES.iter().filter(|p| hit(p.0)).map(|(title, href)| item("page", title, "", (*href).to_owned())).collect();
    if wanted.is_empty() {
        return Ok(Json(json!({"items": items})));
    }
    for (kind, word, path) in [(EntityKind::Service, "service", "services"), (EntityKind::Host, "host", "hosts")] {
        let filter = EntityFilter { kind: Some(kind), limit: ROWS_MAX, ..EntityFilter::default() };
        let entities = app.ports.catalog.entities(&caller.tenant, &filter).await?;
        let found = entities.iter().filter(|e| hit(&e.id)).take(KIND_MAX);
        items.extend(found.map(|e| item(word, &e.id, &e.cluster, format!("/{path}/{}", encode(&e.id)))));
    }
    for group in app.ports.rules.groups().await {
        let found = group.rules.iter().filter(|r| r.alerting && hit(&r.name)).take(KIND_MAX);
        items.extend(found.map(|r| item("alert", &r.name, &group.name, "/alerts".to_owned())));
    }
    let tickets = TicketFilter { limit: ROWS_MAX, ..TicketFilter::default() };
    let tickets = app.ports.catalog.tickets(&caller.tenant, &tickets).await?;
    let found = tickets.iter().filter(|t| hit(&t.title) || wanted.trim_start_matches('#') == t.id.to_string());
    items.extend(
        found
            .take(KIND_MAX)
            .map(|t| item("ticket", &format!("#{} {}", t.id, t.title), t.state.as_str(), format!("/tickets/{}", t.id))),
    );
    let filter = SeriesFilter { any_of: Vec::new(), start_ms: i64::MIN / 4, end_ms: i64::MAX / 4, limit: 0 };
    let work =
        async move |app: Shared, ctx: vocab::Ctx| Ok(app.ports.querier.label_values(&ctx, METRIC_NAME, filter).await?);
    let names = app.run(&caller, app.config.query_timeout, work).await?;
    let found = names.iter().filter(|n| hit(n)).take(KIND_MAX);
    items.extend(found.map(|n| item("metric", n, "", format!("/explore?q={}", encode(n)))));
    items.truncate(ITEMS_MAX);
    Ok(Json(json!({"items": items})))
}
