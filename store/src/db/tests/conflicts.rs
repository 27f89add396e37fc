//! Samples that say something else than a block has at the same time.

use super::*;

const MINUTE_MS: i64 = 60_000;

/// The samples of the one series, as (minutes before noon, value).
async fn read(store: &MetricStore) -> Vec<(i64, f64)> {
    let found = everything(store).await;
    let [series] = &found[..] else { panic!("one series: {found:?}") };
    let times = series.timestamps.iter().map(|t| (NOON_MS - t) / MINUTE_MS);
    times.zip(series.values.iter().copied()).collect()
}

fn batch(samples: &[(i64, f64)]) -> WriteBatch {
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for (minutes, value) in samples {
        batch.push(series("a", 0), NOON_MS - minutes * MINUTE_MS, *value);
    }
    batch
}

#[tokio::test]
async fn what_was_written_first_is_what_every_reader_sees() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    append(&store, &batch(&[(9, 1.0), (5, 1.0), (1, 1.0)])).await;
    let refused = append(&store, &batch(&[(5, 2.0)])).await;
    assert_eq!((refused.rejected, refused.rejections[0].reason), (1, RejectReason::Duplicate), "both are in memory");
    store.flush().await.unwrap();
    let taken = append(&store, &batch(&[(9, 2.0), (7, 2.0), (5, 2.0)])).await;
    assert_eq!((taken.accepted, taken.rejected), (3, 0), "what is in a block is not compared");
    let expect = [(9, 1.0), (7, 2.0), (5, 1.0), (1, 1.0)];
    assert_eq!(read(&store).await, expect, "block and head");
    drop(store);
    store = open(dir.path()).await;
    assert_eq!(read(&store).await, expect, "after a replay");
    store.flush().await.unwrap();
    append(&store, &batch(&[(9, 3.0), (7, 3.0), (3, 3.0)])).await;
    let expect = [(9, 1.0), (7, 2.0), (5, 1.0), (3, 3.0), (1, 1.0)];
    assert_eq!(read(&store).await, expect, "two blocks and the head");
    store.flush().await.unwrap();
    store.compact().await.unwrap();
    assert_eq!(store.status().blocks, 1);
    assert_eq!(read(&store).await, expect, "merged");
}

#[tokio::test]
async fn what_the_head_holds_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    let state = |store: &MetricStore| {
        let status = store.status();
        let ago = |time: Option<i64>| time.map(|t| (NOON_MS - t) / MINUTE_MS);
        (status.head_series, status.head_samples, ago(status.head_min_time_ms), ago(status.head_max_time_ms))
    };
    assert_eq!(state(&store), (0, 0, None, None));
    append(&store, &batch(&[(9, 1.0), (1, 1.0)])).await;
    append(&store, &batch(&[(5, 1.0), (1, 1.0), (1, 2.0)])).await;
    assert_eq!(state(&store), (1, 3, Some(9), Some(1)), "a repetition and a refused sample are none");
    drop(store);
    store = open(dir.path()).await;
    assert_eq!(state(&store), (1, 3, Some(9), Some(1)), "after a replay");
    store.flush().await.unwrap();
    assert_eq!(state(&store), (1, 0, None, None), "in a block");
    append(&store, &batch(&[(0, 1.0)])).await;
    assert_eq!(state(&store), (1, 1, Some(0), Some(0)));
}

#[tokio::test]
async fn no_exemplars_are_logged_where_none_are_kept() {
    for (most, kept) in [(0, 0), (10, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let config = MetricStoreConfig { exemplars_max: most, ..MetricStoreConfig::new(dir.path().to_owned()) };
        let store = open_with(config, &budget(), &SimClock::at(NOON_MS)).await;
        let before = store.status().metrics_wal_bytes;
        append(&store, &batch(&[(1, 1.0)])).await;
        let plain = store.status().metrics_wal_bytes - before;
        let mut with_exemplar = batch(&[(0, 1.0)]);
        let labels = Labels::from_pairs([("trace_id", "x".repeat(1000))]);
        with_exemplar.exemplars.push((0, vocab::sample::Exemplar { labels, value: 1.0, timestamp: NOON_MS }));
        append(&store, &with_exemplar).await;
        let written = store.status().metrics_wal_bytes - before - plain;
        assert_eq!(written > plain + 500, kept > 0, "{most}: {written} after {plain}");
        assert_eq!(store.exemplars(&Ctx::unlimited(), all_time()).await.unwrap().len(), kept, "{most}");
    }
}
