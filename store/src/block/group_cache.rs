//! Groups of series as block indexes give them, decoded, in memory up to a limit.

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use ulid::Ulid;
use vocab::{MemoryPool, MemoryReservation};

use super::index::IndexedSeries;

/// Part of the share that groups may fill; the rest is for the indexes themselves.
const SHARE_PERCENT: usize = 60;

/// A block and the number of one of its groups.
type Key = (Ulid, usize);

/// Keeps groups. When room is needed, they are gone through in the order of their coming, and one that was not used since its last
/// turn gives way.
#[derive(Debug)]
pub(crate) struct GroupCache {
    inner: Mutex<Inner>,
    reservation: MemoryReservation,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Key, Entry>,
    turns: VecDeque<Key>,
}

#[derive(Debug)]
struct Entry {
    series: Arc<[IndexedSeries]>,
    bytes: usize,
    used: bool,
}

impl GroupCache {
    pub(super) fn new(pool: &Arc<MemoryPool>) -> Self {
        Self { inner: Mutex::default(), reservation: pool.reservation("series of block indexes") }
    }

    pub(super) fn get(&self, key: Key) -> Option<Arc<[IndexedSeries]>> {
        let mut inner = self.inner.lock();
        let entry = inner.entries.get_mut(&key)?;
        entry.used = true;
        Some(Arc::clone(&entry.series))
    }

    /// Keeps a group when there is room for it, now or after others gave way.
    pub(super) fn put(&self, key: Key, series: &Arc<[IndexedSeries]>) {
        let bytes = series.iter().map(IndexedSeries::heap_bytes).sum::<usize>() + 128;
        let limit = self.reservation.pool().limit_bytes() / 100 * SHARE_PERCENT;
        let mut inner = self.inner.lock();
        if bytes > limit || inner.entries.contains_key(&key) {
            return;
        }
        while self.reservation.bytes() + bytes > limit || self.reservation.try_grow(bytes).is_err() {
            let Some(freed) = inner.evict() else { return };
            self.reservation.shrink(freed);
        }
        inner.entries.insert(key, Entry { series: Arc::clone(series), bytes, used: false });
        inner.turns.push_back(key);
    }

    /// Drops what is kept of a block.
    pub(super) fn forget(&self, ulid: Ulid) {
        let mut freed = 0;
        let mut inner = self.inner.lock();
        inner.entries.retain(|key, entry| {
            let stays = key.0 != ulid;
            freed += if stays { 0 } else { entry.bytes };
            stays
        });
        inner.turns.retain(|key| key.0 != ulid);
        drop(inner);
        self.reservation.shrink(freed);
    }
}

impl Inner {
    /// Lets one group go; gives its bytes, or `None` when there is none.
    fn evict(&mut self) -> Option<usize> {
        loop {
            let key = self.turns.pop_front()?;
            let Some(entry) = self.entries.get_mut(&key) else { continue };
            if std::mem::take(&mut entry.used) {
                self.turns.push_back(key);
                continue;
            }
            return self.entries.remove(&key).map(|gone| gone.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::Labels;

    fn group(size: usize) -> Arc<[IndexedSeries]> {
        let labels = Labels::from_pairs([("a", "x".repeat(size))]);
        Arc::from([IndexedSeries { labels, chunks: Vec::new(), columns: Vec::new() }])
    }

    #[test]
    fn what_is_used_stays_and_the_share_is_never_exceeded() {
        let pool = MemoryPool::new("caches", 10_000);
        let cache = GroupCache::new(&pool);
        let block = Ulid::from_parts(1, 1);
        for number in 0..50 {
            cache.put((block, number), &group(500));
            assert!(cache.get((block, 0)).is_some(), "it is used all the time, so it is still there after {number}");
            assert!(pool.used_bytes() <= 6000);
        }
        assert!(cache.get((block, 49)).is_some());
        assert!(cache.get((block, 20)).is_none());
        cache.put((block, 99), &group(9000));
        assert!(cache.get((block, 99)).is_none(), "larger than the share");
        cache.forget(Ulid::from_parts(2, 2));
        assert!(cache.get((block, 0)).is_some());
        cache.forget(block);
        assert_eq!(pool.used_bytes(), 0);
    }
}
