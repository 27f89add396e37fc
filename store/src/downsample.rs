//! Coarser pictures of what has settled: of every five minutes and every hour of a series a few numbers instead of its samples.
//!
//! Each number is a column of its own, kept as samples: [`Column::Last`] is the newest sample of each stretch as it stands, so that
//! an instant selector whose steps lie on the borders of stretches gives the very same answer; of least, greatest, sum and count
//! the functions over ranges that are made of whole stretches can be computed. A stretch is open on the left, as PromQL's windows
//! are. What cannot be computed exactly, such as `rate`, reads the samples: [`choose`] says what can.

use vocab::ports::query::{Fragment, SelectRequest};
use vocab::sample::StartTimes;
use vocab::{TimestampMs, is_stale_nan};

use crate::block::BlockMeta;
use crate::compact::is_settled;

/// A block is looked through when nobody has added to it for this long after it was written.
const AFTER_MS: i64 = 36 * 60 * 60 * 1000;

/// With its columns the index of a block takes about so many times the room while it is made.
const INDEX_GROWTH: u64 = 3;

/// A series gets columns of a resolution when they leave out all but one of so many samples.
const SAMPLES_PER_STRETCH_MIN: usize = 10;

/// Beyond this the sum of a stretch could overflow although the samples' mean does not: such a series gets no columns.
const VALUE_MAX: f64 = 1e290;

/// Length of the stretches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Resolution {
    FiveMinutes,
    Hour,
}

/// What of each stretch is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Column {
    /// The newest sample, and the newest that is no staleness marker.
    Last,
    /// The least value, at the time of the newest.
    Min,
    /// The greatest value, at the time of the newest.
    Max,
    /// The sum, at the time of the newest; what rounding has lost of it at the time of the one before.
    Sum,
    /// The number of samples, at the time of the newest.
    Count,
}

/// The coarser ones first: the first that fits a query is the best.
pub(crate) const RESOLUTIONS: [Resolution; 2] = [Resolution::Hour, Resolution::FiveMinutes];

pub(crate) const COLUMNS: [Column; 5] = [Column::Last, Column::Min, Column::Max, Column::Sum, Column::Count];

impl Resolution {
    pub(crate) fn ms(self) -> i64 {
        match self {
            Self::FiveMinutes => 300_000,
            Self::Hour => 3_600_000,
        }
    }

    /// A series gets columns when its samples take at least so many bytes for each stretch: about two or three times what the columns take. A
    /// constant is read faster than they are.
    fn raw_bytes_min(self) -> usize {
        match self {
            Self::FiveMinutes => 24,
            Self::Hour => 60,
        }
    }

    /// The number of the stretch that a time lies in.
    fn stretch(self, time: TimestampMs) -> i64 {
        // Open on the left: a sample on a border belongs to what is before it.
        time.saturating_sub(1).div_euclid(self.ms())
    }
}

/// A column: its samples ascending by time, and since when those of [`Column::Last`] count.
#[derive(Debug, Default, Clone, PartialEq)]
pub(crate) struct ColumnSamples {
    pub(crate) times: Vec<TimestampMs>,
    pub(crate) values: Vec<f64>,
    pub(crate) starts: Vec<TimestampMs>,
}

impl ColumnSamples {
    fn push(&mut self, time: TimestampMs, value: f64, start: TimestampMs) {
        StartTimes::note(&mut self.starts, self.times.len(), start);
        self.times.push(time);
        self.values.push(value);
    }
}

/// The columns of a series in the order of [`COLUMNS`]; `None` when they would not be worth their room, or not be exact. `raw_bytes`
/// is what its samples take in a block.
pub(crate) fn columns(
    times: &[TimestampMs],
    values: &[f64],
    starts: &[TimestampMs],
    raw_bytes: usize,
    resolution: Resolution,
) -> Option<[ColumnSamples; 5]> {
    let num_stretches = times.chunk_by(|a, b| resolution.stretch(*a) == resolution.stretch(*b)).count();
    let is_worth_it = num_stretches > 0
        && times.len() / num_stretches >= SAMPLES_PER_STRETCH_MIN
        && raw_bytes / num_stretches >= resolution.raw_bytes_min();
    if !is_worth_it || values.iter().any(|v| v.is_finite() && v.abs() > VALUE_MAX) {
        return None;
    }
    let mut columns: [ColumnSamples; 5] = Default::default();
    let mut from = 0;
    for stretch in times.chunk_by(|a, b| resolution.stretch(*a) == resolution.stretch(*b)) {
        let to = from + stretch.len();
        add_stretch(&mut columns, stretch, &values[from..to], |at| starts.get(from + at).copied().unwrap_or(0));
        from = to;
    }
    for column in columns.iter_mut().filter(|c| !c.starts.is_empty()) {
        column.starts.resize(column.times.len(), 0);
    }
    Some(columns)
}

