//! Time limits, clients that go away, and live updates.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::http::Method;
use futures::StreamExt;
use parking_lot::Mutex;
use vocab::change_event::{ChangeEvent, ChangeKind};
use vocab::log_record::LogRecord;
use vocab::ports::Querier;
use vocab::ports::catalog::Catalog;
use vocab::ports::logs::{LogAppender, LogBatch};
use vocab::ports::query::{Fragment, FragmentResult, SelectRequest, SeriesExemplars, SeriesFilter, SeriesStream};
use vocab::sample::MetricMetadata;
use vocab::testing::MemStore;
use vocab::{Cancel, Ctx, Labels, PortResult, TenantId};

use super::{Bench, NOW_MS};

/// Far more than any step takes; a test that waits this long has failed.
const DEADLINE: Duration = Duration::from_secs(20);

/// A store whose selects last until somebody raises the flag.
#[derive(Debug, Default)]
struct Endless {
    seen: Mutex<Vec<Cancel>>,
    inner: MemStore,
}

#[async_trait]
impl Querier for Endless {
    async fn select(&self, ctx: &Ctx, _request: SelectRequest) -> PortResult<SeriesStream> {
        ctx.cancel.check_long()?;
        self.seen.lock().push(ctx.cancel.clone());
        loop {
            ctx.cancel.check()?;
            tokio::task::yield_now().await;
        }
    }
    async fn execute(&self, ctx: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        self.inner.execute(ctx, fragment).await
    }
    async fn series(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<Labels>> {
        self.inner.series(ctx, filter).await
    }
    async fn label_names(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<String>> {
        self.inner.label_names(ctx, filter).await
    }
    async fn label_values(&self, ctx: &Ctx, name: &str, filter: SeriesFilter) -> PortResult<Vec<String>> {
        self.inner.label_values(ctx, name, filter).await
    }
    async fn metadata(&self, ctx: &Ctx, metric: Option<&str>) -> PortResult<Vec<MetricMetadata>> {
        self.inner.metadata(ctx, metric).await
    }
    async fn exemplars(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<SeriesExemplars>> {
        self.inner.exemplars(ctx, filter).await
    }
}

async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let wait = async {
        while !holds() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(DEADLINE, wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

fn endless() -> (Bench, Arc<Endless>) {
    let querier = Arc::new(Endless::default());
    let bench = Bench::over(MemStore::new(), querier.clone(), |config| config.query_concurrency = 1);
    (bench, querier)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_over_its_time_is_ended_and_says_so() {
    let (bench, querier) = endless();
    let app = bench.app.clone();
    let clock = bench.clock.clone();
    let asking = tokio::spawn(async move { bench.get("/api/v1/query?query=up&timeout=5").await });
    until("the query runs", || !querier.seen.lock().is_empty()).await;
    clock.advance(Duration::from_secs(4));
    assert!(!asking.is_finished(), "its time is not over");
    clock.advance(Duration::from_secs(2));
    let answer = asking.await.expect("ran").expect(503).json();
    assert_eq!(answer["errorType"], "timeout");
    until("the thread is free again", || {
        app.metrics.queries_running.get() == 0 && app.permits.available_permits() == 1
    })
    .await;
    assert_eq!(app.metrics.queries_timed_out.get(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_away_ends_its_query_and_lets_the_next_one_in() {
    let (bench, querier) = endless();
    let bench = Arc::new(bench);
    let first = tokio::spawn({
        let bench = bench.clone();
        async move { bench.get("/api/v1/query?query=up").await }
    });
    until("the first runs", || querier.seen.lock().len() == 1).await;
    let second = tokio::spawn({
        let bench = bench.clone();
        async move { bench.get("/api/v1/query?query=up").await }
    });
    until("the second waits", || bench.app.metrics.queries_waiting.get() == 1).await;
    first.abort();
    until("the first was told", || querier.seen.lock()[0].is_cancelled()).await;
    until("the second runs", || querier.seen.lock().len() == 2).await;
    second.abort();
    until("nothing runs", || bench.app.metrics.queries_running.get() == 0).await;
    assert_eq!(bench.app.memory.used_bytes(), 0, "their memory came back");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_happens_is_pushed_once() {
    let bench = Bench::new();
    let pusher = tokio::spawn(crate::live::push_forever(bench.app.clone()));
    let response = bench.respond(Method::GET, "/api/v1/events", &[], "").await;
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut body = response.into_body().into_data_stream();
    let tick = async || {
        until("the pusher sleeps", || bench.clock.num_sleepers() > 0).await;
        bench.clock.advance(Duration::from_secs(1));
        until("it sleeps again", || bench.clock.num_sleepers() > 0).await;
    };
    let change = |summary: &str| ChangeEvent {
        time_ms: NOW_MS,
        kind: ChangeKind::Scale,
        cluster: "c".into(),
        service: "web".into(),
        subject: String::new(),
        actor: "autoscaler".into(),
        summary: summary.into(),
        details: Default::default(),
    };
    let tenant = TenantId::default();
    bench.catalog.record_change(&tenant, &change("old")).await.expect("recorded");
    tick().await;
    bench.catalog.record_change(&tenant, &change("3 → 5")).await.expect("recorded");
    tick().await;
    tick().await;
    bench.catalog.record_change(&tenant, &change("5 → 3")).await.expect("recorded");
    tick().await;
    let mut text = String::new();
    let read = async {
        while !text.contains("5 → 3") {
            let chunk = body.next().await.expect("goes on").expect("a chunk");
            text.push_str(std::str::from_utf8(&chunk).expect("text"));
        }
    };
    tokio::time::timeout(DEADLINE, read).await.expect("pushed");
    assert_eq!(text.matches("event: change").count(), 2, "{text}");
    assert!(text.contains("3 → 5") && !text.contains("old"), "{text}");
    assert_eq!(bench.app.metrics.streams.get(), 1);
    bench.app.stop.cancel();
    tokio::time::timeout(DEADLINE, async { while body.next().await.is_some() {} })
        .await
        .expect("streams end at shutdown");
    drop(body);
    until("its place is free", || bench.app.metrics.streams.get() == 0).await;
    pusher.await.expect("ends");
}

#[tokio::test]
async fn records_are_tailed_and_streams_are_bounded() {
    let bench = Bench::new();
    let response = bench.respond(Method::GET, "/api/v1/logs/tail?q=boom", &[], "").await;
    let mut body = response.into_body().into_data_stream();
    let record = |body: &str| LogRecord { body: body.into(), ..LogRecord::default() };
    let batch = LogBatch { records: vec![record("fine"), record("boom")], position: None };
    bench.logs.append(&Ctx::unlimited(), batch).await.expect("taken");
    let chunk = tokio::time::timeout(DEADLINE, body.next()).await.expect("pushed").expect("goes on").expect("a chunk");
    let text = String::from_utf8(chunk.to_vec()).expect("text");
    assert!(text.starts_with("event: record\n") && text.contains("\"body\":\"boom\""), "{text}");
    bench.app.metrics.streams.set(crate::live::STREAMS_MAX);
    bench.get("/api/v1/events").await.expect(503);
    bench.get("/api/v1/logs/tail").await.expect(503);
}
