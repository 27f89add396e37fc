//! Shapes, codes and words of Prometheus's API.

use std::collections::BTreeMap;

use axum::http::Method;
use serde_json::json;
use vocab::ports::views::{DroppedTarget, RuleGroupStatus, RuleStatus, TargetHealth, TargetStatus};
use vocab::{Alert, AlertState, Labels};

use super::{Bench, NOW_MS};

const NOW: i64 = NOW_MS / 1000;

fn bench() -> Bench {
    let bench = Bench::new();
    for step in 0..5 {
        for (code, factor) in [("200", 1.0), ("500", 10.0)] {
            let labels = [("__name__", "requests_total"), ("code", code), ("txt", "ü \"q\"\n")];
            bench.store.put(&labels, NOW_MS - 60_000 + step * 15_000, step as f64 * factor);
        }
    }
    bench.store.put(&[("__name__", "special"), ("kind", "nan")], NOW_MS, f64::NAN);
    bench.store.put(&[("__name__", "special"), ("kind", "tiny")], NOW_MS, 1e-7);
    bench
}

#[tokio::test]
async fn instant_queries_answer_in_all_types() {
    let bench = bench();
    let time = NOW.to_string();
    let data = async |query: &str| {
        let answer = bench.ask("/api/v1/query", &[("query", query), ("time", &time)]).await.expect(200);
        assert_eq!(answer.header("content-type"), "application/json");
        let json = answer.json();
        assert_eq!(json["status"], "success");
        json["data"].clone()
    };
    assert_eq!(data("1+1").await, json!({"resultType": "scalar", "result": [NOW, "2"]}));
    assert_eq!(data("\"a\\nb\"").await, json!({"resultType": "string", "result": [NOW, "a\nb"]}));
    assert_eq!(data("nothing").await, json!({"resultType": "vector", "result": []}));
    let vector = data("requests_total{code=\"500\"}").await;
    let metric = json!({"__name__": "requests_total", "code": "500", "txt": "ü \"q\"\n"});
    assert_eq!(vector, json!({"resultType": "vector", "result": [{"metric": metric, "value": [NOW, "40"]}]}));
    let special = data("special").await;
    let values: Vec<_> = special["result"].as_array().expect("a list").iter().map(|r| &r["value"][1]).collect();
    assert_eq!(values, ["NaN", "1e-07"]);
    let matrix = data("requests_total{code=\"200\"}[31s]").await;
    assert_eq!(matrix["result"][0]["values"], json!([[NOW - 30, "2"], [NOW - 15, "3"], [NOW, "4"]]));
    let posted =
        bench.post_form("/api/v1/query", &[("query", "sum(requests_total)"), ("time", &time)]).await.expect(200);
    assert_eq!(posted.json()["data"]["result"], json!([{"metric": {}, "value": [NOW, "44"]}]));
    let now = bench.ask("/api/v1/query", &[("query", "time()")]).await.expect(200);
    assert_eq!(now.json()["data"]["result"][0], NOW, "without a time it is now");
    let stats = bench.ask("/api/v1/query", &[("query", "requests_total"), ("stats", "all")]).await.expect(200);
    let stats = stats.json()["data"]["stats"].clone();
    let samples =
        json!({"totalQueryableSamples": 2, "peakSamples": 2, "totalQueryableSamplesPerStep": [[NOW as f64, 2]]});
    assert_eq!((&stats["series"], &stats["samples"]), (&json!(2), &samples));
    for part in ["evalTotalTime", "resultSortTime", "queryPreparationTime", "innerEvalTime", "execQueueTime"] {
        assert!(stats["timings"][part].as_f64() <= stats["timings"]["execTotalTime"].as_f64(), "{stats}");
    }
    let some = bench.ask("/api/v1/query", &[("query", "requests_total"), ("stats", "true")]).await.expect(200).json();
    assert_eq!(some["data"]["stats"]["samples"], json!({"totalQueryableSamples": 2, "peakSamples": 2}));
    let cut = bench.ask("/api/v1/query", &[("query", "requests_total"), ("limit", "1")]).await.expect(200).json();
    assert_eq!(cut["data"]["result"].as_array().expect("a list").len(), 1);
    assert_eq!(cut["warnings"], json!(["results truncated due to limit"]));
}

