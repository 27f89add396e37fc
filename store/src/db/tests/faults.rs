//! Damage and failing disks: what is good stays readable, what is refused says why.

use super::*;
use crate::disk::faults::FaultyDisk;

async fn open_on(dir: &Path, disk: &FaultyDisk) -> Arc<MetricStore> {
    let config = MetricStoreConfig::new(dir.to_owned());
    let clock: Arc<dyn Clock> = Arc::new(SimClock::at(NOON_MS));
    let metrics = Arc::new(Metrics::new(&Telemetry::new()));
    MetricStore::open_on(config, &budget(), metrics, clock, Arc::new(disk.clone())).await.expect("opens")
}

fn only_block(dir: &Path) -> std::path::PathBuf {
    let folder = dir.join("metrics/blocks/default");
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    assert_eq!(found.len(), 1, "{found:?}");
    found.remove(0)
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 0x40;
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn a_full_disk_refuses_writes_while_reads_go_on_and_ends_by_itself() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = open_on(dir.path(), &disk).await;
    append(&store, &counters("f", 5, 10, NOON_MS)).await;
    let before = everything(&store).await;
    disk.0.lock().free_bytes = Some(100);
    for _ in 0..3 {
        let batch = counters("f", 5, 10, NOON_MS + 150_000);
        let error = store.append(&Ctx::unlimited(), &batch).await.expect_err("full");
        assert!(error.kind() == ErrorKind::Unavailable && error.message().contains("disk is full"), "{error}");
    }
    assert_eq!(everything(&store).await, before, "nothing of a refused batch is seen");
    assert!(!store.status().refusing_writes.is_empty());
    let error = store.flush().await.expect_err("a block does not fit either");
    assert!(error.is_disk_full(), "{error:?}");
    assert_eq!(everything(&store).await, before);
    disk.0.lock().free_bytes = None;
    append(&store, &counters("f", 5, 10, NOON_MS + 150_000)).await;
    assert_eq!(store.status().refusing_writes, "");
    store.flush().await.unwrap();
    let after = everything(&store).await;
    assert!(after.iter().all(|s| s.num_samples() == 20));
    assert_eq!(store.status().metrics_wal_bytes, 0);
    drop(store);
    let store = open(dir.path()).await;
    assert_eq!(everything(&store).await, after);
}

#[tokio::test]
async fn a_torn_record_is_cut_and_the_acknowledged_ones_stay() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("t", 2, 10, NOON_MS)).await;
    let kept = everything(&store).await;
    append(&store, &counters("t", 2, 10, NOON_MS + 150_000)).await;
    drop(store);
    let segment = dir.path().join("metrics/wal/00000001.wal");
    let length = std::fs::metadata(&segment).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&segment).unwrap().set_len(length - 3).unwrap();
    let store = open(dir.path()).await;
    assert_eq!(everything(&store).await, kept);
    assert_eq!(store.replayed().torn.len(), 1);
    append(&store, &counters("t", 2, 10, NOON_MS + 150_000)).await;
    drop(store);
    let store = open(dir.path()).await;
    assert!(store.replayed().torn.is_empty());
    assert!(everything(&store).await.iter().all(|s| s.num_samples() == 20));
}

#[tokio::test]
async fn a_flipped_bit_in_the_log_costs_only_what_follows_it_in_its_segment() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("x", 2, 10, NOON_MS)).await;
    let kept = everything(&store).await;
    append(&store, &counters("x", 2, 10, NOON_MS + 150_000)).await;
    append(&store, &counters("x", 2, 10, NOON_MS + 300_000)).await;
    drop(store);
    let segment = dir.path().join("metrics/wal/00000001.wal");
    let length = usize::try_from(std::fs::metadata(&segment).unwrap().len()).unwrap();
    flip(&segment, length / 2);
    let store = open(dir.path()).await;
    assert_eq!(everything(&store).await, kept);
    let damaged = store.status().damaged;
    assert!(damaged.len() == 1 && damaged[0].contains("00000001.wal"), "{damaged:?}");
}

#[tokio::test]
async fn a_damaged_index_sets_its_block_aside_at_the_start_and_the_rest_serves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("i", 3, 10, NOON_MS)).await;
    store.flush().await.unwrap();
    let damaged = only_block(dir.path());
    append(&store, &counters("j", 3, 10, NOON_MS)).await;
    store.flush().await.unwrap();
    drop(store);
    flip(&damaged.join("index"), 20);
    let store = open(dir.path()).await;
    let rest = everything(&store).await;
    assert!(rest.len() == 3 && rest.iter().all(|s| s.labels.metric_name() == "j"));
    let said = store.status().damaged;
    assert!(said.len() == 1 && said[0].contains("checksum") && said[0].contains("index"), "{said:?}");
    drop(store);
    assert_eq!(open(dir.path()).await.status().damaged.len(), 1, "it is named at every start");
}

