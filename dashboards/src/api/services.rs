//! Services: what users call, seen from the load balancer, the containers and the autoscaler.

use std::collections::{BTreeMap, BTreeSet};

use axum::Json;
use axum::extract::{Path, State};
use promql::{Expr, ParseOptions};
use serde_json::{Value, json};
use vocab::entity::{Entity, EntityKind};
use vocab::ports::catalog::{ChangeFilter, DecisionFilter, EntityFilter};
use vocab::scaling::{RunningReplica, ScaledService};
use vocab::{Alert, AlertState, Ctx, ErrorKind, Sentence, TimestampMs};

use super::said::said;
use super::shapes::{self, number};
use super::view::{ByLabel, View, quoted};
use crate::app::{Caller, Shared};
use crate::error::{ApiError, ApiResult};
use crate::params::Params;

/// A service that was seen by nobody for this long is unknown.
const STALE_MS: i64 = 300_000;
/// Most services of a list.
const SERVICES_MAX: usize = 10_000;
/// Share of failed requests from which a service needs attention, and from which it is broken.
const ERRORS_WARNING: f64 = 0.01;
const ERRORS_CRITICAL: f64 = 0.05;
/// An instance is odd when it differs from the median of its service by this factor.
const ODD_FACTOR: f64 = 2.0;

/// Requests per second by service: as the load balancer counts them, else as the service does.
const RPS: &str = "sum by (service) (rate(haproxy_backend_http_requests_total{service!=\"\"}[1m])) \
                   or sum by (service) (rate(http_requests_total{service!=\"\"}[1m]))";
const ERRORS: &str = "(sum by (service) (rate(haproxy_backend_http_responses_total{service!=\"\",code=\"5xx\"}[1m])) \
                      / sum by (service) (rate(haproxy_backend_http_responses_total{service!=\"\"}[1m]))) \
                      or (sum by (service) (rate(http_requests_total{service!=\"\",code=~\"5..\"}[1m])) \
                      / sum by (service) (rate(http_requests_total{service!=\"\"}[1m])))";
const P95: &str = "histogram_quantile(0.95, sum by (service, le) \
                   (rate(http_request_duration_seconds_bucket{service!=\"\"}[1m])))";
const QUEUE: &str = "sum by (service) (haproxy_backend_current_queue{service!=\"\"})";
const SERVERS: &str = "max by (service) (haproxy_backend_active_servers{service!=\"\"})";
const CPU: &str = "sum by (service) (rate(container_cpu_usage_seconds_total{service!=\"\"}[1m]))";
const MEMORY: &str = "sum by (service) (container_memory_working_set_bytes{service!=\"\"})";

/// The series that the analyzer forecasts into, one per quantile and horizon.
const FORECAST: &str = "tidewatch_forecast";
/// The analyzer's own watch of what HAProxy counts, for a service whose policy names no forecast.
const FORECAST_WATCH: &str = "service_rps";
/// The metric of that watch.
const WATCHED: &str = "haproxy_backend_http_requests_total";

/// The sentence of what is unwell because of an alert.
pub(super) const ALERT_FIRES: &str = "health.alert";

/// What is known of all services now.
pub(super) struct Numbers {
    rps: ByLabel,
    errors: ByLabel,
    p95: ByLabel,
    queue: ByLabel,
    servers: ByLabel,
    cpu: ByLabel,
    memory: ByLabel,
    sparks: BTreeMap<String, Vec<Option<f64>>>,
}

impl Numbers {
    pub(super) async fn read(view: &View, range: (TimestampMs, TimestampMs)) -> ApiResult<Self> {
        Ok(Self {
            rps: view.by("service", RPS).await?,
            errors: view.by("service", ERRORS).await?,
            p95: view.by("service", P95).await?,
            queue: view.by("service", QUEUE).await?,
            servers: view.by("service", SERVERS).await?,
            cpu: view.by("service", CPU).await?,
            memory: view.by("service", MEMORY).await?,
            sparks: view.sparks("service", RPS, range).await?,
        })
    }
}

/// A row with its health, for lists and for the overview.
pub(super) struct ServiceRow {
    pub(super) service: String,
    pub(super) health: &'static str,
    pub(super) reason: Sentence,
    pub(super) json: Value,
}

