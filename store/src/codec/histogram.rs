//! Native histograms as bytes: all fields, bit for bit.

use std::sync::Arc;

use vocab::histogram::{ResetHint, Span};
use vocab::{NativeHistogram, TimestampMs};

use super::{CodecError, starts, varint};

const INTEGER: u8 = 0x80;

/// Appends one histogram.
pub(crate) fn push(buffer: &mut Vec<u8>, histogram: &NativeHistogram) {
    buffer.push(histogram.reset_hint.number() | if histogram.integer { INTEGER } else { 0 });
    varint::push_signed(buffer, i64::from(histogram.schema));
    for number in [histogram.zero_threshold, histogram.zero_count, histogram.count, histogram.sum] {
        push_number(buffer, number);
    }
    push_spans(buffer, &histogram.positive_spans);
    push_numbers(buffer, &histogram.positive_buckets);
    push_spans(buffer, &histogram.negative_spans);
    push_numbers(buffer, &histogram.negative_buckets);
    push_numbers(buffer, &histogram.custom_values);
}

/// Reads one histogram.
pub(crate) fn read(reader: &mut varint::Reader<'_>) -> Result<NativeHistogram, CodecError> {
    let flags = reader.byte()?;
    let reset_hint = ResetHint::of_number(flags & !INTEGER).ok_or(CodecError("an unknown reset hint"))?;
    Ok(NativeHistogram {
        reset_hint,
        integer: flags & INTEGER != 0,
        schema: i32::try_from(reader.signed()?).map_err(|_| CodecError("a schema is out of range"))?,
        zero_threshold: read_number(reader)?,
        zero_count: read_number(reader)?,
        count: read_number(reader)?,
        sum: read_number(reader)?,
        positive_spans: read_spans(reader)?,
        positive_buckets: read_numbers(reader)?,
        negative_spans: read_spans(reader)?,
        negative_buckets: read_numbers(reader)?,
        custom_values: read_numbers(reader)?,
    })
}

/// A chunk of histograms: their times and bytes, compressed together. `since` says since when they count: one time for each, or none
/// at all.
pub(crate) fn encode_chunk(
    samples: &[(TimestampMs, Arc<NativeHistogram>)],
    since: &[TimestampMs],
) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    let mut previous = 0i64;
    for (time, histogram) in samples {
        varint::push_signed(&mut bytes, time.wrapping_sub(previous));
        previous = *time;
        push(&mut bytes, histogram);
    }
    let mut payload = Vec::new();
    if !since.is_empty() {
        let times: Vec<TimestampMs> = samples.iter().map(|s| s.0).collect();
        let mut starts = Vec::new();
        starts::push(since, &times, &mut starts)?;
        // No chunk is empty, so 0 cannot be the length of one.
        varint::push(&mut payload, 0);
        varint::push_bytes(&mut payload, &starts);
    }
    varint::push(&mut payload, bytes.len() as u64);
    payload.extend(zstd::bulk::compress(&bytes, 3).map_err(|_| CodecError("zstd refused the bytes"))?);
    Ok(payload)
}

/// A chunk of histograms and since when they count: one time for each, or none at all.
pub(crate) type Chunk = (Vec<(TimestampMs, Arc<NativeHistogram>)>, Vec<TimestampMs>);

/// Reads a chunk of histograms back.
pub(crate) fn decode_chunk(payload: &[u8]) -> Result<Chunk, CodecError> {
    let mut reader = varint::Reader::new(payload);
    let mut length = reader.size()?;
    let mut starts = None;
    if length == 0 {
        starts = Some(reader.bytes()?);
        length = reader.size()?;
    }
    if length > CHUNK_BYTES_MAX {
        return Err(CodecError("a chunk of histograms is too large"));
    }
    let bytes = zstd::bulk::decompress(reader.rest, length).map_err(|_| CodecError("zstd cannot read the bytes"))?;
    let mut reader = varint::Reader::new(&bytes);
    let mut samples = Vec::new();
    let mut time = 0i64;
    while !reader.rest.is_empty() {
        time = time.wrapping_add(reader.signed()?);
        samples.push((time, Arc::new(read(&mut reader)?)));
    }
    let mut since = Vec::new();
    if let Some(starts) = starts {
        let times: Vec<TimestampMs> = samples.iter().map(|s| s.0).collect();
        starts::read(starts, &times, &mut since)?;
    }
    Ok((samples, since))
}

/// Largest chunk of histograms before compression.
pub(crate) const CHUNK_BYTES_MAX: usize = 256 << 20;

fn push_number(buffer: &mut Vec<u8>, number: f64) {
    buffer.extend_from_slice(&number.to_bits().to_le_bytes());
}

fn read_number(reader: &mut varint::Reader<'_>) -> Result<f64, CodecError> {
    reader.u64().map(f64::from_bits)
}

fn push_numbers(buffer: &mut Vec<u8>, numbers: &[f64]) {
    varint::push(buffer, numbers.len() as u64);
    for &number in numbers {
        push_number(buffer, number);
    }
}

fn read_numbers(reader: &mut varint::Reader<'_>) -> Result<Vec<f64>, CodecError> {
    let count = reader.count()?;
    (0..count).map(|_| read_number(reader)).collect()
}

fn push_spans(buffer: &mut Vec<u8>, spans: &[Span]) {
    varint::push(buffer, spans.len() as u64);
    for span in spans {
        varint::push_signed(buffer, i64::from(span.offset));
        varint::push(buffer, u64::from(span.length));
    }
}

fn read_spans(reader: &mut varint::Reader<'_>) -> Result<Vec<Span>, CodecError> {
    let count = reader.count()?;
    let wrong = |_| CodecError("a span is out of range");
    (0..count)
        .map(|_| {
            let offset = i32::try_from(reader.signed()?).map_err(wrong)?;
            let length = u32::try_from(reader.unsigned()?).map_err(wrong)?;
            Ok(Span { offset, length })
        })
        .collect()
}
