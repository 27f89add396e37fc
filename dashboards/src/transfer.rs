//! Remote write and remote read from the sender's side, for moving data in and out of a running server.

use bytes::{Buf, BytesMut};
use prost::Message;
use thiserror::Error;
use vocab::sample::SeriesData;
use vocab::{Labels, MatchOp, Matcher, TimestampMs};

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

/// A remote read body that asks for streamed chunks, packed. Times are included on both ends.
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartChunk {
    /// First time.
    pub min_time: TimestampMs,
    /// Last time.
    pub max_time: TimestampMs,
    /// One of `chunk::ENCODING_*`.
    pub encoding: u8,
    /// The packed samples.
    pub data: Vec<u8>,
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
        Ok(PartChunk { min_time: chunk.min_time_ms, max_time: chunk.max_time_ms, encoding, data: chunk.data })
    };
    Ok(SeriesPart {
        labels: Labels::from_pairs(series.labels.iter().map(|l| (l.name.as_str(), l.value.as_str()))),
        chunks: series.chunks.into_iter().map(chunk).collect::<Result<_, TransferError>>()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chunk::decode_xor;

    #[test]
    fn frames_come_in_any_pieces() {
        let series = |n: usize| SeriesData {
            labels: Labels::from_pairs([("__name__", format!("m{n}"))]),
            timestamps: (0..300).collect(),
            values: (0..300).map(|v| (v * n) as f64).collect(),
            ..SeriesData::default()
        };
        let all: Vec<u8> = (1..4).flat_map(|n| encode::frames(&series(n), 0)).flatten().collect();
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
