//! Functions of histograms, classic and native.

use hashbrown::HashMap;
use vocab::Labels;
use vocab::ports::query::StepGrid;

use super::Evaluator;
use super::matching::merge_by_labels;
use crate::annotations::{Forced, Note};
use crate::ast::{Call, Span};
use crate::error::QueryError;
use crate::histogram::Sparse;
use crate::histogram::classic::{self, ClassicBucket, Raised};
use crate::histogram::quantile::{self, NanEffect};
use crate::number::{format_g, parse_float};
use crate::value::{SampleValue, Series, Value, Vector, is_absent};

/// The label of a classic bucket's upper bound.
const BUCKET_LABEL: &str = "le";

/// Series that make up one histogram.
struct Histogram {
    labels: Labels,
    /// Upper bounds and the series that count them.
    classic: Vec<(f64, usize)>,
    native: Option<usize>,
}

impl Evaluator<'_> {
    fn histograms(&self, vector: &Vector, span: &Span) -> Vec<Histogram> {
        let mut index: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Histogram> = Vec::new();
        for (at, series) in vector.series.iter().enumerate() {
            if series.floats.iter().all(|v| is_absent(*v)) {
                continue;
            }
            let text = series.labels.get(BUCKET_LABEL).unwrap_or("");
            let Some(upper) = parse_float(text) else {
                self.note(Note::bad_bucket_label(text, &series.labels), span);
                continue;
            };
            let labels = series.labels.without(&[BUCKET_LABEL]);
            let slot = *index.entry(labels.clone()).or_insert_with(|| {
                out.push(Histogram { labels, classic: Vec::new(), native: None });
                out.len() - 1
            });
            out[slot].classic.push((upper, at));
        }
        // Sorted once, they need not be at every step.
        out.iter_mut().for_each(|h| h.classic.sort_by(|a, b| a.0.total_cmp(&b.0)));
        for (at, series) in vector.series.iter().enumerate() {
            if series.histograms.iter().all(Option::is_none) {
                continue;
            }
            let slot = index.get(&series.labels.without(&[BUCKET_LABEL])).copied();
            match slot.filter(|slot| out[*slot].native.is_none() && series.labels.get(BUCKET_LABEL).is_none()) {
                Some(slot) => out[slot].native = Some(at),
                None => out.push(Histogram { labels: series.labels.clone(), classic: Vec::new(), native: Some(at) }),
            }
        }
        out
    }

    /// Evaluates every histogram at every step by either of two functions.
    fn each_histogram(
        &self,
        vector: &Vector,
        span: &Span,
        steps: usize,
        classic: impl Fn(&Self, usize, Vec<ClassicBucket>, &Labels) -> f64,
        native: impl Fn(&Self, usize, &Sparse, &Labels) -> f64,
    ) -> Result<Vec<Series>, QueryError> {
        let mut out = Vec::new();
        for histogram in self.histograms(vector, span) {
            self.ctx.cancel.check()?;
            let mut series = Series::empty(histogram.labels.clone(), true, steps);
            for step in 0..steps {
                let buckets: Vec<ClassicBucket> = histogram
                    .classic
                    .iter()
                    .map(|(upper, at)| ClassicBucket { upper: *upper, count: vector.series[*at].floats[step] })
                    .filter(|b| !is_absent(b.count))
                    .collect();
                let sparse = histogram.native.and_then(|at| vector.series[at].histogram(step));
                let value = match (buckets.is_empty(), sparse) {
                    (true, None) => continue,
                    (false, Some(_)) => {
                        self.note(Note::mixed_classic_native(&histogram.labels), span);
                        continue;
                    }
                    (false, None) => classic(self, step, buckets, &histogram.labels),
                    (true, Some(h)) => native(self, step, &Sparse::from(h.as_ref()), &histogram.labels),
                };
                series.floats[step] = value;
            }
            out.push(series);
        }
        Ok(out)
    }

    fn quantile_column(
        &self,
        vector: &Vector,
        quantiles: &[f64],
        grid: &StepGrid,
        span: &Span,
        quantile_span: &Span,
    ) -> Result<Vec<Series>, QueryError> {
        for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
            self.note(Note::invalid_quantile(*q), quantile_span);
        }
        let times: Vec<i64> = grid.times().collect();
        self.each_histogram(
            vector,
            span,
            quantiles.len(),
            |this, step, buckets, labels| {
                let (value, forced) = classic::quantile(quantiles[step], buckets);
                if let Some(Raised { buckets, most }) = forced {
                    let time = times[step];
                    let forced = Forced { buckets, most, times_ms: (time, time), count: 1 };
                    this.note(Note::forced_monotonicity(labels, forced), span);
                }
                value
            },
            |this, step, h, labels| {
                let (value, effect) = quantile::quantile(quantiles[step], h);
                match effect {
                    NanEffect::None => {}
                    NanEffect::Skewed => this.note(Note::nan_in_quantile(labels, false), span),
                    NanEffect::Result => this.note(Note::nan_in_quantile(labels, true), span),
                }
                value
            },
        )
    }

    pub(super) fn histogram_quantiles(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        if call.function.name == "histogram_quantile" {
            let quantiles = self.eval_scalar(&call.args[0], grid)?;
            let vector = self.eval_vector(&call.args[1], grid)?;
            let out = self.quantile_column(&vector, &quantiles, grid, &call.args[1].span(), &call.args[0].span())?;
            return self.vector(out);
        }
        let vector = self.eval_vector(&call.args[0], grid)?;
        let label = self.eval_string(&call.args[1])?;
        if label.is_empty() {
            return Err(super::labels::invalid_label_name(&label).at(&call.args[1].span()));
        }
        let mut out = Vec::new();
        for arg in &call.args[2..] {
            let quantiles = self.eval_scalar(arg, grid)?;
            for series in self.quantile_column(&vector, &quantiles, grid, &call.args[0].span(), &arg.span())? {
                // The quantile may change from step to step, and with it the label.
                let mut by_value: Vec<(String, Series)> = Vec::new();
                for (step, q) in quantiles.iter().enumerate() {
                    let Some(value) = series.get(step) else { continue };
                    let text = format_quantile(*q);
                    let slot = match by_value.iter().position(|(t, _)| *t == text) {
                        Some(slot) => slot,
                        None => {
                            let labels = series.labels.with(&label, &text);
                            by_value.push((text, Series::empty(labels, true, quantiles.len())));
                            by_value.len() - 1
                        }
                    };
                    by_value[slot].1.set(step, value);
                }
                out.extend(by_value.into_iter().map(|(_, s)| s));
            }
        }
        self.vector(merge_by_labels(out)?)
    }

    pub(super) fn histogram_fraction(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let lower = self.eval_scalar(&call.args[0], grid)?;
        let upper = self.eval_scalar(&call.args[1], grid)?;
        let vector = self.eval_vector(&call.args[2], grid)?;
        let span = call.args[2].span();
        let out = self.each_histogram(
            &vector,
            &span,
            grid.num_steps(),
            |_, step, buckets, _| classic::fraction(lower[step], upper[step], buckets),
            |this, step, h, labels| {
                let (value, has_nan) = quantile::fraction(lower[step], upper[step], h);
                if has_nan {
                    this.note(Note::nan_in_fraction(labels), &span);
                }
                value
            },
        )?;
        self.vector(out)
    }

    pub(super) fn histogram_statistic(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let mut vector = self.eval_vector(&call.args[0], grid)?;
        for series in &mut vector.series {
            let mut out = Series::empty(series.labels.clone(), true, grid.num_steps());
            for step in 0..grid.num_steps() {
                let Some(h) = series.histogram(step) else { continue };
                let value = match call.function.name {
                    "histogram_count" => h.count,
                    "histogram_sum" => h.sum,
                    "histogram_avg" => h.sum / h.count,
                    "histogram_stdvar" => quantile::variance(&Sparse::from(h.as_ref())),
                    _ => quantile::variance(&Sparse::from(h.as_ref())).sqrt(),
                };
                out.set(step, SampleValue::Float(value));
            }
            *series = out;
        }
        vector.series.retain(|s| !s.is_empty());
        Ok(Value::Vector(vector))
    }
}

/// A quantile as label value, as `le` and `quantile` are written: `0.5`, `1.0`.
fn format_quantile(q: f64) -> String {
    let text = format_g(q);
    if q.is_finite() && !text.contains(['.', 'e']) { format!("{text}.0") } else { text }
}
