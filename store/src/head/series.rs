//! One series of the head: its newest sample, the chunk that grows, chunks that are finished, samples that came late.

use std::sync::Arc;

use vocab::{Labels, NativeHistogram, TimestampMs};

use super::sealed::{SealedChunk, SealedChunks};
use super::starts::StartSteps;
use crate::codec::compact;

/// A chunk that has this many samples is finished: long enough to be dense, short enough to look a sample up in it.
const CHUNK_SAMPLES_MAX: u32 = 120;

/// So many late samples are kept sorted in a vector; then they become a chunk of their own.
const LATE_SAMPLES_MAX: usize = 256;

/// Bytes for which a growing chunk's buffer has room at first: the first sample and a few usual ones.
const CHUNK_BYTES_FIRST: usize = 32;

/// Least number of bytes by which it grows.
const CHUNK_GROWTH_MIN: usize = 16;

/// Bytes that an allocation costs besides its content.
pub(super) const ALLOCATION_BYTES: usize = 16;

/// Bytes of a late sample in its vector.
const LATE_BYTES: isize = 16;

/// The chunk that grows.
#[derive(Debug)]
struct OpenChunk {
    num_samples: u32,
    generation: u32,
    state: compact::State,
    bytes: Vec<u8>,
}

/// What few series have.
#[derive(Debug, Default)]
struct Extra {
    late_generation: u32,
    /// Samples older than the newest, ascending by time.
    late: Vec<(TimestampMs, f64)>,
    /// Native histograms, ascending by time, with the flush each belongs to.
    histograms: Vec<(TimestampMs, Arc<NativeHistogram>, u32)>,
    /// Since when samples of both kinds count.
    starts: StartSteps,
}

/// A series of the head.
#[derive(Debug)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    newest: Option<(TimestampMs, Newest)>,
    /// The generation in which it was last touched.
    pub(crate) touched: u32,
    /// The generation in whose part of the log its labels stand.
    pub(crate) logged: u32,
    open: Option<Box<OpenChunk>>,
    sealed: SealedChunks,
    extra: Option<Box<Extra>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Newest {
    Float(u64),
    Histogram,
}

/// A sample to be compared or added.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'a> {
    /// A float.
    Float(f64),
    /// A native histogram.
    Histogram(&'a Arc<NativeHistogram>),
}

/// What is known of a sample before it is added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is new.
    New,
    /// The very same sample is there.
    Known,
    /// Another value stands at its time.
    Conflict,
}

/// Samples of one series, copied out of the head.
#[derive(Debug, Default, Clone)]
pub(crate) struct Snapshot {
    /// Chunks in the compact codec; they may overlap.
    pub(crate) chunks: Vec<SealedChunk>,
    /// Late samples, ascending by time.
    pub(crate) late: Vec<(TimestampMs, f64)>,
    /// Native histograms, ascending by time.
    pub(crate) histograms: Vec<(TimestampMs, Arc<NativeHistogram>)>,
    /// Since when they count; `None` when no sample says so.
    pub(crate) starts: Option<Box<StartSteps>>,
}

impl Snapshot {
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty() && self.late.is_empty() && self.histograms.is_empty()
    }

    /// Bytes that the copy takes; finished chunks are shared with the head, one that was open is not.
    pub(crate) fn heap_bytes(&self) -> usize {
        let open = self.chunks.last().map_or(0, |c| c.bytes.len() + ALLOCATION_BYTES);
        self.chunks.capacity() * std::mem::size_of::<SealedChunk>()
            + open
            + self.late.capacity() * std::mem::size_of::<(TimestampMs, f64)>()
            + self.histograms.capacity() * std::mem::size_of::<(TimestampMs, Arc<NativeHistogram>)>()
            + self.starts.as_ref().map_or(0, |s| s.heap_bytes().cast_unsigned())
    }
}

impl Extra {
    fn copy_starts(&self) -> Option<Box<StartSteps>> {
        (!self.starts.is_empty()).then(|| Box::new(self.starts.clone()))
    }
}