#[tokio::test]
async fn range_queries_answer_at_every_step() {
    let bench = bench();
    let (start, end) = ((NOW - 30).to_string(), NOW.to_string());
    let base = [("query", "sum(requests_total)"), ("start", &start), ("end", &end)];
    for step in ["15", "15s", "15.0", "15000ms"] {
        let pairs: Vec<_> = base.iter().map(|(n, v)| (*n, *v)).chain([("step", step)]).collect();
        let answer = bench.ask("/api/v1/query_range", &pairs).await.expect(200).json();
        assert_eq!(answer["data"]["resultType"], "matrix");
        assert_eq!(
            answer["data"]["result"][0]["values"],
            json!([[NOW - 30, "22"], [NOW - 15, "33"], [NOW, "44"]]),
            "{step}"
        );
        let posted = bench.post_form("/api/v1/query_range", &pairs).await.expect(200).json();
        assert_eq!(posted["data"], answer["data"]);
    }
    let iso = bench
        .ask(
            "/api/v1/query_range",
            &[("query", "1"), ("start", "2026-01-01T00:00:00Z"), ("end", "2026-01-01T00:00:00.500Z"), ("step", "0.25")],
        )
        .await
        .expect(200);
    assert!(iso.text.contains("[1767225600.250,\"1\"],[1767225600.500,\"1\"]"), "{}", iso.text);
}

#[tokio::test]
async fn mistakes_have_prometheus_codes_and_words() {
    let bench = bench();
    let check = async |path: &str, pairs: &[(&str, &str)], status: u16, kind: &str, part: &str| {
        let answer = bench.ask(path, pairs).await.expect(status).json();
        assert_eq!((&answer["status"], &answer["errorType"]), (&json!("error"), &json!(kind)));
        let text = answer["error"].as_str().expect("a text");
        assert!(text.contains(part), "{text:?} lacks {part:?}");
        answer
    };
    let (query, range) = ("/api/v1/query", "/api/v1/query_range");
    let wrong =
        check(query, &[("query", "sum(")], 400, "bad_data", "invalid parameter \"query\": 1:5: parse error: ").await;
    assert_eq!(wrong["position"], json!({"line": 1, "column": 5, "offset": 4, "end": 4}));
    check(query, &[], 400, "bad_data", "no expression found in input").await;
    check(query, &[("query", "1"), ("time", "yesterday")], 400, "bad_data", "invalid parameter \"time\"").await;
    check(query, &[("query", "1"), ("timeout", "x")], 400, "bad_data", "invalid parameter \"timeout\"").await;
    let twice = "requests_total * on(txt) requests_total";
    check(query, &[("query", twice), ("time", "1767225600")], 422, "execution", "many-to-many").await;
    let times = [("query", "1"), ("start", "0"), ("end", "11001"), ("step", "1")];
    check(range, &times, 400, "bad_data", "11,000").await;
    bench.ask(range, &[("query", "1"), ("start", "0"), ("end", "11000"), ("step", "1")]).await.expect(200);
    check(range, &[("query", "1"), ("start", "5"), ("end", "1"), ("step", "1")], 400, "bad_data", "end timestamp")
        .await;
    check(range, &[("query", "1"), ("start", "1"), ("end", "5"), ("step", "0")], 400, "bad_data", "zero or negative")
        .await;
    check(range, &[("query", "1"), ("start", "1"), ("end", "5")], 400, "bad_data", "\"step\"").await;
    check(
        range,
        &[("query", "requests_total[1m]"), ("start", "1"), ("end", "5"), ("step", "1")],
        400,
        "bad_data",
        "invalid expression type",
    )
    .await;
    check("/api/v1/series", &[], 400, "bad_data", "no match[]").await;
    check("/api/v1/label/code/values", &[("match[]", "{")], 400, "bad_data", "match[]").await;
    check("/api/v1/labels", &[("start", "x")], 400, "bad_data", "start").await;
}

