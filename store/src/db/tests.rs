mod conflicts;
mod delete;
mod downsample;
mod explain;
mod faults;
mod killed;
mod model;
mod starts;
mod tenants;

use std::path::Path;
use std::sync::Arc;

use futures::StreamExt;
use vocab::ports::append::{AppendOutcome, Appender, BatchSample, Origin, RejectReason, SeriesRef, WriteBatch};
use vocab::ports::query::{Fragment, FragmentAggregation, Querier, SelectHints, SelectRequest, SeriesFilter, StepGrid};
use vocab::sample::SeriesData;
use vocab::telemetry::Telemetry;
use vocab::testing::{SimClock, conformance};
use vocab::{Clock, Ctx, ErrorKind, Labels, Matcher, MemoryBudget, TenantId};

use super::*;
use crate::head::HeadLimits;

/// Noon of a day in 2026.
const NOON_MS: i64 = 1_767_268_800_000;

fn budget() -> MemoryBudget {
    MemoryBudget::new(256 << 20, &[(HEAD_POOL, 0.5), (CACHE_POOL, 0.1)])
}

async fn open_with(config: MetricStoreConfig, budget: &MemoryBudget, clock: &SimClock) -> Arc<MetricStore> {
    let clock: Arc<dyn Clock> = Arc::new(clock.clone());
    MetricStore::open(config, budget, Arc::new(Metrics::new(&Telemetry::new())), clock).await.expect("opens")
}

async fn open(dir: &Path) -> Arc<MetricStore> {
    open_with(MetricStoreConfig::new(dir.to_owned()), &budget(), &SimClock::at(NOON_MS)).await
}

fn series(name: &str, host: u32) -> Labels {
    Labels::from_pairs([("__name__", name), ("host", &format!("h{host}")), ("job", "test")])
}

/// `num_series` series of one metric with a counter each, `num_samples` at 15 s, ending at `end_ms`.
fn counters(name: &str, num_series: u32, num_samples: i64, end_ms: i64) -> WriteBatch {
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for host in 0..num_series {
        let index = batch.push_series(series(name, host), SeriesRef::NONE);
        for step in 0..num_samples {
            let timestamp = end_ms - (num_samples - 1 - step) * 15_000;
            batch.samples.push(BatchSample { series: index, timestamp, value: (step * i64::from(host + 1)) as f64 });
        }
    }
    batch
}

async fn append(store: &MetricStore, batch: &WriteBatch) -> AppendOutcome {
    store.append(&Ctx::unlimited(), batch).await.expect("taken")
}

async fn select(store: &MetricStore, matchers: Vec<Matcher>, start_ms: i64, end_ms: i64) -> Vec<SeriesData> {
    let request = SelectRequest { matchers, start_ms, end_ms, hints: SelectHints::default() };
    let mut stream = store.select(&Ctx::unlimited(), request).await.expect("selected");
    let mut all = Vec::new();
    while let Some(batch) = stream.next().await {
        all.append(&mut batch.expect("a batch"));
    }
    all.sort_by(|a, b| a.labels.cmp(&b.labels));
    all
}

fn named(name: &str) -> Vec<Matcher> {
    vec![Matcher::equal("__name__", name)]
}

async fn everything(store: &MetricStore) -> Vec<SeriesData> {
    select(store, Vec::new(), i64::MIN, i64::MAX).await
}

fn all_time() -> SeriesFilter {
    SeriesFilter { start_ms: i64::MIN, end_ms: i64::MAX, ..SeriesFilter::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_does_what_every_metric_store_does() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    conformance::metrics(&*store, &*store).await;
    store.close().await;
    let error = store.append(&Ctx::unlimited(), &counters("late", 1, 1, NOON_MS)).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn samples_are_the_same_in_log_head_blocks_and_merged_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("a", 70, 300, NOON_MS)).await;
    append(&store, &counters("b", 3, 10, NOON_MS - 24 * 3_600_000)).await;
    let written = everything(&store).await;
    assert_eq!(written.iter().map(SeriesData::num_samples).sum::<usize>(), 70 * 300 + 30);
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(everything(&store).await, written, "after a replay");
    store.flush().await.unwrap();
    assert_eq!(everything(&store).await, written, "from blocks");
    let status = store.status();
    assert_eq!((status.head_samples, status.metrics_wal_bytes, status.blocks), (0, 0, 2), "{status:?}");
    append(&store, &counters("a", 70, 300, NOON_MS + 300 * 15_000)).await;
    let more = everything(&store).await;
    store.flush().await.unwrap();
    assert_eq!(store.status().blocks, 3);
    store.compact().await.unwrap();
    assert_eq!(store.status().blocks, 2);
    assert_eq!(everything(&store).await, more, "from merged blocks");
    store.close().await;
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(everything(&store).await, more, "after a clean restart");
    let part = select(&store, named("a"), NOON_MS, NOON_MS + 30_000).await;
    assert!(part.len() == 70 && part.iter().all(|s| s.timestamps == [NOON_MS, NOON_MS + 15_000, NOON_MS + 30_000]));
    let names = store.label_values(&Ctx::unlimited(), "__name__", all_time()).await.unwrap();
    assert_eq!(names, ["a", "b"]);
    let of_h1 = SeriesFilter { any_of: vec![vec![Matcher::equal("host", "h1")]], ..all_time() };
    let found = store.series(&Ctx::unlimited(), of_h1.clone()).await.unwrap();
    assert_eq!(found, [series("a", 1), series("b", 1)]);
    assert_eq!(store.label_names(&Ctx::unlimited(), of_h1).await.unwrap(), ["__name__", "host", "job"]);
}

