//! Values: what an evaluation passes between nodes, and what it answers.

use std::sync::Arc;

use vocab::labels::METRIC_NAME;
use vocab::sample::SeriesData;
use vocab::{Labels, MemoryReservation, NativeHistogram, STALE_NAN, TimestampMs, is_stale_nan};

use crate::annotations::Annotations;
use crate::error::QueryError;
use crate::stats::QueryDetail;

/// Marks a step without a float in a column. No expression yields this bit pattern: selectors hide staleness markers
/// and arithmetic on NaN yields quiet ones.
pub(crate) const ABSENT: f64 = STALE_NAN;

/// Whether a step of a column has no float.
pub(crate) fn is_absent(value: f64) -> bool {
    is_stale_nan(value)
}

/// A sample's value.
#[derive(Debug, Clone, PartialEq)]
pub enum SampleValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Histogram(Arc<NativeHistogram>),
}

/// One element of an instant vector.
#[derive(Debug, Clone, PartialEq)]
pub struct VectorSample {
    /// Its labels.
    pub labels: Labels,
    /// The evaluation time.
    pub timestamp: TimestampMs,
    /// Its value.
    pub value: SampleValue,
}

/// The value of a query.
#[derive(Debug, Clone, PartialEq)]
pub enum QueryValue {
    /// A number at a time.
    Scalar(TimestampMs, f64),
    /// A text at a time.
    String(TimestampMs, String),
    /// Samples of one time, in the order that the query asks for, else ordered by labels.
    Vector(Vec<VectorSample>),
    /// Series, ordered by labels.
    Matrix(Vec<SeriesData>),
}

/// What a query cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct QueryStats {
    /// Series read.
    pub num_series: u64,
    /// Samples read.
    pub num_samples: u64,
    /// Steps evaluated.
    pub num_steps: u64,
}

/// The answer to a query.
#[derive(Debug, Clone, PartialEq)]
pub struct QueryOutput {
    /// Its value.
    pub value: QueryValue,
    /// Remarks.
    pub annotations: Annotations,
    /// Its cost.
    pub stats: QueryStats,
    /// Its cost in detail, where [`crate::EngineOptions::detail`] asks for it.
    pub detail: Option<QueryDetail>,
}

/// One series of an instant vector over all steps.
#[derive(Debug, Clone)]
pub(crate) struct Series {
    pub(crate) labels: Labels,
    /// Whether the metric name goes when the result is made.
    pub(crate) drop_name: bool,
    /// One value per step, [`ABSENT`] where there is none.
    pub(crate) floats: Vec<f64>,
    /// Empty, or one entry per step.
    pub(crate) histograms: Vec<Option<Arc<NativeHistogram>>>,
}

impl Series {
    pub(crate) fn empty(labels: Labels, drop_name: bool, steps: usize) -> Self {
        Self { labels, drop_name, floats: vec![ABSENT; steps], histograms: Vec::new() }
    }

    pub(crate) fn get(&self, step: usize) -> Option<SampleValue> {
        let float = self.floats[step];
        if !is_absent(float) {
            return Some(SampleValue::Float(float));
        }
        self.histogram(step).map(|h| SampleValue::Histogram(Arc::clone(h)))
    }

    pub(crate) fn histogram(&self, step: usize) -> Option<&Arc<NativeHistogram>> {
        self.histograms.get(step).and_then(Option::as_ref)
    }

    pub(crate) fn has(&self, step: usize) -> bool {
        !is_absent(self.floats[step]) || self.histogram(step).is_some()
    }

    pub(crate) fn set(&mut self, step: usize, value: SampleValue) {
        match value {
            SampleValue::Float(v) => self.floats[step] = v,
            SampleValue::Histogram(h) => {
                if self.histograms.is_empty() {
                    self.histograms = vec![None; self.floats.len()];
                }
                self.histograms[step] = Some(h);
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.floats.iter().all(|v| is_absent(*v)) && self.histograms.iter().all(Option::is_none)
    }

    /// The labels without the metric name, when that is to go.
    pub(crate) fn output_labels(&self) -> Labels {
        if self.drop_name { without_metadata(&self.labels) } else { self.labels.clone() }
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        std::mem::size_of::<Self>() + self.floats.capacity() * 8 + self.histograms.capacity() * 8
    }
}

/// The labels without the metric's name, type and unit, which do not hold for a computed value.
pub(crate) fn without_metadata(labels: &Labels) -> Labels {
    labels.without(&[METRIC_NAME, "__type__", "__unit__"])
}

/// Bytes counted against the query's memory until dropped.
#[derive(Debug)]
pub(crate) struct Reserved {
    memory: Arc<MemoryReservation>,
    bytes: usize,
}

impl Reserved {
    pub(crate) fn new(memory: &Arc<MemoryReservation>) -> Self {
        Self { memory: Arc::clone(memory), bytes: 0 }
    }

    pub(crate) fn grow(&mut self, bytes: usize) -> Result<(), QueryError> {
        self.memory.try_grow(bytes)?;
        self.bytes += bytes;
        Ok(())
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.memory.shrink(self.bytes);
    }
}

/// An instant vector over all steps, with its memory.
#[derive(Debug)]
pub(crate) struct Vector {
    pub(crate) series: Vec<Series>,
    _reserved: Reserved,
}

impl Vector {
    pub(crate) fn new(series: Vec<Series>, memory: &Arc<MemoryReservation>) -> Result<Self, QueryError> {
        let mut reserved = Reserved::new(memory);
        reserved.grow(series.iter().map(Series::heap_bytes).sum())?;
        Ok(Self { series, _reserved: reserved })
    }

    /// A vector whose memory is counted already.
    pub(crate) fn reserved(series: Vec<Series>, reserved: Reserved) -> Self {
        Self { series, _reserved: reserved }
    }
}

/// Samples as they were read, with their memory.
#[derive(Debug)]
pub(crate) struct Raw {
    pub(crate) series: Vec<SeriesData>,
    pub(crate) reserved: Reserved,
}

/// What a node evaluates to.
#[derive(Debug)]
pub(crate) enum Value {
    Scalar(Vec<f64>),
    String(String),
    Vector(Vector),
}
