//! Native (sparse) histograms as Prometheus 3 defines them.

use serde::{Deserialize, Serialize};

/// Schema number that marks custom bucket bounds.
pub const CUSTOM_BUCKETS_SCHEMA: i32 = -53;

/// A run of consecutive buckets: `offset` empty ones are skipped first, then `length` follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Gap to the end of the previous span; for the first span the index of its first bucket.
    pub offset: i32,
    /// Number of buckets in the span.
    pub length: u32,
}

/// Whether a counter histogram may have been reset between the previous sample and this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
pub enum ResetHint {
    /// Not known; compare the buckets.
    #[default]
    Unknown,
    /// A reset happened.
    Reset,
    /// None happened.
    NoReset,
    /// A gauge histogram: resets have no meaning.
    Gauge,
}

impl ResetHint {
    /// The number by which Prometheus's remote protocols name it; blocks keep the same.
    pub fn number(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Reset => 1,
            Self::NoReset => 2,
            Self::Gauge => 3,
        }
    }

    /// The hint of a number; `None` when no hint has it.
    pub fn of_number(number: u8) -> Option<Self> {
        [Self::Unknown, Self::Reset, Self::NoReset, Self::Gauge].get(usize::from(number)).copied()
    }
}

/// One native histogram sample.
///
/// Bucket counts are absolute (not deltas). Integer histograms have `integer` set and whole counts, so that they are
/// written back exactly as they came.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct NativeHistogram {
    /// Resolution: bucket bounds grow by `2^(2^-schema)`; [`CUSTOM_BUCKETS_SCHEMA`] for custom bounds.
    pub schema: i32,
    /// Width of the zero bucket.
    pub zero_threshold: f64,
    /// Count in the zero bucket.
    pub zero_count: f64,
    /// Count of all observations, NaN ones included.
    pub count: f64,
    /// Sum of all observations.
    pub sum: f64,
    /// Where the positive buckets are.
    pub positive_spans: Vec<Span>,
    /// Counts of the positive buckets.
    pub positive_buckets: Vec<f64>,
    /// Where the negative buckets are.
    pub negative_spans: Vec<Span>,
    /// Counts of the negative buckets.
    pub negative_buckets: Vec<f64>,
    /// Upper bounds, ascending, for custom buckets.
    pub custom_values: Vec<f64>,
    /// What is known about resets.
    pub reset_hint: ResetHint,
    /// Whether it came as an integer histogram.
    pub integer: bool,
}

impl NativeHistogram {
    /// Bytes this holds on the heap.
    pub fn heap_bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + 8 * (self.positive_spans.len()
                + self.negative_spans.len()
                + self.positive_buckets.len()
                + self.negative_buckets.len()
                + self.custom_values.len())
    }
}
