//! Writing samples.

use std::fmt::Debug;
use std::sync::Arc;

use async_trait::async_trait;

use crate::context::Ctx;
use crate::error::PortResult;
use crate::histogram::NativeHistogram;
use crate::labels::Labels;
use crate::sample::{Exemplar, MetricMetadata, StartTimes};
use crate::time::TimestampMs;

/// A series' number inside a running store. Only a hint: a stale or foreign one costs a lookup, never a wrong write,
/// because the labels travel along.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct SeriesRef(pub u64);

impl SeriesRef {
    /// "Not known yet".
    pub const NONE: Self = Self(0);
}

/// Where samples come from; each origin has its own out-of-order window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Origin {
    /// A scrape or a built-in source.
    #[default]
    Scrape,
    /// A push protocol or an import.
    Write,
    /// A rule, a forecast or an anomaly score.
    Internal,
}

/// One series of a batch.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchSeries {
    /// Its labels.
    pub labels: Labels,
    /// Its number from an earlier [`AppendOutcome`], or [`SeriesRef::NONE`].
    pub series_ref: SeriesRef,
}

/// One float sample of a batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BatchSample {
    /// Index into [`WriteBatch::series`].
    pub series: u32,
    /// When.
    pub timestamp: TimestampMs,
    /// The value; may be the staleness marker.
    pub value: f64,
}

/// Samples of one tenant that are written together: one WAL record group, one acknowledgement.
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    /// Where they come from.
    pub origin: Origin,
    /// The series that occur.
    pub series: Vec<BatchSeries>,
    /// Float samples.
    pub samples: Vec<BatchSample>,
    /// Native histogram samples: (index into `series`, time, value).
    pub histograms: Vec<(u32, TimestampMs, Arc<NativeHistogram>)>,
    /// Since when the samples count, where their source says so. Each list goes with its samples as far as it reaches; what is
    /// missing at its end is not known.
    pub starts: StartTimes,
    /// Exemplars: (index into `series`, exemplar).
    pub exemplars: Vec<(u32, Exemplar)>,
    /// Metadata of metric families.
    pub metadata: Vec<MetricMetadata>,
}

impl WriteBatch {
    /// Adds a series and gives its index.
    pub fn push_series(&mut self, labels: Labels, series_ref: SeriesRef) -> u32 {
        // A batch is bounded far below 2^32 series by the limits on bodies.
        let index = u32::try_from(self.series.len()).unwrap_or(u32::MAX);
        self.series.push(BatchSeries { labels, series_ref });
        index
    }

    /// Says since when the last float sample counts; 0 for not known.
    pub fn start_of_last_sample(&mut self, start: TimestampMs) {
        if let Some(last) = self.samples.len().checked_sub(1) {
            StartTimes::note(&mut self.starts.floats, last, start);
        }
    }

    /// Says since when the last histogram counts; 0 for not known.
    pub fn start_of_last_histogram(&mut self, start: TimestampMs) {
        if let Some(last) = self.histograms.len().checked_sub(1) {
            StartTimes::note(&mut self.starts.histograms, last, start);
        }
    }

    /// Since when the float sample at `index` counts; 0 when that is not known.
    pub fn sample_start(&self, index: usize) -> TimestampMs {
        self.starts.floats.get(index).copied().unwrap_or(0)
    }

    /// Since when the histogram at `index` counts; 0 when that is not known.
    pub fn histogram_start(&self, index: usize) -> TimestampMs {
        self.starts.histograms.get(index).copied().unwrap_or(0)
    }

    /// Adds a series with one sample.
    pub fn push(&mut self, labels: Labels, timestamp: TimestampMs, value: f64) {
        let series = self.push_series(labels, SeriesRef::NONE);
        self.samples.push(BatchSample { series, timestamp, value });
    }
}

/// Why a sample was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RejectReason {
    /// Older than the out-of-order window allows, against the series' newest sample.
    TooOld,
    /// Another value stands at the same time.
    Duplicate,
    /// Older than the tenant's retention.
    BeyondRetention,
    /// The label set is not valid (empty name, too many or too long labels).
    InvalidLabels,
    /// The tenant has reached its number of series, or the head its share of memory.
    SeriesLimit,
    /// The histogram is not valid.
    InvalidHistogram,
}

impl RejectReason {
    /// The word in metrics and messages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TooOld => "too_old",
            Self::Duplicate => "duplicate",
            Self::BeyondRetention => "beyond_retention",
            Self::InvalidLabels => "invalid_labels",
            Self::SeriesLimit => "series_limit",
            Self::InvalidHistogram => "invalid_histogram",
        }
    }
}

/// One sample (or series) that was not taken.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejection {
    /// Index into [`WriteBatch::series`].
    pub series: u32,
    /// The sample's time.
    pub timestamp: TimestampMs,
    /// Why.
    pub reason: RejectReason,
    /// A sentence that names the series.
    pub message: String,
}

/// Most rejections that are described one by one; more are only counted.
pub const REJECTIONS_DESCRIBED_MAX: usize = 10;

/// What became of a batch. Everything counted as accepted is in the WAL.
#[derive(Debug, Clone, Default)]
pub struct AppendOutcome {
    /// Each series' number for next time, parallel to [`WriteBatch::series`]; [`SeriesRef::NONE`] for a refused series.
    pub refs: Vec<SeriesRef>,
    /// Samples taken (floats and histograms), exact repetitions included.
    pub accepted: u64,
    /// Samples refused.
    pub rejected: u64,
    /// Of those, samples refused because a limit is reached (a tenant's number of series, the head's memory): they may be
    /// taken later.
    pub limited: u64,
    /// The first refused ones; one of those refused for a limit is always among them when there are any.
    pub rejections: Vec<Rejection>,
}

/// Writes samples. Good samples of a batch are kept when others are refused.
#[async_trait]
pub trait Appender: Send + Sync + Debug {
    /// Appends a batch and returns once it is in the WAL (as durable as the fsync policy says).
    ///
    /// # Errors
    /// `Unavailable` when the store sheds load, is stopping, or the disk is full; `Limit` when a named limit of the tenant
    /// or of memory is reached before anything was taken. Then nothing was written.
    async fn append(&self, ctx: &Ctx, batch: &WriteBatch) -> PortResult<AppendOutcome>;
}