fn histogram_bytes(histogram: &NativeHistogram) -> isize {
    (histogram.heap_bytes() + 32).cast_signed()
}

impl Series {
    pub(crate) fn new(labels: Labels, generation: u32) -> Self {
        Self {
            labels,
            newest: None,
            touched: generation,
            logged: 0,
            open: None,
            sealed: SealedChunks::default(),
            extra: None,
        }
    }

    /// Time of the newest sample it ever had while it was in the head.
    pub(crate) fn newest(&self) -> Option<TimestampMs> {
        self.newest.map(|n| n.0)
    }

    /// Forgets its newest sample if that lies in a time range and is not held here any more.
    pub(crate) fn forget_newest(&mut self, start: TimestampMs, end: TimestampMs) {
        if self.is_empty() && self.newest.is_some_and(|(time, _)| time >= start && time <= end) {
            self.newest = None;
        }
    }

    /// Compares a sample with what the head holds.
    pub(crate) fn compare(&self, time: TimestampMs, value: Value<'_>) -> Verdict {
        let Some((newest_time, newest)) = self.newest else { return Verdict::New };
        if time > newest_time {
            return Verdict::New;
        }
        if time == newest_time
            && let (Newest::Float(bits), Value::Float(value)) = (newest, value)
        {
            return if bits == value.to_bits() { Verdict::Known } else { Verdict::Conflict };
        }
        let histogram = self.extra.as_ref().and_then(|extra| {
            let at = extra.histograms.binary_search_by_key(&time, |h| h.0).ok()?;
            extra.histograms.get(at).map(|h| &h.1)
        });
        let same = match (histogram, value) {
            (Some(there), Value::Histogram(value)) => same_histogram(there, value),
            (Some(_), Value::Float(_)) => false,
            (None, value) => match (self.float_at(time), value) {
                (Some(there), Value::Float(value)) => there.to_bits() == value.to_bits(),
                (Some(_), Value::Histogram(_)) => false,
                (None, Value::Histogram(_)) if time == newest_time => matches!(newest, Newest::Histogram),
                // The newest sample is a histogram that is in a block by now.
                (None, Value::Float(_)) if time == newest_time => false,
                (None, _) => return Verdict::New,
            },
        };
        if same { Verdict::Known } else { Verdict::Conflict }
    }

    fn float_at(&self, time: TimestampMs) -> Option<f64> {
        if let Some(extra) = &self.extra
            && let Ok(at) = extra.late.binary_search_by_key(&time, |s| s.0)
        {
            return extra.late.get(at).map(|s| s.1);
        }
        let open = self.open.iter().filter(|c| c.min_time() <= time).map(|c| c.bytes.as_slice());
        let sealed = self.sealed.iter().rev().filter(|c| (c.min_time..=c.max_time).contains(&time)).map(|c| &*c.bytes);
        open.chain(sealed)
            .find_map(|bytes| {
                // Bytes in memory were written by this process; an error would end the search as an absent sample does.
                compact::Decoder::new(bytes).map_while(Result::ok).take_while(|s| s.0 <= time).find(|s| s.0 == time)
            })
            .map(|s| s.1)
    }

    /// Adds a sample that [`Series::compare`] called new; `start` says since when it counts, 0 that it is not known. Gives the
    /// change of its memory in bytes.
    pub(crate) fn add(&mut self, generation: u32, time: TimestampMs, value: Value<'_>, start: TimestampMs) -> isize {
        let mut change = self.seal_older(generation);
        let is_newest = self.newest.is_none_or(|n| time > n.0);
        if start != 0 || self.extra.as_ref().is_some_and(|e| !e.starts.is_empty()) {
            let starts = &mut self.extra.get_or_insert_default().starts;
            change -= starts.heap_bytes();
            starts.set(time, start, is_newest);
            change += starts.heap_bytes();
        }
        change += match value {
            Value::Float(value) if is_newest => self.push(generation, time, value),
            Value::Float(value) => self.push_late(generation, time, value),
            Value::Histogram(histogram) => {
                let histograms = &mut self.extra.get_or_insert_default().histograms;
                let at = histograms.partition_point(|h| h.0 < time);
                histograms.insert(at, (time, Arc::clone(histogram), generation));
                histogram_bytes(histogram)
            }
        };
        if is_newest {
            let newest = match value {
                Value::Float(value) => Newest::Float(value.to_bits()),
                Value::Histogram(_) => Newest::Histogram,
            };
            self.newest = Some((time, newest));
        }
        change
    }

