use futures::TryStreamExt;
use serde_json::{Value, json};
use vocab::ports::Appender;
use vocab::ports::append::WriteBatch;
use vocab::ports::logs::{LogAppender, LogBatch};
use vocab::telemetry::Telemetry;
use vocab::testing::{MemStore, SimClock};
use vocab::{Labels, LogRecord, MemoryBudget, STALE_NAN, Severity, TenantId};

use super::*;
use crate::logs::LogStoreConfig;

/// 2023-11-14T22:13:20Z
const NOW_MS: i64 = 1_700_000_000_000;

struct Fixture {
    sql: SqlEngine,
    ctx: Ctx,
    _dir: tempfile::TempDir,
}

impl Fixture {
    /// Two services with two samples each, and four log records, two of them in a split.
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(NOW_MS));
        let budget = MemoryBudget::new(64 << 20, &[("logs", 1.0)]);
        let config = LogStoreConfig::new(dir.path().to_owned());
        let logs = LogStore::open(config, &budget, &Telemetry::new(), Arc::clone(&clock)).await.unwrap();
        let store = MemStore::new();
        let ctx = Ctx::unlimited();
        let mut batch = WriteBatch::default();
        for (service, host, values) in [("web", "a", [1.0, 2.0]), ("api", "b", [10.0, 20.0])] {
            let labels = Labels::from_pairs([("__name__", "requests"), ("service", service), ("host", host)]);
            for (index, value) in (0..).zip(values) {
                batch.push(labels.clone(), NOW_MS - 120_000 + index * 60_000, value);
            }
        }
        batch.push(Labels::from_pairs([("__name__", "gone"), ("service", "web")]), NOW_MS - 60_000, STALE_NAN);
        store.append(&ctx, &batch).await.unwrap();
        let record = |ago_s: i64, service: &str, severity, body: &str, status: &str| LogRecord {
            time_ns: (NOW_MS - ago_s * 1000) * 1_000_000,
            service: service.into(),
            severity,
            body: body.into(),
            labels: Labels::from_pairs([("host", if service == "web" { "a" } else { "b" })]),
            fields: if status.is_empty() { vec![] } else { vec![("status".into(), status.into())] },
            pattern_id: 7,
        };
        let send = async |records| logs.append(&ctx, LogBatch { records, position: None }).await.unwrap();
        send(vec![
            record(119, "web", Severity::Info, "GET / \"quoted\", with a comma", "200"),
            record(118, "web", Severity::Error, "连接超时", "500"),
        ])
        .await;
        logs.flush().await.unwrap();
        send(vec![record(59, "api", Severity::Error, "boom", "500"), record(58, "api", Severity::Info, "fine", "")])
            .await;
        let sql = SqlEngine::new(Arc::new(store), logs, clock);
        Self { sql, ctx, _dir: dir }
    }

    async fn bytes(&self, query: &str, format: SqlFormat, allow_full_scan: bool) -> PortResult<Vec<u8>> {
        self.bytes_for(&self.ctx, query, format, allow_full_scan).await
    }

    async fn bytes_for(&self, ctx: &Ctx, query: &str, format: SqlFormat, allow_full_scan: bool) -> PortResult<Vec<u8>> {
        let request = SqlRequest { query: query.into(), format, allow_full_scan };
        let answer = self.sql.query(ctx, request).await?;
        let pieces: Vec<Bytes> = answer.rows.try_collect().await?;
        Ok(pieces.concat())
    }

    async fn json(&self, query: &str) -> Value {
        let bytes = self.bytes(query, SqlFormat::Json, false).await.unwrap_or_else(|e| panic!("{query}: {e}"));
        serde_json::from_slice(&bytes).unwrap_or_else(|e| panic!("{query}: {e}: {}", String::from_utf8_lossy(&bytes)))
    }

    async fn error(&self, query: &str) -> PortError {
        self.bytes(query, SqlFormat::Json, false).await.expect_err(query)
    }
}

