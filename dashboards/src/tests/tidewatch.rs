//! Tidewatch's own API.

use std::collections::BTreeSet;

use axum::http::Method;
use bytes::Bytes;
use serde_json::{Value, json};
use vocab::entity::{Entity, EntityKind};
use vocab::log_record::{LogRecord, Severity};
use vocab::ports::catalog::Catalog;
use vocab::ports::ingest::IngestProtocol;
use vocab::ports::logs::{LogAppender, LogBatch};
use vocab::ports::views::PatternInfo;
use vocab::report::{Report, ReportHead};
use vocab::scaling::{RunningReplica, ScaledService, ScalingMode};
use vocab::ticket::{Ticket, TicketState};
use vocab::{Ctx, ErrorKind, Labels, PortError, TenantId};

use super::{Bench, NOW_MS};

fn entity(kind: EntityKind, id: &str, parent: &str, labels: &[(&str, &str)]) -> Entity {
    Entity {
        kind,
        cluster: "local".into(),
        id: id.into(),
        parent: parent.into(),
        labels: labels.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect(),
        first_seen_ms: NOW_MS,
        last_seen_ms: NOW_MS,
    }
}

fn scaled() -> ScaledService {
    ScaledService {
        cluster: "local".into(),
        service: "web".into(),
        policy: "rps".into(),
        orchestrator: "process".into(),
        mode: ScalingMode::Act,
        min: 1,
        max: 8,
        wanted: Some(3),
        ready: Some(2),
        targets: Vec::new(),
        seen: Vec::new(),
        load_query: String::new(),
        forecast_query: "tidewatch_forecast{watch=\"web\",quantile=\"mean\"}".into(),
        target_per_replica: Some(100.0),
        status: "nothing to change".into(),
        last_round_ms: None,
        hold_seconds: 15.0,
        notes: Vec::new(),
        held: Default::default(),
        capacity: None,
        startup_seconds: None,
    }
}

/// One host with one container, one service of HAProxy with 20 requests a second.
async fn busy() -> Bench {
    let bench = Bench::new();
    let tenant = TenantId::default();
    let entities = [
        entity(EntityKind::Host, "h1", "local", &[("rack", "r7")]),
        entity(EntityKind::Service, "web", "local", &[("owner", "ann")]),
        entity(EntityKind::Replica, "web.1", "web", &[("host", "h1")]),
        entity(EntityKind::Container, "c1", "h1", &[("container_name", "web-1"), ("service", "web")]),
    ];
    bench.catalog.upsert_entities(&tenant, &entities).await.expect("stored");
    *bench.rooms.scaled.lock() = vec![scaled()];
    for step in 0..20 {
        let (at, n) = (NOW_MS - 285_000 + step * 15_000, step as f64);
        let put = |labels: &[(&str, &str)], value: f64| bench.store.put(labels, at, value);
        put(&[("__name__", "haproxy_backend_http_requests_total"), ("proxy", "web"), ("service", "web")], n * 300.0);
        put(&[("__name__", "haproxy_server_status"), ("server", "s1"), ("service", "web"), ("state", "UP")], 1.0);
        put(&[("__name__", "haproxy_server_status"), ("server", "s2"), ("service", "web"), ("state", "UP")], 0.0);
        put(&[("__name__", "node_cpu_seconds_total"), ("instance", "h1"), ("cpu", "0"), ("mode", "idle")], n * 11.25);
        put(&[("__name__", "node_boot_time_seconds"), ("instance", "h1")], (NOW_MS / 1000 - 86_400) as f64);
        put(&[("__name__", "node_memory_MemTotal_bytes"), ("instance", "h1")], 1000.0);
        put(&[("__name__", "node_memory_MemAvailable_bytes"), ("instance", "h1")], 50.0);
        let fs = [("instance", "h1"), ("mountpoint", "/"), ("device", "/dev/vda1"), ("fstype", "ext4")];
        put(&[&[("__name__", "node_filesystem_size_bytes")], &fs[..]].concat(), 1e9);
        put(&[&[("__name__", "node_filesystem_avail_bytes")], &fs[..]].concat(), 5e8);
        put(&[("__name__", "container_memory_working_set_bytes"), ("name", "web-1"), ("service", "web")], 77.0);
    }
    bench
}

