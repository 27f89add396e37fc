//! Every query gives the same over downsampled blocks as over samples; those that can use them do.

use std::sync::atomic::Ordering;

use promql::{Engine, EngineOptions, ParseOptions, QueryValue, fragment};
use proptest::prelude::*;
use vocab::STALE_NAN;
use vocab::testing::MemStore;

use super::*;

const MINUTE_MS: i64 = 60_000;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// Midnight before noon of the day.
const MIDNIGHT_MS: i64 = NOON_MS - 12 * HOUR_MS;

/// Queries, and whether those whose windows are whole stretches may use downsampled data.
const QUERIES: [(&str, bool); 22] = [
    ("m", true),
    ("sum by (job) (m)", true),
    ("max(m) - min(m)", true),
    ("timestamp(m)", true),
    ("start_timestamp(m)", true),
    ("m offset 5m", true),
    ("min_over_time(m[1h])", true),
    ("max_over_time(m[10m])", true),
    ("sum_over_time(m[2h])", true),
    ("count_over_time(m[5m])", true),
    ("avg_over_time(m[1h])", true),
    ("sum(avg_over_time(m[1h]))", true),
    ("last_over_time(m[1h])", true),
    ("present_over_time(m[1h])", true),
    ("max_over_time(m[1h] offset -1h)", true),
    ("rate(m[1h])", false),
    ("sum(increase(m[1h]))", false),
    ("quantile_over_time(0.9, m[1h])", false),
    ("max_over_time(m[7m])", false),
    ("sum_over_time(m[1h] offset 7s)", false),
    ("m @ 1767268800", false),
    ("max_over_time(m[1h:1m])", false),
];

/// Shape of the samples of a series.
#[derive(Debug, Clone)]
struct Shape {
    kind: u8,
    step_ms: i64,
    jitter_ms: i64,
    /// Every so many samples a gap or a staleness marker.
    every: i64,
}

fn shape() -> impl Strategy<Value = Shape> {
    (0u8..5, prop::sample::select(vec![5000, 15_000, 30_000, 60_000]), 0i64..1000, 5i64..500)
        .prop_map(|(kind, step_ms, jitter_ms, every)| Shape { kind, step_ms, jitter_ms, every })
}

impl Shape {
    fn value(&self, number: i64) -> f64 {
        let mixed = number.cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let noise = (mixed >> 40).cast_signed() - (1 << 23);
        match self.kind {
            0 => (number % 1000) as f64,
            1 => noise as f64 / 100.0,
            2 if number % 97 == 0 => {
                [f64::NAN, f64::INFINITY, f64::NEG_INFINITY][usize::try_from(noise.rem_euclid(3)).unwrap()]
            }
            2 => 0.1 * noise as f64,
            3 => 1e15 * noise as f64 + 0.3,
            _ => -0.0,
        }
    }

    /// Adds its samples of some hours from a time on.
    fn push(&self, batch: &mut WriteBatch, host: u32, from_ms: i64, hours: i64) {
        let index = batch.push_series(series("m", host), SeriesRef::NONE);
        for number in 0..hours * HOUR_MS / self.step_ms {
            let jitter = if self.jitter_ms > 0 { number * 7919 % self.jitter_ms } else { 0 };
            let timestamp = from_ms + number * self.step_ms + jitter;
            let value = match number % self.every {
                1 => STALE_NAN,
                2..5 => continue,
                _ => self.value(number),
            };
            batch.samples.push(BatchSample { series: index, timestamp, value });
            if host % 2 == 1 {
                batch.start_of_last_sample(from_ms + number / 1000 * 1000 * self.step_ms - 1);
            }
        }
    }
}

