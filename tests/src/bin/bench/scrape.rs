//! The scrape path: ten targets of ten thousand series each, fetched every second.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::data::{self, Series};
use crate::figures::Figures;
use crate::target::{Program, Target};

const NUM_TARGETS: usize = 10;
const NUM_SERIES: usize = 10_000;
const SCRAPED_FOR: Duration = Duration::from_secs(12);
/// Longer heads of a request than this are not what a scraper sends.
const MAX_HEAD_BYTES: usize = 16 << 10;

/// Has a fresh program scrape for a while and notes what it cost.
///
/// # Errors
/// When it does not start or does not scrape.
#[allow(clippy::disallowed_methods, reason = "measures real time")]
pub(crate) async fn run(program: Program, dir: &Path, figures: &mut Figures) -> Result<()> {
    let served = Arc::new(AtomicU64::new(0));
    let mut servers = tokio::task::JoinSet::new();
    let mut addresses = Vec::new();
    for number in 0..NUM_TARGETS {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        addresses.push(format!("\"{}\"", listener.local_addr()?));
        servers.spawn(serve(listener, number, served.clone()));
    }
    let config = format!(
        "scrape_configs:\n- job_name: bench\n  scrape_interval: 1s\n  scrape_timeout: 1s\n  static_configs:\n  - targets: [{}]\n",
        addresses.join(", ")
    );
    let target = Target::start(program, dir, &config).await?;
    tokio::time::sleep(SCRAPED_FOR).await;
    let samples = served.load(Ordering::Relaxed) as f64 * NUM_SERIES as f64;
    let spent = target.cpu_seconds()?;
    ensure!(samples > 0.0, "{} scraped nothing", program.name());
    figures.note("scrape", "CPU s per million samples", program, spent / samples * 1e6);
    figures.note("scrape", "peak anonymous memory, MiB", program, target.peak_anon_mib());
    drop(target);
    servers.shutdown().await;
    Ok(())
}

/// Serves one target's exposition, each connection on its own.
async fn serve(listener: TcpListener, number: usize, served: Arc<AtomicU64>) {
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(answer(stream, data::series(&format!("target{number}"), NUM_SERIES), served.clone()));
    }
}

/// Answers request after request; every other series has moved on each time.
async fn answer(mut stream: TcpStream, mut series: Vec<Series>, served: Arc<AtomicU64>) {
    let names: Vec<String> = series.iter().map(|s| exposed(&s.labels)).collect();
    let mut values: Vec<f64> = series.iter_mut().map(Series::advance).collect();
    let mut body = String::new();
    let mut turn = 0;
    while head(&mut stream).await.is_ok() {
        body.clear();
        for (index, series) in series.iter_mut().enumerate() {
            if (index + turn) % 2 == 0 {
                values[index] = series.advance();
            }
            let _ok = writeln!(body, "{} {}", names[index], values[index]);
        }
        turn += 1;
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        if stream.write_all(head.as_bytes()).await.is_err() || stream.write_all(body.as_bytes()).await.is_err() {
            return;
        }
        served.fetch_add(1, Ordering::Relaxed);
    }
}

/// Reads the head of a request; it has no body.
async fn head(stream: &mut TcpStream) -> Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let byte = stream.read_u8().await.context("the scraper went away")?;
        head.push(byte);
        ensure!(head.len() < MAX_HEAD_BYTES, "a head without an end");
    }
    Ok(())
}

fn exposed(labels: &[(String, String)]) -> String {
    let mut name = String::new();
    let mut inside = Vec::new();
    for (label, value) in labels {
        // The scraper gives the job.
        match label.as_str() {
            "__name__" => name.clone_from(value),
            "job" => {}
            label => inside.push(format!("{label}=\"{value}\"")),
        }
    }
    format!("{name}{{{}}}", inside.join(","))
}