#[tokio::test]
async fn labels_are_usable_everywhere() {
    let fixture = Fixture::new().await;
    let check = async |query: &str, expect: Value| assert_eq!(fixture.json(query).await, expect, "{query}");
    check(
        "SELECT labels['service'] AS service, sum(value) AS total FROM metrics \
         WHERE name = 'requests' AND time > now() - INTERVAL '1 hour' GROUP BY labels['service'] ORDER BY labels['service'] DESC",
        json!([{"service": "web", "total": 3.0}, {"service": "api", "total": 30.0}]),
    )
    .await;
    check(
        "SELECT time, value, labels FROM metrics WHERE labels['host'] = 'b' AND time >= '2023-11-14T22:12:20Z' ORDER BY time",
        json!([{"time": "2023-11-14T22:12:20Z", "value": 20.0, "labels": {"host": "b", "service": "api"}}]),
    )
    .await;
    check(
        "SELECT labels['none'] AS none, count(*) AS n FROM metrics WHERE time > now() - INTERVAL '1' HOUR GROUP BY 1",
        json!([{"none": null, "n": 4}]),
    )
    .await;
    check(
        "SELECT fields['status'] AS status, service, count(*) AS n FROM logs WHERE time > now() - INTERVAL '1 hour' \
         GROUP BY fields['status'], service HAVING fields['status'] IS NOT NULL ORDER BY fields['status'], service",
        json!([
            {"status": "200", "service": "web", "n": 1},
            {"status": "500", "service": "api", "n": 1},
            {"status": "500", "service": "web", "n": 1}
        ]),
    )
    .await;
    check(
        "SELECT body, severity, pattern_id FROM logs WHERE body LIKE '%超时%' AND time < now()",
        json!([{"body": "连接超时", "severity": "error", "pattern_id": 7}]),
    )
    .await;
    check(
        "SELECT upper(labels['host']) AS h FROM logs WHERE time > now() - INTERVAL '60 s' AND service = 'api' LIMIT 1",
        json!([{"h": "B"}]),
    )
    .await;
}

#[tokio::test]
async fn metrics_and_logs_join_by_time() {
    let fixture = Fixture::new().await;
    let query = "WITH m AS (SELECT date_bin(INTERVAL '1 minute', time) AS t, labels['service'] AS s, max(value) AS v FROM metrics \
                 WHERE name = 'requests' AND time >= now() - INTERVAL '10 minutes' GROUP BY 1, 2), \
                 l AS (SELECT date_bin(INTERVAL '1 minute', time) AS t, service AS s, count(*) AS errors FROM logs \
                 WHERE severity = 'error' AND time >= now() - INTERVAL '10 minutes' GROUP BY 1, 2) \
                 SELECT m.s, m.v, l.errors FROM m JOIN l ON m.t = l.t AND m.s = l.s ORDER BY m.s";
    assert_eq!(
        fixture.json(query).await,
        json!([{"s": "api", "v": 20.0, "errors": 1}, {"s": "web", "v": 1.0, "errors": 1}])
    );
}

#[tokio::test]
async fn what_the_where_clause_says_reaches_the_scan() {
    let fixture = Fixture::new().await;
    let plan = async |query: &str| fixture.json(&format!("EXPLAIN {query}")).await.to_string();
    let check = async |query: &str, parts: &[&str]| {
        let plan = plan(query).await;
        for part in parts {
            assert!(plan.contains(part), "{query}: {part} is not in {plan}");
        }
    };
    let from = NOW_MS - 3_600_000;
    check(
        "SELECT value FROM metrics WHERE name = 'requests' AND labels['host'] = 'a' AND labels['service'] ~ '^w' \
         AND time > now() - INTERVAL '1 hour'",
        &[
            &format!("time_ms=[{from}, ..]"),
            r#"name=\"requests\""#,
            r#"labels['host']=\"a\""#,
            r#"labels['service']=~"#,
            "table=metrics",
        ],
    )
    .await;
    check(
        "SELECT body FROM logs WHERE service IN ('web', 'api') AND fields['status'] = '500' AND labels['host'] != 'a' \
         AND time BETWEEN '2023-11-14T22:00:00Z' AND '2023-11-14T23:00:00Z'",
        &[
            "time_ms=[1699999200000, 1700002800000]",
            "service",
            "fields['status']=",
            "labels['host']!=",
            "columns=[time",
        ],
    )
    .await;
    // Without a bound EXPLAIN still works, for it reads nothing.
    check("SELECT count(*) FROM logs", &["time_ms=[.., ..]"]).await;
}

