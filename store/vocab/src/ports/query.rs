//! Reading samples.

use std::collections::BTreeMap;
use std::fmt::Debug;

use async_trait::async_trait;
use futures::stream::BoxStream;
use serde::{Deserialize, Serialize};

use crate::context::Ctx;
use crate::error::PortResult;
use crate::labels::{Labels, METRIC_NAME};
use crate::matcher::Matcher;
use crate::sample::{Exemplar, MetricMetadata, SeriesData};
use crate::time::TimestampMs;

/// What a reader will do with the samples: the store may then choose downsampled blocks or stop early.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct SelectHints {
    /// The query's step in milliseconds; 0 for an instant query.
    pub step_ms: i64,
    /// The range function applied, or empty for a plain selector.
    pub function: String,
    /// The range of a range selector in milliseconds; 0 for an instant selector.
    pub range_ms: i64,
    /// Most series wanted; 0 for all.
    pub limit: usize,
    /// Whether of every series only the newest sample at or before each of the times `end_ms`, `end_ms - step_ms`, … matters.
    #[serde(default)]
    pub newest_at_steps: bool,
}

/// Which samples.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SelectRequest {
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// First time, included.
    pub start_ms: TimestampMs,
    /// Last time, included.
    pub end_ms: TimestampMs,
    /// What they are for.
    pub hints: SelectHints,
}

/// How many of all that there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Portion {
    /// So many are read.
    pub read: u64,
    /// So many there are.
    pub of: u64,
}

/// What a selection reads of its tenant's data, and so what its times and matchers leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SelectExtent {
    /// Blocks with a chunk that is read.
    pub blocks: Portion,
    /// Row groups of the blocks' files with a chunk that is read.
    pub row_groups: Portion,
    /// Chunks of blocks.
    pub chunks: Portion,
    /// Series: in each block they are counted by themselves, and once more in memory.
    pub series: Portion,
}

/// Batches of decoded series. A series comes whole and once; the order of series is not defined.
pub type SeriesStream = BoxStream<'static, PortResult<Vec<SeriesData>>>;

/// The steps of an evaluation: `start, start + step, … ≤ end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepGrid {
    /// First step.
    pub start_ms: TimestampMs,
    /// Last possible step.
    pub end_ms: TimestampMs,
    /// Distance of steps; at least 1. An instant evaluation has `start_ms == end_ms`.
    pub step_ms: i64,
}

impl StepGrid {
    /// Number of steps.
    pub fn num_steps(&self) -> usize {
        if self.end_ms < self.start_ms {
            return 0;
        }
        usize::try_from((self.end_ms - self.start_ms) / self.step_ms.max(1) + 1).unwrap_or(usize::MAX)
    }

    /// The times of the steps.
    pub fn times(&self) -> impl Iterator<Item = TimestampMs> + use<> {
        let (start, step) = (self.start_ms, self.step_ms.max(1));
        (0..self.num_steps()).map(move |i| start + step * i64::try_from(i).unwrap_or(i64::MAX))
    }
}

/// How series are put together in a fragment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FragmentAggregation {
    /// `sum`, `count`, `avg`, `min`, `max`, `stddev`, `stdvar`, `group`, `topk` …
    pub op: String,
    /// Grouping labels.
    pub grouping: Vec<String>,
    /// Whether the grouping labels are dropped instead of kept.
    pub without: bool,
    /// Parameter of `topk`, `bottomk`.
    pub param: u32,
}

/// Work that can run where the data is: a selector, a range function over it, a partial aggregation of the result.
///
/// A small serialisable value. `promql` compiles queries to fragments, evaluates one over decoded series
/// (`promql::fragment`) and merges partial results; the store decides where and in how many pieces it runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Fragment {
    /// Which series.
    pub matchers: Vec<Matcher>,
    /// The evaluation steps, before `offset_ms` is applied.
    pub grid: StepGrid,
    /// Time shift: at step t samples around `t - offset_ms` are read.
    pub offset_ms: i64,
    /// `@ t`: every step reads at this time instead.
    pub at_ms: Option<TimestampMs>,
    /// The window of a range selector; `None` for an instant selector, which looks back `lookback_ms`.
    pub range_ms: Option<i64>,
    /// How long a sample stays current for an instant selector.
    pub lookback_ms: i64,
    /// Range function (or element-wise function of an instant selector) by PromQL name; empty for none.
    pub function: String,
    /// The function's scalar arguments.
    pub args: Vec<f64>,
    /// Partial aggregation; `None` keeps each series.
    pub aggregation: Option<FragmentAggregation>,
}

impl Fragment {
    /// First and last sample time (both included) that the fragment can look at.
    pub fn sample_bounds(&self) -> (TimestampMs, TimestampMs) {
        let (first, last) = match self.at_ms {
            Some(t) => (t, t),
            None => (self.grid.start_ms, self.grid.end_ms),
        };
        let window = self.range_ms.unwrap_or(self.lookback_ms);
        // Windows are open on the left: a sample exactly at the left border does not count.
        (
            first.saturating_sub(self.offset_ms).saturating_sub(window).saturating_add(1),
            last.saturating_sub(self.offset_ms),
        )
    }
}

/// One group (or series) of a fragment's result. What the columns mean is defined by function and aggregation in
/// `promql::fragment`; every column and `present` has one entry per step.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PartialSeries {
    /// Group labels.
    pub labels: Labels,
    /// Whether the step has a value.
    pub present: Vec<bool>,
    /// State columns, e.g. `[sum, compensation]` or `[count, mean, m2]`.
    pub columns: Vec<Vec<f64>>,
}

