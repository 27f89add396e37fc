//! Query scripts: load series, evaluate, expect. The notation is that of Prometheus's promqltest.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use promql::value::{QueryOutput, QueryValue, SampleValue};
use promql::{Engine, EngineOptions, ParseOptions, QueryError};
use regex::Regex;
use vocab::Ctx;
use vocab::histogram::NativeHistogram;
use vocab::labels::Labels;
use vocab::ports::query::StepGrid;

use crate::memory::{Memory, Sample};
use crate::notation::{Item, duration_ms, number, series_line, starts, values};

/// What a script expects of a query.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(crate) line: usize,
    pub(crate) query: String,
    range: bool,
    grid: Option<StepGrid>,
    fails: bool,
    fail_text: Option<(String, String)>,
    ordered: bool,
    notes: Vec<(String, Option<(String, String)>)>,
    scalar: Option<f64>,
    string: Option<String>,
    series: Vec<(Labels, Vec<Item>)>,
    range_vector: Option<StepGrid>,
}

/// The outcome of a case.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) line: usize,
    pub(crate) query: String,
    /// The answer, or its lack, is right.
    pub(crate) answer: Result<(), String>,
    /// So are the remarks.
    pub(crate) notes: Result<(), String>,
}

/// Runs all cases of a script.
pub(crate) async fn run(text: &str, options: &EngineOptions) -> Vec<Outcome> {
    let lines: Vec<&str> = text.lines().map(str::trim).map(|l| if l.starts_with('#') { "" } else { l }).collect();
    let engine = Engine::new(options.clone());
    let mut memory = Memory::default();
    let mut out = Vec::new();
    let mut at = 0;
    while at < lines.len() {
        let line = lines[at];
        let word = line.split([' ', '\t']).next().unwrap_or("").to_ascii_lowercase();
        if word == "clear" {
            memory = Memory::default();
            at += 1;
        } else if word.starts_with("load") {
            at = load(&lines, at, &mut memory);
        } else if word.starts_with("eval") {
            let (next, case) = parse_case(&lines, at);
            at = next;
            out.push(evaluate(&engine, &memory, &case).await);
        } else {
            assert!(line.is_empty(), "line {}: {line:?}", at + 1);
            at += 1;
        }
    }
    out
}

fn load(lines: &[&str], at: usize, memory: &mut Memory) -> usize {
    let (command, step) = lines[at].split_once(char::is_whitespace).unwrap();
    let step = duration_ms(step);
    let mut series: BTreeMap<Labels, Vec<Item>> = BTreeMap::new();
    let mut next = at + 1;
    while next < lines.len() && !lines[next].is_empty() {
        let (first, rest) = lines[next].split_once([' ', '\t']).unwrap_or((lines[next], ""));
        if let Some(first) = first.strip_suffix("@st") {
            for (index, start) in starts(rest).into_iter().enumerate() {
                let time = step * index as i64;
                if let Some(start) = start {
                    memory.insert_start(series_line(first).0, time, time + start);
                }
            }
        } else {
            let (labels, rest) = series_line(lines[next]);
            series.insert(labels, values(rest));
        }
        next += 1;
    }
    if command.eq_ignore_ascii_case("load_with_nhcb") {
        series.extend(custom_bucket_histograms(&series));
    }
    for (labels, items) in series {
        for (index, item) in items.into_iter().enumerate() {
            if let Some(sample) = item {
                memory.insert(labels.clone(), step * index as i64, sample);
            }
        }
    }
    next
}

