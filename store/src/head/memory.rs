//! What the head may hold: a share of the process's memory, a part of it for series and the rest for their samples.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use vocab::{Labels, MemoryPool, MemoryReservation};

use super::series::Series;

/// Part of the share up to which new series are taken; known ones may fill the rest with samples.
const SERIES_PERCENT: usize = 75;

/// Part of the share at which samples are moved into blocks.
const FLUSH_PERCENT: usize = 70;

/// A flush below this part of the share would free too little to be worth a block.
const FLUSH_SAMPLES_PERCENT: usize = 10;

/// Part of the share at which even samples of known series have to wait: a flush is under way long before.
const EXHAUSTED_PERCENT: usize = 125;

/// Counts the head's bytes in its share.
#[derive(Debug)]
pub(crate) struct HeadMemory {
    pool: Arc<MemoryPool>,
    series_bytes: AtomicUsize,
    samples_bytes: AtomicUsize,
    num_samples: AtomicUsize,
    /// What of the sum the share had room for: samples of known series go on being taken when it is used up.
    reserved: Mutex<MemoryReservation>,
}

impl HeadMemory {
    pub(super) fn new(pool: &Arc<MemoryPool>) -> Self {
        Self {
            pool: Arc::clone(pool),
            series_bytes: AtomicUsize::new(0),
            samples_bytes: AtomicUsize::new(0),
            num_samples: AtomicUsize::new(0),
            reserved: Mutex::new(pool.reservation("the head")),
        }
    }

    /// Takes a new series' bytes; false when there is no room for it.
    pub(super) fn series_added(&self, labels: &Labels) -> bool {
        let bytes = Series::base_bytes(labels);
        let limit = self.pool.limit_bytes();
        let room_for_series = self.series_bytes.load(Ordering::Relaxed) + bytes <= percent(limit, SERIES_PERCENT);
        if !room_for_series || self.used_bytes() + bytes > limit {
            return false;
        }
        self.series_bytes.fetch_add(bytes, Ordering::Relaxed);
        self.settle();
        true
    }

    /// Takes the bytes of a series that was acknowledged by an earlier run.
    pub(super) fn series_replayed(&self, labels: &Labels) {
        self.series_bytes.fetch_add(Series::base_bytes(labels), Ordering::Relaxed);
        self.settle();
    }

    pub(super) fn series_removed(&self, labels: &Labels) {
        self.series_bytes.fetch_sub(Series::base_bytes(labels), Ordering::Relaxed);
        self.settle();
    }

    /// Notes that the bytes of samples have changed.
    pub(super) fn samples_changed(&self, change: isize) {
        if change != 0 {
            self.samples_bytes.fetch_add(change.cast_unsigned(), Ordering::Relaxed);
            self.settle();
        }
    }

    /// Notes that samples have come.
    pub(super) fn samples_added(&self, count: usize) {
        self.num_samples.fetch_add(count, Ordering::Relaxed);
    }

    /// Notes that samples are gone.
    pub(super) fn samples_dropped(&self, count: usize) {
        self.num_samples.fetch_sub(count, Ordering::Relaxed);
    }

    /// Samples held, of all tenants.
    pub(super) fn num_samples(&self) -> u64 {
        self.num_samples.load(Ordering::Relaxed) as u64
    }

    /// Brings the reservation in line with what is held, as far as the share has room.
    fn settle(&self) {
        let reserved = self.reserved.lock();
        let (held, wanted) = (reserved.bytes(), self.used_bytes());
        if wanted < held {
            reserved.shrink(held - wanted);
        } else if wanted > held && reserved.try_grow(wanted - held).is_err() {
            let room = self.pool.limit_bytes().saturating_sub(self.pool.used_bytes());
            // Another consumer of the share may be quicker; then the next change tries again.
            drop(reserved.try_grow(room.min(wanted - held)));
        }
    }

    /// Whether samples should be moved into blocks for want of memory.
    pub(crate) fn wants_flush(&self) -> bool {
        let limit = self.pool.limit_bytes();
        self.used_bytes() > percent(limit, FLUSH_PERCENT)
            && self.samples_bytes.load(Ordering::Relaxed) > percent(limit, FLUSH_SAMPLES_PERCENT)
    }

    /// Whether series take so much that idle ones should go early.
    pub(crate) fn is_crowded(&self) -> bool {
        self.series_bytes.load(Ordering::Relaxed) > percent(self.pool.limit_bytes(), SERIES_PERCENT / 2)
    }

    /// Whether even samples of known series have to wait.
    pub(crate) fn is_exhausted(&self) -> bool {
        self.used_bytes() > percent(self.pool.limit_bytes(), EXHAUSTED_PERCENT)
    }

    pub(crate) fn used_bytes(&self) -> usize {
        self.series_bytes.load(Ordering::Relaxed) + self.samples_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn limit_bytes(&self) -> usize {
        self.pool.limit_bytes()
    }
}

fn percent(of: usize, percent: usize) -> usize {
    of / 100 * percent
}