#[tokio::test]
async fn pushed_conditions_change_no_answer() {
    let fixture = Fixture::new().await;
    for table in ["metrics", "logs"] {
        for condition in [
            "labels['host'] = 'a'",
            "labels['host'] != 'a'",
            "labels['host'] ~ 'a|b'",
            "labels['host'] !~ 'a'",
            "labels['host'] ~ '^b$'",
            "labels['host'] LIKE 'b%'",
            "labels['host'] NOT LIKE 'b%'",
            "labels['host'] IN ('b', 'c.d')",
            "labels['none'] IS NULL",
            "labels['host'] IS NOT NULL",
            "labels['none'] = ''",
            "labels['none'] != 'x'",
            "labels['host'] = 'a' OR labels['host'] = 'b'",
            "NOT (labels['host'] = 'a')",
            "time > '2023-11-14T22:12:00Z' AND time <= '2023-11-14T22:12:20Z'",
            "'2023-11-14T22:12:20Z' <= time",
        ] {
            let wide = "time > '2000-01-01T00:00:00Z'";
            let plain = format!("SELECT count(*) AS n FROM {table} WHERE {wide} AND ({condition})");
            // A sum over a CASE hides the condition from the scan.
            let hidden = format!(
                "SELECT coalesce(sum(CASE WHEN {condition} THEN 1 ELSE 0 END), 0) AS n FROM {table} WHERE {wide}"
            );
            assert_eq!(fixture.json(&plain).await, fixture.json(&hidden).await, "{plain}");
        }
    }
}

#[tokio::test]
async fn a_full_scan_must_be_allowed() {
    let fixture = Fixture::new().await;
    for query in [
        "SELECT count(*) FROM logs",
        "SELECT count(*) FROM metrics WHERE name = 'requests'",
        "EXPLAIN ANALYZE SELECT * FROM logs",
    ] {
        let error = fixture.error(query).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{query}");
        assert!(error.message().contains("allow_full_scan"), "{query}: {error}");
    }
    let all = fixture.bytes("SELECT count(*) AS n FROM logs", SqlFormat::Json, true).await.unwrap();
    assert_eq!(all, br#"[{"n":4}]"#);
}

#[tokio::test]
async fn only_reading_statements_pass() {
    let fixture = Fixture::new().await;
    let check = async |query: &str, expect: &str| {
        let error = fixture.error(query).await;
        assert_eq!(error.kind(), ErrorKind::Invalid, "{query}: {error}");
        assert!(error.message().contains(expect), "{query}: {error}");
    };
    check("CREATE TABLE t AS SELECT 1", "not CREATE TABLE").await;
    check("CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'", "not CREATE EXTERNAL").await;
    check("INSERT INTO logs SELECT * FROM logs", "not INSERT INTO").await;
    check("DELETE FROM logs", "not DELETE FROM").await;
    check("DROP TABLE logs", "not DROP TABLE").await;
    check("COPY logs TO '/nowhere/x.csv'", "not COPY").await;
    check("EXPLAIN COPY logs TO '/nowhere/x.csv'", "not COPY").await;
    check("SET datafusion.execution.batch_size = 1", "not SET").await;
    check("SELECT 1; SELECT 2", "one statement is expected, not 2").await;
    check("", "empty").await;
    check("SELECT * INTO t FROM logs", "").await;
    check("SELECT * FROM '/etc/passwd'", "not found").await;
    check("SELECT nothing FROM logs WHERE time < now()", "nothing").await;
    check("SELEC 1", "Expected").await;
    check("SELECT * FROM nowhere", "nowhere").await;
    check("SELECT 1/0", "ivide by zero").await;
    check(&format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000)), "").await;
    for query in ["SHOW TABLES", "DESCRIBE logs", "SHOW COLUMNS FROM metrics", "SELECT 1 AS one", "EXPLAIN SELECT 1"] {
        assert!(!fixture.json(query).await.as_array().unwrap().is_empty(), "{query}");
    }
}

#[tokio::test]
async fn tenants_see_their_own_rows_only() {
    let fixture = Fixture::new().await;
    let other = Ctx::new(TenantId::new("other").unwrap(), vocab::MemoryReservation::unlimited());
    for query in ["SELECT * FROM logs", "SELECT * FROM metrics"] {
        assert_eq!(fixture.bytes_for(&other, query, SqlFormat::Json, true).await.unwrap(), b"[]");
    }
}