/// The native histograms with custom buckets that classic ones amount to.
fn custom_bucket_histograms(series: &BTreeMap<Labels, Vec<Item>>) -> BTreeMap<Labels, Vec<Item>> {
    #[derive(Default, Clone)]
    struct Parts {
        buckets: Vec<(f64, f64)>,
        count: Option<f64>,
        sum: f64,
    }
    let mut parts: BTreeMap<Labels, BTreeMap<usize, Parts>> = BTreeMap::new();
    for (labels, items) in series {
        let name = labels.metric_name().to_owned();
        let Some((base, suffix)) = ["_bucket", "_sum", "_count"].iter().find_map(|s| Some((name.strip_suffix(s)?, *s)))
        else {
            continue;
        };
        let le = labels.get("le").and_then(number);
        if suffix == "_bucket" && le.is_none() {
            continue;
        }
        let target = labels.without(&["le"]).with("__name__", base);
        for (index, item) in items.iter().enumerate() {
            let Some(Sample::Float(v)) = item else { continue };
            let part = parts.entry(target.clone()).or_default().entry(index).or_default();
            match suffix {
                "_bucket" => {
                    let le = le.unwrap();
                    if !part.buckets.iter().any(|b| b.0 == le) {
                        part.buckets.push((le, *v));
                    }
                }
                "_count" => part.count = Some(*v),
                _ => part.sum = *v,
            }
        }
    }
    let build = |mut part: Parts| {
        part.buckets.sort_by(|a, b| a.0.total_cmp(&b.0));
        let count = part.count.or(part.buckets.last().map(|b| b.1)).unwrap_or(0.0);
        if part.buckets.last().is_none_or(|b| b.0 != f64::INFINITY) {
            part.buckets.push((f64::INFINITY, count));
        }
        let custom: Vec<f64> = part.buckets.iter().map(|b| b.0).filter(|b| b.is_finite()).collect();
        let bounds: Vec<String> = custom.iter().map(|b| format!("{b:e}")).collect();
        let mut previous = 0.0;
        let mut text = String::new();
        for (_, cumulative) in &part.buckets {
            text.push_str(&format!(" {:e}", cumulative - previous));
            previous = *cumulative;
        }
        let line = format!(
            "{{{{schema:-53 sum:{:e} count:{count:e} custom_values:[{}] buckets:[{text}]}}}}",
            part.sum,
            bounds.join(" ")
        );
        values(&line).pop().flatten()
    };
    parts
        .into_iter()
        .map(|(labels, by_index)| {
            let last = by_index.keys().next_back().copied().unwrap_or(0);
            let items = (0..=last).map(|i| by_index.get(&i).cloned().and_then(build)).collect();
            (labels, items)
        })
        .collect()
}

fn parse_case(lines: &[&str], at: usize) -> (usize, Case) {
    static INSTANT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^eval(?:_(fail|warn|ordered|info))?\s+instant\s+(?:at\s+(.+?))?\s+(.+)$").unwrap()
    });
    static RANGE: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^eval(?:_(fail|warn|info))?\s+range\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+?)\s+(.+)$").unwrap()
    });
    let mut case = Case { line: at + 1, ..Case::default() };
    let modifier;
    if let Some(found) = RANGE.captures(lines[at]) {
        modifier = found.get(1).map(|m| m.as_str().to_owned());
        case.range = true;
        case.grid = Some(grid(&found[2], &found[3], &found[4]));
        case.query = found[5].to_owned();
    } else {
        let found = INSTANT.captures(lines[at]).unwrap_or_else(|| panic!("bad eval {:?}", lines[at]));
        modifier = found.get(1).map(|m| m.as_str().to_owned());
        let time = duration_ms(found.get(2).map_or("0", |m| m.as_str()));
        case.grid = Some(StepGrid { start_ms: time, end_ms: time, step_ms: 1 });
        case.query = found[3].to_owned();
    }
    match modifier.as_deref() {
        Some("fail") => case.fails = true,
        Some("ordered") => case.ordered = true,
        Some(other) => case.notes.push((other.to_owned(), None)),
        None => {}
    }
    let mut next = at + 1;
    while next < lines.len() && !lines[next].is_empty() {
        expectation(lines[next], &mut case);
        next += 1;
    }
    (next, case)
}

fn grid(from: &str, to: &str, step: &str) -> StepGrid {
    StepGrid { start_ms: duration_ms(from), end_ms: duration_ms(to), step_ms: duration_ms(step) }
}

