use vocab::sample::MetricMetadata;

use super::*;
use std::sync::Arc;

use vocab::histogram::{NativeHistogram, Span};

use crate::chunk::{ENCODING_HISTOGRAM, ENCODING_XOR, encode_histograms, encode_xor};
use crate::transfer::PartChunk;

fn metadata(rows: &[(&str, MetricType, &str, &str)]) -> BTreeMap<String, MetricMetadata> {
    let row = |(metric, metric_type, help, unit): &(&str, MetricType, &str, &str)| MetricMetadata {
        metric: (*metric).to_owned(),
        metric_type: *metric_type,
        help: (*help).to_owned(),
        unit: (*unit).to_owned(),
    };
    rows.iter().map(|r| (r.0.to_owned(), row(r))).collect()
}

fn part(name: &str, labels: &[(&str, &str)], samples: &[(i64, f64)]) -> SeriesPart {
    let labels = Labels::from_pairs([("__name__", name)].iter().chain(labels).copied());
    let (min_time, max_time) = (samples[0].0, samples[samples.len() - 1].0);
    let data = encode_xor(samples.iter().copied());
    SeriesPart {
        labels,
        chunks: vec![PartChunk { min_time, max_time, encoding: ENCODING_XOR, data, ..PartChunk::default() }],
    }
}

/// The part with start times: from these times on since those.
fn since(mut part: SeriesPart, starts: &[(i64, i64)]) -> SeriesPart {
    part.chunks[0].starts = starts.to_vec();
    part
}

/// A part with native histograms of one bucket from 1 to 2.
fn native(name: &str, samples: &[(i64, f64)]) -> SeriesPart {
    let samples: Vec<_> = samples.iter().map(|(time, count)| (*time, Arc::new(histogram(*count)))).collect();
    let (_, data) = encode_histograms(&samples);
    let (min_time, max_time) = (samples[0].0, samples[samples.len() - 1].0);
    let chunk = PartChunk { min_time, max_time, encoding: ENCODING_HISTOGRAM, data, ..PartChunk::default() };
    SeriesPart { labels: Labels::from_pairs([("__name__", name)]), chunks: vec![chunk] }
}

fn histogram(count: f64) -> NativeHistogram {
    NativeHistogram {
        count,
        sum: count * 1.5,
        positive_spans: vec![Span { offset: 1, length: 1 }],
        positive_buckets: vec![count],
        integer: true,
        ..NativeHistogram::default()
    }
}

/// The text of all families of these parts.
fn text(rows: &[(&str, MetricType, &str, &str)], parts: &[SeriesPart]) -> (String, Counts) {
    let mut names: Vec<String> = parts.iter().map(|p| p.labels.metric_name().to_owned()).collect();
    names.sort();
    names.dedup();
    let (mut out, mut all) = (Vec::new(), Counts::default());
    for family in families(&names, &metadata(rows)) {
        let mut text = FamilyText::new(&family);
        for part in parts.iter().filter(|p| family.members.iter().any(|m| m == p.labels.metric_name())) {
            text.add(part.clone());
        }
        let counts = text.write(&mut out).expect("written");
        all.add(counts);
    }
    (String::from_utf8(out).expect("a text"), all)
}

#[test]
fn names_are_put_together_by_what_metadata_says() {
    let known = metadata(&[
        ("a_total", MetricType::Counter, "", ""),
        ("b", MetricType::Counter, "", ""),
        ("c", MetricType::Counter, "", ""),
        ("h", MetricType::Histogram, "", ""),
        ("s", MetricType::Summary, "", ""),
        ("h_max", MetricType::Gauge, "", ""),
        ("build", MetricType::Info, "", ""),
        ("x", MetricType::Gauge, "", ""),
        ("x_total", MetricType::Counter, "", ""),
    ]);
    let check = |names: &[&str], expect: &[(&str, MetricType, &[&str])]| {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let found = families(&names, &known);
        let found: Vec<_> = found.iter().map(|f| (f.name.as_str(), f.metric_type, f.members.clone())).collect();
        let expect: Vec<_> =
            expect.iter().map(|(n, t, m)| (*n, *t, m.iter().map(|m| (*m).to_owned()).collect::<Vec<_>>())).collect();
        assert_eq!(found, expect);
    };
    check(
        &["a_total", "b_total"],
        &[("a", MetricType::Counter, &["a_total"]), ("b", MetricType::Counter, &["b_total"])],
    );
    // A counter whose series does not say so is none in this format.
    check(&["c"], &[("c", MetricType::Unknown, &["c"])]);
    check(&["c", "c_total"], &[("c", MetricType::Unknown, &["c"]), ("c_total", MetricType::Unknown, &["c_total"])]);
    check(
        &["h_bucket", "h_count", "h_max", "h_sum"],
        &[("h", MetricType::Histogram, &["h_bucket", "h_count", "h_sum"]), ("h_max", MetricType::Gauge, &["h_max"])],
    );
    check(&["s", "s_count", "s_sum"], &[("s", MetricType::Summary, &["s", "s_count", "s_sum"])]);
    check(
        &["build_info", "nobody_knows_total"],
        &[
            ("build", MetricType::Info, &["build_info"]),
            ("nobody_knows_total", MetricType::Unknown, &["nobody_knows_total"]),
        ],
    );
    // Two families of one name: the first keeps it.
    check(&["x", "x_total"], &[("x", MetricType::Gauge, &["x"]), ("x_total", MetricType::Unknown, &["x_total"])]);
}

