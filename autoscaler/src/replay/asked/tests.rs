//! Replays of what a store in memory has.

use vocab::replay::ReplayedBy;
use vocab::testing::{MemCatalog, MemStore, SimClock};

use super::*;
use crate::replay::tests::by_minute;
use crate::tests::{policy, shared};

const START_MS: i64 = 1_700_000_000_000;
const HOUR_MS: i64 = 3_600_000;

/// Three hours of a load between 150 and 650 RPS, without the half hour after the first one, and four replicas.
fn recorded(store: &MemStore) {
    let requests = [("__name__", "haproxy_backend_http_requests_total"), ("service", "web")];
    let wanted = [("__name__", "tidewatch_scaling_wanted_replicas"), ("cluster", "local"), ("service", "web")];
    let ready = [("__name__", "tidewatch_scaling_ready_replicas"), ("cluster", "local"), ("service", "web")];
    let mut sum = 0.0;
    for step in 0..=2160 {
        let at_ms = START_MS + step * 5_000;
        sum += 5.0 * (400.0 + 250.0 * (step as f64 / 200.0).sin());
        if !(720..1080).contains(&step) {
            store.put(&requests, at_ms, sum);
        }
        store.put(&wanted, at_ms, 4.0);
        store.put(&ready, at_ms, 4.0);
    }
}

async fn run(replays: &Replays, store: &MemStore, from_ms: i64, to_ms: i64) -> PortResult<Replay> {
    let clock = SimClock::at(to_ms);
    let catalog = Arc::new(MemCatalog::new(Arc::new(clock.clone())));
    let shared = shared(&clock, store, &catalog, "first");
    replays.run(&shared.observer, policy(), (from_ms, to_ms), Some(45_000), &shared.clock).await
}

#[tokio::test]
async fn a_policy_is_replayed_on_what_was_recorded_beside_what_ran() {
    let (store, replays) = (MemStore::new(), Replays::default());
    recorded(&store);
    let replay = run(&replays, &store, START_MS, START_MS + 3 * HOUR_MS).await.expect("replayed");
    assert_eq!((replay.policy.as_str(), replay.unit.as_str(), replay.per_replica), ("web", "RPS", 100.0));
    assert_eq!((replay.startup_seconds, replay.startup_measured, replay.step_ms), (45.0, true, 15_000));
    assert!(replay.start_ms >= START_MS && replay.start_ms < START_MS + 60_000, "{}", replay.start_ms);
    assert_eq!(replay.notes.len(), 1, "{:?}", replay.notes);
    assert!(replay.notes[0].starts_with("1 gap in the recorded load, the longest 30m"), "{:?}", replay.notes);
    let by: Vec<_> = replay.outcomes.iter().map(|o| o.by).collect();
    assert_eq!(by, [ReplayedBy::Policy, ReplayedBy::Hpa, ReplayedBy::Fixed, ReplayedBy::Actual]);
    for outcome in &replay.outcomes {
        assert_eq!((outcome.wanted.len(), outcome.ready.len()), (replay.load.len(), replay.load.len()));
    }
    assert!((710..=720).contains(&replay.load.len()), "{}", replay.load.len());
    let [ours, _, fixed, actual] = replay.outcomes.as_slice() else { panic!("four") };
    assert!(ours.actions > 3 && ours.replica_hours < fixed.replica_hours, "{ours:?}");
    assert_eq!((actual.actions, actual.wanted[100], fixed.wanted[0]), (0, 4, 7));
    assert!((actual.replica_hours - 12.0).abs() < 0.2 && actual.bad_minutes > 30, "{}", actual.replica_hours);
}

#[tokio::test]
async fn what_cannot_be_replayed_is_said() {
    let (store, replays) = (MemStore::new(), Replays::default());
    recorded(&store);
    let fails = async |from_ms: i64, to_ms: i64, kind: ErrorKind, words: &str| {
        let error = run(&replays, &store, from_ms, to_ms).await.expect_err(words);
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains(words), "{error}");
    };
    fails(START_MS, START_MS, ErrorKind::Invalid, "want a begin before the end").await;
    fails(START_MS, START_MS + 32 * 24 * HOUR_MS, ErrorKind::Invalid, "at most 31d between").await;
    fails(0, HOUR_MS, ErrorKind::NotFound, "nothing was recorded").await;
    fails(START_MS, START_MS + 120_000, ErrorKind::Invalid, "want two minutes to a year").await;
    let taken = Arc::clone(&replays.permits).acquire_many_owned(2).await.expect("open");
    fails(START_MS, START_MS + HOUR_MS, ErrorKind::Unavailable, "2 replays are under way").await;
    drop(taken);
    assert!(run(&replays, &store, START_MS, START_MS + HOUR_MS).await.is_ok());
}

#[test]
fn a_replay_ends_when_its_time_is_over() {
    let cancel = vocab::Cancel::new();
    cancel.time_out();
    let error = replay_beside(&policy(), &by_minute(1, |_| 100.0), &cancel, |_| None).expect_err("late");
    assert_eq!(error.kind(), ErrorKind::Timeout);
}

#[test]
fn a_month_is_answered_in_few_steps() {
    let trace = by_minute(4, |minute| if minute == 2000 { 900.0 } else { 100.0 });
    let outcomes = replay_beside(&policy(), &trace, &vocab::Cancel::new(), |_| None).expect("replayed");
    let rounds = outcomes[0].loads.len().div_ceil(STEPS_MAX);
    let shown = shown(&outcomes[2], rounds);
    assert!(shown.wanted.len() <= STEPS_MAX && rounds == 16, "{rounds}");
    assert_eq!(shown.wanted.iter().copied().max(), outcomes[2].wanted.iter().copied().max());
}