fn expectation(line: &str, case: &mut Case) {
    static EXPECT: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"^expect\s+(ordered|fail|warn|no_warn|info|no_info)(?:\s+(regex|msg):(.+))?$").unwrap()
    });
    static RANGE_VECTOR: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^expect range vector\s+from\s+(.+)\s+to\s+(.+)\s+step\s+(.+)$").unwrap());
    if let Some(text) = line.strip_prefix("expected_fail_message") {
        case.fail_text = Some(("msg".to_owned(), text.trim().to_owned()));
    } else if let Some(text) = line.strip_prefix("expected_fail_regexp") {
        case.fail_text = Some(("regex".to_owned(), text.trim().to_owned()));
    } else if let Some(found) = RANGE_VECTOR.captures(line) {
        case.range_vector = Some(grid(&found[1], &found[2], &found[3]));
    } else if let Some(text) = line.strip_prefix("expect string") {
        case.string = Some(promql::unquote(text.trim()).unwrap());
    } else if let Some(found) = EXPECT.captures(line) {
        let text = found.get(2).map(|k| (k.as_str().to_owned(), found[3].trim().to_owned()));
        match &found[1] {
            "ordered" => case.ordered = true,
            "fail" => {
                case.fails = true;
                case.fail_text = text;
            }
            other => case.notes.push((other.to_owned(), text)),
        }
    } else if let Some(scalar) = number(line) {
        case.scalar = Some(scalar);
    } else {
        let (labels, rest) = series_line(line);
        case.series.push((labels, values(rest)));
    }
}

async fn evaluate(engine: &Engine, memory: &Memory, case: &Case) -> Outcome {
    let result = query(engine, memory, case).await;
    let (answer, notes) = match &result {
        Ok(_) if case.fails => (Err("expected the query to fail".to_owned()), Ok(())),
        Ok(output) => (compare(case, output), check_notes(case, output)),
        Err(error) if case.fails => (check_failure(case, error), Ok(())),
        Err(error) => (Err(format!("failed: {error}")), Ok(())),
    };
    Outcome { line: case.line, query: case.query.clone(), answer, notes }
}

async fn query(engine: &Engine, memory: &Memory, case: &Case) -> Result<QueryOutput, QueryError> {
    let expr = promql::parse(&case.query, &ParseOptions::default())?;
    let ctx = Ctx::unlimited();
    let grid = case.grid.unwrap();
    let output = if case.range {
        engine.range(memory, &ctx, &expr, grid).await?
    } else {
        engine.instant(memory, &ctx, &expr, grid.start_ms).await?
    };
    Ok(output)
}

fn check_failure(case: &Case, error: &QueryError) -> Result<(), String> {
    let message = error.to_string();
    match &case.fail_text {
        Some((kind, text)) if kind == "msg" && !message.ends_with(text.as_str()) => {
            Err(format!("error {message:?} is not {text:?}"))
        }
        Some((kind, text)) if kind == "regex" && !Regex::new(text).unwrap().is_match(&message) => {
            Err(format!("error {message:?} does not match {text:?}"))
        }
        _ => Ok(()),
    }
}

fn check_notes(case: &Case, output: &QueryOutput) -> Result<(), String> {
    let (warnings, infos) = output.annotations.render(&case.query, 100);
    for (kind, got) in [("warn", warnings), ("info", infos)] {
        if let (true, Some(first)) = (case.notes.iter().any(|n| n.0 == format!("no_{kind}")), got.first()) {
            return Err(format!("unexpected {kind}: {first}"));
        }
        let expected: Vec<_> = case.notes.iter().filter(|n| n.0 == kind).collect();
        if expected.is_empty() {
            continue;
        }
        let fits = |text: &str, wanted: &Option<(String, String)>| match wanted {
            None => true,
            Some((k, t)) if k == "msg" => text == t || text.rsplit_once(" (").is_some_and(|(head, _)| head == t),
            Some((_, t)) => Regex::new(t).unwrap().is_match(text),
        };
        for (_, wanted) in &expected {
            if !got.iter().any(|g| fits(g, wanted)) {
                return Err(format!("no {kind} fits {wanted:?} in {got:?}"));
            }
        }
        if let Some(extra) = got.iter().find(|g| !expected.iter().any(|(_, wanted)| fits(g, wanted))) {
            return Err(format!("unexpected {kind} {extra:?}"));
        }
    }
    Ok(())
}

