//! Native histograms as classic ones, which is what the format has: bounds that are written are exact, what lies between them is lost.

use std::collections::{BTreeMap, BTreeSet};

use promql::exponential_bound;
use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, Span};
use vocab::labels::METRIC_NAME;
use vocab::{Labels, is_stale_nan};

use super::series_text;
use crate::chunk::ChunkError;
use crate::transfer::PartChunk;

/// Buckets of what has the same one of these have bounds in common: schema, width of the zero bucket, own bounds.
type Class = (i32, u64, Vec<u64>);

/// A bucket that holds something: what lies above `lower` and up to `upper`.
struct Bucket {
    lower: f64,
    upper: f64,
    count: f64,
}

/// The lines of a histogram at one time.
#[derive(Debug, Default)]
struct Bounds {
    /// Ascending, the infinite one not among them; each with the text of its series.
    finite: Vec<(f64, String)>,
}

/// How the histograms of one series are written: with all bounds that any of them needs, so that no bucket comes and goes.
#[derive(Debug, Default)]
pub(super) struct Classic {
    classes: BTreeMap<Class, Bounds>,
    infinite: String,
    count: String,
    sum: String,
}

impl Classic {
    /// Looks through the histograms of a series, whose labels are `common` and the name.
    pub(super) fn of(name: &str, common: &Labels, is_gauge: bool, chunks: &[PartChunk]) -> Result<Self, ChunkError> {
        let mut bounds: BTreeMap<Class, BTreeSet<u64>> = BTreeMap::new();
        for chunk in chunks {
            for (_, histogram, _) in chunk.histograms()?.iter().filter(|h| !is_stale_nan(h.1.sum)) {
                let known = bounds.entry(class_of(histogram)).or_default();
                known.extend(bounds_of(histogram).into_iter().map(ordered));
            }
        }
        let with = |suffix: &str| common.with(METRIC_NAME, &format!("{name}{suffix}"));
        let bucket = |bound: f64| series_text(&with("_bucket").with("le", &bound_text(bound)));
        let finite = |known: BTreeSet<u64>| {
            let bounds = known.into_iter().map(unordered).map(|bound| (bound, bucket(bound)));
            Bounds { finite: bounds.collect() }
        };
        let (count, sum) = if is_gauge { ("_gcount", "_gsum") } else { ("_count", "_sum") };
        Ok(Self {
            classes: bounds.into_iter().map(|(class, known)| (class, finite(known))).collect(),
            infinite: bucket(f64::INFINITY),
            count: series_text(&with(count)),
            sum: series_text(&with(sum)),
        })
    }

    /// The lines of one histogram: series and value. Only a gauge has a sum, and so a count, beside buckets of negative numbers: the
    /// sum would not only grow.
    pub(super) fn lines(&self, histogram: &NativeHistogram, is_gauge: bool) -> Vec<(&str, f64)> {
        let mut buckets = buckets_of(histogram);
        buckets.sort_by(|a, b| a.upper.total_cmp(&b.upper));
        let mut lines = Vec::new();
        let mut has_negative = false;
        let (mut below, mut next) = (0.0, buckets.iter().peekable());
        for (bound, series) in self.classes.get(&class_of(histogram)).iter().flat_map(|bounds| &bounds.finite) {
            while let Some(bucket) = next.next_if(|b| b.upper <= *bound) {
                below += bucket.count;
            }
            has_negative |= *bound < 0.0;
            lines.push((series.as_str(), below));
        }
        lines.push((self.infinite.as_str(), histogram.count));
        if is_gauge || !has_negative {
            lines.extend([(self.count.as_str(), histogram.count), (self.sum.as_str(), histogram.sum)]);
        }
        lines
    }
}

fn class_of(histogram: &NativeHistogram) -> Class {
    let custom = histogram.custom_values.iter().map(|bound| bound.to_bits()).collect();
    (histogram.schema, histogram.zero_threshold.to_bits(), custom)
}

/// The finite bounds that a histogram needs: of every bucket that holds something both ends, and its own ones.
fn bounds_of(histogram: &NativeHistogram) -> Vec<f64> {
    let ends = buckets_of(histogram).into_iter().flat_map(|bucket| [bucket.lower, bucket.upper]);
    ends.chain(histogram.custom_values.iter().copied()).filter(|bound| bound.is_finite()).collect()
}

