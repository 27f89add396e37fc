//! Metrics to samples, as Prometheus translates them.

use std::sync::Arc;

use vocab::ports::WriteBatch;
use vocab::ports::append::{BatchSample, Origin, SeriesRef};
use vocab::sample::{Exemplar, MetricMetadata, MetricType};
use vocab::{Ctx, Labels, PortError, STALE_NAN, TimestampMs};

use super::super::{BATCH_SAMPLES_MAX, Outcome, Receiver};
use super::attributes::{ResourceLabels, finish, point_labels, scope_labels, target_info, text_of};
use super::delta::Total;
use super::histogram::{self, Exponential};
use super::names::{Kind, metric_name};
use super::wire::{self, HistogramPoint, KeyValue, Metric, MetricsRequest, NumberPoint};
use crate::config::OtlpConfig;

/// `aggregation_temporality`: each point counts since the last one.
const DELTA: i32 = 1;
/// `aggregation_temporality`: each point counts since the start.
const CUMULATIVE: i32 = 2;
/// The flag of points that only say that there is no value.
const NO_RECORDED_VALUE: u32 = 1;
/// Most characters of an exemplar's labels, as OpenMetrics has it; what is filtered out of the attributes only comes along
/// where it fits.
const EXEMPLAR_CHARS_MAX: usize = 128;
/// Most samples that one metric of one request may become; a metric is translated in one go.
const METRIC_SAMPLES_MAX: usize = 4 * BATCH_SAMPLES_MAX;
/// Distance of `target_info` samples inside a request that spans more time: half of PromQL's lookback, so that it never
/// seems to be gone in between.
const TARGET_INFO_INTERVAL_MS: i64 = 150_000;
/// Most `target_info` samples of a resource in one request.
const TARGET_INFO_SAMPLES_MAX: i64 = 1000;

/// Writes what a request holds.
pub(super) async fn ingest(receiver: &Receiver, ctx: &Ctx, request: &MetricsRequest) -> Result<Outcome, PortError> {
    let config = Arc::clone(&receiver.shared.otlp.read());
    let mut outcome = Outcome::default();
    let mut batch = WriteBatch { origin: Origin::Write, ..WriteBatch::default() };
    for of_resource in &request.resource_metrics {
        let resource = of_resource.resource.clone().unwrap_or_default();
        let labels = ResourceLabels::new(&resource, &config);
        let mut span: Option<(TimestampMs, TimestampMs)> = None;
        for of_scope in &of_resource.scope_metrics {
            let scope = scope_labels(of_scope.scope.as_ref(), &of_scope.schema_url, &config);
            for metric in &of_scope.metrics {
                let mut translator = Translator {
                    receiver,
                    ctx,
                    config: &config,
                    resource: &labels,
                    scope: &scope,
                    batch: &mut batch,
                    outcome: &mut outcome,
                    span: &mut span,
                    name: String::new(),
                    start: 0,
                };
                translator.metric(metric);
                if batch.samples.len() + batch.histograms.len() >= BATCH_SAMPLES_MAX {
                    receiver.flush(ctx, &mut batch, &mut outcome).await?;
                }
            }
        }
        if let Some((info, span)) = target_info(&resource, &labels, &config).zip(span) {
            push_target_info(&mut batch, info, span);
        }
    }
    receiver.flush(ctx, &mut batch, &mut outcome).await?;
    receiver.shared.metrics.otlp_delta_series.set(i64::try_from(receiver.deltas.lock().len()).unwrap_or(i64::MAX));
    Ok(outcome)
}

fn push_target_info(batch: &mut WriteBatch, labels: Labels, (first, last): (TimestampMs, TimestampMs)) {
    let series = batch.push_series(labels, SeriesRef::NONE);
    let step = TARGET_INFO_INTERVAL_MS.max((last - first) / TARGET_INFO_SAMPLES_MAX);
    let mut timestamp = first;
    while timestamp < last {
        batch.samples.push(BatchSample { series, timestamp, value: 1.0 });
        timestamp += step;
    }
    batch.samples.push(BatchSample { series, timestamp: last, value: 1.0 });
    let help = "Target metadata".to_owned();
    let metric = "target_info".to_owned();
    batch.metadata.push(MetricMetadata { metric, metric_type: MetricType::Gauge, help, unit: String::new() });
}

