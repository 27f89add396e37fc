//! Making few large splits of many small ones, and removing the oldest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use parquet::arrow::arrow_reader::ParquetRecordBatchReader;
use roaring::RoaringBitmap;

use crate::logs::cursor::Key;
use crate::logs::engine::Engine;
use crate::logs::error::LogError;
use crate::logs::split::{OpenSplit, Split, SplitMeta, Stored, rows};
use crate::logs::tenant::Tenant;

/// So many neighbours of about the same size are merged: each record is then rewritten once a level.
const MERGE_WIDTH: usize = 4;
/// Splits below this many bytes of text are of the lowest level; each level is [`MERGE_WIDTH`] times the one below.
const LEVEL_BYTES: u64 = 1 << 20;

/// Bounds of a merge's result.
#[derive(Debug, Clone, Copy)]
struct Bounds {
    bytes: u64,
    records: u64,
}

fn level(meta: &SplitMeta) -> u32 {
    (meta.text_bytes.max(LEVEL_BYTES) / LEVEL_BYTES).ilog(MERGE_WIDTH as u64)
}

/// Which neighbours in time to merge next, the smallest first; `None` when no merge is due.
fn due(splits: &[&SplitMeta], bounds: Bounds) -> Option<Range<usize>> {
    let levels: Vec<u32> = splits.iter().map(|m| level(m)).collect();
    let highest = levels.iter().max().copied().unwrap_or(0);
    for limit in 0..=highest {
        for start in 0..splits.len() {
            let (mut bytes, mut records, mut largest, mut length) = (0, 0, 0, 0);
            for (meta, level) in splits[start..].iter().zip(&levels[start..]) {
                let (more_bytes, more_records) = (bytes + meta.text_bytes, records + meta.num_records);
                if *level > limit || more_bytes > bounds.bytes || more_records > bounds.records {
                    break;
                }
                (bytes, records, largest, length) =
                    (more_bytes, more_records, meta.text_bytes.max(largest), length + 1);
            }
            // A large split is not rewritten for the sake of a few small ones.
            if length >= MERGE_WIDTH && largest <= bytes / 2 {
                return Some(start..start + length);
            }
        }
    }
    None
}

