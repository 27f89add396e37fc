//! Times that several chunks have alike, written once: whoever is scraped gives all its series the same times.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashMap};

use super::{CodecError, times, varint};

/// A sequence that takes no more bytes than this stands in each payload.
const SINGLE_BYTES_MAX: usize = 8;

/// Sequences that are remembered, so that one which comes again is known: about 3 MB. Later ones are not shared.
const REMEMBERED_MAX: usize = 1 << 16;

/// Bytes of all shared sequences together: they are in memory with the index. Later ones are not shared.
const TABLE_BYTES_MAX: usize = 16 << 20;

/// What is known of a sequence that was written before.
#[derive(Debug, Clone, Copy)]
enum Seen {
    /// It is so short that it is never shared.
    Short,
    /// It stands in one payload.
    Once,
    /// It has this number in the table.
    Shared(u32),
}

/// The sequences of a block that is being written.
#[derive(Debug, Default)]
pub(crate) struct SharedTimesWriter {
    hasher: DefaultHashBuilder,
    /// By the hash of the times; whether they are the same is looked up in the table.
    seen: HashMap<u64, Seen>,
    /// Each shared sequence as its form and its bytes.
    entries: Vec<u8>,
    /// Where each begins, as little-endian `u32`.
    offsets: Vec<u8>,
    /// A sequence read back to compare it.
    scratch: Vec<i64>,
}

impl SharedTimesWriter {
    /// Writes ascending times, or the number under which they are shared; gives the bits for the payload's first byte.
    pub(super) fn push(&mut self, times: &[i64], buffer: &mut Vec<u8>) -> Result<u8, CodecError> {
        let key = self.hasher.hash_one(times);
        let seen = self.seen.get(&key).copied();
        if let Some(Seen::Shared(number)) = seen
            && self.is_shared(number, times)
        {
            varint::push(buffer, u64::from(number));
            return Ok(times::SHARED);
        }
        let start = buffer.len();
        let form = times::push(times, buffer)?;
        let length = buffer.len() - start;
        match seen {
            Some(Seen::Once) if self.entries.len() + length < TABLE_BYTES_MAX => {
                let full = |_| CodecError("too many shared times");
                let number = u32::try_from(self.offsets.len() / 4).map_err(full)?;
                let offset = u32::try_from(self.entries.len()).map_err(full)?;
                self.offsets.extend_from_slice(&offset.to_le_bytes());
                self.entries.push(form);
                self.entries.extend_from_slice(&buffer[start..]);
                buffer.truncate(start);
                self.seen.insert(key, Seen::Shared(number));
                varint::push(buffer, u64::from(number));
                return Ok(times::SHARED);
            }
            None if self.seen.len() < REMEMBERED_MAX => {
                let new = if length <= SINGLE_BYTES_MAX { Seen::Short } else { Seen::Once };
                self.seen.insert(key, new);
            }
            _ => {}
        }
        Ok(form)
    }

    /// Whether the sequence of a number is this one, and not another with the same hash.
    fn is_shared(&mut self, number: u32, times: &[i64]) -> bool {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.clear();
        let table = SharedTimes { entries: &self.entries, offsets: &self.offsets };
        let first = times.first().copied().unwrap_or(0);
        let same = table.read(u64::from(number), times.len(), first, &mut scratch).is_ok() && scratch == times;
        self.scratch = scratch;
        same
    }

    /// Whether no sequence is shared.
    pub(crate) fn is_empty(&self) -> bool {
        self.offsets.is_empty()
    }

    /// Appends the table: number of sequences, length of the sequences, the sequences, where each begins.
    pub(crate) fn push_table(&self, bytes: &mut Vec<u8>) {
        varint::push(bytes, (self.offsets.len() / 4) as u64);
        varint::push_bytes(bytes, &self.entries);
        bytes.extend_from_slice(&self.offsets);
    }
}

/// The table of shared sequences as it stands in an index.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SharedTimes<'a> {
    entries: &'a [u8],
    offsets: &'a [u8],
}

impl<'a> SharedTimes<'a> {
    /// Reads a table.
    pub(crate) fn parse(table: &'a [u8]) -> Result<Self, CodecError> {
        let mut reader = varint::Reader::new(table);
        let count = reader.size()?;
        let entries = reader.bytes()?;
        let offsets = reader.take(count.saturating_mul(4))?;
        Ok(Self { entries, offsets })
    }

    /// Reads the times of `num_samples` samples from the sequence of a number, appending to `times`.
    pub(super) fn read(
        self,
        number: u64,
        num_samples: usize,
        first_time: i64,
        times: &mut Vec<i64>,
    ) -> Result<(), CodecError> {
        let missing = CodecError("shared times are missing");
        let at = usize::try_from(number).ok().and_then(|n| n.checked_mul(4)).ok_or(missing)?;
        let offset = self.offsets.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or(missing)?;
        let entry = self.entries.get(u32::from_le_bytes(*offset) as usize..).ok_or(missing)?;
        let mut reader = varint::Reader::new(entry);
        let form = reader.byte()?;
        if form == times::SHARED {
            return Err(CodecError("shared times name others"));
        }
        times::read(&mut reader, form, num_samples, first_time, times)
    }
}
