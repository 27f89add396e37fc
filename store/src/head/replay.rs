//! Fills a head from the records of the log: one thread reads and decodes them, others add the samples, shard by shard.

mod workers;

use std::sync::Arc;

use hashbrown::HashMap;
use vocab::sample::{Exemplar, MetricMetadata, StartTimes};
use vocab::{Labels, NativeHistogram, TenantId, TimestampMs};

use super::record::{self, RecordVisitor};
use super::series::Series;
use super::shard::{NUM_SHARDS, SeriesId, shard_of};
use super::{Head, TenantHead};
use crate::codec::CodecError;

use workers::{Load, LoadedHistogram, Workers};

/// Samples of one shard that are added together, so that what a series has among them is added in one go.
const LOAD_SAMPLES: usize = 128 * 1024;

/// Samples that may wait in all loads together: 24 MiB of them.
const WAITING_SAMPLES_MAX: usize = 1024 * 1024;

/// A replay under way.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    head: &'a Head,
    tenants: HashMap<TenantId, ReplayedTenant>,
    workers: Workers,
    num_waiting: usize,
    report: ReplayReport,
}

/// What a replay came to.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct ReplayReport {
    /// Samples added.
    pub(crate) num_samples: u64,
    /// Samples whose series no intact record announces.
    pub(crate) num_orphans: u64,
    /// Records that could not be understood although their checksum fits.
    pub(crate) num_strange: u64,
}

#[derive(Debug)]
struct ReplayedTenant {
    head: Arc<TenantHead>,
    generation: u32,
    /// From the number in the log to the number in this head.
    series: HashMap<u32, SeriesId>,
    /// What was found last in `series`: the samples of a series usually stand together.
    last: Option<(u32, SeriesId)>,
    /// Samples that wait, by shard.
    loads: [Load; NUM_SHARDS],
    num_taken: usize,
    num_orphans: u64,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(head: &'a Head) -> Self {
        Self {
            head,
            tenants: HashMap::new(),
            workers: Workers::start(),
            num_waiting: 0,
            report: ReplayReport::default(),
        }
    }

    /// Takes in the content of one record.
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        if self.try_record(bytes).is_err() {
            self.report.num_strange += 1;
        }
    }

    fn try_record(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let Some((tenant, parts)) = record::open(bytes)? else {
            self.report.num_strange += 1;
            return Ok(());
        };
        let head = self.head;
        let replayed = self.tenants.entry(tenant).or_insert_with_key(|tenant| ReplayedTenant {
            head: head.tenant_or_new(tenant),
            generation: head.generation(),
            series: HashMap::new(),
            last: None,
            loads: std::array::from_fn(|_| Load::default()),
            num_taken: 0,
            num_orphans: 0,
        });
        let result = record::visit(parts, replayed);
        self.num_waiting += std::mem::take(&mut replayed.num_taken);
        self.report.num_orphans += std::mem::take(&mut replayed.num_orphans);
        self.num_waiting -= replayed.hand_over(&mut self.workers, LOAD_SAMPLES);
        if self.num_waiting >= WAITING_SAMPLES_MAX {
            self.hand_over_all();
        }
        result
    }

    fn hand_over_all(&mut self) {
        for replayed in self.tenants.values_mut() {
            self.num_waiting -= replayed.hand_over(&mut self.workers, 1);
        }
    }

    /// Returns when everything is in the head.
    pub(crate) fn finish(mut self) -> ReplayReport {
        self.hand_over_all();
        self.report.num_samples = self.workers.finish();
        self.report
    }
}

impl ReplayedTenant {
    /// Gives loads of at least `size` samples to the workers; how many samples those were.
    fn hand_over(&mut self, workers: &mut Workers, size: usize) -> usize {
        let mut handed = 0;
        for (shard, load) in self.loads.iter_mut().enumerate().filter(|(_, load)| load.len() >= size) {
            handed += load.len();
            workers.push(&self.head, self.generation, shard, std::mem::take(load));
        }
        handed
    }

    fn find(&mut self, id: u32) -> Option<SeriesId> {
        if let Some((last, found)) = self.last
            && last == id
        {
            return Some(found);
        }
        let found = self.series.get(&id).copied();
        match found {
            Some(found) => self.last = Some((id, found)),
            None => self.num_orphans += 1,
        }
        found
    }
}

impl RecordVisitor for ReplayedTenant {
    fn series(&mut self, id: u32, labels: Labels) {
        let hash = labels.stable_hash();
        let mut shard = self.head.shards[shard_of(hash)].lock();
        let there = match shard.find(hash, &labels) {
            Some(there) => Some(there),
            None => {
                let made = shard.insert(hash, Series::new(labels.clone(), self.generation));
                if let Some(made) = made {
                    self.head.index.write().insert(made.0, &labels);
                    self.head.num_series.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    self.head.memory.series_replayed(&labels);
                }
                made
            }
        };
        drop(shard);
        self.last = None;
        if let Some(there) = there {
            self.series.insert(id, there);
        }
    }

    fn sample(&mut self, id: u32, time: TimestampMs, value: f64, start: TimestampMs) {
        if let Some(id) = self.find(id) {
            let load = &mut self.loads[id.shard()];
            StartTimes::note(&mut load.starts, load.floats.len(), start);
            load.floats.push((id, time, value));
            self.num_taken += 1;
        }
    }

    fn histogram(&mut self, id: u32, time: TimestampMs, value: Arc<NativeHistogram>, start: TimestampMs) {
        if let Some(id) = self.find(id) {
            let load = &mut self.loads[id.shard()];
            load.histograms.push(LoadedHistogram { num_before: load.floats.len(), id, time, value, start });
            self.num_taken += 1;
        }
    }

    fn exemplar(&mut self, series: Labels, exemplar: Exemplar) {
        self.head.side.lock().add_exemplar(series, exemplar);
    }

    fn metadata(&mut self, metadata: MetricMetadata) {
        self.head.side.lock().set(metadata);
    }
}
