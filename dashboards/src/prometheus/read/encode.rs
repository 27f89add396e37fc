//! Series as remote read sends them.

use prost::Message;
use vocab::histogram::{NativeHistogram, ResetHint};
use vocab::sample::SeriesData;
use vocab::{Labels, TimestampMs};

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
        reset_hint: match own.reset_hint {
            ResetHint::Unknown => 0,
            ResetHint::Reset => 1,
            ResetHint::NoReset => 2,
            ResetHint::Gauge => 3,
        },
        timestamp,
        custom_values: own.custom_values.clone(),
    }
}

/// A series' chunks, by time.
pub(crate) fn chunks(series: &SeriesData) -> Vec<wire::Chunk> {
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
            });
            next += run.len();
        }
    }
    chunks
}

/// A series' frames: each says its length and its checksum, and holds the labels again.
pub(crate) fn frames(series: &SeriesData, query_index: i64) -> Vec<Vec<u8>> {
    let labels = labels(&series.labels);
    let mut frames = Vec::new();
    let (mut part, mut bytes) = (Vec::new(), 0);
    let mut chunks = chunks(series).into_iter().peekable();
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
