//! Aggregations.

use std::cmp::Ordering;

use hashbrown::HashMap;
use vocab::Labels;
use vocab::ports::query::StepGrid;

use super::Evaluator;
use super::labels::{invalid_label_name, nan_last};
use super::matching::{GroupIndex, Grouping, merge_by_labels};
use crate::annotations::Note;
use crate::ast::{Aggregate, AggregateOp, Span};
use crate::error::QueryError;
use crate::fragment::Fold;
use crate::histogram::fold::HistogramSum;
use crate::kahan::{KahanMean, KahanSum, KahanVariance};
use crate::number::{format_g, format_plain};
use crate::quantile::quantile;
use crate::value::{SampleValue, Series, Value, is_absent};

/// Series of a vector that belong together.
struct Group {
    labels: Labels,
    drop_name: bool,
    members: Vec<usize>,
}

fn groups(series: &[Series], aggregate: &Aggregate) -> Vec<Group> {
    let mut index = GroupIndex::new(Grouping::new(&aggregate.grouping, aggregate.without));
    let mut out: Vec<Group> = Vec::new();
    for (member, one) in series.iter().enumerate() {
        let at = index.slot(&one.labels);
        if at == out.len() {
            out.push(Group { labels: index.keys[at].clone(), drop_name: false, members: Vec::new() });
        }
        out[at].drop_name |= one.drop_name;
        out[at].members.push(member);
    }
    out
}

