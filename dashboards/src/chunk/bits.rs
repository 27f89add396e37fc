//! Streams of bits, most significant first, and the numbers of varying length that chunks are made of.

use super::ChunkError;

/// Writes bits.
#[derive(Debug, Default)]
pub(super) struct BitWriter {
    pub(super) bytes: Vec<u8>,
    /// Bits of the last byte that are still free.
    free: u32,
}

impl BitWriter {
    /// A writer that goes on behind whole bytes.
    pub(super) fn after(bytes: Vec<u8>) -> Self {
        Self { bytes, free: 0 }
    }

    pub(super) fn bit(&mut self, bit: bool) {
        self.bits(u64::from(bit), 1);
    }

    /// Writes the lowest `count` bits of `value`.
    pub(super) fn bits(&mut self, value: u64, mut count: u32) {
        while count > 0 {
            if self.free == 0 {
                self.bytes.push(0);
                self.free = 8;
            }
            let take = count.min(self.free);
            let part = (value >> (count - take)) & ((1u64 << take) - 1);
            if let Some(last) = self.bytes.last_mut() {
                *last |= (part as u8) << (self.free - take);
            }
            self.free -= take;
            count -= take;
        }
    }

    /// A whole number in base-128 groups, lowest first.
    pub(super) fn uvarint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bits(value & 0x7f | 0x80, 8);
            value >>= 7;
        }
        self.bits(value, 8);
    }

    /// A signed number, its sign in the lowest bit.
    pub(super) fn varint(&mut self, value: i64) {
        self.uvarint(((value << 1) ^ (value >> 63)) as u64);
    }

    /// A signed number in as few bits as its size class needs.
    pub(super) fn varbit_int(&mut self, value: i64) {
        let class = SIZES.iter().position(|size| fits(value, *size)).filter(|_| value != 0);
        self.varbit(value as u64, if value == 0 { 0 } else { class.map_or(8, |c| c + 1) });
    }

    /// An unsigned number in as few bits as its size class needs.
    pub(super) fn varbit_uint(&mut self, value: u64) {
        let class = SIZES.iter().position(|size| value.leading_zeros() >= 64 - size);
        self.varbit(value, if value == 0 { 0 } else { class.map_or(8, |c| c + 1) });
    }

    fn varbit(&mut self, value: u64, class: usize) {
        match class {
            0 => self.bit(false),
            8 => {
                self.bits(0xff, 8);
                self.bits(value, 64);
            }
            class => {
                let width = class as u32 + 1;
                // `class` ones and a zero.
                self.bits((1 << width) - 2, width);
                self.bits(value, SIZES[class - 1]);
            }
        }
    }
}

/// Bits of the size classes 1 to 7; class 0 is the number 0, class 8 has all 64.
const SIZES: [u32; 7] = [3, 6, 9, 12, 18, 25, 56];

/// Whether a signed number fits into a size, whose range is shifted up by one.
pub(super) fn fits(value: i64, size: u32) -> bool {
    let half = 1i64 << (size - 1);
    -(half - 1) <= value && value <= half
}

/// Reads bits.
#[derive(Debug)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// Position in bits.
    at: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    pub(super) fn bit(&mut self) -> Result<bool, ChunkError> {
        Ok(self.bits(1)? == 1)
    }

    pub(super) fn bits(&mut self, mut count: u32) -> Result<u64, ChunkError> {
        let mut value = 0u64;
        while count > 0 {
            let byte = *self.bytes.get(self.at / 8).ok_or(ChunkError::Short)?;
            let have = 8 - (self.at % 8) as u32;
            let take = count.min(have);
            let part = (u64::from(byte) >> (have - take)) & ((1 << take) - 1);
            value = value << take | part;
            self.at += take as usize;
            count -= take;
        }
        Ok(value)
    }

    /// A signed number of `size` bits, as [`fits`] has it.
    pub(super) fn signed(&mut self, size: u32) -> Result<i64, ChunkError> {
        let value = self.bits(size)? as i64;
        Ok(if size < 64 && value > 1 << (size - 1) { value - (1 << size) } else { value })
    }

    pub(super) fn float(&mut self) -> Result<f64, ChunkError> {
        Ok(f64::from_bits(self.bits(64)?))
    }

    pub(super) fn uvarint(&mut self) -> Result<u64, ChunkError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.bits(8)?;
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(ChunkError::Number)
    }

    pub(super) fn varint(&mut self) -> Result<i64, ChunkError> {
        let value = self.uvarint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn class(&mut self) -> Result<usize, ChunkError> {
        let mut ones = 0;
        while ones < 8 && self.bit()? {
            ones += 1;
        }
        Ok(ones)
    }

    pub(super) fn varbit_int(&mut self) -> Result<i64, ChunkError> {
        match self.class()? {
            0 => Ok(0),
            8 => Ok(self.bits(64)? as i64),
            class => self.signed(SIZES[class - 1]),
        }
    }

    pub(super) fn varbit_uint(&mut self) -> Result<u64, ChunkError> {
        match self.class()? {
            0 => Ok(0),
            8 => self.bits(64),
            class => self.bits(SIZES[class - 1]),
        }
    }
}

/// A column of floats, each as its difference in bits to the one before.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Xor {
    pub(super) value: f64,
    /// Window of significant bits of the last difference written out: leading and trailing zeros.
    window: Option<(u32, u32)>,
}

impl Xor {
    pub(super) fn starting(value: f64) -> Self {
        Self { value, window: None }
    }

    pub(super) fn write(&mut self, out: &mut BitWriter, value: f64) {
        let delta = value.to_bits() ^ self.value.to_bits();
        self.value = value;
        if delta == 0 {
            return out.bit(false);
        }
        out.bit(true);
        let (leading, trailing) = (delta.leading_zeros().min(31), delta.trailing_zeros());
        if let Some((left, right)) = self.window.filter(|w| leading >= w.0 && trailing >= w.1) {
            out.bit(false);
            return out.bits(delta >> right, 64 - left - right);
        }
        self.window = Some((leading, trailing));
        let width = 64 - leading - trailing;
        out.bit(true);
        out.bits(u64::from(leading), 5);
        // 64 does not fit into six bits; it stands as 0, which does not occur otherwise.
        out.bits(u64::from(width % 64), 6);
        out.bits(delta >> trailing, width);
    }

    pub(super) fn read(&mut self, from: &mut BitReader<'_>) -> Result<f64, ChunkError> {
        if !from.bit()? {
            return Ok(self.value);
        }
        if from.bit()? {
            let leading = from.bits(5)? as u32;
            let width = match from.bits(6)? as u32 {
                0 => 64,
                width => width,
            };
            let trailing = (64 - leading).checked_sub(width).ok_or(ChunkError::Number)?;
            self.window = Some((leading, trailing));
        }
        let (left, right) = self.window.ok_or(ChunkError::Number)?;
        let delta = from.bits(64 - left - right)? << right;
        self.value = f64::from_bits(self.value.to_bits() ^ delta);
        Ok(self.value)
    }
}
