//! Functions of range vectors, one series and one window at a time.

use std::sync::Arc;

use vocab::{Labels, NativeHistogram};

use crate::annotations::Note;
use crate::error::QueryError;
use crate::functions::{rate, start};
use crate::kahan::{KahanMean, KahanSum, KahanVariance};
use crate::quantile::quantile;
use crate::value::SampleValue;

/// A window of samples of one series, without staleness markers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Window<'a> {
    pub(crate) timestamps: &'a [i64],
    pub(crate) values: &'a [f64],
    pub(crate) histograms: &'a [(i64, Arc<NativeHistogram>)],
    /// Since when the floats count, 0 where not known; empty when none is known.
    pub(crate) starts: &'a [i64],
    /// The same of the histograms.
    pub(crate) histogram_starts: &'a [i64],
    /// Left border, not included.
    pub(crate) start_ms: i64,
    /// Right border, included.
    pub(crate) end_ms: i64,
    /// The evaluation time, before offset and `@`.
    pub(crate) eval_ms: i64,
    /// Indices (within the whole series) of floats before which the counter was reset (or, for `changes`, that are not as the
    /// one before them), those of this window only.
    pub(crate) marks: &'a [usize],
    /// Index of the window's first float within the whole series.
    pub(crate) first_index: usize,
}

impl Window<'_> {
    fn len(&self) -> usize {
        self.values.len() + self.histograms.len()
    }

    /// Values of both kinds in order of time.
    fn in_order(&self) -> impl Iterator<Item = Either<'_>> {
        let (mut f, mut h) = (0, 0);
        std::iter::from_fn(move || {
            let float_first = match (self.timestamps.get(f), self.histograms.get(h)) {
                (Some(tf), Some((th, _))) => tf < th,
                (Some(_), None) => true,
                (None, Some(_)) => false,
                (None, None) => return None,
            };
            if float_first {
                f += 1;
                Some(Either::Float(self.timestamps[f - 1], self.values[f - 1]))
            } else {
                h += 1;
                let (t, histogram) = &self.histograms[h - 1];
                Some(Either::Histogram(*t, histogram))
            }
        })
    }
}

/// What is to be known of each sample and the one before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Marks {
    /// Nothing.
    None,
    /// Whether the counter was reset between them.
    Resets,
    /// Whether they differ.
    Changes,
}

/// Whether two values in a row are a change.
pub(crate) fn differ(a: f64, b: f64) -> bool {
    a != b && !(a.is_nan() && b.is_nan())
}

/// A sample of either kind.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Either<'a> {
    Float(i64, f64),
    Histogram(i64, &'a Arc<NativeHistogram>),
}

/// The functions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RangeFunction {
    Rate,
    Increase,
    Delta,
    Irate,
    Idelta,
    Deriv,
    PredictLinear,
    DoubleExponentialSmoothing,
    Changes,
    Resets,
    Avg,
    Count,
    First,
    Last,
    Mad,
    Max,
    Min,
    Present,
    Quantile,
    Stddev,
    Stdvar,
    Sum,
    TsOfFirst,
    TsOfLast,
    TsOfMax,
    TsOfMin,
}

impl RangeFunction {
    /// The function of that PromQL name.
    pub(crate) fn parse(name: &str) -> Option<Self> {
        Some(match name {
            "rate" => Self::Rate,
            "increase" => Self::Increase,
            "delta" => Self::Delta,
            "irate" => Self::Irate,
            "idelta" => Self::Idelta,
            "deriv" => Self::Deriv,
            "predict_linear" => Self::PredictLinear,
            "double_exponential_smoothing" => Self::DoubleExponentialSmoothing,
            "changes" => Self::Changes,
            "resets" => Self::Resets,
            "avg_over_time" => Self::Avg,
            "count_over_time" => Self::Count,
            "first_over_time" => Self::First,
            "last_over_time" => Self::Last,
            "mad_over_time" => Self::Mad,
            "max_over_time" => Self::Max,
            "min_over_time" => Self::Min,
            "present_over_time" => Self::Present,
            "quantile_over_time" => Self::Quantile,
            "stddev_over_time" => Self::Stddev,
            "stdvar_over_time" => Self::Stdvar,
            "sum_over_time" => Self::Sum,
            "ts_of_first_over_time" => Self::TsOfFirst,
            "ts_of_last_over_time" => Self::TsOfLast,
            "ts_of_max_over_time" => Self::TsOfMax,
            "ts_of_min_over_time" => Self::TsOfMin,
            _ => return None,
        })
    }

    /// Whether the result keeps the metric name.
    pub(crate) fn keeps_name(self) -> bool {
        matches!(self, Self::First | Self::Last)
    }

    /// Whether it is an extrapolated difference: of a counter or a gauge, per second or over the whole range.
    pub(crate) fn difference(self) -> Option<(bool, bool)> {
        match self {
            Self::Rate => Some((true, true)),
            Self::Increase => Some((true, false)),
            Self::Delta => Some((false, false)),
            _ => None,
        }
    }

