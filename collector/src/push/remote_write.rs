//! Remote write 1.0 and 2.0.

use std::sync::Arc;

use prost::Message;
use vocab::histogram::{NativeHistogram, ResetHint, Span};
use vocab::labels::METRIC_NAME;
use vocab::ports::WriteBatch;
use vocab::ports::append::{BatchSample, Origin, SeriesRef};
use vocab::ports::ingest::IngestRequest;
use vocab::sample::{Exemplar, MetricMetadata, MetricType, STALE_NAN_BITS};
use vocab::{Ctx, Labels, PortError};

use super::wire::{BucketSpan, Histogram, Request2, Sample, WriteRequest};
use super::{BATCH_SAMPLES_MAX, Outcome, Receiver};

/// What a content type says when a request is of version 2.0.
const PROTO_2: &str = "io.prometheus.write.v2.Request";

/// One series of either version.
struct Series {
    labels: Result<Labels, String>,
    samples: Vec<Sample>,
    histograms: Vec<Histogram>,
    exemplars: Vec<Exemplar>,
    metadata: Option<MetricMetadata>,
}

pub(super) async fn ingest(
    receiver: &Receiver,
    ctx: &Ctx,
    request: &IngestRequest,
    body: &[u8],
) -> Result<Outcome, PortError> {
    let mut outcome = Outcome::default();
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    let damaged = |e: prost::DecodeError| PortError::invalid(format!("damaged protobuf body: {e}"));
    let all: Box<dyn Iterator<Item = Series> + Send> = if request.content_type.contains(PROTO_2) {
        let decoded = Request2::decode(body).map_err(damaged)?;
        let symbols = Arc::new(decoded.symbols);
        Box::new(decoded.timeseries.into_iter().map(move |s| series_2(s, &symbols)))
    } else {
        let decoded = WriteRequest::decode(body).map_err(damaged)?;
        batch.metadata = decoded.metadata.into_iter().filter_map(metadata_1).collect();
        Box::new(decoded.timeseries.into_iter().map(series_1))
    };
    for (index, series) in all.enumerate() {
        let count = (series.samples.len() + series.histograms.len()) as u64;
        match series.labels {
            Ok(labels) => push(&mut batch, labels, series.samples, series.histograms, series.exemplars),
            Err(mistake) => outcome.reject(count.max(1), || format!("series {index}: {mistake}")),
        }
        batch.metadata.extend(series.metadata);
        if batch.samples.len() + batch.histograms.len() >= BATCH_SAMPLES_MAX {
            receiver.flush(ctx, &mut batch, &mut outcome).await?;
        }
    }
    receiver.flush(ctx, &mut batch, &mut outcome).await?;
    Ok(outcome)
}

fn push(
    batch: &mut WriteBatch,
    labels: Labels,
    samples: Vec<Sample>,
    histograms: Vec<Histogram>,
    exemplars: Vec<Exemplar>,
) {
    let series = batch.push_series(labels, SeriesRef::NONE);
    let sample = |s: Sample| BatchSample { series, timestamp: s.timestamp, value: canonical(s.value) };
    batch.samples.extend(samples.into_iter().map(sample));
    batch.histograms.extend(histograms.into_iter().map(|h| (series, h.timestamp, Arc::new(histogram(h)))));
    batch.exemplars.extend(exemplars.into_iter().map(|e| (series, e)));
}

/// Every NaN but the staleness marker is the same NaN.
fn canonical(value: f64) -> f64 {
    if value.is_nan() && value.to_bits() != STALE_NAN_BITS { f64::NAN } else { value }
}

/// Checks the labels of a series: UTF-8, a metric name, no name twice.
fn labels<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Result<Labels, String> {
    let mut texts: Vec<(&str, &str)> = Vec::new();
    for (name, value) in pairs {
        let text = |bytes: &'a [u8]| {
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

fn series_1(series: super::wire::TimeSeries) -> Series {
    let pairs = |all: &[super::wire::Label]| labels(all.iter().map(|l| (l.name.as_slice(), l.value.as_slice())));
    let exemplar = |e: &super::wire::Exemplar| Exemplar {
        labels: text_labels(e.labels.iter().map(|l| (l.name.as_slice(), l.value.as_slice()))),
        value: e.value,
        timestamp: e.timestamp,
    };
    Series {
        labels: pairs(&series.labels),
        exemplars: series.exemplars.iter().map(exemplar).collect(),
        samples: series.samples,
        histograms: series.histograms,
        metadata: None,
    }
}

/// Labels of an exemplar: those that are not UTF-8 are left out.
fn text_labels<'a>(pairs: impl Iterator<Item = (&'a [u8], &'a [u8])>) -> Labels {
    let texts = pairs.filter_map(|(n, v)| Some((std::str::from_utf8(n).ok()?, std::str::from_utf8(v).ok()?)));
    Labels::from_pairs(texts)
}

fn series_2(series: super::wire::TimeSeries2, symbols: &[Vec<u8>]) -> Series {
    let symbol = |index: u32| symbols.get(index as usize).map(Vec::as_slice);
    let pairs = |refs: &[u32]| -> Option<Vec<(&[u8], &[u8])>> {
        if !refs.len().is_multiple_of(2) {
            return None;
        }
        refs.chunks_exact(2).map(|p| Some((symbol(p[0])?, symbol(p[1])?))).collect()
    };
    let own = match pairs(&series.labels_refs) {
        Some(pairs) => labels(pairs.into_iter()),
        None => Err("labels_refs do not point into symbols".to_owned()),
    };
    let text = |index: u32| symbol(index).map(|t| String::from_utf8_lossy(t).into_owned()).unwrap_or_default();
    let metadata = series.metadata.filter(|m| m.kind != 0 || m.help_ref != 0 || m.unit_ref != 0);
    let metadata = metadata.zip(own.as_ref().ok()).map(|(m, labels)| MetricMetadata {
        metric: labels.metric_name().to_owned(),
        metric_type: metric_type(m.kind),
        help: text(m.help_ref),
        unit: text(m.unit_ref),
    });
    let exemplar = |e: &super::wire::Exemplar2| Exemplar {
        labels: text_labels(pairs(&e.labels_refs).unwrap_or_default().into_iter()),
        value: e.value,
        timestamp: e.timestamp,
    };
    Series {
        exemplars: series.exemplars.iter().map(exemplar).collect(),
        labels: own,
        samples: series.samples,
        histograms: series.histograms,
        metadata,
    }
}

fn metadata_1(metadata: super::wire::Metadata) -> Option<MetricMetadata> {
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).ok();
    Some(MetricMetadata {
        metric: text(metadata.metric_family_name).filter(|m| !m.is_empty())?,
        metric_type: metric_type(metadata.kind),
        help: text(metadata.help)?,
        unit: text(metadata.unit)?,
    })
}

fn metric_type(kind: i32) -> MetricType {
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
fn histogram(raw: Histogram) -> NativeHistogram {
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
        reset_hint: match raw.reset_hint {
            1 => ResetHint::Reset,
            2 => ResetHint::NoReset,
            3 => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        },
        integer,
    }
}
