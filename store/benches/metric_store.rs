//! How fast does the metric store take samples, give them back, and move them into blocks?

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use futures::StreamExt;
use store::metrics::Metrics;
use store::{MetricStore, MetricStoreConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use vocab::ports::append::{Appender, BatchSample, Origin, SeriesRef, WriteBatch};
use vocab::ports::query::{Fragment, FragmentAggregation, Querier, SelectHints, SelectRequest, StepGrid};
use vocab::telemetry::Telemetry;
use vocab::testing::SimClock;
use vocab::{Clock, Ctx, Labels, Matcher, MemoryBudget};

const NUM_SERIES: u32 = 2000;
const NUM_STEPS: i64 = 240;
const STEP_MS: i64 = 15_000;
const START_MS: i64 = 1_767_225_600_000;

struct Bench {
    runtime: Runtime,
    store: Arc<MetricStore>,
    _dir: TempDir,
}

impl Bench {
    fn new() -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let dir = tempfile::tempdir().expect("a folder");
        let clock: Arc<dyn Clock> = Arc::new(SimClock::at(START_MS));
        let budget = MemoryBudget::new(4 << 30, &[("head", 0.5), ("caches", 0.1)]);
        let metrics = Arc::new(Metrics::new(&Telemetry::new()));
        let config = MetricStoreConfig::new(dir.path().to_owned());
        let store = runtime.block_on(MetricStore::open(config, &budget, metrics, clock)).expect("opens");
        Self { runtime, store, _dir: dir }
    }

    fn append(&self, batch: &WriteBatch) -> Vec<SeriesRef> {
        let outcome = self.runtime.block_on(self.store.append(&Ctx::unlimited(), batch)).expect("taken");
        assert_eq!(outcome.rejected, 0);
        outcome.refs
    }

    /// Writes all series for all steps.
    fn fill(&self) {
        let mut refs = vec![SeriesRef::NONE; NUM_SERIES as usize];
        for step in 0..NUM_STEPS {
            refs = self.append(&step_batch(step, &refs));
        }
    }
}

/// One sample of every series.
fn step_batch(step: i64, refs: &[SeriesRef]) -> WriteBatch {
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for (number, series_ref) in (0..NUM_SERIES).zip(refs) {
        let labels = Labels::from_pairs([
            ("__name__", "requests_total"),
            ("host", &format!("host-{:04}", number / 20)),
            ("code", &format!("{}", 200 + number % 20)),
            ("job", "bench"),
        ]);
        let series = batch.push_series(labels, *series_ref);
        let value = (step * i64::from(number % 7 + 1)) as f64;
        batch.samples.push(BatchSample { series, timestamp: START_MS + step * STEP_MS, value });
    }
    batch
}

fn appending(c: &mut Criterion) {
    let bench = Bench::new();
    let refs = bench.append(&step_batch(0, &vec![SeriesRef::NONE; NUM_SERIES as usize]));
    let mut step = 0;
    let mut group = c.benchmark_group("append");
    group.throughput(Throughput::Elements(u64::from(NUM_SERIES)));
    group.bench_function("known series", |b| {
        b.iter_batched(
            || {
                step += 1;
                step_batch(step, &refs)
            },
            |batch| bench.append(&batch),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn reading(c: &mut Criterion) {
    let bench = Bench::new();
    bench.fill();
    let fragment = Fragment {
        matchers: vec![Matcher::equal("__name__", "requests_total")],
        grid: StepGrid { start_ms: START_MS, end_ms: START_MS + NUM_STEPS * STEP_MS, step_ms: 60_000 },
        offset_ms: 0,
        at_ms: None,
        range_ms: Some(300_000),
        lookback_ms: 300_000,
        function: "rate".to_owned(),
        args: Vec::new(),
        aggregation: Some(FragmentAggregation {
            op: "sum".to_owned(),
            grouping: vec!["host".to_owned()],
            without: false,
            param: 0,
        }),
    };
    let read = |b: &mut criterion::Bencher<'_>, matchers: &[Matcher]| {
        b.iter(|| {
            let request = SelectRequest {
                matchers: matchers.to_vec(),
                start_ms: START_MS,
                end_ms: i64::MAX,
                hints: SelectHints::default(),
            };
            bench.runtime.block_on(async {
                let mut stream = bench.store.select(&Ctx::unlimited(), request).await.expect("selected");
                let mut num_samples = 0;
                while let Some(batch) = stream.next().await {
                    num_samples += batch.expect("a batch").iter().map(|s| s.num_samples()).sum::<usize>();
                }
                black_box(num_samples)
            })
        });
    };
    for place in ["head", "block"] {
        let mut group = c.benchmark_group(format!("read from {place}"));
        group.bench_function("all samples", |b| read(b, &[Matcher::equal("__name__", "requests_total")]));
        group.bench_function("one series", |b| {
            read(b, &[Matcher::equal("host", "host-0042"), Matcher::equal("code", "207")]);
        });
        group.bench_function("sum by (host) (rate)", |b| {
            b.iter(|| {
                let ctx = Ctx::unlimited();
                let run = bench.store.execute(&ctx, fragment.clone());
                black_box(bench.runtime.block_on(run).expect("runs").num_samples)
            });
        });
        group.finish();
        bench.runtime.block_on(bench.store.flush()).expect("flushed");
    }
    let status = bench.store.status();
    let bytes_per_sample = status.blocks_bytes as f64 / (f64::from(NUM_SERIES) * NUM_STEPS as f64);
    assert!(bytes_per_sample < 1.4, "{bytes_per_sample} bytes per sample");
}

fn flushing(c: &mut Criterion) {
    let mut group = c.benchmark_group("flush");
    group.sample_size(10).throughput(Throughput::Elements(u64::from(NUM_SERIES) * NUM_STEPS.unsigned_abs()));
    group.bench_function("head into a block", |b| {
        b.iter_batched(
            || {
                let bench = Bench::new();
                bench.fill();
                bench
            },
            |bench| {
                bench.runtime.block_on(bench.store.flush()).expect("flushed");
                bench
            },
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1)).sample_size(20);
    targets = appending, reading, flushing
}
criterion_main!(benches);