#[tokio::test]
async fn series_and_labels_are_listed() {
    let bench = bench();
    let data =
        async |path: &str, pairs: &[(&str, &str)]| bench.ask(path, pairs).await.expect(200).json()["data"].clone();
    let series = data("/api/v1/series", &[("match[]", "special{kind=\"nan\"}"), ("match[]", "nothing")]).await;
    assert_eq!(series, json!([{"__name__": "special", "kind": "nan"}]));
    let posted = bench.post_form("/api/v1/series", &[("match[]", "special")]).await.expect(200).json();
    assert_eq!(posted["data"].as_array().expect("a list").len(), 2);
    let cut = bench.ask("/api/v1/series", &[("match[]", "special"), ("limit", "1")]).await.expect(200).json();
    assert_eq!(cut["data"].as_array().expect("a list").len(), 1);
    assert_eq!(cut["warnings"][0], "results truncated due to limit");
    let whole = bench.ask("/api/v1/series", &[("match[]", "special"), ("limit", "2")]).await.expect(200).json();
    assert!(whole.get("warnings").is_none(), "exactly the limit is no cut");
    assert_eq!(data("/api/v1/labels", &[]).await, json!(["__name__", "code", "kind", "txt"]));
    assert_eq!(data("/api/v1/labels", &[("match[]", "special")]).await, json!(["__name__", "kind"]));
    assert_eq!(data("/api/v1/label/code/values", &[("limit", "40000")]).await, json!(["200", "500"]));
    assert_eq!(data("/api/v1/label/U__code/values", &[]).await, json!(["200", "500"]));
    assert_eq!(data("/api/v1/label/none/values", &[]).await, json!([]));
    assert_eq!(data("/api/v1/label/code/values", &[("start", "1"), ("end", "2")]).await, json!([]));
    assert_eq!(
        data("/api/v1/query_exemplars", &[("query", "test"), ("start", "1767225600000"), ("end", "1767225600001")])
            .await,
        json!([])
    );
    assert_eq!(data("/api/v1/format_query", &[("query", "sum by(a)(b)")]).await, json!("sum by (a) (b)"));
    let tree = data("/api/v1/parse_query", &[("query", "rate(a{b!=\"c\"}[5m] offset 1m)")]).await;
    assert_eq!(tree["func"]["name"], "rate");
    assert_eq!((&tree["args"][0]["range"], &tree["args"][0]["offset"]), (&json!(300_000), &json!(60_000)));
    let tsdb = data("/api/v1/status/tsdb", &[("limit", "1")]).await;
    assert_eq!(tsdb["seriesCountByMetricName"], json!([{"name": "requests_total", "value": 2}]));
    assert_eq!(tsdb["headStats"]["numSeries"], 3);
    let functions = bench.get("/api/v1/promql/functions").await.expect(200).json();
    assert!(functions["functions"].as_array().expect("a list").iter().any(|f| f["name"] == "rate" && f["doc"] != ""));
}

fn alert(state: AlertState) -> Alert {
    Alert {
        group: "g".into(),
        rule: "Hot".into(),
        fingerprint: "00000000000000aa".into(),
        labels: Labels::from_pairs([("alertname", "Hot"), ("severity", "critical")]),
        annotations: Labels::from_pairs([("summary", "too hot")]),
        state,
        value: 21.5,
        expression: "temperature > 20".into(),
        active_at_ms: NOW_MS - 5_000,
        fired_at_ms: None,
        resolved_at_ms: None,
        updated_at_ms: NOW_MS,
        ticket_id: None,
    }
}

