use std::collections::BTreeMap;
use std::path::Path;

use futures::StreamExt;
use proptest::prelude::*;
use vocab::ports::logs::SourcePosition;
use vocab::telemetry::Telemetry;
use vocab::testing::SimClock;
use vocab::{Labels, MatchOp, Matcher, Severity, TenantId};

use super::*;
use crate::disk::faults::FaultyDisk;
use crate::logs::split::SplitMeta;
use crate::logs::tokens::TokenBuffer;

const ALL: (i64, i64) = (i64::MIN, i64::MAX);

struct Fixture {
    dir: tempfile::TempDir,
    clock: SimClock,
    disk: FaultyDisk,
    telemetry: Telemetry,
    budget: MemoryBudget,
    config: Box<dyn Fn(&Path) -> LogStoreConfig>,
}

impl Fixture {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            clock: SimClock::at(1_700_000_000_000),
            disk: FaultyDisk::default(),
            telemetry: Telemetry::new(),
            budget: MemoryBudget::new(256 << 20, &[("logs", 1.0)]),
            config: Box::new(|dir| LogStoreConfig::new(dir.to_owned())),
        }
    }

    async fn open(&self) -> Arc<LogStore> {
        let (config, disk) = ((self.config)(self.dir.path()), Arc::new(self.disk.clone()));
        LogStore::open_on(config, disk, &self.budget, &self.telemetry, Arc::new(self.clock.clone())).await.unwrap()
    }
}

fn record(time_ns: i64, body: &str) -> LogRecord {
    LogRecord { time_ns, body: body.into(), ..LogRecord::default() }
}

fn batch(records: Vec<LogRecord>) -> LogBatch {
    LogBatch { records, position: None }
}

fn query(text: &str) -> LogQuery {
    LogQuery { text: text.into(), matchers: vec![], start_ns: ALL.0, end_ns: ALL.1 }
}

async fn bodies(store: &LogStore, ctx: &Ctx, text: &str) -> Vec<String> {
    let found = store.search(ctx, &query(text), Direction::Forward, 100, None).await.unwrap();
    found.into_iter().map(|f| f.record.body).collect()
}

fn status(store: &LogStore) -> StoreStatus {
    let mut status = StoreStatus::default();
    store.status(&mut status);
    status
}

#[tokio::test]
async fn records_are_found_at_once_after_a_flush_and_after_a_restart() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    let outcome = store.append(&ctx, batch(vec![record(2, "two 连接超时"), record(1, "one")])).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected), (2, 0));
    assert_eq!(bodies(&store, &ctx, "").await, ["one", "two 连接超时"]);
    store.flush().await.unwrap();
    assert_eq!((status(&store).head_records, status(&store).splits, status(&store).split_records), (0, 1, 2));
    assert_eq!(status(&store).logs_wal_bytes, 0);
    store.append(&ctx, batch(vec![record(3, "three 超时")])).await.unwrap();
    assert_eq!(bodies(&store, &ctx, "超时").await, ["two 连接超时", "three 超时"]);
    store.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(bodies(&store, &ctx, "").await, ["one", "two 连接超时", "three 超时"]);
    assert_eq!((status(&store).head_records, status(&store).split_records), (1, 2));
    let elsewhere = Ctx::new(TenantId::new("elsewhere").unwrap(), vocab::MemoryReservation::unlimited());
    assert_eq!(bodies(&store, &elsewhere, "").await, Vec::<String>::new());
}

#[tokio::test]
async fn a_store_that_was_not_closed_has_everything_acknowledged() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    store.append(&ctx, batch((0..50).map(|i| record(i, "old")).collect())).await.unwrap();
    store.flush().await.unwrap();
    store.append(&ctx, batch((50..80).map(|i| record(i, "new")).collect())).await.unwrap();
    // A copy of the folder at this instant is what kill -9 leaves.
    let copy = Fixture::new();
    copy_folder(fixture.dir.path(), copy.dir.path());
    let again = copy.open().await;
    assert_eq!(bodies(&again, &ctx, "").await.len(), 80);
    // A torn end of the write-ahead log costs the torn record only.
    let torn = Fixture::new();
    copy_folder(fixture.dir.path(), torn.dir.path());
    store.append(&ctx, batch(vec![record(99, "torn")])).await.unwrap();
    let wal = newest_file(&fixture.dir.path().join("wal"));
    let bytes = std::fs::read(&wal).unwrap();
    std::fs::write(torn.dir.path().join("wal").join(wal.file_name().unwrap()), &bytes[..bytes.len() - 3]).unwrap();
    let again = torn.open().await;
    assert_eq!(bodies(&again, &ctx, "").await.len(), 80);
    again.append(&ctx, batch(vec![record(100, "after")])).await.unwrap();
    assert_eq!(bodies(&again, &ctx, "after").await.len(), 1);
}