/// The rows of all services of a tenant, by name.
pub(super) async fn rows(
    app: &Shared,
    caller: &Caller,
    range: (TimestampMs, TimestampMs),
) -> ApiResult<Vec<ServiceRow>> {
    let numbers = numbers(app, caller, range).await?;
    let filter = EntityFilter { kind: Some(EntityKind::Service), limit: SERVICES_MAX, ..EntityFilter::default() };
    let entities = app.ports.catalog.entities(&caller.tenant, &filter).await?;
    let scaled = app.ports.scaling.services(&caller.tenant).await;
    let alerts = app.ports.rules.alerts().await;
    let mut names: BTreeSet<&str> = entities.iter().map(|e| e.id.as_str()).collect();
    names.extend(scaled.iter().map(|s| s.service.as_str()));
    names.extend(numbers.rps.keys().map(String::as_str));
    let now_ms = app.clock.now_ms();
    let row = |name: &&str| {
        let entity = entities.iter().filter(|e| e.id == **name).max_by_key(|e| e.last_seen_ms);
        let policy = scaled.iter().find(|s| s.service == **name);
        let alerts: Vec<&Alert> = alerts.iter().filter(|a| a.labels.get("service") == Some(name)).collect();
        service_row(name, &numbers, entity, policy, &alerts, now_ms)
    };
    Ok(names.iter().map(row).collect())
}

async fn numbers(app: &Shared, caller: &Caller, range: (TimestampMs, TimestampMs)) -> ApiResult<Numbers> {
    let time_ms = app.clock.now_ms().min(range.1.max(range.0));
    let work = async move |app: Shared, ctx: Ctx| Numbers::read(&View::new(app, ctx, time_ms), range).await;
    app.run(caller, app.config.query_timeout, work).await
}

fn service_row(
    name: &str,
    numbers: &Numbers,
    entity: Option<&Entity>,
    policy: Option<&ScaledService>,
    alerts: &[&Alert],
    now_ms: TimestampMs,
) -> ServiceRow {
    let get = |map: &ByLabel| map.get(name).copied();
    let ready = policy.and_then(|p| p.ready).map(f64::from).or(get(&numbers.servers));
    let wanted = policy.and_then(|p| p.wanted);
    let label = |key: &str| entity.and_then(|e| e.labels.get(key)).map_or("", String::as_str);
    let last_seen_ms = entity.map(|e| e.last_seen_ms);
    let (rps, errors) = (get(&numbers.rps), get(&numbers.errors));
    let (health, reason) = health(rps, errors, ready, wanted, alerts, last_seen_ms, now_ms);
    let json = json!({
        "cluster": entity.map(|e| e.cluster.as_str()).or(policy.map(|p| p.cluster.as_str())).unwrap_or_default(),
        "service": name,
        "health": health,
        "health_reason": reason.text,
        "rps": number(rps),
        "errors_ratio": number(errors),
        "p95_seconds": number(get(&numbers.p95)),
        "queue": number(get(&numbers.queue)),
        "replicas_ready": number(ready),
        "replicas_wanted": wanted,
        "min": policy.map(|p| p.min),
        "max": policy.map(|p| p.max),
        "cpu_cores": number(get(&numbers.cpu)),
        "memory_bytes": number(get(&numbers.memory)),
        "owner": label("owner"),
        "orchestrator": policy.map_or_else(|| label("orchestrator"), |p| p.orchestrator.as_str()),
        "autoscaled": policy.is_some(),
        "mode": policy.map(|p| p.mode),
        "rps_spark": numbers.sparks.get(name).cloned().unwrap_or_default(),
        "last_seen_ms": last_seen_ms,
    });
    ServiceRow { service: name.to_owned(), health, reason, json }
}

