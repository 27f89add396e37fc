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
#[allow(clippy::disallowed_methods, reason = "measures real time")]
pub(crate) async fn run(shape: Shape, program: Program, dir: &Path, figures: &mut Figures) -> Result<Taken> {
    let target = Target::start(program, dir, "").await?;
    let mut series = data::series("bench", shape.num_series);
    let last_ms = now_ms()?;
    let first_ms = last_ms - STEP_MS * (i64::try_from(shape.num_times)? - 1);
    let times: Vec<i64> = (0..i64::try_from(shape.num_times)?).map(|n| first_ms + STEP_MS * n).collect();
    let before = target.cpu_seconds()?;
    let mut waited = Duration::ZERO;
    for times in times.chunks(shape.times_per_request) {
        for part in series.chunks_mut(shape.series_per_request) {
            waited += send(&target, part, times).await?;
        }
    }
    target.idle().await?;
    let samples = shape.num_series as f64 * shape.num_times as f64;
    let spent = target.cpu_seconds()? - before;
    figures.note(shape.name, "CPU s per million samples", program, spent / samples * 1e6);
    figures.note(shape.name, "thousand samples/s, one sender", program, samples / waited.as_secs_f64() / 1e3);
    figures.note(shape.name, "peak anonymous memory, MiB", program, target.peak_anon_mib());
    Ok(Taken { target, first_ms, last_ms, samples })
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
