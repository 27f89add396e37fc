//! A log store in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::channel::mpsc;
use futures::stream::BoxStream;
use parking_lot::Mutex;

use crate::context::Ctx;
use crate::error::{PortError, PortResult};
use crate::log_record::LogRecord;
use crate::ports::logs::{
    Direction, FacetValue, FoundRecord, HistogramBucket, LogAppendOutcome, LogAppender, LogBatch, LogQuery,
    LogSearcher, PatternCount,
};
use crate::tenant::TenantId;

/// Records that a slow reader of [`LogSearcher::tail`] may fall behind before it misses some.
const TAIL_RECORDS_MAX: usize = 1024;

/// Log records in memory, per tenant. Clones share the records.
///
/// Of the query language it knows words (part of the body, any case), `-word`, and `name:value`.
#[derive(Clone, Default)]
pub struct MemLogs {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Default)]
struct Inner {
    tenants: BTreeMap<TenantId, Vec<LogRecord>>,
    positions: BTreeMap<String, u64>,
    tails: Vec<(TenantId, LogQuery, mpsc::Sender<LogRecord>)>,
    refusing: Option<PortError>,
}

impl fmt::Debug for MemLogs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemLogs").field("num_tenants", &self.inner.lock().tenants.len()).finish_non_exhaustive()
    }
}

impl MemLogs {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes every append fail with this error, or work again.
    pub fn refuse_writes(&self, error: Option<PortError>) {
        self.inner.lock().refusing = error;
    }

    /// All records of a tenant in the order they were written.
    pub fn dump(&self, tenant: &TenantId) -> Vec<LogRecord> {
        self.inner.lock().tenants.get(tenant).cloned().unwrap_or_default()
    }

    /// The matching records with their numbers, oldest first.
    fn found(&self, ctx: &Ctx, query: &LogQuery) -> PortResult<Vec<(usize, LogRecord)>> {
        ctx.cancel.check()?;
        let inner = self.inner.lock();
        let records = inner.tenants.get(&ctx.tenant).map(Vec::as_slice).unwrap_or_default();
        let inside = |r: &LogRecord| r.time_ns >= query.start_ns && r.time_ns < query.end_ns;
        let mut found: Vec<_> = records
            .iter()
            .enumerate()
            .filter(|(_, r)| inside(r) && wanted(r, query))
            .map(|(number, r)| (number, r.clone()))
            .collect();
        found.sort_by_key(|(number, r)| (r.time_ns, *number));
        Ok(found)
    }
}

/// The value of a label, a field, or of what counts as a label.
fn value_of(record: &LogRecord, name: &str) -> Option<String> {
    match name {
        "service" => Some(record.service.clone()),
        "severity" => Some(record.severity.as_str().to_owned()),
        "pattern_id" => Some(record.pattern_id.to_string()),
        _ => record.labels.get(name).or_else(|| record.field(name)).map(str::to_owned),
    }
}

fn wanted(record: &LogRecord, query: &LogQuery) -> bool {
    let body = record.body.to_lowercase();
    query.matchers.iter().all(|m| m.matches(&value_of(record, &m.name).unwrap_or_default()))
        && query.text.split_whitespace().all(|word| match (word.strip_prefix('-'), word.split_once(':')) {
            (Some(word), _) => !body.contains(&word.to_lowercase()),
            (None, Some((name, value))) => value_of(record, name).as_deref() == Some(value),
            (None, None) => body.contains(&word.to_lowercase()),
        })
}

/// The starts of `num_buckets` equal parts of the query's range.
fn bucket_starts(query: &LogQuery, num_buckets: usize) -> Vec<i64> {
    let count = i64::try_from(num_buckets.max(1)).unwrap_or(i64::MAX);
    let width = (query.end_ns.saturating_sub(query.start_ns) / count).max(1);
    (0..count).map(|index| query.start_ns + index * width).collect()
}

/// Which part a time within the range falls into.
fn bucket_of(starts: &[i64], time_ns: i64) -> usize {
    starts.partition_point(|&start| start <= time_ns).saturating_sub(1)
}

