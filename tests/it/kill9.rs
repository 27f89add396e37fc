//! kill -9 at random moments while ingesting: every acknowledged sample and log line is there afterwards.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::{Rng, SeedableRng};
use tests::{Tidewatch, scratch};
use tokio::sync::Mutex;

const ROUNDS: u32 = 30;
const WRITERS: u64 = 3;
/// Samples and lines per request.
const BATCH: u64 = 20;

#[derive(Debug, Default)]
struct Acknowledged {
    samples: BTreeSet<(u64, u64)>,
    lines: BTreeSet<(u64, u64)>,
}

/// Writes until the server is gone, noting what was acknowledged.
async fn write(
    base: String,
    writer: u64,
    next: Arc<AtomicU64>,
    acknowledged: Arc<Mutex<Acknowledged>>,
    origin_ms: u64,
) {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client");
    loop {
        let first = next.fetch_add(BATCH, Ordering::Relaxed);
        let numbers: Vec<u64> = (first..first + BATCH).collect();
        let text: String =
            numbers.iter().map(|n| format!("kill9{{writer=\"{writer}\"}} {n} {}\n", origin_ms + n * 10)).collect();
        let answer = client
            .post(format!("{base}/api/v1/import/prometheus"))
            .header("content-type", "text/plain; version=0.0.4")
            .body(text)
            .send()
            .await;
        match answer {
            Ok(answer) if answer.status().is_success() => {
                acknowledged.lock().await.samples.extend(numbers.iter().map(|n| (writer, *n)));
            }
            Ok(answer) => panic!("samples refused: {} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(_) => return,
        }
        let lines: String = numbers
            .iter()
            .map(|n| format!("{{\"time_ms\":{},\"service\":\"kill9\",\"body\":\"writer {writer} line n{n}\",\"labels\":{{\"writer\":\"w{writer}\"}}}}\n", origin_ms + n * 10))
            .collect();
        match client
            .post(format!("{base}/api/v1/logs"))
            .header("content-type", "application/x-ndjson")
            .body(lines)
            .send()
            .await
        {
            Ok(answer) if answer.status().is_success() => {
                acknowledged.lock().await.lines.extend(numbers.iter().map(|n| (writer, *n)));
            }
            Ok(answer) => panic!("lines refused: {} {}", answer.status(), answer.text().await.unwrap_or_default()),
            Err(_) => return,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[allow(clippy::disallowed_methods, reason = "a real process is killed at real moments")]
async fn nothing_acknowledged_is_lost() {
    let dir = scratch().expect("a folder");
    let seed: u64 = rand::random();
    println!("seed {seed}");
    let mut random = rand::rngs::StdRng::seed_from_u64(seed);
    let acknowledged = Arc::new(Mutex::new(Acknowledged::default()));
    let counters: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let origin_ms = u64::try_from(now.as_millis()).expect("fits") - 3_600_000;

    for round in 0..ROUNDS {
        let mut tidewatch = Tidewatch::start(dir.path(), &["--roles", "store,collector,dashboards", "--log", "warn"])
            .await
            .unwrap_or_else(|e| panic!("seed {seed}, round {round}: {e:#}"));
        let writers: Vec<_> = (0..WRITERS)
            .zip(&counters)
            .map(|(writer, next)| {
                tokio::spawn(write(
                    tidewatch.api.base().to_owned(),
                    writer,
                    Arc::clone(next),
                    Arc::clone(&acknowledged),
                    origin_ms,
                ))
            })
            .collect();
        let flush = round % 5 == 4;
        tokio::time::sleep(Duration::from_millis(random.random_range(20..500))).await;
        if flush {
            // The moment of writing blocks and splits and cutting the WAL deserves to be hit too.
            let api = tidewatch.api.clone();
            let _killed_underway =
                tokio::spawn(async move { api.post("/api/v1/admin/flush", &serde_json::json!({})).await });
            tokio::time::sleep(Duration::from_millis(random.random_range(0..300))).await;
        }
        tidewatch.server.kill().expect("killed");
        for writer in writers {
            writer.await.unwrap_or_else(|e| panic!("seed {seed}, round {round}: {e}"));
        }
    }

    let last = Tidewatch::start(dir.path(), &["--roles", "store,dashboards", "--log", "warn"]).await.expect("starts");
    let acknowledged = acknowledged.lock().await;
    assert!(acknowledged.samples.len() > 1000 && acknowledged.lines.len() > 1000, "hardly anything was written");
    println!("{} samples and {} lines acknowledged", acknowledged.samples.len(), acknowledged.lines.len());
    for writer in 0..WRITERS {
        let wanted: BTreeSet<u64> = acknowledged.samples.iter().filter(|s| s.0 == writer).map(|s| s.1).collect();
        let found = samples(&last, writer).await;
        let lost: Vec<_> = wanted.difference(&found).take(10).collect();
        assert!(lost.is_empty(), "seed {seed}: samples of writer {writer} are lost: {lost:?} …");
        let wanted: BTreeSet<u64> = acknowledged.lines.iter().filter(|s| s.0 == writer).map(|s| s.1).collect();
        let found = lines(&last, writer).await;
        let lost: Vec<_> = wanted.difference(&found).take(10).collect();
        assert!(lost.is_empty(), "seed {seed}: lines of writer {writer} are lost: {lost:?} …");
    }
}

async fn samples(tidewatch: &Tidewatch, writer: u64) -> BTreeSet<u64> {
    let query = format!("kill9{{writer=\"{writer}\"}}[3h]");
    let url = reqwest::Url::parse_with_params("http://x/api/v1/query", [("query", query.as_str())]).expect("a URL");
    let answer =
        tidewatch.api.get(&format!("{}?{}", url.path(), url.query().unwrap_or_default())).await.expect("answers");
    let values = answer["data"]["result"][0]["values"].as_array().cloned().unwrap_or_default();
    values.iter().filter_map(|v| v[1].as_str()?.parse::<f64>().ok()).map(|v| v as u64).collect()
}

async fn lines(tidewatch: &Tidewatch, writer: u64) -> BTreeSet<u64> {
    let mut found = BTreeSet::new();
    let mut after = String::new();
    loop {
        let path = format!(
            "/api/v1/logs/search?q=writer%3Aw{writer}&from_ms=0&to_ms=9999999999999&limit=1000&direction=forward{after}"
        );
        let answer = tidewatch.api.get(&path).await.expect("answers");
        let records = answer["records"].as_array().cloned().unwrap_or_default();
        for record in &records {
            let body = record["body"].as_str().unwrap_or_default();
            found.extend(body.rsplit_once('n').and_then(|(_, n)| n.parse::<u64>().ok()));
        }
        match answer["next"].as_str() {
            Some(next) if !records.is_empty() => {
                let encoded: String = next.bytes().map(|b| format!("%{b:02X}")).collect();
                after = format!("&after={encoded}");
            }
            _ => return found,
        }
    }
}
