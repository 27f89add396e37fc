//! Values of queries as Prometheus writes them, straight to text.

use std::fmt::Write as _;

use promql::{QueryValue, SampleValue, format_value};
use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, Span};
use vocab::sample::SeriesData;
use vocab::{Labels, NativeHistogram, TimestampMs};

/// `"resultType":…,"result":…`.
pub(crate) fn write_value(out: &mut String, value: &QueryValue) {
    let kind = match value {
        QueryValue::Scalar(..) => "scalar",
        QueryValue::String(..) => "string",
        QueryValue::Vector(_) => "vector",
        QueryValue::Matrix(_) => "matrix",
    };
    push(out, format_args!("\"resultType\":\"{kind}\",\"result\":"));
    match value {
        QueryValue::Scalar(time, number) => write_point(out, *time, *number),
        QueryValue::String(time, text) => {
            out.push('[');
            write_time(out, *time);
            out.push(',');
            write_text(out, text);
            out.push(']');
        }
        QueryValue::Vector(samples) => write_list(out, samples, |out, sample| {
            out.push_str("{\"metric\":");
            write_labels(out, &sample.labels);
            match &sample.value {
                SampleValue::Float(number) => {
                    out.push_str(",\"value\":");
                    write_point(out, sample.timestamp, *number);
                }
                SampleValue::Histogram(histogram) => {
                    out.push_str(",\"histogram\":");
                    write_histogram_point(out, sample.timestamp, histogram);
                }
            }
            out.push('}');
        }),
        QueryValue::Matrix(series) => write_list(out, series, write_series),
    }
}

fn write_series(out: &mut String, series: &SeriesData) {
    out.push_str("{\"metric\":");
    write_labels(out, &series.labels);
    if !series.timestamps.is_empty() {
        out.push_str(",\"values\":");
        let points = series.timestamps.iter().zip(&series.values);
        write_list(out, points, |out, (time, number)| write_point(out, *time, *number));
    }
    if !series.histograms.is_empty() {
        out.push_str(",\"histograms\":");
        write_list(out, &series.histograms, |out, (time, histogram)| write_histogram_point(out, *time, histogram));
    }
    out.push('}');
}

fn push(out: &mut String, arguments: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _always_ok = out.write_fmt(arguments);
}

fn write_list<T>(out: &mut String, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut String, T)) {
    out.push('[');
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(out, item);
    }
    out.push(']');
}

/// Labels as an object.
pub(crate) fn write_labels(out: &mut String, labels: &Labels) {
    out.push('{');
    for (index, (name, value)) in labels.iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write_text(out, name);
        out.push(':');
        write_text(out, value);
    }
    out.push('}');
}

/// A JSON string.
pub(crate) fn write_text(out: &mut String, text: &str) {
    out.push('"');
    let mut plain = 0;
    for (at, byte) in text.bytes().enumerate() {
        let escape = match byte {
            b'"' => "\\\"",
            b'\\' => "\\\\",
            b'\n' => "\\n",
            b'\r' => "\\r",
            b'\t' => "\\t",
            0..0x20 | 0x7f => "",
            _ => continue,
        };
        out.push_str(&text[plain..at]);
        plain = at + 1;
        if escape.is_empty() {
            push(out, format_args!("\\u{byte:04x}"));
        } else {
            out.push_str(escape);
        }
    }
    out.push_str(&text[plain..]);
    out.push('"');
}

/// Seconds with at most three decimals.
pub(crate) fn write_time(out: &mut String, time: TimestampMs) {
    if time < 0 {
        out.push('-');
    }
    let (seconds, millis) = (time.unsigned_abs() / 1000, time.unsigned_abs() % 1000);
    push(out, format_args!("{seconds}"));
    if millis > 0 {
        push(out, format_args!(".{millis:03}"));
    }
}

fn write_point(out: &mut String, time: TimestampMs, number: f64) {
    out.push('[');
    write_time(out, time);
    push(out, format_args!(",\"{}\"]", format_value(number)));
}

fn write_histogram_point(out: &mut String, time: TimestampMs, histogram: &NativeHistogram) {
    out.push('[');
    write_time(out, time);
    push(
        out,
        format_args!(",{{\"count\":\"{}\",\"sum\":\"{}\"", format_value(histogram.count), format_value(histogram.sum)),
    );
    let buckets = buckets(histogram);
    if !buckets.is_empty() {
        out.push_str(",\"buckets\":");
        write_list(out, buckets, |out, bucket| {
            let (lower, upper) = (format_value(bucket.lower), format_value(bucket.upper));
            push(out, format_args!("[{},\"{lower}\",\"{upper}\",\"{}\"]", bucket.rule, format_value(bucket.count)));
        });
    }
    out.push_str("}]");
}

/// One bucket that is not empty. The rule says which bounds belong to it: 0 the upper, 1 the lower, 2 none, 3 both.
#[derive(Debug, PartialEq)]
struct Bucket {
    rule: u8,
    lower: f64,
    upper: f64,
    count: f64,
}

