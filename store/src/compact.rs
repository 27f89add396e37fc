//! Merges blocks: which ones is a pure choice, how is one pass over their series in order.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;

use vocab::{Labels, TimestampMs};

use crate::block::{Block, BlockIndex, BlockMeta, BlockSet, BlockWriter, ChunkReader, Identity, IndexedSeries};
use crate::disk::Disk;
use crate::error::StoreError;
use crate::partition::Partition;
use crate::query::decode::Parts;
use crate::tombstones::{Deleted, Tombstone};

/// So many blocks of about one size are merged.
const TIER_BLOCKS: usize = 4;

/// Blocks are of one size when they differ by less than this factor.
const TIER_FACTOR: u64 = 4;

/// A merge is not begun when its result would have more samples than this.
const MERGED_SAMPLES_MAX: u64 = 4_000_000_000;

/// Late samples may still come for this long after a stretch of time has ended.
const SETTLED_AFTER_MS: i64 = 3 * 60 * 60 * 1000;

/// How eager a choice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Eagerness {
    /// Merges several of one size, and everything of a stretch of time that is over.
    Background,
    /// Merges whatever can be merged.
    Full,
}

/// Chooses blocks of one tenant to be merged; none when no merge is due. Blocks with more than `series_max` series together are
/// left as they are: the index of the result would not fit into memory while it is made.
pub(crate) fn choose(
    blocks: &[&BlockMeta],
    now_ms: TimestampMs,
    eagerness: Eagerness,
    series_max: u64,
) -> Option<Vec<ulid::Ulid>> {
    let mut partitions: BTreeMap<Partition, Vec<&BlockMeta>> = BTreeMap::new();
    for meta in blocks {
        partitions.entry(Partition::around(meta.min_time_ms, meta.max_time_ms)).or_default().push(meta);
    }
    partitions.into_iter().find_map(|(partition, mut members)| {
        // In the order of arrival, because only neighbours in it can be merged without changing which value was first.
        members.sort_by_key(|m| (m.first_ulid, m.ulid));
        let settled = is_over(partition, now_ms);
        let chosen = if settled || eagerness == Eagerness::Full {
            longest_run(&members, series_max)
        } else {
            tier(&members, series_max)
        };
        chosen.map(|chosen| chosen.iter().map(|m| m.ulid).collect())
    })
}

fn is_over(partition: Partition, now_ms: TimestampMs) -> bool {
    partition.end().saturating_add(SETTLED_AFTER_MS) < now_ms
}

/// Whether a block's stretch of time is over, late samples included.
pub(crate) fn is_settled(meta: &BlockMeta, now_ms: TimestampMs) -> bool {
    is_over(Partition::around(meta.min_time_ms, meta.max_time_ms), now_ms)
}

/// The first run of at least two neighbours that fit into one block.
fn longest_run<'a, 'b>(members: &'a [&'b BlockMeta], series_max: u64) -> Option<&'a [&'b BlockMeta]> {
    (0..members.len()).find_map(|start| {
        let (mut num_samples, mut num_series) = (0, 0);
        let fits = members[start..].iter().take_while(|m| {
            num_samples += m.num_samples;
            num_series += m.num_series;
            num_samples <= MERGED_SAMPLES_MAX && num_series <= series_max
        });
        let length = fits.count();
        (length >= 2).then(|| &members[start..start + length])
    })
}

/// The first run of enough neighbours of about one size.
fn tier<'a, 'b>(members: &'a [&'b BlockMeta], series_max: u64) -> Option<&'a [&'b BlockMeta]> {
    members.windows(TIER_BLOCKS).find(|window| {
        let sizes = || window.iter().map(|m| m.num_samples.max(1));
        let (least, most) = (sizes().min().unwrap_or(1), sizes().max().unwrap_or(1));
        most < least.saturating_mul(TIER_FACTOR)
            && sizes().sum::<u64>() <= MERGED_SAMPLES_MAX
            && window.iter().map(|m| m.num_series).sum::<u64>() <= series_max
    })
}

/// Merges blocks of one tenant, given in the order of arrival, into a new one that is not listed yet. What is deleted is left
/// out. With `downsampled` columns are written beside the samples.
pub(crate) fn merge(
    set: &BlockSet,
    blocks: &[Arc<Block>],
    downsampled: bool,
    now_ms: TimestampMs,
    disk: &Arc<dyn Disk>,
) -> Result<Option<(PathBuf, BlockMeta)>, StoreError> {
    let Some(first) = blocks.first() else { return Ok(None) };
    let identity = Identity {
        ulid: set.next_ulid(now_ms),
        tenant: first.meta().tenant.clone(),
        level: blocks.iter().map(|b| b.meta().level).max().unwrap_or(0) + 1,
        replaces: blocks.iter().map(|b| b.meta().ulid).collect(),
        first_ulid: blocks.iter().map(|b| b.meta().first_ulid).min().unwrap_or(first.meta().ulid),
        created_at_ms: now_ms,
        downsampled,
    };
    let mut writer = BlockWriter::new(&set.dir_of(&first.meta().tenant), identity, disk)?;
    let tombstones = set.tombstones().of(&first.meta().tenant);
    let mut cursors = blocks.iter().map(|b| Cursor::new(b, &tombstones)).collect::<Result<Vec<_>, _>>()?;
    loop {
        let next = cursors.iter().filter_map(Cursor::labels).min_by_key(|l| l.packed()).cloned();
        let Some(labels) = next else { break };
        let mut parts = Parts::default();
        for (cursor, block) in cursors.iter_mut().zip(blocks) {
            if let Err(error) = cursor.take(&labels, &mut parts) {
                if matches!(error, StoreError::Damaged { .. }) {
                    set.set_aside(block, &error);
                }
                return Err(error);
            }
        }
        parts.sort();
        writer.series(&labels, &parts.samples(0..parts.times.len(), 0..parts.histograms.len()))?;
    }
    writer.finish()
}

/// Goes through the series of a block in order.
struct Cursor<'a> {
    index: Arc<BlockIndex>,
    reader: ChunkReader,
    next_group: usize,
    series: VecDeque<IndexedSeries>,
    tombstones: Vec<&'a Tombstone>,
}

impl<'a> Cursor<'a> {
    fn new(block: &Arc<Block>, tombstones: &'a [Tombstone]) -> Result<Self, StoreError> {
        let mut cursor = Self {
            index: block.index()?,
            reader: ChunkReader::new(block)?,
            next_group: 0,
            series: VecDeque::new(),
            tombstones: tombstones.iter().filter(|t| t.concerns(block.meta())).collect(),
        };
        cursor.fill()?;
        Ok(cursor)
    }

    fn fill(&mut self) -> Result<(), StoreError> {
        while self.series.is_empty() && self.next_group < self.index.num_groups() {
            self.series = self.index.series_of_group(self.next_group)?.into();
            self.next_group += 1;
        }
        Ok(())
    }

    fn labels(&self) -> Option<&Labels> {
        self.series.front().map(|s| &s.labels)
    }

    /// Adds the samples of the next series if it is the one with these labels, and goes on to the one after it.
    fn take(&mut self, labels: &Labels, parts: &mut Parts) -> Result<(), StoreError> {
        if self.labels() != Some(labels) {
            return Ok(());
        }
        let Some(series) = self.series.pop_front() else { return Ok(()) };
        let deleted = Deleted::of(&self.tombstones, labels);
        for entry in series.chunks.iter().filter(|c| !deleted.has_all(c.min_time, c.max_time)) {
            parts.chunk(&mut self.reader, entry, Some(&deleted))?;
        }
        self.fill()
    }
}

#[cfg(test)]
mod tests;