    fn push(&mut self, generation: u32, time: TimestampMs, value: f64) -> isize {
        let mut change = 0;
        if self.open.as_ref().is_some_and(|c| c.num_samples >= CHUNK_SAMPLES_MAX) {
            change += self.seal_open();
        }
        match &mut self.open {
            Some(open) => {
                let before = open.heap_bytes();
                open.push(time, value);
                change + open.heap_bytes() - before
            }
            None => {
                let mut bytes = Vec::with_capacity(CHUNK_BYTES_FIRST);
                let state = compact::push_first(&mut bytes, time, value);
                let open = Box::new(OpenChunk { num_samples: 1, generation, state, bytes });
                change += open.heap_bytes();
                self.open = Some(open);
                change
            }
        }
    }

    fn push_late(&mut self, generation: u32, time: TimestampMs, value: f64) -> isize {
        let extra = self.extra.get_or_insert_default();
        extra.late_generation = generation;
        let at = extra.late.partition_point(|s| s.0 < time);
        extra.late.insert(at, (time, value));
        let full = extra.late.len() >= LATE_SAMPLES_MAX;
        LATE_BYTES + if full { self.seal_late() } else { 0 }
    }

    /// Finishes what belongs to an earlier flush, so that a chunk never belongs to two.
    fn seal_older(&mut self, generation: u32) -> isize {
        let mut change = 0;
        if self.open.as_ref().is_some_and(|c| c.generation != generation) {
            change += self.seal_open();
        }
        if self.extra.as_ref().is_some_and(|e| e.late_generation != generation && !e.late.is_empty()) {
            change += self.seal_late();
        }
        change
    }

    fn seal_open(&mut self) -> isize {
        let Some(open) = self.open.take() else { return 0 };
        let sealed = open.copy();
        let change = sealed.heap_bytes() - open.heap_bytes();
        self.sealed.push(sealed);
        change
    }

    fn seal_late(&mut self) -> isize {
        let Some(extra) = &mut self.extra else { return 0 };
        let late = std::mem::take(&mut extra.late);
        let freed = LATE_BYTES * late.len().cast_signed();
        let Some(sealed) = seal_samples(&late, extra.late_generation) else { return 0 };
        let change = sealed.heap_bytes() - freed;
        self.sealed.push(sealed);
        change
    }

    /// Copies out what lies in a time range.
    pub(crate) fn snapshot(&self, start: TimestampMs, end: TimestampMs) -> Snapshot {
        let mut out = Snapshot::default();
        // A query over many series holds one of these for each, so not a byte more than needed.
        let inside = |c: &&SealedChunk| c.min_time <= end && c.max_time >= start;
        let num_inside = self.sealed.iter().filter(inside).count();
        out.chunks.reserve_exact(num_inside + usize::from(self.open.is_some()));
        out.chunks.extend(self.sealed.iter().filter(inside).cloned());
        if let Some(open) = &self.open
            && open.state.last().0 >= start
            && open.min_time() <= end
        {
            out.chunks.push(open.copy());
        }
        if let Some(extra) = &self.extra {
            out.late.extend(extra.late.iter().filter(|s| s.0 >= start && s.0 <= end));
            let inside = extra.histograms.iter().filter(|h| h.0 >= start && h.0 <= end);
            out.histograms.extend(inside.map(|(t, h, _)| (*t, Arc::clone(h))));
            if !out.is_empty() {
                out.starts = extra.copy_starts();
            }
        }
        out
    }

