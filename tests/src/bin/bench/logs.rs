//! Log lines by push, until they are in splits, and searched there. The peers of the metrics keep no logs.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Instant;

use anyhow::Result;

use crate::figures::{Figures, median};
use crate::now_ms;
use crate::target::{Program, Target};

const LINES: usize = 200_000;
const LINES_PER_REQUEST: usize = 1_000;
const SEARCH_REPETITIONS: usize = 15;

const SEARCHES: &[(&str, &str)] =
    &[("rare token", "needle-7f3a9c"), ("newest errors", "severity>=error"), ("phrase", "\"status 500\"")];

/// Pushes the lines, has them sealed, searches them.
///
/// # Errors
/// When a request is refused.
#[allow(clippy::disallowed_methods, reason = "measures real time")]
pub(crate) async fn run(dir: &Path, figures: &mut Figures) -> Result<()> {
    let us = Program::Tidewatch;
    let target = Target::start(us, dir, "").await?;
    let now_ms = now_ms()?;
    let before = target.cpu_seconds()?;
    let began = Instant::now();
    let mut bytes = 0usize;
    for first in (0..LINES).step_by(LINES_PER_REQUEST) {
        let mut body = String::new();
        for number in first..first + LINES_PER_REQUEST {
            line(&mut body, number, now_ms);
        }
        bytes += body.len();
        target.post("/api/v1/logs", &[("content-type", "application/x-ndjson")], body.into_bytes()).await?;
    }
    target.post("/api/v1/admin/flush", &[("content-type", "application/json")], b"{}".to_vec()).await?;
    let seconds = began.elapsed().as_secs_f64();
    let spent = target.cpu_seconds()? - before;
    figures.note("logs", "thousand lines/s until in splits", us, LINES as f64 / seconds / 1e3);
    figures.note("logs", "CPU s per 100 MB", us, spent / (bytes as f64 / 1e8));
    figures.note("logs", "peak anonymous memory, MiB", us, target.peak_anon_mib());
    let (from_ms, to_ms) = ((now_ms - 3_600_000).to_string(), (now_ms + 3_600_000).to_string());
    for (name, query) in SEARCHES {
        let mut times = Vec::new();
        for _ in 0..SEARCH_REPETITIONS {
            let asked = Instant::now();
            let params = [("q", *query), ("limit", "100"), ("from_ms", &from_ms), ("to_ms", &to_ms)];
            target.get("/api/v1/logs/search", &params).await?;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        figures.note("logs", &format!("search p50 ms: {name}"), us, median(&mut times));
    }
    Ok(())
}

fn line(body: &mut String, number: usize, now_ms: i64) {
    let needle = if number == LINES / 2 { " needle-7f3a9c" } else { "" };
    let (severity, status) = if number.is_multiple_of(50) { ("error", 500) } else { ("info", 200) };
    let _ok = writeln!(
        body,
        "{{\"time_ms\":{},\"service\":\"shop{}\",\"severity\":\"{severity}\",\
         \"body\":\"request {number} from 10.0.{}.{} took {} ms status {status}{needle}\"}}",
        now_ms - 600_000 + number as i64,
        number % 8,
        number % 250,
        number % 199,
        number % 977,
    );
}
