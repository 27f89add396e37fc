//! Evaluation of a tree over what was read, all steps of a node at a time.

mod aggregate;
mod binary;
mod call;
mod elementwise;
mod extended;
mod histogram;
mod labels;
pub(crate) mod matching;
mod model;
mod operators;
pub(crate) mod select;
mod setops;
mod time;

use std::cell::RefCell;
use std::collections::hash_map::Entry;

use vocab::Ctx;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use crate::annotations::{Annotations, Note};
use crate::ast::{Expr, Span, Unary};
use crate::engine::{LeafData, Reads};
use crate::error::QueryError;
use crate::plan::NodeId;
use crate::stats::{self, QueryDetail, Tally};
use crate::timing::{QueryTimes, Timing, effective_grid};
use crate::value::{QueryOutput, QueryValue, Raw, Reserved, SampleValue, Series, Value, Vector};

pub(crate) use matching::merge_by_labels;

/// Evaluates one query.
pub(crate) struct Evaluator<'a> {
    pub(crate) ctx: &'a Ctx,
    pub(crate) times: &'a QueryTimes,
    reads: RefCell<Reads>,
    pub(crate) lookback_ms: i64,
    annotations: RefCell<Annotations>,
    /// There when samples are counted step by step.
    tally: RefCell<Option<Tally>>,
}

/// The series of a range vector with the windows to look through.
pub(crate) struct Matrix {
    pub(crate) series: Vec<MatrixSeries>,
    pub(crate) timing: Timing,
    pub(crate) range_ms: i64,
    _reserved: Reserved,
}

/// One series of a range vector.
pub(crate) struct MatrixSeries {
    pub(crate) data: SeriesData,
    pub(crate) drop_name: bool,
}

impl<'a> Evaluator<'a> {
    pub(crate) fn new(ctx: &'a Ctx, times: &'a QueryTimes, mut reads: Reads, lookback_ms: i64, counts: bool) -> Self {
        let annotations = RefCell::new(std::mem::take(&mut reads.annotations));
        let tally = RefCell::new(counts.then(|| Tally::new(times.grid.num_steps())));
        Self { ctx, times, reads: RefCell::new(reads), lookback_ms, annotations, tally }
    }

    pub(crate) fn finish(self, value: QueryValue, mut detail: Option<QueryDetail>) -> QueryOutput {
        if let (Some(detail), Some(tally)) = (&mut detail, self.tally.into_inner()) {
            detail.samples_per_step = tally.finish(&self.times.grid);
            detail.peak_samples = detail.peak_samples.max(stats::answered(&value));
        }
        QueryOutput { value, annotations: self.annotations.into_inner(), stats: self.reads.into_inner().stats, detail }
    }

    /// Counts samples, where they are counted.
    fn tally<T>(&self, count: impl FnOnce(&mut Tally) -> T) -> Option<T> {
        self.tally.borrow_mut().as_mut().map(count)
    }

    /// Evaluates a part on steps of its own, and says how many samples it looked at.
    fn apart<T>(&self, num_steps: usize, work: impl FnOnce() -> Result<T, QueryError>) -> Result<(T, u64), QueryError> {
        let outer = self.tally(|t| t.begin(num_steps));
        let value = work()?;
        let count = outer.and_then(|outer| self.tally(|t| t.end(outer)));
        Ok((value, count.unwrap_or(0)))
    }

    pub(crate) fn note(&self, note: Note, span: &Span) {
        self.annotations.borrow_mut().add(note, span);
    }

    pub(crate) fn notes(&self, notes: &mut Vec<Note>, span: &Span) {
        for note in notes.drain(..) {
            self.note(note, span);
        }
    }

    pub(crate) fn vector(&self, series: Vec<Series>) -> Result<Value, QueryError> {
        Ok(Value::Vector(Vector::new(series, &self.ctx.memory)?))
    }

    /// What was read for a node, as samples.
    pub(crate) fn take_raw(&self, expr: &Expr) -> Option<Raw> {
        match self.reads.borrow_mut().leaves.remove(&NodeId::of(expr)) {
            Some(LeafData::Raw(raw)) => Some(raw),
            _ => None,
        }
    }

    /// What was read for a node, when it is evaluated already.
    pub(crate) fn take_vector(&self, expr: &Expr) -> Option<Vector> {
        let mut reads = self.reads.borrow_mut();
        match reads.leaves.entry(NodeId::of(expr)) {
            Entry::Occupied(entry) if matches!(entry.get(), LeafData::Vector(_)) => match entry.remove() {
                LeafData::Vector(vector) => {
                    self.tally(|t| t.add_columns(&vector.series));
                    Some(vector)
                }
                LeafData::Raw(_) => None,
            },
            _ => None,
        }
    }

