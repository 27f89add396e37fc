//! What agents push: live data, history, series nobody has seen before.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::data::{self, Series};
use crate::figures::Figures;
use crate::now_ms;
use crate::target::{Program, Target};
use crate::wire;

/// Seconds between samples, as most agents have it.
const STEP_MS: i64 = 15_000;

/// A way of sending.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) name: &'static str,
    pub(crate) num_series: usize,
    pub(crate) num_times: usize,
    /// Series in one request.
    pub(crate) series_per_request: usize,
    /// Samples of a series in one request.
    pub(crate) times_per_request: usize,
}

/// Every host's samples each 15 s.
pub(crate) const LIVE: Shape =
    Shape { name: "live", num_series: 20_000, num_times: 60, series_per_request: 2_000, times_per_request: 1 };
/// A day, half an hour of a series at a time.
pub(crate) const HISTORY: Shape =
    Shape { name: "history", num_series: 1_000, num_times: 5_760, series_per_request: 25, times_per_request: 120 };
/// A roll-out of everything: all series are new.
pub(crate) const NEW: Shape =
    Shape { name: "new series", num_series: 150_000, num_times: 2, series_per_request: 2_000, times_per_request: 1 };

/// A program that has taken a workload.
#[derive(Debug)]
pub(crate) struct Taken {
    pub(crate) target: Target,
    pub(crate) first_ms: i64,
    pub(crate) last_ms: i64,
    pub(crate) samples: f64,
}

/// Sends a workload to a fresh program and notes what it cost.
///
/// # Errors
/// When it does not start or refuses a request.
pub(crate) async fn run(shape: Shape, program: Program, dir: &Path, figures: &mut Figures) -> Result<Taken> {
    let target = Target::start(program, dir, "").await?;
    let before = target.cpu_seconds()?;
    let (taken, waited) = send_all(shape, target).await?;
    taken.target.idle().await?;
    let spent = taken.target.cpu_seconds()? - before;
    figures.note(shape.name, "CPU s per million samples", program, spent / taken.samples * 1e6);
    figures.note(shape.name, "thousand samples/s, one sender", program, taken.samples / waited.as_secs_f64() / 1e3);
    figures.note(shape.name, "peak anonymous memory, MiB", program, taken.target.peak_anon_mib());
    Ok(taken)
}

/// Ends a program as a crash would right after the last acknowledged request of live data, starts it again, and notes how long
/// that takes and how much is still there.
///
/// # Errors
/// When it does not start or refuses a request.
#[allow(clippy::disallowed_methods, reason = "measures real time")]
pub(crate) async fn crash(program: Program, dir: &Path, figures: &mut Figures) -> Result<()> {
    let (mut taken, _) = send_all(LIVE, Target::start(program, dir, "").await?).await?;
    taken.target.crash()?;
    let began = Instant::now();
    let target = Target::start(program, dir, "").await?;
    let count = r#"sum(count_over_time({job="bench"}[1h]))"#;
    let at = (taken.last_ms as f64 / 1e3).to_string();
    let text = target.asker().text("/api/v1/query", &[("query", count), ("time", &at)]).await?;
    let seconds = began.elapsed().as_secs_f64();
    let answer: serde_json::Value = serde_json::from_str(&text)?;
    // Without any sample there is nothing to sum.
    let count = answer["data"]["result"][0]["value"][1].as_str().map_or(Ok(0.0), str::parse::<f64>)?;
    let kept = count / taken.samples;
    figures.note("crash", "s from the start after kill -9 until all is counted", program, seconds);
    figures.note("crash", "% of the acknowledged samples still there", program, kept * 100.0);
    Ok(())
}

async fn send_all(shape: Shape, target: Target) -> Result<(Taken, Duration)> {
    let mut series = data::series("bench", shape.num_series);
    let last_ms = now_ms()?;
    let first_ms = last_ms - STEP_MS * (i64::try_from(shape.num_times)? - 1);
    let times: Vec<i64> = (0..i64::try_from(shape.num_times)?).map(|n| first_ms + STEP_MS * n).collect();
    let mut waited = Duration::ZERO;
    for times in times.chunks(shape.times_per_request) {
        for part in series.chunks_mut(shape.series_per_request) {
            waited += send(&target, part, times).await?;
        }
    }
    let samples = shape.num_series as f64 * shape.num_times as f64;
    Ok((Taken { target, first_ms, last_ms, samples }, waited))
}

#[allow(clippy::disallowed_methods, reason = "measures real time")]
async fn send(target: &Target, part: &mut [Series], times: &[i64]) -> Result<Duration> {
    let body = wire::remote_write(part, times)?;
    let sent = Instant::now();
    target.post("/api/v1/write", &wire::HEADERS, body).await?;
    Ok(sent.elapsed())
}

/// Notes what the workload takes on disk once nothing is left to merge.
///
/// # Errors
/// When the program refuses.
pub(crate) async fn note_disk(
    taken: &Taken,
    name: &'static str,
    program: Program,
    figures: &mut Figures,
) -> Result<()> {
    if let Some(bytes) = taken.target.settle().await? {
        figures.note(name, "bytes per sample on disk, merged", program, bytes as f64 / taken.samples);
    }
    Ok(())
}