/// The answers to all queries at steps of five minutes, an hour, and beside the borders; and whether downsampled data was used.
async fn answers(querier: &dyn Querier) -> Vec<(Vec<SeriesData>, i64)> {
    let engine = Engine::new(EngineOptions::default());
    let end_ms = MIDNIGHT_MS + 26 * HOUR_MS;
    let grids = [(HOUR_MS, 0), (30 * MINUTE_MS, 5 * MINUTE_MS), (HOUR_MS, 1), (7 * MINUTE_MS, 0)];
    let mut all = Vec::new();
    for (step_ms, shift_ms) in grids {
        for (text, _) in QUERIES {
            let parsed = promql::parse(text, &ParseOptions::default()).unwrap();
            let grid = StepGrid { start_ms: MIDNIGHT_MS - 2 * HOUR_MS + shift_ms, end_ms, step_ms };
            let ctx = Ctx::unlimited();
            let output = engine.range(querier, &ctx, &parsed, grid).await.unwrap();
            let QueryValue::Matrix(mut series) = output.value else { panic!("a matrix") };
            series.sort_by(|a, b| a.labels.cmp(&b.labels));
            all.push((series, ctx.downsampled_ms.load(Ordering::Relaxed)));
        }
    }
    all
}

/// Bit for bit, but for sums, whose roundings differ in the last places.
fn assert_same(text: &str, now: &[SeriesData], before: &[SeriesData]) {
    let is_sum = text.contains("sum") || text.contains("avg");
    assert_eq!(now.len(), before.len(), "{text}");
    for (now, before) in now.iter().zip(before) {
        assert_eq!((&now.labels, &now.timestamps), (&before.labels, &before.timestamps), "{text}");
        for (step, (a, b)) in now.values.iter().zip(&before.values).enumerate() {
            let same = a.to_bits() == b.to_bits() || (a.is_nan() && b.is_nan());
            let close = is_sum && (a - b).abs() <= 1e-13 * a.abs().max(b.abs());
            assert!(same || close, "{text}: {a} instead of {b} at step {step} of {}", now.labels);
        }
    }
}

/// The samples of a store in memory, where nothing is downsampled.
async fn reference(store: &MetricStore) -> MemStore {
    let reference = MemStore::with_runner(Arc::new(|_, fragment, series| Ok(fragment::evaluate(fragment, &series))));
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for data in everything(store).await {
        let index = batch.push_series(data.labels, SeriesRef::NONE);
        let starts = data.starts.unwrap_or_default().floats;
        for (number, (timestamp, value)) in data.timestamps.into_iter().zip(data.values).enumerate() {
            batch.samples.push(BatchSample { series: index, timestamp, value });
            batch.start_of_last_sample(starts.get(number).copied().unwrap_or(0));
        }
    }
    reference.append(&Ctx::unlimited(), &batch).await.unwrap();
    reference
}

async fn run(shapes: Vec<Shape>, with_late: bool, with_deletion: bool) {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS + 24 * HOUR_MS);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget(), &clock).await;
    let batch_of = |from_ms: i64, hours: i64| {
        let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
        (0..).zip(&shapes).for_each(|(host, shape)| shape.push(&mut batch, host, from_ms, hours));
        batch
    };
    append(&store, &batch_of(MIDNIGHT_MS, 24)).await;
    store.flush().await.unwrap();
    clock.advance(std::time::Duration::from_secs(48 * 3600));
    store.round().await.unwrap();
    assert!(store.sources.blocks.all().iter().all(|b| b.meta().downsampled));
    // What follows is in the head; the sample at midnight belongs to the last stretch of the day before.
    append(&store, &batch_of(MIDNIGHT_MS + 24 * HOUR_MS, 1)).await;
    if with_late {
        let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
        batch.push(series("m", 0), MIDNIGHT_MS + 23 * HOUR_MS + 30 * MINUTE_MS + 7, 1e6);
        assert_eq!(append(&store, &batch).await.accepted, 1);
    }
    if with_deletion {
        let any_of = vec![vec![Matcher::equal("host", "h1")]];
        let (start_ms, end_ms) = (MIDNIGHT_MS + 5 * HOUR_MS, MIDNIGHT_MS + 6 * HOUR_MS + 1);
        let deletion = vocab::ports::admin::Deletion { any_of, start_ms, end_ms };
        store.delete_series(&Ctx::unlimited(), deletion).await.unwrap();
    }
    let (found, expected) = (answers(&*store).await, answers(&reference(&store).await).await);
    for (number, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let (text, may) = QUERIES[number % QUERIES.len()];
        assert_same(text, &found.0, &expected.0);
        let (grid, was_used) = (number / QUERIES.len(), found.1 > 0);
        let is_dense = |(host, shape): (usize, &Shape)| {
            let is_raw = (with_deletion && host == 1) || (with_late && host == 0);
            (1..=3).contains(&shape.kind) && shape.step_ms <= 15_000 && shape.every >= 20 && !is_raw
        };
        let must = may && grid < 2 && shapes.iter().enumerate().any(is_dense);
        assert!(was_used || !must, "{text}, grid {grid}: samples were read");
        assert!(!was_used || (may && grid < 2), "{text}, grid {grid}: downsampled data was read");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    #[test]
    fn answers_over_downsampled_blocks_are_those_over_samples(
        shapes in prop::collection::vec(shape(), 1..4),
        with_late in prop::bool::weighted(0.2),
        with_deletion in prop::bool::weighted(0.2),
    ) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(shapes, with_late, with_deletion));
    }
}