fn add_stretch(
    columns: &mut [ColumnSamples; 5],
    times: &[TimestampMs],
    values: &[f64],
    start_of: impl Fn(usize) -> TimestampMs,
) {
    let [last, min, max, sum, count] = columns;
    let known: Vec<usize> = (0..values.len()).filter(|&at| !is_stale_nan(values[at])).collect();
    let newest = values.len().checked_sub(1);
    if let Some((&at, before)) = known.split_last() {
        let time = times[at];
        last.push(time, values[at], start_of(at));
        let numbers = || known.iter().map(|&at| values[at]);
        min.push(time, numbers().reduce(|m, v| if v < m || m.is_nan() { v } else { m }).unwrap_or(f64::NAN), 0);
        max.push(time, numbers().reduce(|m, v| if v > m || m.is_nan() { v } else { m }).unwrap_or(f64::NAN), 0);
        let (total, lost) = compensated_sum(numbers());
        if let Some(&at) = before.last().filter(|_| lost != 0.0 && total.is_finite()) {
            sum.push(times[at], lost, 0);
        }
        sum.push(time, total, 0);
        count.push(time, known.len() as f64, 0);
    }
    if let Some(at) = newest.filter(|at| is_stale_nan(values[*at])) {
        last.push(times[at], values[at], start_of(at));
    }
}

/// The sum and what rounding has lost of it, after Neumaier.
fn compensated_sum(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    numbers.fold((0.0, 0.0), |(sum, lost), number: f64| {
        let total = sum + number;
        let added = total - sum;
        (total, lost + ((sum - (total - added)) + (number - added)))
    })
}

/// What of downsampled data a query can do with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) resolution: Resolution,
    pub(crate) columns: &'static [Column],
    /// The function that has to be applied to the column instead of the query's own.
    pub(crate) function: Option<&'static str>,
}

/// What a fragment can do with; `None` when it needs the samples.
pub(crate) fn choose(fragment: &Fragment) -> Option<Choice> {
    if fragment.at_ms.is_some() || fragment.grid.num_steps() < 2 {
        return None;
    }
    let (columns, function): (&[Column], _) = match (fragment.range_ms, fragment.function.as_str()) {
        (None, "") | (Some(_), "last_over_time") => (&[Column::Last], None),
        (Some(_), "min_over_time") => (&[Column::Min], None),
        (Some(_), "max_over_time") => (&[Column::Max], None),
        (Some(_), "sum_over_time") => (&[Column::Sum], None),
        (Some(_), "count_over_time") => (&[Column::Count], Some("sum_over_time")),
        (Some(_), "present_over_time") => (&[Column::Count], None),
        (Some(_), "avg_over_time") => (&[Column::Sum, Column::Count], None),
        _ => return None,
    };
    let first = fragment.grid.start_ms.checked_sub(fragment.offset_ms)?;
    let resolution = fitting(&[first, fragment.grid.step_ms, fragment.range_ms.unwrap_or(0)])?;
    Some(Choice { resolution, columns, function })
}

/// What a reader of samples can do with.
pub(crate) fn choose_for_select(request: &SelectRequest) -> Option<Choice> {
    if !request.hints.newest_at_steps || request.hints.step_ms <= 0 {
        return None;
    }
    // The last step ends the range.
    let resolution = fitting(&[request.end_ms, request.hints.step_ms])?;
    Some(Choice { resolution, columns: &[Column::Last], function: None })
}

/// The coarsest resolution of which all of these are multiples.
fn fitting(times: &[i64]) -> Option<Resolution> {
    RESOLUTIONS.into_iter().find(|r| times.iter().all(|time| time.rem_euclid(r.ms()) == 0))
}

/// The first block of one tenant that should get columns: its stretch of time is over, it is alone in it, and it is old enough.
/// A block whose index would not fit into memory with columns is left as it is; `series_max` series fit without.
pub(crate) fn due<'a>(blocks: &[&'a BlockMeta], now_ms: TimestampMs, series_max: u64) -> Option<&'a BlockMeta> {
    let is_alone = |meta: &BlockMeta| {
        let shares = |other: &&&BlockMeta| other.overlaps(meta.min_time_ms, meta.max_time_ms);
        blocks.iter().filter(shares).count() == 1
    };
    let is_due = |meta: &&&BlockMeta| {
        !meta.downsampled
            && is_settled(meta, now_ms)
            && meta.created_at_ms.saturating_add(AFTER_MS) <= now_ms
            && meta.num_series.saturating_mul(INDEX_GROWTH) <= series_max
            && is_alone(meta)
    };
    blocks.iter().find(is_due).copied()
}

#[cfg(test)]
mod tests;
