//! The newest samples of every tenant, in memory: what is acknowledged and not yet in a block.

mod append;
mod churn;
mod grouping;
mod index;
mod limits;
mod memory;
mod metadata;
mod read;
pub(crate) mod record;
mod replay;
mod sealed;
mod series;
mod shard;
mod starts;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU32, AtomicUsize, Ordering};

use parking_lot::{Mutex, RwLock};
use vocab::{MemoryPool, TenantId, TimestampMs};

use crate::error::StoreError;

pub(crate) use churn::{Churn, HOUR_MS};
use index::HeadIndex;
pub use limits::HeadLimits;
use memory::HeadMemory;
pub(crate) use metadata::EXEMPLARS_DEFAULT;
use metadata::SideData;
pub(crate) use replay::{Replay, ReplayReport};
pub(crate) use series::Snapshot;
pub(crate) use shard::SeriesId;
use shard::{NUM_SHARDS, Shard};

/// New series are not counted, because they are not new.
const NO_HOUR: i64 = i64::MIN;

/// The heads of all tenants.
#[derive(Debug)]
pub(crate) struct Head {
    tenants: RwLock<BTreeMap<TenantId, Arc<TenantHead>>>,
    memory: Arc<HeadMemory>,
    /// Most exemplars of a tenant.
    exemplars_max: usize,
    /// Number of the current hour since 1970; new series are counted by it. [`NO_HOUR`] during a replay.
    hour: Arc<AtomicI64>,
    /// Number of the flush that what is written now will belong to.
    generation: AtomicU32,
}

/// One tenant's head.
#[derive(Debug)]
pub(crate) struct TenantHead {
    tenant: TenantId,
    shards: Box<[Mutex<Shard>]>,
    index: RwLock<HeadIndex>,
    num_series: AtomicUsize,
    side: Mutex<SideData>,
    /// Oldest and newest time of its samples; the oldest may be older than any sample that is left.
    times: Mutex<Option<(TimestampMs, TimestampMs)>>,
    memory: Arc<HeadMemory>,
}

/// What a head holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeadExtent {
    pub(crate) num_series: u64,
    pub(crate) num_samples: u64,
    pub(crate) min_time: Option<TimestampMs>,
    pub(crate) max_time: Option<TimestampMs>,
}

impl Head {
    pub(crate) fn new(exemplars_max: usize, pool: &Arc<MemoryPool>) -> Self {
        Self {
            tenants: RwLock::default(),
            memory: Arc::new(HeadMemory::new(pool)),
            exemplars_max,
            hour: Arc::new(AtomicI64::new(NO_HOUR)),
            generation: AtomicU32::new(1),
        }
    }

    /// The flush that what is written now will belong to.
    pub(crate) fn generation(&self) -> u32 {
        self.generation.load(Ordering::Acquire)
    }

    /// Says what time it is, so that new series are counted by hour.
    pub(crate) fn set_time(&self, now_ms: TimestampMs) {
        self.hour.store(now_ms.div_euclid(HOUR_MS), Ordering::Relaxed);
    }

    /// Ends a generation: no append may be under way. Gives the one that ended.
    pub(crate) fn next_generation(&self) -> u32 {
        self.generation.fetch_add(1, Ordering::AcqRel)
    }

    pub(crate) fn memory(&self) -> &HeadMemory {
        &self.memory
    }

    pub(crate) fn tenant(&self, tenant: &TenantId) -> Option<Arc<TenantHead>> {
        self.tenants.read().get(tenant).cloned()
    }

    /// A tenant's head, made when it is not there.
    pub(crate) fn tenant_or_new(&self, tenant: &TenantId) -> Arc<TenantHead> {
        if let Some(head) = self.tenant(tenant) {
            return head;
        }
        let mut tenants = self.tenants.write();
        Arc::clone(tenants.entry(tenant.clone()).or_insert_with(|| Arc::new(TenantHead::new(tenant, self))))
    }

    /// All tenants' heads, by name.
    pub(crate) fn tenants(&self) -> Vec<Arc<TenantHead>> {
        self.tenants.read().values().cloned().collect()
    }

