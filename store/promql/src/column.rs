//! A range function over a series: one value per step.

use std::collections::VecDeque;

use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use crate::annotations::Note;
use crate::eval::select::Windows;
use crate::functions::range::{RangeFunction, Window};
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
    let mut windows = Windows::new(data, function.wants_resets());
    let mut found = false;
    let mut extreme = Extreme::of(function, data, spec);
    for (step, time) in spec.grid.times().enumerate() {
        let end = spec.timing.reference(time);
        let window = windows.window(end.saturating_sub(spec.range_ms), end, time);
        if let Some(extreme) = &mut extreme {
            if let Some(value) = extreme.advance(&window) {
                out.floats[step] = value;
                found = true;
            }
            continue;
        }
        match function.evaluate(&window, args, &data.labels, notes) {
            None => {}
            Some(SampleValue::Float(value)) => {
                out.floats[step] = value;
                found = true;
            }
            Some(value) => {
                out.set(step, value);
                found = true;
            }
        }
    }
    found
}

/// Share of a step in the window below which sliding pays.
const SLIDE_FROM_OVERLAP: i64 = 4;

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
    fn of(function: RangeFunction, data: &SeriesData, spec: &WindowSpec) -> Option<Self> {
        let larger = match function {
            RangeFunction::Max => true,
            RangeFunction::Min => false,
            _ => return None,
        };
        let slides = spec.grid.num_steps() > 1 && spec.range_ms / spec.grid.step_ms.max(1) >= SLIDE_FROM_OVERLAP;
        (slides && data.histograms.is_empty()).then(|| Self { larger, candidates: VecDeque::new(), next: 0 })
    }

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
