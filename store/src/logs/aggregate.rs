//! Counting records: over time, by value, by name and by pattern.

use std::collections::HashMap;
use std::sync::Arc;

use roaring::RoaringBitmap;
use vocab::ports::logs::{FacetValue, HistogramBucket, PatternCount};
use vocab::{Ctx, LogRecord, PortResult, Severity};

use crate::logs::codec::{of_rank, rank};
use crate::logs::cursor::Key;
use crate::logs::engine::{Engine, Halt};
use crate::logs::query::{Property, Query, property_of};
use crate::logs::split::facets::{Counts, VALUES_COUNTED_MAX, count};
use crate::logs::split::{OpenSplit, Split};
use crate::logs::tenant::View;
use crate::logs::tokens::TokenBuffer;

/// Most parts that a range is divided into: more than a screen has pixels.
const BUCKETS_MAX: usize = 11_000;
/// Records of the head that are tested between two looks at the cancellation flag.
const SCAN_RECORDS: usize = 1024;

/// Equal parts of a time range.
struct Buckets {
    start_ns: i64,
    width_ns: i64,
    count: usize,
}

impl Buckets {
    fn of(query: &Query, count: usize) -> Self {
        let count = count.clamp(1, BUCKETS_MAX);
        let range = query.end_ns.saturating_sub(query.start_ns);
        Self { start_ns: query.start_ns, width_ns: (range / count as i64).max(1), count }
    }

    fn start(&self, index: usize) -> i64 {
        self.start_ns.saturating_add((index as i64).saturating_mul(self.width_ns))
    }

    /// The part a time within the range falls into.
    fn index(&self, time_ns: i64) -> usize {
        let offset = i128::from(time_ns) - i128::from(self.start_ns);
        usize::try_from(offset / i128::from(self.width_ns)).unwrap_or(0).min(self.count - 1)
    }
}

/// What is known of a pattern before the most frequent ones are chosen.
struct Sighting {
    count: u64,
    newest: Key,
    example: Example,
}

enum Example {
    Body(String),
    Row(Arc<Split>, u32),
}

impl Engine {
    /// Counts per severity and part of the range; see [`vocab::ports::LogSearcher::histogram`].
    pub(crate) fn histogram(&self, ctx: &Ctx, query: &Query, num_buckets: usize) -> PortResult<Vec<HistogramBucket>> {
        let buckets = Buckets::of(query, num_buckets);
        let mut counts = vec![[0u64; Severity::ALL.len()]; buckets.count];
        let view = self.view(&ctx.tenant);
        each_in_head(ctx, query, &view, |_, record| {
            counts[buckets.index(record.time_ns)][usize::from(rank(record.severity))] += 1;
        })?;
        for split in overlapping(&view, query) {
            // Counted apart, so that a split that turns out to be damaged half-way leaves nothing behind.
            let mut counted = counts.clone();
            let done = self.on_split(ctx, split, |open| {
                for row in matching(ctx, open, query)? {
                    let bucket = buckets.index(open.columns.time.get_val(row));
                    let rank = usize::try_from(open.columns.rank.get_val(row)).unwrap_or(usize::MAX);
                    if let Some(count) = counted[bucket].get_mut(rank) {
                        *count += 1;
                    }
                }
                Ok(())
            })?;
            if done.is_some() {
                counts = counted;
            }
        }
        let list = |(index, counts): (usize, &[u64; Severity::ALL.len()])| HistogramBucket {
            start_ns: buckets.start(index),
            counts: (0u64..)
                .zip(counts)
                .filter(|(_, c)| **c > 0)
                .filter_map(|(r, c)| Some((of_rank(r)?, *c)))
                .collect(),
        };
        Ok(counts.iter().enumerate().map(list).collect())
    }

    /// The most frequent values of a name; see [`vocab::ports::LogSearcher::facet`].
    pub(crate) fn facet(&self, ctx: &Ctx, query: &Query, name: &str, limit: usize) -> PortResult<Vec<FacetValue>> {
        self.most_frequent(
            ctx,
            query,
            limit,
            |record, counts| values_of(record, name, |value| count(counts, value, 1)),
            |open, rows, counts| Ok(open.count_values(rows, name, counts)?),
        )
    }

    /// The most frequent names; see [`vocab::ports::LogSearcher::field_names`].
    pub(crate) fn field_names(&self, ctx: &Ctx, query: &Query, limit: usize) -> PortResult<Vec<FacetValue>> {
        self.most_frequent(
            ctx,
            query,
            limit,
            |record, counts| {
                record.labels.iter().for_each(|(name, _)| count(counts, name, 1));
                for (name, _) in record.fields.iter().filter(|(n, _)| record.labels.get(n).is_none()) {
                    count(counts, name, 1);
                }
            },
            |open, rows, counts| Ok(open.count_names(rows, counts)?),
        )
    }

    fn most_frequent(
        &self,
        ctx: &Ctx,
        query: &Query,
        limit: usize,
        in_head: impl Fn(&LogRecord, &mut Counts),
        in_split: impl Fn(&OpenSplit, &RoaringBitmap, &mut Counts) -> Result<(), Halt>,
    ) -> PortResult<Vec<FacetValue>> {
        let mut counts = Counts::new();
        let view = self.view(&ctx.tenant);
        each_in_head(ctx, query, &view, |_, record| in_head(record, &mut counts))?;
        for split in overlapping(&view, query) {
            let of_split = self.on_split(ctx, split, |open| {
                let mut counts = Counts::new();
                in_split(open, &matching(ctx, open, query)?, &mut counts)?;
                Ok(counts)
            })?;
            for (value, more) in of_split.unwrap_or_default() {
                count(&mut counts, &value, more);
            }
        }
        let mut values: Vec<FacetValue> =
            counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
        values.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        values.truncate(limit);
        Ok(values)
    }

