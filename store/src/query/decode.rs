//! From chunks in several places to one series, each time once.

use std::ops::Range;
use std::sync::Arc;

use hashbrown::HashMap;
use vocab::sample::{SeriesData, StartTimes};
use vocab::{NativeHistogram, TimestampMs, is_stale_nan};

use super::gather::{Gathered, SeriesSources};
use crate::block::{Block, BlockSet, ChunkEntry, ChunkKind, ChunkReader, SeriesSamples};
use crate::codec::compact;
use crate::downsample::Column;
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

    /// The samples of a series in the search's time range; with a column this where downsampled data stands for samples, and the
    /// samples among it as that column would give them.
    pub(crate) fn column(&mut self, sources: &SeriesSources, column: Option<Column>) -> Result<SeriesData, StoreError> {
        let mut parts = Parts::default();
        let empty = Snapshot::default();
        let head = sources.head.as_deref().unwrap_or(&empty);
        for place in places(sources, head, column) {
            let before = parts.values.len();
            self.read(sources, head, place, &mut parts)?;
            if column == Some(Column::Count) && !matches!(place, Place::Column(_)) {
                parts.count_from(before);
            }
        }
        let before = parts.values.len();
        parts.snapshot_rest(head);
        if column == Some(Column::Count) {
            parts.count_from(before);
        }
        Ok(parts.finish(sources, self.gathered.start, self.gathered.end))
    }

    /// What [`Decoder::column`] gives for sums and for counts; what is in no column is decoded once for both.
    pub(crate) fn means(&mut self, sources: &SeriesSources) -> Result<(SeriesData, SeriesData), StoreError> {
        let (mut sums, mut counts) = (Parts::default(), Parts::default());
        let empty = Snapshot::default();
        let head = sources.head.as_deref().unwrap_or(&empty);
        let mut decoded: HashMap<Place<'_>, Range<usize>> = HashMap::new();
        for place in places(sources, head, Some(Column::Sum)) {
            let before = sums.times.len();
            self.read(sources, head, place, &mut sums)?;
            decoded.insert(place, before..sums.times.len());
        }
        for place in places(sources, head, Some(Column::Count)) {
            match place {
                Place::Column(_) => self.read(sources, head, place, &mut counts)?,
                _ => counts.count_like(&sums, decoded.get(&place).cloned().unwrap_or_default()),
            }
        }
        let before = sums.times.len();
        sums.snapshot_rest(head);
        counts.count_like(&sums, before..sums.times.len());
        let (start, end) = (self.gathered.start, self.gathered.end);
        Ok((sums.finish(sources, start, end), counts.finish(sources, start, end)))
    }

    /// Adds what one place has.
    fn read(
        &mut self,
        sources: &SeriesSources,
        head: &Snapshot,
        place: Place<'_>,
        parts: &mut Parts,
    ) -> Result<(), StoreError> {
        let (block, entry) = match place {
            Place::Head(number) => return parts.compact(head, number),
            Place::Chunk((block, entry)) | Place::Column((block, entry)) => (*block, entry),
        };
        let deleted = sources.deleted.iter().find(|(number, _)| *number == block).map(|(_, d)| d);
        let block = block as usize;
        let read = self.reader(block).and_then(|reader| parts.chunk(reader, entry, deleted));
        if let Err(error) = &read {
            self.report(block, error);
        }
        read
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

/// Where some of a series' samples are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Place<'a> {
    /// A chunk of a block.
    Chunk(&'a (u32, ChunkEntry)),
    /// A chunk of a column.
    Column(&'a (u32, ChunkEntry)),
    /// A chunk of the head, by its number.
    Head(usize),
}

/// Where the samples of a series are, in the order in which they are read.
fn places<'a>(sources: &'a SeriesSources, head: &Snapshot, column: Option<Column>) -> Vec<Place<'a>> {
    let is_wanted = |c: &&(u32, ChunkEntry)| matches!(c.1.kind, ChunkKind::Column(_, of) if Some(of) == column);
    let chunks = sources.chunks.iter().map(|chunk| (Place::Chunk(chunk), (chunk.1.min_time, chunk.1.max_time)));
    let columns = sources.columns.iter().filter(is_wanted);
    let columns = columns.map(|chunk| (Place::Column(chunk), (chunk.1.min_time, chunk.1.max_time)));
    let in_head = head.chunks.iter().enumerate().map(|(at, c)| (Place::Head(at), (c.min_time, c.max_time)));
    let (places, ranges): (Vec<_>, Vec<_>) = chunks.chain(columns).chain(in_head).unzip();
    order_of(&ranges).into_iter().map(|at| places[at]).collect()
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
    /// Since when the samples count; what is missing at the end is not known.
    starts: Vec<TimestampMs>,
    histogram_starts: Vec<TimestampMs>,
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
            let (histograms, starts) = reader.histograms(entry)?;
            for (number, histogram) in histograms.into_iter().enumerate() {
                if deleted.is_none_or(|d| !d.has(histogram.0)) {
                    let start = starts.get(number).copied().unwrap_or(0);
                    StartTimes::note(&mut self.histogram_starts, self.histograms.len(), start);
                    self.histograms.push(histogram);
                }
            }
            return Ok(());
        }
        let Some(deleted) = deleted else {
            return self.floats(|times, values, starts| reader.floats(entry, times, values, starts));
        };
        let (mut times, mut values, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        reader.floats(entry, &mut times, &mut values, &mut starts)?;
        self.floats(|into_times, into_values, into_starts| {
            for (number, (time, value)) in times.into_iter().zip(values).enumerate() {
                if !deleted.has(time) {
                    StartTimes::note(into_starts, into_times.len(), starts.get(number).copied().unwrap_or(0));
                    into_times.push(time);
                    into_values.push(value);
                }
            }
            Ok(())
        })
    }

    /// Adds what `read` appends.
    pub(crate) fn floats(
        &mut self,
        read: impl FnOnce(&mut Vec<TimestampMs>, &mut Vec<f64>, &mut Vec<TimestampMs>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let before = self.times.len();
        let read = read(&mut self.times, &mut self.values, &mut self.starts);
        if read.is_err() {
            self.times.truncate(before);
            self.values.truncate(before);
            self.starts.truncate(before);
        }
        self.joined_at(before);
        read
    }

    /// Makes every sample from a place on count as one, staleness markers as none.
    fn count_from(&mut self, place: usize) {
        for value in self.values.iter_mut().skip(place).filter(|v| !is_stale_nan(**v)) {
            *value = 1.0;
        }
    }

    /// Adds the times of other samples, each counting as one, staleness markers as none.
    fn count_like(&mut self, others: &Self, range: Range<usize>) {
        let before = self.times.len();
        self.times.extend_from_slice(&others.times[range.clone()]);
        self.values.extend_from_slice(&others.values[range]);
        self.count_from(before);
        self.joined_at(before);
    }

    fn joined_at(&mut self, before: usize) {
        if before > 0 && self.times.get(before).is_some_and(|next| *next <= self.times[before - 1]) {
            self.unsorted = true;
        }
    }

    /// Adds a chunk of the head.
    pub(crate) fn compact(&mut self, head: &Snapshot, chunk: usize) -> Result<(), StoreError> {
        let Some(chunk) = head.chunks.get(chunk) else { return Ok(()) };
        self.floats(|times, values, starts| {
            let before = times.len();
            times.reserve(chunk.num_samples as usize);
            values.reserve(chunk.num_samples as usize);
            for sample in compact::Decoder::new(&chunk.bytes) {
                let (time, value) = sample?;
                times.push(time);
                values.push(value);
            }
            if let Some(steps) = &head.starts {
                (before..times.len()).for_each(|at| StartTimes::note(starts, at, steps.at(times[at])));
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
        let before = self.histograms.len();
        self.histograms.extend(head.histograms.iter().cloned());
        if let Some(steps) = &head.starts {
            for (number, (time, _)) in head.late.iter().enumerate() {
                StartTimes::note(&mut self.starts, self.times.len() - head.late.len() + number, steps.at(*time));
            }
            for (number, (time, _)) in head.histograms.iter().enumerate() {
                StartTimes::note(&mut self.histogram_starts, before + number, steps.at(*time));
            }
        }
    }

    /// Sorts by time; of several samples at one time the one that was added first stays. Lists of start times are empty or whole
    /// afterwards.
    pub(crate) fn sort(&mut self) {
        complete(&mut self.starts, self.times.len());
        complete(&mut self.histogram_starts, self.histograms.len());
        if std::mem::take(&mut self.unsorted) {
            let mut order: Vec<u32> = (0..).take(self.times.len()).collect();
            order.sort_by_key(|&i| self.times[i as usize]);
            order.dedup_by_key(|i| self.times[*i as usize]);
            self.values = order.iter().map(|&i| self.values[i as usize]).collect();
            self.times = order.iter().map(|&i| self.times[i as usize]).collect();
            if !self.starts.is_empty() {
                self.starts = order.iter().map(|&i| self.starts[i as usize]).collect();
            }
        }
        self.sort_histograms();
    }

    fn sort_histograms(&mut self) {
        let times = &self.times;
        let is_sorted = self.histograms.is_sorted_by(|a, b| a.0 < b.0);
        if is_sorted && (times.is_empty() || self.histograms.is_empty()) {
            return;
        }
        let starts = std::mem::take(&mut self.histogram_starts);
        let has_starts = !starts.is_empty();
        let starts = starts.into_iter().chain(std::iter::repeat(0));
        let mut all: Vec<_> = std::mem::take(&mut self.histograms).into_iter().zip(starts).collect();
        all.sort_by_key(|(histogram, _)| histogram.0);
        all.dedup_by_key(|(histogram, _)| histogram.0);
        all.retain(|(histogram, _)| times.binary_search(&histogram.0).is_err());
        let (histograms, starts): (Vec<_>, Vec<_>) = all.into_iter().unzip();
        self.histograms = histograms;
        if has_starts {
            self.histogram_starts = starts;
        }
    }

    /// Some of the samples, after they were sorted.
    pub(crate) fn samples(&self, floats: Range<usize>, histograms: Range<usize>) -> SeriesSamples<'_> {
        SeriesSamples {
            times: &self.times[floats.clone()],
            values: &self.values[floats.clone()],
            starts: self.starts.get(floats).unwrap_or_default(),
            histograms: &self.histograms[histograms.clone()],
            histogram_starts: self.histogram_starts.get(histograms).unwrap_or_default(),
        }
    }

    fn finish(mut self, sources: &SeriesSources, start: TimestampMs, end: TimestampMs) -> SeriesData {
        self.sort();
        let to = self.times.partition_point(|&t| t <= end);
        let from = self.times.partition_point(|&t| t < start).min(to);
        cut(&mut self.times, from..to);
        cut(&mut self.values, from..to);
        cut(&mut self.starts, from..to);
        let to = self.histograms.partition_point(|h| h.0 <= end);
        let from = self.histograms.partition_point(|h| h.0 < start).min(to);
        cut(&mut self.histograms, from..to);
        cut(&mut self.histogram_starts, from..to);
        let some_known = |starts: Vec<i64>| if starts.iter().any(|s| *s != 0) { starts } else { Vec::new() };
        let starts = StartTimes { floats: some_known(self.starts), histograms: some_known(self.histogram_starts) };
        SeriesData {
            labels: sources.labels.clone(),
            timestamps: self.times,
            values: self.values,
            histograms: self.histograms,
            starts: (!starts.is_empty()).then(|| Box::new(starts)),
        }
    }
}

/// Says of all samples since when they count if it is said of some.
fn complete(starts: &mut Vec<TimestampMs>, num_samples: usize) {
    if !starts.is_empty() {
        starts.resize(num_samples, 0);
    }
}

/// Leaves what lies in a range, which may be more than there is.
fn cut<T>(list: &mut Vec<T>, range: Range<usize>) {
    list.truncate(range.end);
    list.drain(..range.start.min(list.len()));
}
