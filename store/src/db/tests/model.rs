//! The store against a map in memory: random batches, flushes, merges, clean and sudden restarts.

use std::collections::BTreeMap;

use proptest::prelude::*;
use vocab::STALE_NAN;

use super::*;

/// Times lie in so many slots of a second, so that repetitions and late samples are common and none is too old.
const SLOTS: i64 = 5000;

#[derive(Debug, Clone)]
enum Step {
    /// Samples: series, slot of time, and whether the value differs from the usual one of this time.
    Append(Vec<(u32, i64, bool)>),
    Flush,
    Compact,
    /// A series and the slots in which it is deleted.
    Delete(u32, i64, i64),
    Clean,
    /// Whether the store is closed before it is opened again.
    Restart(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let run = (0u32..6, 0..SLOTS, 1i64..200, 1i64..20).prop_map(|(series, start, length, distance)| {
        (0..length).map(|i| (series, (start + i * distance) % SLOTS, false)).collect::<Vec<_>>()
    });
    let scattered = prop::collection::vec((0u32..6, 0..SLOTS, prop::bool::weighted(0.2)), 1..40);
    prop_oneof![
        4 => run.prop_map(Step::Append),
        4 => scattered.prop_map(Step::Append),
        1 => Just(Step::Flush),
        1 => (0u32..6, 0..SLOTS, 0..SLOTS / 4).prop_map(|(s, from, length)| Step::Delete(s, from, from + length)),
        1 => Just(Step::Clean),
        1 => Just(Step::Compact),
        1 => any::<bool>().prop_map(Step::Restart),
    ]
}

fn value(series: u32, slot: i64, other: bool) -> f64 {
    match (slot + i64::from(series)) % 11 {
        0 => STALE_NAN,
        1 => 0.1 + slot as f64 / 3.0,
        _ => (slot * i64::from(series + 1)) as f64 + if other { 0.5 } else { 0.0 },
    }
}

/// Since when a sample counts: never said, since resets, as deltas, or without any order. A repetition says something else.
fn start(series: u32, slot: i64, other: bool) -> i64 {
    let time = NOON_MS + slot * 1000;
    let start = match series % 6 {
        0 => return 0,
        1 => NOON_MS - 500 + slot / 700 * 700_000,
        2 => time - 1000,
        3 if slot < SLOTS / 2 => 0,
        3 => 1,
        4 => [0, 1, -1, time, time + 1, i64::MIN, i64::MAX][usize::try_from(slot % 7).unwrap()],
        _ => return if slot % 97 == 0 { time - 1 } else { 0 },
    };
    if other { start ^ 1 } else { start }
}

/// Bits of the value and start of each sample.
type Model = BTreeMap<Labels, BTreeMap<i64, (u64, i64)>>;

fn starts_of(starts: &[i64], number: usize) -> impl Iterator<Item = i64> + '_ {
    assert!(starts.is_empty() || starts.len() == number, "one for each or none at all");
    starts.iter().copied().chain(std::iter::repeat(0)).take(number)
}

async fn check(store: &MetricStore, model: &Model) {
    let read: Model = everything(store)
        .await
        .into_iter()
        .map(|s| {
            let starts = s.starts.unwrap_or_default();
            let values = s.values.iter().map(|v| v.to_bits()).zip(starts_of(&starts.floats, s.values.len()));
            (s.labels, s.timestamps.into_iter().zip(values).collect())
        })
        .collect();
    assert_eq!(&read, model);
}

async fn run(steps: Vec<Step>) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = open(dir.path()).await;
    let mut model = Model::new();
    for step in steps {
        match step {
            Step::Append(samples) => {
                let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
                for &(number, slot, other) in &samples {
                    let (labels, time) = (series("m", number), NOON_MS + slot * 1000);
                    let value = value(number, slot, other);
                    let start = start(number, slot, other);
                    batch.push(labels.clone(), time, value);
                    batch.start_of_last_sample(start);
                    model.entry(labels).or_default().entry(time).or_insert((value.to_bits(), start));
                }
                let outcome = append(&store, &batch).await;
                assert_eq!(outcome.accepted + outcome.rejected, samples.len() as u64);
                assert!(outcome.rejections.iter().all(|r| r.reason == RejectReason::Duplicate), "{outcome:?}");
            }
            Step::Flush => store.flush().await.unwrap(),
            Step::Delete(number, from, to) => {
                let labels = series("m", number);
                let any_of = vec![labels.iter().map(|(name, value)| Matcher::equal(name, value)).collect()];
                let (start_ms, end_ms) = (NOON_MS + from * 1000, NOON_MS + to * 1000);
                let deletion = vocab::ports::admin::Deletion { any_of, start_ms, end_ms };
                store.delete_series(&Ctx::unlimited(), deletion).await.unwrap();
                if let Some(samples) = model.get_mut(&labels) {
                    samples.retain(|time, _| *time < start_ms || *time > end_ms);
                    if samples.is_empty() {
                        model.remove(&labels);
                    }
                }
                check(&store, &model).await;
            }
            Step::Clean => store.clean_tombstones(&TenantId::default()).await.unwrap(),
            Step::Compact => store.compact().await.unwrap(),
            Step::Restart(clean) => {
                if clean {
                    store.close().await;
                }
                drop(store);
                store = open(dir.path()).await;
                check(&store, &model).await;
            }
        }
    }
    check(&store, &model).await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn the_first_value_of_every_time_is_read_back_with_its_start(steps in prop::collection::vec(step(), 1..25)) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(run(steps));
    }
}
