//! Heavy queries wait for each other.

use std::time::Duration;

use vocab::ports::Appender;
use vocab::ports::append::WriteBatch;
use vocab::{Ctx, Labels};

use super::{Bench, NOW_MS};

/// What is held by somebody else, in percent of the share: more than a second one may fill it to.
const HELD_PERCENT: usize = 60;

async fn bench() -> Bench {
    let bench = Bench::new();
    for host in 0..100 {
        let mut batch = WriteBatch::default();
        let labels = Labels::from_pairs([("__name__", "m".to_owned()), ("host", format!("h{host}"))]);
        let series = batch.push_series(labels, vocab::ports::append::SeriesRef::NONE);
        for step in 0..1000 {
            let timestamp = NOW_MS - (1000 - step) * 1000;
            batch.samples.push(vocab::ports::append::BatchSample { series, timestamp, value: step as f64 });
        }
        bench.store.append(&Ctx::unlimited(), &batch).await.expect("taken");
    }
    bench
}

/// Returns when the query was refused and waits.
async fn until_it_waits(bench: &Bench) {
    let waits = async {
        while bench.app.metrics.queries_waiting.get() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits).await.expect("it waits");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_query_that_is_crowded_out_waits_for_its_turn_within_its_time() {
    let bench = bench().await;
    let memory = &bench.app.memory;
    let other = memory.reservation_among_many("other");
    other.try_grow(memory.limit_bytes() / 100 * HELD_PERCENT).expect("fits");
    let time = (NOW_MS / 1000).to_string();
    let query = [("query", "count_over_time(m[1h])"), ("time", &time)];
    let gives_back = async {
        until_it_waits(&bench).await;
        drop(other);
    };
    let (answer, ()) = tokio::join!(bench.ask("/api/v1/query", &query), gives_back);
    assert_eq!(answer.expect(200).text.matches("\"1000\"").count(), 100);

    let other = memory.reservation_among_many("other");
    other.try_grow(memory.limit_bytes() / 100 * HELD_PERCENT).expect("fits");
    let time_passes = async {
        until_it_waits(&bench).await;
        bench.clock.advance(Duration::from_secs(3600));
    };
    let (answer, ()) = tokio::join!(bench.ask("/api/v1/query", &query), time_passes);
    assert!(answer.expect(503).text.contains("timed out"));
    drop(other);
    assert_eq!(bench.app.metrics.queries_waiting.get(), 0);
    assert_eq!(bench.ask("/api/v1/query", &query).await.expect(200).text.matches("\"1000\"").count(), 100);
}