#[tokio::test]
async fn a_flush_interrupted_before_the_wal_was_cut_repeats_nothing() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    store.append(&ctx, batch(vec![record(1, "a"), record(2, "b")])).await.unwrap();
    let saved = tempfile::tempdir().unwrap();
    copy_folder(&fixture.dir.path().join("wal"), saved.path());
    store.flush().await.unwrap();
    store.close().await;
    drop(store);
    copy_folder(saved.path(), &fixture.dir.path().join("wal"));
    let store = fixture.open().await;
    assert_eq!(bodies(&store, &ctx, "").await, ["a", "b"]);
    store.append(&ctx, batch(vec![record(3, "c")])).await.unwrap();
    assert_eq!(bodies(&store, &ctx, "").await, ["a", "b", "c"]);
}

#[tokio::test]
async fn batches_sent_again_are_recognised_even_after_a_restart() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    let at = |offset| LogBatch {
        records: vec![record(offset as i64, "line")],
        position: Some(SourcePosition { source: "file:1".into(), offset }),
    };
    assert_eq!(store.append(&ctx, at(10)).await.unwrap().accepted, 1);
    assert_eq!(store.append(&ctx, at(10)).await.unwrap().repeated, 1);
    let (a, b) = tokio::join!(store.append(&ctx, at(15)), store.append(&ctx, at(15)));
    assert_eq!(a.unwrap().repeated + b.unwrap().repeated, 1, "sent twice at once");
    store.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.append(&ctx, at(15)).await.unwrap().repeated, 1, "known from the write-ahead log");
    store.flush().await.unwrap();
    store.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.append(&ctx, at(9)).await.unwrap().repeated, 1, "known from the folder");
    assert_eq!(store.append(&ctx, at(20)).await.unwrap().accepted, 1);
    assert_eq!(bodies(&store, &ctx, "").await.len(), 3);
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_goes_on_reading() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    store.append(&ctx, batch(vec![record(1, "before")])).await.unwrap();
    fixture.disk.0.lock().free_bytes = Some(0);
    let error = store.append(&ctx, batch(vec![record(2, "refused")])).await.expect_err("full");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.message().contains("disk is full"), "{error}");
    assert!(!status(&store).refusing_writes.is_empty());
    assert_eq!(bodies(&store, &ctx, "").await, ["before"]);
    fixture.disk.0.lock().free_bytes = None;
    store.append(&ctx, batch(vec![record(3, "after")])).await.unwrap();
    assert_eq!(bodies(&store, &ctx, "").await, ["before", "after"]);
    assert_eq!(status(&store).refusing_writes, "");
}

#[tokio::test]
async fn records_beyond_the_limits_are_refused_one_by_one() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    let with_fields = |fields: Vec<(String, String)>| LogRecord { fields, ..record(1, "fields") };
    let records = vec![
        record(1, &"x".repeat(RECORD_BYTES_MAX)),
        with_fields((0..300).map(|i| (format!("f{i}"), String::new())).collect()),
        with_fields(vec![("big".into(), "x".repeat(RECORD_PAIR_BYTES_MAX))]),
        with_fields(vec![(String::new(), "unnamed".into())]),
        with_fields(vec![("b".into(), "2".into()), ("a".into(), "1".into()), ("b".into(), "3".into())]),
    ];
    let outcome = store.append(&ctx, batch(records)).await.unwrap();
    assert_eq!((outcome.accepted, outcome.rejected), (1, 4));
    assert!(outcome.first_reason.contains("over the limit of 1048576"), "{}", outcome.first_reason);
    let found = store.search(&ctx, &query(""), Direction::Backward, 9, None).await.unwrap();
    let fields: Vec<_> = found[0].record.fields.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    assert_eq!(fields, [("a", "1"), ("b", "2")]);
}

