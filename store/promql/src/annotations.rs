//! Remarks that accompany a result: warnings and infos, as Prometheus words them.

use std::fmt;
use std::ops::Range;

use vocab::Labels;

use crate::error::position;
use crate::lexer::quote_text;
use crate::number::{format_g, format_two_digits};

/// One remark.
#[derive(Debug, Clone, PartialEq)]
pub struct Annotation {
    /// The text, with `PromQL warning: ` or `PromQL info: ` before it.
    pub message: String,
    /// The part of the query that it is about.
    pub span: Option<Range<usize>>,
    forced: Option<Forced>,
}

/// What was done to buckets whose counts did not ascend, over all the times that it was done.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Forced {
    /// Smallest and largest upper bound of the buckets whose counts were raised.
    pub(crate) buckets: (f64, f64),
    /// By how much at most.
    pub(crate) most: f64,
    /// First and last time.
    pub(crate) times_ms: (i64, i64),
    /// How many histograms at how many times.
    pub(crate) count: u64,
}

impl Forced {
    fn join(&mut self, other: &Self) {
        self.buckets = (self.buckets.0.min(other.buckets.0), self.buckets.1.max(other.buckets.1));
        self.most = self.most.max(other.most);
        self.times_ms = (self.times_ms.0.min(other.times_ms.0), self.times_ms.1.max(other.times_ms.1));
        self.count += other.count;
    }
}

impl fmt::Display for Forced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = |ms: i64| jiff::Timestamp::from_millisecond(ms).map_or_else(|_| ms.to_string(), |t| t.to_string());
        write!(
            f,
            "from buckets {} to {}, with a max diff of {}, over {} samples from {} to {}",
            format_g(self.buckets.0),
            format_g(self.buckets.1),
            format_two_digits(self.most),
            self.count,
            time(self.times_ms.0),
            time(self.times_ms.1)
        )
    }
}

impl Annotation {
    /// The text followed by the place in the query: `… (1:7)`.
    pub fn render(&self, query: &str) -> String {
        let mut text = self.message.clone();
        if let Some(forced) = &self.forced {
            text.push_str(&format!(", {forced}"));
        }
        if let Some(span) = &self.span {
            let (line, column) = position(query, span.start);
            text.push_str(&format!(" ({line}:{column})"));
        }
        text
    }
}

/// Most different remarks of a kind that one query keeps: beyond these nobody reads them.
pub(crate) const ANNOTATIONS_MAX: usize = 1000;

/// The remarks of a result, each once, in the order they arose.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Annotations {
    /// The result may not be what was meant.
    pub warnings: Vec<Annotation>,
    /// Worth knowing.
    pub infos: Vec<Annotation>,
}

impl Annotations {
    /// Adds a warning; `text` is without the prefix.
    pub fn warn(&mut self, text: impl AsRef<str>, span: &Range<usize>) {
        push(&mut self.warnings, format!("PromQL warning: {}", text.as_ref()), span, None);
    }

    /// Adds an info; `text` is without the prefix.
    pub fn info(&mut self, text: impl AsRef<str>, span: &Range<usize>) {
        push(&mut self.infos, format!("PromQL info: {}", text.as_ref()), span, None);
    }

    /// Adds a remark of either kind.
    pub(crate) fn add(&mut self, note: Note, span: &Range<usize>) {
        let (list, kind) = if note.is_warning { (&mut self.warnings, "warning") } else { (&mut self.infos, "info") };
        push(list, format!("PromQL {kind}: {}", note.text), span, note.forced);
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

/// The same text is told once, with the place where it was said last.
fn push(list: &mut Vec<Annotation>, message: String, span: &Range<usize>, forced: Option<Forced>) {
    if let Some(known) = list.iter_mut().find(|a| a.message == message) {
        known.span = Some(span.clone());
        if let (Some(known), Some(new)) = (&mut known.forced, &forced) {
            known.join(new);
        }
    } else if list.len() < ANNOTATIONS_MAX {
        list.push(Annotation { message, span: Some(span.clone()), forced });
    }
}

/// A remark without its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    pub(crate) is_warning: bool,
    pub(crate) text: String,
    pub(crate) forced: Option<Forced>,
}

fn warning(text: String) -> Note {
    Note { is_warning: true, text, forced: None }
}

fn info(text: String) -> Note {
    Note { is_warning: false, text, forced: None }
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

    pub(crate) fn forced_monotonicity(labels: &Labels, forced: Forced) -> Self {
        let text = "input to histogram_quantile needed to be fixed for monotonicity (see https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile)";
        Self { forced: Some(forced), ..info(with_metric(text, labels)) }
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

    pub(crate) fn start_overlaps(labels: &Labels) -> Self {
        let name = quote_text(labels.metric_name());
        warning(format!("sample has start time that overlaps with previous sample timestamp for metric {name}"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_remark_is_made_once() {
        let labels = Labels::from_pairs([("__name__", "h")]);
        let forced = |bucket: f64, most: f64, time: i64| {
            let forced = Forced { buckets: (bucket, bucket), most, times_ms: (time, time), count: 1 };
            Note::forced_monotonicity(&labels, forced)
        };
        let mut annotations = Annotations::default();
        annotations.add(forced(10.0, 0.123, 1_000), &(3..4));
        annotations.add(forced(2.5, 7.0, 1_500), &(3..4));
        annotations.info("else", &(0..1));
        annotations.info("else", &(2..3));
        let (warnings, infos) = annotations.render("abcdef", 10);
        assert!(warnings.is_empty());
        let expect = "PromQL info: input to histogram_quantile needed to be fixed for monotonicity (see \
                      https://prometheus.io/docs/prometheus/latest/querying/functions/#histogram_quantile) for metric name \"h\", \
                      from buckets 2.5 to 10, with a max diff of 7, over 2 samples from 1970-01-01T00:00:01Z to \
                      1970-01-01T00:00:01.5Z (1:4)";
        assert_eq!(infos, [expect, "PromQL info: else (1:3)"]);
    }
}
