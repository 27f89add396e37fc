//! Remarks that accompany a result: warnings and infos, as Prometheus words them.

use std::ops::Range;

use vocab::Labels;

use crate::error::position;
use crate::lexer::quote_text;
use crate::number::format_g;

/// One remark.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Annotation {
    /// The text, with `PromQL warning: ` or `PromQL info: ` before it.
    pub message: String,
    /// The part of the query that it is about.
    pub span: Option<Range<usize>>,
}

impl Annotation {
    /// The text followed by the place in the query: `… (1:7)`.
    pub fn render(&self, query: &str) -> String {
        match &self.span {
            None => self.message.clone(),
            Some(span) => {
                let (line, column) = position(query, span.start);
                format!("{} ({line}:{column})", self.message)
            }
        }
    }
}

/// Most different remarks of a kind that one query keeps: beyond these nobody reads them.
pub(crate) const ANNOTATIONS_MAX: usize = 1000;

/// The remarks of a result, each once, in the order they arose.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Annotations {
    /// The result may not be what was meant.
    pub warnings: Vec<Annotation>,
    /// Worth knowing.
    pub infos: Vec<Annotation>,
}

impl Annotations {
    /// Adds a warning; `text` is without the prefix.
    pub fn warn(&mut self, text: impl AsRef<str>, span: &Range<usize>) {
        push(&mut self.warnings, format!("PromQL warning: {}", text.as_ref()), span);
    }

    /// Adds an info; `text` is without the prefix.
    pub fn info(&mut self, text: impl AsRef<str>, span: &Range<usize>) {
        push(&mut self.infos, format!("PromQL info: {}", text.as_ref()), span);
    }

    /// Adds a remark of either kind.
    pub(crate) fn add(&mut self, note: Note, span: &Range<usize>) {
        if note.is_warning { self.warn(note.text, span) } else { self.info(note.text, span) }
    }

    /// Warnings and infos as texts with their places in `query`, at most `max` of each.
    pub fn render(&self, query: &str, max: usize) -> (Vec<String>, Vec<String>) {
        (render(&self.warnings, query, max, "warning"), render(&self.infos, query, max, "info"))
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.warnings.is_empty() && self.infos.is_empty()
    }
}

fn render(list: &[Annotation], query: &str, max: usize, what: &str) -> Vec<String> {
    let mut texts: Vec<String> = list.iter().take(max).map(|a| a.render(query)).collect();
    if list.len() > max {
        texts.push(format!("{} more {what} annotations omitted", list.len() - max));
    }
    texts
}

fn push(list: &mut Vec<Annotation>, message: String, span: &Range<usize>) {
    let annotation = Annotation { message, span: Some(span.clone()) };
    if list.len() < ANNOTATIONS_MAX && !list.contains(&annotation) {
        list.push(annotation);
    }
}

/// A remark without its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) is_warning: bool,
    pub(crate) text: String,
}

fn warning(text: String) -> Note {
    Note { is_warning: true, text }
}

fn info(text: String) -> Note {
    Note { is_warning: false, text }
}

fn with_metric(text: &str, labels: &Labels) -> String {
    match labels.metric_name() {
        "" => text.to_owned(),
        name => format!("{text} for metric name {}", quote_text(name)),
    }
}

/// The remarks there are.
impl Note {
    pub(crate) fn mixed_floats_histograms(labels: &Labels) -> Self {
        warning(with_metric("encountered a mix of histograms and floats", labels))
    }

    pub(crate) fn mixed_floats_histograms_in_aggregation() -> Self {
        warning("encountered a mix of histograms and floats for aggregation".to_owned())
    }

    pub(crate) fn mixed_exponential_custom(labels: &Labels) -> Self {
        warning(with_metric("vector contains a mix of histograms with exponential and custom buckets schemas", labels))
    }

    pub(crate) fn not_counter(labels: &Labels) -> Self {
        warning(format!("this native histogram metric is not a counter: {}", quote_text(labels.metric_name())))
    }

    pub(crate) fn not_gauge(labels: &Labels) -> Self {
        warning(format!("this native histogram metric is not a gauge: {}", quote_text(labels.metric_name())))
    }

    pub(crate) fn invalid_quantile(q: f64) -> Self {
        warning(format!("quantile value should be between 0 and 1, got {}", format_g(q)))
    }

    pub(crate) fn invalid_ratio(ratio: f64, capped: f64) -> Self {
        warning(format!(
            "ratio value should be between -1 and 1, got {}, capping to {}",
            format_g(ratio),
            format_g(capped)
        ))
    }

    pub(crate) fn bad_bucket_label(le: &str, labels: &Labels) -> Self {
        warning(with_metric(
            &format!("bucket label \"le\" is missing or has a malformed value of {}", quote_text(le)),
            labels,
        ))
    }

    pub(crate) fn mixed_classic_native(labels: &Labels) -> Self {
        warning(with_metric("vector contains a mix of classic and native histograms", labels))
    }

    pub(crate) fn sort_in_range_query() -> Self {
        warning("sort is ineffective for range queries since results are always ordered by labels".to_owned())
    }

    pub(crate) fn incompatible_bucket_layout(op: &str) -> Self {
        warning(format!("incompatible bucket layout encountered for binary operator {op}"))
    }

    pub(crate) fn conflicting_counter_resets(operation: &str) -> Self {
        warning(format!("conflicting counter resets during histogram {operation}"))
    }

    pub(crate) fn reconciled_custom_buckets(operation: &str) -> Self {
        info(format!("mismatched custom buckets were reconciled during {operation}"))
    }

    pub(crate) fn possibly_not_counter(labels: &Labels) -> Self {
        info(format!(
            "metric might not be a counter, name does not end in _total/_sum/_count/_bucket: {}",
            quote_text(labels.metric_name())
        ))
    }

    pub(crate) fn forced_monotonicity(labels: &Labels) -> Self {
        info(with_metric(
            "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)",
            labels,
        ))
    }

    pub(crate) fn incompatible_types(left: &str, op: &str, right: &str) -> Self {
        info(format!(
            "incompatible sample types encountered for binary operator {}: {left} {op} {right}",
            quote_text(op)
        ))
    }

    pub(crate) fn histogram_ignored_in_aggregation(op: &str) -> Self {
        info(format!("ignored histogram in {op} aggregation"))
    }

    pub(crate) fn histogram_ignored_in_mixed_range(labels: &Labels) -> Self {
        info(with_metric("ignored histograms in a range containing both floats and histograms", labels))
    }

    pub(crate) fn too_few_samples(function: &str, min: usize, labels: &Labels) -> Self {
        info(with_metric(&format!("{function} needs at least {min} samples in its range"), labels))
    }

    pub(crate) fn unusable_season(function: &str, labels: &Labels) -> Self {
        info(with_metric(
            &format!(
                "season of {function} is shorter than a few samples or longer than half of the range, it is not used"
            ),
            labels,
        ))
    }

    pub(crate) fn nan_in_quantile(labels: &Labels, nan_result: bool) -> Self {
        let what = if nan_result { "result is NaN" } else { "result is skewed higher" };
        info(with_metric(&format!("input to histogram_quantile has NaN observations, {what}"), labels))
    }

    pub(crate) fn nan_in_fraction(labels: &Labels) -> Self {
        info(with_metric(
            "input to histogram_fraction has NaN observations, which are excluded from all fractions",
            labels,
        ))
    }
}