    /// The most frequent patterns; see [`vocab::ports::LogSearcher::patterns`].
    pub(crate) fn patterns(
        &self,
        ctx: &Ctx,
        query: &Query,
        num_buckets: usize,
        limit: usize,
    ) -> PortResult<Vec<PatternCount>> {
        let view = self.view(&ctx.tenant);
        let mut sightings: HashMap<u64, Sighting> = HashMap::new();
        let mut see = |pattern_id: u64, key: Key, example: &dyn Fn() -> Example| {
            if let Some(known) = sightings.get_mut(&pattern_id) {
                known.count += 1;
                if key > known.newest {
                    (known.newest, known.example) = (key, example());
                }
            } else if sightings.len() < VALUES_COUNTED_MAX {
                sightings.insert(pattern_id, Sighting { count: 1, newest: key, example: example() });
            }
        };
        each_in_head(ctx, query, &view, |key, record| {
            see(record.pattern_id, key, &|| Example::Body(record.body.clone()));
        })?;
        let mut rows_of: Vec<(&Arc<Split>, RoaringBitmap)> = Vec::new();
        for split in overlapping(&view, query) {
            let rows = self.on_split(ctx, split, |open| {
                let rows = matching(ctx, open, query)?;
                for row in &rows {
                    let example = || Example::Row(Arc::clone(split), row);
                    see(open.columns.pattern_id.get_val(row), open.key(row), &example);
                }
                Ok(rows)
            })?;
            rows_of.extend(rows.map(|rows| (split, rows)));
        }
        let mut chosen: Vec<(u64, Sighting)> = sightings.into_iter().collect();
        chosen.sort_unstable_by(|a, b| b.1.count.cmp(&a.1.count).then_with(|| a.0.cmp(&b.0)));
        chosen.truncate(limit);
        let buckets = Buckets::of(query, num_buckets);
        let mut series: HashMap<u64, Vec<u64>> =
            chosen.iter().map(|(pattern_id, _)| (*pattern_id, vec![0; buckets.count])).collect();
        let mut tally = |pattern_id: u64, time_ns: i64| {
            if let Some(counts) = series.get_mut(&pattern_id) {
                counts[buckets.index(time_ns)] += 1;
            }
        };
        each_in_head(ctx, query, &view, |_, record| tally(record.pattern_id, record.time_ns))?;
        for (split, rows) in rows_of {
            self.on_split(ctx, split, |open| {
                for row in rows {
                    tally(open.columns.pattern_id.get_val(row), open.columns.time.get_val(row));
                }
                Ok(())
            })?;
        }
        chosen
            .into_iter()
            .map(|(pattern_id, sighting)| {
                let example = self.example(ctx, sighting.example)?;
                let buckets = series.remove(&pattern_id).unwrap_or_default();
                Ok(PatternCount { pattern_id, count: sighting.count, buckets, example })
            })
            .collect()
    }

    fn example(&self, ctx: &Ctx, example: Example) -> PortResult<String> {
        match example {
            Example::Body(body) => Ok(body),
            Example::Row(split, row) => {
                let records = self.on_split(ctx, &split, |open| Ok(open.records(&RoaringBitmap::from_iter([row]))?))?;
                Ok(records.unwrap_or_default().pop().map(|s| s.record.body).unwrap_or_default())
            }
        }
    }
}

/// Calls `visit` for every matching record of the head.
fn each_in_head(ctx: &Ctx, query: &Query, view: &View, mut visit: impl FnMut(Key, &LogRecord)) -> PortResult<()> {
    let mut buffer = TokenBuffer::default();
    for records in view.head.iter().flat_map(|b| b.records.chunks(SCAN_RECORDS)) {
        ctx.cancel.check()?;
        for stored in records.iter().filter(|s| query.matches(&s.record, &mut buffer)) {
            visit(Key { time_ns: stored.record.time_ns, seq: stored.seq }, &stored.record);
        }
    }
    Ok(())
}

fn overlapping<'a>(view: &'a View, query: &Query) -> impl Iterator<Item = &'a Arc<Split>> {
    let (start_ns, end_ns) = (query.start_ns, query.end_ns);
    view.splits.iter().filter(move |s| s.overlaps(start_ns, end_ns))
}

fn matching(ctx: &Ctx, open: &OpenSplit, query: &Query) -> Result<RoaringBitmap, Halt> {
    open.matching(query, || Ok::<(), Halt>(ctx.cancel.check()?))
}

/// The values that a record has under a name, each once, the empty one left out.
fn values_of(record: &LogRecord, name: &str, mut visit: impl FnMut(&str)) {
    match property_of(name) {
        Some(Property::Service) if record.service.is_empty() => {}
        Some(Property::Service) => visit(&record.service),
        Some(Property::Severity) => visit(record.severity.as_str()),
        Some(Property::PatternId) => visit(&record.pattern_id.to_string()),
        None => {
            let label = record.labels.get(name);
            let field = record.field(name).filter(|v| !v.is_empty() && label != Some(v));
            label.into_iter().chain(field).for_each(visit);
        }
    }
}
