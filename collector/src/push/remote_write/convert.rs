//! From the protocol's shapes to those of the store.

use vocab::Labels;
use vocab::histogram::{NativeHistogram, ResetHint, Span};
use vocab::labels::METRIC_NAME;
use vocab::sample::{MetricMetadata, MetricType, STALE_NAN_BITS};

use crate::push::wire::{BucketSpan, Histogram, Metadata};

/// Labels that are not as a sender should write them: unsorted, with empty values, or wrong.
pub(super) fn unusual_labels(pairs: &[(&[u8], &[u8])]) -> Result<Labels, String> {
    let mut texts: Vec<(&str, &str)> = Vec::with_capacity(pairs.len());
    for &(name, value) in pairs {
        let text = |bytes| {
            std::str::from_utf8(bytes).map_err(|_| format!("label {:?} is not UTF-8", String::from_utf8_lossy(name)))
        };
        texts.push((text(name)?, text(value)?));
    }
    texts.sort_unstable();
    if let Some(twice) = texts.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(format!("label name {:?} is not unique", twice[0].0));
    }
    if texts.iter().any(|p| p.0.is_empty()) {
        return Err("a label has no name".to_owned());
    }
    texts.retain(|p| !p.1.is_empty());
    let labels = Labels::from_sorted(&texts).unwrap_or_default();
    if labels.get(METRIC_NAME).is_none() {
        return Err(format!("no metric name in {labels}"));
    }
    Ok(labels)
}

/// Every NaN but the staleness marker is the same NaN.
pub(super) fn canonical(value: f64) -> f64 {
    if value.is_nan() && value.to_bits() != STALE_NAN_BITS { f64::NAN } else { value }
}

/// Labels of an exemplar: those that are not UTF-8 are left out.
pub(super) fn text_labels<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Labels {
    let texts = pairs.filter_map(|(n, v)| Some((std::str::from_utf8(n).ok()?, std::str::from_utf8(v).ok()?)));
    Labels::from_pairs(texts)
}

pub(super) fn metadata_1(metadata: Metadata) -> Option<MetricMetadata> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    Some(MetricMetadata {
        metric: text(metadata.metric_family_name).filter(|m| !m.is_empty())?,
        metric_type: metric_type(metadata.kind),
        help: text(metadata.help)?,
        unit: text(metadata.unit)?,
    })
}

pub(super) fn metric_type(kind: i32) -> MetricType {
    match kind {
        1 => MetricType::Counter,
        2 => MetricType::Gauge,
        3 => MetricType::Histogram,
        4 => MetricType::GaugeHistogram,
        5 => MetricType::Summary,
        6 => MetricType::Info,
        7 => MetricType::StateSet,
        _ => MetricType::Unknown,
    }
}

/// Bucket counts become absolute: integer histograms come as deltas.
pub(super) fn histogram(raw: Histogram) -> NativeHistogram {
    let spans = |spans: Vec<BucketSpan>| spans.iter().map(|s| Span { offset: s.offset, length: s.length }).collect();
    let integer = raw.count_int.is_some();
    let buckets = |deltas: Vec<i64>, counts: Vec<f64>| {
        if !integer {
            return counts;
        }
        let absolute = deltas.into_iter().scan(0i64, |sum, delta| {
            *sum = sum.wrapping_add(delta);
            Some(*sum as f64)
        });
        absolute.collect()
    };
    NativeHistogram {
        schema: raw.schema,
        zero_threshold: raw.zero_threshold,
        zero_count: raw.zero_count_float.or_else(|| raw.zero_count_int.map(|c| c as f64)).unwrap_or(0.0),
        count: raw.count_float.or_else(|| raw.count_int.map(|c| c as f64)).unwrap_or(0.0),
        sum: canonical(raw.sum),
        positive_spans: spans(raw.positive_spans),
        positive_buckets: buckets(raw.positive_deltas, raw.positive_counts),
        negative_spans: spans(raw.negative_spans),
        negative_buckets: buckets(raw.negative_deltas, raw.negative_counts),
        custom_values: raw.custom_values,
        reset_hint: u8::try_from(raw.reset_hint).ok().and_then(ResetHint::of_number).unwrap_or_default(),
        integer,
    }
}
