//! The protobuf format: metric families, each behind its length, with native histograms.

use prost::Message;
use thiserror::Error;
use vocab::histogram::{NativeHistogram, ResetHint, Span};
use vocab::labels::METRIC_NAME;
use vocab::sample::{Exemplar, MetricMetadata, MetricType};
use vocab::{Labels, LabelsBuilder, TimestampMs, is_stale_nan};

use super::float::format_openmetrics_float;
use super::wire::{self, Family, Histogram, Metric};

/// How histograms that are both are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct HistogramChoice {
    /// Whether native histograms are read; else only the classic series they may come with.
    pub native: bool,
    /// Whether the classic series are read where a native histogram is.
    pub classic_too: bool,
}

/// What a sample says.
#[derive(Debug, Clone, PartialEq)]
pub enum ProtobufValue {
    /// A number.
    Float(f64),
    /// A native histogram.
    Native(Box<NativeHistogram>),
}

/// One sample.
#[derive(Debug, Clone, PartialEq)]
pub struct ProtobufSample {
    /// Its labels, metric name included.
    pub labels: Labels,
    /// What it says.
    pub value: ProtobufValue,
    /// The explicit time in milliseconds.
    pub timestamp_ms: Option<TimestampMs>,
    /// Since when a counter counts, when it says so.
    pub created_ms: Option<TimestampMs>,
    /// Its exemplars: labels, value, explicit time.
    pub exemplars: Vec<(Labels, f64, Option<TimestampMs>)>,
}

impl ProtobufSample {
    /// Its exemplars; those without a time of their own get `default_ms`.
    pub fn exemplars(&self, default_ms: TimestampMs) -> impl Iterator<Item = Exemplar> {
        let full = move |(labels, value, time): &(Labels, f64, Option<TimestampMs>)| Exemplar {
            labels: labels.clone(),
            value: *value,
            timestamp: time.unwrap_or(default_ms),
        };
        self.exemplars.iter().map(full)
    }
}

/// A mistake in a body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("metric family {number} {name:?}: {message}")]
pub struct ProtobufError {
    /// Which family, from 1.
    pub number: usize,
    /// Its name, shortened; empty when it could not be read.
    pub name: String,
    /// What is wrong.
    pub message: String,
}

/// Most characters of a family's name that a message shows.
const NAME_CHARS_MAX: usize = 80;

/// Reads a body family by family.
#[derive(Debug)]
pub struct ProtobufParser<'a> {
    rest: &'a [u8],
    /// Number of the family in work, from 1.
    number: usize,
    choice: HistogramChoice,
}

impl<'a> ProtobufParser<'a> {
    /// A parser at the start of a body.
    pub fn new(body: &'a [u8], choice: HistogramChoice) -> Self {
        Self { rest: body, number: 0, choice }
    }

    /// The next family and its samples, or `None` at the end of the body. A family without samples is passed over.
    ///
    /// # Errors
    /// The first mistake; the parser is at its end then.
    pub fn next_family(&mut self) -> Result<Option<(MetricMetadata, Vec<ProtobufSample>)>, ProtobufError> {
        loop {
            if self.rest.is_empty() {
                return Ok(None);
            }
            self.number += 1;
            let family = Family::decode_length_delimited(&mut self.rest)
                .map_err(|e| self.error(format!("damaged protobuf: {e}"), ""))?;
            if family.metric.is_empty() {
                continue;
            }
            let metadata = metadata(&family).map_err(|m| self.error(m, &family.name))?;
            let mut samples = Vec::with_capacity(family.metric.len());
            for metric in &family.metric {
                expand(&family.name, metadata.metric_type, metric, self.choice, &mut samples)
                    .map_err(|m| self.error(m, &family.name))?;
            }
            return Ok(Some((metadata, samples)));
        }
    }

    fn error(&mut self, message: String, family: &str) -> ProtobufError {
        self.rest = &[];
        ProtobufError { number: self.number, name: family.chars().take(NAME_CHARS_MAX).collect(), message }
    }
}

fn metadata(family: &Family) -> Result<MetricMetadata, String> {
    if family.name.is_empty() {
        return Err("metric family has no name".to_owned());
    }
    let metric_type = match family.kind {
        0 => MetricType::Counter,
        1 => MetricType::Gauge,
        2 => MetricType::Summary,
        3 => MetricType::Unknown,
        4 => MetricType::Histogram,
        5 => MetricType::GaugeHistogram,
        other => return Err(format!("unknown metric type {other}")),
    };
    let bare = family.name.strip_suffix("_total").filter(|_| metric_type == MetricType::Counter);
    if !family.unit.is_empty() && !bare.unwrap_or(&family.name).ends_with(&family.unit) {
        return Err(format!("unit {:?} is not a suffix of the metric's name", family.unit));
    }
    let (metric, help, unit) = (family.name.clone(), family.help.clone(), family.unit.clone());
    Ok(MetricMetadata { metric, metric_type, help, unit })
}