#[tokio::test]
async fn rows_come_in_every_format() {
    let fixture = Fixture::new().await;
    let query = "SELECT body, labels, fields['status'] AS status FROM logs WHERE time > now() - INTERVAL '1 hour' AND service = 'web' ORDER BY time";
    let text = async |format| String::from_utf8(fixture.bytes(query, format, false).await.unwrap()).unwrap();
    assert_eq!(
        text(SqlFormat::NdJson).await,
        "{\"body\":\"GET / \\\"quoted\\\", with a comma\",\"labels\":{\"host\":\"a\"},\"status\":\"200\"}\n\
         {\"body\":\"连接超时\",\"labels\":{\"host\":\"a\"},\"status\":\"500\"}\n"
    );
    assert_eq!(
        text(SqlFormat::Csv).await,
        "body,labels,status\n\"GET / \"\"quoted\"\", with a comma\",\"{\"\"host\"\":\"\"a\"\"}\",200\n\
         连接超时,\"{\"\"host\"\":\"\"a\"\"}\",500\n"
    );
    let arrow = fixture.bytes(query, SqlFormat::Arrow, false).await.unwrap();
    let reader = arrow::ipc::reader::StreamReader::try_new(std::io::Cursor::new(arrow), None).unwrap();
    assert_eq!(reader.map(|b| b.unwrap().num_rows()).sum::<usize>(), 2);
    let none = "SELECT body FROM logs WHERE time > now()";
    for (format, expect) in [(SqlFormat::Json, "[]"), (SqlFormat::NdJson, ""), (SqlFormat::Csv, "body\n")] {
        assert_eq!(String::from_utf8(fixture.bytes(none, format, false).await.unwrap()).unwrap(), expect);
    }
}

#[tokio::test]
async fn a_query_over_its_memory_fails_and_gives_it_back() {
    let fixture = Fixture::new().await;
    let budget = MemoryBudget::new(300_000, &[("queries", 1.0)]);
    let ctx = Ctx::new(TenantId::default(), budget.pool("queries").reservation("test"));
    let query = "SELECT v, count(*) FROM (SELECT value AS v FROM generate_series(1, 2000000)) GROUP BY v ORDER BY 2";
    let error = fixture.bytes_for(&ctx, query, SqlFormat::Json, false).await.expect_err("too much");
    assert_eq!(error.kind(), ErrorKind::Limit, "{error}");
    assert!(error.message().contains("\"queries\""), "{error}");
    let deadline = std::time::Duration::from_secs(20);
    tokio::time::timeout(deadline, async {
        while budget.pool("queries").used_bytes() > 0 {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the memory comes back");
}

/// A query that takes more than the sixty-fourth part of a share, so that it counts as a large one.
const HEAVY: &str =
    "SELECT v, count(*) FROM (SELECT value AS v FROM generate_series(1, 100000)) GROUP BY v ORDER BY 2 DESC";

#[tokio::test]
async fn a_query_that_others_are_in_the_way_of_says_so_and_runs_in_its_turn() {
    let fixture = Fixture::new().await;
    let pool = MemoryBudget::new(256 << 20, &[("queries", 1.0)]).pool("queries");
    let ctx = || Ctx::new(TenantId::default(), pool.reservation_among_many("a query"));
    let alone = fixture.bytes_for(&ctx(), HEAVY, SqlFormat::Csv, false).await.expect("there is room");
    let other = pool.reservation_among_many("other");
    other.try_grow(pool.limit_bytes() / 100 * 70).expect("the first one");
    let crowded = ctx();
    let error = fixture.bytes_for(&crowded, HEAVY, SqlFormat::Csv, false).await.expect_err("the other one is first");
    assert!(error.kind() == ErrorKind::Limit && crowded.memory.crowded_out().get(), "{error}");
    let turn = pool.next_turn("a query").expect("may wait");
    drop((crowded, other));
    let turn = tokio::time::timeout(std::time::Duration::from_secs(20), turn).await.expect("its turn comes");
    let in_turn = fixture.bytes_for(&Ctx::new(TenantId::default(), turn), HEAVY, SqlFormat::Csv, false).await;
    assert_eq!(in_turn.expect("its turn").len(), alone.len());
}

#[tokio::test]
async fn a_cancelled_query_ends() {
    let fixture = Fixture::new().await;
    let ctx = Ctx::unlimited();
    let request =
        SqlRequest { query: "SELECT value FROM generate_series(1, 1000000000000)".into(), ..SqlRequest::default() };
    let answer = fixture.sql.query(&ctx, request).await.unwrap();
    ctx.cancel.cancel();
    let error = answer.rows.try_fold((), |(), _| std::future::ready(Ok(()))).await.expect_err("cancelled");
    assert_eq!(error.kind(), ErrorKind::Cancelled);
}
