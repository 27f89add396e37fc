//! Three million series and twenty heavy queries into a limit of 1 GiB: a million are taken, the rest is told why not, nothing
//! else suffers, and the memory stays below the limit.

use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use reqwest::{Client, StatusCode};
use serde_json::Value;
use tests::memory::PeakMemory;
use tests::{Tidewatch, scratch};

const LIMIT_MIB: f64 = 1024.0;
const OFFERED: u64 = 3_000_000;
const TAKEN_MIN: u64 = 1_000_000;
const PER_REQUEST: u64 = 10_000;
const WRITERS: usize = 2;
const HEAVY_QUERIES: usize = 20;
/// Series of the light query and of the ones that are written again and again.
const KNOWN: u64 = 1_000;
/// Whoever is refused asks again later, as people do.
const REFUSED_PAUSE_MS: u64 = 2_000;
/// How long one request may take before the test calls it hanging.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// Each of them has to look at every series.
const HEAVY: [&str; 5] = [
    r#"count({__name__=~"mem_.*"})"#,
    r#"sum by (namespace) (rate({__name__=~"mem_.*"}[5m]))"#,
    r#"topk(10, {__name__=~"mem_.*"})"#,
    r#"{__name__=~"mem_.*"} > 0"#,
    r#"quantile by (pod) (0.9, {__name__=~"mem_.*"})"#,
];

#[derive(Debug)]
struct Load {
    base: String,
    client: Client,
    next: AtomicU64,
    taken: AtomicU64,
    refused: AtomicU64,
    heavy_answered: AtomicU64,
    light_answered: AtomicU64,
    known_written: AtomicU64,
    over: AtomicBool,
}

impl Load {
    fn goes_on(&self) -> bool {
        !self.over.load(Ordering::Relaxed)
    }

    async fn write(&self, numbers: std::ops::Range<u64>) -> (StatusCode, String) {
        let now_ms = now_ms();
        let mut body = String::new();
        for number in numbers {
            let (metric, pod, namespace) = (number / 10_000, number % 10_000, number % 50);
            let _ok = writeln!(
                body,
                "mem_{metric:03}{{cluster=\"c1\",namespace=\"ns{namespace}\",pod=\"pod-{pod:05}\",container=\"app\"}} {number} {now_ms}"
            );
        }
        let request = self.client.post(format!("{}/api/v1/import/prometheus", self.base)).body(body);
        let answer = request.header("content-type", "text/plain; version=0.0.4").send().await.expect("answers");
        (answer.status(), answer.text().await.expect("a text"))
    }

    async fn query(&self, query: &str) -> (StatusCode, Value) {
        let url = reqwest::Url::parse_with_params(&format!("{}/api/v1/query", self.base), [("query", query)]);
        let answer = self.client.get(url.expect("a URL")).send().await.expect("answers");
        (answer.status(), answer.json().await.expect("JSON"))
    }