#[test]
fn families_have_their_type_unit_and_help_and_points_their_order() {
    let (text, counts) = text(
        &[
            ("wait_seconds", MetricType::Histogram, "How \"long\"\nit took", "seconds"),
            ("jobs_total", MetricType::Counter, "", "jobs"),
            ("size", MetricType::Summary, "", ""),
        ],
        &[
            part("wait_seconds_sum", &[("q", "a")], &[(1000, 2.5), (2000, 3.5)]),
            part("wait_seconds_bucket", &[("le", "+Inf"), ("q", "a")], &[(1000, 2.0), (2000, 3.0)]),
            part("wait_seconds_bucket", &[("le", "10"), ("q", "a")], &[(1000, 2.0), (2000, 2.0)]),
            part("wait_seconds_bucket", &[("le", "9"), ("q", "a")], &[(1000, 1.0), (2000, vocab::STALE_NAN)]),
            part("wait_seconds_bucket", &[("le", "+Inf"), ("q", "b")], &[(1500, 9.0)]),
            part("wait_seconds_count", &[("q", "a")], &[(1000, 2.0), (2000, 3.0)]),
            part("jobs_total", &[("b", "x\"\\\ny"), ("c.d", "1")], &[(-1500, 1.5), (0, f64::INFINITY)]),
            part("jobs_total", &[("b", "x\"\\\ny"), ("c.d", "1")], &[(1_234_567, 1e-7)]),
            part("size", &[("quantile", "0.9")], &[(0, 1.0)]),
            part("size", &[("quantile", "0.5")], &[(0, 0.5)]),
            part("size_count", &[], &[(0, 4.0)]),
            part("a.b", &[], &[(0, 4.0)]),
        ],
    );
    let expect = r#"# TYPE "a.b" unknown
{"a.b"} 4 0.000
# TYPE jobs counter
jobs_total{b="x\"\\\ny","c.d"="1"} 1.5 -1.500
jobs_total{b="x\"\\\ny","c.d"="1"} +Inf 0.000
jobs_total{b="x\"\\\ny","c.d"="1"} 1e-07 1234.567
# TYPE size summary
size{quantile="0.5"} 0.5 0.000
size{quantile="0.9"} 1 0.000
size_count 4 0.000
# TYPE wait_seconds histogram
# UNIT wait_seconds seconds
# HELP wait_seconds How \"long\"\nit took
wait_seconds_bucket{le="9",q="a"} 1 1.000
wait_seconds_bucket{le="10",q="a"} 2 1.000
wait_seconds_bucket{le="+Inf",q="a"} 2 1.000
wait_seconds_count{q="a"} 2 1.000
wait_seconds_sum{q="a"} 2.5 1.000
wait_seconds_bucket{le="10",q="a"} 2 2.000
wait_seconds_bucket{le="+Inf",q="a"} 3 2.000
wait_seconds_count{q="a"} 3 2.000
wait_seconds_sum{q="a"} 3.5 2.000
wait_seconds_bucket{le="+Inf",q="b"} 9 1.500
"#;
    assert_eq!(text, expect);
    assert_eq!(counts, Counts { samples: 17, ..Counts::default() });
}

