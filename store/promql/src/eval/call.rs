//! Function calls.

use hashbrown::HashSet;
use vocab::Labels;
use vocab::labels::LabelsBuilder;
use vocab::matcher::MatchOp;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use super::elementwise::{extreme, mapping};
use super::select::Windows;
use super::{Evaluator, time};
use crate::annotations::Note;
use crate::ast::{Call, Expr, RangeEdge, Span};
use crate::column::{WindowSpec, is_possibly_not_counter, range_column};
use crate::error::QueryError;
use crate::functions::range::{Marks, RangeFunction};
use crate::value::{Reserved, SampleValue, Series, Value, Vector, is_absent};

impl Evaluator<'_> {
    pub(super) fn call(&self, expr: &Expr, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let name = call.function.name;
        if let Some(function) = RangeFunction::parse(name) {
            return self.range_call(function, call, grid);
        }
        if let Some(map) = mapping(name) {
            return self.map_steps(call, grid, |_, value| Some(map(value)));
        }
        if time::is_calendar(name) {
            return self.calendar(call, grid);
        }
        let constant = |value: f64| Ok(Value::Scalar(vec![value; grid.num_steps()]));
        match name {
            "time" => Ok(Value::Scalar(grid.times().map(|t| t as f64 / 1000.0).collect())),
            "pi" => constant(std::f64::consts::PI),
            "start" => constant(self.times.grid.start_ms as f64 / 1000.0),
            "end" => constant(self.times.grid.end_ms as f64 / 1000.0),
            "step" => constant(self.times.step_ms() as f64 / 1000.0),
            "range" => constant(self.times.range_ms() as f64 / 1000.0),
            "min_of" | "max_of" => {
                let (a, b) = (self.eval_scalar(&call.args[0], grid)?, self.eval_scalar(&call.args[1], grid)?);
                Ok(Value::Scalar(a.iter().zip(&b).map(|(a, b)| extreme(*a, *b, name == "max_of")).collect()))
            }
            "vector" => {
                let floats = self.eval_scalar(&call.args[0], grid)?;
                let series = Series { labels: Labels::empty(), drop_name: false, floats, histograms: Vec::new() };
                self.vector(vec![series])
            }
            "scalar" => self.scalar(call, grid),
            "clamp" | "clamp_min" | "clamp_max" => self.clamp(call, grid),
            "round" => self.round(call, grid),
            "timestamp" => self.timestamp(call, grid),
            "start_timestamp" => self.start_timestamp(call, grid),
            "absent" => self.absent(call, grid),
            "absent_over_time" => self.absent_over_time(call, grid),
            "label_replace" => self.label_replace(call, grid),
            "label_join" => self.label_join(call, grid),
            "sort" | "sort_desc" | "sort_by_label" | "sort_by_label_desc" => self.sort(call, grid),
            "histogram_quantile" | "histogram_quantiles" => self.histogram_quantiles(call, grid),
            "histogram_fraction" => self.histogram_fraction(call, grid),
            "histogram_count" | "histogram_sum" | "histogram_avg" | "histogram_stddev" | "histogram_stdvar" => {
                self.histogram_statistic(call, grid)
            }
            "info" => self.info(expr, call, grid),
            "forecast" | "anomaly_score" => self.model(call, grid),
            other => Err(QueryError::execution(format!("function {other} is not available")).at(&call.span)),
        }
    }

    fn range_call(&self, function: RangeFunction, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let matrix_index = usize::from(function == RangeFunction::Quantile);
        let matrix_arg = &call.args[matrix_index];
        let columns = call
            .args
            .iter()
            .enumerate()
            .filter(|(index, _)| *index != matrix_index)
            .map(|(_, arg)| self.eval_scalar(arg, grid))
            .collect::<Result<Vec<_>, _>>()?;
        let args_at = |step: usize| -> Vec<f64> { columns.iter().map(|c| c[step]).collect() };
        if matches!(matrix_arg.unwrap_parens(), Expr::Matrix(m) if m.selector.edge != RangeEdge::Plain) {
            return self.extended_range_call(function, call, matrix_arg, grid);
        }
        let matrix = self.matrix(matrix_arg, grid)?;
        let span = matrix_arg.span();
        if !matrix.series.is_empty() {
            for step in 0..grid.num_steps() {
                function.check_args(&args_at(step)).map_err(|e| e.at(&call.span))?;
            }
        }
        let note_span = if function == RangeFunction::Quantile { call.args[0].span() } else { span.clone() };
        let spec = WindowSpec { grid: *grid, timing: matrix.timing, range_ms: matrix.range_ms };
        let mut out = Vec::with_capacity(matrix.series.len());
        let mut reserved = Reserved::new(&self.ctx.memory);
        let mut notes = Vec::new();
        let constant_args = columns.iter().all(|c| c.windows(2).all(|w| w[0].to_bits() == w[1].to_bits()));
        for (index, series) in matrix.series.iter().enumerate() {
            if index % 256 == 0 {
                self.ctx.cancel.check()?;
            }
            let drop_name = series.drop_name || !function.keeps_name();
            let result = if constant_args {
                range_column(function, &args_at(0), &series.data, &spec, drop_name, &mut notes)
            } else {
                varying_column(function, args_at, &series.data, &spec, drop_name, &mut notes)
            };
            self.notes(&mut notes, &note_span);
            if let Some(result) = result {
                reserved.grow(result.heap_bytes())?;
                out.push(result);
            }
        }
        if matches!(function, RangeFunction::Rate | RangeFunction::Increase) {
            self.note_non_counters(&out, &span);
        }
        Ok(Value::Vector(Vector::reserved(out, reserved)))
    }

    /// Remarks on metrics that do not look like counters.
    pub(super) fn note_non_counters(&self, series: &[Series], span: &Span) {
        let mut noted: HashSet<&str> = HashSet::new();
        for one in series {
            let name = one.labels.metric_name();
            let is_odd = is_possibly_not_counter(name) && one.floats.iter().any(|v| !is_absent(*v));
            if is_odd && noted.insert(name) {
                self.note(Note::possibly_not_counter(&one.labels), span);
            }
        }
    }

    fn scalar(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let vector = self.eval_vector(&call.args[0], grid)?;
        let mut out = vec![f64::NAN; grid.num_steps()];
        for (step, slot) in out.iter_mut().enumerate() {
            let mut floats = vector.series.iter().map(|s| s.floats[step]).filter(|v| !is_absent(*v));
            if let (Some(value), None) = (floats.next(), floats.next()) {
                *slot = value;
            }
        }
        Ok(Value::Scalar(out))
    }

    /// What was read of a selector that is the only argument: something of its samples instead of their values.
    fn read_of_samples(&self, call: &Call, grid: &StepGrid) -> Option<Result<Value, QueryError>> {
        let inner = call.args[0].unwrap_parens();
        let read = if matches!(inner, Expr::Vector(_)) { self.take_vector(inner) } else { None };
        read.map(|vector| {
            let value = Value::Vector(vector);
            let steps = crate::timing::effective_grid(&call.args[0], grid).num_steps();
            if steps == grid.num_steps() { Ok(value) } else { self.replicate(value, grid.num_steps()) }
        })
    }

    /// Values that are computed count since no time: only a selector has elements.
    fn start_timestamp(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        if let Some(read) = self.read_of_samples(call, grid) {
            return read;
        }
        self.eval_vector(&call.args[0], grid)?;
        self.vector(Vec::new())
    }

    fn timestamp(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        if let Some(read) = self.read_of_samples(call, grid) {
            return read;
        }
        let mut vector = self.eval_vector(&call.args[0], grid)?;
        let times: Vec<f64> = grid.times().map(|t| t as f64 / 1000.0).collect();
        for series in &mut vector.series {
            series.drop_name = true;
            for (step, time) in times.iter().enumerate() {
                if series.has(step) {
                    series.floats[step] = *time;
                }
            }
            series.histograms = Vec::new();
        }
        Ok(Value::Vector(vector))
    }

    fn absent(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let labels = absent_labels(call.args[0].unwrap_parens());
        let vector = self.eval_vector(&call.args[0], grid)?;
        let mut out = Series::empty(labels, false, grid.num_steps());
        for step in 0..grid.num_steps() {
            if !vector.series.iter().any(|s| s.has(step)) {
                out.set(step, SampleValue::Float(1.0));
            }
        }
        self.vector(if out.is_empty() { Vec::new() } else { vec![out] })
    }

    fn absent_over_time(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let labels = absent_labels(call.args[0].unwrap_parens());
        let matrix = self.matrix(&call.args[0], grid)?;
        let mut present = vec![false; grid.num_steps()];
        for series in &matrix.series {
            let mut windows = Windows::new(&series.data, Marks::None);
            for (step, time) in grid.times().enumerate() {
                let end = matrix.timing.reference(time);
                let window = windows.window(end.saturating_sub(matrix.range_ms), end, time);
                present[step] |= !window.values.is_empty() || !window.histograms.is_empty();
            }
        }
        let mut out = Series::empty(labels, false, grid.num_steps());
        for (step, present) in present.into_iter().enumerate() {
            if !present {
                out.set(step, SampleValue::Float(1.0));
            }
        }
        self.vector(if out.is_empty() { Vec::new() } else { vec![out] })
    }
}

