//! Remote write and remote read from the sender's side, for moving data in and out of a running server.

use std::sync::Arc;

use bytes::{Buf, BytesMut};
use prost::Message;
use thiserror::Error;
use vocab::histogram::{NativeHistogram, ResetHint};
use vocab::sample::SeriesData;
use vocab::{Labels, MatchOp, Matcher, TimestampMs};

use crate::chunk::{ChunkError, ENCODING_HISTOGRAM, ENCODING_XOR, decode_histograms, decode_xor};
use crate::prometheus::read::encode;
use crate::prometheus::read::wire::{self, Chunk, ChunkedResponse, LabelMatcher, Query, ReadRequest};

/// Longest frame that is taken; servers send about a megabyte, and a series' labels.
const FRAME_BYTES_MAX: u64 = 256 << 20;

/// Why a message cannot be made or read.
#[derive(Debug, Error)]
pub enum TransferError {
    /// It is too large to be packed.
    #[error("the message is too large to be packed: {0}")]
    Pack(snap::Error),
    /// A frame is not what it should be.
    #[error("damaged frame: {0}")]
    Frame(String),
}

/// `prometheus.WriteRequest`.
#[derive(Clone, PartialEq, prost::Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<wire::TimeSeries>,
}

/// A remote write 1.0 body with these series, packed.
///
/// # Errors
/// [`TransferError::Pack`] beyond 4 GiB.
pub fn write_request(series: &[SeriesData]) -> Result<Vec<u8>, TransferError> {
    let request = WriteRequest { timeseries: series.iter().map(encode::timeseries).collect() };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).map_err(TransferError::Pack)
}

/// A body of `/api/v1/read` that asks for streamed chunks, or of `/api/v1/export`, packed. Times are included on both ends.
///
/// # Errors
/// [`TransferError::Pack`] beyond 4 GiB.
pub fn read_request(matchers: &[Matcher], start: TimestampMs, end: TimestampMs) -> Result<Vec<u8>, TransferError> {
    let matcher = |m: &Matcher| LabelMatcher {
        kind: match m.op {
            MatchOp::Equal => 0,
            MatchOp::NotEqual => 1,
            MatchOp::Regex => 2,
            MatchOp::NotRegex => 3,
        },
        name: m.name.clone(),
        value: m.value.clone(),
    };
    let matchers = matchers.iter().map(matcher).collect();
    let query = Query { start_timestamp_ms: start, end_timestamp_ms: end, matchers, hints: None };
    let request = ReadRequest { queries: vec![query], accepted_response_types: vec![1] };
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).map_err(TransferError::Pack)
}

/// Chunks of one series; a long series comes in several such parts.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesPart {
    /// The series.
    pub labels: Labels,
    /// Its chunks, ascending by time.
    pub chunks: Vec<PartChunk>,
}

/// One chunk.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartChunk {
    /// First time.
    pub min_time: TimestampMs,
    /// Last time.
    pub max_time: TimestampMs,
    /// One of `chunk::ENCODING_*`.
    pub encoding: u8,
    /// The packed samples.
    pub data: Vec<u8>,
    /// From these times on samples count since those; 0 for not known, which is what holds before the first. Ascending.
    pub starts: Vec<(TimestampMs, TimestampMs)>,
    /// What is known of the resets of its histograms, where the data says something else; else empty.
    pub reset_hints: Vec<ResetHint>,
}

/// A histogram, when it was, and since when it counts (0: not known).
pub type TimedHistogram = (TimestampMs, Arc<NativeHistogram>, TimestampMs);

impl PartChunk {
    /// Whether it holds floats; else native histograms.
    pub fn is_float(&self) -> bool {
        self.encoding == ENCODING_XOR
    }

    /// How many samples it holds.
    pub fn num_samples(&self) -> u64 {
        // A chunk begins with that number.
        self.data.first_chunk::<2>().map_or(0, |head| u64::from(u16::from_be_bytes(*head)))
    }

    /// Its floats: time, value, and since when each counts (0: not known).
    ///
    /// # Errors
    /// When the chunk is damaged.
    pub fn floats(&self) -> Result<Vec<(TimestampMs, f64, TimestampMs)>, ChunkError> {
        let samples = decode_xor(&self.data)?.into_iter();
        Ok(samples.map(|(time, value)| (time, value, self.start_of(time))).collect())
    }