/// Translates the metrics of one scope.
struct Translator<'a> {
    receiver: &'a Receiver,
    ctx: &'a Ctx,
    config: &'a OtlpConfig,
    resource: &'a ResourceLabels,
    scope: &'a [(String, String)],
    batch: &'a mut WriteBatch,
    outcome: &'a mut Outcome,
    /// First and last time of the resource's points.
    span: &'a mut Option<(TimestampMs, TimestampMs)>,
    /// The translated name of the metric in work.
    name: String,
    /// Since when the point in work counts; 0 when that is not known.
    start: TimestampMs,
}

impl Translator<'_> {
    fn metric(&mut self, metric: &Metric) {
        let (points, kind, metric_type) = shape(metric);
        let Some(name) = metric_name(&metric.name, &metric.unit, kind, self.config.translation) else {
            let mistake = || format!("metric name {:?} cannot be translated: nothing of it is left", metric.name);
            return self.outcome.reject(points.max(1), mistake);
        };
        if points > 0 {
            self.batch.metadata.push(MetricMetadata {
                metric: name.clone(),
                metric_type,
                help: metric.description.clone(),
                unit: metric.unit.clone(),
            });
        }
        self.name = name;
        for point in metric.gauge.iter().flat_map(|g| &g.data_points) {
            self.point(&point.attributes, (0, point.time_unix_nano), |t, l, ms| t.number(point, l, ms, false, false));
        }
        if let Some(sum) = &metric.sum {
            let Some(is_delta) = self.is_delta(metric, sum.aggregation_temporality, points) else { return };
            for point in &sum.data_points {
                // What goes up and down is a gauge to Prometheus, whatever it adds up.
                let start_ns = if sum.is_monotonic { point.start_time_unix_nano } else { 0 };
                self.point(&point.attributes, (start_ns, point.time_unix_nano), |t, l, ms| {
                    t.number(point, l, ms, is_delta, sum.is_monotonic)
                });
            }
        }
        if let Some(histogram) = &metric.histogram {
            let Some(is_delta) = self.is_delta(metric, histogram.aggregation_temporality, points) else { return };
            for point in &histogram.data_points {
                let times = (point.start_time_unix_nano, point.time_unix_nano);
                self.point(&point.attributes, times, |t, l, ms| t.explicit(point, l, ms, is_delta));
            }
        }
        if let Some(histogram) = &metric.exponential_histogram {
            let Some(is_delta) = self.is_delta(metric, histogram.aggregation_temporality, points) else { return };
            for point in &histogram.data_points {
                let times = (point.start_time_unix_nano, point.time_unix_nano);
                self.point(&point.attributes, times, |t, l, ms| t.exponential(point, l, ms, is_delta));
            }
        }
        for point in metric.summary.iter().flat_map(|s| &s.data_points) {
            self.point(&point.attributes, (point.start_time_unix_nano, point.time_unix_nano), |t, l, ms| {
                t.summary(point, l, ms);
                Ok(())
            });
        }
    }

    /// Whether points are deltas; `None`, with everything refused, when they do not say.
    fn is_delta(&mut self, metric: &Metric, temporality: i32, points: u64) -> Option<bool> {
        match temporality {
            DELTA => Some(true),
            CUMULATIVE => Some(false),
            _ => {
                let mistake = || format!("invalid temporality and type combination for metric {:?}", metric.name);
                self.outcome.reject(points, mistake);
                None
            }
        }
    }

    /// Translates one point of a time that counts since a start (0: not known); a mistake in it costs it alone.
    fn point(
        &mut self,
        attributes: &[KeyValue],
        (start_ns, time_ns): (u64, u64),
        translate: impl FnOnce(&mut Self, &[(String, String)], TimestampMs) -> Result<(), String>,
    ) {
        if self.batch.samples.len() >= METRIC_SAMPLES_MAX {
            let mistake = || format!("metric {:?}: more than {METRIC_SAMPLES_MAX} samples at once", self.name);
            return self.outcome.reject(1, mistake);
        }
        let timestamp = millis(time_ns);
        self.start = millis(start_ns);
        let result = point_labels(attributes, self.resource, self.scope, self.config)
            .and_then(|labels| translate(self, &labels, timestamp));
        match result {
            Ok(()) => {
                let (first, last) = self.span.unwrap_or((timestamp, timestamp));
                *self.span = Some((first.min(timestamp), last.max(timestamp)));
            }
            Err(mistake) => self.outcome.reject(1, || format!("metric {:?}: {mistake}", self.name)),
        }
    }

    fn sample(&mut self, labels: Labels, timestamp: TimestampMs, value: f64) -> u32 {
        let series = self.batch.push_series(labels, SeriesRef::NONE);
        let value = if value.is_nan() && !vocab::is_stale_nan(value) { f64::NAN } else { value };
        self.batch.samples.push(BatchSample { series, timestamp, value });
        self.batch.start_of_last_sample(self.start);
        series
    }

    /// Adds the delta of the point in work to its series' total, which counts since the first of them began.
    fn total(&mut self, labels: Labels, time_ns: u64, delta: Total) -> Result<Total, String> {
        let now_ms = self.receiver.shared.clock.now_ms();
        let times = (self.start, time_ns);
        let (total, start) = self.receiver.deltas.lock().add(&self.ctx.tenant, labels, times, delta, now_ms)?;
        self.start = start;
        Ok(total)
    }

    fn number(
        &mut self,
        point: &NumberPoint,
        pairs: &[(String, String)],
        timestamp: TimestampMs,
        is_delta: bool,
        with_exemplars: bool,
    ) -> Result<(), String> {
        let labels = finish(pairs, &self.name, None);
        let mut value = match (point.as_double, point.as_int) {
            _ if is_empty(point.flags) => STALE_NAN,
            (Some(value), _) => value,
            (None, Some(value)) => value as f64,
            (None, None) => return Err("a point has no value".to_owned()),
        };
        if is_delta
            && !is_empty(point.flags)
            && let Total::Number(total) = self.total(labels.clone(), point.time_unix_nano, Total::Number(value))?
        {
            value = total;
        }
        let series = self.sample(labels, timestamp, value);
        if with_exemplars {
            let found = point.exemplars.iter().filter_map(exemplar);
            self.batch.exemplars.extend(found.map(|e| (series, e)));
        }
        Ok(())
    }

    fn explicit(
        &mut self,
        point: &HistogramPoint,
        pairs: &[(String, String)],
        timestamp: TimestampMs,
        is_delta: bool,
    ) -> Result<(), String> {
        histogram::check_bounds(point)?;
        let mut total = point.clone();
        if is_delta && !is_empty(point.flags) {
            let delta = HistogramPoint { exemplars: Vec::new(), attributes: Vec::new(), ..point.clone() };
            let key = finish(pairs, &self.name, None);
            if let Total::Explicit(sum) = self.total(key, point.time_unix_nano, Total::Explicit(delta))? {
                total = sum;
            }
        }
        if self.config.convert_histograms_to_nhcb {
            let native = if is_empty(point.flags) { histogram::stale() } else { histogram::custom(&total)? };
            return self.native(native, pairs, timestamp, &point.exemplars);
        }
        let number = |value: f64| if is_empty(point.flags) { STALE_NAN } else { value };
        if let Some(sum) = total.sum {
            self.sample(finish(pairs, &format!("{}_sum", self.name), None), timestamp, number(sum));
        }
        let count = number(total.count as f64);
        self.sample(finish(pairs, &format!("{}_count", self.name), None), timestamp, count);
        let bucket_name = format!("{}_bucket", self.name);
        let mut exemplars: Vec<Exemplar> = point.exemplars.iter().filter_map(exemplar).collect();
        let mut below = 0u64;
        let bounds = total.explicit_bounds.iter().zip(&total.bucket_counts);
        for (bound, bucket) in bounds.map(|(b, c)| (*b, Some(*c))).chain([(f64::INFINITY, None)]) {
            below = below.saturating_add(bucket.unwrap_or(0));
            let text = if bound == f64::INFINITY { "+Inf".to_owned() } else { bound.to_string() };
            let value = bucket.map_or(count, |_| number(below as f64));
            let series = self.sample(finish(pairs, &bucket_name, Some(("le", &text))), timestamp, value);
            // Each exemplar belongs to the first bucket that holds its value.
            let (own, rest): (Vec<_>, Vec<_>) = exemplars.into_iter().partition(|e| e.value <= bound);
            self.batch.exemplars.extend(own.into_iter().map(|e| (series, e)));
            exemplars = rest;
        }
        Ok(())
    }

    fn exponential(
        &mut self,
        point: &wire::ExponentialPoint,
        pairs: &[(String, String)],
        timestamp: TimestampMs,
        is_delta: bool,
    ) -> Result<(), String> {
        if is_empty(point.flags) {
            return self.native(histogram::stale(), pairs, timestamp, &[]);
        }
        let mut read = Exponential::new(point)?;
        if is_delta {
            let key = finish(pairs, &self.name, None);
            if let Total::Exponential(sum) = self.total(key, point.time_unix_nano, Total::Exponential(read.clone()))? {
                read = sum;
            }
        }
        self.native(read.native(), pairs, timestamp, &point.exemplars)
    }

    fn native(
        &mut self,
        native: vocab::NativeHistogram,
        pairs: &[(String, String)],
        timestamp: TimestampMs,
        exemplars: &[wire::Exemplar],
    ) -> Result<(), String> {
        let series = self.batch.push_series(finish(pairs, &self.name, None), SeriesRef::NONE);
        self.batch.histograms.push((series, timestamp, Arc::new(native)));
        self.batch.start_of_last_histogram(self.start);
        self.batch.exemplars.extend(exemplars.iter().filter_map(exemplar).map(|e| (series, e)));
        Ok(())
    }

    fn summary(&mut self, point: &wire::SummaryPoint, pairs: &[(String, String)], timestamp: TimestampMs) {
        let number = |value: f64| if is_empty(point.flags) { STALE_NAN } else { value };
        self.sample(finish(pairs, &format!("{}_sum", self.name), None), timestamp, number(point.sum));
        self.sample(finish(pairs, &format!("{}_count", self.name), None), timestamp, number(point.count as f64));
        for quantile in &point.quantile_values {
            let text = quantile.quantile.to_string();
            let labels = finish(pairs, &self.name, Some(("quantile", &text)));
            self.sample(labels, timestamp, number(quantile.value));
        }
    }
}