    pub(crate) fn take_info(&self, expr: &Expr) -> Vec<Series> {
        self.reads.borrow_mut().info.remove(&NodeId::of(expr)).unwrap_or_default()
    }

    /// The expression's value at every step of the grid.
    pub(crate) fn eval(&self, expr: &Expr, grid: &StepGrid) -> Result<Value, QueryError> {
        self.ctx.cancel.check()?;
        let effective = effective_grid(expr, grid);
        if effective.num_steps() == grid.num_steps() {
            return self.eval_on(expr, &effective);
        }
        let (value, count) = self.apart(effective.num_steps(), || self.eval_on(expr, &effective))?;
        self.tally(|t| t.add_everywhere(count));
        self.replicate(value, grid.num_steps())
    }

    fn eval_on(&self, expr: &Expr, grid: &StepGrid) -> Result<Value, QueryError> {
        if let Some(vector) = self.take_vector(expr) {
            return Ok(Value::Vector(vector));
        }
        match expr {
            Expr::Number(number) => Ok(Value::Scalar(vec![number.value; grid.num_steps()])),
            Expr::String(string) => Ok(Value::String(string.value.clone())),
            Expr::Paren(paren) => self.eval(&paren.expr, grid),
            Expr::Unary(unary) => self.unary(unary, grid),
            Expr::Call(call) => self.call(expr, call, grid),
            Expr::Aggregate(aggregate) => self.aggregate(aggregate, grid),
            Expr::Binary(binary) => self.binary(binary, grid),
            Expr::Vector(_) => self.smoothed_vector(expr, grid),
            Expr::Matrix(_) | Expr::Subquery(_) => {
                Err(QueryError::execution("range vector where an instant vector is needed").at(&expr.span()))
            }
        }
    }

    fn replicate(&self, value: Value, steps: usize) -> Result<Value, QueryError> {
        match value {
            Value::Scalar(values) => Ok(Value::Scalar(vec![values.first().copied().unwrap_or(f64::NAN); steps])),
            Value::String(text) => Ok(Value::String(text)),
            Value::Vector(vector) => {
                let series = vector.series.into_iter().map(|one| {
                    let mut all = Series::empty(one.labels.clone(), one.drop_name, 0);
                    all.floats = vec![one.floats[0]; steps];
                    if let Some(histogram) = one.histogram(0) {
                        all.histograms = vec![Some(histogram.clone()); steps];
                    }
                    all
                });
                self.vector(series.collect())
            }
        }
    }

    fn unary(&self, unary: &Unary, grid: &StepGrid) -> Result<Value, QueryError> {
        let value = self.eval(&unary.expr, grid)?;
        if !unary.negate {
            return Ok(value);
        }
        match value {
            Value::Scalar(mut values) => {
                values.iter_mut().for_each(|v| *v = -*v);
                Ok(Value::Scalar(values))
            }
            Value::Vector(mut vector) => {
                for series in &mut vector.series {
                    series.drop_name = true;
                    elementwise::map_floats(series, |v| -v);
                    for histogram in series.histograms.iter_mut().flatten() {
                        let mut negated = (**histogram).clone();
                        crate::histogram::scale(&mut negated, -1.0);
                        negated.reset_hint = vocab::histogram::ResetHint::Gauge;
                        *histogram = std::sync::Arc::new(negated);
                    }
                }
                Ok(Value::Vector(vector))
            }
            Value::String(_) => Err(QueryError::execution("a string has no sign").at(&unary.span)),
        }
    }

    pub(crate) fn eval_vector(&self, expr: &Expr, grid: &StepGrid) -> Result<Vector, QueryError> {
        match self.eval(expr, grid)? {
            Value::Vector(vector) => Ok(vector),
            _ => Err(QueryError::execution("an instant vector is needed").at(&expr.span())),
        }
    }

    pub(crate) fn eval_scalar(&self, expr: &Expr, grid: &StepGrid) -> Result<Vec<f64>, QueryError> {
        match self.eval(expr, grid)? {
            Value::Scalar(values) => Ok(values),
            _ => Err(QueryError::execution("a scalar is needed").at(&expr.span())),
        }
    }

