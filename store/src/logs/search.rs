//! Finding records across memory and splits, newest or oldest first.

use std::sync::Arc;

use roaring::RoaringBitmap;
use vocab::ports::logs::{Direction, FoundRecord};
use vocab::{Ctx, LogRecord, PortResult};

use crate::logs::cursor::Key;
use crate::logs::engine::{Engine, Halt};
use crate::logs::query::Query;
use crate::logs::split::{OpenSplit, Split};
use crate::logs::tenant::View;
use crate::logs::tokens::TokenBuffer;

/// Most records of one page; a reader that wants more asks for the next page.
pub const SEARCH_RECORDS_MAX: usize = 10_000;
/// Rows that are read at a time where the index alone cannot tell which satisfy the query.
const VERIFY_ROWS: usize = 1024;
/// Records of the head that are tested between two looks at the cancellation flag.
const SCAN_RECORDS: usize = 1024;

/// The best records so far, in order of the result.
struct Page {
    direction: Direction,
    limit: usize,
    after: Option<Key>,
    found: Vec<(Key, LogRecord)>,
}

impl Page {
    /// Whether `a` comes before `b` in the result.
    fn before(&self, a: Key, b: Key) -> bool {
        match self.direction {
            Direction::Forward => a < b,
            Direction::Backward => a > b,
        }
    }

    /// The last key of a full page: what does not come before it is not wanted.
    fn worst(&self) -> Option<Key> {
        if self.found.len() < self.limit { None } else { self.found.last().map(|(key, _)| *key) }
    }

    fn wants(&self, key: Key) -> bool {
        self.after.is_none_or(|after| self.before(after, key))
            && self.worst().is_none_or(|worst| self.before(key, worst))
    }

    /// Adds records that are wanted and keeps the best.
    fn merge(&mut self, more: Vec<(Key, LogRecord)>) {
        self.found.extend(more);
        match self.direction {
            Direction::Forward => self.found.sort_by_key(|(key, _)| *key),
            Direction::Backward => self.found.sort_by_key(|(key, _)| std::cmp::Reverse(*key)),
        }
        self.found.truncate(self.limit);
    }
}

impl Engine {
    /// Up to `limit` records; see [`vocab::ports::LogSearcher::search`]. Blocks on file operations.
    pub(crate) fn search(
        &self,
        ctx: &Ctx,
        query: &Query,
        direction: Direction,
        limit: usize,
        after: Option<Key>,
    ) -> PortResult<Vec<FoundRecord>> {
        let limit = limit.min(SEARCH_RECORDS_MAX);
        if limit == 0 {
            return Ok(Vec::new());
        }
        let View { head, mut splits } = self.view(&ctx.tenant);
        let mut page = Page { direction, limit, after, found: Vec::new() };
        let mut buffer = TokenBuffer::default();
        let mut hits = Vec::new();
        for records in head.iter().flat_map(|b| b.records.chunks(SCAN_RECORDS)) {
            ctx.cancel.check()?;
            for stored in records {
                let key = Key { time_ns: stored.record.time_ns, seq: stored.seq };
                if page.wants(key) && query.matches(&stored.record, &mut buffer) {
                    hits.push((key, stored));
                }
            }
        }
        match direction {
            Direction::Forward => hits.sort_unstable_by_key(|(key, _)| *key),
            Direction::Backward => hits.sort_unstable_by_key(|(key, _)| std::cmp::Reverse(*key)),
        }
        hits.truncate(limit);
        reserve(ctx, hits.iter().map(|(_, s)| &s.record))?;
        page.merge(hits.into_iter().map(|(key, stored)| (key, stored.record.clone())).collect());
        splits.retain(|s| s.overlaps(query.start_ns, query.end_ns));
        match direction {
            Direction::Forward => splits.sort_by_key(|s| s.meta.min_time_ns),
            Direction::Backward => splits.sort_by_key(|s| std::cmp::Reverse(s.meta.max_time_ns)),
        }
        for split in &splits {
            if page.worst().is_some_and(|worst| is_beyond(direction, split, worst)) {
                break;
            }
            let found = self.on_split(ctx, split, |open| search_split(ctx, open, query, &page))?;
            page.merge(found.unwrap_or_default());
        }
        let found = page.found.into_iter();
        Ok(found.map(|(key, record)| FoundRecord { record, cursor: key.cursor(direction) }).collect())
    }
}

/// Whether nothing in a split, nor in those behind it, can come before `worst`.
fn is_beyond(direction: Direction, split: &Arc<Split>, worst: Key) -> bool {
    match direction {
        Direction::Forward => split.meta.min_time_ns > worst.time_ns,
        Direction::Backward => split.meta.max_time_ns < worst.time_ns,
    }
}

fn search_split(ctx: &Ctx, open: &OpenSplit, query: &Query, page: &Page) -> Result<Vec<(Key, LogRecord)>, Halt> {
    let mut candidates = open.candidates(query)?;
    // Rows are in order of key, so both bounds are row numbers.
    for (bound, wanted_below) in
        [(page.after, page.direction == Direction::Backward), (page.worst(), page.direction == Direction::Forward)]
    {
        let Some(bound) = bound else { continue };
        let row = open.first_row_from(bound);
        if wanted_below {
            candidates.rows.remove_range(row..);
        } else {
            candidates.rows.remove_range(..row);
            if row < open.num_rows() && open.key(row) == bound {
                candidates.rows.remove(row);
            }
        }
    }
    let mut buffer = TokenBuffer::default();
    let mut found: Vec<(Key, LogRecord)> = Vec::new();
    let mut rows: Box<dyn Iterator<Item = u32>> = match page.direction {
        Direction::Forward => Box::new(candidates.rows.iter()),
        Direction::Backward => Box::new(candidates.rows.iter().rev()),
    };
    while found.len() < page.limit {
        ctx.cancel.check()?;
        let missing = page.limit - found.len();
        let count = if candidates.exact { missing } else { missing.max(VERIFY_ROWS) };
        let chunk: RoaringBitmap = rows.by_ref().take(count).collect();
        if chunk.is_empty() {
            break;
        }
        let mut records = open.records(&chunk)?;
        if !candidates.exact {
            records.retain(|s| query.conditions_hold(&s.record, &mut buffer));
        }
        if page.direction == Direction::Backward {
            records.reverse();
        }
        records.truncate(missing);
        reserve(ctx, records.iter().map(|s| &s.record))?;
        found.extend(records.into_iter().map(|s| (Key { time_ns: s.record.time_ns, seq: s.seq }, s.record)));
    }
    Ok(found)
}

/// Counts records that an answer will hold.
fn reserve<'a>(ctx: &Ctx, records: impl Iterator<Item = &'a LogRecord>) -> PortResult<()> {
    ctx.memory.try_grow(records.map(LogRecord::heap_bytes).sum())
}
