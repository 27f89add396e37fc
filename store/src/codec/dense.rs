//! A finished chunk as one payload: times as a regular grid with exceptions, values through pco.
//!
//! A payload does not repeat what its row says: the number of samples and the time of the first one.

use pco::ChunkConfig;
use pco::wrapped::{FileCompressor, FileDecompressor};

use super::{CodecError, compact, decimal, varint};

/// Most samples in a chunk.
pub(crate) const SAMPLES_MAX: usize = 8192;

/// Below this many samples pco's own description outweighs what it saves.
const PCO_SAMPLES_MIN: usize = 24;

/// Compression level of pco: where its size has flattened out on metric data.
const PCO_LEVEL: usize = 8;

/// A grid with more exceptions than one in this many samples is written as distances instead.
const GRID_EXCEPTION_SHARE: usize = 8;

const VALUES_MASK: u8 = 0x07;
const VALUES_COMPACT: u8 = 0;
const VALUES_DECIMAL: u8 = 1;
const VALUES_FLOAT: u8 = 2;
const VALUES_CONSTANT: u8 = 3;
const TIMES_DISTANCES: u8 = 0x08;

/// How the values of a payload are written, for the row beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The low bits of the payload's first byte.
    pub(crate) codec: u8,
    /// Decimal exponent, 0 when not decimal.
    pub(crate) exponent: u8,
}

/// Writes a chunk of at least one sample, ascending by time.
pub(crate) fn encode(times: &[i64], values: &[f64], buffer: &mut Vec<u8>) -> Result<Shape, CodecError> {
    let Some(&first) = values.first() else { return Err(CodecError("a chunk without samples")) };
    let constant = values.iter().all(|v| v.to_bits() == first.to_bits());
    if values.len() < PCO_SAMPLES_MIN && !(constant && values.len() > 2) {
        buffer.push(VALUES_COMPACT);
        let mut state = compact::State::default();
        for (index, (&time, &value)) in times.iter().zip(values).enumerate() {
            if index == 0 {
                state = compact::push_first(buffer, time, value);
            } else {
                compact::push(buffer, &mut state, time, value);
            }
        }
        return Ok(Shape { codec: VALUES_COMPACT, exponent: 0 });
    }
    let flags_at = buffer.len();
    buffer.push(0);
    let times_flag = push_times(times, buffer)?;
    let shape = if constant {
        buffer.extend_from_slice(&first.to_bits().to_le_bytes());
        Shape { codec: VALUES_CONSTANT, exponent: 0 }
    } else if let Some((exponent, mantissas)) = mantissas(values) {
        buffer.push(exponent);
        push_pco(&mantissas, buffer)?;
        Shape { codec: VALUES_DECIMAL, exponent }
    } else {
        push_pco(values, buffer)?;
        Shape { codec: VALUES_FLOAT, exponent: 0 }
    };
    buffer[flags_at] = shape.codec | times_flag;
    Ok(shape)
}

/// Reads a chunk back, appending to `times` and `values`.
pub(crate) fn decode(
    payload: &[u8],
    num_samples: usize,
    first_time: i64,
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), CodecError> {
    if num_samples == 0 || num_samples > SAMPLES_MAX {
        return Err(CodecError("a chunk has no or too many samples"));
    }
    let mut reader = varint::Reader::new(payload);
    let flags = reader.byte()?;
    if flags & VALUES_MASK == VALUES_COMPACT {
        let (num_before, mut decoder) = (times.len(), compact::Decoder::new(reader.rest));
        for sample in &mut decoder {
            let (time, value) = sample?;
            times.push(time);
            values.push(value);
        }
        return if times.len() - num_before == num_samples { Ok(()) } else { Err(CodecError("samples are missing")) };
    }
    read_times(&mut reader, flags, num_samples, first_time, times)?;
    match flags & VALUES_MASK {
        VALUES_CONSTANT => {
            let value = f64::from_bits(reader.u64()?);
            values.resize(values.len() + num_samples, value);
        }
        VALUES_DECIMAL => {
            let exponent = reader.byte()?;
            if exponent > decimal::EXPONENT_MAX {
                return Err(CodecError("an exponent is out of range"));
            }
            let mantissas = read_pco::<i64>(&mut reader, num_samples)?;
            values.extend(mantissas.iter().map(|&m| decimal::value(m, exponent)));
        }
        VALUES_FLOAT => values.extend(read_pco::<f64>(&mut reader, num_samples)?),
        _ => return Err(CodecError("an unknown codec of values")),
    }
    Ok(())
}