impl Engine {
    /// Merges until no merge is due any more.
    pub(crate) async fn compact(self: &Arc<Self>) -> Result<(), LogError> {
        let _one = self.merging.lock().await;
        for tenant in self.all_tenants() {
            loop {
                let (engine, tenant) = (Arc::clone(self), Arc::clone(&tenant));
                let merge = tokio::task::spawn_blocking(move || engine.merge_once(&tenant));
                if !merge.await.map_err(|_| LogError::Task)?? {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Merges once if that is due; whether it was.
    fn merge_once(&self, tenant: &Tenant) -> Result<bool, LogError> {
        let mut splits = tenant.state.read().splits.clone();
        splits.sort_by_key(|s| (s.meta.min_time_ns, s.meta.max_seq));
        let bounds = Bounds { bytes: self.config.split_bytes_max, records: self.config.split_records_max };
        let metas: Vec<&SplitMeta> = splits.iter().map(|s| &s.meta).collect();
        let Some(range) = due(&metas, bounds) else { return Ok(false) };
        let chosen = &splits[range];
        let memory = self.pool.reservation("merging log splits");
        // The index of the result is built in memory; it has about the size of the text.
        let needed = usize::try_from(chosen.iter().map(|s| s.meta.text_bytes).sum::<u64>()).unwrap_or(usize::MAX);
        if let Err(error) = memory.try_grow(needed) {
            tracing::debug!(%error, "a merge of splits waits for memory");
            return Ok(false);
        }
        let mut inputs = Vec::new();
        for split in chosen {
            let opened = split.meta.verify(&split.dir).and_then(|()| Input::open(split, self.open_splits.get(split)?));
            match opened {
                Ok(input) => inputs.push(input),
                Err(error) if error.is_damage() => {
                    // What is due without it is another question.
                    self.set_aside(&tenant.id, split, &error);
                    return Ok(true);
                }
                Err(error) => return Err(error),
            }
        }
        let merged = self.merge(tenant, chosen, inputs)?;
        let mut state = tenant.state.write();
        state.splits.retain(|s| !chosen.iter().any(|c| Arc::ptr_eq(c, s)));
        state.splits.push(Arc::new(merged));
        drop(state);
        for split in chosen {
            self.open_splits.forget(split);
            split.remove_when_unused();
        }
        Ok(true)
    }

    fn merge(&self, tenant: &Tenant, chosen: &[Arc<Split>], mut inputs: Vec<Input>) -> Result<Split, LogError> {
        let split = self.write_split(&tenant.id, |merged| {
            let mut heads = BinaryHeap::new();
            for (index, input) in inputs.iter_mut().enumerate() {
                heads.extend(input.peek()?.map(|key| Reverse((key, index))));
            }
            while let Some(Reverse((_, index))) = heads.pop() {
                let input = &mut inputs[index];
                if let Some(stored) = input.take() {
                    merged.push(stored.seq, &stored.record)?;
                }
                heads.extend(input.peek()?.map(|key| Reverse((key, index))));
            }
            let ids = chosen.iter().flat_map(|s| std::iter::once(&s.meta.id).chain(&s.meta.replaces)).cloned();
            merged.replaces(
                ids.filter(|id| self.tenant_dir(&tenant.id).join(id).exists()),
                chosen.iter().map(|s| s.meta.max_seq).max().unwrap_or(0),
            );
            Ok(())
        })?;
        self.metrics.log_split_written("merge", split.meta.num_records);
        Ok(split)
    }

    /// Removes the oldest splits while they are over the size, and those beyond the age.
    pub(crate) async fn apply_retention(self: &Arc<Self>) {
        let _one = self.merging.lock().await;
        let mut splits: Vec<(Arc<Tenant>, Arc<Split>)> = Vec::new();
        for tenant in self.all_tenants() {
            let listed = tenant.state.read().splits.clone();
            splits.extend(listed.into_iter().map(|s| (Arc::clone(&tenant), s)));
        }
        splits.sort_by_key(|(_, split)| split.meta.max_time_ns);
        let mut bytes: u64 = splits.iter().map(|(_, s)| s.meta.disk_bytes()).sum();
        let oldest_ns = self.config.retention_age.map(|age| {
            let now_ns = i128::from(self.clock.now_ms()) * 1_000_000;
            now_ns - i128::try_from(age.as_nanos()).unwrap_or(i128::MAX)
        });
        let mut removed = Vec::new();
        for (tenant, split) in splits {
            let too_many = self.config.retention_bytes.is_some_and(|limit| bytes > limit);
            let too_old = oldest_ns.is_some_and(|oldest| i128::from(split.meta.max_time_ns) < oldest);
            if !too_many && !too_old {
                continue;
            }
            bytes -= split.meta.disk_bytes();
            tenant.state.write().splits.retain(|s| !Arc::ptr_eq(s, &split));
            self.open_splits.forget(&split);
            split.remove_when_unused();
            self.metrics.log_split_removed();
            tracing::info!(tenant = %tenant.id, split = split.meta.id, too_old, "a log split was removed by retention");
            removed.push(split);
        }
        // The files go when the last user of a split lets go of it, which may be here.
        drop(tokio::task::spawn_blocking(move || drop(removed)).await);
        // Nobody writes while `commit` is held, so that no batch goes to a tenant that is being forgotten.
        let _agree = self.commit.write().await;
        self.tenants.write().retain(|_, tenant| !tenant.is_empty());
    }
}

/// A split that is read in order.
struct Input {
    dir: std::path::PathBuf,
    open: Arc<OpenSplit>,
    reader: ParquetRecordBatchReader,
    /// Records read and not yet taken, the last one first.
    ready: Vec<Stored>,
}

impl Input {
    fn open(split: &Split, open: Arc<OpenSplit>) -> Result<Self, LogError> {
        let mut all = RoaringBitmap::new();
        all.insert_range(0..u32::try_from(split.meta.num_records).unwrap_or(u32::MAX));
        let reader = open.batches(&all, None)?;
        Ok(Self { dir: Path::to_owned(&split.dir), open, reader, ready: Vec::new() })
    }

    fn peek(&mut self) -> Result<Option<Key>, LogError> {
        while self.ready.is_empty() {
            let Some(batch) = self.reader.next() else { return Ok(None) };
            let batch = batch.map_err(|e| self.open.rows_error(e))?;
            self.ready = rows::records(&self.dir, &batch)?;
            self.ready.reverse();
        }
        Ok(self.ready.last().map(|s| Key { time_ns: s.record.time_ns, seq: s.seq }))
    }

    fn take(&mut self) -> Option<Stored> {
        self.ready.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn meta(text_bytes: u64) -> SplitMeta {
        SplitMeta {
            format_version: 1,
            id: String::new(),
            tenant: String::new(),
            num_records: text_bytes / 100,
            text_bytes,
            min_time_ns: 0,
            max_time_ns: 0,
            max_seq: 0,
            replaces: vec![],
            files: vec![],
        }
    }

    proptest::proptest! {
        #[test]
        fn merging_ends_with_few_splits_and_never_passes_the_bounds(sizes in proptest::collection::vec(1u64..64 << 20, 0..60)) {
            let bounds = Bounds { bytes: 128 << 20, records: 1_000_000 };
            let mut splits: Vec<SplitMeta> = sizes.iter().map(|s| meta(*s)).collect();
            let mut rewritten = 0;
            while let Some(range) = due(&splits.iter().collect::<Vec<_>>(), bounds) {
                proptest::prop_assert!(range.len() >= MERGE_WIDTH);
                let bytes = splits[range.clone()].iter().map(|m| m.text_bytes).sum();
                let records: u64 = splits[range.clone()].iter().map(|m| m.num_records).sum();
                proptest::prop_assert!(bytes <= bounds.bytes && records <= bounds.records);
                rewritten += bytes;
                let mut merged = meta(bytes);
                merged.num_records = records;
                splits.splice(range, [merged]);
            }
            let total: u64 = sizes.iter().sum();
            proptest::prop_assert!(rewritten <= total * 8, "{rewritten} of {total} rewritten");
        }
    }
}