    /// Whether it may have samples in a time range: exact for late samples and histograms, by chunk for the others.
    pub(crate) fn touches(&self, start: TimestampMs, end: TimestampMs) -> bool {
        self.sealed.iter().any(|c| c.min_time <= end && c.max_time >= start)
            || self.open.as_ref().is_some_and(|c| c.state.last().0 >= start && c.min_time() <= end)
            || self.extra.as_ref().is_some_and(|e| {
                e.late.iter().any(|s| s.0 >= start && s.0 <= end)
                    || e.histograms.iter().any(|h| h.0 >= start && h.0 <= end)
            })
    }

    /// Whether something of it belongs to a flush or to an earlier one.
    pub(crate) fn has_flush(&self, generation: u32) -> bool {
        self.sealed.iter().any(|c| c.generation <= generation)
            || self.open.as_ref().is_some_and(|c| c.generation <= generation)
            || self.extra.as_ref().is_some_and(|e| {
                (!e.late.is_empty() && e.late_generation <= generation)
                    || e.histograms.iter().any(|h| h.2 <= generation)
            })
    }

    /// Copies out what belongs to a flush or to an earlier one.
    pub(crate) fn snapshot_of_flush(&self, generation: u32) -> Snapshot {
        let mut out = Snapshot::default();
        out.chunks.extend(self.sealed.iter().filter(|c| c.generation <= generation).cloned());
        out.chunks.extend(self.open.iter().filter(|c| c.generation <= generation).map(|c| c.copy()));
        if let Some(extra) = &self.extra {
            if extra.late_generation <= generation {
                out.late.clone_from(&extra.late);
            }
            let mine = extra.histograms.iter().filter(|h| h.2 <= generation);
            out.histograms.extend(mine.map(|(t, h, _)| (*t, Arc::clone(h))));
            out.starts = extra.copy_starts();
        }
        out
    }

    /// Lets go of what a flush has written. Gives the change of its memory in bytes.
    pub(crate) fn drop_flushed(&mut self, generation: u32) -> isize {
        let mut freed = self.sealed.drop_flushed(generation);
        if let Some(open) = self.open.take_if(|c| c.generation <= generation) {
            freed += open.heap_bytes();
        }
        if let Some(extra) = &mut self.extra {
            if extra.late_generation <= generation {
                freed += LATE_BYTES * std::mem::take(&mut extra.late).len().cast_signed();
            }
            extra.histograms.retain(|h| {
                let keep = h.2 > generation;
                freed += if keep { 0 } else { histogram_bytes(&h.1) };
                keep
            });
        }
        -(freed + self.trim_extra())
    }

    /// Lets go of start times of samples that are gone, and of what is empty then. Gives the bytes freed.
    fn trim_extra(&mut self) -> isize {
        let Some(mut extra) = self.extra.take() else { return 0 };
        let before = extra.starts.heap_bytes();
        if before > 0 {
            let (late, histograms) = (extra.late.first().map(|s| s.0), extra.histograms.first().map(|h| h.0));
            let oldest = self.extent().map(|e| e.1);
            extra.starts.trim(oldest.into_iter().chain(late).chain(histograms).min());
        }
        let freed = before - extra.starts.heap_bytes();
        if !extra.late.is_empty() || !extra.histograms.is_empty() || !extra.starts.is_empty() {
            self.extra = Some(extra);
        }
        freed
    }

    /// Whether it holds no samples.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.is_none() && self.sealed.is_empty() && self.extra.is_none()
    }

    /// Number of samples, oldest and newest time held; `None` without samples.
    pub(crate) fn extent(&self) -> Option<(u64, TimestampMs, TimestampMs)> {
        let sealed = self.sealed.iter().map(|c| (u64::from(c.num_samples), c.min_time, c.max_time));
        let open = self.open.iter().map(|c| (u64::from(c.num_samples), c.min_time(), c.state.last().0));
        let late = self.extra.iter().flat_map(|e| e.late.iter().map(|s| (1, s.0, s.0)));
        let histograms = self.extra.iter().flat_map(|e| e.histograms.iter().map(|h| (1, h.0, h.0)));
        sealed.chain(open).chain(late).chain(histograms).reduce(|a, b| (a.0 + b.0, a.1.min(b.1), a.2.max(b.2)))
    }

    /// Bytes of a series with these labels besides its samples, its share of the index included.
    pub(crate) fn base_bytes(labels: &Labels) -> usize {
        // A slot, the table of hashes, and per label a posting and its part of the dictionary.
        std::mem::size_of::<Option<Self>>() + 32 + labels.heap_bytes() + labels.len() * 8 + 96
    }
}