#[test]
fn what_is_no_histogram_in_this_format_is_told() {
    let rows = [("h", MetricType::Histogram, "helps", "")];
    let mut bare = part("h", &[], &[(0, 1.0), (1000, vocab::STALE_NAN)]);
    bare.chunks.extend(native("h", &[(0, 5.0), (2000, 6.0)]).chunks);
    let bucket = part("h_bucket", &[("le", "+Inf")], &[(0, 1.0)]);
    let (whole, counts) = text(&rows, &[bare.clone(), bucket]);
    let classic = "h_bucket{le=\"1.0\"} 0 2.000\nh_bucket{le=\"2.0\"} 6 2.000\nh_bucket{le=\"+Inf\"} 6 2.000\nh_count 6 2.000\nh_sum 9 2.000\n";
    assert_eq!(whole, format!("# TYPE h histogram\n# HELP h helps\nh_bucket{{le=\"+Inf\"}} 1 0.000\n{classic}"));
    assert_eq!(counts, Counts { samples: 2, converted: 1, native: 1, unfit: 1, starts: 0 });
    let (nothing, _) = text(&rows, &[part("h", &[], &[(0, 1.0)])]);
    assert_eq!(nothing, "");
    let (loose, counts) =
        text(&rows, &[part("h_bucket", &[("le", "1")], &[(0, 1.0)]), part("h_sum", &[], &[(0, 2.0)])]);
    let expect = "# TYPE h_bucket unknown\n# HELP h_bucket helps\nh_bucket{le=\"1\"} 1 0.000\n\
                  # TYPE h_sum unknown\n# HELP h_sum helps\nh_sum 2 0.000\n";
    assert_eq!((loose.as_str(), counts.samples), (expect, 2));
}

#[test]
fn native_histograms_of_no_known_type_become_classic_ones() {
    let (whole, counts) = text(&[], &[since(native("h", &[(1000, 5.0)]), &[(1000, 250)])]);
    let expect = "# TYPE h histogram\nh_bucket{le=\"1.0\"} 0 1.000\nh_bucket{le=\"2.0\"} 5 1.000\nh_bucket{le=\"+Inf\"} 5 1.000\n\
                  h_count 5 1.000\nh_sum 7.5 1.000\nh_created 0.250 1.000\n";
    assert_eq!((whole.as_str(), counts.converted, counts.native), (expect, 1, 0));
    // Others have the names that it would need.
    let (whole, counts) = text(&[], &[native("h", &[(1000, 5.0)]), part("h_sum", &[], &[(0, 2.0)])]);
    assert_eq!((whole.as_str(), counts.converted, counts.native), ("# TYPE h_sum unknown\nh_sum 2 0.000\n", 0, 1));
}

#[test]
fn start_times_stand_beside_their_points() {
    let rows =
        [("c", MetricType::Counter, "", ""), ("h", MetricType::Histogram, "", ""), ("g", MetricType::Gauge, "", "")];
    let (whole, counts) = text(
        &rows,
        &[
            since(
                part("c_total", &[("x", "1")], &[(1001, 1.0), (2000, 2.0), (3000, vocab::STALE_NAN)]),
                &[(2000, 1001)],
            ),
            since(part("g", &[], &[(0, 1.0)]), &[(0, 7)]),
            since(part("h_bucket", &[("le", "+Inf")], &[(0, 1.0), (1000, 2.0)]), &[(0, -500)]),
            since(part("h_count", &[], &[(0, 1.0), (1000, 2.0)]), &[(0, -500), (1000, -400)]),
        ],
    );
    // In floating point 1.001 seconds are less than 1001 milliseconds.
    let expect = "# TYPE c counter\nc_total{x=\"1\"} 1 1.0011\nc_total{x=\"1\"} 2 2.000\nc_created{x=\"1\"} 1.0011 2.000\n\
                  # TYPE g gauge\ng 1 0.000\n# TYPE h histogram\nh_bucket{le=\"+Inf\"} 1 0.000\nh_count 1 0.000\n\
                  h_created -0.500 0.000\nh_bucket{le=\"+Inf\"} 2 1.000\nh_count 2 1.000\n";
    assert_eq!(whole, expect);
    assert_eq!(counts, Counts { samples: 7, starts: 3, ..Counts::default() });
    // A series that has the name is not hidden.
    let taken = [since(part("c_total", &[], &[(0, 1.0)]), &[(0, 5)]), part("c_created", &[], &[(0, 9.0)])];
    let (whole, counts) = text(&rows, &taken);
    assert_eq!(whole, "# TYPE c counter\nc_total 1 0.000\n# TYPE c_created unknown\nc_created 9 0.000\n");
    assert_eq!(counts.starts, 1);
}