/// The buckets that are not empty, ascending; as Prometheus gives them, with a zero bucket only when its count is above 0, and
/// with those beside it ending at its borders.
fn buckets(histogram: &NativeHistogram) -> Vec<Bucket> {
    let bound = |index: i64| bound(histogram, index);
    let custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let rule = |lower_in: bool, upper_in: bool| match (lower_in, upper_in) {
        (false, true) => 0,
        (true, false) => 1,
        (false, false) => 2,
        (true, true) => 3,
    };
    let mut all: Vec<Bucket> = indexed(&histogram.negative_spans, &histogram.negative_buckets)
        .map(|(index, count)| {
            let (lower, upper) = (-bound(index), (-bound(index - 1)).min(-histogram.zero_threshold));
            Bucket { rule: rule(lower < 0.0, upper > 0.0), lower, upper, count }
        })
        .collect();
    all.reverse();
    if histogram.zero_count > 0.0 {
        let width = histogram.zero_threshold;
        all.push(Bucket { rule: 3, lower: -width, upper: width, count: histogram.zero_count });
    }
    all.extend(indexed(&histogram.positive_spans, &histogram.positive_buckets).map(|(index, count)| {
        let (lower, upper) = (bound(index - 1), bound(index));
        let lower = if custom { lower } else { lower.max(histogram.zero_threshold) };
        let (lower_in, upper_in) = if custom { (index == 0, true) } else { (lower < 0.0, upper > 0.0) };
        Bucket { rule: rule(lower_in, upper_in), lower, upper, count }
    }));
    all.retain(|bucket| bucket.count != 0.0);
    all
}

/// (index, count) of each bucket of a side.
fn indexed<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indexes.zip(counts.iter().copied())
}

/// Upper bound of the positive bucket of an index.
fn bound(histogram: &NativeHistogram, index: i64) -> f64 {
    if histogram.schema == CUSTOM_BUCKETS_SCHEMA {
        return match usize::try_from(index) {
            Err(_) => f64::NEG_INFINITY,
            Ok(index) => histogram.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
        };
    }
    promql::exponential_bound(index, histogram.schema)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(write: impl FnOnce(&mut String)) -> String {
        let mut out = String::new();
        write(&mut out);
        out
    }

    #[test]
    fn times_have_at_most_three_decimals() {
        for (ms, expect) in
            [(0, "0"), (1500, "1.500"), (1_767_225_600_001, "1767225600.001"), (-1, "-0.001"), (-2000, "-2")]
        {
            assert_eq!(text(|out| write_time(out, ms)), expect);
        }
    }

    #[test]
    fn texts_are_json_whatever_they_hold() {
        for sample in ["", "plain", "ü \"q\" \\ \n 日本 <&>", "\u{0}\u{1f}\u{7f}\r\t", "\u{2028}"] {
            let written = text(|out| write_text(out, sample));
            let read: String = serde_json::from_str(&written).expect("JSON");
            assert_eq!(read, sample);
        }
    }

    #[test]
    fn histogram_buckets_come_in_order_with_their_rules() {
        let span = |offset, length| Span { offset, length };
        let histogram = NativeHistogram {
            schema: 0,
            count: 12.0,
            sum: 18.4,
            zero_count: 2.0,
            zero_threshold: 0.001,
            positive_spans: vec![span(0, 2), span(1, 1)],
            positive_buckets: vec![1.0, 0.0, 3.0],
            negative_spans: vec![span(0, 2)],
            negative_buckets: vec![2.0, 4.0],
            ..NativeHistogram::default()
        };
        let expect = "[1.500,{\"count\":\"12\",\"sum\":\"18.4\",\"buckets\":[[1,\"-2\",\"-1\",\"4\"],[1,\"-1\",\"-0.5\",\"2\"],\
                      [3,\"-0.001\",\"0.001\",\"2\"],[0,\"0.5\",\"1\",\"1\"],[0,\"4\",\"8\",\"3\"]]}]";
        assert_eq!(text(|out| write_histogram_point(out, 1500, &histogram)), expect);
        let wide = NativeHistogram { zero_count: -2.0, zero_threshold: 0.75, ..histogram };
        let bounds: Vec<_> = buckets(&wide).iter().map(|b| (b.lower, b.upper, b.count)).collect();
        assert_eq!(bounds, [(-2.0, -1.0, 4.0), (-1.0, -0.75, 2.0), (0.75, 1.0, 1.0), (4.0, 8.0, 3.0)]);
        let custom = NativeHistogram {
            schema: CUSTOM_BUCKETS_SCHEMA,
            custom_values: vec![1.0, 2.0],
            positive_spans: vec![span(0, 3)],
            positive_buckets: vec![1.0, 2.0, 3.0],
            ..NativeHistogram::default()
        };
        let bounds: Vec<_> = buckets(&custom).iter().map(|b| (b.rule, b.lower, b.upper)).collect();
        assert_eq!(bounds, [(3, f64::NEG_INFINITY, 1.0), (0, 1.0, 2.0), (0, 2.0, f64::INFINITY)]);
        let fine = NativeHistogram { schema: 1, ..NativeHistogram::default() };
        assert!((bound(&fine, 1) - 2f64.sqrt()).abs() < 1e-15);
        assert_eq!((bound(&fine, 2), bound(&fine, -2), bound(&fine, 2048)), (2.0, 0.5, f64::MAX));
    }
}
