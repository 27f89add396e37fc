use std::collections::BTreeMap;
use std::path::PathBuf;

use proptest::prelude::*;

use super::*;

/// Samples in order: the first of equal series counts, as in a scrape.
fn parse(body: &[u8], format: Format) -> Result<BTreeMap<String, f64>, String> {
    if format == Format::Protobuf {
        return parse_protobuf(body);
    }
    let mut parser = Parser::new(body, format);
    let mut samples = BTreeMap::new();
    while let Some(entry) = parser.next_entry().map_err(|e| e.to_string())? {
        if let Entry::Series(line) = entry {
            let labels = parser.labels().map_err(|e| e.to_string())?;
            samples.entry(serde_json::to_string(&labels).expect("labels encode")).or_insert(line.value);
        }
    }
    Ok(samples)
}

fn parse_protobuf(body: &[u8]) -> Result<BTreeMap<String, f64>, String> {
    let mut parser = ProtobufParser::new(body, HistogramChoice { native: true, classic_too: false });
    let mut all = BTreeMap::new();
    while let Some((_, samples)) = parser.next_family().map_err(|e| e.to_string())? {
        for sample in samples {
            // Of a native histogram its count stands for it.
            let value = match sample.value {
                ProtobufValue::Float(value) => value,
                ProtobufValue::Native(histogram) => histogram.count,
            };
            all.entry(serde_json::to_string(&sample.labels).expect("labels encode")).or_insert(value);
        }
    }
    Ok(all)
}

fn check(format: Format, body: &str, expect: Result<&[(&str, f64)], &str>) {
    let got = parse(body.as_bytes(), format);
    match (got, expect) {
        (Ok(samples), Ok(expect)) => {
            let expect: BTreeMap<_, _> = expect.iter().map(|(l, v)| ((*l).to_owned(), v.to_bits())).collect();
            let samples: BTreeMap<_, _> = samples.into_iter().map(|(l, v)| (l, v.to_bits())).collect();
            assert_eq!(samples, expect, "{body:?}");
        }
        (Err(error), Err(part)) => assert!(error.contains(part), "{body:?}: {error:?} should contain {part:?}"),
        (got, expect) => panic!("{body:?}: got {got:?}, expected {expect:?}"),
    }
}