/// All values as mantissas with one exponent; `None` when one of them is no decimal.
fn mantissas(values: &[f64]) -> Option<(u8, Vec<i64>)> {
    let mut exponent = 0;
    for &value in values {
        exponent = decimal::exponent(value, exponent)?;
    }
    // A value that is whole with a small exponent is not always exact with a larger one, so all are checked again.
    let mantissas: Option<Vec<i64>> = values.iter().map(|&v| decimal::mantissa(v, exponent)).collect();
    Some((exponent, mantissas?))
}

fn push_times(times: &[i64], buffer: &mut Vec<u8>) -> Result<u8, CodecError> {
    let distances: Vec<i64> = times.windows(2).map(|w| w[1].wrapping_sub(w[0])).collect();
    let step = most_common(&distances);
    let exceptions: Vec<(usize, i64)> =
        distances.iter().enumerate().filter(|(_, d)| **d != step).map(|(i, d)| (i, d.wrapping_sub(step))).collect();
    if exceptions.len() * GRID_EXCEPTION_SHARE > times.len() {
        push_pco(&distances, buffer)?;
        return Ok(TIMES_DISTANCES);
    }
    varint::push_signed(buffer, step);
    varint::push(buffer, exceptions.len() as u64);
    let mut next = 0;
    for (index, shift) in exceptions {
        // How many regular distances lie before this one.
        varint::push(buffer, (index - next) as u64);
        varint::push_signed(buffer, shift);
        next = index + 1;
    }
    Ok(0)
}

fn read_times(
    reader: &mut varint::Reader<'_>,
    flags: u8,
    num_samples: usize,
    first_time: i64,
    times: &mut Vec<i64>,
) -> Result<(), CodecError> {
    let mut time = first_time;
    times.push(time);
    if flags & TIMES_DISTANCES != 0 {
        for distance in read_pco::<i64>(reader, num_samples - 1)? {
            time = time.wrapping_add(distance);
            times.push(time);
        }
        return Ok(());
    }
    let step = reader.signed()?;
    let num_exceptions = reader.count()?;
    let mut left = num_samples - 1;
    for _ in 0..num_exceptions {
        let gap = reader.size()?;
        let shift = reader.signed()?;
        if gap >= left {
            return Err(CodecError("a time lies behind the chunk"));
        }
        for _ in 0..gap {
            time = time.wrapping_add(step);
            times.push(time);
        }
        time = time.wrapping_add(step).wrapping_add(shift);
        times.push(time);
        left -= gap + 1;
    }
    for _ in 0..left {
        time = time.wrapping_add(step);
        times.push(time);
    }
    Ok(())
}

/// The distance that occurs most often.
fn most_common(distances: &[i64]) -> i64 {
    let mut sorted = distances.to_vec();
    sorted.sort_unstable();
    let longest = sorted.chunk_by(|a, b| a == b).max_by_key(|run| run.len());
    longest.and_then(|run| run.first()).copied().unwrap_or(0)
}

fn push_pco<T: pco::data_types::Number>(numbers: &[T], buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    let failed = |_| CodecError("pco refused the numbers");
    let config = ChunkConfig::default().with_compression_level(PCO_LEVEL);
    let file = FileCompressor::default();
    file.write_header(&mut *buffer).map_err(failed)?;
    let mut chunk = file.chunk_compressor(numbers, &config).map_err(failed)?;
    chunk.write_meta(&mut *buffer).map_err(failed)?;
    chunk.write_page(0, &mut *buffer).map_err(failed)?;
    Ok(())
}

fn read_pco<T: pco::data_types::Number + Default>(
    reader: &mut varint::Reader<'_>,
    count: usize,
) -> Result<Vec<T>, CodecError> {
    let failed = |_| CodecError("pco cannot read the numbers");
    let mut numbers = vec![T::default(); count];
    let (file, rest) = FileDecompressor::new(reader.rest).map_err(failed)?;
    let (mut chunk, rest) = file.chunk_decompressor::<T, _>(rest).map_err(failed)?;
    let mut page = chunk.page_decompressor(rest, count).map_err(failed)?;
    let progress = page.read(&mut numbers).map_err(failed)?;
    if progress.n_processed != count {
        return Err(CodecError("numbers are missing"));
    }
    reader.rest = page.into_src();
    Ok(numbers)
}