/// Adds the samples of one metric.
fn expand(
    name: &str,
    metric_type: MetricType,
    metric: &Metric,
    choice: HistogramChoice,
    samples: &mut Vec<ProtobufSample>,
) -> Result<(), String> {
    let mut own = LabelsBuilder::default();
    for pair in &metric.label {
        if pair.name.is_empty() {
            return Err("a label has no name".to_owned());
        }
        if own.get(&pair.name).is_some() || pair.name == METRIC_NAME {
            return Err(format!("label name {:?} is not unique", pair.name));
        }
        own.set(&pair.name, &pair.value);
    }
    let mut push = |suffix: &str, extra: Option<(&str, f64)>, value: ProtobufValue, created, exemplars: Vec<_>| {
        let mut labels = own.clone();
        labels.set(METRIC_NAME, &format!("{name}{suffix}"));
        if let Some((label, bound)) = extra {
            labels.set(label, &format_openmetrics_float(bound));
        }
        let timestamp_ms = metric.timestamp_ms.filter(|t| *t != 0);
        samples.push(ProtobufSample { labels: labels.build(), value, timestamp_ms, created_ms: created, exemplars });
    };
    match metric_type {
        MetricType::Counter => {
            let counter = metric.counter.clone().unwrap_or_default();
            let exemplars = counter.exemplar.iter().map(exemplar).collect();
            push("", None, float(counter.value), millis(counter.created_timestamp.as_ref()), exemplars);
        }
        MetricType::Gauge => {
            push("", None, float(metric.gauge.as_ref().map_or(0.0, |g| g.value)), None, Vec::new());
        }
        MetricType::Summary => {
            let summary = metric.summary.clone().unwrap_or_default();
            let created = millis(summary.created_timestamp.as_ref());
            push("_count", None, float(summary.sample_count as f64), created, Vec::new());
            push("_sum", None, float(summary.sample_sum), created, Vec::new());
            for quantile in &summary.quantile {
                push("", Some(("quantile", quantile.quantile)), float(quantile.value), created, Vec::new());
            }
        }
        MetricType::Histogram | MetricType::GaugeHistogram => {
            let histogram = metric.histogram.clone().unwrap_or_default();
            let created = millis(histogram.created_timestamp.as_ref());
            let is_native = choice.native && is_native(&histogram);
            if is_native {
                let gauge = metric_type == MetricType::GaugeHistogram;
                let value = ProtobufValue::Native(Box::new(native(&histogram, gauge)?));
                push("", None, value, created, native_exemplars(&histogram));
            }
            if !is_native || choice.classic_too && !histogram.bucket.is_empty() {
                classic(&histogram, |suffix, le, value, exemplars| {
                    push(suffix, le.map(|le| ("le", le)), float(value), created, exemplars);
                });
            }
        }
        _ => push("", None, float(metric.untyped.as_ref().map_or(0.0, |u| u.value)), None, Vec::new()),
    }
    Ok(())
}

/// One canonical NaN beside the staleness marker, which only a federating server may expose.
fn canonical(value: f64) -> f64 {
    if value.is_nan() && !is_stale_nan(value) { f64::NAN } else { value }
}

fn float(value: f64) -> ProtobufValue {
    ProtobufValue::Float(canonical(value))
}

type RawExemplar = (Labels, f64, Option<TimestampMs>);

fn exemplar(raw: &wire::Exemplar) -> RawExemplar {
    let labels = Labels::from_pairs(raw.label.iter().map(|l| (l.name.as_str(), l.value.as_str())));
    (labels, raw.value, millis(raw.timestamp.as_ref()))
}

/// A native histogram's own exemplars, else those of its classic buckets; without a time none of them has a place.
fn native_exemplars(histogram: &Histogram) -> Vec<RawExemplar> {
    let own = histogram.exemplars.iter();
    let classic = histogram.bucket.iter().filter_map(|b| b.exemplar.as_ref());
    let all: Vec<_> = if histogram.exemplars.is_empty() { classic.collect() } else { own.collect() };
    all.into_iter().map(exemplar).filter(|e| e.2.is_some()).collect()
}

fn millis(time: Option<&wire::Timestamp>) -> Option<TimestampMs> {
    time.map(|t| t.seconds.saturating_mul(1000).saturating_add(i64::from(t.nanos) / 1_000_000))
}