    /// Which samples it wants to have marked.
    pub(crate) fn marks(self) -> Marks {
        match self {
            Self::Rate | Self::Increase | Self::Resets => Marks::Resets,
            Self::Changes => Marks::Changes,
            _ => Marks::None,
        }
    }

    /// Checks scalar arguments that are wrong whatever the samples are.
    pub(crate) fn check_args(self, args: &[f64]) -> Result<(), QueryError> {
        if self != Self::DoubleExponentialSmoothing {
            return Ok(());
        }
        for (what, index) in [("smoothing", 0), ("trend", 1)] {
            let factor = args[index];
            if factor <= 0.0 || factor >= 1.0 {
                let symbol = if index == 0 { "sf" } else { "tf" };
                let message = format!("invalid {what} factor. Expected: 0 < {symbol} < 1, got: {factor:.6}");
                return Err(QueryError::execution(message));
            }
        }
        Ok(())
    }

    /// The function's value for a window; `None` when there is none.
    pub(crate) fn evaluate(
        self,
        window: &Window<'_>,
        args: &[f64],
        labels: &Labels,
        notes: &mut Vec<Note>,
    ) -> Option<SampleValue> {
        if window.len() == 0 {
            return None;
        }
        match self {
            Self::Rate => rate::extrapolated(window, true, true, labels, notes),
            Self::Increase => rate::extrapolated(window, true, false, labels, notes),
            Self::Delta => rate::extrapolated(window, false, false, labels, notes),
            Self::Irate => rate::instant(window, true, labels, notes),
            Self::Idelta => rate::instant(window, false, labels, notes),
            Self::Sum => sum(window, labels, notes),
            Self::Avg => avg(window, labels, notes),
            Self::First | Self::Last => ends(window, self == Self::First).map(|e| match e {
                Either::Float(_, v) => SampleValue::Float(v),
                Either::Histogram(_, h) => SampleValue::Histogram(Arc::clone(h)),
            }),
            other => other.float(window, args, labels, notes).map(SampleValue::Float),
        }
    }

    fn float(self, window: &Window<'_>, args: &[f64], labels: &Labels, notes: &mut Vec<Note>) -> Option<f64> {
        let mixed_is_noted = matches!(
            self,
            Self::Deriv
                | Self::PredictLinear
                | Self::DoubleExponentialSmoothing
                | Self::Mad
                | Self::Max
                | Self::Min
                | Self::Quantile
                | Self::Stddev
                | Self::Stdvar
                | Self::TsOfMax
                | Self::TsOfMin
        );
        if mixed_is_noted {
            if window.values.is_empty() {
                return None;
            }
            if !window.histograms.is_empty() {
                notes.push(Note::histogram_ignored_in_mixed_range(labels));
            }
        }
        let values = window.values;
        Some(match self {
            Self::Count => window.len() as f64,
            Self::Present => 1.0,
            Self::Changes => changes(window),
            Self::Resets => resets(window),
            Self::TsOfFirst | Self::TsOfLast => match ends(window, self == Self::TsOfFirst)? {
                Either::Float(t, _) | Either::Histogram(t, _) => t as f64 / 1000.0,
            },
            Self::Max => values[1..].iter().fold(values[0], |m, &v| if v > m || m.is_nan() { v } else { m }),
            Self::Min => values[1..].iter().fold(values[0], |m, &v| if v < m || m.is_nan() { v } else { m }),
            Self::TsOfMax => extreme_time(window, |v, best| v >= best),
            Self::TsOfMin => extreme_time(window, |v, best| v <= best),
            Self::Stdvar => variance(values),
            Self::Stddev => variance(values).sqrt(),
            Self::Quantile => {
                let q = args[0];
                if !(0.0..=1.0).contains(&q) {
                    notes.push(Note::invalid_quantile(q));
                }
                quantile(q, &mut values.to_vec())
            }
            Self::Mad => {
                let median = quantile(0.5, &mut values.to_vec());
                quantile(0.5, &mut values.iter().map(|v| (v - median).abs()).collect::<Vec<_>>())
            }
            Self::Deriv | Self::PredictLinear if values.len() < 2 => return None,
            Self::Deriv => regression(window, window.timestamps[0]).0,
            Self::PredictLinear => {
                let (slope, intercept) = regression(window, window.eval_ms);
                slope * args[0] + intercept
            }
            Self::DoubleExponentialSmoothing if values.len() < 2 => return None,
            Self::DoubleExponentialSmoothing => smooth(values, args[0], args[1]),
            Self::Rate
            | Self::Increase
            | Self::Delta
            | Self::Irate
            | Self::Idelta
            | Self::Sum
            | Self::Avg
            | Self::First
            | Self::Last => return None,
        })
    }
}

fn ends<'a>(window: &'a Window<'_>, first: bool) -> Option<Either<'a>> {
    let (float, histogram) = if first {
        (window.timestamps.first().zip(window.values.first()), window.histograms.first())
    } else {
        (window.timestamps.last().zip(window.values.last()), window.histograms.last())
    };
    let float_wins = match (float, histogram) {
        (Some((tf, _)), Some((th, _))) => (tf < th) == first,
        (float, _) => float.is_some(),
    };
    if float_wins {
        float.map(|(t, v)| Either::Float(*t, *v))
    } else {
        histogram.map(|(t, h)| Either::Histogram(*t, h))
    }
}