    /// Its histograms.
    ///
    /// # Errors
    /// When the chunk is damaged.
    pub fn histograms(&self) -> Result<Vec<TimedHistogram>, ChunkError> {
        let samples = decode_histograms(&self.data, self.encoding == ENCODING_HISTOGRAM)?.into_iter();
        let whole = samples.enumerate().map(|(index, (time, mut histogram))| {
            if let Some(hint) = self.reset_hints.get(index)
                && *hint != histogram.reset_hint
            {
                Arc::make_mut(&mut histogram).reset_hint = *hint;
            }
            (time, histogram, self.start_of(time))
        });
        Ok(whole.collect())
    }

    fn start_of(&self, time: TimestampMs) -> TimestampMs {
        let place = self.starts.partition_point(|(from, _)| *from <= time);
        place.checked_sub(1).and_then(|at| self.starts.get(at)).map_or(0, |(_, start)| *start)
    }
}

/// Puts the frames of a streamed answer together again.
#[derive(Debug, Default)]
pub struct FrameReader {
    waiting: BytesMut,
}

impl FrameReader {
    /// Takes bytes as they come.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The series of the next whole frame; `None` when more bytes are needed.
    ///
    /// # Errors
    /// [`TransferError::Frame`] when length, checksum or content are wrong.
    pub fn next_frame(&mut self) -> Result<Option<Vec<SeriesPart>>, TransferError> {
        let wrong = |what: String| TransferError::Frame(what);
        let mut look = &self.waiting[..];
        if !look.iter().any(|b| *b < 0x80) && look.len() < 10 {
            return Ok(None);
        }
        let length = prost::encoding::decode_varint(&mut look).map_err(|e| wrong(e.to_string()))?;
        if length > FRAME_BYTES_MAX {
            return Err(wrong(format!("a frame of {length} bytes is over the limit of {FRAME_BYTES_MAX}")));
        }
        let (head, length) = (self.waiting.len() - look.len(), length as usize);
        if look.len() < 4 + length {
            return Ok(None);
        }
        self.waiting.advance(head);
        let sum = self.waiting.get_u32();
        let frame = self.waiting.split_to(length);
        if crc32c::crc32c(&frame) != sum {
            return Err(wrong("the checksum is wrong".to_owned()));
        }
        let message = ChunkedResponse::decode(&frame[..]).map_err(|e| wrong(e.to_string()))?;
        message.chunked_series.into_iter().map(part).collect::<Result<Vec<_>, _>>().map(Some)
    }

    /// Whether nothing of a further frame has come.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }
}