impl OpenChunk {
    /// Time of its first sample, which is not kept a second time.
    fn min_time(&self) -> TimestampMs {
        // What this process wrote it can read.
        compact::first_time(&self.bytes).unwrap_or(TimestampMs::MIN)
    }

    fn push(&mut self, time: TimestampMs, value: f64) {
        if self.bytes.capacity() - self.bytes.len() >= compact::SAMPLE_BYTES_MAX {
            compact::push(&mut self.bytes, &mut self.state, time, value);
        } else {
            // Room for the longest sample, or doubling, would leave a third of the head's memory unused.
            let mut sample = Vec::with_capacity(compact::SAMPLE_BYTES_MAX);
            compact::push(&mut sample, &mut self.state, time, value);
            if self.bytes.capacity() - self.bytes.len() < sample.len() {
                self.bytes.reserve_exact(sample.len().max(CHUNK_GROWTH_MIN).max(self.bytes.len() / 4));
            }
            self.bytes.extend_from_slice(&sample);
        }
        self.num_samples += 1;
    }

    fn copy(&self) -> SealedChunk {
        SealedChunk {
            min_time: self.min_time(),
            max_time: self.state.last().0,
            num_samples: self.num_samples,
            generation: self.generation,
            bytes: self.bytes.as_slice().into(),
        }
    }

    fn heap_bytes(&self) -> isize {
        (std::mem::size_of::<Self>() + ALLOCATION_BYTES + self.bytes.capacity()).cast_signed()
    }
}

/// Chunks of samples that ascend by time.
fn seal_samples(samples: &[(TimestampMs, f64)], generation: u32) -> Option<SealedChunk> {
    let (first, rest) = samples.split_first()?;
    let mut bytes = Vec::with_capacity(samples.len() * 6);
    let mut state = compact::push_first(&mut bytes, first.0, first.1);
    for &(time, value) in rest {
        compact::push(&mut bytes, &mut state, time, value);
    }
    Some(SealedChunk {
        min_time: first.0,
        max_time: state.last().0,
        num_samples: u32::try_from(samples.len()).unwrap_or(u32::MAX),
        generation,
        bytes: bytes.into(),
    })
}

/// Equality bit for bit: a NaN sum equals itself.
fn same_histogram(a: &Arc<NativeHistogram>, b: &Arc<NativeHistogram>) -> bool {
    let bytes = |histogram: &NativeHistogram| {
        let mut bytes = Vec::new();
        crate::codec::histogram::push(&mut bytes, histogram);
        bytes
    };
    Arc::ptr_eq(a, b) || a == b || bytes(a) == bytes(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_million_new_series_each_takes_little() {
        assert!(std::mem::size_of::<Option<Series>>() <= 64);
        assert!(std::mem::size_of::<OpenChunk>() <= 64);
        let mut series = Series::new(Labels::empty(), 1);
        let (begin, values) = (1_700_000_000_000, [0.123_456_789, 0.987_654_321, 0.5, 0.314_159]);
        let taken: isize =
            (0i64..).zip(values).map(|(n, v)| series.add(1, begin + n * 15_000, Value::Float(v), 0)).sum();
        assert!(taken <= 144, "{taken} bytes for four samples of the longest form");
        let snapshot = series.snapshot(0, i64::MAX);
        let samples: Vec<_> =
            compact::Decoder::new(&snapshot.chunks[0].bytes).map(|s| s.expect("written here")).collect();
        let expect: Vec<_> = (0i64..).zip(values).map(|(n, v)| (begin + n * 15_000, v)).collect();
        assert_eq!((samples, series.extent()), (expect, Some((4, begin, begin + 45_000))));
    }
}