#[tokio::test]
async fn the_overview_says_what_needs_attention() {
    let bench = busy().await;
    let page = bench.get("/api/v1/overview").await.expect(200).json();
    assert_eq!(page["sentence"]["key"], "overview.attention");
    assert_eq!(page["sentence"]["args"], json!({"services": 1, "hosts": 1, "containers": 1, "unhealthy": 2}));
    let what: Vec<_> = page["attention"].as_array().expect("a list").iter().map(|a| &a["what"]).collect();
    assert_eq!(what, ["web: 2 of 3 replicas are ready", "h1: memory is 95 % full"]);
    assert_eq!(page["attention"][1]["href"], "/hosts/h1");
    assert_eq!(page["collecting"], false);
    assert_eq!(page["sources"][0]["name"], "host");
    let empty = Bench::new().get("/api/v1/overview").await.expect(200).json();
    assert_eq!((&empty["sentence"]["key"], &empty["collecting"]), (&json!("overview.fine"), &json!(true)));
}

#[tokio::test]
async fn services_and_hosts_are_joined_from_metrics_and_rows() {
    let bench = busy().await;
    let list = bench.get("/api/v1/services").await.expect(200).json();
    let row = &list["services"][0];
    assert_eq!((&row["service"], &row["owner"]), (&json!("web"), &json!("ann")));
    let is_20 = |value: &Value| (value.as_f64().expect("a number") - 20.0).abs() < 1e-9;
    assert!(is_20(&row["rps"]), "{row}");
    assert_eq!((&row["replicas_ready"], &row["replicas_wanted"]), (&json!(2.0), &json!(3)));
    assert_eq!((&row["errors_ratio"], &row["queue"]), (&Value::Null, &Value::Null), "unknown is not 0");
    let spark = row["rps_spark"].as_array().expect("a list");
    assert_eq!((spark.len(), &spark[0]), (30, &Value::Null));
    assert!(is_20(&spark[29]), "{spark:?}");
    let page = bench.get("/api/v1/services/web").await.expect(200).json();
    let ids: Vec<_> = page["instances"].as_array().expect("a list").iter().map(|i| &i["id"]).collect();
    assert_eq!(ids, ["s1", "web.1"], "an empty place of the template is no instance");
    // Once it is known what runs and who sits where, a replica is one row, and one that is gone is none.
    let replica = |id: &str, servers: &[&str]| RunningReplica {
        id: id.into(),
        address: "127.0.0.1:9001".into(),
        ready: true,
        leaving: false,
        servers: servers.iter().map(|s| (*s).to_owned()).collect(),
    };
    *bench.rooms.running.lock() = Some(vec![replica("web.2", &["s1"]), replica("web.3", &[])]);
    let joined = bench.get("/api/v1/services/web").await.expect(200).json();
    let rows: Vec<_> =
        joined["instances"].as_array().expect("a list").iter().map(|i| (&i["id"], &i["servers"])).collect();
    assert_eq!(rows, [(&json!("web.2"), &json!(["s1"])), (&json!("web.3"), &json!([]))]);
    assert_eq!(
        (&joined["instances"][0]["ready"], &joined["instances"][0]["address"]),
        (&json!(true), &json!("127.0.0.1:9001"))
    );
    assert_eq!(page["policy"]["max"], 8);
    assert_eq!(page["charts"][0]["forecast"]["query"], "tidewatch_forecast{watch=\"web\"}");
    for chart in page["charts"].as_array().expect("a list") {
        for query in chart["queries"].as_array().expect("a list") {
            let text = query["expr"].as_str().expect("a text");
            promql::parse(text, &promql::ParseOptions::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }
    bench.get("/api/v1/services/none").await.expect(404);

    let hosts = bench.get("/api/v1/hosts").await.expect(200).json();
    let host = &hosts["hosts"][0];
    assert_eq!((&host["host"], &host["rack"], &host["containers"]), (&json!("h1"), &json!("r7"), &json!(1)));
    let shares = ["cpu_ratio", "memory_ratio", "disk_ratio"].map(|name| host[name].as_f64().expect("a number"));
    let near = shares.iter().zip([0.25, 0.95, 0.5]).all(|(got, want)| (got - want).abs() < 1e-9);
    assert!(near, "{shares:?}");
    assert_eq!((&host["uptime_seconds"], &host["load1"]), (&json!(86_400.0), &Value::Null));
    let page = bench.get("/api/v1/hosts/h1").await.expect(200).json();
    assert_eq!(page["filesystems"][0]["used_bytes"], 5e8);
    assert_eq!(page["filesystems"][0]["full_in_days"], Value::Null);
    assert_eq!(
        (&page["containers"][0]["name"], &page["containers"][0]["memory_bytes"]),
        (&json!("web-1"), &json!(77.0))
    );
    for chart in page["charts"].as_array().expect("a list") {
        for query in chart["queries"].as_array().expect("a list") {
            let text = query["expr"].as_str().expect("a text");
            promql::parse(text, &promql::ParseOptions::default()).unwrap_or_else(|e| panic!("{text}: {e}"));
        }
    }
    bench.get("/api/v1/hosts/none").await.expect(404);
    let found = bench.get("/api/v1/search?q=WEB").await.expect(200).json();
    assert_eq!(
        found["items"],
        json!([{"kind": "service", "title": "web", "detail": "local", "href": "/services/web"}])
    );
    let metrics = bench.get("/api/v1/search?q=load_none").await.expect(200).json();
    assert_eq!(metrics["items"], json!([]));
    let spread = bench.get("/api/v1/cardinality?limit=1").await.expect(200).json();
    assert_eq!(spread["metrics"], json!([{"name": "haproxy_server_status", "series": 2}]));
}

#[tokio::test]
async fn a_batch_answers_each_query_by_itself() {
    let bench = busy().await;
    let request = json!({"start_ms": NOW_MS - 30_000, "end_ms": NOW_MS, "step_ms": 15_000, "queries": [
        {"id": "a", "expr": "node_memory_MemTotal_bytes"},
        {"id": "b", "expr": "node_memory_MemTotal_bytes / 0"},
        {"id": "c", "expr": "sum("},
    ]});
    let results = bench.post("/api/v1/query_batch", &request).await.expect(200).json()["results"].clone();
    assert_eq!(results[0]["matrix"][0]["points"][0], json!([NOW_MS - 30_000, 1000.0]));
    assert_eq!(results[0]["stats"]["series"], 1);
    assert_eq!(results[1]["matrix"][0]["points"][2], json!([NOW_MS, "+Inf"]));
    assert_eq!((&results[2]["id"], &results[2]["error"]["position"]["offset"]), (&json!("c"), &json!(4)));
    let many: Vec<_> = (0..33).map(|i| json!({"id": i.to_string(), "expr": "1"})).collect();
    let request = json!({"start_ms": 0, "end_ms": 1, "step_ms": 1, "queries": many});
    assert_eq!(bench.post("/api/v1/query_batch", &request).await.expect(422).json()["error"]["kind"], "limit");
    bench.post("/api/v1/query_batch", &json!({"start_ms": 0})).await.expect(400);
}

#[tokio::test]
async fn logs_are_searched_in_pages() {
    let bench = Bench::new();
    let record = |n: i64, severity, body: &str| LogRecord {
        time_ns: (NOW_MS - n * 1000) * 1_000_000 + 7,
        service: "web".into(),
        severity,
        body: body.into(),
        labels: Labels::from_pairs([("host", "h1")]),
        fields: vec![("status".into(), "500".into())],
        pattern_id: 0xabc,
    };
    let records =
        vec![record(3, Severity::Error, "boom"), record(2, Severity::Info, "fine"), record(1, Severity::Info, "fine")];
    bench.logs.append(&Ctx::unlimited(), LogBatch { records, position: None }).await.expect("taken");
    *bench.rooms.patterns.lock() = vec![PatternInfo {
        id: 0xabc,
        template: "<*>".into(),
        service: "web".into(),
        first_seen_ms: NOW_MS - 5_000,
        last_seen_ms: NOW_MS,
        count: 3,
    }];
    let page = bench.get("/api/v1/logs/search?limit=2").await.expect(200).json();
    let first = &page["records"][0];
    assert_eq!((&first["time_ms"], &first["time_ns"]), (&json!(NOW_MS - 1000), &json!("1767225599000000007")));
    assert_eq!((&first["fields"], &first["pattern_id"]), (&json!({"status": "500"}), &json!("0000000000000abc")));
    let next = page["next"].as_str().expect("more").to_owned();
    let rest = bench.ask("/api/v1/logs/search", &[("limit", "2"), ("after", &next)]).await.expect(200).json();
    assert_eq!((&rest["records"][0]["body"], &rest["next"]), (&json!("boom"), &Value::Null));
    let found = bench.get("/api/v1/logs/search?q=boom&direction=forward").await.expect(200).json();
    assert_eq!(found["records"].as_array().expect("a list").len(), 1);
    bench.get("/api/v1/logs/search?limit=1001").await.expect(400);
    bench.get("/api/v1/logs/search?direction=up").await.expect(400);
    bench.get(&format!("/api/v1/logs/search?from_ms={NOW_MS}&to_ms=1")).await.expect(400);
    let histogram =
        bench.get(&format!("/api/v1/logs/histogram?from_ms={}&buckets=1", NOW_MS - 10_000)).await.expect(200).json();
    assert_eq!(histogram["buckets"][0]["counts"], json!({"error": 1, "info": 2}));
    assert_eq!(histogram["step_ms"], 10_000.0);
    let facets = bench.get("/api/v1/logs/facets?names=severity,host").await.expect(200).json();
    assert_eq!(facets["facets"][0]["values"][0], json!({"value": "info", "count": 2}));
    assert_eq!(facets["facets"][1]["name"], "host");
    let fields = bench.get("/api/v1/logs/fields").await.expect(200).json();
    assert_eq!(fields["fields"].as_array().expect("a list").len(), 2);
    let patterns = bench.get("/api/v1/logs/patterns?buckets=2").await.expect(200).json();
    assert_eq!((&patterns["total"], &patterns["patterns"][0]["share"]), (&json!(3), &json!(1.0)));
    assert_eq!((&patterns["patterns"][0]["template"], &patterns["patterns"][0]["new"]), (&json!("<*>"), &json!(true)));
}

#[tokio::test]
async fn tickets_are_worked_on() {
    let bench = Bench::new();
    let tenant = TenantId::default();
    let ticket = Ticket {
        id: 0,
        dedup_key: "k".into(),
        title: "web is slow".into(),
        severity: "critical".into(),
        service: "web".into(),
        state: TicketState::Open,
        owner: String::new(),
        opened_at_ms: NOW_MS,
        updated_at_ms: NOW_MS,
        resolved_at_ms: None,
        timeline: Vec::new(),
        evidence: vec!["up".into()],
    };
    let (id, _) = bench.catalog.open_ticket(&tenant, &ticket).await.expect("opened");
    let list = bench.get("/api/v1/tickets?state=open,acknowledged").await.expect(200).json();
    assert_eq!(list["tickets"][0]["title"], "web is slow");
    assert_eq!(bench.get("/api/v1/tickets?state=closed").await.expect(200).json()["tickets"], json!([]));
    bench.get("/api/v1/tickets?state=x").await.expect(400);
    let path = format!("/api/v1/tickets/{id}/update");
    let changed = bench
        .post(&path, &json!({"state": "acknowledged", "owner": "ann", "comment": "on it"}))
        .await
        .expect(200)
        .json();
    assert_eq!((&changed["state"], &changed["owner"]), (&json!("acknowledged"), &json!("ann")));
    assert_eq!(changed["timeline"][0]["text"], "state: acknowledged; owner: ann; on it");
    bench.post(&path, &json!({})).await.expect(400);
    bench.post(&path, &json!({"state": "gone"})).await.expect(400);
    bench.post(&path, &json!({"staet": "open"})).await.expect(400);
    bench.post("/api/v1/tickets/99/update", &json!({"comment": "x"})).await.expect(404);
    assert_eq!(bench.get("/api/v1/tickets/99").await.expect(404).json()["error"]["kind"], "not_found");
    let audit = bench.catalog.audit_log(&tenant, 0).await.expect("read");
    assert_eq!((audit.len(), audit[0].action.as_str(), audit[0].actor.as_str()), (1, "ticket.update", "operator"));
}

#[tokio::test]
async fn the_autoscaler_has_its_switches() {
    let bench = Bench::new();
    *bench.rooms.scaled.lock() = vec![scaled()];
    let page = bench.get("/api/v1/scaling/services").await.expect(200).json();
    assert_eq!(page["stopped"], Value::Null);
    assert_eq!(page["services"][0]["forecast_selector"], "tidewatch_forecast{watch=\"web\"}");
    assert_eq!(page["sentences"][0]["key"], "result.nothing", "{page}");
    let stopped = bench.post("/api/v1/scaling/stop", &json!({"stopped": true})).await.expect(200).json();
    assert_eq!(stopped, json!({"stopped": {"since_ms": NOW_MS, "actor": "operator"}}));
    bench.post("/api/v1/scaling/stop", &json!({"stopped": "yes"})).await.expect(400);
    bench.post("/api/v1/scaling/services/web/mode", &json!({"mode": "observe"})).await.expect(200);
    bench.post("/api/v1/scaling/services/web/mode", &json!({"mode": "x"})).await.expect(400);
    bench.post("/api/v1/scaling/services/db/mode", &json!({"mode": "act"})).await.expect(404);
    bench.post("/api/v1/scaling/decisions/1/approve", &json!({})).await.expect(200);
    bench.post("/api/v1/scaling/decisions/2/approve", &json!({})).await.expect(409);
    let actions: Vec<_> = bench.catalog.audit_log(&TenantId::default(), 0).await.expect("read");
    let actions: Vec<_> = actions.iter().map(|a| a.action.as_str()).collect();
    assert_eq!(actions, ["scaling.approve", "scaling.mode", "scaling.stop"], "what failed is not in the log");
    let none = bench.get("/api/v1/scaling/decisions?changes_only=true").await.expect(200).json();
    assert_eq!(none, json!({"decisions": [], "sentences": []}));
    bench.get("/api/v1/scaling/decisions?changes_only=maybe").await.expect(400);
}

#[tokio::test]
async fn who_changed_scaling_and_why_is_kept() {
    let bench = Bench::new();
    *bench.rooms.scaled.lock() = vec![scaled()];
    let page = bench.get("/api/v1/scaling/services").await.expect(200).json();
    assert_eq!(
        (&page["freeze_windows"][0]["name"], &page["services"][0]["held"]["windows"]),
        (&json!("sale"), &json!([]))
    );
    let web = |end: &str| format!("/api/v1/scaling/services/web/{end}");
    bench.post("/api/v1/scaling/stop", &json!({"stopped": true, "why": "  moving racks "})).await.expect(200);
    bench.post(&web("pause"), &json!({"in": true, "why": "sale"})).await.expect(200);
    bench.post(&web("pause"), &json!({})).await.expect(200);
    bench.post(&web("unfreeze"), &json!({})).await.expect(200);
    bench.post(&web("mode"), &json!({"mode": "act", "why": "tested"})).await.expect(200);
    bench.post(&web("pause"), &json!({"out": true, "why": "x".repeat(501)})).await.expect(400);
    let json_type = [("content-type", "application/json")];
    let policy = "/api/v1/scaling/policies/shop";
    let put = bench.send(Method::PUT, &format!("{policy}?version=2&why=more+room"), &json_type, r#"{"max": 9}"#).await;
    assert_eq!(put.expect(200).json()["policy"]["version"], 3);
    bench.send(Method::DELETE, &format!("{policy}?why=gone"), &json_type, "").await.expect(200);
    let wrong = bench.post(&format!("{policy}/check"), &json!({"max": "9"})).await.expect(200).json();
    assert_eq!(wrong["problems"], json!([{"path": "max", "message": "want a number above 0"}]));
    assert_eq!(wrong["sentences"][0]["key"], "policy.above_zero");
    let removed = bench.get("/api/v1/scaling/policies/removed").await.expect(200).json();
    assert_eq!((&removed["policy"], &removed["versions"][0]["version"]), (&Value::Null, &json!(2)));
    bench.get("/api/v1/scaling/policies/never").await.expect(404);
    let right = bench.post(&format!("{policy}/check"), &json!({"max": 9})).await.expect(200).json();
    assert_eq!(right, json!({"problems": [], "sentences": []}));
    let answer = bench.get("/api/v1/scaling/audit").await.expect(200).json();
    let lines = answer["changes"].as_array().expect("a list").iter().rev();
    let lines: Vec<_> =
        lines.map(|c| ["action", "subject", "facts", "why"].map(|k| c[k].as_str().expect("text"))).collect();
    assert_eq!(
        lines,
        [
            ["scaling.stop", "", "", "moving racks"],
            ["scaling.pause", "web", "in", "sale"],
            ["scaling.pause", "web", "none", ""],
            ["scaling.unfreeze", "web", "", ""],
            ["scaling.mode", "web", "act", "tested"],
            ["scaling.policy.put", "shop", "3", "more room"],
            ["scaling.policy.delete", "shop", "", "gone"],
        ]
    );
    let newest = bench.get("/api/v1/scaling/audit?limit=1").await.expect(200).json();
    assert_eq!(
        (newest["changes"].as_array().map(Vec::len), &newest["changes"][0]["actor"]),
        (Some(1), &json!("operator"))
    );
}

#[tokio::test]
async fn reports_are_written_listed_and_sandboxed() {
    let bench = Bench::new();
    let head = ReportHead {
        id: 0,
        title: "Inspection".into(),
        subject: "inspection".into(),
        language: "en".into(),
        from_ms: 1,
        to_ms: 2,
        created_at_ms: 3,
        summary: "fine".into(),
    };
    let report = Report { head, html: "<style>p{}</style><p>fine".into(), markdown: "# fine".into() };
    let id = bench.catalog.save_report(&TenantId::default(), &report).await.expect("saved");
    assert_eq!(bench.get("/api/v1/reports").await.expect(200).json()["reports"][0]["id"], id);
    assert_eq!(bench.get(&format!("/api/v1/reports/{id}")).await.expect(200).json()["markdown"], "# fine");
    let html = bench.get(&format!("/api/v1/reports/{id}/html")).await.expect(200);
    let policy = html.header("content-security-policy");
    assert!(
        policy.contains("sandbox") && policy.contains("frame-ancestors 'self'") && !policy.contains("script-src"),
        "{policy}"
    );
    assert_eq!(bench.get(&format!("/api/v1/reports/{id}/markdown")).await.expect(200).text, "# fine");
    bench.get("/api/v1/reports/99/html").await.expect(404);
    let made =
        bench.post("/api/v1/reports", &json!({"from_ms": 1, "to_ms": 2, "language": "zh"})).await.expect(200).json();
    assert_eq!(made, json!({"id": 7}));
    assert_eq!(*bench.rooms.calls.lock(), ["report 1 2 zh"]);
    bench.post("/api/v1/reports", &json!({"from_ms": 2, "to_ms": 2})).await.expect(400);
}

#[tokio::test]
async fn the_process_is_operated() {
    let bench = Bench::new();
    assert_eq!(bench.get("/api/v1/status").await.expect(200).json()["store"]["head_series"], 3);
    assert_eq!(bench.get("/api/v1/session").await.expect(200).json()["auth"], "none");
    assert_eq!(bench.get("/api/v1/sources").await.expect(200).json()["sources"][0]["reading"], "procfs");
    bench.get("/api/v1/tasks").await.expect(200);
    bench.send(Method::POST, "/api/v1/admin/flush", &[], "").await.expect(200);
    bench.post("/api/v1/admin/flush", &json!({})).await.expect(200);
    let full = bench.post("/api/v1/admin/compact", &json!({})).await.expect(503);
    assert_eq!((full.header("retry-after"), full.json()["error"]["message"].as_str()), ("5", Some("the disk is full")));
    let bad = bench.post("/api/v1/admin/reload", &json!({})).await.expect(400).json();
    assert!(bad["error"]["message"].as_str().expect("a text").contains("tidewatch.yaml:3"));
    assert_eq!(
        bench.post("/api/v1/admin/log_level", &json!({"filter": "debug"})).await.expect(200).json()["filter"],
        "debug"
    );
}

#[tokio::test]
async fn sql_rows_are_streamed_and_mistakes_have_a_status() {
    let bench = Bench::new();
    let ok = |text: &'static str| Ok(Bytes::from_static(text.as_bytes()));
    *bench.rooms.sql.lock() = vec![ok("[{\"a\":1}"), ok(",{\"a\":2}]")];
    let answer = bench.post("/api/v1/sql", &json!({"query": "select 1"})).await.expect(200);
    assert_eq!((answer.header("content-type"), answer.json()), ("application/json", json!([{"a": 1}, {"a": 2}])));
    let csv =
        bench.post("/api/v1/sql", &json!({"query": "x", "format": "csv", "allow_full_scan": true})).await.expect(200);
    assert!(csv.header("content-type").starts_with("text/csv"));
    assert_eq!(bench.rooms.calls.lock()[1], "sql default Csv true x");
    let wrong = bench.post("/api/v1/sql", &json!({"query": "drop"})).await.expect(400).json();
    assert_eq!(wrong["error"]["message"], "only SELECT is allowed");
    bench.post("/api/v1/sql", &json!({"query": " "})).await.expect(400);
    bench.post("/api/v1/sql", &json!({"query": "x", "format": "xml"})).await.expect(400);
    let sent = ("content-type", "application/json");
    let accepting = async |accept: &str, body: &str| {
        bench.send(Method::POST, "/api/v1/sql", &[sent, ("accept", accept)], body).await
    };
    let arrow = "application/vnd.apache.arrow.stream";
    let answer = accepting(arrow, "{\"query\":\"x\"}").await.expect(200);
    assert_eq!(answer.header("content-type"), arrow);
    let answer = accepting(arrow, "{\"query\":\"x\",\"format\":\"json\"}").await.expect(200);
    assert_eq!(answer.header("content-type"), "application/json", "the body's wish comes first");
    let answer = accepting("image/png", "{\"query\":\"x\"}").await.expect(406).json();
    assert!(answer["error"]["message"].as_str().is_some_and(|m| m.contains("text/csv")), "{answer}");
    *bench.rooms.sql.lock() = vec![ok("[{}"), Err(PortError::new(ErrorKind::Limit, "too large"))];
    let response =
        bench.respond(Method::POST, "/api/v1/sql", &[("content-type", "application/json")], "{\"query\":\"y\"}").await;
    assert!(
        axum::body::to_bytes(response.into_body(), 1000).await.is_err(),
        "an answer that ends early does not look whole"
    );
    let response = bench
        .respond(Method::POST, "/api/v1/sql", &[("content-type", "application/json")], "{\"query\":\"endless\"}")
        .await;
    drop(response);
    let deadline = std::time::Duration::from_secs(20);
    let ended = async {
        while bench.app.metrics.queries_running.get() > 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(deadline, ended).await.expect("a client that goes away ends its query");
}

#[tokio::test]
async fn pushed_bodies_reach_their_decoder_untouched() {
    let bench = Bench::new();
    let text = ("content-type", "application/x-protobuf");
    let answer = bench
        .send(Method::POST, "/api/v1/write?a=b", &[text, ("content-encoding", "snappy")], "bytes")
        .await
        .expect(429);
    assert_eq!((answer.header("retry-after"), answer.text.as_str()), ("3", "slow down"));
    let request = bench.rooms.pushed.lock()[0].1.clone();
    assert_eq!((request.content_encoding.as_str(), &request.body[..]), ("snappy", b"bytes".as_slice()));
    assert_eq!(request.params, [("a".to_owned(), "b".to_owned())]);
    let protobuf = "application/x-protobuf";
    for (path, kind, protocol) in [
        ("/api/v1/write", protobuf, IngestProtocol::RemoteWrite),
        ("/api/v1/import/prometheus", "text/plain; version=0.0.4", IngestProtocol::PrometheusText),
        ("/v1/metrics", protobuf, IngestProtocol::OtlpMetrics),
        ("/v1/metrics", "application/json", IngestProtocol::OtlpMetrics),
        ("/api/v1/otlp/v1/metrics", protobuf, IngestProtocol::OtlpMetrics),
        ("/v1/logs", protobuf, IngestProtocol::OtlpLogs),
        ("/api/v1/logs", "application/x-ndjson", IngestProtocol::JsonLogs),
    ] {
        bench.send(Method::POST, path, &[("content-type", kind)], "x").await.expect(429);
        assert_eq!(bench.rooms.pushed.lock().last().map(|p| p.1.protocol), Some(protocol), "{path}");
    }
    bench.send(Method::POST, "/v1/metrics", &[("content-type", "text/plain")], "x").await.expect(415);
    bench.get("/v1/nothing").await.expect(404);
}

#[tokio::test]
async fn every_documented_route_answers() {
    let bench = Bench::new();
    let served = bench.get("/api/openapi.json").await.expect(200).json();
    assert!(served["openapi"].as_str().expect("a version").starts_with("3.1"));
    let document = serde_json::to_value(crate::router::document()).expect("JSON");
    assert_eq!(served["paths"], document["paths"]);
    let paths = document["paths"].as_object().expect("paths");
    assert!(paths.len() > 55, "{} paths", paths.len());
    let yaml = bench.get("/api/v1/openapi.yaml").await.expect(200).text;
    assert!(yaml.starts_with("openapi: \"3.1"), "{}", &yaml[..100]);
    let mut ids = BTreeSet::<&str>::new();
    for (path, item) in paths {
        for (method, operation) in item.as_object().expect("methods") {
            let id = operation["operationId"].as_str().unwrap_or_default();
            assert!(!operation["summary"].as_str().unwrap_or_default().is_empty(), "{method} {path} has no summary");
            assert!(ids.insert(id), "{method} {path} shares its id {id:?}");
            if path.ends_with("/tail") || path.ends_with("/events") {
                continue;
            }
            let target =
                path.replace("{id}", "1").replace("{service}", "web").replace("{host}", "h").replace("{name}", "a");
            let method: Method = method.to_uppercase().parse().expect("a method");
            let answer = bench.send(method.clone(), &target, &[], "").await;
            assert_ne!(answer.status.as_u16(), 405, "{method} {path}");
            assert!(!answer.text.contains("there is no /"), "{method} {path}: {}", answer.text);
        }
    }
}

#[tokio::test]
async fn the_ledger_is_added_up_by_what_is_asked_for() {
    let bench = Bench::new();
    let row = |hour: i64, service: &str, team: &str, seconds: i64| vocab::ports::catalog::LedgerRow {
        hour_ms: NOW_MS - hour * 3_600_000,
        cluster: "local".into(),
        service: service.into(),
        team: team.into(),
        replica_ms: seconds * 1000,
        cost_micros: seconds * 10_000,
    };
    let rows =
        [row(1, "web", "shop", 100), row(2, "web", "shop", 50), row(1, "db", "core", 20), row(99, "db", "core", 9)];
    bench.catalog.add_to_ledger(&TenantId::default(), &rows, None).await.expect("added");
    let answer = bench.get("/api/v1/scaling/ledger?by=team").await.expect(200).json();
    assert_eq!(
        answer["rows"],
        json!([
            {"key": "shop", "replica_seconds": 150.0, "cost": 1.5},
            {"key": "core", "replica_seconds": 20.0, "cost": 0.2}
        ])
    );
    assert_eq!(answer["total"]["replica_seconds"], 170.0);
    let from = (NOW_MS - 100 * 3_600_000) / 1000;
    let answer = bench.get(&format!("/api/v1/scaling/ledger?from={from}")).await.expect(200).json();
    assert_eq!((&answer["by"], &answer["rows"][1]["replica_seconds"]), (&json!("service"), &json!(29.0)));
    bench.get("/api/v1/scaling/ledger?by=room").await.expect(400);
    bench.get("/api/v1/scaling/ledger?from=20&to=10").await.expect(400);
}

#[tokio::test]
async fn policies_pauses_and_freezes_go_to_whom_they_concern() {
    let bench = Bench::new();
    assert_eq!(
        bench.get("/api/v1/scaling/policies").await.expect(200).json(),
        json!({"policies": [], "sentences": []})
    );
    bench.get("/api/v1/scaling/policies/web").await.expect(404);
    let headers = [("content-type", "application/json")];
    let put = async |path: &str, body: &str| bench.send(Method::PUT, path, &headers, body).await;
    put("/api/v1/scaling/policies/web", "{\"service\": \"web\"}").await.expect(404);
    put("/api/v1/scaling/policies/web?version=x", "{}").await.expect(400);
    put("/api/v1/scaling/policies/web", "{").await.expect(400);
    bench.send(Method::DELETE, "/api/v1/scaling/policies/web", &headers, "").await.expect(404);
    bench.post("/api/v1/scaling/services/db/pause", &json!({"in": true})).await.expect(404);
    bench.post("/api/v1/scaling/services/web/pause", &json!({"up": true})).await.expect(400);
    bench.post("/api/v1/scaling/services/db/unfreeze", &json!({})).await.expect(404);
    let audit = bench.catalog.audit_log(&TenantId::default(), 0).await.expect("read");
    assert!(audit.is_empty(), "what failed is not in the log: {audit:?}");
}

#[tokio::test]
async fn policies_are_replayed() {
    let bench = Bench::new();
    let replay = async |body: Value| bench.post("/api/v1/scaling/replay", &body).await;
    let answer = replay(json!({"service": "shop"})).await.expect(200).json();
    assert_eq!(answer["start_ms"], NOW_MS - 86_400_000, "a day by default");
    assert_eq!((&answer["load"], &answer["outcomes"][0]["by"]), (&json!([50.0, 150.0]), &json!("policy")));
    assert_eq!(answer["outcomes"][0]["wanted"], json!([1, 2]));
    assert_eq!(answer["sentences"][0]["key"], "replay.steps");
    replay(json!({"policy": {"service": "shop", "max": 4}, "from_ms": 5, "to_ms": 6})).await.expect(200);
    let expect = r#"replay  Some(Object {"max": Number(4), "service": String("shop")}) 5 6"#;
    assert_eq!(bench.rooms.calls.lock().last().map(String::as_str), Some(expect));
    for (body, status, words) in [
        (json!({}), 400, "want a service"),
        (json!({"servce": "shop"}), 400, "unknown field"),
        (json!({"policy": {"max": "x"}}), 400, "policy shop: max: want a number"),
        (json!({"service": "none"}), 404, "nothing was recorded"),
        (json!({"service": "busy"}), 503, "under way"),
    ] {
        let answer = replay(body).await.expect(status).json();
        assert!(answer["error"]["message"].as_str().is_some_and(|m| m.contains(words)), "{answer}");
    }
}
