//! Reads the index of a block.

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use roaring::RoaringBitmap;
use ulid::Ulid;
use vocab::{Labels, TimestampMs};

use super::group_cache::GroupCache;
use super::index_build::{POSTINGS_BITMAP, POSTINGS_LIST};
use crate::codec::shared_times::SharedTimes;
use crate::codec::{CodecError, varint};
use crate::downsample::{COLUMNS, Column, Resolution};
use crate::error::StoreError;
use crate::query::postings::LabelIndex;

/// First bytes of an index file; the last digit is the version of the format.
pub(super) const MAGIC: &[u8; 8] = b"TWIDX001";

/// The same of an index that has columns of downsampled data as well.
pub(super) const MAGIC_WITH_COLUMNS: &[u8; 8] = b"TWIDX002";

/// The same of an index that has, columns or not, times which chunks share.
pub(super) const MAGIC_WITH_TIMES: &[u8; 8] = b"TWIDX003";

/// Series that are compressed together.
pub(super) const GROUP_SERIES: usize = 64;

/// Every so many values one stands whole.
pub(super) const RESTART_VALUES: usize = 16;

/// Largest group before compression, so that a wrong length cannot ask for more.
const GROUP_BYTES_MAX: usize = 256 << 20;

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ChunkKind {
    /// Floats.
    Float,
    /// Native histograms.
    Histogram,
    /// A column of downsampled floats.
    Column(Resolution, Column),
}

impl ChunkKind {
    /// Its number: 0 floats, 1 histograms, from 2 on the columns.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Float => 0,
            Self::Histogram => 1,
            Self::Column(resolution, column) => {
                let first = if resolution == Resolution::FiveMinutes { 2 } else { 7 };
                first + column as u8
            }
        }
    }

    fn of_code(code: u64) -> Option<Self> {
        let column = |code: u64| COLUMNS.get(usize::try_from(code).ok()?).copied();
        Some(match code {
            0 => Self::Float,
            1 => Self::Histogram,
            2..7 => Self::Column(Resolution::FiveMinutes, column(code - 2)?),
            _ => Self::Column(Resolution::Hour, column(code.checked_sub(7)?)?),
        })
    }
}

/// Bits of the kind in an index, and in one with columns.
pub(super) const KIND_BITS: u32 = 1;
pub(super) const KIND_BITS_WITH_COLUMNS: u32 = 4;

/// Where a chunk is and what it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct ChunkEntry {
    pub(crate) kind: ChunkKind,
    pub(crate) min_time: TimestampMs,
    pub(crate) max_time: TimestampMs,
    pub(crate) num_samples: u32,
    /// Where its payload begins in the file of samples.
    pub(crate) offset: u64,
    pub(crate) length: u32,
    /// CRC32C of the payload.
    pub(crate) crc32c: u32,
}

impl ChunkEntry {
    pub(super) fn push(&self, raw: &mut Vec<u8>, kind_bits: u32, previous_time: &mut i64, previous_end: &mut u64) {
        varint::push(raw, u64::from(self.num_samples) << kind_bits | u64::from(self.kind.code()));
        varint::push_signed(raw, self.min_time.wrapping_sub(*previous_time));
        varint::push_signed(raw, self.max_time.wrapping_sub(self.min_time));
        varint::push_signed(raw, self.offset.wrapping_sub(*previous_end).cast_signed());
        varint::push(raw, u64::from(self.length));
        raw.extend_from_slice(&self.crc32c.to_le_bytes());
        *previous_time = self.min_time;
        *previous_end = self.offset + u64::from(self.length);
    }

    fn read(
        reader: &mut varint::Reader<'_>,
        kind_bits: u32,
        previous_time: &mut i64,
        previous_end: &mut u64,
    ) -> Result<Self, CodecError> {
        let wrong = |_| CodecError("a chunk's size is out of range");
        let head = reader.unsigned()?;
        let min_time = previous_time.wrapping_add(reader.signed()?);
        let max_time = min_time.wrapping_add(reader.signed()?);
        let offset = previous_end.wrapping_add(reader.signed()?.cast_unsigned());
        let length = u32::try_from(reader.unsigned()?).map_err(wrong)?;
        let crc32c = reader.u32()?;
        *previous_time = min_time;
        *previous_end = offset.wrapping_add(u64::from(length));
        let kind = ChunkKind::of_code(head & ((1 << kind_bits) - 1)).ok_or(CodecError("an unknown kind of chunk"))?;
        let num_samples = u32::try_from(head >> kind_bits).map_err(wrong)?;
        Ok(Self { kind, min_time, max_time, num_samples, offset, length, crc32c })
    }
}