#[tokio::test]
async fn memory_that_is_used_up_is_freed_by_a_flush() {
    let ctx = Ctx::unlimited();
    let mut fixture = Fixture::new();
    fixture.budget = MemoryBudget::new(1 << 20, &[("logs", 1.0)]);
    let store = fixture.open().await;
    let body = "x".repeat(20_000);
    for time in 0..100 {
        store.append(&ctx, batch(vec![record(time, &body)])).await.unwrap();
        assert!(fixture.budget.pool("logs").used_bytes() <= 1 << 20);
    }
    assert_eq!(bodies(&store, &ctx, "").await.len(), 100);
    assert!(status(&store).splits > 2);
    let error = store.append(&ctx, batch((0..30).map(|i| record(i, &body)).collect())).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Limit);
}

#[tokio::test]
async fn a_damaged_split_is_set_aside_and_the_rest_serves() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    for time in 0..3 {
        store
            .append(&ctx, batch((0..200).map(|i| record(time * 1000 + i, &format!("r{time} {i}"))).collect()))
            .await
            .unwrap();
        store.flush().await.unwrap();
    }
    store.close().await;
    drop(store);
    let mut splits = folders(&fixture.dir.path().join("splits/default"));
    splits.sort_by_key(|dir| SplitMeta::load(dir).unwrap().min_time_ns);
    // One is too short, which is seen at the start; one has wrong bytes, which is seen when it is read.
    let short = splits[0].join("records.parquet");
    let bytes = std::fs::read(&short).unwrap();
    std::fs::write(&short, &bytes[..bytes.len() / 2]).unwrap();
    let wrong = splits[1].join("records.parquet");
    let mut bytes = std::fs::read(&wrong).unwrap();
    let end = bytes.len() * 9 / 10;
    bytes[4..end].fill(0x5a);
    std::fs::write(&wrong, &bytes).unwrap();
    let store = fixture.open().await;
    assert_eq!(status(&store).damaged.len(), 1, "{:?}", status(&store).damaged);
    assert!(status(&store).damaged[0].contains("records.parquet has"), "{:?}", status(&store).damaged);
    let found = store.search(&ctx, &query(""), Direction::Forward, 1000, None).await.unwrap();
    assert_eq!(found.len(), 200);
    assert!(found[0].record.body.starts_with("r2"));
    assert_eq!((status(&store).damaged.len(), status(&store).splits), (2, 1));
    assert_eq!(folders(&fixture.dir.path().join("damaged")).len(), 2);
    assert!(fixture.telemetry.encode().contains("store_log_splits_damaged_total 2"));
}

#[tokio::test]
async fn merges_keep_every_record_and_leave_few_splits() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    for part in 0..9i64 {
        store
            .append(&ctx, batch((0..20).map(|i| record(i * 9 + part, &format!("n{}", i * 9 + part))).collect()))
            .await
            .unwrap();
        store.flush().await.unwrap();
    }
    let before = store.search(&ctx, &query(""), Direction::Backward, 500, None).await.unwrap();
    store.compact().await.unwrap();
    assert!(status(&store).splits < 4, "{}", status(&store).splits);
    assert_eq!(store.search(&ctx, &query(""), Direction::Backward, 500, None).await.unwrap(), before);
    assert_eq!(folders(&fixture.dir.path().join("splits/default")).len() as u64, status(&store).splits);
    store.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.search(&ctx, &query(""), Direction::Backward, 500, None).await.unwrap(), before);
    store.append(&ctx, batch(vec![record(0, "later")])).await.unwrap();
    let first = store.search(&ctx, &query(""), Direction::Forward, 2, None).await.unwrap();
    assert_eq!(first[1].record.body, "later", "numbers go on where they were");
}