#[test]
fn prometheus_text() {
    let ok = |body, expect: &[(&str, f64)]| check(Format::Prometheus, body, Ok(expect));
    ok("", &[]);
    ok("a 1", &[(r#"{"__name__":"a"}"#, 1.0)]);
    ok("\n  a\t{ b = \"c\" , }  +2.5e1  1234 \n", &[(r#"{"__name__":"a","b":"c"}"#, 25.0)]);
    ok("a{b=\"1\" c=\"2\"} 1 -5\n", &[(r#"{"__name__":"a","b":"1","c":"2"}"#, 1.0)]);
    ok("a{b=\"\\\\x\\\"\\n\\d\"}NaN\n", &[(r#"{"__name__":"a","b":"\\x\"\n\\d"}"#, f64::NAN)]);
    ok("{\"my.metric\",\"l bl\"=\"v\"} 1\n", &[(r#"{"__name__":"my.metric","l bl":"v"}"#, 1.0)]);
    ok("a{b=\"\"} 1\n", &[(r#"{"__name__":"a"}"#, 1.0)]);
    ok("a 1\na 2\n", &[(r#"{"__name__":"a"}"#, 1.0)]);
    ok("# EOF\n#\n# HELPx y\n# TYPEx y\n", &[]);
    ok("# TYPE h histogram\nh_bucket{le=\"1\"} 1\n", &[(r#"{"__name__":"h_bucket","le":"1.0"}"#, 1.0)]);
    ok("a +Inf\nb -infinity\n", &[(r#"{"__name__":"a"}"#, f64::INFINITY), (r#"{"__name__":"b"}"#, f64::NEG_INFINITY)]);
    let bad = |body, part| check(Format::Prometheus, body, Err(part));
    bad("{A}0\n", "expected equal");
    bad("{A}0", "expected equal");
    bad("a{b=\"c\"} 1\n{} 1\n", "line 2: metric name not set");
    bad("a{b=\"1\",b=\"2\"} 1\n", "not unique");
    bad("a{b=\"1\",,c=\"2\"} 1\n", "expected label name");
    bad("a 1 2 3\n", "expected timestamp or new record");
    bad("a 1e999\n", "invalid value");
    bad("a 0x1p-3\n", "invalid value");
    bad("a 1_0\n", "invalid value");
    bad("a +nan\n", "invalid value");
    bad("a.b 1\n", "expected value");
    bad("# TYPE a nonsense\n", "invalid metric type");
    bad("a{b=\"c\n", "expected label value");
    bad("{\"\"} 1\n", "empty metric name");
}

#[test]
fn openmetrics_text() {
    let ok = |body, expect: &[(&str, f64)]| check(Format::OpenMetrics, body, Ok(expect));
    ok("", &[]);
    ok("# EOF", &[]);
    ok(
        "# TYPE a counter\n# UNIT a_s s\na_total 1 1.5 # {id=\"x\"} 0.5 2.5\n# EOF\n",
        &[(r#"{"__name__":"a_total"}"#, 1.0)],
    );
    ok("{\"my.metric\",b=\"c\"} 1\n# EOF\n", &[(r#"{"__name__":"my.metric","b":"c"}"#, 1.0)]);
    let bad = |body, part| check(Format::OpenMetrics, body, Err(part));
    bad("a 1\n", "does not end with # EOF");
    bad("a 1\n\n# EOF\n", "expected a valid start token");
    bad("a 1\n# EOF\na 1\n", "unexpected data after # EOF");
    bad("a  1\n# EOF\n", "expected value");
    bad("# comment\n# EOF\n", "expected HELP");
    bad("# UNIT a s\n# EOF\n", "unit is not a suffix");
    bad("a 1 # {x} 1\n# EOF\n", "expected equal");
}

#[test]
fn times_exemplars_and_metadata_come_along() {
    let body =
        b"# HELP a he\\nlp\n# TYPE a counter\n# UNIT a_s s\na_total{x=\"y\"} 1 1.5 # {id=\"x\"} 0.5 2.5\n# EOF\n";
    let mut parser = Parser::new(body, Format::OpenMetrics);
    let mut next = || parser.next_entry().expect("valid").expect("not the end");
    assert_eq!(next(), Entry::Help("a", "he\\nlp"));
    assert_eq!(next(), Entry::Type("a", vocab::sample::MetricType::Counter));
    assert_eq!(next(), Entry::Unit("a_s", "s"));
    let Entry::Series(line) = next() else { panic!("expected a series") };
    assert_eq!(line.text, b"a_total{x=\"y\"}");
    assert_eq!(line.timestamp_ms, Some(1500));
    assert_eq!(line.exemplar, Some(RawExemplar { value: 0.5, timestamp_ms: Some(2500) }));
    assert_eq!(parser.exemplar_labels().get("id"), Some("x"));
    assert_eq!(parser.next_entry(), Ok(None));
}

#[test]
fn floats_are_written_as_prometheus_does() {
    for (value, expect) in [
        (0.0, "0.0"),
        (1.0, "1.0"),
        (-1.0, "-1.0"),
        (0.99, "0.99"),
        (1e6, "1e+06"),
        (1_638_400.0, "1.6384e+06"),
        (102_400.0, "102400.0"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (13_568.999_999_999_998, "13568.999999999998"),
        (f64::INFINITY, "+Inf"),
        (f64::NAN, "NaN"),
    ] {
        assert_eq!(format_openmetrics_float(value), expect);
    }
}

/// The folder of the conformance kit: named by the environment, or beside the checkout.
pub(crate) fn conformance_folder() -> Option<PathBuf> {
    let beside = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/conformance");
    std::env::var_os("TIDEWATCH_CONFORMANCE").map(PathBuf::from).or(Some(beside)).filter(|f| f.is_dir())
}

#[test]
fn accepts_and_refuses_what_prometheus_does() {
    let Some(folder) = conformance_folder().map(|f| f.join("vectors/expo")) else { return };
    let read = |name: &str| std::fs::read(folder.join(name)).expect(name);
    let index: serde_json::Value = serde_json::from_slice(&read("index.json")).expect("index.json");
    let reference: serde_json::Value = serde_json::from_slice(&read("ref_prom353.json")).expect("reference");
    let mut wrong = Vec::new();
    for case in index.as_array().expect("a list") {
        let (id, file) = (case["id"].as_str().expect("id"), case["file"].as_str().expect("file"));
        let content_type = case["content_type"].as_str().expect("content type");
        let format = crate::fetch::format_of(content_type, Some(Format::Prometheus)).expect("a format");
        let expect = &reference[id];
        match (parse(&read(file), format), expect["up"].as_bool().expect("verdict")) {
            (Ok(_), false) => wrong.push(format!("{id}: accepted, Prometheus says {}", expect["error"])),
            (Err(error), true) => wrong.push(format!("{id}: refused: {error}")),
            (Err(_), false) => {}
            (Ok(samples), true) => {
                let want: BTreeMap<String, f64> = expect["samples"]
                    .as_array()
                    .expect("samples")
                    .iter()
                    .map(|s| {
                        let value = s[1].as_str().or(s[1]["count"].as_str()).expect("a float or a histogram");
                        (s[0].to_string(), value.parse().expect("a float"))
                    })
                    .collect();
                let same = samples.len() == want.len()
                    && samples.iter().all(|(l, v)| want.get(l).is_some_and(|w| w == v || (w.is_nan() && v.is_nan())));
                if !same {
                    wrong.push(format!("{id}: samples differ: {samples:?} instead of {want:?}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// prometheus-parse stays out of the ingest path: it cuts label values at commas, loses names with colons and UTF-8
/// names, and knows neither exemplars nor OpenMetrics' times. On plain lines it is a good second opinion.
#[test]
fn agrees_with_prometheus_parse_on_plain_lines() {
    let body =
        "# TYPE a counter\na{x=\"1\",y=\"two words\"} 1\na{x=\"2\"} 2.5e3\n# TYPE g gauge\ng -4\ng{z=\"é\"} NaN\n";
    let ours = parse(body.as_bytes(), Format::Prometheus).expect("valid");
    let theirs = prometheus_parse::Scrape::parse(body.lines().map(|l| Ok(l.to_owned()))).expect("valid");
    assert_eq!(theirs.samples.len(), ours.len());
    for sample in theirs.samples {
        let mut labels: BTreeMap<String, String> =
            sample.labels.iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        labels.insert("__name__".to_owned(), sample.metric.clone());
        let value = match sample.value {
            prometheus_parse::Value::Counter(v)
            | prometheus_parse::Value::Gauge(v)
            | prometheus_parse::Value::Untyped(v) => v,
            other => panic!("unexpected {other:?}"),
        };
        let ours = ours[&serde_json::to_string(&labels).expect("encodes")];
        assert!(ours == value || (ours.is_nan() && value.is_nan()), "{sample:?}");
    }
}

proptest! {
    #[test]
    fn garbage_is_harmless(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ours = parse(&body, Format::Prometheus);
        let _ours = parse(&body, Format::OpenMetrics);
    }

    #[test]
    fn garbage_of_the_right_letters_is_harmless(body in "[aA0#{}\"\\\\=, \n\t.eE+-]{0,60}", eof in any::<bool>()) {
        let _ours = parse(body.as_bytes(), Format::Prometheus);
        let body = if eof { format!("{body}\n# EOF\n") } else { body };
        let _ours = parse(body.as_bytes(), Format::OpenMetrics);
    }

    #[test]
    fn what_is_written_is_read_back(
        name in "[a-zA-Z_:][a-zA-Z0-9_:]{0,12}",
        label in "[a-zA-Z_][a-zA-Z0-9_]{0,8}",
        value in "\\PC{1,20}",
        number in any::<f64>().prop_filter("not NaN", |n| !n.is_nan()),
    ) {
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let number_text = if number.is_infinite() { format!("{}Inf", if number > 0.0 { "+" } else { "-" }) } else { format!("{number:e}") };
        for (format, end) in [(Format::Prometheus, "\n"), (Format::OpenMetrics, "\n# EOF\n")] {
            let body = format!("{name}{{{label}=\"{escaped}\"}} {number_text}{end}");
            let got = parse(body.as_bytes(), format).expect("valid");
            let labels = vocab::Labels::from_pairs([("__name__", name.as_str()), (label.as_str(), value.as_str())]);
            prop_assert_eq!(got.into_iter().collect::<Vec<_>>(), vec![(serde_json::to_string(&labels).expect("encodes"), number)]);
        }
    }
}

#[test]
fn a_known_series_is_taken_only_where_it_stands_whole() {
    let check = |format, known: &str, body: &str, expect: Option<f64>| {
        let mut parser = Parser::new(body.as_bytes(), format);
        let taken = parser.next_known(known.as_bytes()).expect(body).map(|line| line.value);
        assert_eq!(taken, expect, "{known:?} in {body:?}");
        if taken.is_none() {
            let all = parse(body.as_bytes(), format);
            let mut rest = 0;
            while let Ok(Some(entry)) = parser.next_entry() {
                rest += usize::from(matches!(entry, Entry::Series(_)));
            }
            assert_eq!(all.map_or(rest, |all| all.len()), rest, "nothing was taken of {body:?}");
        }
    };
    for format in [Format::Prometheus, Format::OpenMetrics] {
        check(format, "a", "a 1\n# EOF\n", Some(1.0));
        check(format, "a{b=\"c\"}", "a{b=\"c\"} -2.5 7\n# EOF\n", Some(-2.5));
        check(format, "a", "ab 1\n# EOF\n", None);
        check(format, "a", "a{b=\"c\"} 1\n# EOF\n", None);
        check(format, "", "a 1\n# EOF\n", None);
        check(format, "a", "# EOF\n", None);
        check(format, "a", "", None);
    }
    check(Format::Prometheus, "a", "a {b=\"c\"} 1\n", None);
    let mut parser = Parser::new(b"a{b=\"c\"} x\n", Format::Prometheus);
    let error = parser.next_known(b"a{b=\"c\"}").expect_err("no number").to_string();
    assert!(error.contains("line 1: invalid value"), "{error}");
    assert_eq!(parser.next_entry(), Ok(None), "the parser is at its end");
}
