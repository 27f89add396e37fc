//! Moves the head into blocks.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use super::maintain::State;
use super::{MetricStore, blocking, tenants};
use crate::block::{BlockMeta, BlockSet, BlockWriter, Identity};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::head::TenantHead;
use crate::partition::{Partition, Partitions, cut};
use crate::query::decode::Parts;

impl MetricStore {
    /// Returns when everything acknowledged before the call is in blocks and the log is cut.
    ///
    /// # Errors
    /// When a block cannot be written, for instance on a full disk; what is not in a block stays in head and log.
    pub async fn flush(&self) -> Result<(), StoreError> {
        let mut state = self.maintenance.lock().await;
        let flushed = self.flush_locked(&mut state).await;
        state.note_flush(self.clock.now_ms());
        flushed
    }

    pub(super) async fn flush_locked(&self, state: &mut State) -> Result<(), StoreError> {
        state.set_log_uncut(true);
        let started = self.clock.monotonic();
        let appends = self.gate.write().await;
        let segment = self.wal.rotate().await?;
        let generation = self.sources.head.next_generation();
        drop(appends);
        let mut result = Ok(());
        for tenant in self.sources.head.tenants() {
            // One tenant's failure does not keep the others in memory; only the log is not cut then.
            if let Err(error) = self.flush_tenant(tenant, generation).await {
                result = Err(error);
            }
        }
        let appends = self.gate.write().await;
        // Series that were written to since the last flush but one stay, so that their next samples find them.
        let (head, crowded) = (Arc::clone(&self.sources.head), self.sources.head.memory().is_crowded());
        let idle_since = if crowded { generation } else { generation.saturating_sub(1) };
        blocking(move || {
            head.forget_idle(idle_since);
            Ok(())
        })
        .await?;
        drop(appends);
        result?;
        let wal = Arc::clone(&self.wal);
        blocking(move || Ok(wal.cut(segment)?)).await?;
        state.set_log_uncut(false);
        self.metrics.flushed(self.clock.monotonic().saturating_sub(started));
        Ok(())
    }

    async fn flush_tenant(&self, tenant: Arc<TenantHead>, generation: u32) -> Result<(), StoreError> {
        let flush = Flush {
            tenant,
            generation,
            blocks: Arc::clone(&self.sources.blocks),
            disk: Arc::clone(&self.disk),
            now_ms: self.clock.now_ms(),
        };
        let folder = self.folder().join("tenants");
        blocking(move || {
            let written = flush.write()?;
            flush.blocks.exchange(flush.tenant.name(), written, &[])?;
            flush.tenant.drop_flushed(generation);
            tenants::save(&folder, &flush.tenant, &flush.disk)
        })
        .await
    }
}

/// One tenant's part of a flush.
struct Flush {
    tenant: Arc<TenantHead>,
    generation: u32,
    blocks: Arc<BlockSet>,
    disk: Arc<dyn Disk>,
    now_ms: i64,
}

impl Flush {
    /// Writes the blocks; nothing is listed yet.
    fn write(&self) -> Result<Vec<(PathBuf, BlockMeta)>, StoreError> {
        let series = self.tenant.series_of_flush(self.generation);
        let mut partitions = Partitions::default();
        for (_, id) in &series {
            self.note_partitions(*id, &mut partitions)?;
        }
        let mut writers: BTreeMap<Partition, BlockWriter> = BTreeMap::new();
        for (labels, id) in &series {
            let parts = self.parts(*id)?;
            let mut pieces: BTreeMap<Partition, (std::ops::Range<usize>, std::ops::Range<usize>)> = BTreeMap::new();
            for (partition, range) in cut(&parts.times, &partitions) {
                pieces.entry(partition).or_insert((0..0, 0..0)).0 = range;
            }
            let histogram_times: Vec<i64> = parts.histograms.iter().map(|h| h.0).collect();
            for (partition, range) in cut(&histogram_times, &partitions) {
                pieces.entry(partition).or_insert((0..0, 0..0)).1 = range;
            }
            for (partition, (floats, histograms)) in pieces {
                let is_first = writers.is_empty();
                let writer = match writers.entry(partition) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => entry.insert(self.writer()?),
                };
                if is_first {
                    // Mostly there is one block, and all series are in it.
                    writer.reserve(series.len());
                }
                writer.series(labels, &parts.samples(floats, histograms))?;
            }
        }
        // The indexes are made now, which takes as much memory again.
        drop(series);
        let mut written = Vec::new();
        for writer in writers.into_values() {
            written.extend(writer.finish()?);
        }
        Ok(written)
    }

    /// Notes the stretches of time in which a series has samples; most chunks lie in one day and are not decoded for it.
    fn note_partitions(&self, id: crate::head::SeriesId, partitions: &mut Partitions) -> Result<(), StoreError> {
        let snapshot = self.tenant.data_of_flush(id, self.generation);
        let mut parts = Parts::default();
        for (number, chunk) in snapshot.chunks.iter().enumerate() {
            if Partition::around(chunk.min_time, chunk.max_time).is_day() {
                partitions.add(chunk.min_time);
            } else {
                parts.compact(&snapshot, number)?;
            }
        }
        let others = snapshot.late.iter().map(|s| s.0).chain(snapshot.histograms.iter().map(|h| h.0));
        others.chain(parts.times).for_each(|time| partitions.add(time));
        Ok(())
    }

    /// What the head has of a series, sorted.
    fn parts(&self, id: crate::head::SeriesId) -> Result<Parts, StoreError> {
        let snapshot = self.tenant.data_of_flush(id, self.generation);
        let mut parts = Parts::default();
        for chunk in 0..snapshot.chunks.len() {
            parts.compact(&snapshot, chunk)?;
        }
        parts.snapshot_rest(&snapshot);
        parts.sort();
        Ok(parts)
    }

    fn writer(&self) -> Result<BlockWriter, StoreError> {
        let ulid = self.blocks.next_ulid(self.now_ms);
        let identity = Identity {
            ulid,
            tenant: self.tenant.name().clone(),
            level: 0,
            replaces: Vec::new(),
            first_ulid: ulid,
            created_at_ms: self.now_ms,
            downsampled: false,
        };
        BlockWriter::new(&self.blocks.dir_of(self.tenant.name()), identity, &self.disk)
    }
}