#[tokio::test]
async fn retention_removes_the_oldest() {
    let ctx = Ctx::unlimited();
    let mut fixture = Fixture::new();
    fixture.config = Box::new(|dir| LogStoreConfig {
        retention_age: Some(Duration::from_secs(3600)),
        ..LogStoreConfig::new(dir.to_owned())
    });
    let store = fixture.open().await;
    let now_ns = fixture.clock.now_ms() * 1_000_000;
    for hours in [3, 2, 0] {
        store
            .append(&ctx, batch(vec![record(now_ns - hours * 3_600_000_000_000, &format!("h{hours}"))]))
            .await
            .unwrap();
        store.flush().await.unwrap();
    }
    store.engine.apply_retention().await;
    assert_eq!(bodies(&store, &ctx, "").await, ["h0"]);
    assert_eq!(folders(&fixture.dir.path().join("splits/default")).len(), 1);
    store.close().await;
    drop(store);
    fixture.config = Box::new(|dir| LogStoreConfig { retention_bytes: Some(1), ..LogStoreConfig::new(dir.to_owned()) });
    let store = fixture.open().await;
    store.engine.apply_retention().await;
    assert_eq!(status(&store).splits, 0);
}

#[tokio::test]
async fn the_background_flushes_what_is_old() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    store.append(&ctx, batch(vec![record(1, "a")])).await.unwrap();
    let flushed = async {
        while status(&store).splits == 0 {
            fixture.clock.advance(Duration::from_secs(10));
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), flushed).await.expect("flushed in the background");
    assert_eq!((status(&store).splits, status(&store).head_records), (1, 0));
}

#[tokio::test]
async fn a_tail_gives_what_is_written_from_now_on() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    store.append(&ctx, batch(vec![record(1, "boom before")])).await.unwrap();
    let mut tail = store.tail(&ctx, &query("boom")).await.unwrap();
    let elsewhere = Ctx::new(TenantId::new("elsewhere").unwrap(), vocab::MemoryReservation::unlimited());
    store.append(&elsewhere, batch(vec![record(2, "boom elsewhere")])).await.unwrap();
    store.append(&ctx, batch(vec![record(3, "quiet"), record(4, "boom after")])).await.unwrap();
    assert_eq!(tail.next().await.unwrap().body, "boom after");
    for time in 0..1000 {
        store.append(&ctx, batch(vec![record(time, "boom")])).await.unwrap();
    }
    assert!(tail.next().await.unwrap().time_ns > 0, "a slow reader misses the oldest");
    assert!(store.tail(&ctx, &query("(")).await.is_err());
}

/// Where a stored split of each format version stands.
fn sample(version: u32) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/logs/testdata/split-v{version}"))
}

fn sample_records() -> Vec<LogRecord> {
    let first = LogRecord {
        time_ns: 1_700_000_000_000_000_000,
        service: "web".into(),
        severity: Severity::Error,
        body: "GET /orders 数据库连接超时".into(),
        labels: Labels::from_pairs([("cluster", "east"), ("host", "node-1")]),
        fields: vec![("duration_ms".into(), "120.5".into()), ("status".into(), "500".into())],
        pattern_id: 42,
    };
    vec![first, LogRecord { time_ns: 1_700_000_001_000_000_000, body: "plain".into(), ..LogRecord::default() }]
}

#[tokio::test]
async fn stored_splits_of_every_version_are_read() {
    for version in 1..=split::meta::FORMAT_VERSION {
        let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
        let meta = SplitMeta::load(&sample(version)).unwrap();
        copy_folder(&sample(version), &fixture.dir.path().join("splits/default").join(&meta.id));
        let store = fixture.open().await;
        for text in ["", "-nothing:*"] {
            let found = store.search(&ctx, &query(text), Direction::Forward, 9, None).await.unwrap();
            assert_eq!(found.into_iter().map(|f| f.record).collect::<Vec<_>>(), sample_records(), "version {version}");
        }
        for text in ["连接", "orders", "status>400", "host:node*", "service:web", "severity>=error", "body=~\"超.$\""]
        {
            assert_eq!(bodies(&store, &ctx, text).await.len(), 1, "version {version}: {text}");
        }
    }
}

#[tokio::test]
#[ignore = "writes the stored split of the current version: run it once when the format changes"]
async fn write_the_stored_split() {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let store = fixture.open().await;
    store.append(&ctx, batch(sample_records())).await.unwrap();
    store.flush().await.unwrap();
    let written = folders(&fixture.dir.path().join("splits/default")).pop().unwrap();
    copy_folder(&written, &sample(split::meta::FORMAT_VERSION));
}

fn folders(dir: &Path) -> Vec<std::path::PathBuf> {
    let entries = std::fs::read_dir(dir).unwrap();
    entries.map(|e| e.unwrap().path()).filter(|p| p.is_dir()).collect()
}

