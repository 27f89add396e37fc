//! A business counter passes its threshold, and a step adds a hundred replicas at once: the whole program, with a workload as
//! small as a process can be.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use demo::servers::wait_for;
use serde_json::Value;

use crate::Tidewatch;

/// Replicas at the start.
pub const FIRST: u64 = 1;
/// Replicas that the step adds.
pub const ADDED: u64 = 100;
/// What a minute counts before and after, around the threshold of 60,000.
const COUNTS: [u64; 2] = [58_000, 61_000];
/// Time between two counts.
const COUNT_INTERVAL: Duration = Duration::from_millis(500);

const CONFIGURATION: &str = "global: {scrape_interval: 1s, scrape_timeout: 900ms}
sources: {self: {interval: 5s}}
process:
  - {name: shop, command: [sleep, '3600'], replicas: 1, stop_with: tidewatch}
autoscaling:
  - service: shop
    orchestrator: process
    min: 1
    max: 150
    interval: 1s
    scrape_interval: 1s
    steps: [{name: peak, above: 60000, add: 100, query: 'max(transactions_per_minute)'}]
";

/// What came of it.
#[derive(Debug)]
pub struct Stepped {
    /// From the first count above the threshold until all replicas were ready.
    pub took: Duration,
    /// All changes that were decided, newest first, as the API gives them.
    pub decisions: Vec<Value>,
}

/// Replicas wanted and ready, as the API says.
async fn replicas(tidewatch: &Tidewatch) -> Option<(u64, u64)> {
    let answer = tidewatch.api.get("/api/v1/scaling/services").await.ok()?;
    let service = &answer["services"][0];
    Some((service["wanted"].as_u64()?, service["ready"].as_u64()?))
}

/// Takes the step; each part of it may last as long as `patience`.
///
/// # Errors
/// When something does not start, or not in time; the error holds the end of the program's log.
#[allow(clippy::disallowed_methods, reason = "a business that counts in real time, and how long it takes")]
pub async fn step(dir: &Path, patience: Duration) -> Result<Stepped> {
    let config = dir.join("tidewatch.yaml");
    std::fs::write(&config, CONFIGURATION)?;
    let config = config.to_str().context("the folder's name is no text")?;
    let mut tidewatch = Tidewatch::start(dir, &["--config", config]).await?;
    let volume = Arc::new(AtomicU64::new(COUNTS[0]));
    let pushing = {
        let (volume, url) = (Arc::clone(&volume), format!("{}/api/v1/import/prometheus", tidewatch.api.base()));
        let client = reqwest::Client::builder().no_proxy().build()?;
        tokio::spawn(async move {
            loop {
                let body = format!("transactions_per_minute {}\n", volume.load(Ordering::Relaxed));
                let push = client.post(&url).header("content-type", "text/plain; version=0.0.4").body(body);
                // One that is lost is made good by the next.
                let _answered = push.send().await;
                tokio::time::sleep(COUNT_INTERVAL).await;
            }
        })
    };
    wait_for("one replica runs below the threshold", patience, || async {
        let counted = tidewatch.api.value("max(transactions_per_minute)").await;
        matches!(counted, Ok(Some(_))) && replicas(&tidewatch).await == Some((FIRST, FIRST))
    })
    .await
    .with_context(|| tidewatch.log())?;
    volume.store(COUNTS[1], Ordering::Relaxed);
    let began = Instant::now();
    let all = FIRST + ADDED;
    wait_for("all replicas are ready", patience, || async { replicas(&tidewatch).await == Some((all, all)) })
        .await
        .with_context(|| tidewatch.log())?;
    let took = began.elapsed();
    let answer = tidewatch.api.get("/api/v1/scaling/decisions?changes_only=true").await?;
    pushing.abort();
    tidewatch.server.stop()?;
    Ok(Stepped { took, decisions: answer["decisions"].as_array().cloned().unwrap_or_default() })
}