#[tokio::test]
async fn a_damaged_chunk_fails_one_query_with_its_name_and_then_the_rest_serves() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    append(&store, &counters("k", 3, 100, NOON_MS)).await;
    store.flush().await.unwrap();
    flip(&only_block(dir.path()).join("samples.parquet"), 700);
    append(&store, &counters("l", 3, 10, NOON_MS)).await;
    let mut failures = Vec::new();
    for _ in 0..2 {
        let request =
            SelectRequest { matchers: Vec::new(), start_ms: 0, end_ms: i64::MAX, hints: SelectHints::default() };
        // A few series are decoded before the stream begins, more of them while it is read.
        failures.push(match store.select(&Ctx::unlimited(), request).await {
            Ok(stream) => stream.collect::<Vec<_>>().await.into_iter().find_map(Result::err),
            Err(error) => Some(error),
        });
    }
    let first = failures[0].as_ref().expect("the damage is noticed");
    assert!(first.kind() == ErrorKind::Internal && first.message().contains("samples.parquet"), "{first}");
    assert!(failures[1].is_none());
    assert_eq!(everything(&store).await.len(), 3);
    assert_eq!(store.status().damaged.len(), 1);
}

#[tokio::test]
async fn a_folder_that_cannot_be_made_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "in the way").unwrap();
    let clock: Arc<dyn Clock> = Arc::new(SimClock::at(NOON_MS));
    let config = MetricStoreConfig::new(file.clone());
    let opened = MetricStore::open(config, &budget(), Arc::new(Metrics::new(&Telemetry::new())), clock).await;
    let error = opened.expect_err("no folder");
    assert!(error.to_string().contains("cannot create the folder"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

fn block_folders(dir: &Path) -> Vec<std::path::PathBuf> {
    let folder = dir.join("metrics/blocks/default");
    let mut found: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    found.sort();
    found
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap();
        std::fs::copy(file.path(), to.join(file.file_name())).unwrap();
    }
}

/// A store with blocks that overlap: late samples in the second one.
async fn with_overlapping_blocks(dir: &Path, disk: &FaultyDisk) -> Arc<MetricStore> {
    let store = open_on(dir, disk).await;
    append(&store, &counters("o", 20, 100, NOON_MS)).await;
    store.flush().await.unwrap();
    append(&store, &counters("o", 20, 100, NOON_MS - 7_000)).await;
    store.flush().await.unwrap();
    store
}

#[tokio::test]
async fn a_merge_that_fails_leaves_everything_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let disk = FaultyDisk::default();
    let store = with_overlapping_blocks(dir.path(), &disk).await;
    let (before, folders) = (everything(&store).await, block_folders(dir.path()));
    assert!(before.len() == 20 && before.iter().all(|s| s.num_samples() == 200 && s.timestamps.is_sorted()));
    for free_bytes in [0, 10, 1000, 5000] {
        disk.0.lock().free_bytes = Some(free_bytes);
        let error = store.compact().await.expect_err("full");
        assert!(error.is_disk_full(), "{free_bytes}: {error:?}");
        assert_eq!(block_folders(dir.path()), folders, "nothing is left behind");
        assert_eq!(everything(&store).await, before);
    }
    disk.0.lock().free_bytes = None;
    disk.0.lock().sync_fails = true;
    store.compact().await.expect_err("no sync");
    disk.0.lock().sync_fails = false;
    assert_eq!(block_folders(dir.path()), folders);
    store.compact().await.unwrap();
    assert_eq!((everything(&store).await, store.status().blocks), (before, 1));
}

#[tokio::test]
async fn a_crash_between_a_merge_and_the_removal_of_its_sources_shows_each_sample_once() {
    let dir = tempfile::tempdir().unwrap();
    let store = with_overlapping_blocks(dir.path(), &FaultyDisk::default()).await;
    let before = everything(&store).await;
    let aside = tempfile::tempdir().unwrap();
    let sources = block_folders(dir.path());
    sources.iter().for_each(|s| copy(s, &aside.path().join(s.file_name().unwrap())));
    store.compact().await.unwrap();
    drop(store);
    let merged = block_folders(dir.path());
    assert_eq!(merged.len(), 1);
    // One source is still whole, of the other the removal had begun, and a further merge had begun to write.
    copy(&aside.path().join(sources[0].file_name().unwrap()), &sources[0]);
    copy(&aside.path().join(sources[1].file_name().unwrap()), &sources[1].with_extension("tmp"));
    std::fs::create_dir(dir.path().join("metrics/blocks/default/01KDWPVNG0BCXCM1GHXV4S10F9.tmp")).unwrap();
    let store = open(dir.path()).await;
    assert_eq!(everything(&store).await, before);
    assert_eq!((block_folders(dir.path()), store.status().damaged.len()), (merged, 0));
}

#[tokio::test]
async fn a_damaged_source_ends_its_merge_and_the_rest_is_merged() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path()).await;
    for (number, name) in ["a", "b", "c"].into_iter().enumerate() {
        append(&store, &counters(name, 3, 100, NOON_MS)).await;
        store.flush().await.unwrap();
        if number == 1 {
            let folders = block_folders(dir.path());
            flip(&folders[1].join("samples.parquet"), 700);
        }
    }
    let error = store.compact().await.expect_err("the damage is noticed");
    assert!(error.to_string().contains("samples.parquet"), "{error}");
    store.compact().await.unwrap();
    let read = everything(&store).await;
    let names: std::collections::BTreeSet<_> = read.iter().map(|s| s.labels.metric_name().to_owned()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["a", "c"]);
    assert_eq!((store.status().blocks, store.status().damaged.len()), (1, 1));
}