fn newest_file(dir: &Path) -> std::path::PathBuf {
    std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).max().unwrap()
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

// Model test: whatever is done in whatever order, every answer is what a scan of all records gives.

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<LogRecord>),
    Flush,
    Compact,
    Restart,
}

fn some_record() -> impl Strategy<Value = LogRecord> {
    let word = prop::sample::select(vec![
        "error",
        "timeout",
        "GET",
        "/api/v1",
        "10.0.0.1",
        "连接",
        "超时",
        "user_id=7",
        "***",
        "Timeout",
        "errors",
    ]);
    let pair =
        (prop::sample::select(vec!["host", "status", "user"]), prop::sample::select(vec!["a", "b", "", "7", "500"]));
    (
        0i64..40,
        prop::sample::select(vec!["web", "api", ""]),
        0usize..10,
        prop::collection::vec(word, 0..5),
        prop::collection::vec(pair.clone(), 0..3),
        prop::collection::vec(pair, 0..3),
        0u64..4,
    )
        .prop_map(|(time_ns, service, severity, words, labels, fields, pattern_id)| {
            let fields: BTreeMap<&str, &str> = fields.into_iter().collect();
            LogRecord {
                time_ns,
                service: service.into(),
                severity: Severity::ALL[severity],
                body: words.join(" "),
                labels: Labels::from_pairs(labels),
                fields: fields.into_iter().map(|(n, v)| (n.into(), v.into())).collect(),
                pattern_id,
            }
        })
}

fn some_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::collection::vec(some_record(), 1..12).prop_map(Step::Append),
        3 => Just(Step::Flush),
        1 => Just(Step::Compact),
        1 => Just(Step::Restart),
    ]
}

fn some_query() -> impl Strategy<Value = LogQuery> {
    let atom = prop::sample::select(vec![
        "error",
        "err*",
        "\"GET /api\"",
        "10.0.0",
        "api/v*",
        "连",
        "接 超",
        "\"连接 超时\"",
        "***",
        "host:a",
        "host:*",
        "host=\"\"",
        "host!=a",
        "status>=7",
        "status=~\"5.*|a\"",
        "status!~\".+\"",
        "user:b*",
        "severity>=warning",
        "severity:info",
        "service:web",
        "service:\"\"",
        "service=~\"a.*\"",
        "pattern_id:2",
        "pattern_id>1",
        "body=~\"time.*\"",
        "body=\"error\"",
        "body:GET",
        "nothing:*",
        "nothing=\"\"",
    ]);
    let text = prop::collection::vec((prop::bool::ANY, atom, prop::sample::select(vec![" ", " OR ", " "])), 0..4)
        .prop_map(|parts| {
            let mut text = String::new();
            for (index, (negated, atom, joint)) in parts.iter().enumerate() {
                if index > 0 {
                    text.push_str(joint);
                }
                text.push_str(&if *negated { format!("-({atom})") } else { (*atom).to_owned() });
            }
            text
        });
    let matcher = prop::sample::select(vec![
        Matcher::equal("host", "a"),
        Matcher::new(MatchOp::NotEqual, "host", "a").unwrap(),
        Matcher::new(MatchOp::Regex, "status", "|b").unwrap(),
        Matcher::new(MatchOp::NotRegex, "service", "w.*").unwrap(),
        Matcher::equal("severity", "error"),
        Matcher::equal("pattern_id", "1"),
    ]);
    let matchers = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(matcher, 1..3)];
    (text, matchers, -2i64..42, -2i64..60).prop_map(|(text, matchers, start_ns, end_ns)| LogQuery {
        text,
        matchers,
        start_ns,
        end_ns,
    })
}

async fn run(steps: Vec<Step>, queries: Vec<LogQuery>) {
    let (fixture, ctx) = (Fixture::new(), Ctx::unlimited());
    let mut store = fixture.open().await;
    let mut model: Vec<LogRecord> = Vec::new();
    for step in steps {
        match step {
            Step::Append(records) => {
                model.extend(records.iter().cloned());
                store.append(&ctx, batch(records)).await.unwrap();
            }
            Step::Flush => store.flush().await.unwrap(),
            Step::Compact => store.compact().await.unwrap(),
            Step::Restart => {
                store.close().await;
                drop(store);
                store = fixture.open().await;
            }
        }
    }
    for query in queries {
        check_against_model(&store, &ctx, &model, &query).await;
    }
}