/// A column whose scalar arguments change from step to step.
fn varying_column(
    function: RangeFunction,
    args_at: impl Fn(usize) -> Vec<f64>,
    data: &SeriesData,
    spec: &WindowSpec,
    drop_name: bool,
    notes: &mut Vec<Note>,
) -> Option<Series> {
    let mut out = Series::empty(data.labels.clone(), drop_name, spec.grid.num_steps());
    let mut windows = Windows::new(data, function.marks());
    for (step, time) in spec.grid.times().enumerate() {
        let end = spec.timing.reference(time);
        let window = windows.window(end.saturating_sub(spec.range_ms), end, time);
        if let Some(value) = function.evaluate(&window, &args_at(step), &data.labels, notes) {
            out.set(step, value);
        }
    }
    (!out.is_empty()).then_some(out)
}

/// The labels of `absent()`: those that a selector demands by `=`, each once.
fn absent_labels(expr: &Expr) -> Labels {
    let matchers = match expr {
        Expr::Vector(selector) => &selector.matchers,
        Expr::Matrix(matrix) => &matrix.selector.matchers,
        _ => return Labels::empty(),
    };
    let mut builder = LabelsBuilder::default();
    let own = matchers.iter().filter(|m| m.name != vocab::labels::METRIC_NAME);
    let mut seen: Vec<&str> = Vec::new();
    for matcher in own {
        if matcher.op == MatchOp::Equal && !seen.contains(&matcher.name.as_str()) {
            builder.set(&matcher.name, &matcher.value);
            seen.push(&matcher.name);
        } else {
            builder.remove(&matcher.name);
        }
    }
    builder.build()
}
