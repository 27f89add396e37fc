//! Series, label names and label values.

use std::collections::BTreeSet;

use vocab::ports::query::SeriesFilter;
use vocab::{Ctx, Labels, Matcher, TimestampMs};

use super::postings;
use crate::block::{Block, BlockSet};
use crate::error::StoreError;
use crate::head::Head;

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
            for block in self.listed() {
                found.extend(block.index()?.names().map(str::to_owned));
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
            for block in self.listed() {
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

    fn listed(&self) -> Vec<std::sync::Arc<Block>> {
        self.blocks.overlapping(&self.ctx.tenant, self.filter.start_ms, self.filter.end_ms)
    }

    fn visit(&self, mut visitor: impl FnMut(Labels)) -> Result<(), StoreError> {
        let everything = [Vec::new()];
        let selectors = if self.filter.any_of.is_empty() { &everything[..] } else { &self.filter.any_of };
        let (start, end) = (self.filter.start_ms, self.filter.end_ms);
        for matchers in selectors {
            if let Some(head) = self.head.tenant(&self.ctx.tenant) {
                head.labels(matchers, start, end)?.into_iter().for_each(&mut visitor);
            }
            for block in self.listed() {
                self.ctx.cancel.check()?;
                let searched = search_block(&block, matchers, start, end, &mut visitor);
                if let Err(error @ StoreError::Damaged { .. }) = searched {
                    self.blocks.set_aside(&block, &error);
                    return Err(error);
                }
                searched?;
            }
        }
        Ok(())
    }

    fn cut<T>(&self, found: BTreeSet<T>) -> Vec<T> {
        found.into_iter().take(if self.filter.limit == 0 { usize::MAX } else { self.filter.limit }).collect()
    }
}

fn search_block(
    block: &Block,
    matchers: &[Matcher],
    start: TimestampMs,
    end: TimestampMs,
    visitor: &mut impl FnMut(Labels),
) -> Result<(), StoreError> {
    let index = block.index()?;
    let candidates = postings::resolve(&*index, matchers)?;
    index.series(&candidates.series, |series| {
        let inside = series.chunks.iter().any(|c| c.min_time <= end && c.max_time >= start);
        if inside && candidates.unchecked.iter().all(|m| m.matches_labels(&series.labels)) {
            visitor(series.labels.clone());
        }
        Ok(())
    })
}
