//! Finds where the samples of the matching series are.

use std::sync::Arc;

use hashbrown::HashMap;
use vocab::{Ctx, Labels, Matcher, MemoryReservation, TimestampMs};

use super::postings;
use crate::block::{Block, BlockSet, ChunkEntry, ChunkKind};
use crate::downsample::Choice;
use crate::error::StoreError;
use crate::head::{Head, Snapshot};
use crate::tombstones::{Deleted, Tombstone};

/// A query looks at its cancellation after so many series.
const SERIES_PER_CHECK: usize = 1024;

/// Memory is reserved in pieces of about this many bytes.
const RESERVED_AT_ONCE: usize = 256 << 10;

/// A share of all series, by the hash of their labels: of `of` shares the one with this number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) number: u64,
    pub(crate) of: u64,
}

impl Part {
    /// Every series.
    pub(crate) const ALL: Self = Self { number: 0, of: 1 };

    /// Whether a series belongs to it.
    pub(crate) fn has(self, labels: &Labels) -> bool {
        // The shards of the head use the top bits.
        self.of <= 1 || (labels.stable_hash() & 0xffff_ffff) % self.of == self.number
    }
}

/// Where one series' samples are.
#[derive(Debug)]
pub(crate) struct SeriesSources {
    pub(crate) labels: Labels,
    /// Chunks in blocks, by position in [`Gathered::blocks`], the ones first written first.
    pub(crate) chunks: Vec<(u32, ChunkEntry)>,
    /// Chunks of downsampled columns that stand for floats of their blocks, which are not in `chunks` then.
    pub(crate) columns: Vec<(u32, ChunkEntry)>,
    /// What of these chunks is deleted, by position in [`Gathered::blocks`].
    pub(crate) deleted: Vec<(u32, Deleted)>,
    /// What the head has.
    pub(crate) head: Option<Box<Snapshot>>,
}

impl SeriesSources {
    /// Decides whether the columns that were found stand for the floats of their blocks: only when no two places may have samples
    /// for one time, because then each stretch of time is known from one place alone, or from several one after the other.
    fn settle_columns(&mut self) -> bool {
        let late = self.head.iter().filter(|head| !head.late.is_empty()).count();
        let in_head = self.head.iter().flat_map(|head| head.chunks.iter().map(|c| (c.min_time, c.max_time)));
        let floats = self.chunks.iter().filter(|(_, c)| c.kind == ChunkKind::Float);
        let mut ranges: Vec<_> = floats.map(|(_, c)| (c.min_time, c.max_time)).chain(in_head).collect();
        ranges.sort_unstable();
        if late > 0 || ranges.windows(2).any(|w| w[0].1 >= w[1].0) {
            self.columns = Vec::new();
            return false;
        }
        let columns = &self.columns;
        self.chunks.retain(|(block, c)| c.kind != ChunkKind::Float || columns.iter().all(|(of, _)| of != block));
        true
    }
}

/// The result of a search.
#[derive(Debug)]
pub(crate) struct Gathered {
    pub(crate) blocks: Vec<Arc<Block>>,
    pub(crate) series: Vec<SeriesSources>,
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
    /// What of downsampled data is among it; `None` when there is none.
    pub(crate) choice: Option<Choice>,
    /// Memory of all this, given back with it.
    _memory: MemoryReservation,
}

/// What to look for.
#[derive(Debug)]
pub(crate) struct Search<'a> {
    pub(crate) matchers: &'a [Matcher],
    pub(crate) start: TimestampMs,
    pub(crate) end: TimestampMs,
    /// Most series; 0 for all.
    pub(crate) limit: usize,
    /// Which share of the matching series.
    pub(crate) part: Part,
    /// What of downsampled data may stand for samples.
    pub(crate) choice: Option<Choice>,
}

/// Reserves in pieces what a search finds, before it is there.
struct Memory {
    reservation: MemoryReservation,
    ahead: usize,
}

impl Memory {
    fn take(&mut self, bytes: usize) -> Result<(), StoreError> {
        if bytes > self.ahead {
            let more = bytes.max(RESERVED_AT_ONCE);
            self.reservation.try_grow(more)?;
            self.ahead += more;
        }
        self.ahead -= bytes;
        Ok(())
    }
}

