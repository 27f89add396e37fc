//! A chunk that grows sample by sample: two to seven bytes each, no look-ahead, cheap to write and to read.
//!
//! Each sample begins with a control byte. With its two top bits clear, the time follows the last distance and the value is the
//! last mantissa plus the low six bits (-32..=31). With them `01`, bit 0 says that a signed correction of the distance follows,
//! bits 1-2 how the value is written (0 as before, 1 a signed mantissa difference, 2 the changed bytes of the bit pattern), bits
//! 3-5 the decimal exponent from here on.

use super::{CodecError, decimal, varint};

const GENERAL: u8 = 0x40;
const KIND_MASK: u8 = 0xc0;
const TIME_FOLLOWS: u8 = 0x01;
const VALUE_SAME: u8 = 0;
const VALUE_MANTISSA: u8 = 1;
const VALUE_BYTES: u8 = 2;

/// Most bytes that [`push`] appends: control, correction of the distance, and the longest form of a value.
pub(crate) const SAMPLE_BYTES_MAX: usize = 1 + 10 + 10;

/// What encoder and decoder remember of the samples before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct State {
    time: i64,
    distance: i64,
    bits: u64,
    exponent: u8,
}

impl State {
    /// The last sample.
    pub(crate) fn last(&self) -> (i64, u64) {
        (self.time, self.bits)
    }
}

/// Appends the first sample of a chunk.
pub(crate) fn push_first(buffer: &mut Vec<u8>, time: i64, value: f64) -> State {
    varint::push_signed(buffer, time);
    buffer.extend_from_slice(&value.to_bits().to_le_bytes());
    State { time, distance: 0, bits: value.to_bits(), exponent: decimal::exponent(value, 0).unwrap_or(0) }
}

/// Time of the first sample of a chunk.
pub(crate) fn first_time(chunk: &[u8]) -> Result<i64, CodecError> {
    varint::Reader::new(chunk).signed()
}

/// Appends a further sample, whatever its time.
pub(crate) fn push(buffer: &mut Vec<u8>, state: &mut State, time: i64, value: f64) {
    let distance = time.wrapping_sub(state.time);
    let correction = distance.wrapping_sub(state.distance);
    let bits = value.to_bits();
    let same = bits == state.bits;
    let exponent = if same { Some(state.exponent) } else { decimal::exponent(value, state.exponent) };
    let before = |e: u8| decimal::mantissa(f64::from_bits(state.bits), e).unwrap_or(0);
    let difference = exponent.and_then(|e| Some(decimal::mantissa(value, e)?.wrapping_sub(before(e))));
    match difference {
        Some(d) if correction == 0 && exponent == Some(state.exponent) && (-32..32).contains(&d) => {
            // `same` values that are no decimals have no difference and come out below.
            buffer.push((d & 0x3f) as u8);
        }
        _ => {
            let kind = if same {
                VALUE_SAME
            } else if difference.is_some() {
                VALUE_MANTISSA
            } else {
                VALUE_BYTES
            };
            let next_exponent = exponent.unwrap_or(state.exponent);
            let time_follows = if correction == 0 { 0 } else { TIME_FOLLOWS };
            buffer.push(GENERAL | time_follows | (kind << 1) | (next_exponent << 3));
            if correction != 0 {
                varint::push_signed(buffer, correction);
            }
            match (kind, difference) {
                (VALUE_MANTISSA, Some(d)) => varint::push_signed(buffer, d),
                (VALUE_BYTES, _) => push_changed(buffer, bits ^ state.bits),
                _ => {}
            }
            state.exponent = next_exponent;
        }
    }
    state.time = time;
    state.distance = distance;
    state.bits = bits;
}

/// The bytes of `xor` between its leading and trailing zero bytes, behind a byte that counts both.
fn push_changed(buffer: &mut Vec<u8>, xor: u64) {
    let leading = xor.leading_zeros() / 8;
    let trailing = (xor.trailing_zeros() / 8).min(7);
    let length = 8 - leading.min(7) - trailing;
    buffer.push((trailing << 4 | length) as u8);
    let bytes = (xor >> (8 * trailing)).to_le_bytes();
    buffer.extend_from_slice(&bytes[..length as usize]);
}

/// Decodes the samples of a chunk in the order of writing.
#[derive(Debug, Clone)]
pub(crate) struct Decoder<'a> {
    reader: varint::Reader<'a>,
    state: State,
    first: bool,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { reader: varint::Reader::new(bytes), state: State::default(), first: true }
    }

    /// The state after the samples read so far.
    #[cfg(test)]
    pub(crate) fn state(&self) -> State {
        self.state
    }

    fn read(&mut self) -> Result<(i64, f64), CodecError> {
        let state = &mut self.state;
        if self.first {
            self.first = false;
            state.time = self.reader.signed()?;
            state.bits = self.reader.u64()?;
            state.exponent = decimal::exponent(f64::from_bits(state.bits), 0).unwrap_or(0);
            return Ok((state.time, f64::from_bits(state.bits)));
        }
        let control = self.reader.byte()?;
        match control & KIND_MASK {
            0 => {
                // Sign-extends the low six bits.
                let difference = i64::from((control << 2).cast_signed() >> 2);
                state.add(difference);
            }
            GENERAL => {
                if control & TIME_FOLLOWS != 0 {
                    state.distance = state.distance.wrapping_add(self.reader.signed()?);
                }
                state.exponent = (control >> 3) & 7;
                if state.exponent > decimal::EXPONENT_MAX {
                    return Err(CodecError("an exponent is out of range"));
                }
                match (control >> 1) & 3 {
                    VALUE_SAME => {}
                    VALUE_MANTISSA => {
                        let difference = self.reader.signed()?;
                        state.add(difference);
                    }
                    VALUE_BYTES => {
                        let shape = self.reader.byte()?;
                        let (trailing, length) = (shape >> 4, usize::from(shape & 15));
                        if trailing > 7 || length > 8 {
                            return Err(CodecError("a value has too many bytes"));
                        }
                        let mut bytes = [0u8; 8];
                        bytes[..length].copy_from_slice(self.reader.take(length)?);
                        state.bits ^= u64::from_le_bytes(bytes) << (8 * trailing);
                    }
                    _ => return Err(CodecError("an unknown kind of value")),
                }
            }
            _ => return Err(CodecError("an unknown kind of sample")),
        }
        state.time = state.time.wrapping_add(state.distance);
        Ok((state.time, f64::from_bits(state.bits)))
    }
}

impl State {
    #[inline]
    fn add(&mut self, difference: i64) {
        let before = decimal::mantissa(f64::from_bits(self.bits), self.exponent).unwrap_or(0);
        self.bits = decimal::value(before.wrapping_add(difference), self.exponent).to_bits();
    }
}

impl Iterator for Decoder<'_> {
    type Item = Result<(i64, f64), CodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.reader.rest.is_empty() { None } else { Some(self.read()) }
    }
}