/// How a service is, and why, the worst first.
fn health(
    rps: Option<f64>,
    errors: Option<f64>,
    ready: Option<f64>,
    wanted: Option<u32>,
    alerts: &[&Alert],
    last_seen_ms: Option<TimestampMs>,
    now_ms: TimestampMs,
) -> (&'static str, Sentence) {
    let firing = |critical: bool| {
        let is_critical = |a: &Alert| matches!(a.labels.get("severity"), Some("critical" | "page"));
        alerts.iter().find(|a| a.state == AlertState::Firing && is_critical(a) == critical)
    };
    let say = |key| Sentence::say(key, []);
    let failing = |ratio: f64| Sentence::say("health.errors", [("percent", format!("{:.1}", ratio * 100.0).into())]);
    if ready == Some(0.0) && wanted.is_none_or(|w| w > 0) {
        return ("critical", say("health.no_replica"));
    }
    if let Some(errors) = errors.filter(|e| *e >= ERRORS_CRITICAL) {
        return ("critical", failing(errors));
    }
    if let Some(alert) = firing(true) {
        return ("critical", alert_fires(alert));
    }
    if let Some(errors) = errors.filter(|e| *e >= ERRORS_WARNING) {
        return ("warning", failing(errors));
    }
    if let Some(alert) = firing(false) {
        return ("warning", alert_fires(alert));
    }
    if let (Some(ready), Some(wanted)) = (ready, wanted)
        && ready < f64::from(wanted)
    {
        let args = [("ready", ready.to_string().into()), ("wanted", wanted.to_string().into())];
        return ("warning", Sentence::say("health.replicas", args));
    }
    if rps.is_none() && ready.is_none() {
        return match last_seen_ms {
            Some(seen) if now_ms - seen > STALE_MS => ("unknown", say("health.unseen")),
            Some(_) => ("ok", say("health.unmeasured")),
            None => ("unknown", say("health.nothing_known")),
        };
    }
    ("ok", Sentence::verbatim(""))
}

/// That an alert about something is firing.
pub(super) fn alert_fires(alert: &Alert) -> Sentence {
    Sentence::say(ALERT_FIRES, [("rule", alert.rule.as_str().into())])
}

/// All services.
#[utoipa::path(get, path = "/api/v1/services", tag = "Services and hosts", params(("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query)),
    responses((status = 200, description = "services by name")))]
pub(crate) async fn list(State(app): State<Shared>, caller: Caller, params: Params) -> ApiResult<Json<Value>> {
    let range = params.range(app.clock.now_ms())?;
    let rows: Vec<Value> = rows(&app, &caller, range).await?.into_iter().map(|r| r.json).collect();
    Ok(said(json!({"services": rows})))
}

/// One service with its instances, charts, changes, decisions, alerts and policy.
#[utoipa::path(get, path = "/api/v1/services/{service}", tag = "Services and hosts", params(("service" = String, Path),
    ("from_ms" = Option<i64>, Query), ("to_ms" = Option<i64>, Query)),
    responses((status = 200, description = "the service"), (status = 404, description = "there is none of that name")))]
pub(crate) async fn get(
    State(app): State<Shared>,
    caller: Caller,
    Path(service): Path<String>,
    params: Params,
) -> ApiResult<Json<Value>> {
    let range = params.range(app.clock.now_ms())?;
    let row = rows(&app, &caller, range).await?.into_iter().find(|r| r.service == service);
    let row = row.ok_or_else(|| ApiError::new(ErrorKind::NotFound, format!("there is no service {service:?}")))?;
    let (tenant, catalog) = (&caller.tenant, &app.ports.catalog);
    let (from_ms, to_ms) = (Some(range.0), Some(range.1));
    let changes =
        ChangeFilter { service: Some(service.clone()), from_ms, to_ms, limit: 100, ..ChangeFilter::default() };
    let changes = catalog.changes(tenant, &changes).await?;
    let decisions = DecisionFilter { service: Some(service.clone()), to_ms, limit: 20, ..DecisionFilter::default() };
    let decisions = catalog.decisions(tenant, &decisions).await?;
    let alerts = app.ports.rules.alerts().await;
    let alerts: Vec<_> =
        alerts.iter().filter(|a| a.labels.get("service") == Some(&service)).map(shapes::alert).collect();
    let policy = app.ports.scaling.services(tenant).await.into_iter().find(|s| s.service == service);
    let filter = EntityFilter { parent: Some(service.clone()), ..EntityFilter::default() };
    let children = catalog.entities(tenant, &filter).await?;
    let time_ms = app.clock.now_ms().min(range.1);
    // What runs now says nothing of a range that ended long ago.
    let is_now = app.clock.now_ms().saturating_sub(time_ms) <= STALE_MS;
    let running = if is_now { app.ports.scaling.running(tenant, &service).await } else { None };
    let name = service.clone();
    let work = async move |app: Shared, ctx: Ctx| {
        instances(&View::new(app, ctx, time_ms), &name, running, &children, time_ms).await
    };
    let instances = app.run(&caller, app.config.query_timeout, work).await?;
    Ok(said(json!({
        "service": row.json,
        "instances": instances,
        "charts": charts(&service, policy.as_ref()),
        "changes": changes.iter().map(shapes::change).collect::<Vec<_>>(),
        "decisions": decisions,
        "alerts": alerts,
        "policy": policy.as_ref().map(shapes::scaled_service),
    })))
}

