//! A range function over a series: one value per step.

use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use crate::annotations::Note;
use crate::eval::select::Windows;
use crate::functions::range::RangeFunction;
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
    let mut windows = Windows::new(data, function.wants_resets());
    let mut found = false;
    for (step, time) in spec.grid.times().enumerate() {
        let end = spec.timing.reference(time);
        let window = windows.window(end.saturating_sub(spec.range_ms), end, time);
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
    found.then_some(out)
}

/// Whether a metric's name does not say that it is a counter.
pub(crate) fn is_possibly_not_counter(name: &str) -> bool {
    !name.is_empty() && !["_total", "_sum", "_count", "_bucket"].iter().any(|suffix| name.ends_with(suffix))
}
