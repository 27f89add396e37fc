//! Turns the label ranges of a series line into a checked label set.

use std::borrow::Cow;

use thiserror::Error;
use vocab::Labels;
use vocab::labels::METRIC_NAME;
use vocab::sample::MetricType;

use super::float::{format_openmetrics_float, parse_float};

/// Why a series' labels are not valid.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum LabelError {
    /// A name or value is not UTF-8.
    #[error("invalid UTF-8 in {0}")]
    NotUtf8(&'static str),
    /// A label stands twice.
    #[error("label name {0:?} is not unique")]
    Twice(String),
    /// A label or the metric has the empty name.
    #[error("empty {0} name")]
    EmptyName(&'static str),
}

/// Builds a label set. `name` and `pairs` are ranges inside the quotes of the body.
pub(super) fn build(
    body: &[u8],
    name: (usize, usize),
    pairs: &[(usize, usize)],
    family_type: MetricType,
) -> Result<Labels, LabelError> {
    let metric = unescape(body, name).ok_or(LabelError::NotUtf8("the metric name"))?;
    if metric.is_empty() {
        return Err(LabelError::EmptyName("metric"));
    }
    let mut labels: Vec<(Cow<'_, str>, Cow<'_, str>)> = Vec::with_capacity(pairs.len() / 2 + 1);
    labels.push((Cow::Borrowed(METRIC_NAME), metric));
    for pair in pairs.chunks_exact(2) {
        let label = unescape(body, pair[0]).ok_or(LabelError::NotUtf8("a label name"))?;
        let value = unescape(body, pair[1]).ok_or(LabelError::NotUtf8("a label value"))?;
        if label.is_empty() {
            return Err(LabelError::EmptyName("label"));
        }
        let value = normalise(family_type, &label, value);
        labels.push((label, value));
    }
    labels.sort_by(|a, b| a.0.cmp(&b.0));
    if let Some(twice) = labels.windows(2).find(|w| w[0].0 == w[1].0) {
        return Err(LabelError::Twice(twice[0].0.clone().into_owned()));
    }
    let sorted: Vec<(&str, &str)> = labels.iter().filter(|p| !p.1.is_empty()).map(|p| (&*p.0, &*p.1)).collect();
    Ok(Labels::from_sorted(&sorted).unwrap_or_default())
}

/// `le="1"` and `le="1.0"` are the same bucket: Prometheus 3 writes both as the second.
fn normalise<'a>(family_type: MetricType, label: &str, value: Cow<'a, str>) -> Cow<'a, str> {
    let is_bound = matches!((family_type, label), (MetricType::Histogram, "le") | (MetricType::Summary, "quantile"));
    match is_bound.then(|| parse_float(value.as_bytes())).flatten() {
        Some(bound) => Cow::Owned(format_openmetrics_float(bound)),
        None => value,
    }
}

/// Resolves `\\`, `\"` and `\n`; any other backslash stays as it is.
pub(super) fn unescape(body: &[u8], range: (usize, usize)) -> Option<Cow<'_, str>> {
    let text = std::str::from_utf8(body.get(range.0..range.1)?).ok()?;
    if !text.contains('\\') {
        return Some(Cow::Borrowed(text));
    }
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match chars.next() {
            Some('n') => out.push('\n'),
            Some(c @ ('"' | '\\')) => out.push(c),
            Some(other) => {
                out.push('\\');
                out.push(other);
            }
            None => out.push('\\'),
        }
    }
    Some(Cow::Owned(out))
}
