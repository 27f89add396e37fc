//! From chunks in several places to one series, each time once.

use std::sync::Arc;

use vocab::sample::SeriesData;
use vocab::{NativeHistogram, TimestampMs};

use super::gather::{Gathered, SeriesSources};
use crate::block::{Block, BlockSet, ChunkEntry, ChunkReader};
use crate::codec::compact;
use crate::error::StoreError;
use crate::head::Snapshot;
use crate::tombstones::Deleted;

/// Decodes series of one search, in order, on one thread.
#[derive(Debug)]
pub(crate) struct Decoder<'a> {
    set: &'a BlockSet,
    gathered: &'a Gathered,
    readers: Vec<Option<ChunkReader>>,
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(set: &'a BlockSet, gathered: &'a Gathered) -> Self {
        let readers = gathered.blocks.iter().map(|_| None).collect();
        Self { set, gathered, readers }
    }

    /// The samples of a series in the search's time range.
    pub(crate) fn series(&mut self, sources: &SeriesSources) -> Result<SeriesData, StoreError> {
        let mut parts = Parts::default();
        let empty = Snapshot::default();
        let head = sources.head.as_deref().unwrap_or(&empty);
        let in_blocks = sources.chunks.iter().map(|(_, c)| (c.min_time, c.max_time));
        let in_head = head.chunks.iter().map(|c| (c.min_time, c.max_time));
        let order = order_of(&in_blocks.chain(in_head).collect::<Vec<_>>());
        for place in order {
            match sources.chunks.get(place) {
                Some((block, entry)) => {
                    let deleted = sources.deleted.iter().find(|(number, _)| number == block).map(|(_, d)| d);
                    let block = *block as usize;
                    let read = self.reader(block).and_then(|reader| parts.chunk(reader, entry, deleted));
                    if let Err(error) = read {
                        self.report(block, &error);
                        return Err(error);
                    }
                }
                None => parts.compact(head, place - sources.chunks.len())?,
            }
        }
        parts.snapshot_rest(head);
        Ok(parts.finish(sources, self.gathered.start, self.gathered.end))
    }

    fn reader(&mut self, block: usize) -> Result<&mut ChunkReader, StoreError> {
        let slot = &mut self.readers[block];
        match slot {
            Some(reader) => Ok(reader),
            None => Ok(slot.insert(ChunkReader::new(&self.gathered.blocks[block])?)),
        }
    }

    fn report(&self, block: usize, error: &StoreError) {
        let block: &Arc<Block> = &self.gathered.blocks[block];
        if matches!(error, StoreError::Damaged { .. }) {
            self.set.set_aside(block, error);
        }
    }
}

/// By time when nothing overlaps, so that the samples come out sorted; else as given, the ones first written first.
fn order_of(ranges: &[(TimestampMs, TimestampMs)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..ranges.len()).collect();
    if ranges.is_sorted_by(|a, b| a.1 < b.0) {
        return order;
    }
    order.sort_by_key(|&i| ranges[i].0);
    let apart = order.windows(2).all(|w| ranges[w[0]].1 < ranges[w[1]].0);
    if apart { order } else { (0..ranges.len()).collect() }
}

/// Samples of a series as they are collected from several places.
#[derive(Debug, Default)]
pub(crate) struct Parts {
    pub(crate) times: Vec<TimestampMs>,
    pub(crate) values: Vec<f64>,
    pub(crate) histograms: Vec<(TimestampMs, Arc<NativeHistogram>)>,
    unsorted: bool,
}

impl Parts {
    /// Adds a chunk of a block without what is deleted in it.
    pub(crate) fn chunk(
        &mut self,
        reader: &mut ChunkReader,
        entry: &ChunkEntry,
        deleted: Option<&Deleted>,
    ) -> Result<(), StoreError> {
        let deleted = deleted.filter(|d| d.has_any(entry.min_time, entry.max_time));
        if ChunkReader::is_histogram(entry) {
            let mut histograms = reader.histograms(entry)?;
            histograms.retain(|h| deleted.is_none_or(|d| !d.has(h.0)));
            self.histograms.append(&mut histograms);
            return Ok(());
        }
        let Some(deleted) = deleted else { return self.floats(|times, values| reader.floats(entry, times, values)) };
        let (mut times, mut values) = (Vec::new(), Vec::new());
        reader.floats(entry, &mut times, &mut values)?;
        self.floats(|into_times, into_values| {
            for (time, value) in times.into_iter().zip(values).filter(|(time, _)| !deleted.has(*time)) {
                into_times.push(time);
                into_values.push(value);
            }
            Ok(())
        })
    }

    /// Adds what `read` appends.
    pub(crate) fn floats(
        &mut self,
        read: impl FnOnce(&mut Vec<TimestampMs>, &mut Vec<f64>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let before = self.times.len();
        let read = read(&mut self.times, &mut self.values);
        if read.is_err() {
            self.times.truncate(before);
            self.values.truncate(before);
        }
        self.joined_at(before);
        read
    }

    fn joined_at(&mut self, before: usize) {
        if before > 0 && self.times.get(before).is_some_and(|next| *next <= self.times[before - 1]) {
            self.unsorted = true;
        }
    }

    /// Adds a chunk of the head.
    pub(crate) fn compact(&mut self, head: &Snapshot, chunk: usize) -> Result<(), StoreError> {
        let Some(chunk) = head.chunks.get(chunk) else { return Ok(()) };
        self.floats(|times, values| {
            times.reserve(chunk.num_samples as usize);
            values.reserve(chunk.num_samples as usize);
            for sample in compact::Decoder::new(&chunk.bytes) {
                let (time, value) = sample?;
                times.push(time);
                values.push(value);
            }
            Ok(())
        })
    }

    /// Adds what of a head is not in chunks.
    pub(crate) fn snapshot_rest(&mut self, head: &Snapshot) {
        if !head.late.is_empty() {
            let before = self.times.len();
            self.times.extend(head.late.iter().map(|s| s.0));
            self.values.extend(head.late.iter().map(|s| s.1));
            self.joined_at(before);
        }
        self.histograms.extend(head.histograms.iter().cloned());
    }

    /// Sorts by time; of several samples at one time the one that was added first stays.
    pub(crate) fn sort(&mut self) {
        if std::mem::take(&mut self.unsorted) {
            let mut order: Vec<u32> = (0..).take(self.times.len()).collect();
            order.sort_by_key(|&i| self.times[i as usize]);
            order.dedup_by_key(|i| self.times[*i as usize]);
            self.values = order.iter().map(|&i| self.values[i as usize]).collect();
            self.times = order.iter().map(|&i| self.times[i as usize]).collect();
        }
        if !self.histograms.is_empty() {
            self.histograms.sort_by_key(|h| h.0);
            self.histograms.dedup_by_key(|h| h.0);
            let times = &self.times;
            self.histograms.retain(|h| times.binary_search(&h.0).is_err());
        }
    }

    fn finish(mut self, sources: &SeriesSources, start: TimestampMs, end: TimestampMs) -> SeriesData {
        self.sort();
        let to = self.times.partition_point(|&t| t <= end);
        let from = self.times.partition_point(|&t| t < start).min(to);
        self.times.truncate(to);
        self.values.truncate(to);
        self.times.drain(..from);
        self.values.drain(..from);
        self.histograms.retain(|h| h.0 >= start && h.0 <= end);
        SeriesData {
            labels: sources.labels.clone(),
            timestamps: self.times,
            values: self.values,
            histograms: self.histograms,
            starts: None,
        }
    }
}
