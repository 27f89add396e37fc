//! Since when samples count: kept by log, head, blocks and merges, also when the process is killed.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use promql::fragment;
use vocab::NativeHistogram;

use super::*;

/// Names the folder of the process that is killed.
const KILLED_DIR: &str = "TIDEWATCH_TEST_KILLED_DIR";

/// Samples of a counter and of histograms that begin anew after every 50, at 15 s from a number on.
fn counted(host: u32, numbers: std::ops::Range<i64>) -> WriteBatch {
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    let floats = batch.push_series(series("counted_total", host), SeriesRef::NONE);
    let histograms = batch.push_series(series("latency", host), SeriesRef::NONE);
    let plain = batch.push_series(series("plain", host), SeriesRef::NONE);
    for number in numbers {
        let timestamp = NOON_MS + number * 15_000;
        let start = NOON_MS + number.div_euclid(50) * 50 * 15_000 - 7000;
        batch.samples.push(BatchSample { series: plain, timestamp, value: number as f64 });
        batch.samples.push(BatchSample { series: floats, timestamp, value: (number % 50) as f64 });
        batch.start_of_last_sample(start);
        let histogram = NativeHistogram { count: (number % 50) as f64, sum: 1.5, ..NativeHistogram::default() };
        batch.histograms.push((histograms, timestamp, Arc::new(histogram)));
        batch.start_of_last_histogram(if number % 50 < 5 { 0 } else { start + 1 });
    }
    batch
}

/// What is read of all of `numbers`.
async fn check(store: &MetricStore, host: u32, numbers: std::ops::Range<i64>) {
    let host = format!("h{host}");
    let read = select(store, vec![Matcher::equal("host", &host)], i64::MIN, i64::MAX).await;
    let [floats, histograms, plain] = read.as_slice() else { panic!("{} series", read.len()) };
    let times: Vec<i64> = numbers.clone().map(|n| NOON_MS + n * 15_000).collect();
    let starts: Vec<i64> = numbers.clone().map(|n| NOON_MS + n.div_euclid(50) * 50 * 15_000 - 7000).collect();
    assert_eq!((&floats.timestamps, &plain.timestamps, &plain.starts), (&times, &times, &None));
    assert_eq!(floats.starts.as_ref().unwrap().floats, starts);
    assert!(floats.starts.as_ref().unwrap().histograms.is_empty());
    assert_eq!(histograms.histograms.iter().map(|h| h.0).collect::<Vec<_>>(), times);
    let of_histograms: Vec<i64> =
        numbers.zip(&starts).map(|(n, start)| if n % 50 < 5 { 0 } else { start + 1 }).collect();
    assert_eq!(histograms.starts.as_ref().unwrap().histograms, of_histograms);
}

#[tokio::test]
async fn starts_are_the_same_in_log_head_blocks_and_merged_blocks() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counted(0, 0..130)).await;
    check(&store, 0, 0..130).await;
    drop(store);
    let store = open(dir.path()).await;
    check(&store, 0, 0..130).await;
    store.flush().await.unwrap();
    check(&store, 0, 0..130).await;
    append(&store, &counted(0, 130..400)).await;
    check(&store, 0, 0..400).await;
    // The day ends after 2,880 of them; these lie in two blocks.
    append(&store, &counted(0, 400..3000)).await;
    store.flush().await.unwrap();
    check(&store, 0, 0..3000).await;
    append(&store, &counted(0, 3000..3010)).await;
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    check(&store, 0, 0..3010).await;
    // What stood between two flushes is not carried into the next one.
    let mut unknown = WriteBatch::default();
    unknown.push(series("counted_total", 0), NOON_MS + 3010 * 15_000, 10.0);
    append(&store, &unknown).await;
    let last = select(&store, named("counted_total"), NOON_MS + 3010 * 15_000, i64::MAX).await;
    assert_eq!((last[0].values.as_slice(), &last[0].starts), (&[10.0][..], &None));
}

#[tokio::test]
async fn a_deletion_and_a_snapshot_leave_the_starts_of_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counted(0, 0..100)).await;
    let (start_ms, end_ms) = (NOON_MS, NOON_MS + 59 * 15_000);
    let any_of = vec![vec![Matcher::equal("job", "test")]];
    let deletion = vocab::ports::admin::Deletion { any_of, start_ms, end_ms };
    store.delete_series(&Ctx::unlimited(), deletion).await.unwrap();
    check(&store, 0, 60..100).await;
    let name = store.snapshot(&TenantId::default(), false).await.unwrap();
    store.clean_tombstones(&TenantId::default()).await.unwrap();
    check(&store, 0, 60..100).await;
    let copy = open(&dir.path().join("snapshots").join(name)).await;
    check(&copy, 0, 60..100).await;
}

#[tokio::test]
async fn a_rate_knows_since_when_its_counter_counts() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    // A delta for every minute, each since the one before: 60 a minute, though the value never changes.
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for minute in 0..20 {
        batch.push(series("delta_total", 0), NOON_MS + minute * 60_000, 60.0);
        batch.start_of_last_sample(NOON_MS + (minute - 1) * 60_000);
    }
    append(&store, &batch).await;
    let end = NOON_MS + 19 * 60_000;
    let fragment = Fragment {
        matchers: named("delta_total"),
        grid: StepGrid { start_ms: end, end_ms: end, step_ms: 1 },
        offset_ms: 0,
        at_ms: None,
        range_ms: Some(300_000),
        lookback_ms: 300_000,
        function: "increase".to_owned(),
        args: Vec::new(),
        aggregation: None,
    };
    let expected = fragment::evaluate(&fragment, &everything(&store).await);
    assert_eq!(expected.groups[0].columns[0], [300.0]);
    for _ in 0..2 {
        let found = store.execute(&Ctx::unlimited(), fragment.clone()).await.unwrap();
        assert_eq!(found.groups, expected.groups);
        store.flush().await.unwrap();
    }
}

/// Runs in a process of its own, see below.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is run, and killed, by the test that follows"]
async fn writes_until_it_is_killed() {
    let dir = std::env::var_os(KILLED_DIR).expect("the folder is named");
    let store = open(Path::new(&dir)).await;
    for round in 0.. {
        let outcome = append(&store, &counted(0, round * 10..round * 10 + 10)).await;
        assert_eq!(outcome.rejected, 0, "{:?}", outcome.rejections);
        println!("\nwritten {}", (round + 1) * 10);
        std::io::stdout().flush().unwrap();
        if round % 17 == 11 {
            store.flush().await.unwrap();
        }
    }
}

#[tokio::test]
async fn no_start_that_was_acknowledged_is_lost_when_the_process_is_killed() {
    for wanted in [10, 140, 230] {
        let dir = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "db::tests::starts::writes_until_it_is_killed", "--ignored", "--nocapture"])
            .env(KILLED_DIR, dir.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        let written = lines.filter_map(|line| line.strip_prefix("written ")?.parse::<i64>().ok());
        let acknowledged = written.take_while(|n| *n < wanted).last().unwrap_or(0) + 10;
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(acknowledged >= wanted, "it ended by itself after {acknowledged}");
        let store = open(dir.path()).await;
        let found = select(&store, named("plain"), i64::MIN, i64::MAX).await;
        let there = i64::try_from(found[0].num_samples()).unwrap();
        assert!(there >= acknowledged, "{there} of {acknowledged}");
        check(&store, 0, 0..there).await;
    }
}