fn sum(window: &Window<'_>, labels: &Labels, notes: &mut Vec<Note>) -> Option<SampleValue> {
    match (window.values.is_empty(), window.histograms.is_empty()) {
        (false, false) => {
            notes.push(Note::mixed_floats_histograms(labels));
            None
        }
        (true, _) => {
            crate::histogram::fold::over_time(window.histograms, false, labels, notes).map(SampleValue::Histogram)
        }
        (false, true) => {
            let mut total = KahanSum::default();
            window.values.iter().for_each(|v| total.add(*v));
            let value = if total.sum.is_infinite() { total.sum } else { total.value() };
            Some(SampleValue::Float(value))
        }
    }
}

fn avg(window: &Window<'_>, labels: &Labels, notes: &mut Vec<Note>) -> Option<SampleValue> {
    match (window.values.is_empty(), window.histograms.is_empty()) {
        (false, false) => {
            notes.push(Note::mixed_floats_histograms(labels));
            None
        }
        (true, _) => {
            crate::histogram::fold::over_time(window.histograms, true, labels, notes).map(SampleValue::Histogram)
        }
        (false, true) => {
            let mut mean = KahanMean::default();
            window.values.iter().for_each(|v| mean.add(*v));
            Some(SampleValue::Float(mean.value()))
        }
    }
}

fn variance(values: &[f64]) -> f64 {
    let mut variance = KahanVariance::default();
    values.iter().for_each(|v| variance.add(*v));
    variance.variance()
}

fn extreme_time(window: &Window<'_>, better: impl Fn(f64, f64) -> bool) -> f64 {
    let mut best = (window.timestamps[0], window.values[0]);
    for (t, v) in window.timestamps.iter().zip(window.values).skip(1) {
        if better(*v, best.1) || best.1.is_nan() {
            best = (*t, *v);
        }
    }
    best.0 as f64 / 1000.0
}

fn changes(window: &Window<'_>) -> f64 {
    if window.histograms.is_empty() {
        return window.marks.len() as f64;
    }
    let mut count = 0;
    let mut previous: Option<Either<'_>> = None;
    for sample in window.in_order() {
        let changed = match (previous, sample) {
            (None, _) => false,
            (Some(Either::Float(_, a)), Either::Float(_, b)) => differ(a, b),
            (Some(Either::Histogram(_, a)), Either::Histogram(_, b)) => !crate::histogram::same(a, b),
            _ => true,
        };
        count += u32::from(changed);
        previous = Some(sample);
    }
    f64::from(count)
}

fn resets(window: &Window<'_>) -> f64 {
    if window.histograms.is_empty() {
        return window.marks.len() as f64;
    }
    let (mut count, mut floats, mut histograms) = (0, 0, 0);
    let mut previous: Option<Either<'_>> = None;
    for sample in window.in_order() {
        match sample {
            Either::Float(..) => floats += 1,
            Either::Histogram(..) => histograms += 1,
        }
        let reset = match (previous, sample) {
            (None, _) => false,
            (Some(Either::Float(t, a)), Either::Float(u, b)) => {
                b < a || start::is_reset_at(window.starts, floats - 1, t, u)
            }
            (Some(Either::Histogram(t, a)), Either::Histogram(u, b)) => {
                start::is_reset_at(window.histogram_starts, histograms - 1, t, u)
                    || crate::histogram::detect_reset(b, a)
            }
            _ => true,
        };
        count += u32::from(reset);
        previous = Some(sample);
    }
    f64::from(count)
}

/// Slope per second and value at `intercept_ms` of the line through the floats.
fn regression(window: &Window<'_>, intercept_ms: i64) -> (f64, f64) {
    let first = window.values[0];
    let mut constant = true;
    let mut n = 0.0;
    let [mut x_sum, mut y_sum, mut xy_sum, mut x2_sum] = [KahanSum::default(); 4];
    for (t, &y) in window.timestamps.iter().zip(window.values) {
        constant &= y == first;
        n += 1.0;
        let x = (t - intercept_ms) as f64 / 1e3;
        x_sum.add(x);
        y_sum.add(y);
        xy_sum.add(x * y);
        x2_sum.add(x * x);
    }
    if constant {
        return if first.is_infinite() { (f64::NAN, f64::NAN) } else { (0.0, first) };
    }
    let [x, y, xy, x2] = [x_sum, y_sum, xy_sum, x2_sum].map(KahanSum::value);
    let slope = (xy - x * y / n) / (x2 - x * x / n);
    (slope, y / n - slope * x / n)
}

fn smooth(values: &[f64], factor: f64, trend_factor: f64) -> f64 {
    let (mut before, mut smoothed) = (0.0, values[0]);
    let mut trend = values[1] - values[0];
    for (index, value) in values.iter().enumerate().skip(1) {
        if index > 1 {
            trend = trend_factor * (smoothed - before) + (1.0 - trend_factor) * trend;
        }
        let next = factor * value + (1.0 - factor) * (smoothed + trend);
        (before, smoothed) = (smoothed, next);
    }
    smoothed
}
