//! A finished chunk as one payload: times as a regular grid with exceptions, values through pco.
//!
//! A payload does not repeat what its row says: the number of samples and the time of the first one.

use pco::wrapped::{FileCompressor, FileDecompressor};
use pco::{ChunkConfig, DeltaSpec};

use super::shared_times::{SharedTimes, SharedTimesWriter};
use super::{CodecError, compact, decimal, differences, starts, times, varint};

/// Most samples in a chunk.
pub(crate) const SAMPLES_MAX: usize = 8192;

/// Below this many samples pco's own description outweighs what it saves.
const PCO_SAMPLES_MIN: usize = 24;

/// Compression level of pco: where its size has flattened out on metric data.
const PCO_LEVEL: usize = 8;

const VALUES_MASK: u8 = 0x07;
const VALUES_COMPACT: u8 = 0;
const VALUES_DECIMAL: u8 = 1;
const VALUES_FLOAT: u8 = 2;
const VALUES_CONSTANT: u8 = 3;

/// The bit of a payload's first byte which says that start times follow it.
const STARTS: u8 = 0x20;

/// How the values of a payload are written, for the row beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The low bits of the payload's first byte.
    pub(crate) codec: u8,
    /// Decimal exponent, 0 when not decimal.
    pub(crate) exponent: u8,
}

/// Writes a chunk of at least one sample, ascending by time. `since` says since when the samples count: one time for each, or none
/// at all. Times that `shared` knows are named.
pub(crate) fn encode(
    times: &[i64],
    values: &[f64],
    since: &[i64],
    shared: &mut SharedTimesWriter,
    buffer: &mut Vec<u8>,
) -> Result<Shape, CodecError> {
    let Some(&first) = values.first() else { return Err(CodecError("a chunk without samples")) };
    let constant = values.iter().all(|v| v.to_bits() == first.to_bits());
    if values.len() < PCO_SAMPLES_MIN && !(constant && values.len() > 2) {
        buffer.push(VALUES_COMPACT | starts_flag(since));
        push_starts(since, times, buffer)?;
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
    push_starts(since, times, buffer)?;
    let times_flag = shared.push(times, buffer)?;
    let shape = if constant {
        buffer.extend_from_slice(&first.to_bits().to_le_bytes());
        Shape { codec: VALUES_CONSTANT, exponent: 0 }
    } else if let Some((exponent, mantissas)) = mantissas(values) {
        buffer.push(exponent);
        let order = differences::best_order(&mantissas);
        push_pco(&mantissas, DeltaSpec::TryConsecutive(order), buffer)?;
        Shape { codec: VALUES_DECIMAL, exponent }
    } else {
        push_pco(values, DeltaSpec::Auto, buffer)?;
        Shape { codec: VALUES_FLOAT, exponent: 0 }
    };
    buffer[flags_at] = shape.codec | times_flag | starts_flag(since);
    Ok(shape)
}

fn starts_flag(since: &[i64]) -> u8 {
    if since.is_empty() { 0 } else { STARTS }
}

fn push_starts(since: &[i64], times: &[i64], buffer: &mut Vec<u8>) -> Result<(), CodecError> {
    if since.is_empty() {
        return Ok(());
    }
    if since.len() != times.len() {
        return Err(CodecError("there is not one start time for each sample"));
    }
    let mut bytes = Vec::new();
    starts::push(since, times, &mut bytes)?;
    varint::push_bytes(buffer, &bytes);
    Ok(())
}

/// Reads a chunk back, appending to `times` and `values`, and to `since` when it says since when its samples count: what is
/// missing there is filled with 0 before. `shared` gives the table of times, when the payload names some of it.
pub(crate) fn decode<'t>(
    payload: &[u8],
    (num_samples, first_time): (usize, i64),
    shared: impl FnOnce() -> Result<SharedTimes<'t>, CodecError>,
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
    since: &mut Vec<i64>,
) -> Result<(), CodecError> {
    let mut reader = varint::Reader::new(payload);
    let flags = reader.byte()?;
    let num_before = times.len();
    let starts = if flags & STARTS == 0 { None } else { Some(reader.bytes()?) };
    decode_samples(reader, flags, (num_samples, first_time), shared, times, values)?;
    if let Some(starts) = starts {
        since.resize(num_before, 0);
        starts::read(starts, &times[num_before..], since)?;
    }
    Ok(())
}

fn decode_samples<'t>(
    mut reader: varint::Reader<'_>,
    flags: u8,
    (num_samples, first_time): (usize, i64),
    shared: impl FnOnce() -> Result<SharedTimes<'t>, CodecError>,
    times: &mut Vec<i64>,
    values: &mut Vec<f64>,
) -> Result<(), CodecError> {
    if num_samples == 0 || num_samples > SAMPLES_MAX {
        return Err(CodecError("a chunk has no or too many samples"));
    }
    if flags & VALUES_MASK == VALUES_COMPACT {
        let (num_before, mut decoder) = (times.len(), compact::Decoder::new(reader.rest));
        for sample in &mut decoder {
            let (time, value) = sample?;
            times.push(time);
            values.push(value);
        }
        return if times.len() - num_before == num_samples { Ok(()) } else { Err(CodecError("samples are missing")) };
    }
    if flags & times::SHARED == times::SHARED {
        shared()?.read(reader.unsigned()?, num_samples, first_time, times)?;
    } else {
        times::read(&mut reader, flags, num_samples, first_time, times)?;
    }
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

/// `differences` says what pco subtracts first. To try everything, as it does by itself, costs it several times the rest of its work.
pub(super) fn push_pco<T: pco::data_types::Number>(
    numbers: &[T],
    differences: DeltaSpec,
    buffer: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let failed = |_| CodecError("pco refused the numbers");
    let config = ChunkConfig::default().with_compression_level(PCO_LEVEL).with_delta_spec(differences);
    let file = FileCompressor::default();
    file.write_header(&mut *buffer).map_err(failed)?;
    let mut chunk = file.chunk_compressor(numbers, &config).map_err(failed)?;
    chunk.write_meta(&mut *buffer).map_err(failed)?;
    chunk.write_page(0, &mut *buffer).map_err(failed)?;
    Ok(())
}

/// Reads `count` numbers that [`push_pco`] has written.
pub(super) fn read_pco<T: pco::data_types::Number + Default>(
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
