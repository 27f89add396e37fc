//! Chunks of floats.

use vocab::TimestampMs;

use super::bits::{BitReader, BitWriter, Xor, fits};
use super::{ChunkError, count_of};

/// Size classes of the second difference of times, behind one to three ones.
const SIZES: [u32; 3] = [14, 17, 20];

/// Encodes samples with ascending times; at most 65,535.
pub fn encode_xor(samples: impl IntoIterator<Item = (TimestampMs, f64)>) -> Vec<u8> {
    let mut out = BitWriter::after(vec![0, 0]);
    let (mut count, mut last, mut last_delta, mut column) = (0u16, 0i64, 0i64, Xor::default());
    for (time, value) in samples.into_iter().take(usize::from(u16::MAX)) {
        let delta = time.wrapping_sub(last);
        match count {
            0 => {
                out.varint(time);
                out.bits(value.to_bits(), 64);
                column = Xor::starting(value);
            }
            1 => {
                out.uvarint(delta as u64);
                column.write(&mut out, value);
            }
            _ => {
                let second = delta.wrapping_sub(last_delta);
                match SIZES.iter().position(|size| fits(second, *size)) {
                    _ if second == 0 => out.bit(false),
                    Some(class) => {
                        let width = class as u32 + 2;
                        out.bits((1 << width) - 2, width);
                        out.bits(second as u64, SIZES[class]);
                    }
                    None => {
                        out.bits(0b1111, 4);
                        out.bits(second as u64, 64);
                    }
                }
                column.write(&mut out, value);
            }
        }
        (last, last_delta, count) = (time, delta, count + 1);
    }
    out.bytes[..2].copy_from_slice(&count.to_be_bytes());
    out.bytes
}

/// Decodes a chunk.
///
/// # Errors
/// [`ChunkError`] when the chunk is shorter than it says, or not a chunk at all.
pub fn decode_xor(chunk: &[u8]) -> Result<Vec<(TimestampMs, f64)>, ChunkError> {
    let (count, rest) = count_of(chunk)?;
    let mut from = BitReader::new(rest);
    let mut samples = Vec::with_capacity(count);
    let (mut time, mut delta, mut column) = (0i64, 0i64, Xor::default());
    for index in 0..count {
        match index {
            0 => {
                time = from.varint()?;
                column = Xor::starting(from.float()?);
                samples.push((time, column.value));
                continue;
            }
            1 => delta = from.uvarint()? as i64,
            _ => {
                let mut ones = 0;
                while ones < 4 && from.bit()? {
                    ones += 1;
                }
                let second = match ones {
                    0 => 0,
                    4 => from.bits(64)? as i64,
                    ones => from.signed(SIZES[ones - 1])?,
                };
                delta = delta.wrapping_add(second);
            }
        }
        time = time.wrapping_add(delta);
        samples.push((time, column.read(&mut from)?));
    }
    Ok(samples)
}