    pub(crate) fn eval_string(&self, expr: &Expr) -> Result<String, QueryError> {
        match expr.unwrap_parens() {
            Expr::String(string) => Ok(string.value.clone()),
            other => Err(QueryError::execution("a string is needed").at(&other.span())),
        }
    }

    /// A range selector's or subquery's series, whose windows are then looked through.
    pub(crate) fn matrix(&self, expr: &Expr, grid: &StepGrid) -> Result<Matrix, QueryError> {
        self.read_matrix(expr, grid, false)
    }

    /// The same; of a subquery that is the answer itself, what it looked at counts, else what of its result is looked at.
    fn read_matrix(&self, expr: &Expr, grid: &StepGrid, is_answer: bool) -> Result<Matrix, QueryError> {
        let expr = expr.unwrap_parens();
        match expr {
            Expr::Matrix(matrix) => {
                let timing = self.times.timing(matrix.selector.at, &matrix.selector.offset, &matrix.span)?;
                let range_ms = self.times.duration(&matrix.range, true, &matrix.span)?;
                let Some(raw) = self.take_raw(expr) else {
                    return Err(QueryError::execution("a range selector was not read").at(&matrix.span));
                };
                self.tally(|t| raw.series.iter().for_each(|data| t.add_windows(data, grid, timing, range_ms)));
                let series = raw.series.into_iter().map(|data| MatrixSeries { data, drop_name: false }).collect();
                Ok(Matrix { series, timing, range_ms, _reserved: raw.reserved })
            }
            Expr::Subquery(subquery) => {
                let timing = self.times.timing(subquery.at, &subquery.offset, &subquery.span)?;
                let range_ms = self.times.duration(&subquery.range, true, &subquery.span)?;
                let inner = self.reads.borrow().subqueries.get(&NodeId::of(expr)).copied().unwrap_or(*grid);
                let series = if inner.num_steps() == 0 {
                    Vec::new()
                } else {
                    let (vector, count) = self.apart(inner.num_steps(), || self.eval_vector(&subquery.expr, &inner))?;
                    if is_answer {
                        self.tally(|t| t.add_everywhere(count));
                    }
                    merge_by_labels(vector.series)?
                };
                let mut reserved = Reserved::new(&self.ctx.memory);
                let mut out = Vec::with_capacity(series.len());
                for one in series {
                    let drop_name = one.drop_name;
                    let data = to_samples(one, &inner);
                    reserved.grow(data.heap_bytes())?;
                    if !is_answer {
                        self.tally(|t| t.add_windows(&data, grid, timing, range_ms));
                    }
                    out.push(MatrixSeries { drop_name, data });
                }
                Ok(Matrix { series: out, timing, range_ms, _reserved: reserved })
            }
            other => Err(QueryError::execution("a range vector is needed").at(&other.span())),
        }
    }

    /// The windows of a range vector at the only step of an instant query.
    pub(crate) fn matrix_at(&self, expr: &Expr, grid: &StepGrid) -> Result<Vec<MatrixSeries>, QueryError> {
        let matrix = self.read_matrix(expr, grid, true)?;
        let end = matrix.timing.reference(grid.start_ms);
        let start = end.saturating_sub(matrix.range_ms);
        let inside = |t: i64| t > start && t <= end;
        let windows = matrix.series.into_iter().map(|mut series| {
            let data = std::mem::take(&mut series.data);
            let kept =
                data.timestamps.iter().zip(&data.values).filter(|(t, v)| inside(**t) && !vocab::is_stale_nan(**v));
            let (timestamps, values) = kept.map(|(t, v)| (*t, *v)).unzip();
            let histograms =
                data.histograms.into_iter().filter(|(t, h)| inside(*t) && !vocab::is_stale_nan(h.sum)).collect();
            series.data = SeriesData { labels: data.labels, timestamps, values, histograms, starts: None };
            series
        });
        Ok(windows.filter(|s| s.data.num_samples() > 0).collect())
    }
}

/// A column as samples at the grid's times.
fn to_samples(series: Series, grid: &StepGrid) -> SeriesData {
    let mut data = SeriesData { labels: series.labels.clone(), ..SeriesData::default() };
    for (step, time) in grid.times().enumerate() {
        match series.get(step) {
            Some(SampleValue::Float(v)) => {
                data.timestamps.push(time);
                data.values.push(v);
            }
            Some(SampleValue::Histogram(h)) => data.histograms.push((time, crate::histogram::without_hint(h))),
            None => {}
        }
    }
    data
}
