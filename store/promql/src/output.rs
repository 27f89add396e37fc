//! Values to answers.

use vocab::TimestampMs;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;

use crate::error::QueryError;
use crate::eval::{MatrixSeries, merge_by_labels};
use crate::value::{QueryValue, SampleValue, Series, Value, VectorSample, is_absent, without_metadata};

/// The answer of an instant query; a vector is ordered by labels unless it is ordered already.
pub(crate) fn instant(value: Value, time_ms: TimestampMs, ordered: bool) -> Result<QueryValue, QueryError> {
    Ok(match value {
        Value::Scalar(values) => QueryValue::Scalar(time_ms, values.first().copied().unwrap_or(f64::NAN)),
        Value::String(text) => QueryValue::String(time_ms, text),
        Value::Vector(vector) => {
            let series = if ordered { merge_by_labels(named(vector.series))? } else { sorted(vector.series)? };
            let samples = series.into_iter().filter_map(|series| {
                let value = series.get(0)?;
                Some(VectorSample { labels: series.labels, timestamp: time_ms, value })
            });
            QueryValue::Vector(samples.collect())
        }
    })
}

/// The answer of a range query, ordered by labels.
pub(crate) fn range(value: Value, grid: &StepGrid) -> Result<Vec<SeriesData>, QueryError> {
    let times: Vec<TimestampMs> = grid.times().collect();
    let series = match value {
        Value::Scalar(values) => {
            return Ok(vec![SeriesData { timestamps: times, values, ..SeriesData::default() }]);
        }
        Value::String(_) => Vec::new(),
        Value::Vector(vector) => sorted(vector.series)?,
    };
    let out = series
        .into_iter()
        .filter_map(|series| {
            if series.histograms.is_empty() {
                return floats(series, &times);
            }
            let mut data = SeriesData { labels: series.labels.clone(), ..SeriesData::default() };
            for (step, time) in times.iter().enumerate() {
                match series.get(step) {
                    Some(SampleValue::Float(v)) => {
                        data.timestamps.push(*time);
                        data.values.push(v);
                    }
                    Some(SampleValue::Histogram(h)) => data.histograms.push((*time, h)),
                    None => {}
                }
            }
            (data.num_samples() > 0).then_some(data)
        })
        .collect();
    Ok(out)
}

/// A column without histograms as samples; `None` when it has none.
fn floats(series: Series, times: &[TimestampMs]) -> Option<SeriesData> {
    let Series { labels, mut floats, .. } = series;
    let present = floats.iter().filter(|v| !is_absent(**v)).count();
    if present == floats.len() {
        return Some(SeriesData { labels, timestamps: times.to_vec(), values: floats, ..SeriesData::default() });
    }
    let mut timestamps = Vec::with_capacity(present);
    timestamps.extend(times.iter().zip(&floats).filter(|(_, v)| !is_absent(**v)).map(|(t, _)| *t));
    floats.retain(|v| !is_absent(*v));
    (present > 0).then_some(SeriesData { labels, timestamps, values: floats, ..SeriesData::default() })
}

/// The answer of an instant query for a range vector, ordered by labels.
pub(crate) fn matrix_of_windows(series: Vec<MatrixSeries>) -> Result<Vec<SeriesData>, QueryError> {
    let mut out: Vec<SeriesData> = series
        .into_iter()
        .map(|mut series| {
            if series.drop_name {
                series.data.labels = without_metadata(&series.data.labels);
            }
            series.data
        })
        .collect();
    out.sort_by(|a, b| a.labels.cmp(&b.labels));
    if out.windows(2).any(|w| w[0].labels == w[1].labels) {
        return Err(QueryError::execution(crate::eval::matching::SAME_LABELS));
    }
    Ok(out)
}

/// Metric names that are to go are gone.
fn named(mut series: Vec<Series>) -> Vec<Series> {
    for one in &mut series {
        if one.drop_name {
            one.labels = one.output_labels();
            one.drop_name = false;
        }
    }
    series
}

/// Ordered by labels; metric names that are to go are gone, and series that are the same then are one.
fn sorted(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let mut series = named(series);
    series.sort_by(|a, b| a.labels.cmp(&b.labels));
    let unique = series.windows(2).all(|w| w[0].labels != w[1].labels);
    if unique { Ok(series) } else { merge_by_labels(series) }
}
