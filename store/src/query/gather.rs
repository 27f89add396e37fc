//! Finds where the samples of the matching series are.

use std::sync::Arc;

use hashbrown::HashMap;
use vocab::{Ctx, Labels, Matcher, TimestampMs};

use super::postings;
use crate::block::{Block, BlockSet, ChunkEntry};
use crate::error::StoreError;
use crate::head::{Head, Snapshot};

/// A query looks at its cancellation after so many series.
const SERIES_PER_CHECK: usize = 1024;

/// Where one series' samples are.
#[derive(Debug)]
pub(crate) struct SeriesSources {
    pub(crate) labels: Labels,
    /// Chunks in blocks, by position in [`Gathered::blocks`], the ones first written first.
    pub(crate) chunks: Vec<(u32, ChunkEntry)>,
    /// What the head has.
    pub(crate) head: Option<Box<Snapshot>>,
}

/// The result of a search.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) series: Vec<SeriesSources>,
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
}

impl SeriesSources {
    fn heap_bytes(&self) -> usize {
        let head = self.head.as_ref().map_or(0, |h| {
            h.chunks.len() * 48 + h.late.len() * 16 + h.histograms.len() * 24 + std::mem::size_of::<Snapshot>()
        });
        std::mem::size_of::<Self>() + self.labels.heap_bytes() + self.chunks.len() * 48 + head
    }
}

/// What to look for.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) matchers: &'a [Matcher],
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
    /// Most series; 0 for all.
    pub(crate) limit: usize,
}

/// Searches head and blocks. The head comes first: what a flush moves meanwhile is then found twice rather than never.
pub(crate) fn gather(head: &Head, blocks: &BlockSet, ctx: &Ctx, search: &Search<'_>) -> Result<Gathered, StoreError> {
    let from_head = match head.tenant(&ctx.tenant) {
        Some(tenant) => tenant.select(search.matchers, search.start, search.end)?,
        None => Vec::new(),
    };
    let listed = blocks.overlapping(&ctx.tenant, search.start, search.end);
    let mut found = Found { ctx, series: Vec::new(), places: HashMap::new(), num_unchecked: 0 };
    // With one source no two entries can be of one series.
    let merging = listed.len() + usize::from(!from_head.is_empty()) > 1;
    for (number, block) in (0u32..).zip(&listed) {
        let searched = found.block(number, block, search, merging);
        if let Err(error @ StoreError::Damaged { .. }) = searched {
            blocks.set_aside(block, &error);
            return Err(error);
        }
        searched?;
    }
    for series in from_head {
        let place = found.place(series.labels, merging)?;
        found.series[place].head = Some(Box::new(series.data));
    }
    let mut series = found.series;
    if search.limit > 0 {
        series.truncate(search.limit);
    }
    ctx.memory.try_grow(series.iter().map(SeriesSources::heap_bytes).sum())?;
    Ok(Gathered { blocks: listed, series, start: search.start, end: search.end })
}

struct Found<'a> {
    ctx: &'a Ctx,
    series: Vec<SeriesSources>,
    places: HashMap<Labels, usize>,
    num_unchecked: usize,
}

impl Found<'_> {
    fn block(&mut self, number: u32, block: &Block, search: &Search<'_>, merging: bool) -> Result<(), StoreError> {
        let index = block.index()?;
        let candidates = postings::resolve(&*index, search.matchers)?;
        index.series(&candidates.series, |series| {
            if !candidates.unchecked.iter().all(|m| m.matches_labels(&series.labels)) {
                return Ok(());
            }
            let inside = |c: &&ChunkEntry| c.min_time <= search.end && c.max_time >= search.start;
            let chunks: Vec<_> = series.chunks.iter().filter(inside).map(|c| (number, *c)).collect();
            if !chunks.is_empty() {
                let place = self.place(series.labels.clone(), merging)?;
                self.series[place].chunks.extend(chunks);
            }
            Ok(())
        })
    }

    fn place(&mut self, labels: Labels, merging: bool) -> Result<usize, StoreError> {
        self.num_unchecked += 1;
        if self.num_unchecked >= SERIES_PER_CHECK {
            self.num_unchecked = 0;
            self.ctx.cancel.check()?;
        }
        let next = self.series.len();
        let place = if merging { *self.places.entry(labels.clone()).or_insert(next) } else { next };
        if place == next {
            self.series.push(SeriesSources { labels, chunks: Vec::new(), head: None });
        }
        Ok(place)
    }
}
