//! What EXPLAIN says of blocks, row groups, chunks and series that conditions leave out.

use futures::TryStreamExt;
use vocab::ports::sql::{Sql, SqlRequest};

use super::*;
use crate::logs::{LogStore, LogStoreConfig};
use crate::sql::SqlEngine;

const DAY_MS: i64 = 24 * 3_600_000;
const HOSTS: u32 = 300;

/// Three days in a block each: 300 series with values that do not compress, in several row groups, and one more metric.
async fn store(dir: &Path, clock: &SimClock) -> Arc<MetricStore> {
    let store = open_with(MetricStoreConfig::new(dir.to_owned()), &budget(), clock).await;
    let mut noise = 1u64;
    for day in (0..3).rev() {
        let mut batch = counters("b", 10, 50, NOON_MS - day * DAY_MS);
        for sample in &mut batch.samples {
            sample.value += 0.5;
        }
        append(&store, &batch).await;
        let mut batch = counters("a", HOSTS, 200, NOON_MS - day * DAY_MS);
        for sample in &mut batch.samples {
            noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sample.value = f64::from_bits(noise >> 2 | 1 << 61);
        }
        append(&store, &batch).await;
    }
    store.flush().await.unwrap();
    store
}

/// The extents in a plan's text by name.
fn extents(plan: &str) -> Vec<(u64, u64)> {
    let extent = |name: &str| {
        let text = plan.split(&format!(", {name}=")).nth(1).unwrap_or_else(|| panic!("no {name} in {plan}"));
        let digits: String = text.chars().take_while(|c| c.is_ascii_digit() || *c == '/').collect();
        let (read, of) = digits.split_once('/').unwrap();
        (read.parse().unwrap(), of.parse().unwrap())
    };
    ["blocks", "row_groups", "chunks", "series"].map(extent).to_vec()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conditions_leave_out_blocks_row_groups_and_series() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS);
    let store = store(dir.path(), &clock).await;
    let shared: Arc<dyn Clock> = Arc::new(clock);
    let logs_budget = MemoryBudget::new(64 << 20, &[("logs", 1.0)]);
    let config = LogStoreConfig::new(dir.path().join("logs"));
    let logs = LogStore::open(config, &logs_budget, &Telemetry::new(), Arc::clone(&shared)).await.unwrap();
    let sql = SqlEngine::new(Arc::<MetricStore>::clone(&store), logs, shared);
    let explain = async |begin: &str, condition: &str| {
        let query = format!("{begin} SELECT value FROM metrics WHERE {condition}");
        let request = SqlRequest { query, allow_full_scan: true, ..SqlRequest::default() };
        let answer = sql.query(&Ctx::unlimited(), request).await.unwrap();
        let pieces: Vec<bytes::Bytes> = answer.rows.try_collect().await.unwrap();
        extents(std::str::from_utf8(&pieces.concat()).unwrap())
    };
    let blocks = store.sources.blocks.all();
    let groups: Vec<u64> = blocks.iter().map(|b| b.row_groups().unwrap().len() as u64).collect();
    assert!(groups.iter().all(|n| *n >= 4), "{groups:?}");
    let all_groups: u64 = groups.iter().sum();
    let all_series = u64::from(3 * (HOSTS + 10));
    // What is in memory has no samples any more, but its series are known still.
    let in_head = u64::from(HOSTS + 10);
    let all = [(3, 3), (all_groups, all_groups), (all_series, all_series), (all_series, all_series + in_head)];
    assert_eq!(explain("EXPLAIN", "value > 0").await, all, "no condition that can be used");

    let noon = "time >= '2026-01-01T11:00:00Z' AND time <= '2026-01-01T12:00:00Z'";
    let one_day = explain("EXPLAIN", noon).await;
    assert_eq!((one_day[0], one_day[1].1, one_day[3].0), ((1, 3), all_groups, in_head), "time leaves out blocks");
    assert!(groups.contains(&one_day[1].0), "{one_day:?}");

    let one_metric = explain("EXPLAIN", "name = 'b'").await;
    assert_eq!(one_metric, [(3, 3), (3, all_groups), (30, all_series), (30, all_series + in_head)]);

    let narrow = format!("name = 'a' AND labels['host'] IN ('h7', 'h8') AND {noon}");
    let some = explain("EXPLAIN", &narrow).await;
    assert_eq!((some[0], some[2], some[3]), ((1, 3), (2, all_series), (2, all_series + in_head)));
    assert!((1..=2).contains(&some[1].0) && some[1].1 == all_groups, "labels leave out row groups: {some:?}");
    assert_eq!(explain("EXPLAIN ANALYZE", &narrow).await, some);
    assert_eq!(explain("EXPLAIN", "name = 'nothing'").await.iter().map(|e| e.0).sum::<u64>(), 0);
}