#[tokio::test]
async fn the_suite_holds_for_data_in_blocks_and_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    conformance::metrics(&*store, &*store).await;
    let ctx = Ctx::new(TenantId::new("suite-a").unwrap(), vocab::MemoryReservation::unlimited());
    let request = || SelectRequest { matchers: vec![], start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
    let read = async |store: &MetricStore| {
        let mut all: Vec<_> = store.select(&ctx, request()).await.unwrap().map(|b| b.unwrap()).concat().await;
        all.sort_by(|a, b| a.labels.cmp(&b.labels));
        format!("{all:?}")
    };
    let before = read(&store).await;
    let metadata = store.metadata(&ctx, None).await.unwrap();
    let exemplars = store.exemplars(&ctx, all_time()).await.unwrap();
    assert!(!metadata.is_empty() && !exemplars.is_empty());
    store.flush().await.unwrap();
    store.close().await;
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(read(&store).await, before, "histograms and staleness markers included");
    assert_eq!(store.metadata(&ctx, None).await.unwrap(), metadata);
    assert_eq!(store.exemplars(&ctx, all_time()).await.unwrap(), exemplars);
    let nobody = Ctx::new(TenantId::new("suite-b").unwrap(), vocab::MemoryReservation::unlimited());
    assert!(store.series(&nobody, all_time()).await.unwrap().is_empty());
}

#[tokio::test]
async fn a_fragment_gives_the_same_from_head_and_from_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("c", 200, 40, NOON_MS)).await;
    let fragment = Fragment {
        matchers: named("c"),
        grid: StepGrid { start_ms: NOON_MS - 120_000, end_ms: NOON_MS, step_ms: 60_000 },
        offset_ms: 0,
        at_ms: None,
        range_ms: None,
        lookback_ms: 300_000,
        function: String::new(),
        args: Vec::new(),
        aggregation: Some(FragmentAggregation {
            op: "sum".into(),
            grouping: vec!["job".into()],
            without: false,
            param: 0,
        }),
    };
    let from_head = store.execute(&Ctx::unlimited(), fragment.clone()).await.unwrap();
    assert_eq!((from_head.groups.len(), from_head.num_series), (1, 200));
    // The last sample of series h is 39 * (h + 1).
    let expected: f64 = (0..200).map(|h| 39.0 * f64::from(h + 1)).sum();
    assert_eq!(from_head.groups[0].columns[0][2], expected);
    store.flush().await.unwrap();
    let from_blocks = store.execute(&Ctx::unlimited(), fragment).await.unwrap();
    assert_eq!(from_blocks, from_head);
}

#[tokio::test]
async fn samples_older_than_the_window_of_their_origin_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("w", 1, 1, NOON_MS)).await;
    let minutes = 60_000;
    let check = async |origin, age_ms: i64, expect: Option<RejectReason>| {
        let mut batch = WriteBatch { origin, ..WriteBatch::default() };
        batch.push(series("w", 0), NOON_MS - age_ms, 7.0);
        let outcome = append(&store, &batch).await;
        let reason = outcome.rejections.first().map(|r| r.reason);
        assert_eq!(reason, expect, "{origin:?} {age_ms}: {:?}", outcome.rejections);
    };
    check(Origin::Scrape, 29 * minutes, None).await;
    check(Origin::Scrape, 31 * minutes, Some(RejectReason::TooOld)).await;
    check(Origin::Write, 31 * minutes, None).await;
    check(Origin::Write, 119 * minutes, None).await;
    check(Origin::Internal, 121 * minutes, Some(RejectReason::TooOld)).await;
    let mut old = WriteBatch::default();
    old.push(series("of 1970", 0), 4000, 1.0);
    assert_eq!(append(&store, &old).await.accepted, 1, "a new series may begin at any time");
}

