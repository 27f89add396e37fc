//! Keys of label sets, and merging of series that came to have the same labels.

use std::collections::HashMap;

use vocab::Labels;
use vocab::labels::METRIC_NAME;

use crate::error::QueryError;
use crate::value::Series;

/// What Prometheus says when two series of a vector have the same labels.
pub(crate) const SAME_LABELS: &str = "vector cannot contain metrics with the same labelset";

/// The labels that decide which series belong together: only the named ones, or all but those and the metric name.
pub(crate) fn group_labels(labels: &Labels, names: &[String], without: bool) -> Labels {
    if without {
        labels.retain(|name| name != METRIC_NAME && !names.iter().any(|n| n == name))
    } else {
        labels.retain(|name| names.iter().any(|n| n == name))
    }
}

/// Joins series with the same labels; they must not meet at a step.
pub(crate) fn merge_by_labels(series: Vec<Series>) -> Result<Vec<Series>, QueryError> {
    let mut index: HashMap<Labels, usize> = HashMap::with_capacity(series.len());
    let mut out: Vec<Series> = Vec::with_capacity(series.len());
    for one in series {
        match index.entry(one.labels.clone()) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(out.len());
                out.push(one);
            }
            std::collections::hash_map::Entry::Occupied(entry) => absorb(&mut out[*entry.get()], one)?,
        }
    }
    Ok(out)
}

fn absorb(into: &mut Series, other: Series) -> Result<(), QueryError> {
    for step in 0..other.floats.len() {
        let Some(value) = other.get(step) else { continue };
        if into.has(step) {
            return Err(QueryError::execution(SAME_LABELS));
        }
        into.set(step, value);
    }
    into.drop_name |= other.drop_name;
    Ok(())
}