impl Evaluator<'_> {
    pub(super) fn aggregate(&self, aggregate: &Aggregate, grid: &StepGrid) -> Result<Value, QueryError> {
        let param = aggregate.param.as_deref();
        match aggregate.op {
            AggregateOp::CountValues => {
                let label = param.map(|p| self.eval_string(p)).transpose()?.unwrap_or_default();
                self.count_values(aggregate, &label, grid)
            }
            AggregateOp::Topk | AggregateOp::Bottomk | AggregateOp::Limitk | AggregateOp::LimitRatio => {
                let params = param.map(|p| self.eval_scalar(p, grid)).transpose()?.unwrap_or_default();
                self.selection(aggregate, &params, grid)
            }
            _ => {
                let params = param.map(|p| self.eval_scalar(p, grid)).transpose()?;
                self.reduction(aggregate, params.as_deref(), grid)
            }
        }
    }

    fn reduction(
        &self,
        aggregate: &Aggregate,
        quantiles: Option<&[f64]>,
        grid: &StepGrid,
    ) -> Result<Value, QueryError> {
        let vector = self.eval_vector(&aggregate.expr, grid)?;
        let groups = groups(&vector.series, aggregate);
        let span = aggregate.expr.span();
        if let (Some(quantiles), Some(param), false) = (quantiles, &aggregate.param, groups.is_empty()) {
            for q in quantiles.iter().filter(|q| !(0.0..=1.0).contains(*q)) {
                self.note(Note::invalid_quantile(*q), &param.span());
            }
        }
        let has_histograms = vector.series.iter().any(|s| !s.histograms.is_empty());
        let fold = Fold::parse(aggregate.op.as_str()).filter(|_| !has_histograms);
        let mut out = Vec::with_capacity(groups.len());
        for group in groups {
            self.ctx.cancel.check()?;
            if let Some(fold) = fold {
                let members = group.members.iter().map(|m| vector.series[*m].floats.as_slice());
                let floats = fold.columns_of(members, grid.num_steps());
                let histograms = Vec::new();
                out.push(Series { labels: group.labels, drop_name: group.drop_name, floats, histograms });
                continue;
            }
            let mut series = Series::empty(group.labels.clone(), group.drop_name, grid.num_steps());
            if let (AggregateOp::Quantile, Some(quantiles), false) = (aggregate.op, quantiles, has_histograms) {
                fill_quantiles(&mut series, quantiles, &group.members, &vector.series);
                out.push(series);
                continue;
            }
            for step in 0..grid.num_steps() {
                let members = group.members.iter().map(|m| &vector.series[*m]);
                let samples = members.filter_map(|s| Some((&s.labels, s.get(step)?)));
                if let Some(value) = self.reduce(aggregate.op, samples, quantiles.map_or(0.0, |q| q[step]), &span) {
                    series.set(step, value);
                }
            }
            if !series.is_empty() {
                out.push(series);
            }
        }
        self.vector(out)
    }

    fn reduce<'s>(
        &self,
        op: AggregateOp,
        samples: impl Iterator<Item = (&'s Labels, SampleValue)>,
        q: f64,
        span: &Span,
    ) -> Option<SampleValue> {
        match op {
            AggregateOp::Sum | AggregateOp::Avg => return self.total(op, samples, span),
            AggregateOp::Count => {
                let count = samples.count();
                return (count > 0).then_some(SampleValue::Float(count as f64));
            }
            AggregateOp::Group => return samples.last().map(|_| SampleValue::Float(1.0)),
            _ => {}
        }
        let mut floats = Vec::new();
        for (_, sample) in samples {
            match sample {
                SampleValue::Float(v) => floats.push(v),
                SampleValue::Histogram(_) => self.note(Note::histogram_ignored_in_aggregation(op.as_str()), span),
            }
        }
        let first = *floats.first()?;
        let variance = || {
            let mut variance = KahanVariance::default();
            floats.iter().for_each(|v| variance.add(*v));
            variance.variance()
        };
        Some(SampleValue::Float(match op {
            AggregateOp::Min => floats.iter().fold(first, |m, &v| if v < m || m.is_nan() { v } else { m }),
            AggregateOp::Max => floats.iter().fold(first, |m, &v| if v > m || m.is_nan() { v } else { m }),
            AggregateOp::Stdvar => variance(),
            AggregateOp::Stddev => variance().sqrt(),
            _ => quantile(q, &mut floats),
        }))
    }

    fn total<'s>(
        &self,
        op: AggregateOp,
        samples: impl Iterator<Item = (&'s Labels, SampleValue)>,
        span: &Span,
    ) -> Option<SampleValue> {
        let mut sum = KahanSum::default();
        let mut mean = KahanMean::default();
        let mut histograms: Option<HistogramSum> = None;
        let mut incompatible = None;
        for (labels, sample) in samples {
            match sample {
                SampleValue::Float(v) if op == AggregateOp::Avg => mean.add(v),
                SampleValue::Float(v) if mean.count == 0.0 => {
                    mean.count = 1.0;
                    sum.sum = v;
                }
                SampleValue::Float(v) => sum.add(v),
                SampleValue::Histogram(h) => match &mut histograms {
                    None => histograms = Some(HistogramSum::new(&h, op == AggregateOp::Avg)),
                    Some(total) => {
                        if total.add(&h).is_err() {
                            incompatible = Some(labels);
                        }
                    }
                },
            }
        }
        let Some(histograms) = histograms else {
            let value = if op == AggregateOp::Avg { mean.value() } else { sum.value() };
            return (mean.count > 0.0).then_some(SampleValue::Float(value));
        };
        if mean.count > 0.0 {
            self.note(Note::mixed_floats_histograms_in_aggregation(), span);
            return None;
        }
        if let Some(labels) = incompatible {
            self.note(Note::mixed_exponential_custom(labels), span);
            return None;
        }
        let mut notes = Vec::new();
        histograms.notes(&mut notes);
        self.notes(&mut notes, span);
        Some(SampleValue::Histogram(std::sync::Arc::new(histograms.finish())))
    }

    fn count_values(&self, aggregate: &Aggregate, label: &str, grid: &StepGrid) -> Result<Value, QueryError> {
        if label.is_empty() {
            return Err(invalid_label_name(label).at(&aggregate.span));
        }
        let vector = self.eval_vector(&aggregate.expr, grid)?;
        let grouping = Grouping::new(&aggregate.grouping, aggregate.without);
        let mut index: HashMap<Labels, usize> = HashMap::new();
        let mut out: Vec<Series> = Vec::new();
        for series in &vector.series {
            let base = grouping.key(&series.labels);
            for step in 0..grid.num_steps() {
                let text = match series.get(step) {
                    None => continue,
                    Some(SampleValue::Float(v)) => format_plain(v),
                    Some(SampleValue::Histogram(h)) => crate::histogram::text::text(&h),
                };
                let labels = base.with(label, &text);
                let at = *index.entry(labels.clone()).or_insert_with(|| {
                    out.push(Series::empty(labels, false, grid.num_steps()));
                    out.len() - 1
                });
                let slot = &mut out[at].floats[step];
                *slot = if is_absent(*slot) { 1.0 } else { *slot + 1.0 };
                out[at].drop_name |= series.drop_name;
            }
        }
        self.vector(out)
    }

    /// Aggregations that choose among the series of a group.
    fn selection(&self, aggregate: &Aggregate, params: &[f64], grid: &StepGrid) -> Result<Value, QueryError> {
        let vector = self.eval_vector(&aggregate.expr, grid)?;
        let span = aggregate.expr.span();
        let param_span = aggregate.param.as_ref().map_or_else(|| span.clone(), |p| p.span());
        let wants = self.selection_sizes(aggregate.op, params, vector.series.is_empty(), &param_span)?;
        let groups = groups(&vector.series, aggregate);
        // In the order in which series are chosen, which is what an instant query answers with.
        let mut chosen: Vec<Series> = Vec::new();
        let mut slots: HashMap<usize, usize> = HashMap::new();
        for group in &groups {
            self.ctx.cancel.check()?;
            for (step, want) in wants.iter().enumerate() {
                for member in self.pick(aggregate.op, *want, &vector.series, group, step, &span) {
                    let series = &vector.series[member];
                    let slot = *slots.entry(member).or_insert_with(|| {
                        chosen.push(Series::empty(series.labels.clone(), series.drop_name, grid.num_steps()));
                        chosen.len() - 1
                    });
                    if let Some(value) = series.get(step) {
                        chosen[slot].set(step, value);
                    }
                }
            }
        }
        self.vector(merge_by_labels(chosen)?)
    }

    fn selection_sizes(
        &self,
        op: AggregateOp,
        params: &[f64],
        empty: bool,
        span: &Span,
    ) -> Result<Vec<f64>, QueryError> {
        let mut sizes = Vec::with_capacity(params.len());
        for &param in params {
            if param.is_nan() {
                let what = if op == AggregateOp::LimitRatio { "Ratio value" } else { "Parameter value" };
                return Err(QueryError::execution(format!("{what} is NaN")).at(span));
            }
            if op != AggregateOp::LimitRatio {
                if param <= i64::MIN as f64 || param >= i64::MAX as f64 {
                    let what = if param > 0.0 { "overflows" } else { "underflows" };
                    let message = format!("Scalar value {} {what} int64", format_g(param));
                    return Err(QueryError::execution(message).at(span));
                }
                sizes.push(param.trunc());
                continue;
            }
            let capped = param.clamp(-1.0, 1.0);
            if capped != param && !empty {
                self.note(Note::invalid_ratio(param, capped), span);
            }
            sizes.push(capped);
        }
        Ok(sizes)
    }

    fn pick(
        &self,
        op: AggregateOp,
        want: f64,
        series: &[Series],
        group: &Group,
        step: usize,
        span: &Span,
    ) -> Vec<usize> {
        let present = group.members.iter().copied().filter(|m| series[*m].has(step));
        match op {
            AggregateOp::LimitRatio => present
                .filter(|m| {
                    // The same series falls on the same side at every step and for every ratio.
                    let share = crate::hash::labels_hash(&series[*m].labels) as f64 / u64::MAX as f64;
                    (want >= 0.0 && share < want) || (want < 0.0 && share >= 1.0 + want)
                })
                .collect(),
            _ if want < 1.0 => Vec::new(),
            // Limits and ties are decided by the order of labels, which does not depend on how series were read.
            AggregateOp::Limitk => {
                best(present.collect(), want as usize, |a, b| series[a].labels.cmp(&series[b].labels))
            }
            _ => {
                let mut floats: Vec<usize> = Vec::new();
                for member in present {
                    if is_absent(series[member].floats[step]) {
                        self.note(Note::histogram_ignored_in_aggregation(op.as_str()), span);
                    } else {
                        floats.push(member);
                    }
                }
                let descending = op == AggregateOp::Topk;
                best(floats, want as usize, |a, b| {
                    nan_last(series[a].floats[step], series[b].floats[step], descending)
                        .then_with(|| series[a].labels.cmp(&series[b].labels))
                })
            }
        }
    }
}

fn fill_quantiles(out: &mut Series, quantiles: &[f64], members: &[usize], series: &[Series]) {
    let mut values = Vec::with_capacity(members.len());
    for (step, q) in quantiles.iter().enumerate() {
        values.clear();
        values.extend(members.iter().map(|m| series[*m].floats[step]).filter(|v| !is_absent(*v)));
        if !values.is_empty() {
            out.floats[step] = quantile(*q, &mut values);
        }
    }
}

/// The first so many in order.
fn best(mut members: Vec<usize>, count: usize, order: impl Fn(usize, usize) -> Ordering) -> Vec<usize> {
    if count < members.len() {
        members.select_nth_unstable_by(count, |a, b| order(*a, *b));
        members.truncate(count);
    }
    members.sort_unstable_by(|a, b| order(*a, *b));
    members
}