/// A series of a block and its chunks.
#[derive(Debug, Clone)]
pub(crate) struct IndexedSeries {
    pub(crate) labels: Labels,
    /// Its floats and histograms.
    pub(crate) chunks: Vec<ChunkEntry>,
    /// What was downsampled of them, if anything.
    pub(crate) columns: Vec<ChunkEntry>,
}

impl IndexedSeries {
    /// Bytes this takes, its own place included.
    pub(super) fn heap_bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + self.labels.heap_bytes()
            + (self.chunks.len() + self.columns.len()) * std::mem::size_of::<ChunkEntry>()
    }
}

/// The index of a block, in memory as it stands in the file.
#[derive(Debug)]
pub(crate) struct BlockIndex {
    path: PathBuf,
    /// The block's name and where its groups are kept once they are decoded.
    cache: Option<(Ulid, Arc<GroupCache>)>,
    bytes: Vec<u8>,
    kind_bits: u32,
    num_series: u32,
    groups: Vec<Range<usize>>,
    /// Names in order, each with the range of its values.
    names: Vec<(String, Range<usize>)>,
    /// The table of times that chunks share; empty when there is none.
    times: Range<usize>,
}

impl BlockIndex {
    /// Reads and checks an index file.
    pub(crate) fn load(path: &Path) -> Result<Self, StoreError> {
        let bytes = std::fs::read(path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => StoreError::damaged(path, "it is missing"),
            _ => StoreError::io("read", path, e),
        })?;
        Self::parse(path, bytes).map_err(|e| StoreError::damaged(path, e.0))
    }

    /// The same index, which from now on keeps what it decodes.
    pub(super) fn with_cache(self, ulid: Ulid, cache: &Arc<GroupCache>) -> Self {
        Self { cache: Some((ulid, Arc::clone(cache))), ..self }
    }

    pub(super) fn parse(path: &Path, bytes: Vec<u8>) -> Result<Self, CodecError> {
        let (content, checksum) = bytes.split_last_chunk::<4>().ok_or(CodecError("it is too short"))?;
        let kind_bits = if content.starts_with(MAGIC) {
            KIND_BITS
        } else if content.starts_with(MAGIC_WITH_COLUMNS) || content.starts_with(MAGIC_WITH_TIMES) {
            KIND_BITS_WITH_COLUMNS
        } else {
            return Err(CodecError("its first bytes are not those of an index of this version"));
        };
        if crc32c::crc32c(content) != u32::from_le_bytes(*checksum) {
            return Err(CodecError("its checksum does not fit"));
        }
        let (before, directory_at) = content.split_last_chunk::<8>().ok_or(CodecError("it is too short"))?;
        let at = usize::try_from(u64::from_le_bytes(*directory_at)).unwrap_or(usize::MAX);
        let mut reader = varint::Reader::new(before.get(at..).ok_or(CodecError("its directory is missing"))?);
        let num_series = u32::try_from(reader.unsigned()?).map_err(|_| CodecError("it has too many series"))?;
        let range = |reader: &mut varint::Reader<'_>| {
            let start = reader.size()?;
            let end = start.checked_add(reader.size()?).filter(|&end| end <= at);
            end.map(|end| start..end).ok_or(CodecError("a part lies outside"))
        };
        let num_groups = reader.count()?;
        let groups = (0..num_groups).map(|_| range(&mut reader)).collect::<Result<_, _>>()?;
        let num_names = reader.count()?;
        let names = (0..num_names)
            .map(|_| {
                let name = reader.text()?.to_owned();
                Ok((name, range(&mut reader)?))
            })
            .collect::<Result<_, _>>()?;
        let times = if content.starts_with(MAGIC_WITH_TIMES) { range(&mut reader)? } else { 0..0 };
        Ok(Self { path: path.to_owned(), cache: None, kind_bits, num_series, groups, names, times, bytes })
    }

    /// The times that chunks share.
    pub(super) fn shared_times(&self) -> Result<SharedTimes<'_>, CodecError> {
        if self.times.is_empty() {
            return Ok(SharedTimes::default());
        }
        SharedTimes::parse(self.bytes.get(self.times.clone()).ok_or(CodecError("a part lies outside"))?)
    }

    /// Bytes in memory.
    pub(crate) fn heap_bytes(&self) -> usize {
        self.bytes.len() + self.groups.len() * 16 + self.names.len() * 64
    }

    fn damaged(&self, error: CodecError) -> StoreError {
        StoreError::damaged(&self.path, error.0)
    }

    /// Series by number, ascending, with their chunks.
    pub(crate) fn series(
        &self,
        wanted: &RoaringBitmap,
        mut visit: impl FnMut(&IndexedSeries) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut current: Option<(usize, Arc<[IndexedSeries]>)> = None;
        for id in wanted {
            let number = id as usize / GROUP_SERIES;
            let group = match &current {
                Some((at, group)) if *at == number => group,
                _ => &current.insert((number, self.kept_group(number)?)).1,
            };
            let series = group.get(id as usize % GROUP_SERIES);
            visit(series.ok_or_else(|| self.damaged(CodecError("a series number is out of range")))?)?;
        }
        Ok(())
    }

    /// A group from the cache, or decoded and put there.
    fn kept_group(&self, group: usize) -> Result<Arc<[IndexedSeries]>, StoreError> {
        let Some((ulid, cache)) = &self.cache else { return Ok(self.series_of_group(group)?.into()) };
        if let Some(kept) = cache.get((*ulid, group)) {
            return Ok(kept);
        }
        let decoded = self.series_of_group(group)?.into();
        cache.put((*ulid, group), &decoded);
        Ok(decoded)
    }

    /// Number of groups into which the series are divided.
    pub(crate) fn num_groups(&self) -> usize {
        self.groups.len()
    }

    /// The series of a group in order.
    pub(crate) fn series_of_group(&self, group: usize) -> Result<Vec<IndexedSeries>, StoreError> {
        self.read_group(group).map_err(|e| self.damaged(e))
    }

    fn read_group(&self, group: usize) -> Result<Vec<IndexedSeries>, CodecError> {
        let raw = self.group(group)?;
        let mut reader = varint::Reader::new(&raw);
        let mut state = (String::new(), 0i64, 0u64);
        let num_series = (self.num_series as usize).saturating_sub(group * GROUP_SERIES).min(GROUP_SERIES);
        (0..num_series).map(|_| read_series(&mut reader, self.kind_bits, &mut state)).collect()
    }

    fn group(&self, group: usize) -> Result<Vec<u8>, CodecError> {
        let range = self.groups.get(group).cloned().ok_or(CodecError("a series number is out of range"))?;
        let mut reader = varint::Reader::new(self.bytes.get(range).ok_or(CodecError("a part lies outside"))?);
        let length = reader.size()?;
        if length > GROUP_BYTES_MAX {
            return Err(CodecError("a group of series is too large"));
        }
        zstd::bulk::decompress(reader.rest, length).map_err(|_| CodecError("zstd cannot read a group of series"))
    }

    /// Names of all labels, sorted.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.names.iter().map(|n| n.0.as_str())
    }

    /// The values of a label in order, each with its encoded postings.
    pub(crate) fn values(
        &self,
        name: &str,
        mut visit: impl FnMut(&str, &[u8]) -> Result<(), CodecError>,
    ) -> Result<(), StoreError> {
        let Some(values) = self.values_of(name).map_err(|e| self.damaged(e))? else { return Ok(()) };
        let mut reader = varint::Reader::new(values.entries);
        let mut text = Vec::new();
        while !reader.rest.is_empty() {
            read_value(&mut reader, &mut text)
                .and_then(|postings| visit(as_text(&text)?, postings))
                .map_err(|e| self.damaged(e))?;
        }
        Ok(())
    }

    /// The values of a label in order, each with the number of its series.
    pub(crate) fn value_sizes(&self, name: &str, mut visit: impl FnMut(&str, u64)) -> Result<(), StoreError> {
        self.values(name, |value, postings| {
            visit(value, read_postings(postings)?.len());
            Ok(())
        })
    }

    fn values_of(&self, name: &str) -> Result<Option<Values<'_>>, CodecError> {
        let Ok(at) = self.names.binary_search_by(|n| n.0.as_str().cmp(name)) else { return Ok(None) };
        let range = self.names[at].1.clone();
        let mut reader = varint::Reader::new(self.bytes.get(range).ok_or(CodecError("a part lies outside"))?);
        let num_values = reader.size()?;
        let entries = reader.bytes()?;
        let restarts = reader.take(num_values.div_ceil(RESTART_VALUES).saturating_mul(4))?;
        Ok(Some(Values { entries, restarts }))
    }

    fn find_value(&self, name: &str, wanted: &str) -> Result<RoaringBitmap, CodecError> {
        let Some(values) = self.values_of(name)? else { return Ok(RoaringBitmap::new()) };
        let mut text = Vec::new();
        // The last run whose first value is not behind the wanted one.
        let (mut low, mut high) = (0, values.restarts.len() / 4);
        while low + 1 < high {
            let middle = low.midpoint(high);
            let mut reader = values.run(middle)?;
            read_value(&mut reader, &mut text)?;
            if text.as_slice() <= wanted.as_bytes() { low = middle } else { high = middle }
        }
        if high == 0 {
            return Ok(RoaringBitmap::new());
        }
        let mut reader = values.run(low)?;
        for _ in 0..RESTART_VALUES {
            if reader.rest.is_empty() {
                break;
            }
            let postings = read_value(&mut reader, &mut text)?;
            if text == wanted.as_bytes() {
                return read_postings(postings);
            }
        }
        Ok(RoaringBitmap::new())
    }
}

