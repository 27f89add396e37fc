//! Series, label names and label values.

use std::collections::BTreeSet;
use std::sync::Arc;

use vocab::ports::query::SeriesFilter;
use vocab::{Ctx, Labels, Matcher, TimestampMs};

use super::postings;
use crate::block::{Block, BlockSet};
use crate::error::StoreError;
use crate::head::Head;
use crate::tombstones::{Deleted, Tombstone};

/// Where to look for labels.
#[derive(Debug)]
pub(crate) struct LabelSearch<'a> {
    pub(crate) head: &'a Head,
    pub(crate) blocks: &'a BlockSet,
    pub(crate) ctx: &'a Ctx,
    pub(crate) filter: &'a SeriesFilter,
}

impl LabelSearch<'_> {
    /// Label sets of the matching series, sorted.
    pub(crate) fn series(&self) -> Result<Vec<Labels>, StoreError> {
        let mut found = BTreeSet::new();
        let mut bytes = 0;
        self.visit(|labels| {
            if let Some(added) = Some(labels).filter(|l| !found.contains(l)) {
                bytes += added.heap_bytes() + 32;
                found.insert(added);
            }
        })?;
        self.ctx.memory.try_grow(bytes)?;
        Ok(self.cut(found))
    }

    /// Label names, sorted.
    pub(crate) fn names(&self) -> Result<Vec<String>, StoreError> {
        let mut found = BTreeSet::new();
        if self.filter.any_of.is_empty() {
            // Without matchers head and blocks answer from their indexes, as exactly as the times of a block.
            let (start, end) = (self.filter.start_ms, self.filter.end_ms);
            found.extend(self.head.tenant(&self.ctx.tenant).iter().flat_map(|h| h.label_names(start, end)));
            let tombstones = self.blocks.tombstones().of(&self.ctx.tenant);
            for block in self.listed() {
                let tombstones = of_block(&tombstones, &block);
                if tombstones.is_empty() {
                    found.extend(block.index()?.names().map(str::to_owned));
                } else {
                    self.ctx.cancel.check_long()?;
                    self.visit_block(&block, &[], &tombstones, &mut |labels| {
                        found.extend(labels.iter().map(|(name, _)| name.to_owned()));
                    })?;
                }
            }
        } else {
            self.visit(|labels| {
                for (name, _) in &labels {
                    if !found.contains(name) {
                        found.insert(name.to_owned());
                    }
                }
            })?;
        }
        Ok(self.cut(found))
    }

    /// Values of a label, sorted.
    pub(crate) fn values(&self, name: &str) -> Result<Vec<String>, StoreError> {
        let mut found = BTreeSet::new();
        if self.filter.any_of.is_empty() {
            let (start, end) = (self.filter.start_ms, self.filter.end_ms);
            found.extend(self.head.tenant(&self.ctx.tenant).iter().flat_map(|h| h.label_values(name, start, end)));
            let tombstones = self.blocks.tombstones().of(&self.ctx.tenant);
            for block in self.listed() {
                let tombstones = of_block(&tombstones, &block);
                if !tombstones.is_empty() {
                    self.visit_block(&block, &[], &tombstones, &mut |labels| {
                        found.extend(labels.get(name).map(str::to_owned));
                    })?;
                    continue;
                }
                block.index()?.values(name, |value, _| {
                    if !found.contains(value) {
                        found.insert(value.to_owned());
                    }
                    Ok(())
                })?;
            }
        } else {
            self.visit(|labels| {
                if let Some(value) = labels.get(name).filter(|v| !found.contains(*v)) {
                    found.insert(value.to_owned());
                }
            })?;
        }
        Ok(self.cut(found))
    }

    fn listed(&self) -> Vec<Arc<Block>> {
        self.blocks.overlapping(&self.ctx.tenant, self.filter.start_ms, self.filter.end_ms)
    }

    fn visit(&self, mut visitor: impl FnMut(Labels)) -> Result<(), StoreError> {
        let everything = [Vec::new()];
        let selectors = if self.filter.any_of.is_empty() { &everything[..] } else { &self.filter.any_of };
        let (start, end) = (self.filter.start_ms, self.filter.end_ms);
        let tombstones = self.blocks.tombstones().of(&self.ctx.tenant);
        for matchers in selectors {
            if let Some(head) = self.head.tenant(&self.ctx.tenant) {
                head.labels(matchers, start, end)?.into_iter().for_each(&mut visitor);
            }
            for block in self.listed() {
                self.ctx.cancel.check()?;
                self.visit_block(&block, matchers, &of_block(&tombstones, &block), &mut visitor)?;
            }
        }
        Ok(())
    }

    fn visit_block(
        &self,
        block: &Arc<Block>,
        matchers: &[Matcher],
        tombstones: &[&Tombstone],
        visitor: &mut impl FnMut(Labels),
    ) -> Result<(), StoreError> {
        let range = (self.filter.start_ms, self.filter.end_ms);
        let searched = search_block(block, matchers, range, tombstones, visitor);
        if let Err(error @ StoreError::Damaged { .. }) = searched {
            self.blocks.set_aside(block, &error);
            return Err(error);
        }
        searched
    }

    fn cut<T>(&self, found: BTreeSet<T>) -> Vec<T> {
        found.into_iter().take(if self.filter.limit == 0 { usize::MAX } else { self.filter.limit }).collect()
    }
}

fn of_block<'a>(tombstones: &'a [Tombstone], block: &Block) -> Vec<&'a Tombstone> {
    tombstones.iter().filter(|t| t.concerns(block.meta())).collect()
}

/// Visits the labels of matching series that have something in a time range which is not deleted, by chunk.
fn search_block(
    block: &Block,
    matchers: &[Matcher],
    (start, end): (TimestampMs, TimestampMs),
    tombstones: &[&Tombstone],
    visitor: &mut impl FnMut(Labels),
) -> Result<(), StoreError> {
    let index = block.index()?;
    let candidates = postings::resolve(&*index, matchers)?;
    index.series(&candidates.series, |series| {
        let deleted = Deleted::of(tombstones, &series.labels);
        let inside = series.chunks.iter().any(|c| {
            let (first, last) = (c.min_time.max(start), c.max_time.min(end));
            first <= last && !deleted.has_all(first, last)
        });
        if inside && candidates.unchecked.iter().all(|m| m.matches_labels(&series.labels)) {
            visitor(series.labels.clone());
        }
        Ok(())
    })
}
