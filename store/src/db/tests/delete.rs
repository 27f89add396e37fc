//! Deleting, cleaning up, snapshots.

use vocab::ports::admin::Deletion;

use super::*;
use crate::disk::faults::FaultyDisk;

const MINUTE_MS: i64 = 60_000;

fn deletion(any_of: Vec<Vec<Matcher>>, start_ms: i64, end_ms: i64) -> Deletion {
    Deletion { any_of, start_ms, end_ms }
}

async fn delete(store: &MetricStore, matchers: Vec<Matcher>, start_ms: i64, end_ms: i64) {
    store.delete_series(&Ctx::unlimited(), deletion(vec![matchers], start_ms, end_ms)).await.expect("deleted");
}

async fn num_samples(store: &MetricStore) -> usize {
    everything(store).await.iter().map(SeriesData::num_samples).sum()
}

fn tombstone_file(dir: &Path) -> std::path::PathBuf {
    dir.join("metrics/tombstones/default.json")
}

#[tokio::test]
async fn deleted_samples_are_gone_for_every_reader_at_once_and_after_restarts_and_merges() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    append(&store, &counters("a", 3, 100, NOON_MS)).await;
    store.flush().await.unwrap();
    append(&store, &counters("a", 3, 100, NOON_MS + 100 * 15_000)).await;
    append(&store, &counters("b", 2, 100, NOON_MS)).await;
    // Of h1 ten minutes around noon, which lie in a block and in the head; of b everything.
    let (from, to) = (NOON_MS - 5 * MINUTE_MS + 1, NOON_MS + 5 * MINUTE_MS);
    let any_of = vec![vec![Matcher::equal("__name__", "a"), Matcher::equal("host", "h1")]];
    store.delete_series(&Ctx::unlimited(), deletion(any_of, from, to)).await.unwrap();
    delete(&store, named("b"), i64::MIN, i64::MAX).await;
    for round in 0..4 {
        let read = everything(&store).await;
        assert_eq!(read.len(), 3, "round {round}");
        for series in &read {
            let is_h1 = series.labels.get("host") == Some("h1");
            assert_eq!(series.num_samples(), if is_h1 { 160 } else { 200 }, "round {round}");
            assert!(!is_h1 || series.timestamps.iter().all(|t| *t < from || *t > to), "round {round}");
        }
        assert_eq!(store.label_values(&Ctx::unlimited(), "__name__", all_time()).await.unwrap(), ["a"]);
        let found = store.series(&Ctx::unlimited(), SeriesFilter { any_of: vec![named("b")], ..all_time() }).await;
        assert!(found.unwrap().is_empty());
        if round < 3 {
            // Later a chunk reaches across the gap, and series are found by chunk.
            let within = SeriesFilter { any_of: vec![named("a")], start_ms: from + 1, end_ms: to - 1, limit: 0 };
            assert_eq!(store.series(&Ctx::unlimited(), within).await.unwrap(), [series("a", 0), series("a", 2)]);
        }
        let count = Fragment {
            matchers: vec![Matcher::equal("job", "test")],
            grid: StepGrid { start_ms: NOON_MS, end_ms: NOON_MS, step_ms: 1 },
            offset_ms: 0,
            at_ms: None,
            range_ms: None,
            lookback_ms: MINUTE_MS,
            function: String::new(),
            args: Vec::new(),
            aggregation: None,
        };
        assert_eq!(store.execute(&Ctx::unlimited(), count).await.unwrap().num_series, 2, "round {round}");
        match round {
            0 => {
                drop(store);
                store = open(dir.path()).await;
            }
            1 => store.clean_tombstones(&TenantId::default()).await.unwrap(),
            2 => store.compact().await.unwrap(),
            _ => {}
        }
        assert_eq!(tombstone_file(dir.path()).exists(), round == 0, "round {round}");
    }
}

#[tokio::test]
async fn what_is_written_after_a_deletion_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("a", 1, 10, NOON_MS)).await;
    delete(&store, named("a"), i64::MIN, i64::MAX).await;
    assert_eq!(num_samples(&store).await, 0);
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    batch.push(series("a", 0), NOON_MS, 7.0);
    batch.push(series("a", 0), NOON_MS - 15_000, 6.0);
    let outcome = append(&store, &batch).await;
    assert_eq!((outcome.accepted, outcome.rejected), (2, 0), "{:?}", outcome.rejections);
    for _ in 0..2 {
        assert_eq!(everything(&store).await[0].values, [6.0, 7.0]);
        store.compact().await.unwrap();
        store.flush().await.unwrap();
    }
    delete(&store, named("no such metric"), i64::MIN, i64::MAX).await;
    assert!(!tombstone_file(dir.path()).exists(), "what hides nothing is not kept");
}