async fn check_against_model(store: &LogStore, ctx: &Ctx, model: &[LogRecord], query: &LogQuery) {
    let compiled = Query::compile(query).unwrap();
    let mut buffer = TokenBuffer::default();
    let mut expect: Vec<&LogRecord> = model.iter().filter(|r| compiled.matches(r, &mut buffer)).collect();
    expect.sort_by_key(|r| r.time_ns);
    for direction in [Direction::Forward, Direction::Backward] {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = store.search(ctx, query, direction, 3, after.as_deref()).await.unwrap();
            assert!(page.windows(2).all(|w| w[0].cursor < w[1].cursor), "{query:?}");
            after = page.last().map(|f| f.cursor.clone());
            found.extend(page.into_iter().map(|f| f.record));
            if after.is_none() {
                break;
            }
        }
        if direction == Direction::Backward {
            found.reverse();
        }
        assert_eq!(found.iter().collect::<Vec<_>>(), expect, "{direction:?} {query:?}");
    }
    let histogram = store.histogram(ctx, query, 4).await.unwrap();
    let width = ((query.end_ns - query.start_ns) / 4).max(1);
    for (index, bucket) in histogram.iter().enumerate() {
        let from = query.start_ns + index as i64 * width;
        let to = if index == 3 { query.end_ns } else { from + width };
        let mut counts: BTreeMap<Severity, u64> = BTreeMap::new();
        for record in expect.iter().filter(|r| r.time_ns >= from && r.time_ns < to) {
            *counts.entry(record.severity).or_default() += 1;
        }
        assert_eq!(bucket.counts, counts.into_iter().collect::<Vec<_>>(), "{query:?}");
    }
    for name in ["service", "severity", "pattern_id", "host", "status"] {
        let mut counts: BTreeMap<String, u64> = BTreeMap::new();
        for record in &expect {
            let mut values: Vec<String> = match name {
                "service" => vec![record.service.clone()],
                "severity" => vec![record.severity.to_string()],
                "pattern_id" => vec![record.pattern_id.to_string()],
                _ => record.labels.get(name).into_iter().chain(record.field(name)).map(str::to_owned).collect(),
            };
            values.dedup();
            for value in values.into_iter().filter(|v| !v.is_empty()) {
                *counts.entry(value).or_default() += 1;
            }
        }
        assert_eq!(as_map(store.facet(ctx, query, name, 100).await.unwrap()), counts, "{name} {query:?}");
    }
    let mut names: BTreeMap<String, u64> = BTreeMap::new();
    let mut patterns: BTreeMap<u64, u64> = BTreeMap::new();
    for record in &expect {
        let fields = record.fields.iter().map(|f| f.0.as_str());
        let all: std::collections::BTreeSet<&str> = record.labels.iter().map(|l| l.0).chain(fields).collect();
        all.into_iter().for_each(|name| *names.entry(name.to_owned()).or_default() += 1);
        *patterns.entry(record.pattern_id).or_default() += 1;
    }
    assert_eq!(as_map(store.field_names(ctx, query, 100).await.unwrap()), names, "{query:?}");
    let found = store.patterns(ctx, query, 2, 100).await.unwrap();
    for pattern in &found {
        assert_eq!(pattern.buckets.iter().sum::<u64>(), pattern.count);
        let newest = expect.iter().rfind(|r| r.pattern_id == pattern.pattern_id).unwrap();
        assert_eq!(pattern.example, newest.body);
    }
    assert_eq!(found.iter().map(|p| (p.pattern_id, p.count)).collect::<BTreeMap<_, _>>(), patterns, "{query:?}");
}

fn as_map(values: Vec<FacetValue>) -> BTreeMap<String, u64> {
    assert!(values.windows(2).all(|w| w[0].count >= w[1].count));
    values.into_iter().map(|v| (v.value, v.count)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn every_answer_is_what_a_scan_of_all_records_gives(
        steps in prop::collection::vec(some_step(), 1..14),
        queries in prop::collection::vec(some_query(), 12),
    ) {
        tokio::runtime::Runtime::new().unwrap().block_on(run(steps, queries));
    }
}