fn compare(case: &Case, output: &QueryOutput) -> Result<(), String> {
    match &output.value {
        QueryValue::Scalar(_, v) => match case.scalar {
            Some(expected) if almost(expected, *v) => Ok(()),
            expected => Err(format!("expected {expected:?}, got scalar {v}")),
        },
        QueryValue::String(_, text) => {
            if case.string.as_ref() == Some(text) {
                Ok(())
            } else {
                Err(format!("got string {text:?}"))
            }
        }
        _ if case.scalar.is_some() || case.string.is_some() => Err("expected a scalar or a string".to_owned()),
        QueryValue::Vector(samples) => {
            let got = samples.iter().map(|s| (s.labels.clone(), vec![(case.grid.unwrap().start_ms, s.value.clone())]));
            compare_series(case, got.collect(), &case.grid.unwrap())
        }
        QueryValue::Matrix(series) => {
            let got = series
                .iter()
                .map(|s| {
                    let floats = s.timestamps.iter().zip(&s.values).map(|(t, v)| (*t, SampleValue::Float(*v)));
                    let histograms = s.histograms.iter().map(|(t, h)| (*t, SampleValue::Histogram(h.clone())));
                    let mut samples: Vec<_> = floats.chain(histograms).collect();
                    samples.sort_by_key(|s| s.0);
                    (s.labels.clone(), samples)
                })
                .collect();
            compare_series(case, got, &case.range_vector.or(case.grid).unwrap())
        }
    }
}

type Samples = Vec<(i64, SampleValue)>;

fn compare_series(case: &Case, got: Vec<(Labels, Samples)>, grid: &StepGrid) -> Result<(), String> {
    for (position, (labels, samples)) in got.iter().enumerate() {
        if got[..position].iter().any(|(l, _)| l == labels) {
            return Err(format!("{labels} comes twice"));
        }
        let Some(place) = case.series.iter().position(|(l, _)| l == labels) else {
            return Err(format!("unexpected series {labels}: {samples:?}"));
        };
        if case.ordered && place != position {
            return Err(format!("{labels} at position {position}, expected {place}"));
        }
        let expected: Vec<(i64, &Sample)> = case.series[place]
            .1
            .iter()
            .enumerate()
            .filter_map(|(i, item)| Some((grid.start_ms + grid.step_ms * i as i64, item.as_ref()?)))
            .collect();
        if expected.len() != samples.len() {
            return Err(format!("{labels}: expected {} samples, got {samples:?}", expected.len()));
        }
        for ((te, e), (tg, g)) in expected.iter().zip(samples) {
            let same = match (e, g) {
                (Sample::Float(e), SampleValue::Float(g)) => almost(*e, *g),
                (Sample::Histogram(e), SampleValue::Histogram(g)) => same_histogram(e, g),
                _ => false,
            };
            if te != tg || !same {
                return Err(format!("{labels}: expected {e:?} at {te}, got {g:?} at {tg}"));
            }
        }
    }
    let missing =
        case.series.iter().find(|(l, items)| items.iter().any(Option::is_some) && !got.iter().any(|(g, _)| g == l));
    missing.map_or(Ok(()), |(l, _)| Err(format!("series {l} is missing")))
}

fn almost(a: f64, b: f64) -> bool {
    if (a.is_nan() && b.is_nan()) || a == b {
        return true;
    }
    if !a.is_finite() || !b.is_finite() {
        return false;
    }
    let (sum, difference) = (a.abs() + b.abs(), (a - b).abs());
    if a == 0.0 || b == 0.0 || sum < f64::MIN_POSITIVE {
        return difference < 1e-6 * f64::MIN_POSITIVE;
    }
    difference / sum.min(f64::MAX) < 1e-6
}

/// Populated buckets as `(schema, side, index, count)`; different layouts of the same buckets are the same.
fn populated(h: &NativeHistogram) -> Vec<(bool, i32, f64)> {
    let mut out = Vec::new();
    for (negative, spans, counts) in
        [(true, &h.negative_spans, &h.negative_buckets), (false, &h.positive_spans, &h.positive_buckets)]
    {
        let mut index = 0;
        let mut counts = counts.iter();
        for span in spans {
            index += span.offset;
            for _ in 0..span.length {
                let count = *counts.next().unwrap();
                if count != 0.0 {
                    out.push((negative, index, count));
                }
                index += 1;
            }
        }
    }
    out
}

fn same_histogram(e: &NativeHistogram, g: &NativeHistogram) -> bool {
    let (eb, gb) = (populated(e), populated(g));
    e.schema == g.schema
        && almost(e.count, g.count)
        && almost(e.sum, g.sum)
        && almost(e.zero_count, g.zero_count)
        && (e.zero_count == 0.0 || almost(e.zero_threshold, g.zero_threshold))
        && eb.len() == gb.len()
        && eb.iter().zip(&gb).all(|(a, b)| a.0 == b.0 && a.1 == b.1 && almost(a.2, b.2))
        && (e.custom_values.is_empty() || e.custom_values == g.custom_values)
}
