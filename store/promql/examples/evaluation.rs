//! How much processor time the evaluation of typical queries takes, over series in memory.
//!
//! `cargo run --release -p promql --example evaluation [filter]` prints a line per query: milliseconds of processor time, the
//! mean of ten runs. Reading and decoding are not part of it, copying what was read is where a query takes samples as they are.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use futures::StreamExt;
use promql::{Engine, EngineOptions, ParseOptions};
use vocab::ports::Querier;
use vocab::ports::query::{
    Fragment, FragmentResult, SelectRequest, SeriesExemplars, SeriesFilter, SeriesStream, StepGrid,
};
use vocab::sample::{MetricMetadata, SeriesData};
use vocab::{Ctx, Labels, Matcher, PortResult};

/// Scrapes are so far apart.
const INTERVAL_MS: i64 = 15_000;
const HOUR_MS: i64 = 3_600_000;
/// Every query is evaluated so often.
const RUNS: u64 = 10;
const END_MS: i64 = 1_767_268_800_000;

/// Series in memory, and which of them some matchers found: finding them again costs nothing.
#[derive(Debug)]
struct Memory {
    series: Vec<SeriesData>,
    found: Mutex<HashMap<String, Arc<Vec<usize>>>>,
}

impl Memory {
    fn new() -> Self {
        let mut series = Vec::new();
        let samples = |count: i64, number: usize, reset: bool| {
            let times: Vec<i64> = (0..count).map(|i| END_MS - (count - 1 - i) * INTERVAL_MS).collect();
            let value = |i: i64| {
                let i = if reset { i % 97 } else { i };
                (i * 7 + i * i % 13) as f64 + number as f64
            };
            let values = (0..count).map(value).collect();
            (times, values)
        };
        for number in 0..28_000 {
            let labels = Labels::from_pairs([
                ("__name__", "requests_total".to_owned()),
                ("host", format!("host-{:03}", number % 200)),
                ("instance", format!("10.0.{}.{}:9100", number % 200, number / 200)),
                ("job", "node".to_owned()),
                ("path", format!("/api/{}", number / 200)),
            ]);
            let (timestamps, values) = samples(21, number, false);
            series.push(SeriesData { labels, timestamps, values, ..SeriesData::default() });
        }
        for number in 0..4_000 {
            let labels = |name: &str| {
                Labels::from_pairs([
                    ("__name__", name.to_owned()),
                    ("host", format!("host-{:03}", number % 200)),
                    ("instance", format!("10.0.{}.{}:9100", number % 200, number / 200)),
                    ("job", "node".to_owned()),
                ])
            };
            for name in ["cpu_seconds_total", "memory_bytes"] {
                let (timestamps, values) = samples(500, number, name.ends_with("total"));
                series.push(SeriesData { labels: labels(name), timestamps, values, ..SeriesData::default() });
            }
            let bounds = ["0.005", "0.01", "0.05", "0.1", "0.5", "1", "5", "10", "30", "+Inf"];
            let bucket = labels("latency_seconds_bucket").with("le", bounds[number / 400]);
            let (timestamps, values) = samples(500, (number / 400) * 100, false);
            let values = values.iter().map(|v: &f64| v * (1 + number / 400) as f64).collect();
            series.push(SeriesData { labels: bucket, timestamps, values, ..SeriesData::default() });
        }
        Self { series, found: Mutex::default() }
    }

    fn matching(&self, matchers: &[Matcher]) -> Arc<Vec<usize>> {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let find = || {
            let all = self.series.iter().enumerate();
            all.filter(|(_, s)| matchers.iter().all(|m| m.matches_labels(&s.labels))).map(|(i, _)| i).collect()
        };
        Arc::clone(found.entry(format!("{matchers:?}")).or_insert_with(|| Arc::new(find())))
    }

    fn between(&self, index: usize, start: i64, end: i64) -> SeriesData {
        let data = &self.series[index];
        let from = data.timestamps.partition_point(|t| *t < start);
        let to = data.timestamps.partition_point(|t| *t <= end);
        SeriesData {
            labels: data.labels.clone(),
            timestamps: data.timestamps[from..to].to_vec(),
            values: data.values[from..to].to_vec(),
            ..SeriesData::default()
        }
    }
}

#[async_trait]
impl Querier for Memory {
    async fn select(&self, _: &Ctx, request: SelectRequest) -> PortResult<SeriesStream> {
        let found = self.matching(&request.matchers);
        let read = |chunk: &[usize]| {
            Ok(chunk.iter().map(|i| self.between(*i, request.start_ms, request.end_ms)).collect::<Vec<_>>())
        };
        let batches: Vec<_> = found.chunks(256).map(read).collect();
        Ok(futures::stream::iter(batches).boxed())
    }