fn most_frequent(counts: BTreeMap<String, u64>, limit: usize) -> Vec<FacetValue> {
    let mut values: Vec<_> = counts.into_iter().map(|(value, count)| FacetValue { value, count }).collect();
    values.sort_by_key(|v| std::cmp::Reverse(v.count));
    values.truncate(limit);
    values
}

#[async_trait]
impl LogAppender for MemLogs {
    async fn append(&self, ctx: &Ctx, batch: LogBatch) -> PortResult<LogAppendOutcome> {
        let mut inner = self.inner.lock();
        if let Some(error) = &inner.refusing {
            return Err(error.clone());
        }
        let count = batch.records.len() as u64;
        if let Some(position) = batch.position.filter(|p| !p.source.is_empty()) {
            let last = inner.positions.get(&position.source).copied();
            if last.is_some_and(|last| position.offset <= last) {
                return Ok(LogAppendOutcome { repeated: count, ..LogAppendOutcome::default() });
            }
            inner.positions.insert(position.source, position.offset);
        }
        for record in &batch.records {
            // A full or closed tail is dropped on the floor or forgotten; writers never wait for readers.
            inner.tails.retain_mut(|(tenant, query, tail)| {
                let concerns = *tenant == ctx.tenant && wanted(record, query);
                !concerns || tail.try_send(record.clone()).is_ok() || !tail.is_closed()
            });
        }
        inner.tenants.entry(ctx.tenant.clone()).or_default().extend(batch.records);
        Ok(LogAppendOutcome { accepted: count, ..LogAppendOutcome::default() })
    }
}

#[async_trait]
impl LogSearcher for MemLogs {
    async fn search(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        direction: Direction,
        limit: usize,
        after: Option<&str>,
    ) -> PortResult<Vec<FoundRecord>> {
        let mut found = self.found(ctx, query)?;
        if direction == Direction::Backward {
            found.reverse();
        }
        let cursor = |number: usize, r: &LogRecord| {
            // Shifted to unsigned and, going backward, complemented, so that cursors ascend with the result.
            let key = (u128::from(r.time_ns.cast_unsigned() ^ (1 << 63)) << 64) | number as u128;
            format!("{:032x}", if direction == Direction::Backward { !key } else { key })
        };
        let all = found.into_iter().map(|(number, record)| FoundRecord { cursor: cursor(number, &record), record });
        Ok(all.filter(|f| after.is_none_or(|after| f.cursor.as_str() > after)).take(limit).collect())
    }

    async fn histogram(&self, ctx: &Ctx, query: &LogQuery, num_buckets: usize) -> PortResult<Vec<HistogramBucket>> {
        let starts = bucket_starts(query, num_buckets);
        let mut buckets = vec![BTreeMap::<_, u64>::new(); starts.len()];
        for (_, record) in self.found(ctx, query)? {
            *buckets[bucket_of(&starts, record.time_ns)].entry(record.severity).or_default() += 1;
        }
        let list = |(start_ns, counts): (i64, BTreeMap<_, _>)| HistogramBucket {
            start_ns,
            counts: counts.into_iter().collect(),
        };
        Ok(starts.into_iter().zip(buckets).map(list).collect())
    }

    async fn facet(&self, ctx: &Ctx, query: &LogQuery, name: &str, limit: usize) -> PortResult<Vec<FacetValue>> {
        let mut counts = BTreeMap::new();
        for value in self.found(ctx, query)?.iter().filter_map(|(_, r)| value_of(r, name)).filter(|v| !v.is_empty()) {
            *counts.entry(value).or_default() += 1;
        }
        Ok(most_frequent(counts, limit))
    }

    async fn patterns(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        num_buckets: usize,
        limit: usize,
    ) -> PortResult<Vec<PatternCount>> {
        let starts = bucket_starts(query, num_buckets);
        let mut patterns = BTreeMap::<u64, PatternCount>::new();
        for (_, record) in self.found(ctx, query)? {
            let bucket = bucket_of(&starts, record.time_ns);
            let pattern = patterns.entry(record.pattern_id).or_insert_with(|| PatternCount {
                pattern_id: record.pattern_id,
                count: 0,
                buckets: vec![0; starts.len()],
                example: record.body,
            });
            pattern.count += 1;
            pattern.buckets[bucket] += 1;
        }
        let mut patterns: Vec<_> = patterns.into_values().collect();
        patterns.sort_by_key(|p| std::cmp::Reverse(p.count));
        patterns.truncate(limit);
        Ok(patterns)
    }

