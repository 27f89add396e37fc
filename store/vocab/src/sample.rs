//! Samples and what a series of them looks like in memory.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::histogram::NativeHistogram;
use crate::labels::Labels;
use crate::time::TimestampMs;

/// The bit pattern that marks a series as stale (Prometheus's `value.StaleNaN`).
pub const STALE_NAN_BITS: u64 = 0x7ff0_0000_0000_0002;
/// The staleness marker as a value; compare with [`is_stale_nan`], never with `==`.
pub const STALE_NAN: f64 = f64::from_bits(STALE_NAN_BITS);

/// Whether a value is the staleness marker (and not merely some NaN).
pub fn is_stale_nan(value: f64) -> bool {
    value.to_bits() == STALE_NAN_BITS
}

/// All samples of one series in a time range, decoded and sorted by time.
///
/// Floats and native histograms of one series stand in two columns; a timestamp stands in only one of them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SeriesData {
    /// The series' labels.
    pub labels: Labels,
    /// Times of the float samples, ascending.
    pub timestamps: Vec<TimestampMs>,
    /// Values of the float samples, parallel to `timestamps`; staleness markers included.
    pub values: Vec<f64>,
    /// Native histogram samples, ascending by time.
    pub histograms: Vec<(TimestampMs, Arc<NativeHistogram>)>,
    /// Since when the samples count, where their source said so.
    pub starts: Option<Box<StartTimes>>,
}

/// Since when samples of counters and histograms count ("start timestamp", "created timestamp"), in milliseconds since the epoch;
/// 0 where that is not known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StartTimes {
    /// One for each float sample, or none at all.
    pub floats: Vec<TimestampMs>,
    /// One for each histogram sample, or none at all.
    pub histograms: Vec<TimestampMs>,
}

impl StartTimes {
    /// Whether no sample says since when it counts.
    pub fn is_empty(&self) -> bool {
        self.floats.is_empty() && self.histograms.is_empty()
    }

    /// Notes in a list of start times, which may be shorter than its samples, since when the sample at `index` counts. While
    /// none says so the list stays empty.
    pub fn note(list: &mut Vec<TimestampMs>, index: usize, start: TimestampMs) {
        match list.get_mut(index) {
            Some(known) => *known = start,
            None if start != 0 => {
                list.resize(index, 0);
                list.push(start);
            }
            None => {}
        }
    }
}

impl SeriesData {
    /// Number of samples of both kinds.
    pub fn num_samples(&self) -> usize {
        self.timestamps.len() + self.histograms.len()
    }

    /// Bytes this holds on the heap, labels not counted; for reservations.
    pub fn heap_bytes(&self) -> usize {
        self.timestamps.capacity() * 16
            + self.histograms.iter().map(|(_, h)| 24 + h.heap_bytes()).sum::<usize>()
            + self.starts.as_ref().map_or(0, |s| 48 + (s.floats.capacity() + s.histograms.capacity()) * 8)
    }
}

/// A trace-linked example of a sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Exemplar {
    /// Labels of the exemplar itself, `trace_id` usually.
    pub labels: Labels,
    /// The value observed.
    pub value: f64,
    /// When it was observed.
    pub timestamp: TimestampMs,
}

/// What a metric is, as its exposition declares it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum MetricType {
    /// Only grows, but for resets.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Buckets, sum and count.
    Histogram,
    /// A histogram whose buckets may shrink.
    GaugeHistogram,
    /// Quantiles, sum and count.
    Summary,
    /// Always 1; its labels say something.
    Info,
    /// One of a set of states.
    StateSet,
    /// Not declared.
    #[default]
    Unknown,
}

/// Type, help and unit of a metric family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub struct MetricMetadata {
    /// The family's name.
    pub metric: String,
    /// Its type.
    pub metric_type: MetricType,
    /// Its help text.
    pub help: String,
    /// Its unit, empty when not declared.
    pub unit: String,
}