/// The servers of the load balancer and the replicas: those that orchestrators run now where that is known, else those that the
/// catalog has seen lately.
async fn instances(
    view: &View,
    service: &str,
    running: Option<Vec<RunningReplica>>,
    children: &[Entity],
    now_ms: TimestampMs,
) -> ApiResult<Vec<Value>> {
    let of = format!("{{service={}}}", quoted(service));
    let server = async |text: String| view.by("server", &text).await;
    let rps = server(format!("sum by (server) (rate(haproxy_server_http_responses_total{of}[1m]))")).await?;
    let failed = format!("haproxy_server_http_responses_total{{service={},code=\"5xx\"}}", quoted(service));
    let errors = server(format!(
        "sum by (server) (rate({failed}[1m])) / sum by (server) (rate(haproxy_server_http_responses_total{of}[1m]))"
    ))
    .await?;
    let up_state = format!("haproxy_server_status{{service={},state=\"UP\"}}", quoted(service));
    let up = server(format!("max by (server) ({up_state})")).await?;
    let cpu =
        view.by("replica", &format!("sum by (replica) (rate(container_cpu_usage_seconds_total{of}[1m]))")).await?;
    let memory = view.by("replica", &format!("sum by (replica) (container_memory_working_set_bytes{of})")).await?;
    let seen = |e: &&Entity| e.kind == EntityKind::Replica && now_ms - e.last_seen_ms <= STALE_MS;
    let entities: Vec<&Entity> = children.iter().filter(seen).collect();
    let is_up = |server: &str| up.get(server) == Some(&1.0);
    // Servers of a template that stand empty are down and get no requests: no instances. Where it is known who sits where, one
    // that is down has just been left.
    let has_seats = running.iter().flatten().any(|r| !r.servers.is_empty());
    let is_used = |server: &str| is_up(server) || (!has_seats && rps.get(server).is_some_and(|r| *r > 0.0));
    let servers: BTreeSet<&str> = rps.keys().chain(up.keys()).map(String::as_str).filter(|s| is_used(s)).collect();
    let containers: BTreeSet<&str> = match &running {
        // The rate of one that is gone lasts for a minute, its memory does not.
        Some(_) => cpu.keys().filter(|c| memory.contains_key(*c)).map(String::as_str).collect(),
        None => cpu.keys().map(String::as_str).collect(),
    };
    let rows = join(running.as_deref(), &entities, &servers, &containers);
    let rate_of = |row: &InstanceRow<'_>| row.servers.iter().filter_map(|s| rps.get(*s).copied()).reduce(|a, b| a + b);
    // Each server's share of errors counts as much as it answers.
    let errors_of = |row: &InstanceRow<'_>| {
        let answers = |server: &&str| Some((*rps.get(*server)?, *errors.get(*server)?));
        let (all, failed) = row
            .servers
            .iter()
            .filter_map(answers)
            .filter(|(rate, _)| *rate > 0.0)
            .fold((0.0, 0.0), |(all, failed), (rate, share)| (all + rate, failed + rate * share));
        (all > 0.0).then(|| failed / all)
    };
    let median = median(rows.iter().filter_map(rate_of).filter(|r| *r > 0.0).collect());
    let row = |row: &InstanceRow<'_>| {
        let entity = entities.iter().find(|e| e.id == row.replica);
        let label = |key: &str| entity.and_then(|e| e.labels.get(key)).map_or("", String::as_str);
        let rate = rate_of(row);
        let odd = rate.zip(median).is_some_and(|(r, m)| m > 1.0 && (r > m * ODD_FACTOR || r < m / ODD_FACTOR));
        let states = row.servers.iter().filter_map(|s| up.get(*s).map(|v| *v == 1.0));
        let ready = states.reduce(|a, b| a && b).or(row.running.map(|r| r.ready && !r.leaving));
        let address = row.running.map_or("", |r| r.address.as_str());
        json!({
            "id": row.id,
            "servers": row.servers,
            "host": label("host"),
            "address": if address.is_empty() { label("address") } else { address },
            "ready": ready,
            "rps": number(rate),
            "errors_ratio": number(errors_of(row)),
            "p95_seconds": null,
            "cpu_cores": number(cpu.get(row.replica).copied()),
            "memory_bytes": number(memory.get(row.replica).copied()),
            "odd": odd,
        })
    };
    Ok(rows.iter().map(row).collect())
}

