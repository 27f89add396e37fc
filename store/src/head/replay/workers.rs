//! The threads that add replayed samples to the head.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use vocab::{NativeHistogram, TimestampMs};

use crate::head::TenantHead;
use crate::head::series::{Value, Verdict};
use crate::head::shard::{SeriesId, Shard};

/// More threads than this would wait for the one that decodes.
const WORKERS_MAX: usize = 4;

/// Loads that may wait for a worker.
const LOADS_QUEUED: usize = 2;

/// Samples of one shard in the order of the log.
#[derive(Debug, Default)]
pub(super) struct Load {
    pub(super) floats: Vec<(SeriesId, TimestampMs, f64)>,
    /// Since when the floats count; what is missing at the end is not known.
    pub(super) starts: Vec<TimestampMs>,
    pub(super) histograms: Vec<LoadedHistogram>,
}

/// A native histogram of a load.
#[derive(Debug)]
pub(super) struct LoadedHistogram {
    /// The number of floats before it.
    pub(super) num_before: usize,
    pub(super) id: SeriesId,
    pub(super) time: TimestampMs,
    pub(super) value: Arc<NativeHistogram>,
    /// Since when it counts; 0 when that is not known.
    pub(super) start: TimestampMs,
}

impl Load {
    pub(super) fn len(&self) -> usize {
        self.floats.len() + self.histograms.len()
    }
}

/// One load and where it belongs.
#[derive(Debug)]
struct Work {
    head: Arc<TenantHead>,
    generation: u32,
    shard: usize,
    load: Load,
}

/// The threads. A shard's loads all go to the same one, so that their order stays.
#[derive(Debug)]
pub(super) struct Workers {
    threads: Vec<(SyncSender<Work>, JoinHandle<u64>)>,
    /// Samples added by the calling thread, for want of others.
    num_own: u64,
}

impl Workers {
    pub(super) fn start() -> Self {
        let wanted = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(WORKERS_MAX);
        let threads = (0..wanted).map_while(|number| {
            let (sender, receiver) = sync_channel(LOADS_QUEUED);
            let thread = std::thread::Builder::new().name(format!("replay-{number}"));
            // With fewer threads than wanted it takes longer, that is all.
            Some((sender, thread.spawn(move || run(&receiver)).ok()?))
        });
        Self { threads: threads.collect(), num_own: 0 }
    }

    pub(super) fn push(&mut self, head: &Arc<TenantHead>, generation: u32, shard: usize, load: Load) {
        let work = Work { head: Arc::clone(head), generation, shard, load };
        let Some((sender, _)) = shard.checked_rem(self.threads.len()).and_then(|number| self.threads.get(number))
        else {
            self.num_own += add(work);
            return;
        };
        // A thread that panicked has told why; its part is done here.
        if let Err(returned) = sender.send(work) {
            self.num_own += add(returned.0);
        }
    }

    /// Waits until everything is added; gives the number of samples.
    pub(super) fn finish(self) -> u64 {
        let (senders, threads): (Vec<_>, Vec<_>) = self.threads.into_iter().unzip();
        drop(senders);
        self.num_own + threads.into_iter().map(|thread| thread.join().unwrap_or(0)).sum::<u64>()
    }
}

fn run(receiver: &Receiver<Work>) -> u64 {
    receiver.iter().map(add).sum()
}

/// Sums of what was added.
#[derive(Debug, Default)]
struct Added {
    num_samples: u64,
    bytes: isize,
    times: Option<(TimestampMs, TimestampMs)>,
}

/// Adds a load; gives the number of samples that were new.
fn add(work: Work) -> u64 {
    let Work { head, generation, shard, load } = work;
    let mut added = Added::default();
    let mut shard = head.shards[shard].lock();
    let start_of = |place: usize| load.starts.get(place).copied().unwrap_or(0);
    if load.histograms.is_empty() {
        for &place in &by_series(&load.floats) {
            let (id, time, value) = load.floats[place as usize];
            added.sample(&mut shard, generation, id, time, Value::Float(value), start_of(place as usize));
        }
    } else {
        let mut histograms = load.histograms.iter().peekable();
        for (place, &(id, time, value)) in load.floats.iter().enumerate() {
            while let Some(histogram) = histograms.next_if(|h| h.num_before <= place) {
                added.histogram(&mut shard, generation, histogram);
            }
            added.sample(&mut shard, generation, id, time, Value::Float(value), start_of(place));
        }
        histograms.for_each(|histogram| added.histogram(&mut shard, generation, histogram));
    }
    head.memory.samples_added(usize::try_from(added.num_samples).unwrap_or(usize::MAX));
    drop(shard);
    head.memory.samples_changed(added.bytes);
    if let Some((min, max)) = added.times {
        head.note_times(min, max);
    }
    added.num_samples
}

/// Places of the samples series by series, those of each in their order: a distribution by the numbers of the series.
fn by_series(floats: &[(SeriesId, TimestampMs, f64)]) -> Vec<u32> {
    let num_slots = floats.iter().map(|s| s.0.slot() + 1).max().unwrap_or(0);
    let mut next = vec![0u32; num_slots];
    for (id, ..) in floats {
        next[id.slot()] += 1;
    }
    let mut start = 0;
    for count in &mut next {
        start += std::mem::replace(count, start);
    }
    let mut places = vec![0; floats.len()];
    for (place, (id, ..)) in (0u32..).zip(floats) {
        let at = &mut next[id.slot()];
        places[*at as usize] = place;
        *at += 1;
    }
    places
}

impl Added {
    fn histogram(&mut self, shard: &mut Shard, generation: u32, histogram: &LoadedHistogram) {
        let LoadedHistogram { id, time, value, start, .. } = histogram;
        self.sample(shard, generation, *id, *time, Value::Histogram(value), *start);
    }

    fn sample(
        &mut self,
        shard: &mut Shard,
        generation: u32,
        id: SeriesId,
        time: TimestampMs,
        value: Value<'_>,
        start: TimestampMs,
    ) {
        // Windows and limits were applied when the sample was taken; only what was acknowledged is in the log.
        let Some(series) = shard.get_mut(id) else { return };
        if series.compare(time, value) == Verdict::New {
            self.bytes += series.add(generation, time, value, start);
            self.num_samples += 1;
            let (min, max) = self.times.unwrap_or((time, time));
            self.times = Some((min.min(time), max.max(time)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_distributed_by_series_in_their_order() {
        let check = |ids: &[u32], expect: &[u32]| {
            let floats: Vec<_> = ids.iter().map(|&id| (SeriesId(id), 0, 0.0)).collect();
            assert_eq!(by_series(&floats), expect, "{ids:?}");
        };
        check(&[], &[]);
        check(&[8, 0, 8, 16, 0], &[1, 4, 0, 2, 3]);
    }
}