fn is_native(histogram: &Histogram) -> bool {
    !histogram.positive_span.is_empty()
        || !histogram.negative_span.is_empty()
        || histogram.zero_threshold > 0.0
        || histogram.zero_count > 0
        || histogram.zero_count_float > 0.0
}

/// The series of a classic histogram: suffix, upper bound, value, exemplars.
fn classic(histogram: &Histogram, mut push: impl FnMut(&str, Option<f64>, f64, Vec<RawExemplar>)) {
    let either = |whole: u64, float: f64| if float > 0.0 { float } else { whole as f64 };
    let count = either(histogram.sample_count, histogram.sample_count_float);
    push("_count", None, count, Vec::new());
    push("_sum", None, histogram.sample_sum, Vec::new());
    for bucket in &histogram.bucket {
        let below = either(bucket.cumulative_count, bucket.cumulative_count_float);
        push("_bucket", Some(bucket.upper_bound), below, bucket.exemplar.iter().map(exemplar).collect());
    }
    if histogram.bucket.last().is_none_or(|b| b.upper_bound != f64::INFINITY) {
        push("_bucket", Some(f64::INFINITY), count, Vec::new());
    }
}

fn native(raw: &Histogram, gauge: bool) -> Result<NativeHistogram, String> {
    let spans = |spans: &[wire::Span]| -> Vec<Span> {
        spans.iter().map(|s| Span { offset: s.offset, length: s.length }).collect()
    };
    let integer = raw.sample_count_float == 0.0 && raw.zero_count_float == 0.0;
    let buckets = |deltas: &[i64], counts: &[f64]| -> Vec<f64> {
        if !integer {
            return counts.to_vec();
        }
        let absolute = deltas.iter().scan(0i64, |sum, delta| {
            *sum = sum.wrapping_add(*delta);
            Some(*sum as f64)
        });
        absolute.collect()
    };
    let native = NativeHistogram {
        schema: raw.schema,
        zero_threshold: raw.zero_threshold,
        zero_count: if integer { raw.zero_count as f64 } else { raw.zero_count_float },
        count: if integer { raw.sample_count as f64 } else { raw.sample_count_float },
        sum: canonical(raw.sample_sum),
        positive_spans: spans(&raw.positive_span),
        positive_buckets: buckets(&raw.positive_delta, &raw.positive_count),
        negative_spans: spans(&raw.negative_span),
        negative_buckets: buckets(&raw.negative_delta, &raw.negative_count),
        reset_hint: if gauge { ResetHint::Gauge } else { ResetHint::Unknown },
        integer,
        ..NativeHistogram::default()
    };
    for (side, spans, buckets) in [
        ("positive", &native.positive_spans, &native.positive_buckets),
        ("negative", &native.negative_spans, &native.negative_buckets),
    ] {
        let want: u64 = spans.iter().map(|s| u64::from(s.length)).sum();
        // A span without buckets marks an empty native histogram.
        if want != buckets.len() as u64 {
            return Err(format!("{side} spans need {want} buckets, have {} buckets", buckets.len()));
        }
    }
    Ok(native)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn family(kind: i32, name: &str, metric: Metric) -> Family {
        Family { name: name.to_owned(), help: "h".to_owned(), kind, metric: vec![metric], unit: String::new() }
    }

    fn body(families: &[Family]) -> Vec<u8> {
        families.iter().flat_map(Message::encode_length_delimited_to_vec).collect()
    }

    fn read(body: &[u8], choice: HistogramChoice) -> Result<Vec<String>, String> {
        let mut parser = ProtobufParser::new(body, choice);
        let mut out = Vec::new();
        while let Some((_, samples)) = parser.next_family().map_err(|e| e.to_string())? {
            for sample in samples {
                let value = match &sample.value {
                    ProtobufValue::Float(value) => value.to_string(),
                    ProtobufValue::Native(h) => format!("#{}/{:?}", h.count, h.positive_buckets),
                };
                let exemplars: Vec<_> = sample.exemplars(7).map(|e| format!("{}@{}", e.value, e.timestamp)).collect();
                out.push(format!("{} {value} {:?} {exemplars:?}", sample.labels, sample.timestamp_ms));
            }
        }
        Ok(out)
    }

    fn both() -> Metric {
        let exemplar = wire::Exemplar {
            value: 0.4,
            timestamp: Some(wire::Timestamp { seconds: 1, nanos: 5_000_000 }),
            ..Default::default()
        };
        let bucket =
            wire::Bucket { cumulative_count: 2, upper_bound: 0.5, exemplar: Some(exemplar), ..Default::default() };
        let histogram = Histogram {
            sample_count: 6,
            sample_sum: 9.0,
            bucket: vec![bucket],
            schema: 3,
            zero_threshold: 0.001,
            positive_span: vec![wire::Span { offset: 0, length: 3 }],
            positive_delta: vec![1, 1, 1],
            ..Histogram::default()
        };
        Metric { histogram: Some(histogram), ..Metric::default() }
    }

    #[test]
    fn all_types_become_their_series() {
        let label = wire::Label { name: "a".to_owned(), value: "b".to_owned() };
        let exemplar = wire::Exemplar { label: vec![label.clone()], value: 0.5, timestamp: None };
        let counter = wire::Counter { value: 3.0, exemplar: Some(exemplar), created_timestamp: None };
        let quantile = wire::Quantile { quantile: 1.0, value: f64::NAN };
        let summary =
            wire::Summary { sample_count: 2, sample_sum: 1.5, quantile: vec![quantile], ..Default::default() };
        let body = body(&[
            family(
                0,
                "c_total",
                Metric { label: vec![label], counter: Some(counter), timestamp_ms: Some(5), ..Metric::default() },
            ),
            family(1, "g", Metric { gauge: Some(wire::Number { value: -1.0 }), ..Metric::default() }),
            family(2, "s", Metric { summary: Some(summary), ..Metric::default() }),
            family(3, "u", Metric { untyped: Some(wire::Number { value: 1.0 }), ..Metric::default() }),
            Family { name: "empty".to_owned(), kind: 9, ..Family::default() },
            family(4, "h", both()),
        ]);
        let classic = [
            "h_count 6 None []",
            "h_sum 9 None []",
            "h_bucket{le=\"0.5\"} 2 None [\"0.4@1005\"]",
            "h_bucket{le=\"+Inf\"} 6 None []",
        ];
        let plain = [
            "c_total{a=\"b\"} 3 Some(5) [\"0.5@7\"]",
            "g -1 None []",
            "s_count 2 None []",
            "s_sum 1.5 None []",
            "s{quantile=\"1.0\"} NaN None []",
            "u 1 None []",
        ];
        let native = ["h #6/[1.0, 2.0, 3.0] None [\"0.4@1005\"]"];
        for (choice, expect) in [
            (HistogramChoice::default(), [&plain[..], &classic[..]].concat()),
            (HistogramChoice { native: true, classic_too: false }, [&plain[..], &native[..]].concat()),
            (HistogramChoice { native: true, classic_too: true }, [&plain[..], &native[..], &classic[..]].concat()),
        ] {
            assert_eq!(read(&body, choice).expect("valid"), expect);
        }
    }

    #[test]
    fn mistakes_name_the_family() {
        let check = |family: Family, expect: &str| {
            let good = family_of_one("good");
            let choice = HistogramChoice { native: true, classic_too: false };
            let error = read(&body(&[good, family]), choice).expect_err(expect);
            assert!(error.contains(expect) && error.starts_with("metric family 2 "), "{error}");
        };
        fn family_of_one(name: &str) -> Family {
            family(1, name, Metric::default())
        }
        check(Family { kind: 7, ..family_of_one("x") }, "\"x\": unknown metric type 7");
        check(family_of_one(""), "no name");
        check(Family { unit: "seconds".to_owned(), ..family_of_one("x") }, "not a suffix");
        let label = wire::Label { name: "a".to_owned(), value: "b".to_owned() };
        check(family(1, "x", Metric { label: vec![label.clone(), label], ..Metric::default() }), "not unique");
        let mut short = both();
        short.histogram.as_mut().expect("one").positive_delta.pop();
        check(family(4, "x", short), "positive spans need 3 buckets, have 2");
        let mut cut = body(&[family_of_one("a"), family_of_one("b")]);
        cut.pop();
        assert!(
            read(&cut, HistogramChoice::default()).expect_err("cut").contains("metric family 2 \"\": damaged protobuf")
        );
    }

    proptest! {
        #[test]
        fn garbage_is_harmless(
            garbage in prop::collection::vec(any::<u8>(), 0..200),
            edits in prop::collection::vec((0usize..100, any::<u8>()), 0..8),
        ) {
            let choice = HistogramChoice { native: true, classic_too: true };
            let _ours = read(&garbage, choice);
            let mut near = body(&[family(4, "h", both()), family(0, "c", Metric::default())]);
            let len = near.len();
            for (at, byte) in edits {
                near[at % len] = byte;
            }
            let _ours = read(&near, choice);
        }
    }
}