#[tokio::test]
async fn rules_and_alerts_are_shown_and_filtered() {
    let bench = bench();
    let rule = |name: &str, alerting| RuleStatus {
        name: name.into(),
        alerting,
        query: "temperature > 20".into(),
        for_seconds: 60.0,
        keep_firing_for_seconds: 0.0,
        labels: Labels::from_pairs([("severity", "critical")]),
        annotations: Labels::empty(),
        alerts: if alerting { vec![alert(AlertState::Firing)] } else { Vec::new() },
        health: "ok".into(),
        last_error: String::new(),
        last_evaluation_ms: None,
        evaluation_seconds: 0.25,
    };
    let group = |name: &str, rules| RuleGroupStatus {
        name: name.into(),
        file: "rules.yml".into(),
        interval_seconds: 15.0,
        limit: 0,
        rules,
        last_evaluation_ms: Some(NOW_MS),
        evaluation_seconds: 0.5,
    };
    *bench.rooms.groups.lock() = vec![group("rec", vec![rule("a:b", false)]), group("alerts", vec![rule("Hot", true)])];
    *bench.rooms.alerts.lock() = vec![alert(AlertState::Firing), alert(AlertState::Resolved)];
    let data = bench.get("/api/v1/rules").await.expect(200).json()["data"].clone();
    let hot = &data["groups"][1]["rules"][0];
    assert_eq!((&hot["type"], &hot["state"], &hot["duration"]), (&json!("alerting"), &json!("firing"), &json!(60.0)));
    assert_eq!(hot["lastEvaluation"], "0001-01-01T00:00:00Z");
    assert_eq!(hot["alerts"][0]["value"], "2.15e+01");
    assert_eq!(hot["alerts"][0]["activeAt"], "2025-12-31T23:59:55Z");
    assert_eq!(data["groups"][0]["rules"][0]["type"], "recording");
    assert!(data["groups"][0]["rules"][0].get("alerts").is_none());
    assert_eq!(
        (&data["groups"][0]["interval"], &data["groups"][0]["lastEvaluation"]),
        (&json!(15.0), &json!("2026-01-01T00:00:00Z"))
    );
    let names = async |pairs: &[(&str, &str)]| {
        let data = bench.ask("/api/v1/rules", pairs).await.expect(200).json()["data"].clone();
        let groups = data["groups"].as_array().expect("a list").clone();
        groups.iter().map(|g| g["name"].as_str().expect("a name").to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&[("type", "alert")]).await, ["alerts"]);
    assert_eq!(names(&[("rule_name[]", "a:b")]).await, ["rec"]);
    assert_eq!(names(&[("rule_group[]", "rec")]).await, ["rec"]);
    assert!(names(&[("file[]", "other.yml")]).await.is_empty());
    let page = bench.ask("/api/v1/rules", &[("group_limit", "1")]).await.expect(200).json()["data"].clone();
    let token = page["groupNextToken"].as_str().expect("a token").to_owned();
    assert_eq!(names(&[("group_limit", "1"), ("group_next_token", &token)]).await, ["alerts"]);
    bench.ask("/api/v1/rules", &[("type", "x")]).await.expect(400);
    let quiet = bench.ask("/api/v1/rules", &[("exclude_alerts", "true")]).await.expect(200).json();
    assert_eq!(quiet["data"]["groups"][1]["rules"][0]["alerts"], json!([]));
    let alerts = bench.get("/api/v1/alerts").await.expect(200).json();
    assert_eq!(alerts["data"]["alerts"].as_array().expect("a list").len(), 1, "resolved ones are not shown");
}

#[tokio::test]
async fn targets_are_shown() {
    let bench = bench();
    *bench.rooms.targets.lock() = vec![TargetStatus {
        scrape_pool: "web".into(),
        discovered_labels: BTreeMap::from([("__address__".into(), "h:1".into())]),
        labels: Labels::from_pairs([("job", "web"), ("instance", "h:1")]),
        scrape_url: "http://h:1/metrics".into(),
        global_url: "http://h:1/metrics".into(),
        health: TargetHealth::Down,
        last_error: "connection refused".into(),
        interval_seconds: 15.0,
        timeout_seconds: 10.0,
        ..TargetStatus::default()
    }];
    *bench.rooms.dropped.lock() =
        vec![DroppedTarget { discovered_labels: BTreeMap::new(), scrape_pool: "other".into() }];
    let data = bench.get("/api/v1/targets").await.expect(200).json()["data"].clone();
    let target = &data["activeTargets"][0];
    assert_eq!(
        (&target["health"], &target["scrapeInterval"], &target["scrapeTimeout"]),
        (&json!("down"), &json!("15s"), &json!("10s"))
    );
    assert_eq!(
        (&target["lastScrape"], &target["lastError"]),
        (&json!("0001-01-01T00:00:00Z"), &json!("connection refused"))
    );
    assert_eq!(data["droppedTargetCounts"], json!({"other": 1}));
    let active = bench.get("/api/v1/targets?state=active&scrapePool=none").await.expect(200).json()["data"].clone();
    assert_eq!(active, json!({"activeTargets": [], "droppedTargets": [], "droppedTargetCounts": {}}));
    bench.get("/api/v1/targets?state=x").await.expect(400);
    let pools = bench.get("/api/v1/scrape_pools").await.expect(200).json();
    assert_eq!(pools["data"]["scrapePools"], json!(["web"]));
    let found = bench.ask("/api/v1/targets/metadata", &[("match_target", "{job=\"web\"}"), ("metric", "up")]).await;
    assert_eq!(found.expect(200).json()["data"][0]["help"], "Is it");
    bench.get("/api/v1/targets/metadata?metric=nothing").await.expect(404);
    let metadata = bench.get("/api/v1/metadata").await.expect(200).json();
    assert_eq!(metadata["data"], json!({"up": [{"type": "unknown", "help": "Is it", "unit": ""}]}));
}