    /// Offers series nobody has seen.
    async fn offer(&self) {
        loop {
            let first = self.next.fetch_add(PER_REQUEST, Ordering::Relaxed);
            if first >= OFFERED {
                return;
            }
            match self.write(first..first + PER_REQUEST).await {
                (StatusCode::NO_CONTENT, _) => {
                    self.taken.fetch_add(PER_REQUEST, Ordering::Relaxed);
                }
                (StatusCode::TOO_MANY_REQUESTS, text) => {
                    assert!(text.contains(r#"memory share \"head\""#), "it does not name the limit: {text}");
                    let taken = taken_of(&text).unwrap_or_else(|| panic!("it does not say how many: {text}"));
                    self.taken.fetch_add(taken, Ordering::Relaxed);
                    self.refused.fetch_add(PER_REQUEST - taken, Ordering::Relaxed);
                }
                (status, text) => panic!("{status}: {text}"),
            }
        }
    }

    /// Goes on writing series that are known.
    async fn write_known(&self) {
        while self.goes_on() {
            let (status, text) = self.write(0..KNOWN).await;
            assert_eq!(status, StatusCode::NO_CONTENT, "known series are refused: {text}");
            self.known_written.fetch_add(1, Ordering::Relaxed);
            pause(1000).await;
        }
    }

    async fn ask_light(&self) {
        while self.goes_on() {
            let (status, answer) = self.query(r#"sum(mem_000{pod=~"pod-0000."})"#).await;
            assert_eq!(status, StatusCode::OK, "a light query fails: {answer}");
            self.light_answered.fetch_add(1, Ordering::Relaxed);
            pause(200).await;
        }
    }

    async fn ask_heavy(&self, query: &str) {
        while self.goes_on() {
            let is_full = self.refused.load(Ordering::Relaxed) > 0;
            match self.query(query).await {
                (StatusCode::OK, answer) => {
                    let something = answer["data"]["result"].as_array().is_some_and(|r| !r.is_empty());
                    self.heavy_answered.fetch_add(u64::from(is_full && something), Ordering::Relaxed);
                }
                (StatusCode::UNPROCESSABLE_ENTITY, answer) => {
                    let error = answer["error"].as_str().unwrap_or_default();
                    assert!(error.contains("memory share \"queries\""), "it does not name the limit: {error}");
                    pause(REFUSED_PAUSE_MS).await;
                }
                // As many as may run are running.
                (StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE, _) => {}
                (status, answer) => panic!("{status}: {answer}"),
            }
            pause(200).await;
        }
    }
}

/// The number of samples that were taken of a request that was refused in part: "(8000 refused, 2000 taken)".
fn taken_of(text: &str) -> Option<u64> {
    text.rsplit_once(" taken)")?.0.rsplit_once(", ")?.1.parse().ok()
}

#[allow(clippy::disallowed_methods, reason = "samples of a real server carry the real time")]
fn now_ms() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis()
}

#[allow(clippy::disallowed_methods, reason = "a pause between requests to a real server")]
async fn pause(ms: u64) {
    tokio::time::sleep(Duration::from_millis(ms)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a real server takes real time")]
async fn a_limit_of_1_gib_holds_and_takes_a_million_series() {
    let dir = scratch().expect("a folder");
    let config = dir.path().join("tidewatch.yaml");
    std::fs::write(&config, "global: {scrape_interval: 1m}\n").expect("a configuration");
    let config = config.to_str().expect("a path");
    let args = ["--memory-limit", "1GiB", "--config", config, "--log", "warn"];
    let tidewatch = Tidewatch::start(dir.path(), &args).await.expect("starts");
    let memory = PeakMemory::watch(tidewatch.server.pid(), Duration::from_millis(100));
    let load = Arc::new(Load {
        base: tidewatch.api.base().to_owned(),
        client: Client::builder().no_proxy().timeout(ANSWER_WITHIN).build().expect("a client"),
        next: AtomicU64::new(0),
        taken: AtomicU64::new(0),
        refused: AtomicU64::new(0),
        heavy_answered: AtomicU64::new(0),
        light_answered: AtomicU64::new(0),
        known_written: AtomicU64::new(0),
        over: AtomicBool::new(false),
    });
    let began = Instant::now();
    // The known ones are there before the crowd comes.
    assert_eq!(load.write(0..PER_REQUEST).await.0, StatusCode::NO_CONTENT);
    load.next.store(PER_REQUEST, Ordering::Relaxed);
    load.taken.store(PER_REQUEST, Ordering::Relaxed);

    let mut beside = tokio::task::JoinSet::new();
    for number in 0..HEAVY_QUERIES {
        let load = Arc::clone(&load);
        beside.spawn(async move { load.ask_heavy(HEAVY[number % HEAVY.len()]).await });
    }
    for light in [true, false] {
        let load = Arc::clone(&load);
        beside.spawn(async move { if light { load.ask_light().await } else { load.write_known().await } });
    }
    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..WRITERS {
        let load = Arc::clone(&load);
        writers.spawn(async move { load.offer().await });
    }
    while let Some(writer) = writers.join_next().await {
        writer.expect("writes");
    }
    let full = Instant::now();
    while load.heavy_answered.load(Ordering::Relaxed) == 0 && full.elapsed() < ANSWER_WITHIN {
        pause(200).await;
    }
    load.over.store(true, Ordering::Relaxed);
    while let Some(other) = beside.join_next().await {
        other.expect("goes on");
    }

    let taken = load.taken.load(Ordering::Relaxed);
    let figures = format!(
        "{taken} series taken, {} refused, peak {:.0} MiB, {} heavy answers, {} light ones, known series written {} times, {:.0} s",
        load.refused.load(Ordering::Relaxed),
        memory.mib(),
        load.heavy_answered.load(Ordering::Relaxed),
        load.light_answered.load(Ordering::Relaxed),
        load.known_written.load(Ordering::Relaxed),
        began.elapsed().as_secs_f64(),
    );
    println!("{figures}");
    assert!(taken >= TAKEN_MIN && load.refused.load(Ordering::Relaxed) > 0, "{figures}");
    assert!(load.heavy_answered.load(Ordering::Relaxed) > 0, "no heavy query was answered: {figures}");
    assert!(load.light_answered.load(Ordering::Relaxed) > 10, "{figures}");
    assert!(load.known_written.load(Ordering::Relaxed) > 5, "{figures}");

    let mut queryable = 0;
    for metric in 0..OFFERED / 10_000 {
        let query = format!("count(last_over_time(mem_{metric:03}[1h]))");
        queryable += tidewatch.api.value(&query).await.expect("answers").unwrap_or(0.0) as u64;
    }
    assert_eq!(queryable, taken, "{figures}");
    assert!(memory.mib() < LIMIT_MIB, "{figures}");
}