    async fn execute(&self, _: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        let found = self.matching(&fragment.matchers);
        // Two pieces, as a store with two threads has them.
        let pieces = found.chunks(found.len().div_ceil(2).max(1));
        let results = pieces.map(|piece| promql::fragment::evaluate(&fragment, piece.iter().map(|i| &self.series[*i])));
        Ok(promql::fragment::merge(&fragment, results.collect()))
    }

    async fn series(&self, _: &Ctx, _: SeriesFilter) -> PortResult<Vec<Labels>> {
        Ok(Vec::new())
    }

    async fn label_names(&self, _: &Ctx, _: SeriesFilter) -> PortResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn label_values(&self, _: &Ctx, _: &str, _: SeriesFilter) -> PortResult<Vec<String>> {
        Ok(Vec::new())
    }

    async fn metadata(&self, _: &Ctx, _: Option<&str>) -> PortResult<Vec<MetricMetadata>> {
        Ok(Vec::new())
    }

    async fn exemplars(&self, _: &Ctx, _: SeriesFilter) -> PortResult<Vec<SeriesExemplars>> {
        Ok(Vec::new())
    }
}

/// Processor time of this thread in nanoseconds.
fn processor_ns() -> u64 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

#[allow(clippy::print_stdout, reason = "printing is what this program does")]
fn main() {
    let filter = std::env::args().nth(1).unwrap_or_default();
    let memory = Memory::new();
    let engine = Engine::new(EngineOptions::default());
    let instant = StepGrid { start_ms: END_MS, end_ms: END_MS, step_ms: 1 };
    let hour = StepGrid { start_ms: END_MS - HOUR_MS, end_ms: END_MS, step_ms: INTERVAL_MS };
    for (text, grid) in [
        ("sum by (host) (rate(requests_total[5m]))", instant),
        ("rate(requests_total[5m])", instant),
        ("topk(10, requests_total)", instant),
        ("count(requests_total)", instant),
        ("count({__name__=~\".+\"})", instant),
        ("count by (__name__) ({__name__=~\".+\"})", instant),
        ("requests_total{path=~\"/api/1.*\"}", instant),
        ("requests_total", instant),
        ("sort_desc(sum without (instance) (requests_total))", instant),
        ("quantile(0.9, requests_total)", instant),
        ("cpu_seconds_total / on (instance) memory_bytes", instant),
        ("histogram_quantile(0.9, sum by (le, host) (rate(latency_seconds_bucket[5m])))", instant),
        ("histogram_quantile(0.9, rate(latency_seconds_bucket[5m]))", instant),
        ("rate(cpu_seconds_total[5m])", hour),
        ("memory_bytes", hour),
        ("sum by (host) (rate(cpu_seconds_total[5m]))", hour),
        ("histogram_quantile(0.9, sum by (le, host) (rate(latency_seconds_bucket[5m])))", hour),
        ("topk(10, memory_bytes)", hour),
        ("memory_bytes * 2 > 100", hour),
        ("cpu_seconds_total + on (instance) memory_bytes", hour),
        ("quantile_over_time(0.9, memory_bytes{host=~\"host-0[0-4].\"}[1h])", hour),
        ("max_over_time(memory_bytes{host=~\"host-0[0-4].\"}[1h])", hour),
        ("avg_over_time(memory_bytes{host=~\"host-0[0-4].\"}[1h])", hour),
        ("stddev_over_time(memory_bytes{host=~\"host-0[0-4].\"}[1h])", hour),
        ("deriv(memory_bytes{host=~\"host-0[0-4].\"}[1h])", hour),
        ("changes(memory_bytes{host=~\"host-0[0-4].\"}[1h])", hour),
        ("increase(cpu_seconds_total{host=~\"host-0[0-4].\"}[1h])", hour),
        ("irate(cpu_seconds_total[5m])", hour),
        ("max_over_time(rate(cpu_seconds_total{host=~\"host-0[0-4].\"}[5m])[30m:1m])", hour),
    ] {
        if !text.contains(&filter) {
            continue;
        }
        let Ok(expr) = promql::parse(text, &ParseOptions::default()) else { continue };
        let run = || {
            let ctx = Ctx::unlimited();
            let output = if grid.num_steps() == 1 {
                futures::executor::block_on(engine.instant(&memory, &ctx, &expr, grid.start_ms))
            } else {
                futures::executor::block_on(engine.range(&memory, &ctx, &expr, grid))
            };
            output.map(drop)
        };
        // The first run finds the series, which is not to be measured.
        if let Err(error) = run() {
            println!("{text}: {error}");
            continue;
        }
        // Read around all runs: the kernel counts a thread's time by ticks.
        let before = processor_ns();
        let failed = (0..RUNS).filter(|_| run().is_err()).count();
        let mean = (processor_ns() - before) / RUNS;
        if failed > 0 {
            println!("{text}: {failed} runs failed");
        }
        println!("{:10.2} ms  {} steps  {text}", mean as f64 / 1e6, grid.num_steps());
    }
}
