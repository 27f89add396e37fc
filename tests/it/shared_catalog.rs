//! Several processes over one PostgreSQL: one decides, another takes over, and nothing is done twice.

mod hook;

use std::path::Path;
use std::time::{Duration, Instant};

use demo::servers::wait_for;
use serde_json::{Value, json};
use tests::{Tidewatch, scratch};
use vocab::testing::Postgres;

use self::hook::{Behaviour, Call, Hook, SERVICE, write_config};

/// How long a process holds the right to decide.
const LEASE: Duration = Duration::from_secs(3);
/// Guards against hanging only.
const SOON: Duration = Duration::from_secs(60);
const STANDS_BY: &str = "another process decides, and this one stands by";

async fn status(tidewatch: &Tidewatch) -> String {
    let services = tidewatch.api.get("/api/v1/scaling/services").await.unwrap_or_default();
    services["services"][0]["status"].as_str().unwrap_or_default().to_owned()
}

/// Whether its own metrics say that it decides, and so does what it shows.
async fn decides(tidewatch: &Tidewatch) -> bool {
    let metrics = tidewatch.api.get_text("/metrics").await.unwrap_or_default();
    let leads = metrics.lines().any(|line| line == "autoscaler_leader 1");
    let status = status(tidewatch).await;
    leads && !status.is_empty() && status != STANDS_BY && !status.contains("while the catalog")
}

async fn stands_by(tidewatch: &Tidewatch) -> bool {
    let metrics = tidewatch.api.get_text("/metrics").await.unwrap_or_default();
    metrics.lines().any(|line| line == "autoscaler_leader 0") && status(tidewatch).await == STANDS_BY
}

async fn terms(tidewatch: &Tidewatch) -> String {
    let metrics = tidewatch.api.get_text("/metrics").await.expect("metrics");
    metrics.lines().find(|l| l.starts_with("autoscaler_leader_terms_total ")).unwrap_or_default().to_owned()
}

/// Decisions to change the number, oldest first: from, to, how they went.
async fn decided(tidewatch: &Tidewatch) -> Vec<(u64, u64, String)> {
    let found = tidewatch.api.get("/api/v1/scaling/decisions?changes_only=true&limit=100").await.expect("decisions");
    let mut rows: Vec<_> = found["decisions"].as_array().expect("a list").clone();
    rows.reverse();
    let row = |d: &Value| {
        let number = |name: &str| d[name].as_u64().expect("a number");
        (number("from"), number("to"), d["state"].as_str().unwrap_or_default().to_owned())
    };
    rows.iter().map(row).collect()
}

async fn change_events(tidewatch: &Tidewatch) -> usize {
    let page = tidewatch.api.get(&format!("/api/v1/services/{SERVICE}")).await.expect("the service");
    page["changes"].as_array().expect("a list").iter().filter(|change| change["kind"] == "scale").count()
}

fn taken(from: u64, to: u64) -> Call {
    Call { from, to, taken: true }
}

fn not_taken(from: u64, to: u64) -> Call {
    Call { from, to, taken: false }
}

async fn until_wanted(hook: &Hook, number: u64) {
    wait_for(&format!("{number} replicas are wanted"), SOON, || async { hook.wanted() == number })
        .await
        .unwrap_or_else(|e| panic!("{e}"));
}

async fn until(what: &str, condition: impl AsyncFn() -> bool, tidewatch: &Tidewatch) {
    let condition = &condition;
    if let Err(error) = wait_for(what, SOON, move || condition()).await {
        panic!("{error}; status: {:?}; log: {}", status(tidewatch).await, tidewatch.log());
    }
}

/// A process with a data folder of its own; one that was there before is taken up.
async fn start(dir: &Path, name: &str, config: &Path) -> Tidewatch {
    let dir = dir.join(name);
    std::fs::create_dir_all(&dir).expect("a folder");
    let args = ["--config", config.to_str().expect("UTF-8")];
    Tidewatch::start(&dir, &args).await.unwrap_or_else(|e| panic!("{e:#}"))
}

fn assert_calm(tidewatch: &Tidewatch) {
    assert!(!tidewatch.log().contains("panicked"), "{}", tidewatch.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "measures how long a real takeover takes")]
