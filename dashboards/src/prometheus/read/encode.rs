//! Series as remote read sends them.

use std::sync::Arc;

use prost::Message;
use vocab::histogram::{NativeHistogram, ResetHint};
use vocab::sample::{SeriesData, StartTimes};
use vocab::{Labels, TimestampMs, is_stale_nan};

use super::wire;
use crate::chunk::{
    CHUNK_SAMPLES, ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM, ENCODING_XOR, encode_histograms, encode_xor,
    histogram_run,
};

/// Bytes after which a frame is sent, as in Prometheus: receivers bound what they take.
const FRAME_BYTES_MAX: usize = 1 << 20;

pub(crate) fn labels(labels: &Labels) -> Vec<wire::Label> {
    labels.iter().map(|(name, value)| wire::Label { name: name.to_owned(), value: value.to_owned() }).collect()
}

/// A series with all its samples.
pub(crate) fn timeseries(series: &SeriesData) -> wire::TimeSeries {
    let samples = series.timestamps.iter().zip(&series.values);
    wire::TimeSeries {
        labels: labels(&series.labels),
        samples: samples.map(|(timestamp, value)| wire::Sample { value: *value, timestamp: *timestamp }).collect(),
        histograms: series.histograms.iter().map(|(time, h)| histogram(*time, h)).collect(),
    }
}

fn histogram(timestamp: TimestampMs, own: &NativeHistogram) -> wire::Histogram {
    let spans = |spans: &[vocab::histogram::Span]| -> Vec<wire::Span> {
        spans.iter().map(|s| wire::Span { offset: s.offset, length: s.length }).collect()
    };
    let whole = |value: f64| own.integer.then_some(value as u64);
    let float = |value: f64| (!own.integer).then_some(value);
    let deltas = |counts: &[f64]| -> Vec<i64> {
        let mut last = 0i64;
        let step = |count: &f64| {
            let delta = (*count as i64).wrapping_sub(last);
            last = *count as i64;
            delta
        };
        if own.integer { counts.iter().map(step).collect() } else { Vec::new() }
    };
    let counts = |counts: &[f64]| if own.integer { Vec::new() } else { counts.to_vec() };
    wire::Histogram {
        count_int: whole(own.count),
        count_float: float(own.count),
        sum: own.sum,
        schema: own.schema,
        zero_threshold: own.zero_threshold,
        zero_count_int: whole(own.zero_count),
        zero_count_float: float(own.zero_count),
        negative_spans: spans(&own.negative_spans),
        negative_deltas: deltas(&own.negative_buckets),
        negative_counts: counts(&own.negative_buckets),
        positive_spans: spans(&own.positive_spans),
        positive_deltas: deltas(&own.positive_buckets),
        positive_counts: counts(&own.positive_buckets),
        reset_hint: i32::from(own.reset_hint.number()),
        timestamp,
        custom_values: own.custom_values.clone(),
    }
}

/// How much of a series its chunks tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detail {
    /// What remote read has words for.
    Standard,
    /// All there is, for exports.
    All,
}

/// A series' chunks, by time.
pub(crate) fn chunks(series: &SeriesData, detail: Detail) -> Vec<wire::Chunk> {
    let known = StartTimes::default();
    let known = series.starts.as_deref().filter(|_| detail == Detail::All).unwrap_or(&known);
    let start = |list: &[TimestampMs], at: usize| list.get(at).copied().unwrap_or(0);
    let mut chunks = Vec::new();
    // A chunk holds one kind of samples: floats end where a histogram stands between them.
    let (mut at, mut next) = (0, 0);
    while at < series.timestamps.len() || next < series.histograms.len() {
        let float = series.timestamps.get(at).copied().unwrap_or(TimestampMs::MAX);
        let native = series.histograms.get(next).map_or(TimestampMs::MAX, |h| h.0);
        if float < native || next >= series.histograms.len() {
            let end = at + series.timestamps[at..].partition_point(|t| *t < native || next >= series.histograms.len());
            let end = end.min(at + CHUNK_SAMPLES);
            let samples = series.timestamps[at..end].iter().copied().zip(series.values[at..end].iter().copied());
            chunks.push(wire::Chunk {
                min_time_ms: float,
                max_time_ms: series.timestamps[end - 1],
                kind: i32::from(ENCODING_XOR),
                data: encode_xor(samples),
                starts: starts_from((at..end).map(|at| (series.timestamps[at], start(&known.floats, at)))),
                reset_hints: Vec::new(),
            });
            at = end;
        } else {
            let end =
                next + series.histograms[next..].partition_point(|h| h.0 < float || at >= series.timestamps.len());
            let end = end.clamp(next + 1, next + CHUNK_SAMPLES);
            let run = &series.histograms[next..end];
            let run = &run[..histogram_run(run)];
            let (integer, data) = encode_histograms(run);
            chunks.push(wire::Chunk {
                min_time_ms: native,
                max_time_ms: run.last().map_or(native, |h| h.0),
                kind: i32::from(if integer { ENCODING_HISTOGRAM } else { ENCODING_FLOAT_HISTOGRAM }),
                data,
                starts: starts_from(run.iter().zip(next..).map(|(h, at)| (h.0, start(&known.histograms, at)))),
                reset_hints: if detail == Detail::All { hints_beside(run) } else { Vec::new() },
            });
            next += run.len();
        }
    }
    chunks
}

/// Start times where they change.
fn starts_from(samples: impl Iterator<Item = (TimestampMs, TimestampMs)>) -> Vec<wire::StartFrom> {
    let mut known = 0;
    let changes = samples.filter_map(|(time_ms, start_ms)| {
        let changed = std::mem::replace(&mut known, start_ms) != start_ms;
        changed.then_some(wire::StartFrom { time_ms, start_ms })
    });
    changes.collect()
}

/// What is known of the resets of a chunk's histograms, unless the chunk itself says the same.
fn hints_beside(run: &[(TimestampMs, Arc<NativeHistogram>)]) -> Vec<u8> {
    let in_chunk = |index: usize, hint: ResetHint| match hint {
        ResetHint::Gauge => true,
        ResetHint::Unknown | ResetHint::Reset => index == 0,
        ResetHint::NoReset => index > 0,
    };
    if run.iter().enumerate().all(|(index, (_, h))| is_stale_nan(h.sum) || in_chunk(index, h.reset_hint)) {
        return Vec::new();
    }
    run.iter().map(|(_, h)| h.reset_hint.number()).collect()
}

/// A series' frames: each says its length and its checksum, and holds the labels again.
pub(crate) fn frames(series: &SeriesData, query_index: i64, detail: Detail) -> Vec<Vec<u8>> {
    let labels = labels(&series.labels);
    let mut frames = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    let mut chunks = chunks(series, detail).into_iter().peekable();
    while let Some(chunk) = chunks.next() {
        bytes += chunk.data.len();
        part.push(chunk);
        if bytes >= FRAME_BYTES_MAX || chunks.peek().is_none() {
            let series = wire::ChunkedSeries { labels: labels.clone(), chunks: std::mem::take(&mut part) };
            frames.push(frame(&wire::ChunkedResponse { chunked_series: vec![series], query_index }));
            bytes = 0;
        }
    }
    frames
}

fn frame(message: &wire::ChunkedResponse) -> Vec<u8> {
    let body = message.encode_to_vec();
    let mut out = Vec::with_capacity(body.len() + 14);
    prost::encoding::encode_varint(body.len() as u64, &mut out);
    out.extend_from_slice(&crc32c::crc32c(&body).to_be_bytes());
    out.extend_from_slice(&body);
    out
}
