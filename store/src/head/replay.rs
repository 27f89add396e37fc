//! Fills a head from the records of the log.

use std::sync::Arc;

use hashbrown::HashMap;
use vocab::sample::{Exemplar, MetricMetadata};
use vocab::{Labels, NativeHistogram, TenantId, TimestampMs};

use super::record::{self, RecordVisitor};
use super::series::{Series, Value, Verdict};
use super::shard::{SeriesId, shard_of};
use super::{Head, TenantHead};
use crate::codec::CodecError;

/// A replay under way.
#[derive(Debug)]
pub(crate) struct Replay<'a> {
    head: &'a Head,
    tenants: HashMap<TenantId, ReplayedTenant>,
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
    /// What the samples of the record under way add up to.
    added: Added,
    num_orphans: u64,
}

#[derive(Debug, Default)]
struct Added {
    num_samples: u64,
    bytes: isize,
    times: Option<(TimestampMs, TimestampMs)>,
}

impl<'a> Replay<'a> {
    pub(crate) fn new(head: &'a Head) -> Self {
        Self { head, tenants: HashMap::new(), num_samples: 0, num_orphans: 0, num_strange: 0 }
    }

    /// Adds the content of one record.
    pub(crate) fn record(&mut self, bytes: &[u8]) {
        if self.try_record(bytes).is_err() {
            self.num_strange += 1;
        }
    }

    fn try_record(&mut self, bytes: &[u8]) -> Result<(), CodecError> {
        let Some((tenant, parts)) = record::open(bytes)? else {
            self.num_strange += 1;
            return Ok(());
        };
        let head = self.head;
        let replayed = self.tenants.entry(tenant).or_insert_with_key(|tenant| ReplayedTenant {
            head: head.tenant_or_new(tenant),
            generation: head.generation(),
            series: HashMap::new(),
            added: Added::default(),
            num_orphans: 0,
        });
        let result = record::visit(parts, replayed);
        let added = std::mem::take(&mut replayed.added);
        replayed.head.memory.samples_changed(added.bytes);
        if let Some((min, max)) = added.times {
            replayed.head.note_times(min, max);
        }
        self.num_samples += added.num_samples;
        self.num_orphans += std::mem::take(&mut replayed.num_orphans);
        result
    }
}

impl ReplayedTenant {
    fn add(&mut self, id: u32, time: TimestampMs, value: Value<'_>) {
        let Some(&id) = self.series.get(&id) else {
            self.num_orphans += 1;
            return;
        };
        let mut shard = self.head.shards[id.shard()].lock();
        // Windows and limits were applied when the sample was taken; only what was acknowledged is in the log.
        if let Some(series) = shard.get_mut(id)
            && series.compare(time, value) == Verdict::New
        {
            self.added.bytes += series.add(self.generation, time, value);
            self.added.num_samples += 1;
            let (min, max) = self.added.times.unwrap_or((time, time));
            self.added.times = Some((min.min(time), max.max(time)));
        }
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
        if let Some(there) = there {
            self.series.insert(id, there);
        }
    }

    fn sample(&mut self, id: u32, time: TimestampMs, value: f64) {
        self.add(id, time, Value::Float(value));
    }

    fn histogram(&mut self, id: u32, time: TimestampMs, value: Arc<NativeHistogram>) {
        self.add(id, time, Value::Histogram(&value));
    }

    fn exemplar(&mut self, series: Labels, exemplar: Exemplar) {
        self.head.side.lock().add_exemplar(series, exemplar);
    }

    fn metadata(&mut self, metadata: MetricMetadata) {
        self.head.side.lock().set(metadata);
    }
}