fn buckets_of(histogram: &NativeHistogram) -> Vec<Bucket> {
    let is_custom = histogram.schema == CUSTOM_BUCKETS_SCHEMA;
    let bound = |index: i64| match (is_custom, usize::try_from(index)) {
        (false, _) => exponential_bound(index, histogram.schema),
        (true, Ok(index)) => histogram.custom_values.get(index).copied().unwrap_or(f64::INFINITY),
        (true, Err(_)) => f64::NEG_INFINITY,
    };
    let mut buckets = Vec::new();
    if histogram.zero_count != 0.0 {
        let upper = histogram.zero_threshold;
        let lower = if histogram.negative_buckets.is_empty() { f64::NEG_INFINITY } else { -upper };
        buckets.push(Bucket { lower, upper, count: histogram.zero_count });
    }
    for (index, count) in populated(&histogram.positive_spans, &histogram.positive_buckets) {
        buckets.push(Bucket { lower: bound(index - 1), upper: bound(index), count });
    }
    for (index, count) in populated(&histogram.negative_spans, &histogram.negative_buckets) {
        buckets.push(Bucket { lower: -bound(index), upper: -bound(index - 1), count });
    }
    buckets
}

/// The buckets that hold something, by index.
fn populated<'a>(spans: &'a [Span], counts: &'a [f64]) -> impl Iterator<Item = (i64, f64)> + 'a {
    let mut next = 0i64;
    let indexes = spans.iter().flat_map(move |span| {
        let first = next + i64::from(span.offset);
        next = first + i64::from(span.length);
        first..next
    });
    indexes.zip(counts.iter().copied()).filter(|(_, count)| *count != 0.0)
}

/// A bound as the format wants it: a number that is whole says so.
fn bound_text(bound: f64) -> String {
    let text = promql::format_value(bound);
    if text.bytes().all(|b| b.is_ascii_digit() || b == b'-') { format!("{text}.0") } else { text }
}

/// A number that sorts as the bound does; zero has no sign.
fn ordered(bound: f64) -> u64 {
    let bits = (bound + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | 1 << 63 }
}