#[tokio::test]
async fn a_deletion_is_of_one_tenant_and_is_cleaned_up_in_the_background() {
    let dir = tempfile::tempdir().unwrap();
    let clock = SimClock::at(NOON_MS);
    let store = open_with(MetricStoreConfig::new(dir.path().to_owned()), &budget(), &clock).await;
    let other = Ctx::new(TenantId::new("other").unwrap(), vocab::MemoryReservation::unlimited());
    append(&store, &counters("a", 2, 10, NOON_MS)).await;
    store.append(&other, &counters("a", 2, 10, NOON_MS)).await.unwrap();
    delete(&store, named("a"), i64::MIN, NOON_MS - 1).await;
    assert_eq!(num_samples(&store).await, 2);
    assert_eq!(store.series(&other, all_time()).await.unwrap().len(), 2);
    let before = store.status().blocks_bytes;
    store.round().await.unwrap();
    assert!(tombstone_file(dir.path()).exists(), "it may still be done by a merge");
    clock.advance(std::time::Duration::from_secs(3601));
    store.round().await.unwrap();
    assert!(!tombstone_file(dir.path()).exists());
    assert!(store.status().blocks_bytes < before);
    assert_eq!(num_samples(&store).await, 2);
}

#[tokio::test]
async fn a_deletion_that_cannot_be_written_deletes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let clock: Arc<dyn Clock> = Arc::new(SimClock::at(NOON_MS));
    let config = MetricStoreConfig::new(dir.path().to_owned());
    let metrics = Arc::new(Metrics::new(&Telemetry::new()));
    let store = MetricStore::open_on(config, &budget(), metrics, clock, Arc::new(disk.clone())).await.expect("opens");
    append(&store, &counters("a", 2, 10, NOON_MS)).await;
    let all = || deletion(vec![named("a")], i64::MIN, i64::MAX);
    for flushed in [false, true] {
        disk.0.lock().free_bytes = Some(20);
        let error = store.delete_series(&Ctx::unlimited(), all()).await.expect_err("full");
        assert!(error.is_disk_full(), "{error:?}");
        disk.0.lock().free_bytes = None;
        disk.0.lock().sync_fails = true;
        store.delete_series(&Ctx::unlimited(), all()).await.expect_err("no sync");
        disk.0.lock().sync_fails = false;
        assert_eq!(num_samples(&store).await, 20, "flushed: {flushed}");
        store.flush().await.unwrap();
    }
    store.delete_series(&Ctx::unlimited(), all()).await.unwrap();
    assert_eq!(num_samples(&store).await, 0);
    disk.0.lock().free_bytes = Some(20);
    store.clean_tombstones(&TenantId::default()).await.expect("an empty block needs no space");
    disk.0.lock().free_bytes = None;
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(num_samples(&store).await, 0);
}

#[tokio::test]
async fn a_block_that_a_query_still_reads_does_not_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("a", 1, 10, NOON_MS)).await;
    delete(&store, named("a"), i64::MIN, i64::MAX).await;
    let reading = store.sources.blocks.all();
    store.clean_tombstones(&TenantId::default()).await.unwrap();
    assert_eq!(store.status().blocks, 0);
    assert!(tombstone_file(dir.path()).exists(), "the block's folder is still there");
    let copy = tempfile::tempdir().unwrap();
    // What a crash at this moment would leave.
    for part in ["blocks/default", "tombstones"] {
        std::fs::create_dir_all(copy.path().join("metrics").join(part)).unwrap();
    }
    let folder = reading[0].dir();
    let place = copy.path().join("metrics/blocks/default").join(folder.file_name().unwrap());
    std::fs::create_dir(&place).unwrap();
    for file in std::fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), place.join(file.file_name())).unwrap();
    }
    std::fs::copy(tombstone_file(dir.path()), tombstone_file(copy.path())).unwrap();
    let after = open(copy.path()).await;
    assert_eq!((after.status().blocks, num_samples(&after).await), (1, 0));
    drop(reading);
    store.clean_tombstones(&TenantId::default()).await.unwrap();
    assert!(!tombstone_file(dir.path()).exists());
}

#[tokio::test]
async fn a_snapshot_is_a_data_folder_with_what_was_there() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    let other = Ctx::new(TenantId::new("other").unwrap(), vocab::MemoryReservation::unlimited());
    append(&store, &counters("a", 2, 10, NOON_MS)).await;
    store.append(&other, &counters("secret", 1, 1, NOON_MS)).await.unwrap();
    store.flush().await.unwrap();
    delete(&store, vec![Matcher::equal("host", "h1")], i64::MIN, i64::MAX).await;
    append(&store, &counters("b", 1, 10, NOON_MS)).await;
    let without = store.snapshot(&TenantId::default(), true).await.unwrap();
    let with = store.snapshot(&TenantId::default(), false).await.unwrap();
    assert!(with.starts_with("20260101T120000Z-") && with != without, "{with}");
    store.compact().await.unwrap();
    delete(&store, named("a"), i64::MIN, i64::MAX).await;
    store.clean_tombstones(&TenantId::default()).await.unwrap();
    for (name, series, samples) in [(without, 1, 10), (with, 2, 20)] {
        let copy = open(&dir.path().join("snapshots").join(name)).await;
        let read = everything(&copy).await;
        assert_eq!((read.len(), num_samples(&copy).await), (series, samples));
        assert!(copy.series(&other, all_time()).await.unwrap().is_empty(), "other tenants are not in it");
    }
}
