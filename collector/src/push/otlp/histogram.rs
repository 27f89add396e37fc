//! Exponential and explicit histograms as native ones.

use std::collections::BTreeMap;

use vocab::STALE_NAN;
use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};

use super::wire::{Buckets, ExponentialPoint, HistogramPoint};

/// The finest resolution of native histograms; finer ones are merged down to it.
const SCHEMA_MAX: i32 = 8;
/// The coarsest.
const SCHEMA_MIN: i32 = -4;
/// Width of the zero bucket of senders that do not say theirs, as in Prometheus.
const ZERO_THRESHOLD_DEFAULT: f64 = 1e-128;
/// Empty buckets between two spans that are rather written out than begin a new span, as Prometheus's clients do.
const GAP_MAX: i64 = 2;

/// An exponential histogram by bucket index, as Prometheus counts them: bucket `i` ends at `base^i`.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Exponential {
    pub(super) schema: i32,
    pub(super) zero_threshold: f64,
    pub(super) zero_count: u64,
    pub(super) count: u64,
    pub(super) sum: f64,
    pub(super) positive: BTreeMap<i32, u64>,
    pub(super) negative: BTreeMap<i32, u64>,
}

impl Exponential {
    /// Reads a point.
    ///
    /// # Errors
    /// A resolution that native histograms do not have, or an index beyond every number.
    pub(super) fn new(point: &ExponentialPoint) -> Result<Self, String> {
        if point.scale < SCHEMA_MIN {
            return Err(format!("scale {} is coarser than {SCHEMA_MIN}", point.scale));
        }
        let down = (point.scale - SCHEMA_MAX).max(0);
        Ok(Self {
            schema: point.scale.min(SCHEMA_MAX),
            zero_threshold: if point.zero_threshold > 0.0 { point.zero_threshold } else { ZERO_THRESHOLD_DEFAULT },
            zero_count: point.zero_count,
            count: point.count,
            sum: point.sum.unwrap_or(0.0),
            positive: by_index(point.positive.as_ref(), down)?,
            negative: by_index(point.negative.as_ref(), down)?,
        })
    }

    /// Merges neighbouring buckets until the resolution is `schema`.
    pub(super) fn coarsen(&mut self, schema: i32) {
        let down = self.schema - schema;
        if down <= 0 {
            return;
        }
        for buckets in [&mut self.positive, &mut self.negative] {
            let mut merged = BTreeMap::new();
            for (index, count) in std::mem::take(buckets) {
                let coarser = ((i64::from(index) - 1) >> down.min(62)) + 1;
                // Halving an i32 gives an i32.
                let sum: &mut u64 = merged.entry(i32::try_from(coarser).unwrap_or(index)).or_default();
                *sum = sum.saturating_add(count);
            }
            *buckets = merged;
        }
        self.schema = schema;
    }

    /// The native histogram.
    pub(super) fn native(&self) -> NativeHistogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        NativeHistogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count as f64,
            count: self.count as f64,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            integer: true,
            ..NativeHistogram::default()
        }
    }
}

/// Counts by index; OTLP's bucket `i` begins where Prometheus's ends, hence the one more.
fn by_index(buckets: Option<&Buckets>, down: i32) -> Result<BTreeMap<i32, u64>, String> {
    let mut counts: BTreeMap<i32, u64> = BTreeMap::new();
    for (position, count) in buckets.iter().flat_map(|b| b.bucket_counts.iter().enumerate()) {
        if *count == 0 {
            continue;
        }
        let offset = buckets.map_or(0, |b| i64::from(b.offset));
        let index = offset + i64::try_from(position).unwrap_or(i64::MAX / 2);
        let index = i32::try_from((index >> down.min(63)) + 1)
            .map_err(|_| format!("bucket index {index} is beyond every number"))?;
        let sum = counts.entry(index).or_default();
        *sum = sum.saturating_add(*count);
    }
    Ok(counts)
}

fn spans(counts: &BTreeMap<i32, u64>) -> (Vec<Span>, Vec<f64>) {
    let (mut spans, mut buckets): (Vec<Span>, Vec<f64>) = (Vec::new(), Vec::new());
    let mut next: Option<i64> = None;
    for (index, count) in counts {
        let index = i64::from(*index);
        let gap = next.map(|next| index - next);
        match (gap, spans.last_mut()) {
            (Some(gap), Some(span)) if gap <= GAP_MAX => {
                // The indexes ascend, so that the gap is not negative; it is at most the bound above.
                let empty = usize::try_from(gap).unwrap_or_default();
                buckets.resize(buckets.len() + empty, 0.0);
                span.length += u32::try_from(empty).unwrap_or_default() + 1;
            }
            // The first span begins at its index; the others count from the end of the one before.
            (gap, _) => {
                let offset = i32::try_from(gap.unwrap_or(index)).unwrap_or(i32::MAX);
                spans.push(Span { offset, length: 1 });
            }
        }
        buckets.push(*count as f64);
        next = Some(index + 1);
    }
    (spans, buckets)
}

/// An explicit histogram with its bounds as custom buckets.
///
/// # Errors
/// Bounds that do not ascend, or not one count more than bounds.
pub(super) fn custom(point: &HistogramPoint) -> Result<NativeHistogram, String> {
    check_bounds(point)?;
    let counts = point.bucket_counts.iter().enumerate().filter(|(_, count)| **count > 0);
    let by_index = counts.map(|(index, count)| (i32::try_from(index).unwrap_or(i32::MAX), *count)).collect();
    let (positive_spans, positive_buckets) = spans(&by_index);
    Ok(NativeHistogram {
        schema: CUSTOM_BUCKETS_SCHEMA,
        count: point.count as f64,
        sum: point.sum.unwrap_or(0.0),
        positive_spans,
        positive_buckets,
        custom_values: point.explicit_bounds.clone(),
        integer: true,
        ..NativeHistogram::default()
    })
}

/// Whether bounds and counts of an explicit histogram fit each other.
///
/// # Errors
/// A sentence that says what does not.
pub(super) fn check_bounds(point: &HistogramPoint) -> Result<(), String> {
    let (bounds, counts) = (&point.explicit_bounds, &point.bucket_counts);
    if !bounds.is_sorted_by(|a, b| a < b) || bounds.iter().any(|b| b.is_nan()) {
        return Err("explicit bounds do not ascend".to_owned());
    }
    if !counts.is_empty() && counts.len() != bounds.len() + 1 {
        return Err(format!("{} bucket counts for {} bounds: want one more", counts.len(), bounds.len()));
    }
    Ok(())
}

/// The sample that ends a series of native histograms.
pub(super) fn stale() -> NativeHistogram {
    NativeHistogram { sum: STALE_NAN, integer: true, ..NativeHistogram::default() }
}
