//! `tidewatch export`: samples of a running Tidewatch as OpenMetrics text, Prometheus's blocks or Parquet rows.
//!
//! Samples are read as remote read has them, with start times and reset hints beside, window by window. A window that is over
//! the server's memory share of a query is asked for in halves.

mod blocks;
mod openmetrics;
mod rows;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use dashboards::transfer::{FrameReader, SeriesPart, read_request};
use futures::StreamExt;
use reqwest::StatusCode;
use vocab::time::Clock;
use vocab::{MatchOp, Matcher, TimestampMs};

use crate::cli::{ExportFormat, ExportRange, Server};
use crate::client::Client;
use crate::clock::SystemClock;

/// Shortest window that is still halved.
const WINDOW_MS_MIN: i64 = 60_000;
/// How exactly the first sample is looked for: the windows before it would be empty.
const START_STEP_MS: i64 = 3_600_000;

/// What is exported.
#[derive(Debug, Clone)]
struct Wanted {
    matchers: Vec<Matcher>,
    start: TimestampMs,
    /// The last time, included.
    end: TimestampMs,
    window_ms: i64,
}

/// How a window was answered.
#[derive(Debug, PartialEq, Eq)]
enum Window {
    /// With everything it holds.
    Whole,
    /// Not at all: it is too much at once.
    TooMuch,
}

/// Exports to a file or folder; gives the sentence to print.
///
/// # Errors
/// When there is no answer, the selector or a time is wrong, or the output cannot be written.
pub async fn export(server: &Server, out: &Path, format: ExportFormat, range: &ExportRange) -> Result<String> {
    let client = Client::new(server)?;
    let Some(wanted) = wanted(&client, range).await? else { return Ok("there is nothing to export".to_owned()) };
    match format {
        ExportFormat::Openmetrics => openmetrics::export(&client, out, &wanted).await,
        ExportFormat::Tsdb => blocks::export(&client, out, &wanted).await,
        ExportFormat::Parquet => rows::export(&client, out, &wanted).await,
    }
}

/// The selector and the times, which by default span everything there is.
async fn wanted(client: &Client, range: &ExportRange) -> Result<Option<Wanted>> {
    let mut matchers = match &range.matching {
        Some(text) => promql::parse_metric_selector(text).map_err(|e| anyhow::anyhow!("--match: {e}"))?,
        None => Vec::new(),
    };
    if matchers.is_empty() {
        matchers.push(Matcher::new(MatchOp::Regex, "__name__", ".+")?);
    }
    let window = vocab::duration::parse_duration(&range.window).map_err(anyhow::Error::msg).context("--window")?;
    let window_ms = i64::try_from(window.as_millis())?.max(WINDOW_MS_MIN);
    let time = |text: &Option<String>, name: &'static str| -> Result<Option<TimestampMs>> {
        text.as_deref().map(|t| parse_time(t).context(name)).transpose()
    };
    let end = time(&range.end, "--end")?.unwrap_or_else(|| SystemClock::new().now_ms());
    let start = match time(&range.start, "--start")? {
        Some(start) => start,
        None => match first_time(client, range.matching.as_deref().unwrap_or("{__name__=~\".+\"}"), end).await? {
            Some(start) => start,
            None => return Ok(None),
        },
    };
    if start > end {
        bail!("--start must not be after --end");
    }
    Ok(Some(Wanted { matchers, start, end, window_ms }))
}

/// Seconds since 1970, or RFC 3339.
fn parse_time(text: &str) -> Result<TimestampMs> {
    if let Ok(seconds) = text.parse::<f64>()
        && seconds.is_finite()
        && seconds.abs() < 1e15
    {
        return Ok((seconds * 1000.0).round() as i64);
    }
    let time: jiff::Timestamp = text.parse().with_context(|| format!("{text:?} is neither seconds nor RFC 3339"))?;
    Ok(time.as_millisecond())
}

/// About when the first sample was, found by halving; `None` when there is none up to `end`.
async fn first_time(client: &Client, selector: &str, end: TimestampMs) -> Result<Option<TimestampMs>> {
    let has_any = async |until: TimestampMs| -> Result<bool> {
        let until = (until as f64 / 1000.0).to_string();
        let query = [("match[]", selector), ("start", "0"), ("end", &until), ("limit", "1")];
        let answer = client.ask("/api/v1/series", &query).await?;
        Ok(answer["data"].as_array().is_some_and(|list| !list.is_empty()))
    };
    if !has_any(end).await? {
        return Ok(None);
    }
    let (mut without, mut with) = (-START_STEP_MS, end);
    while with - without > START_STEP_MS {
        let middle = without + (with - without) / 2;
        if middle >= 0 && has_any(middle).await? {
            with = middle;
        } else {
            without = middle;
        }
    }
    Ok(Some(without.max(0)))
}

impl Wanted {
    /// The windows, aligned to their length, first and last time included.
    fn windows(&self) -> Vec<(TimestampMs, TimestampMs)> {
        let mut windows = Vec::new();
        let mut from = self.start;
        while from <= self.end {
            let next = (from.div_euclid(self.window_ms) + 1) * self.window_ms;
            windows.push((from, (next - 1).min(self.end)));
            from = next;
        }
        windows
    }
}

/// The two halves of a window; `None` when it is as short as can be.
fn halves((from, to): (TimestampMs, TimestampMs)) -> Option<[(TimestampMs, TimestampMs); 2]> {
    let middle = from + (to - from) / 2;
    (to - from >= WINDOW_MS_MIN).then_some([(from, middle), (middle + 1, to)])
}

/// Reads one window and hands its series on as they come, by labels.
async fn read(
    client: &Client,
    matchers: &[Matcher],
    (from, to): (TimestampMs, TimestampMs),
    mut take: impl FnMut(SeriesPart) -> Result<()>,
) -> Result<Window> {
    let request = client
        .post("/api/v1/export")
        .header("content-type", "application/x-protobuf")
        .header("content-encoding", "snappy")
        .timeout(Duration::from_secs(600))
        .body(read_request(matchers, from, to)?);
    let answer = request.send().await.context("no answer; is tidewatch running there?")?;
    let status = answer.status();
    if status == StatusCode::UNPROCESSABLE_ENTITY {
        return Ok(Window::TooMuch);
    }
    if !status.is_success() {
        bail!("{} ({status})", answer.text().await.unwrap_or_default().trim());
    }
    let mut frames = FrameReader::default();
    let mut bytes = answer.bytes_stream();
    while let Some(piece) = bytes.next().await {
        frames.push(&piece.context("the answer broke off")?);
        while let Some(parts) = frames.next_frame()? {
            parts.into_iter().try_for_each(&mut take)?;
        }
    }
    if !frames.is_empty() {
        bail!("the answer broke off");
    }
    Ok(Window::Whole)
}

#[cfg(test)]
mod tests;
