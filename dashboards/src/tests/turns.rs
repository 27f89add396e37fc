//! Heavy queries wait for each other.

use std::time::Duration;

use axum::http::Method;
use serde_json::json;
use vocab::ports::Appender;
use vocab::ports::append::WriteBatch;
use vocab::{Ctx, Labels, MemoryReservation};

use super::read::{matcher, packed, post, request};
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

/// What a heavy query holds that is in the way.
fn in_the_way(bench: &Bench) -> MemoryReservation {
    let memory = &bench.app.memory;
    let other = memory.reservation_among_many("other");
    other.try_grow(memory.limit_bytes() / 100 * HELD_PERCENT).expect("fits");
    other
}

/// Asks while another one is in the way, which makes room once the query waits; gives the status and the length of the answer.
async fn ask_in_turn(bench: &Bench, ask: impl Future<Output = (u16, usize)>) -> (u16, usize) {
    let other = in_the_way(bench);
    let gives_back = async {
        until_it_waits(bench).await;
        drop(other);
    };
    let (answer, ()) = tokio::join!(ask, gives_back);
    assert_eq!((bench.app.metrics.queries_waiting.get(), bench.app.memory.used_bytes()), (0, 0));
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sql_remote_read_and_federation_wait_for_their_turn_too() {
    let bench = bench().await;
    *bench.rooms.sql_bytes.lock() = vec![bench.app.memory.limit_bytes() / 4, 0];
    let sql = async || {
        let answer = bench.post("/api/v1/sql", &json!({"query": "heavy", "format": "ndjson"})).await;
        (answer.status.as_u16(), answer.text.len())
    };
    // More than is left for those that are not first, beyond what counts as small.
    let federate = async || {
        let answer = bench.get("/federate?match[]=m&match[]=m&match[]=m").await;
        (answer.status.as_u16(), answer.text.lines().count())
    };
    let read = async |kinds: &[i32]| {
        let (status, _, body) = post(&bench, packed(&request(vec![matcher(0, "__name__", "m")], kinds.to_vec()))).await;
        (status, body.len())
    };
    let alone = [sql().await, federate().await, read(&[0]).await, read(&[1]).await];
    assert!(alone.iter().all(|(status, length)| *status == 200 && *length > 3), "{alone:?}");
    let in_turn = [
        ask_in_turn(&bench, sql()).await,
        ask_in_turn(&bench, federate()).await,
        ask_in_turn(&bench, read(&[0])).await,
        ask_in_turn(&bench, read(&[1])).await,
    ];
    assert_eq!(in_turn, alone);

    let other = in_the_way(&bench);
    let time_passes = async {
        until_it_waits(&bench).await;
        bench.clock.advance(Duration::from_secs(3600));
    };
    let (answer, ()) = tokio::join!(sql(), time_passes);
    assert_eq!(answer.0, 503, "within its time");
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_has_begun_is_not_begun_anew() {
    let bench = bench().await;
    *bench.rooms.sql_bytes.lock() = vec![0, bench.app.memory.limit_bytes() / 4];
    let other = in_the_way(&bench);
    let headers = [("content-type", "application/json")];
    let response = bench.respond(Method::POST, "/api/v1/sql", &headers, "{\"query\":\"late\"}").await;
    assert_eq!(response.status(), 200);
    axum::body::to_bytes(response.into_body(), 1000).await.expect_err("it ends early, and at once");
    assert_eq!(bench.rooms.calls.lock().len(), 1, "asked once");
    drop(other);
}