#[tokio::test]
async fn limits_name_themselves_and_known_series_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let limits = HeadLimits {
        labels_per_series_max: 4,
        label_name_bytes_max: 10,
        label_value_bytes_max: 10,
        series_per_tenant_max: 3,
        ..HeadLimits::default()
    };
    let config = MetricStoreConfig { limits, ..MetricStoreConfig::new(dir.path().to_owned()) };
    let store = open_with(config, &budget(), &SimClock::at(NOON_MS)).await;
    let check = async |pairs: &[(&str, &str)], expect: Option<(RejectReason, &str)>| {
        let mut batch = WriteBatch::default();
        batch.push(Labels::from_pairs(pairs.iter().copied()), NOON_MS, 1.0);
        let outcome = append(&store, &batch).await;
        match expect {
            None => assert_eq!((outcome.accepted, outcome.rejected), (1, 0), "{:?}", outcome.rejections),
            Some((reason, words)) => {
                assert_eq!(outcome.rejected, 1);
                let rejection = &outcome.rejections[0];
                assert!(rejection.reason == reason && rejection.message.contains(words), "{rejection:?}");
                assert_eq!(outcome.refs, [SeriesRef::NONE]);
            }
        }
    };
    let invalid = RejectReason::InvalidLabels;
    check(&[("a", "1"), ("b", "1"), ("c", "1"), ("d", "1"), ("e", "1")], Some((invalid, "at most 4"))).await;
    check(&[("name too long", "1")], Some((invalid, "at most 10"))).await;
    check(&[("a", "value too long")], Some((invalid, "label a"))).await;
    for value in ["1", "2", "3"] {
        check(&[("a", value)], None).await;
    }
    check(&[("a", "4")], Some((RejectReason::SeriesLimit, "the 3 that tenant default may have (max_series)"))).await;
    let mut batch = WriteBatch::default();
    batch.push(Labels::from_pairs([("a", "1")]), NOON_MS + 1, 1.0);
    assert_eq!(append(&store, &batch).await.accepted, 1);
}

#[tokio::test]
async fn the_share_of_memory_bounds_new_series_and_is_given_back() {
    let dir = tempfile::tempdir().unwrap();
    let budget = MemoryBudget::new(1 << 20, &[(HEAD_POOL, 1.0), (CACHE_POOL, 0.5)]);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget, &SimClock::at(NOON_MS)).await;
    let outcome = append(&store, &counters("m", 10_000, 1, NOON_MS)).await;
    assert!(outcome.accepted > 500 && outcome.rejected > 1000, "{} taken", outcome.accepted);
    assert_eq!(outcome.rejections[0].reason, RejectReason::SeriesLimit);
    assert!(outcome.rejections[0].message.contains("\"head\""), "{}", outcome.rejections[0].message);
    let used = budget.pool(HEAD_POOL).used_bytes();
    assert!(used > 0 && used <= 1 << 20);
    let mut known = counters("m", 10_000, 1, NOON_MS + 15_000);
    known.samples.retain(|s| outcome.refs[s.series as usize] != SeriesRef::NONE);
    let mut index = 0;
    for sample in &mut known.samples {
        known.series.swap(index, sample.series as usize);
        sample.series = u32::try_from(index).unwrap();
        index += 1;
    }
    known.series.truncate(index);
    let again = append(&store, &known).await;
    assert_eq!(again.rejected, 0, "known series go on: {:?}", again.rejections);
    store.flush().await.unwrap();
    store.flush().await.unwrap();
    assert_eq!(store.status().head_series, 0, "idle series are forgotten after a flush without them");
    assert_eq!(budget.pool(HEAD_POOL).used_bytes(), 0);
    assert_eq!(everything(&store).await.len() as u64, outcome.accepted);
}

#[tokio::test]
async fn a_query_over_its_share_of_memory_fails_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("q", 50, 500, NOON_MS)).await;
    let pool = vocab::MemoryPool::new("queries", 100_000);
    let ctx = Ctx::new(TenantId::default(), pool.reservation("query"));
    let request = SelectRequest { matchers: named("q"), start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
    let error = match store.select(&ctx, request).await {
        Err(error) => Some(error),
        Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
    };
    let error = error.expect("does not fit");
    assert!(error.kind() == ErrorKind::Limit && error.message().contains("\"queries\""), "{error}");
}