#[tokio::test]
async fn the_process_answers_probes_and_status() {
    let bench = Bench::with(|config| {
        *config.external_labels.write() = Labels::from_pairs([("replica", "r1")]);
        config.flags.insert("data-dir".into(), "data".into());
    });
    for path in ["/live", "/ready", "/-/healthy", "/-/ready"] {
        bench.get(path).await.expect(200);
    }
    *bench.rooms.not_ready.lock() = Some("replaying the WAL".into());
    for path in ["/ready", "/-/ready"] {
        assert!(bench.get(path).await.expect(503).text.contains("replaying the WAL"));
    }
    assert!(bench.get("/metrics").await.expect(200).text.contains("a_total 1"));
    let info = bench.get("/api/v1/status/buildinfo").await.expect(200).json()["data"].clone();
    assert!(info.get("features").is_none() && info["revision"] == "tidewatch 9.8.7", "{info}");
    assert_eq!(bench.get("/api/v1/status/flags").await.expect(200).json()["data"], json!({"data-dir": "data"}));
    assert_eq!(bench.get("/api/v1/status/config").await.expect(200).json()["data"]["yaml"], "global: {}\n");
    assert_eq!(bench.get("/api/v1/status/runtimeinfo").await.expect(200).json()["data"]["reloadConfigSuccess"], true);
    bench.get("/api/v1/status/walreplay").await.expect(200);
    bench.get("/api/v1/alertmanagers").await.expect(200);
    bench.get("/-/reload").await.expect(405);
    let bad = bench.send(axum::http::Method::POST, "/-/reload", &[], "").await.expect(400);
    assert!(bad.text.contains("unknown key `jobname`"), "{}", bad.text);
    bench.store.put(&[("__name__", "up"), ("job", "a")], NOW_MS, 1.0);
    let text = bench.ask("/federate", &[("match[]", "up")]).await.expect(200).text;
    assert_eq!(text, format!("# TYPE up untyped\nup{{job=\"a\",replica=\"r1\",instance=\"\"}} 1 {NOW_MS}\n"));
    assert_eq!(bench.get("/federate").await.expect(200).text, "");
    bench.ask("/federate", &[("match[]", "{")]).await.expect(400);
}

#[tokio::test]
async fn series_are_deleted_only_where_it_is_switched_on() {
    let off = Bench::new();
    for path in ["delete_series?match[]=up", "clean_tombstones", "snapshot"] {
        let answer = off.send(Method::POST, &format!("/api/v1/admin/tsdb/{path}"), &[], "").await.expect(503).json();
        assert_eq!(
            (&answer["errorType"], &answer["error"]),
            (&json!("unavailable"), &json!("admin APIs disabled; start with --enable-admin-api"))
        );
    }
    assert!(off.rooms.calls.lock().is_empty());
    let on = Bench::with(|config| config.enable_admin_api = true);
    let send = async |method: Method, path: &str| on.send(method, &format!("/api/v1/admin/tsdb/{path}"), &[], "").await;
    let deleted =
        send(Method::PUT, "delete_series?match[]=up&match[]=%7Ba%3D%22b%22%7D&start=1&end=2.5").await.expect(204);
    assert_eq!(deleted.text, "");
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let body = "match%5B%5D=up&start=1&end=2";
    on.send(Method::POST, "/api/v1/admin/tsdb/delete_series", &form, body).await.expect(204);
    send(Method::POST, "clean_tombstones").await.expect(204);
    let snapshot = send(Method::POST, "snapshot?skip_head=true").await.expect(200).json();
    assert_eq!(snapshot, json!({"status": "success", "data": {"name": "20260101T120000Z-1"}}));
    let calls = on.rooms.calls.lock().clone();
    assert_eq!(calls.len(), 4, "{calls:?}");
    assert!(calls[0].contains("default") && calls[0].ends_with(" 1000 2500"), "{calls:?}");
    assert!(calls[1].ends_with(" 1000 2000"), "{calls:?}");
    assert_eq!(calls[2..], ["clean default", "snapshot default true"]);
    for (path, part) in [
        ("delete_series", "no match[] parameter provided"),
        ("delete_series?match[]=%7B", "match[]"),
        ("delete_series?match[]=up&start=x", "start"),
        ("snapshot?skip_head=x", "skip_head"),
    ] {
        let answer = send(Method::POST, path).await.expect(400).json();
        assert!(
            answer["error"].as_str().expect("a text").contains(part) && answer["errorType"] == "bad_data",
            "{answer}"
        );
    }
    send(Method::GET, "snapshot").await.expect(405);
}
