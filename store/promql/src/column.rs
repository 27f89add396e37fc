//! A range function over a series: one value per step.

use std::collections::VecDeque;

use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use crate::annotations::Note;
use crate::eval::select::Windows;
use crate::functions::range::{RangeFunction, Window};
use crate::functions::rate;
use crate::quantile::{nan_first_total, quantile_of_sorted};
use crate::timing::Timing;
use crate::value::{SampleValue, Series};

/// How windows lie over a series.
#[derive(Debug, Clone, Copy)]
pub(crate) struct WindowSpec {
    pub(crate) grid: StepGrid,
    pub(crate) timing: Timing,
    pub(crate) range_ms: i64,
}

/// The function's column; `None` when no step has a value.
pub(crate) fn range_column(
    function: RangeFunction,
    args: &[f64],
    data: &SeriesData,
    spec: &WindowSpec,
    drop_name: bool,
    notes: &mut Vec<Note>,
) -> Option<Series> {
    let mut out = Series::empty(data.labels.clone(), drop_name, spec.grid.num_steps());
    fill_range_column(function, args, data, spec, notes, &mut out).then_some(out)
}

/// Writes the function's values to an empty column; false when no step has one.
pub(crate) fn fill_range_column(
    function: RangeFunction,
    args: &[f64],
    data: &SeriesData,
    spec: &WindowSpec,
    notes: &mut Vec<Note>,
    out: &mut Series,
) -> bool {
    let mut windows = Windows::new(data, function.marks());
    if let (Some((is_counter, is_rate)), Some(plain)) = (function.difference(), windows.plain()) {
        return rate::extrapolated_column(plain, spec, is_counter, is_rate, &mut out.floats);
    }
    let mut found = false;
    let mut slide = Slide::of(function, args, data, spec);
    for (step, time) in spec.grid.times().enumerate() {
        let end = spec.timing.reference(time);
        let window = windows.window(end.saturating_sub(spec.range_ms), end, time);
        let value = match &mut slide {
            Some(slide) => slide.advance(&window).map(SampleValue::Float),
            None => function.evaluate(&window, args, &data.labels, notes),
        };
        match value {
            None => continue,
            Some(SampleValue::Float(value)) => out.floats[step] = value,
            Some(value) => out.set(step, value),
        }
        found = true;
    }
    found
}

/// So many steps in a window make sliding pay: for an extreme, which is cheap to slide …
const EXTREME_FROM_STEPS: i64 = 4;
/// … and for the order of the values, each of which is moved in and out.
const SORTED_FROM_STEPS: i64 = 16;

/// What is carried from a window to the next, so that the samples that both have are not looked at again.
#[derive(Debug)]
enum Slide {
    Extreme(Extreme),
    Sorted(Sorted),
}

impl Slide {
    fn of(function: RangeFunction, args: &[f64], data: &SeriesData, spec: &WindowSpec) -> Option<Self> {
        let steps = if spec.grid.num_steps() > 1 { spec.range_ms / spec.grid.step_ms.max(1) } else { 0 };
        if !data.histograms.is_empty() {
            return None;
        }
        match (function, args) {
            (RangeFunction::Max | RangeFunction::Min, _) if steps >= EXTREME_FROM_STEPS => {
                let larger = function == RangeFunction::Max;
                Some(Self::Extreme(Extreme { larger, candidates: VecDeque::new(), next: 0 }))
            }
            (RangeFunction::Quantile, [q]) if steps >= SORTED_FROM_STEPS && (0.0..=1.0).contains(q) => {
                Some(Self::Sorted(Sorted { q: *q, values: Vec::new(), entered: VecDeque::new(), next: 0 }))
            }
            _ => None,
        }
    }

    fn advance(&mut self, window: &Window<'_>) -> Option<f64> {
        match self {
            Self::Extreme(extreme) => extreme.advance(window),
            Self::Sorted(sorted) => sorted.advance(window),
        }
    }
}

/// The values of a window that slides, in order.
#[derive(Debug)]
struct Sorted {
    q: f64,
    values: Vec<f64>,
    /// The same values as they came.
    entered: VecDeque<f64>,
    /// Index of the first sample not looked at yet.
    next: usize,
}

impl Sorted {
    /// The quantile of the next window.
    fn advance(&mut self, window: &Window<'_>) -> Option<f64> {
        let first = window.first_index;
        while self.next - self.entered.len() < first {
            let Some(value) = self.entered.pop_front() else { break };
            if let Ok(at) = self.values.binary_search_by(|v| nan_first_total(*v, value)) {
                self.values.remove(at);
            }
        }
        let from = self.next.max(first);
        for &value in window.values.iter().skip(from - first) {
            let (Ok(at) | Err(at)) = self.values.binary_search_by(|v| nan_first_total(*v, value));
            self.values.insert(at, value);
            self.entered.push_back(value);
        }
        self.next = first + window.values.len();
        (!self.values.is_empty()).then(|| quantile_of_sorted(self.q, &self.values))
    }
}

/// Minimum or maximum of a window that slides: every sample is looked at twice, however long the window is.
#[derive(Debug)]
struct Extreme {
    larger: bool,
    /// Index (within the series) and value of the samples that are or may become the extreme, best first.
    candidates: VecDeque<(usize, f64)>,
    /// Index of the first sample not looked at yet.
    next: usize,
}

impl Extreme {
    /// The extreme of the next window; NaN counts only when there is nothing else.
    fn advance(&mut self, window: &Window<'_>) -> Option<f64> {
        let first = window.first_index;
        while self.candidates.front().is_some_and(|(index, _)| *index < first) {
            self.candidates.pop_front();
        }
        let from = self.next.max(first);
        for (offset, &value) in window.values.iter().enumerate().skip(from - first) {
            if value.is_nan() {
                continue;
            }
            // Of equal values the older one stays, as when a window is looked through from its start.
            while self.candidates.back().is_some_and(|(_, v)| if self.larger { *v < value } else { *v > value }) {
                self.candidates.pop_back();
            }
            self.candidates.push_back((first + offset, value));
        }
        self.next = first + window.values.len();
        match self.candidates.front() {
            Some((_, value)) => Some(*value),
            None => (!window.values.is_empty()).then_some(f64::NAN),
        }
    }
}

/// Whether a metric's name does not say that it is a counter.
pub(crate) fn is_possibly_not_counter(name: &str) -> bool {
    !name.is_empty() && !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}