/// Searches head and blocks. The head comes first: what a flush moves meanwhile is then found twice rather than never.
pub(crate) fn gather(head: &Head, blocks: &BlockSet, ctx: &Ctx, search: &Search<'_>) -> Result<Gathered, StoreError> {
    let mut memory = Memory { reservation: ctx.memory.child(), ahead: 0 };
    let from_head = match head.tenant(&ctx.tenant) {
        Some(tenant) => {
            let range = (search.start, search.end);
            tenant.select(search.matchers, range, search.part, |bytes| memory.take(bytes))?
        }
        None => Vec::new(),
    };
    let tombstones = blocks.tombstones().of(&ctx.tenant);
    let listed = blocks.overlapping(&ctx.tenant, search.start, search.end);
    let mut found = Found { ctx, memory, series: Vec::new(), places: HashMap::new(), num_unchecked: 0 };
    // With one source no two entries can be of one series.
    let merging = listed.len() + usize::from(!from_head.is_empty()) > 1;
    for (number, block) in (0u32..).zip(&listed) {
        let tombstones: Vec<_> = tombstones.iter().filter(|t| t.concerns(block.meta())).collect();
        let searched = found.block(number, block, search, &tombstones, merging);
        if let Err(error @ StoreError::Damaged { .. }) = searched {
            blocks.set_aside(block, &error);
            return Err(error);
        }
        searched?;
    }
    for series in from_head {
        let place = found.place(series.labels, merging)?;
        found.memory.take(std::mem::size_of::<Snapshot>() + 16)?;
        found.series[place].head = Some(Box::new(series.data));
    }
    let Found { mut series, memory, .. } = found;
    if search.limit > 0 {
        series.truncate(search.limit);
    }
    let mut choice = None;
    for sources in series.iter_mut().filter(|s| !s.columns.is_empty()) {
        if sources.settle_columns() {
            choice = search.choice;
        }
    }
    let (start, end) = (search.start, search.end);
    Ok(Gathered { blocks: listed, series, start, end, choice, _memory: memory.reservation })
}

struct Found<'a> {
    ctx: &'a Ctx,
    memory: Memory,
    series: Vec<SeriesSources>,
    places: HashMap<Labels, usize>,
    num_unchecked: usize,
}

impl Found<'_> {
    fn block(
        &mut self,
        number: u32,
        block: &Block,
        search: &Search<'_>,
        tombstones: &[&Tombstone],
        merging: bool,
    ) -> Result<(), StoreError> {
        let index = block.index()?;
        let candidates = postings::resolve(&*index, search.matchers)?;
        index.series(&candidates.series, |series| {
            if !search.part.has(&series.labels)
                || !candidates.unchecked.iter().all(|m| m.matches_labels(&series.labels))
            {
                return Ok(());
            }
            let deleted = Deleted::of(tombstones, &series.labels);
            let inside = |c: &&ChunkEntry| {
                c.min_time <= search.end && c.max_time >= search.start && !deleted.has_all(c.min_time, c.max_time)
            };
            let chunks: Vec<_> = series.chunks.iter().filter(inside).map(|c| (number, *c)).collect();
            if !chunks.is_empty() {
                let num_chunks = chunks.len() + search.choice.map_or(0, |_| series.columns.len());
                let bytes = num_chunks * std::mem::size_of::<(u32, ChunkEntry)>() + deleted.heap_bytes();
                self.memory.take(bytes + series.labels.heap_bytes())?;
                let place = self.place(series.labels.clone(), merging)?;
                self.series[place].chunks.extend(chunks);
                if let Some(choice) = search.choice.filter(|_| deleted.is_empty()) {
                    let is_wanted = |c: &&ChunkEntry| match c.kind {
                        ChunkKind::Column(resolution, column) => {
                            resolution == choice.resolution && choice.columns.contains(&column)
                        }
                        _ => false,
                    };
                    let inside = |c: &&ChunkEntry| c.min_time <= search.end && c.max_time >= search.start;
                    let wanted = series.columns.iter().filter(is_wanted).filter(inside);
                    self.series[place].columns.extend(wanted.map(|c| (number, *c)));
                }
                if !deleted.is_empty() {
                    self.series[place].deleted.push((number, deleted));
                }
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
            // A growing vector has room for half as many again; a place costs its key and its number twice over.
            let place_bytes = if merging { 2 * (std::mem::size_of::<(Labels, usize)>() + 1) } else { 0 };
            self.memory.take(std::mem::size_of::<SeriesSources>() * 3 / 2 + place_bytes)?;
            self.series.push(SeriesSources {
                labels,
                chunks: Vec::new(),
                columns: Vec::new(),
                deleted: Vec::new(),
                head: None,
            });
        }
        Ok(place)
    }
}