#[tokio::test]
async fn a_merge_drops_the_columns_and_they_cost_what_the_status_says() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS + 24 * HOUR_MS);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget(), &clock).await;
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    let shape = Shape { kind: 1, step_ms: 15_000, jitter_ms: 0, every: 1000 };
    (0..20).for_each(|host| shape.push(&mut batch, host, MIDNIGHT_MS, 24));
    append(&store, &batch).await;
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    let plain = store.status().blocks_bytes;
    clock.advance(std::time::Duration::from_secs(48 * 3600));
    for _ in 0..4 {
        store.round().await.unwrap();
    }
    let with_columns = store.status().blocks_bytes;
    println!("{plain} bytes without columns, {with_columns} with them");
    assert!(with_columns > plain && with_columns < plain * 3 / 2, "{plain} {with_columns}");
    drop(store);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget(), &clock).await;
    let ctx = Ctx::unlimited();
    let expr = promql::parse("sum(max_over_time(m[1h]))", &ParseOptions::default()).unwrap();
    let grid = StepGrid { start_ms: NOON_MS - 12 * HOUR_MS, end_ms: NOON_MS, step_ms: HOUR_MS };
    Engine::new(EngineOptions::default()).range(&*store, &ctx, &expr, grid).await.unwrap();
    assert_eq!(ctx.downsampled_ms.load(Ordering::Relaxed), HOUR_MS, "also after a restart");
    let mut late = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    late.push(series("m", 99), NOON_MS, 1.0);
    append(&store, &late).await;
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    let blocks = store.sources.blocks.all();
    let merged = blocks.iter().find(|b| b.meta().num_series == 21).expect("one block of the day");
    assert!(!merged.meta().downsampled && blocks.len() == 1, "{}", blocks.len());
}

#[tokio::test]
async fn switched_off_nothing_is_downsampled_and_what_was_is_not_used() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS + 24 * HOUR_MS);
    let config = |downsampling| MetricStoreConfig { downsampling, ..MetricStoreConfig::new(dir.path().to_owned()) };
    let store = open_with(config(false), &budget(), &clock).await;
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    Shape { kind: 1, step_ms: 15_000, jitter_ms: 0, every: 1000 }.push(&mut batch, 0, MIDNIGHT_MS, 24);
    append(&store, &batch).await;
    store.flush().await.unwrap();
    clock.advance(std::time::Duration::from_secs(48 * 3600));
    let used = |found: &[(Vec<SeriesData>, i64)]| found.iter().any(|f| f.1 > 0);
    let has_columns = |store: &MetricStore| store.sources.blocks.all().iter().any(|b| b.meta().downsampled);
    store.round().await.unwrap();
    let raw = answers(&*store).await;
    assert!(!has_columns(&store) && !used(&raw));
    drop(store);
    let store = open_with(config(true), &budget(), &clock).await;
    store.round().await.unwrap();
    assert!(has_columns(&store) && used(&answers(&*store).await));
    drop(store);
    let store = open_with(config(false), &budget(), &clock).await;
    let found = answers(&*store).await;
    assert!(has_columns(&store) && !used(&found));
    for (number, (found, raw)) in found.iter().zip(&raw).enumerate() {
        assert_same(QUERIES[number % QUERIES.len()].0, &found.0, &raw.0);
    }
}