fn part(series: wire::ChunkedSeries) -> Result<SeriesPart, TransferError> {
    let chunk = |chunk: Chunk| {
        let wrong = |_| TransferError::Frame(format!("chunk encoding {} is not known", chunk.kind));
        let encoding = u8::try_from(chunk.kind).map_err(wrong)?;
        Ok(PartChunk {
            min_time: chunk.min_time_ms,
            max_time: chunk.max_time_ms,
            encoding,
            data: chunk.data,
            starts: chunk.starts.iter().map(|s| (s.time_ms, s.start_ms)).collect(),
            reset_hints: chunk
                .reset_hints
                .iter()
                .map(|number| ResetHint::of_number(*number).unwrap_or_default())
                .collect(),
        })
    };
    Ok(SeriesPart {
        labels: Labels::from_pairs(series.labels.iter().map(|l| (l.name.as_str(), l.value.as_str()))),
        chunks: series.chunks.into_iter().map(chunk).collect::<Result<_, TransferError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vocab::STALE_NAN;
    use vocab::histogram::Span;
    use vocab::sample::StartTimes;

    use super::*;

    fn histogram(hint: u8, count: u8, shape: u8) -> NativeHistogram {
        if count == 0 {
            return NativeHistogram { sum: STALE_NAN, integer: true, ..NativeHistogram::default() };
        }
        let buckets = vec![f64::from(count); usize::from(shape % 3)];
        NativeHistogram {
            count: buckets.iter().sum(),
            sum: f64::from(count) / 8.0,
            positive_spans: vec![Span { offset: i32::from(shape), length: buckets.len() as u32 }],
            positive_buckets: buckets,
            reset_hint: ResetHint::of_number(hint).unwrap_or_default(),
            integer: true,
            ..NativeHistogram::default()
        }
    }

    fn bits(series: &[(TimestampMs, f64, TimestampMs)]) -> Vec<(TimestampMs, u64, TimestampMs)> {
        series.iter().map(|(time, value, start)| (*time, value.to_bits(), *start)).collect()
    }

    proptest! {
        #[test]
        fn an_export_tells_all_there_is_of_a_series(
            samples in proptest::collection::vec((any::<bool>(), 0u8..4, 0u8..5, 0u8..6, 0i64..4), 0..400),
        ) {
            let mut series = SeriesData { labels: Labels::from_pairs([("__name__", "m")]), ..SeriesData::default() };
            let mut starts = StartTimes::default();
            let (mut floats, mut histograms) = (Vec::new(), Vec::new());
            for (time, (is_float, hint, count, shape, start)) in (-100i64..).map(|t| t * 500).zip(samples) {
                if is_float {
                    StartTimes::note(&mut starts.floats, series.timestamps.len(), start);
                    series.timestamps.push(time);
                    series.values.push(f64::from(count));
                    floats.push((time, f64::from(count), start));
                } else {
                    let one = Arc::new(histogram(hint, count, shape));
                    StartTimes::note(&mut starts.histograms, series.histograms.len(), start);
                    series.histograms.push((time, Arc::clone(&one)));
                    histograms.push((time, one, start));
                }
            }
            series.starts = Some(Box::new(starts));
            for detail in [encode::Detail::All, encode::Detail::Standard] {
                let mut reader = FrameReader::default();
                encode::frames(&series, 0, detail).iter().for_each(|frame| reader.push(frame));
                let mut chunks = Vec::new();
                while let Some(parts) = reader.next_frame().expect("valid") {
                    chunks.extend(parts.into_iter().flat_map(|p| p.chunks));
                }
                prop_assert_eq!(chunks.iter().map(PartChunk::num_samples).sum::<u64>(), series.num_samples() as u64);
                let (of_floats, of_histograms): (Vec<_>, Vec<_>) = chunks.iter().partition(|c| c.is_float());
                let read: Vec<_> = of_floats.iter().flat_map(|c| c.floats().expect("valid")).collect();
                if detail == encode::Detail::Standard {
                    prop_assert!(chunks.iter().all(|c| c.starts.is_empty() && c.reset_hints.is_empty()));
                    continue;
                }
                prop_assert_eq!(bits(&read), bits(&floats));
                let read: Vec<_> = of_histograms.iter().flat_map(|c| c.histograms().expect("valid")).collect();
                prop_assert_eq!(read.len(), histograms.len());
                for (read, wanted) in read.iter().zip(&histograms) {
                    prop_assert_eq!((read.0, read.2), (wanted.0, wanted.2));
                    // Of a marker nothing but that it is one has a meaning.
                    if vocab::is_stale_nan(wanted.1.sum) {
                        prop_assert!(vocab::is_stale_nan(read.1.sum));
                    } else {
                        prop_assert_eq!(&read.1, &wanted.1);
                    }
                }
            }
        }
    }

    #[test]
    fn frames_come_in_any_pieces() {
        let series = |n: usize| SeriesData {
            labels: Labels::from_pairs([("__name__", format!("m{n}"))]),
            timestamps: (0..300).collect(),
            values: (0..300).map(|v| (v * n) as f64).collect(),
            ..SeriesData::default()
        };
        let all: Vec<u8> =
            (1..4).flat_map(|n| encode::frames(&series(n), 0, encode::Detail::Standard)).flatten().collect();
        for size in [1, 7, 1000, all.len()] {
            let (mut reader, mut found) = (FrameReader::default(), Vec::new());
            for piece in all.chunks(size) {
                reader.push(piece);
                while let Some(parts) = reader.next_frame().expect("valid") {
                    found.extend(parts);
                }
            }
            assert!(reader.is_empty());
            let names: Vec<_> = found.iter().map(|p| p.labels.metric_name()).collect();
            assert_eq!(names, ["m1", "m2", "m3"]);
            let samples: Vec<_> = found[2].chunks.iter().flat_map(|c| decode_xor(&c.data).expect("valid")).collect();
            assert_eq!((samples.len(), samples[299]), (300, (299, 897.0)));
        }
        let mut damaged = FrameReader::default();
        let mut bytes = all.clone();
        bytes[20] ^= 1;
        damaged.push(&bytes);
        assert!(damaged.next_frame().is_err_and(|e| e.to_string().contains("checksum")));
        let mut huge = FrameReader::default();
        huge.push(&[0xff, 0xff, 0xff, 0xff, 0x7f]);
        assert!(huge.next_frame().is_err_and(|e| e.to_string().contains("limit")));
    }
}