/// Number of points, what the type adds to the name, and the type.
fn shape(metric: &Metric) -> (u64, Kind, MetricType) {
    let count = |points: usize| points as u64;
    match metric {
        Metric { gauge: Some(gauge), .. } => (count(gauge.data_points.len()), Kind::Gauge, MetricType::Gauge),
        Metric { sum: Some(sum), .. } if sum.is_monotonic => {
            (count(sum.data_points.len()), Kind::Counter, MetricType::Counter)
        }
        Metric { sum: Some(sum), .. } => (count(sum.data_points.len()), Kind::Other, MetricType::Gauge),
        Metric { histogram: Some(histogram), .. } => {
            (count(histogram.data_points.len()), Kind::Other, MetricType::Histogram)
        }
        Metric { exponential_histogram: Some(histogram), .. } => {
            (count(histogram.data_points.len()), Kind::Other, MetricType::Histogram)
        }
        Metric { summary: Some(summary), .. } => (count(summary.data_points.len()), Kind::Other, MetricType::Summary),
        _ => (0, Kind::Other, MetricType::Unknown),
    }
}

fn is_empty(flags: u32) -> bool {
    flags & NO_RECORDED_VALUE != 0
}

fn millis(time_ns: u64) -> TimestampMs {
    // 2^64 ns is year 2554: always fits.
    i64::try_from(time_ns / 1_000_000).unwrap_or(i64::MAX)
}

fn exemplar(raw: &wire::Exemplar) -> Option<Exemplar> {
    let value = raw.as_double.or(raw.as_int.map(|v| v as f64))?;
    let hex = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect::<String>();
    let mut pairs: Vec<(String, String)> = Vec::new();
    for (name, id) in [("trace_id", &raw.trace_id), ("span_id", &raw.span_id)] {
        if id.iter().any(|b| *b != 0) {
            pairs.push((name.to_owned(), hex(id)));
        }
    }
    let own: Vec<(String, String)> = raw
        .filtered_attributes
        .iter()
        .map(|a| (a.key.clone(), a.value.as_ref().map(text_of).unwrap_or_default()))
        .collect();
    let chars: usize = pairs.iter().chain(&own).map(|(n, v)| n.chars().count() + v.chars().count()).sum();
    if chars <= EXEMPLAR_CHARS_MAX {
        pairs.extend(own);
    }
    Some(Exemplar { labels: Labels::from_pairs(pairs), value, timestamp: millis(raw.time_unix_nano) })
}