/// One instance under its names.
#[derive(Debug, Clone, PartialEq)]
struct InstanceRow<'a> {
    /// The replica's, else the container's, else the server's.
    id: &'a str,
    /// What its container and its row in the catalog are called; empty for a server that nobody is known to sit behind.
    replica: &'a str,
    /// The servers' at the load balancers.
    servers: Vec<&'a str>,
    running: Option<&'a RunningReplica>,
}

/// Joins replicas, servers and containers, by name; in order of their names.
fn join<'a>(
    running: Option<&'a [RunningReplica]>,
    seen: &[&'a Entity],
    servers: &BTreeSet<&'a str>,
    containers: &BTreeSet<&'a str>,
) -> Vec<InstanceRow<'a>> {
    let told: BTreeSet<&str> = running.iter().copied().flatten().flat_map(|r| &r.servers).map(String::as_str).collect();
    let free: BTreeSet<&'a str> = servers.iter().copied().filter(|s| !told.contains(s)).collect();
    let named = |id: &'a str| {
        let servers = free.get(id).copied().into_iter().collect();
        InstanceRow { id, replica: id, servers, running: None }
    };
    let mut rows: Vec<InstanceRow<'a>> = match running {
        Some(running) => {
            let row = |replica: &'a RunningReplica| {
                let servers = servers_of(replica, &free);
                InstanceRow { servers, running: Some(replica), ..named(&replica.id) }
            };
            running.iter().map(row).collect()
        }
        // One that was seen in two clusters is one row: its series are not told apart either.
        None => seen.iter().map(|e| e.id.as_str()).collect::<BTreeSet<_>>().into_iter().map(named).collect(),
    };
    let known: BTreeSet<&str> = rows.iter().map(|row| row.id).collect();
    rows.extend(containers.difference(&known).map(|id| named(id)));
    // Whoever has a replica's name but is not the server of that replica is a row of its own.
    let claimed: BTreeSet<&str> = rows.iter().flat_map(|row| row.servers.iter().copied()).collect();
    rows.extend(servers.difference(&claimed).map(|server| InstanceRow { replica: "", ..named(server) }));
    rows.sort_by_key(|row| row.id);
    rows
}