async fn one_decides_another_takes_over_and_what_was_left_open_is_finished_or_undone_once() {
    let dir = scratch().expect("a folder");
    let postgres = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    let hook = Hook::start(50.0).await;
    let config = dir.path().join("tidewatch.yaml");
    write_config(&config, &hook, &postgres.url(), LEASE);
    let mut first = start(dir.path(), "first", &config).await;
    until("the first decides", async || decides(&first).await, &first).await;
    let second = start(dir.path(), "second", &config).await;
    until("the second stands by", async || stands_by(&second).await, &second).await;

    // One acts; both show what was decided, for the rows are the same.
    hook.set_load(480.0);
    until_wanted(&hook, 5).await;
    until("it is verified", async || decided(&second).await == [(1, 5, "verified".to_owned())], &first).await;
    assert_eq!((hook.calls(), decided(&first).await), (vec![taken(1, 5)], decided(&second).await));
    assert!(decides(&first).await && stands_by(&second).await);

    // Killed after the change was taken and before it knew: the other one finds it done.
    hook.set_behaviour(Behaviour::TakesAndHangs);
    hook.set_load(880.0);
    until_wanted(&hook, 9).await;
    first.server.kill().expect("killed");
    let killed = Instant::now();
    hook.set_behaviour(Behaviour::Answers);
    until("the second decides", async || decides(&second).await, &second).await;
    let took = killed.elapsed();
    println!("the second decides {took:.1?} after the first was killed, with a lease of {LEASE:?}");
    assert!(took < LEASE * 5, "{took:?}");
    let finished = [(1, 5, "verified".to_owned()), (5, 9, "verified".to_owned())];
    until("what was open is finished", async || decided(&second).await == finished, &second).await;
    assert_eq!((hook.calls(), change_events(&second).await), (vec![taken(1, 5), taken(5, 9)], 2));

    // The first comes back, and stands by.
    let first = start(dir.path(), "first", &config).await;
    until("the first stands by", async || stands_by(&first).await, &first).await;

    // Killed before the change was taken: the other one undoes it, and decides anew.
    hook.set_behaviour(Behaviour::Hangs);
    hook.set_load(1180.0);
    let hangs = async || hook.calls().last() == Some(&not_taken(9, 12));
    until("the change is under way", hangs, &second).await;
    assert!(decides(&second).await && stands_by(&first).await, "it went on deciding");
    let mut second = second;
    second.server.kill().expect("killed");
    hook.set_behaviour(Behaviour::Answers);
    until_wanted(&hook, 12).await;
    let undone = [&finished[..], &[(9, 12, "skipped".to_owned()), (9, 12, "verified".to_owned())]].concat();
    until("it is undone and done anew", async || decided(&first).await == undone, &first).await;
    let calls = hook.calls();
    assert_eq!(calls.iter().filter(|c| c.taken).count(), 3, "{calls:?}");
    assert_eq!(change_events(&first).await, 3);
    assert_eq!(terms(&first).await, "autoscaler_leader_terms_total 1");
    assert_calm(&first);
}

/// Writes a sample and a log line each while the database is away: both are taken as ever.
async fn ingest(tidewatch: &Tidewatch, number: u32) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    let base = tidewatch.api.base();
    let bodies = [
        ("/api/v1/import/prometheus", "text/plain; version=0.0.4", format!("pushed {number}\n")),
        (
            "/api/v1/logs",
            "application/x-ndjson",
            json!({"service": "pushed", "body": format!("n{number}")}).to_string(),
        ),
    ];
    for (path, content_type, body) in bodies {
        let request = client.post(format!("{base}{path}")).header("content-type", content_type).body(body);
        let answer = request.send().await.unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }
    assert_eq!(tidewatch.api.value("pushed").await.expect("answers"), Some(f64::from(number)));
    // Scrapes go on as well.
    let scraped = tidewatch.api.value("time() - timestamp(load)").await.expect("answers");
    assert!(scraped.is_some_and(|age| age < 10.0), "the last scrape was {scraped:?} s ago");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a real server is away for a real time")]
async fn a_database_that_is_away_holds_decisions_back_and_nothing_else() {
    let dir = scratch().expect("a folder");
    let mut postgres = Postgres::start().unwrap_or_else(|e| panic!("{e}"));
    let hook = Hook::start(480.0).await;
    let config = dir.path().join("tidewatch.yaml");
    write_config(&config, &hook, &postgres.url(), LEASE);
    let both = [start(dir.path(), "first", &config).await, start(dir.path(), "second", &config).await];
    until_wanted(&hook, 5).await;
    for tidewatch in &both {
        let scrapes = async || tidewatch.api.value("load").await.is_ok_and(|value| value.is_some());
        until("it scrapes", scrapes, tidewatch).await;
    }

    let mut calls = vec![taken(1, 5)];
    let (mut number, mut wanted) = (0_u32, 5_u32);
    for silent in [false, true] {
        assert_eq!(hook.calls(), calls);
        if silent {
            postgres.pause()
        } else {
            postgres.stop()
        }
        hook.set_load(f64::from(wanted * 100 + 380));
        // Longer than the lease, and longer than a call waits for an answer.
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(12) {
            number += 1;
            for tidewatch in &both {
                ingest(tidewatch, number).await;
                assert!(tidewatch.api.ready().await, "it stays ready");
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        for tidewatch in &both {
            let status = status(tidewatch).await;
            assert_eq!(status, "nothing is decided here while the catalog does not say who decides");
        }
        assert_eq!(hook.calls(), calls, "what cannot be recorded is not done");
        if silent {
            postgres.resume();
        } else {
            postgres.start_again().unwrap_or_else(|e| panic!("{e}"));
        }
        let from = u64::from(wanted);
        wanted += 4;
        calls.push(taken(from, u64::from(wanted)));
        until_wanted(&hook, u64::from(wanted)).await;
        let one_decides = async || {
            (decides(&both[0]).await && stands_by(&both[1]).await)
                || (decides(&both[1]).await && stands_by(&both[0]).await)
        };
        until("one decides again", one_decides, &both[0]).await;
    }
    let all_verified = async || decided(&both[0]).await.iter().filter(|d| d.2 == "verified").count() == 3;
    until("all is verified", all_verified, &both[0]).await;
    assert_eq!(hook.calls(), calls);
    // One that was recorded when the answer was lost is undone; none is open.
    let rows = decided(&both[0]).await;
    assert!(rows.iter().all(|d| ["verified", "skipped"].contains(&d.2.as_str())), "{rows:?}");
    both.iter().for_each(assert_calm);
    for mut tidewatch in both {
        assert_eq!(tidewatch.server.stop().expect("stops in time"), 0, "{}", tidewatch.log());
    }
}