struct Values<'a> {
    entries: &'a [u8],
    /// Where each run of entries begins, as little-endian `u32`.
    restarts: &'a [u8],
}

impl<'a> Values<'a> {
    fn run(&self, index: usize) -> Result<varint::Reader<'a>, CodecError> {
        let outside = CodecError("a run of values lies outside");
        let at = self.restarts.get(index * 4..).and_then(|r| r.first_chunk::<4>()).ok_or(outside)?;
        let rest = self.entries.get(u32::from_le_bytes(*at) as usize..).ok_or(outside)?;
        Ok(varint::Reader::new(rest))
    }
}

/// Reads the next entry: its value replaces `text`; its postings are given.
fn read_value<'a>(reader: &mut varint::Reader<'a>, text: &mut Vec<u8>) -> Result<&'a [u8], CodecError> {
    read_shared(reader, text)?;
    reader.bytes()
}

fn read_shared(reader: &mut varint::Reader<'_>, text: &mut Vec<u8>) -> Result<(), CodecError> {
    let shared = reader.size()?;
    if shared > text.len() {
        return Err(CodecError("a text shares more than there is"));
    }
    text.truncate(shared);
    text.extend_from_slice(reader.bytes()?);
    Ok(())
}

fn as_text(bytes: &[u8]) -> Result<&str, CodecError> {
    std::str::from_utf8(bytes).map_err(|_| CodecError("a text is not UTF-8"))
}

