//! Writing and reading log records.

use std::fmt::Debug;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::PortResult;
use crate::log_record::{LogRecord, Severity};
use crate::matcher::Matcher;

/// A position in a source, so that records sent again after a crash are recognised.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SourcePosition {
    /// The source: a file's fingerprint, a journal's machine id. Empty when the source has no positions (a push).
    pub source: String,
    /// Position after the batch's last record; ascending per source.
    pub offset: u64,
}

/// Log records of one tenant that are written together.
#[derive(Debug, Clone, Default)]
pub struct LogBatch {
    /// The records.
    pub records: Vec<LogRecord>,
    /// Where the batch ends in its source. A batch whose position is not after the last one seen from that source has been
    /// taken before and is acknowledged without being written again.
    pub position: Option<SourcePosition>,
}

/// What became of a batch. Everything accepted is in the WAL.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogAppendOutcome {
    /// Records taken.
    pub accepted: u64,
    /// Records recognised as sent again.
    pub repeated: u64,
    /// Records refused (over the size limit), with the first reason.
    pub rejected: u64,
    /// The first reason.
    pub first_reason: String,
}

/// Writes log records. The analyzer's pattern stage implements this port too and stands in front of the store's.
#[async_trait]
pub trait LogAppender: Send + Sync + Debug {
    /// Appends a batch and returns once it is in the WAL.
    ///
    /// # Errors
    /// `Unavailable` on overload, shutdown or a full disk, `Limit` on a named limit; nothing was written then.
    async fn append(&self, ctx: &Ctx, batch: LogBatch) -> PortResult<LogAppendOutcome>;
}

/// Which records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct LogQuery {
    /// The query text: words (all must occur), `"a phrase"`, `-word`, `a OR b`, `( … )`, `prefix*`, and conditions on
    /// `service`, `severity`, labels and fields: `status:500`, `severity>=warning`, `host=~"a.*"`, `duration_ms>100`. Empty
    /// matches everything.
    pub text: String,
    /// Conditions on labels; `service`, `severity` and `pattern_id` count as labels here.
    pub matchers: Vec<Matcher>,
    /// First time, included, in nanoseconds.
    pub start_ns: i64,
    /// Last time, excluded, in nanoseconds.
    pub end_ns: i64,
}

/// One found record.
#[derive(Debug, Clone, PartialEq)]
pub struct FoundRecord {
    /// The record.
    pub record: LogRecord,
    /// Opaque, unique; sorts as the result does. Pass the last one to get the next page.
    pub cursor: String,
}

/// Order of a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    /// Newest first.
    #[default]
    Backward,
    /// Oldest first.
    Forward,
}

/// Records per severity in one time bucket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistogramBucket {
    /// Start of the bucket in nanoseconds.
    pub start_ns: i64,
    /// (severity, count), only those that occur.
    pub counts: Vec<(Severity, u64)>,
}

/// A value of a facet and how often it occurs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FacetValue {
    /// The value.
    pub value: String,
    /// Records that have it.
    pub count: u64,
}

/// A pattern's share of a search's records.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PatternCount {
    /// The pattern's id.
    pub pattern_id: u64,
    /// Records of it in the range.
    pub count: u64,
    /// Counts over `num_buckets` equal parts of the range, for a sparkline.
    pub buckets: Vec<u64>,
    /// One record's body.
    pub example: String,
}

/// Reads log records. Everything is the context's tenant's only.
#[async_trait]
pub trait LogSearcher: Send + Sync + Debug {
    /// Up to `limit` records, in order of time; `after` is the last cursor of the page before.
    ///
    /// # Errors
    /// `Invalid` with the position of a mistake in the query text; `Limit`, `Timeout`, `Cancelled`, `Internal`.
    async fn search(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        direction: Direction,
        limit: usize,
        after: Option<&str>,
    ) -> PortResult<Vec<FoundRecord>>;

    /// Counts per severity in `num_buckets` equal parts of the range.
    ///
    /// # Errors
    /// As [`LogSearcher::search`].
    async fn histogram(&self, ctx: &Ctx, query: &LogQuery, num_buckets: usize) -> PortResult<Vec<HistogramBucket>>;

    /// The most frequent values of a label, of a field, or of `service`, `severity`.
    ///
    /// # Errors
    /// As [`LogSearcher::search`].
    async fn facet(&self, ctx: &Ctx, query: &LogQuery, name: &str, limit: usize) -> PortResult<Vec<FacetValue>>;

    /// The most frequent patterns.
    ///
    /// # Errors
    /// As [`LogSearcher::search`].
    async fn patterns(
        &self,
        ctx: &Ctx,
        query: &LogQuery,
        num_buckets: usize,
        limit: usize,
    ) -> PortResult<Vec<PatternCount>>;

    /// Names of the fields and labels that occur, most frequent first.
    ///
    /// # Errors
    /// As [`LogSearcher::search`].
    async fn field_names(&self, ctx: &Ctx, query: &LogQuery, limit: usize) -> PortResult<Vec<FacetValue>>;

    /// Records as they are written from now on, filtered by the query (its time range is ignored). A slow reader misses
    /// records rather than holding up writers.
    ///
    /// # Errors
    /// `Invalid` with the position of a mistake in the query text.
    async fn tail(&self, ctx: &Ctx, query: &LogQuery) -> PortResult<BoxStream<'static, LogRecord>>;
}
