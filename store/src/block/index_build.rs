//! Writes the index of a block.

use std::collections::BTreeSet;

use hashbrown::HashMap;
use roaring::RoaringBitmap;
use vocab::Labels;

use super::index::{
    ChunkEntry, ChunkKind, GROUP_SERIES, KIND_BITS, KIND_BITS_WITH_COLUMNS, MAGIC, MAGIC_WITH_COLUMNS,
    MAGIC_WITH_TIMES, RESTART_VALUES,
};
use crate::codec::shared_times::SharedTimesWriter;
use crate::codec::{CodecError, varint};

/// A value's series stand in a plain list up to this many; then as a bitmap.
const LIST_MAX: usize = 16;

/// Label names whose values are gathered in one pass over the series.
const NAMES_TOGETHER: usize = 4;

/// Kinds of postings.
pub(super) const POSTINGS_LIST: u8 = 0;
pub(super) const POSTINGS_BITMAP: u8 = 1;

/// The series and chunks of a block in the order of writing.
#[derive(Debug, Default)]
pub(super) struct IndexBuilder {
    series: Vec<(Labels, u32)>,
    chunks: Vec<ChunkEntry>,
    /// Times that chunks share.
    pub(super) times: SharedTimesWriter,
}

impl IndexBuilder {
    /// Begins the next series; series come ascending by packed labels.
    pub(super) fn series(&mut self, labels: &Labels) {
        self.series.push((labels.clone(), 0));
    }

    /// Adds a chunk of the last series. Its offset is set later.
    pub(super) fn chunk(&mut self, entry: ChunkEntry) {
        if let Some(series) = self.series.last_mut() {
            series.1 += 1;
            self.chunks.push(entry);
        }
    }

    /// The chunks, to set their offsets.
    pub(super) fn chunks_mut(&mut self) -> &mut [ChunkEntry] {
        &mut self.chunks
    }

    pub(super) fn num_series(&self) -> usize {
        self.series.len()
    }

    /// Makes room for so many series of a chunk each at once: what grows by itself is twice in memory while it does.
    pub(super) fn reserve(&mut self, num_series: usize) {
        self.series.reserve_exact(num_series);
        self.chunks.reserve_exact(num_series);
    }

    /// The index file. What it was made of is no longer needed and goes on the way.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, CodecError> {
        let has_columns = self.has_columns();
        let magic = match (self.times.is_empty(), has_columns) {
            (false, _) => MAGIC_WITH_TIMES,
            (true, true) => MAGIC_WITH_COLUMNS,
            (true, false) => MAGIC,
        };
        let mut bytes = magic.to_vec();
        let kind_bits = if magic == MAGIC { KIND_BITS } else { KIND_BITS_WITH_COLUMNS };
        let mut directory = Vec::new();
        let groups = self.push_groups(kind_bits, &mut bytes)?;
        self.chunks = Vec::new();
        let names = self.push_values(&mut bytes)?;
        let times_at = bytes.len();
        if !self.times.is_empty() {
            self.times.push_table(&mut bytes);
        }
        varint::push(&mut directory, self.series.len() as u64);
        varint::push(&mut directory, groups.len() as u64);
        for (offset, length) in groups {
            varint::push(&mut directory, offset as u64);
            varint::push(&mut directory, length as u64);
        }
        varint::push(&mut directory, names.len() as u64);
        for (name, offset, length) in names {
            varint::push_bytes(&mut directory, name.as_bytes());
            varint::push(&mut directory, offset as u64);
            varint::push(&mut directory, length as u64);
        }
        if !self.times.is_empty() {
            varint::push(&mut directory, times_at as u64);
            varint::push(&mut directory, (bytes.len() - times_at) as u64);
        }
        let directory_at = bytes.len() as u64;
        bytes.extend_from_slice(&directory);
        bytes.extend_from_slice(&directory_at.to_le_bytes());
        let checksum = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&checksum.to_le_bytes());
        Ok(bytes)
    }

    /// Whether a chunk is a column of downsampled data.
    pub(super) fn has_columns(&self) -> bool {
        self.chunks.iter().any(|c| matches!(c.kind, ChunkKind::Column(..)))
    }

    /// Series in groups, each compressed: labels behind what they share with the series before, then chunks.
    fn push_groups(&self, kind_bits: u32, bytes: &mut Vec<u8>) -> Result<Vec<(usize, usize)>, CodecError> {
        let mut compressor = zstd::bulk::Compressor::new(3).map_err(|_| CodecError("zstd cannot start"))?;
        let mut groups = Vec::new();
        let mut chunks = self.chunks.iter();
        for group in self.series.chunks(GROUP_SERIES) {
            let mut raw = Vec::new();
            let (mut previous_labels, mut previous_time, mut previous_end) = ("", 0i64, 0u64);
            for (labels, num_chunks) in group {
                push_shared(&mut raw, previous_labels, labels.packed());
                previous_labels = labels.packed();
                varint::push(&mut raw, u64::from(*num_chunks));
                for chunk in chunks.by_ref().take(*num_chunks as usize) {
                    chunk.push(&mut raw, kind_bits, &mut previous_time, &mut previous_end);
                }
            }
            let compressed = compressor.compress(&raw).map_err(|_| CodecError("zstd refused the bytes"))?;
            let start = bytes.len();
            varint::push(bytes, raw.len() as u64);
            bytes.extend_from_slice(&compressed);
            groups.push((start, bytes.len() - start));
        }
        Ok(groups)
    }

    /// For each label name its values in order, each with its series: a few names at a time, because all of them together would be as
    /// large as the head.
    fn push_values(&self, bytes: &mut Vec<u8>) -> Result<Vec<(&str, usize, usize)>, CodecError> {
        let mut names: BTreeSet<&str> = BTreeSet::new();
        // One by one: collected, every label of every series would be in memory before the first is found to be known.
        for (name, _) in self.series.iter().flat_map(|(labels, _)| labels) {
            names.insert(name);
        }
        let names: Vec<&str> = names.into_iter().collect();
        let mut table = Vec::with_capacity(names.len());
        for names in names.chunks(NAMES_TOGETHER) {
            let mut values: Vec<ValuesOfName<'_>> = names.iter().map(|_| ValuesOfName::default()).collect();
            for (id, (labels, _)) in (0u32..).zip(&self.series) {
                for (name, value) in labels {
                    if let Some(at) = names.iter().position(|n| *n == name) {
                        values[at].push(id, value);
                    }
                }
            }
            for (name, values) in names.iter().zip(values) {
                let start = bytes.len();
                values.write(bytes)?;
                table.push((*name, start, bytes.len() - start));
            }
        }
        Ok(table)
    }
}