    async fn field_names(&self, ctx: &Ctx, query: &LogQuery, limit: usize) -> PortResult<Vec<FacetValue>> {
        let mut counts = BTreeMap::new();
        for (_, record) in self.found(ctx, query)? {
            let labels = record.labels.iter().map(|p| p.0);
            for name in labels.chain(record.fields.iter().map(|f| f.0.as_str())) {
                *counts.entry(name.to_owned()).or_default() += 1;
            }
        }
        Ok(most_frequent(counts, limit))
    }

    async fn tail(&self, ctx: &Ctx, query: &LogQuery) -> PortResult<BoxStream<'static, LogRecord>> {
        let (sender, receiver) = mpsc::channel(TAIL_RECORDS_MAX);
        self.inner.lock().tails.push((ctx.tenant.clone(), query.clone(), sender));
        Ok(receiver.boxed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::logs::SourcePosition;
    use crate::{Labels, Severity};

    fn record(time_ns: i64, severity: Severity, body: &str) -> LogRecord {
        LogRecord {
            time_ns,
            service: "web".into(),
            severity,
            body: body.into(),
            labels: Labels::from_pairs([("host", "h1")]),
            fields: vec![("status".into(), "500".into())],
            pattern_id: 1,
        }
    }

    #[tokio::test]
    async fn records_are_found_in_pages_and_never_taken_twice() {
        let (logs, ctx) = (MemLogs::new(), Ctx::unlimited());
        let all = LogQuery { start_ns: 0, end_ns: 100, ..LogQuery::default() };
        let mut tail = logs.tail(&ctx, &LogQuery { text: "boom".into(), ..LogQuery::default() }).await.expect("a tail");
        let records = vec![
            record(30, Severity::Info, "c"),
            record(10, Severity::Error, "Boom a"),
            record(20, Severity::Info, "b"),
        ];
        let position = Some(SourcePosition { source: "f".into(), offset: 9 });
        let batch = LogBatch { records, position };
        assert_eq!(logs.append(&ctx, batch.clone()).await.expect("taken").accepted, 3);
        assert_eq!(logs.append(&ctx, batch).await.expect("known").repeated, 3);
        assert_eq!(tail.next().await.expect("written after the tail began").time_ns, 10);

        for (direction, times) in [(Direction::Backward, [30, 20, 10]), (Direction::Forward, [10, 20, 30])] {
            let first = logs.search(&ctx, &all, direction, 2, None).await.expect("found");
            let rest = logs.search(&ctx, &all, direction, 2, Some(&first[1].cursor)).await.expect("found");
            let seen: Vec<_> = first.iter().chain(&rest).map(|f| f.record.time_ns).collect();
            assert_eq!(seen, times);
        }
        for (text, count) in [("boom", 1), ("-boom", 2), ("severity:info", 2), ("status:500 host:h1", 3), ("x", 0)] {
            let query = LogQuery { text: text.into(), ..all.clone() };
            assert_eq!(
                logs.search(&ctx, &query, Direction::Forward, 9, None).await.expect("found").len(),
                count,
                "{text}"
            );
        }
        let buckets = logs.histogram(&ctx, &all, 10).await.expect("counted");
        assert_eq!((buckets.len(), &buckets[1].counts), (10, &vec![(Severity::Error, 1)]));
        let facet = logs.facet(&ctx, &all, "severity", 1).await.expect("counted");
        assert_eq!(facet, [FacetValue { value: "info".into(), count: 2 }]);
        assert_eq!(logs.patterns(&ctx, &all, 2, 5).await.expect("counted")[0].buckets, [3, 0]);
        assert_eq!(logs.field_names(&ctx, &all, 5).await.expect("counted").len(), 2);
    }
}