/// What one piece of the data answers to a fragment.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct FragmentResult {
    /// Groups in no defined order, each label set at most once.
    pub groups: Vec<PartialSeries>,
    /// Series read.
    pub num_series: u64,
    /// Samples read.
    pub num_samples: u64,
    /// Set when native histograms were met, which fragments do not evaluate: the caller must use `select` instead.
    pub saw_histograms: bool,
    /// Annotations raised, as Prometheus words them (`warning`, text).
    pub annotations: Vec<(String, String)>,
}

/// A series' exemplars.
#[derive(Debug, Clone, PartialEq)]
pub struct SeriesExemplars {
    /// The series.
    pub labels: Labels,
    /// Its exemplars, ascending by time.
    pub exemplars: Vec<Exemplar>,
}

/// Series matching any of several selectors in a time range; no selector means all series.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesFilter {
    /// Each inner list is one `match[]`; a series must satisfy one of them.
    pub any_of: Vec<Vec<Matcher>>,
    /// First time, included.
    pub start_ms: TimestampMs,
    /// Last time, included.
    pub end_ms: TimestampMs,
    /// Most results; 0 for all.
    pub limit: usize,
}

/// New series of one hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HourOfChurn {
    /// When the hour began.
    pub start_ms: TimestampMs,
    /// Series made in it.
    pub created: u64,
}

/// How a tenant's series spread over metrics and labels: of everything the largest, in descending order.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CardinalityReport {
    /// Series: those in memory, which are the ones that were written lately.
    pub series: u64,
    /// Different pairs of label and value.
    pub num_pairs: u64,
    /// Metrics by number of series.
    pub metrics: Vec<(String, u64)>,
    /// Labels by number of values.
    pub labels: Vec<(String, u64)>,
    /// Labels by bytes of their values.
    pub label_bytes: Vec<(String, u64)>,
    /// Pairs `label=value` by number of series.
    pub pairs: Vec<(String, u64)>,
    /// New series by hour since the start, oldest first; empty when that is not counted.
    pub churn_hours: Vec<HourOfChurn>,
    /// Metrics by number of new series in this hour and the one before.
    pub churn_metrics: Vec<(String, u64)>,
}

impl CardinalityReport {
    /// Counts label sets one by one.
    pub fn of(series: &[Labels], most: usize) -> Self {
        let (mut metrics, mut pairs) = (BTreeMap::<&str, u64>::new(), BTreeMap::<(&str, &str), u64>::new());
        for pair in series.iter().flat_map(Labels::iter) {
            *pairs.entry(pair).or_default() += 1;
            if pair.0 == METRIC_NAME {
                *metrics.entry(pair.1).or_default() += 1;
            }
        }
        let (mut values, mut bytes) = (BTreeMap::<&str, u64>::new(), BTreeMap::<&str, u64>::new());
        for (name, value) in pairs.keys() {
            *values.entry(name).or_default() += 1;
            *bytes.entry(name).or_default() += value.len() as u64;
        }
        let num_pairs = pairs.len() as u64;
        let by_pair = pairs.into_iter().map(|((name, value), n)| (format!("{name}={value}"), n));
        Self {
            series: series.len() as u64,
            num_pairs,
            pairs: largest(by_pair, most),
            metrics: largest(metrics, most),
            labels: largest(values, most),
            label_bytes: largest(bytes, most),
            ..Self::default()
        }
    }
}

fn largest(counts: impl IntoIterator<Item = (impl Into<String>, u64)>, most: usize) -> Vec<(String, u64)> {
    let mut list: Vec<(String, u64)> = counts.into_iter().map(|(name, n)| (name.into(), n)).collect();
    list.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    list.truncate(most);
    list
}

/// Reads samples and what is known of series. Everything is the context's tenant's only.
#[async_trait]
pub trait Querier: Send + Sync + Debug {
    /// Series with their samples in the time range. Reserves memory as it decodes.
    ///
    /// # Errors
    /// `Limit` when the query's memory share is used up, `Cancelled` and `Timeout` from the context, `Internal` on damage.
    async fn select(&self, ctx: &Ctx, request: SelectRequest) -> PortResult<SeriesStream>;

    /// How much [`Querier::select`] would read for this, found without reading samples; `None` where that is not known.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn extent(&self, _ctx: &Ctx, _request: &SelectRequest) -> PortResult<Option<SelectExtent>> {
        Ok(None)
    }

    /// Runs a fragment over all the data it concerns and merges the pieces.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn execute(&self, ctx: &Ctx, fragment: Fragment) -> PortResult<FragmentResult>;

    /// Label sets of the matching series, sorted.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn series(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<Labels>>;

    /// Label names of the matching series, sorted.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn label_names(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<String>>;

    /// Values of a label among the matching series, sorted.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn label_values(&self, ctx: &Ctx, name: &str, filter: SeriesFilter) -> PortResult<Vec<String>>;

    /// How the tenant's series spread over metrics and labels, at most `most` of each kind.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn cardinality(&self, ctx: &Ctx, most: usize) -> PortResult<CardinalityReport> {
        // Bounds that leave room for adding a lookback without overflow.
        let filter = SeriesFilter { start_ms: i64::MIN / 4, end_ms: i64::MAX / 4, ..SeriesFilter::default() };
        Ok(CardinalityReport::of(&self.series(ctx, filter).await?, most))
    }

    /// Metadata of metric families; all when `metric` is `None`.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn metadata(&self, ctx: &Ctx, metric: Option<&str>) -> PortResult<Vec<MetricMetadata>>;

    /// Exemplars of the matching series.
    ///
    /// # Errors
    /// As [`Querier::select`].
    async fn exemplars(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<SeriesExemplars>>;
}