/// The values of a label and the series that have them. One list for all series and not one a value: of a label with a million values
/// those would be as large as the head.
#[derive(Debug, Default)]
struct ValuesOfName<'a> {
    numbers: HashMap<&'a str, u32>,
    /// How many series each value has.
    sizes: Vec<u32>,
    /// Series that have the label, each with its value's number.
    series: Vec<(u32, u32)>,
}

impl<'a> ValuesOfName<'a> {
    fn push(&mut self, series: u32, value: &'a str) {
        // There are no more values than series, so their numbers fit.
        let next = self.sizes.len() as u32;
        let number = *self.numbers.entry(value).or_insert(next);
        if number == next {
            self.sizes.push(0);
        }
        self.sizes[number as usize] += 1;
        self.series.push((series, number));
    }

    /// Values in order, each with its series.
    fn write(self, bytes: &mut Vec<u8>) -> Result<(), CodecError> {
        let mut ends: Vec<usize> = Vec::with_capacity(self.sizes.len());
        let mut begin = 0;
        for size in &self.sizes {
            ends.push(begin);
            begin += *size as usize;
        }
        let mut grouped = vec![0; self.series.len()];
        for (series, value) in self.series {
            let at = &mut ends[value as usize];
            grouped[*at] = series;
            *at += 1;
        }
        let mut values: Vec<(&str, u32)> = self.numbers.into_iter().collect();
        values.sort_unstable_by_key(|v| v.0);
        let with_series = values.iter().map(|&(value, number)| {
            let (end, size) = (ends[number as usize], self.sizes[number as usize] as usize);
            (value, &grouped[end - size..end])
        });
        push_values_of_name(bytes, with_series)
    }
}

/// Entries in runs that each begin with a whole value; behind them where the runs begin, so that one can be found by bisection.
fn push_values_of_name<'a>(
    bytes: &mut Vec<u8>,
    values: impl ExactSizeIterator<Item = (&'a str, &'a [u32])>,
) -> Result<(), CodecError> {
    let mut entries = Vec::new();
    let mut restarts: Vec<u32> = Vec::new();
    let mut previous = "";
    let num_values = values.len() as u64;
    for (index, (value, series)) in values.enumerate() {
        if index % RESTART_VALUES == 0 {
            restarts.push(u32::try_from(entries.len()).map_err(|_| CodecError("a label has too many values"))?);
            previous = "";
        }
        push_shared(&mut entries, previous, value);
        previous = value;
        varint::push_bytes(&mut entries, &postings_bytes(series)?);
    }
    varint::push(bytes, num_values);
    varint::push(bytes, entries.len() as u64);
    bytes.extend_from_slice(&entries);
    for restart in restarts {
        bytes.extend_from_slice(&restart.to_le_bytes());
    }
    Ok(())
}

fn postings_bytes(series: &[u32]) -> Result<Vec<u8>, CodecError> {
    let mut bytes = Vec::new();
    if series.len() <= LIST_MAX {
        bytes.push(POSTINGS_LIST);
        let mut previous = 0;
        for &id in series {
            varint::push(&mut bytes, u64::from(id - previous));
            previous = id;
        }
    } else {
        bytes.push(POSTINGS_BITMAP);
        let mut series: RoaringBitmap = series.iter().copied().collect();
        series.optimize();
        series.serialize_into(&mut bytes).map_err(|_| CodecError("a bitmap cannot be written"))?;
    }
    Ok(bytes)
}

/// Appends a text behind the number of bytes that it shares with the one before.
fn push_shared(bytes: &mut Vec<u8>, previous: &str, text: &str) {
    let mut shared = previous.bytes().zip(text.bytes()).take_while(|(a, b)| a == b).count();
    while !text.is_char_boundary(shared) {
        shared -= 1;
    }
    varint::push(bytes, shared as u64);
    varint::push_bytes(bytes, &text.as_bytes()[shared..]);
}