    /// Forgets idle series, and tenants without any; no append may be under way.
    pub(crate) fn forget_idle(&self, generation: u32) {
        let mut tenants = self.tenants.write();
        tenants.retain(|_, head| {
            head.forget_idle(generation);
            head.num_series() > 0 || !head.side.lock().is_empty()
        });
    }

    /// What it holds, from counters: cheap enough for every probe. The oldest time may be older than any sample that is left.
    pub(crate) fn extent(&self) -> HeadExtent {
        let none = HeadExtent { num_samples: self.memory.num_samples(), ..HeadExtent::default() };
        self.tenants.read().values().fold(none, |all, head| all.plus(head))
    }
}

impl HeadExtent {
    fn plus(self, head: &TenantHead) -> Self {
        let times = *head.times.lock();
        Self {
            num_series: self.num_series + head.num_series() as u64,
            num_samples: self.num_samples,
            min_time: self.min_time.into_iter().chain(times.map(|t| t.0)).min(),
            max_time: self.max_time.into_iter().chain(times.map(|t| t.1)).max(),
        }
    }
}

impl TenantHead {
    fn new(tenant: &TenantId, head: &Head) -> Self {
        Self {
            tenant: tenant.clone(),
            shards: (0..NUM_SHARDS).map(|number| Mutex::new(Shard::new(number))).collect(),
            index: RwLock::new(HeadIndex::new(&head.hour)),
            num_series: AtomicUsize::new(0),
            side: Mutex::new(SideData::new(head.exemplars_max)),
            times: Mutex::default(),
            memory: Arc::clone(&head.memory),
        }
    }

    pub(crate) fn name(&self) -> &TenantId {
        &self.tenant
    }

    pub(crate) fn num_series(&self) -> usize {
        self.num_series.load(Ordering::Relaxed)
    }

    pub(crate) fn side(&self) -> &Mutex<SideData> {
        &self.side
    }

    /// Takes metadata and exemplars from their file; what the log says later comes on top.
    pub(crate) fn load_side(&self, path: &Path) -> Result<(), StoreError> {
        let mut side = self.side.lock();
        *side = SideData::load(path, side.exemplars_max())?;
        Ok(())
    }

    /// Lets go of the samples that a flush has written.
    pub(crate) fn drop_flushed(&self, generation: u32) {
        // Samples that arrive meanwhile note their times again.
        *self.times.lock() = None;
        for shard in &self.shards {
            let mut shard = shard.lock();
            let (mut freed, mut num_dropped, mut left) = (0, 0, None);
            for series in shard.iter_mut() {
                let before = series.extent().map_or(0, |e| e.0);
                freed += series.drop_flushed(generation);
                let after = series.extent();
                num_dropped += before - after.map_or(0, |e| e.0);
                let times = after.map(|(_, min, max)| (min, max));
                left = left.into_iter().chain(times).reduce(|a: (i64, i64), b| (a.0.min(b.0), a.1.max(b.1)));
            }
            self.memory.samples_dropped(usize::try_from(num_dropped).unwrap_or(usize::MAX));
            drop(shard);
            self.memory.samples_changed(freed);
            if let Some((min, max)) = left {
                self.note_times(min, max);
            }
        }
    }

    fn note_times(&self, min: TimestampMs, max: TimestampMs) {
        let mut times = self.times.lock();
        *times = Some(times.map_or((min, max), |(a, b)| (a.min(min), b.max(max))));
    }

    /// Whether it may have samples in a time range.
    fn overlaps(&self, start: TimestampMs, end: TimestampMs) -> bool {
        self.times.lock().is_some_and(|(min, max)| min <= end && max >= start)
    }

    /// Forgets series that hold nothing and were not touched since `generation` ended.
    fn forget_idle(&self, generation: u32) {
        for shard in &self.shards {
            let removed = shard.lock().remove_where(|s| s.is_empty() && s.touched <= generation);
            if removed.is_empty() {
                continue;
            }
            let mut index = self.index.write();
            for (id, labels) in &removed {
                index.remove(id.0, labels);
                self.memory.series_removed(labels);
            }
            self.num_series.fetch_sub(removed.len(), Ordering::Relaxed);
        }
    }
}

impl Drop for TenantHead {
    fn drop(&mut self) {
        for shard in &self.shards {
            for (_, series) in shard.lock().iter() {
                self.memory.series_removed(&series.labels);
            }
        }
    }
}
