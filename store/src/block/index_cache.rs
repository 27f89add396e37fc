//! Indexes of blocks that were used lately, in memory up to a limit.

use std::sync::Arc;

use hashbrown::HashMap;
use parking_lot::Mutex;
use ulid::Ulid;
use vocab::{MemoryPool, MemoryReservation};

use super::BlockIndex;
use super::file_cache::FileCache;
use super::group_cache::GroupCache;

/// Keeps indexes; the one that was not used for longest gives way.
#[derive(Debug)]
pub(crate) struct IndexCache {
    inner: Mutex<Inner>,
    reservation: MemoryReservation,
    /// What the indexes have decoded.
    pub(super) groups: Arc<GroupCache>,
    /// Files that the indexes point into.
    pub(super) files: FileCache,
}

#[derive(Debug, Default)]
struct Inner {
    entries: HashMap<Ulid, (Arc<BlockIndex>, u64)>,
    clock: u64,
}

impl IndexCache {
    pub(crate) fn new(pool: &Arc<MemoryPool>) -> Self {
        Self {
            inner: Mutex::default(),
            reservation: pool.reservation("block indexes"),
            groups: Arc::new(GroupCache::new(pool)),
            files: FileCache::default(),
        }
    }

    pub(crate) fn get(&self, ulid: Ulid) -> Option<Arc<BlockIndex>> {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let now = inner.clock;
        let entry = inner.entries.get_mut(&ulid)?;
        entry.1 = now;
        Some(Arc::clone(&entry.0))
    }

    /// Keeps an index when there is room for it, now or after others gave way.
    pub(crate) fn put(&self, ulid: Ulid, index: &Arc<BlockIndex>) {
        let mut inner = self.inner.lock();
        inner.clock += 1;
        let now = inner.clock;
        while self.reservation.try_grow(index.heap_bytes()).is_err() {
            let oldest = inner.entries.iter().min_by_key(|(_, entry)| entry.1).map(|(ulid, _)| *ulid);
            let Some((evicted, _)) = oldest.and_then(|ulid| inner.entries.remove(&ulid)) else { return };
            self.reservation.shrink(evicted.heap_bytes());
        }
        if let Some((replaced, _)) = inner.entries.insert(ulid, (Arc::clone(index), now)) {
            self.reservation.shrink(replaced.heap_bytes());
        }
    }

    pub(crate) fn forget(&self, ulid: Ulid) {
        if let Some((index, _)) = self.inner.lock().entries.remove(&ulid) {
            self.reservation.shrink(index.heap_bytes());
        }
        self.groups.forget(ulid);
        self.files.forget(ulid);
    }
}