#[tokio::test]
async fn retention_by_size_and_by_time_removes_the_oldest_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let day_ms = 24 * 3_600_000;
    let config = MetricStoreConfig {
        retention_time: Some(std::time::Duration::from_secs(3 * 24 * 3600)),
        ..MetricStoreConfig::new(dir.path().to_owned())
    };
    let clock = SimClock::at(NOON_MS);
    let store = open_with(config.clone(), &budget(), &clock).await;
    for age in [2, 1, 0] {
        append(&store, &counters(&format!("day{age}"), 3, 10, NOON_MS - age * day_ms)).await;
        store.flush().await.unwrap();
    }
    let refused = append(&store, &counters("day4", 1, 1, NOON_MS - 4 * day_ms)).await;
    assert_eq!(refused.rejections[0].reason, RejectReason::BeyondRetention);
    assert_eq!(store.status().blocks, 3);
    clock.advance(std::time::Duration::from_secs(2 * 24 * 3600));
    store.compact().await.unwrap();
    assert_eq!(store.label_values(&Ctx::unlimited(), "__name__", all_time()).await.unwrap(), ["day0", "day1"]);
    store.close().await;
    drop(store);
    let config = MetricStoreConfig { retention_time: None, retention_bytes: 1, ..config };
    let store = open_with(config, &budget(), &clock).await;
    store.compact().await.unwrap();
    assert_eq!(store.status().blocks, 0);
    let folder = dir.path().join("metrics/blocks/default");
    assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0, "their files are gone");
}

#[tokio::test]
async fn a_second_process_is_told_who_holds_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    let _store = open(dir.path()).await;
    let clock: Arc<dyn Clock> = Arc::new(SimClock::at(NOON_MS));
    let config = MetricStoreConfig::new(dir.path().to_owned());
    let second = MetricStore::open(config, &budget(), Arc::new(Metrics::new(&Telemetry::new())), clock).await;
    let error = second.expect_err("locked").to_string();
    assert!(error.contains(&format!("process {}", std::process::id())), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn flushes_and_restarts_between_concurrent_writers_lose_nothing() {
    const WRITERS: u32 = 6;
    const BATCHES: i64 = 60;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let store = Arc::clone(&store);
            tokio::spawn(async move {
                let mut refs = [SeriesRef::NONE; 20];
                for step in 0..BATCHES {
                    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
                    for (host, series_ref) in (0u32..).zip(&refs) {
                        let series = batch.push_series(series(&format!("w{writer}"), host), *series_ref);
                        let timestamp = NOON_MS + step * 1000;
                        batch.samples.push(BatchSample { series, timestamp, value: step as f64 });
                    }
                    let outcome = append(&store, &batch).await;
                    assert_eq!((outcome.accepted, outcome.rejected), (20, 0));
                    refs.copy_from_slice(&outcome.refs);
                }
            })
        })
        .collect();
    while !writers.iter().all(|w| w.is_finished()) {
        store.flush().await.unwrap();
        let read = everything(&store).await;
        assert!(read.iter().all(|s| s.timestamps.is_sorted() && s.timestamps.len() <= 60));
    }
    for writer in writers {
        writer.await.unwrap();
    }
    drop(store);
    let store = open(dir.path()).await;
    let read = everything(&store).await;
    assert_eq!(read.len(), 20 * WRITERS as usize);
    let all: Vec<f64> = (0..BATCHES).map(|step| step as f64).collect();
    assert!(read.iter().all(|s| s.values == all));
    store.compact().await.unwrap();
    assert_eq!(everything(&store).await, read);
}

#[tokio::test]
async fn the_background_task_flushes_when_a_stretch_of_time_ends() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS - 60_000);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget(), &clock).await;
    append(&store, &counters("d", 2, 4, NOON_MS - 60_000)).await;
    store.start();
    let step = async |store: &MetricStore, until: &dyn Fn(&MetricStore) -> bool| {
        for _ in 0..2000 {
            if until(store) {
                return true;
            }
            if clock.num_sleepers() > 0 {
                clock.advance(std::time::Duration::from_secs(15));
            }
            tokio::task::yield_now().await;
            tokio::task::spawn_blocking(|| ()).await.unwrap();
        }
        false
    };
    assert!(step(&store, &|s| s.status().blocks == 1).await, "noon is a multiple of two hours");
    assert_eq!(store.status().head_samples, 0);
    store.close().await;
}