/// A replica's servers: as the balancers were told, else, of those that are nobody's, one of the same name, else one that is
/// called by its address, as marathon-lb does (`10_0_0_1_31000`).
fn servers_of<'a>(replica: &'a RunningReplica, free: &BTreeSet<&'a str>) -> Vec<&'a str> {
    if !replica.servers.is_empty() {
        return replica.servers.iter().map(String::as_str).collect();
    }
    let plain = |text: &str| text.replace(|c: char| !c.is_ascii_alphanumeric(), "_");
    let address = plain(&replica.address);
    let named = free.get(replica.id.as_str()).copied();
    let found = named.or_else(|| free.iter().copied().find(|s| !address.is_empty() && plain(s) == address));
    found.into_iter().collect()
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// A chart of one page: its queries are run by the page itself.
pub(super) fn chart(id: &str, unit: &str, queries: &[(String, &str)]) -> Value {
    let (kind, name) = id.split_once('.').unwrap_or(("host", id));
    let queries: Vec<_> = queries.iter().map(|(expr, legend)| json!({"expr": expr, "legend": legend})).collect();
    json!({
        "id": id,
        "title_key": format!("chart.{kind}.{name}"),
        "unit": unit,
        "queries": queries,
        "step_lines": name == "replicas",
        "thresholds": [],
        "forecast": null,
    })
}

/// Selects the forecasts of a service's load, all quantiles, so that the band comes with the mean: those that its policy
/// asks for, else the analyzer's own when the load is what that watches; `None` when nothing forecasts it.
pub(super) fn forecast_selector(service: &str, forecast_query: &str, load_query: &str) -> Option<String> {
    if forecast_query.is_empty() {
        let selector = format!("{FORECAST}{{watch=\"{FORECAST_WATCH}\",service={}}}", quoted(service));
        return load_query.contains(WATCHED).then_some(selector);
    }
    let expr = promql::parse(forecast_query, &ParseOptions::default()).ok()?;
    let mut waiting = vec![&expr];
    while let Some(expr) = waiting.pop() {
        match expr {
            Expr::Vector(selector) if selector.name.as_deref() == Some(FORECAST) => {
                let mut all = selector.clone();
                all.matchers.retain(|m| m.name != "quantile");
                return Some(Expr::Vector(all).to_string());
            }
            _ => waiting.extend(expr.children()),
        }
    }
    None
}

fn charts(service: &str, policy: Option<&ScaledService>) -> Vec<Value> {
    let of = format!("service={}", quoted(service));
    let backend = |name: &str| format!("haproxy_backend_{name}{{{of}}}");
    let code = |class: &str| format!("sum(rate(haproxy_backend_http_responses_total{{{of},code=\"{class}\"}}[1m]))");
    let all = format!("sum(rate(haproxy_backend_http_responses_total{{{of}}}[1m]))");
    let load = policy.map(|p| p.load_query.clone()).filter(|q| !q.is_empty());
    let load = load.unwrap_or_else(|| format!("sum(rate({}[1m]))", backend("http_requests_total")));
    let forecast = forecast_selector(service, policy.map_or("", |p| &p.forecast_query), &load);
    let mut rps = chart("service.rps", "rps", &[(load, "load")]);
    rps["forecast"] = forecast.map_or(Value::Null, |query| json!({"query": query}));
    if let Some(policy) = policy
        && let Some(target) = policy.target_per_replica
        && let Some(ready) = policy.ready
    {
        rps["thresholds"] = json!([{"value": target * f64::from(ready), "label_key": "threshold.target"}]);
    }
    let mut replicas =
        chart("service.replicas", "count", &[(format!("max({})", backend("active_servers")), "active servers")]);
    if let Some(policy) = policy {
        replicas["thresholds"] = json!([
            {"value": policy.min, "label_key": "threshold.min"},
            {"value": policy.max, "label_key": "threshold.max"},
        ]);
    }
    let average = format!("max({})", backend("response_time_average_seconds"));
    let bucket = format!("sum by (le) (rate(http_request_duration_seconds_bucket{{{of}}}[1m]))");
    let quantile = |q: &str| format!("histogram_quantile({q}, {bucket})");
    vec![
        rps,
        chart(
            "service.errors",
            "ratio",
            &[(format!("{} / {all}", code("5xx")), "5xx"), (format!("{} / {all}", code("4xx")), "4xx")],
        ),
        chart(
            "service.latency",
            "seconds",
            &[(average, "average"), (quantile("0.5"), "p50"), (quantile("0.95"), "p95"), (quantile("0.99"), "p99")],
        ),
        replicas,
        chart("service.queue", "count", &[(format!("sum({})", backend("current_queue")), "queue")]),
        chart(
            "service.cpu",
            "cores",
            &[(format!("sum by (replica) (rate(container_cpu_usage_seconds_total{{{of}}}[1m]))"), "{{replica}}")],
        ),
        chart(
            "service.memory",
            "bytes",
            &[(format!("sum by (replica) (container_memory_working_set_bytes{{{of}}})"), "{{replica}}")],
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_is_one_row_under_all_its_names() {
        let replica = |id: &str, address: &str, servers: &[&str]| RunningReplica {
            id: id.into(),
            address: address.into(),
            ready: true,
            leaving: false,
            servers: servers.iter().map(|s| (*s).to_owned()).collect(),
        };
        let running = [
            replica("web-1", "127.0.0.1:9001", &["web3", "south1"]),
            replica("web-2", "10.0.0.1:31000", &[]),
            replica("web-4", "127.0.0.1:9004", &[]),
            replica("web-5", "", &[]),
        ];
        let servers = BTreeSet::from(["web3", "south1", "10_0_0_1_31000", "web-4", "static"]);
        let containers = BTreeSet::from(["web-2", "other"]);
        let names = |rows: Vec<InstanceRow<'_>>| -> Vec<(String, String)> {
            rows.iter().map(|row| (row.id.to_owned(), row.servers.join(" "))).collect()
        };
        let pair = |id: &str, server: &str| (id.to_owned(), server.to_owned());
        assert_eq!(
            names(join(Some(&running), &[], &servers, &containers)),
            [
                pair("other", ""),
                pair("static", "static"),
                pair("web-1", "web3 south1"),
                pair("web-2", "10_0_0_1_31000"),
                pair("web-4", "web-4"),
                pair("web-5", ""),
            ]
        );
        // A server that is called like another one's replica, as numbered slots are, takes nothing from that replica.
        let swapped = [replica("web1", "127.0.0.1:9001", &["web2"]), replica("web2", "127.0.0.1:9002", &[])];
        let servers = BTreeSet::from(["web1", "web2"]);
        let rows = join(Some(&swapped[..1]), &[], &servers, &BTreeSet::new());
        assert_eq!(rows.iter().map(|r| r.running.is_some()).collect::<Vec<_>>(), [true, false]);
        assert_eq!(names(rows), [pair("web1", "web2"), pair("web1", "web1")]);
        let rows = join(Some(&swapped), &[], &servers, &BTreeSet::from(["web1"]));
        assert_eq!(rows.iter().map(|r| r.replica).collect::<Vec<_>>(), ["web1", "", "web2"]);
        assert_eq!(names(rows), [pair("web1", "web2"), pair("web1", "web1"), pair("web2", "")]);
        // Where nobody says what runs now, it is what was seen lately.
        let entity = Entity {
            kind: EntityKind::Replica,
            cluster: "local".into(),
            id: "web-4".into(),
            parent: "web".into(),
            labels: BTreeMap::new(),
            first_seen_ms: 0,
            last_seen_ms: 0,
        };
        let rows = join(None, &[&entity], &BTreeSet::from(["web-4", "web1"]), &BTreeSet::new());
        assert_eq!(names(rows), [pair("web-4", "web-4"), pair("web1", "web1")]);
    }

    #[test]
    fn forecasts_come_with_their_band() {
        let check = |forecast: &str, load: &str, expect: Option<&str>| {
            assert_eq!(forecast_selector("web", forecast, load).as_deref(), expect, "{forecast} {load}");
        };
        let mean = "tidewatch_forecast{watch=\"web\",quantile=\"mean\"}";
        check(mean, "", Some("tidewatch_forecast{watch=\"web\"}"));
        check(
            "max(tidewatch_forecast{quantile=\"upper80\",watch=\"w\"}) or vector(0)",
            "",
            Some("tidewatch_forecast{watch=\"w\"}"),
        );
        check("predict_linear(load[10m], 600)", "", None);
        check("", "sum(rate(haproxy_backend_http_requests_total{service=\"web\"}[1m]))", {
            Some("tidewatch_forecast{watch=\"service_rps\",service=\"web\"}")
        });
        check("", "sum(rate(queue_jobs_total[1m]))", None);
    }

    #[test]
    fn the_worst_reason_is_given_first() {
        let check = |rps, errors, ready, wanted, seen, expect: &str, part: &str| {
            let (health, reason) = health(rps, errors, ready, wanted, &[], seen, 1_000_000);
            assert_eq!(health, expect, "{reason:?}");
            assert!(reason.text.contains(part) && (part.is_empty() || reason.is_known()), "{reason:?}");
        };
        check(Some(5.0), Some(0.2), Some(0.0), Some(2), None, "critical", "no replica");
        check(Some(5.0), Some(0.2), Some(1.0), Some(2), None, "critical", "20.0 %");
        check(Some(5.0), Some(0.02), Some(1.0), Some(2), None, "warning", "2.0 %");
        check(Some(5.0), Some(0.0), Some(1.0), Some(2), None, "warning", "1 of 2");
        check(Some(5.0), None, Some(2.0), Some(2), None, "ok", "");
        check(None, None, Some(0.0), Some(0), Some(1_000_000), "ok", "");
        check(None, None, None, None, Some(1_000_000), "ok", "nothing measures");
        check(None, None, None, None, Some(0), "unknown", "not seen");
        check(None, None, None, None, None, "unknown", "nothing is known");
    }
}
