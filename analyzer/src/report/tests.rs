use vocab::ports::logs::LogBatch;
use vocab::ports::{Catalog, LogAppender};
use vocab::scaling::{DecisionState, ScalingDecision, ScalingMode};
use vocab::{Alert, AlertState, Ctx, ErrorKind, Labels, LogRecord, Severity};

use super::*;
use crate::logs::MinerLimits;
use crate::logs::PatternStage;
use crate::testing::{Room, START_MS};

fn decision(time_ms: i64, from: u32, to: u32) -> ScalingDecision {
    ScalingDecision {
        id: 0,
        time_ms,
        cluster: "local".into(),
        service: "web".into(),
        policy: "p".into(),
        orchestrator: "process".into(),
        from,
        to,
        ready: from,
        mode: ScalingMode::Act,
        reason: "412 RPS / 100 <per replica>".into(),
        seen: Vec::new(),
        candidates: Vec::new(),
        guards: Vec::new(),
        state: DecisionState::Verified,
        result: "ready after 8 s".into(),
        acted_at_ms: Some(time_ms + 500),
        finished_at_ms: None,
    }
}

async fn filled(room: &Room) -> Arc<PatternStore> {
    let put = |name: &str, labels: &[(&str, &str)], second: i64, value: f64| {
        let mut all = vec![("__name__", name)];
        all.extend_from_slice(labels);
        room.store.put(&all, START_MS + second * 1000, value);
    };
    let web = [("service", "web"), ("proxy", "web")];
    let mut total = 0.0;
    for second in (0..240).step_by(2) {
        total += if (60..180).contains(&second) { 1600.0 } else { 40.0 };
        put("haproxy_backend_http_requests_total", &web, second, total);
        put("haproxy_backend_http_responses_total", &[web[0], web[1], ("code", "5xx")], second, 3.0);
        put("haproxy_backend_active_servers", &web, second, if second > 80 { 8.0 } else { 1.0 });
        put("node_memory_MemAvailable_bytes", &[("host", "h<1>")], second, 1.0);
        put("node_memory_MemTotal_bytes", &[("host", "h<1>")], second, 10.0);
        put("node_cpu_seconds_total", &[("host", "h<1>"), ("cpu", "0"), ("mode", "idle")], second, second as f64 * 0.5);
    }
    let tenant = TenantId::default();
    for (second, from, to) in [(70, 1, 8), (200, 8, 1)] {
        room.catalog
            .record_decision(&tenant, &decision(START_MS + second * 1000, from, to), &[])
            .await
            .expect("in memory");
    }
    let alert = Alert {
        group: "g".into(),
        rule: "HighLoad".into(),
        fingerprint: "1".into(),
        labels: Labels::from_pairs([("alertname", "HighLoad"), ("service", "<script>alert(1)</script>")]),
        annotations: Labels::from_pairs([("summary", "a | b *bold*")]),
        state: AlertState::Resolved,
        value: 1.0,
        expression: "x".into(),
        active_at_ms: START_MS + 60_000,
        fired_at_ms: Some(START_MS + 70_000),
        resolved_at_ms: Some(START_MS + 190_000),
        updated_at_ms: START_MS + 190_000,
        ticket_id: None,
    };
    room.catalog.upsert_alerts(&tenant, &[alert]).await.expect("in memory");
    let patterns = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let stage = PatternStage::new(Arc::clone(&patterns), Arc::new(room.logs.clone()));
    let record = |second: i64, body: &str, severity| LogRecord {
        time_ns: (START_MS + second * 1000) * 1_000_000,
        service: "web".into(),
        severity,
        body: body.into(),
        ..LogRecord::default()
    };
    let records = vec![
        record(10, "GET /a took 5 ms", Severity::Info),
        record(20, "GET /b took 7 ms", Severity::Info),
        record(30, "<img src=x> failed", Severity::Error),
    ];
    stage.append(&Ctx::unlimited(), LogBatch { records, position: None }).await.expect("in memory");
    patterns
}

#[tokio::test]
async fn a_report_says_what_happened_in_both_languages() {
    let room = Room::new();
    let patterns = filled(&room).await;
    let tenant = TenantId::default();
    for language in LANGUAGES {
        let id =
            write(&room.shared, &patterns, &tenant, START_MS, START_MS + 240_000, language).await.expect("a report");
        let report = room.catalog.report(&tenant, id).await.expect("stored");
        let html = &report.html;
        // Nothing from outside gets into the page as markup, and the page needs nothing from outside.
        assert!(!html.contains("<script") && !html.contains("<img"), "{html}");
        assert!(!html.contains("src=\"") && !html.contains("href="), "{html}");
        assert!(html.contains("&lt;script&gt;") && html.contains("h&lt;1&gt;"));
        assert_eq!(html.matches("<svg").count(), 2);
        assert!(
            html.contains("1 → 8")
                && html.contains("8 → 1")
                && html.contains("412 RPS")
                && html.contains("&lt;per replica&gt;")
        );
        assert!(html.contains("GET &lt;*&gt; took &lt;*&gt; ms"));
        assert!(!html.contains('{') || !html.contains("{service}"), "a place was not filled");
        assert!(report.markdown.contains("a \\| b \\*bold\\*"), "{}", report.markdown);
        assert!(report.markdown.contains("| 1 → 8 |"), "{}", report.markdown);
        assert_eq!(report.head.language, language);
    }
    let report = room.catalog.report(&tenant, 1).await.expect("stored");
    let text = &report.markdown;
    assert!(text.contains("98,360 requests were answered for web; 0 failed."), "{text}");
    assert!(text.contains("Scaling decisions: 2; replicas were between 1 and 8."), "{text}");
    assert!(text.contains("Alerts that fired: 1, of which still firing: 0"), "{text}");
    assert!(text.contains("3 log records, 1 of them errors or worse."), "{text}");
    assert!(text.contains("memory 90 %"), "{text}");
    assert!(report.head.summary.contains("Alerts that fired"), "{}", report.head.summary);
}

#[tokio::test]
async fn an_empty_store_gives_a_report_of_what_is_unknown() {
    let room = Room::new();
    let patterns = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let tenant = TenantId::default();
    let id = write(&room.shared, &patterns, &tenant, START_MS, START_MS + 1, "en").await.expect("a report");
    let text = room.catalog.report(&tenant, id).await.expect("stored").markdown;
    assert!(text.contains("How many requests were answered is unknown"), "{text}");
    assert!(text.contains("CPU unknown, memory unknown, disk unknown"), "{text}");
    assert!(!text.contains("What is not known"), "nothing failed: {text}");
}

#[tokio::test]
async fn mistakes_are_told() {
    let room = Room::new();
    let patterns = Arc::new(PatternStore::new(Arc::clone(&room.shared), MinerLimits::default()));
    let tenant = TenantId::default();
    let empty = write(&room.shared, &patterns, &tenant, 5, 5, "en").await.expect_err("an empty range");
    let french = write(&room.shared, &patterns, &tenant, 1, 5, "fr").await.expect_err("no such language");
    assert_eq!([empty.kind(), french.kind()], [ErrorKind::Invalid; 2]);
    assert_eq!(french.message(), "unknown language \"fr\": want en or zh");
}