fn read_postings(bytes: &[u8]) -> Result<RoaringBitmap, CodecError> {
    let mut reader = varint::Reader::new(bytes);
    match reader.byte()? {
        POSTINGS_LIST => {
            let mut set = RoaringBitmap::new();
            let mut id = 0u64;
            while !reader.rest.is_empty() {
                id = id.wrapping_add(reader.unsigned()?);
                set.insert(u32::try_from(id).map_err(|_| CodecError("a series number is out of range"))?);
            }
            Ok(set)
        }
        POSTINGS_BITMAP => {
            RoaringBitmap::deserialize_from(reader.rest).map_err(|_| CodecError("a bitmap cannot be read"))
        }
        _ => Err(CodecError("an unknown kind of postings")),
    }
}

/// Reads the next series of a group.
fn read_series(
    reader: &mut varint::Reader<'_>,
    kind_bits: u32,
    state: &mut (String, i64, u64),
) -> Result<IndexedSeries, CodecError> {
    let (labels, previous_time, previous_end) = state;
    let shared = reader.size()?;
    if !labels.is_char_boundary(shared) {
        return Err(CodecError("a text shares more than there is"));
    }
    labels.truncate(shared);
    labels.push_str(reader.text()?);
    let num_chunks = reader.count()?;
    let (mut chunks, mut columns) = (Vec::with_capacity(num_chunks), Vec::new());
    for _ in 0..num_chunks {
        let entry = ChunkEntry::read(reader, kind_bits, previous_time, previous_end)?;
        if matches!(entry.kind, ChunkKind::Column(..)) { columns.push(entry) } else { chunks.push(entry) }
    }
    let labels = Labels::from_packed(labels).ok_or(CodecError("a label set is not valid"))?;
    Ok(IndexedSeries { labels, chunks, columns })
}

impl LabelIndex for BlockIndex {
    fn all(&self) -> Result<RoaringBitmap, StoreError> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..self.num_series);
        Ok(all)
    }

    fn with_value(&self, name: &str, value: &str) -> Result<RoaringBitmap, StoreError> {
        self.find_value(name, value).map_err(|e| self.damaged(e))
    }

    fn with_values(&self, name: &str, wanted: &mut dyn FnMut(&str) -> bool) -> Result<RoaringBitmap, StoreError> {
        let mut set = RoaringBitmap::new();
        self.values(name, |value, postings| {
            if wanted(value) {
                set |= read_postings(postings)?;
            }
            Ok(())
        })?;
        Ok(set)
    }
}