fn unordered(number: u64) -> f64 {
    f64::from_bits(if number >> 63 == 1 { number & !(1 << 63) } else { !number })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::chunk::{ENCODING_FLOAT_HISTOGRAM, ENCODING_HISTOGRAM, encode_histograms};

    fn chunk(histogram: &NativeHistogram) -> PartChunk {
        let (integer, data) = encode_histograms(&[(1000, Arc::new(histogram.clone()))]);
        let encoding = if integer { ENCODING_HISTOGRAM } else { ENCODING_FLOAT_HISTOGRAM };
        PartChunk { min_time: 1000, max_time: 1000, encoding, data, ..PartChunk::default() }
    }

    fn lines(all: &[NativeHistogram], of: usize, is_gauge: bool) -> Vec<String> {
        let chunks: Vec<_> = all.iter().map(chunk).collect();
        let classic = Classic::of("h", &Labels::from_pairs([("x", "1")]), is_gauge, &chunks).expect("valid");
        let lines = classic.lines(&all[of], is_gauge);
        lines.iter().map(|(series, value)| format!("{} {value}", series.replace(",x=\"1\"", ""))).collect()
    }

    fn spans(runs: &[(i32, u32)]) -> Vec<Span> {
        runs.iter().map(|&(offset, length)| Span { offset, length }).collect()
    }

    #[test]
    fn buckets_are_added_up_at_the_bounds_that_any_of_the_histograms_has() {
        let first = NativeHistogram {
            zero_threshold: 0.5,
            zero_count: 2.0,
            count: 9.0,
            sum: 30.0,
            positive_spans: spans(&[(1, 1), (1, 2)]),
            positive_buckets: vec![3.0, 0.0, 4.0],
            integer: true,
            ..NativeHistogram::default()
        };
        let second = NativeHistogram { positive_spans: spans(&[(0, 1), (1, 2)]), ..first.clone() };
        assert_eq!(
            lines(&[first.clone(), second], 0, false),
            [
                r#"h_bucket{le="0.5"} 2"#,
                r#"h_bucket{le="1.0"} 2"#,
                r#"h_bucket{le="2.0"} 5"#,
                r#"h_bucket{le="4.0"} 5"#,
                r#"h_bucket{le="8.0"} 5"#,
                r#"h_bucket{le="16.0"} 9"#,
                r#"h_bucket{le="+Inf"} 9"#,
                r#"h_count{x="1"} 9"#,
                r#"h_sum{x="1"} 30"#
            ]
            .map(|line| line.to_owned())
        );
        let both = NativeHistogram {
            count: 6.0,
            positive_spans: spans(&[(1, 1)]),
            positive_buckets: vec![1.0],
            negative_spans: spans(&[(1, 1)]),
            negative_buckets: vec![3.0],
            ..first
        };
        let expect = [
            r#"h_bucket{le="-2.0"} 0"#,
            r#"h_bucket{le="-1.0"} 3"#,
            r#"h_bucket{le="-0.5"} 3"#,
            r#"h_bucket{le="0.5"} 5"#,
            r#"h_bucket{le="1.0"} 5"#,
            r#"h_bucket{le="2.0"} 6"#,
            r#"h_bucket{le="+Inf"} 6"#,
        ];
        assert_eq!(lines(std::slice::from_ref(&both), 0, false), expect.map(str::to_owned));
        assert_eq!(lines(&[both], 0, true)[7..], ["h_gcount{x=\"1\"} 6", "h_gsum{x=\"1\"} 30"].map(str::to_owned));
    }

    proptest! {
        #[test]
        fn own_bounds_are_kept_whole(counts in proptest::collection::vec(0u8..5, 4), bounds in proptest::collection::btree_set(-50i32..50, 3)) {
            let bounds: Vec<f64> = bounds.into_iter().map(|b| f64::from(b) / 4.0).collect();
            let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
            let histogram = NativeHistogram {
                schema: CUSTOM_BUCKETS_SCHEMA,
                count: counts.iter().sum(),
                sum: 1.0,
                positive_spans: spans(&[(0, 4)]),
                positive_buckets: counts.clone(),
                custom_values: bounds.clone(),
                ..NativeHistogram::default()
            };
            let shown = lines(std::slice::from_ref(&histogram), 0, true);
            let mut below = 0.0;
            for (place, bound) in bounds.iter().chain([&f64::INFINITY]).enumerate() {
                below += counts[place];
                prop_assert_eq!(&shown[place], &format!("h_bucket{{le=\"{}\"}} {below}", bound_text(*bound)));
            }
            prop_assert_eq!(shown.len(), 6);
        }

        #[test]
        fn cumulative_counts_never_fall(
            all in proptest::collection::vec((-4i32..9, 0u8..5, proptest::collection::vec(0u8..4, 0..6), -20i32..20), 1..4),
        ) {
            let all: Vec<NativeHistogram> = all.into_iter().map(|(schema, zero, counts, offset)| {
                let counts: Vec<f64> = counts.into_iter().map(f64::from).collect();
                let spans = if counts.is_empty() { Vec::new() } else { spans(&[(offset, counts.len() as u32)]) };
                NativeHistogram {
                    schema,
                    zero_threshold: f64::from(zero) / 8.0,
                    zero_count: f64::from(zero),
                    count: f64::from(zero) + 2.0 * counts.iter().sum::<f64>(),
                    positive_spans: spans.clone(),
                    positive_buckets: counts.clone(),
                    negative_spans: spans,
                    negative_buckets: counts,
                    ..NativeHistogram::default()
                }
            }).collect();
            let chunks: Vec<_> = all.iter().map(chunk).collect();
            let classic = Classic::of("h", &Labels::default(), true, &chunks).expect("valid");
            for histogram in &all {
                let lines = classic.lines(histogram, true);
                let (buckets, ends) = lines.split_at(lines.len() - 2);
                prop_assert!(buckets.is_sorted_by(|a, b| a.1 <= b.1), "{buckets:?}");
                prop_assert_eq!(buckets.last().map(|b| b.1), Some(histogram.count));
                prop_assert_eq!(ends[0].1, histogram.count);
            }
        }

        #[test]
        fn bounds_sort_as_numbers(a in proptest::num::f64::NORMAL, b in proptest::num::f64::NORMAL) {
            prop_assert_eq!(ordered(a) < ordered(b), a < b);
            prop_assert_eq!(unordered(ordered(a)), a);
        }
    }
}
