//! How scripts write series: labels, values with repetition, histograms.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;
use vocab::Labels;
use vocab::histogram::{CUSTOM_BUCKETS_SCHEMA, NativeHistogram, ResetHint, Span};

use crate::memory::Sample;

/// A value of a series line; `None` is a gap.
pub(crate) type Item = Option<Sample>;

pub(crate) fn duration_ms(text: &str) -> i64 {
    let (sign, text) = text.trim().strip_prefix('-').map_or((1, text.trim()), |rest| (-1, rest));
    let text = text.strip_prefix('+').unwrap_or(text);
    sign * i64::try_from(vocab::duration::parse_duration(text).expect(text).as_millis()).unwrap()
}

pub(crate) fn number(text: &str) -> Option<f64> {
    let trimmed = text.trim();
    let (sign, digits) = match trimmed.strip_prefix('-') {
        Some(rest) => (-1.0, rest),
        None => (1.0, trimmed.strip_prefix('+').unwrap_or(trimmed)),
    };
    let value = match digits.to_ascii_lowercase().as_str() {
        "inf" => f64::INFINITY,
        "nan" => f64::NAN,
        other if other.starts_with("0x") => i64::from_str_radix(&other[2..], 16).ok()? as f64,
        other if other.starts_with(|c: char| c.is_ascii_digit() || c == '.') => other.parse().ok()?,
        _ => return None,
    };
    Some(sign * value)
}

fn value(text: &str) -> f64 {
    number(text).unwrap_or_else(|| duration_ms(text) as f64 / 1000.0)
}

/// Splits `name{labels} rest`.
pub(crate) fn series_line(line: &str) -> (Labels, &str) {
    let mut pairs: Vec<(String, String)> = Vec::new();
    let name_end = line.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == ':')).unwrap_or(line.len());
    let (name, mut rest) = line.split_at(name_end);
    if !name.is_empty() {
        pairs.push(("__name__".to_owned(), name.to_owned()));
    }
    let after_space = rest.trim_start();
    if after_space.starts_with('{') && !after_space.starts_with("{{") {
        let end = braces_end(after_space);
        labels(&after_space[1..end], &mut pairs);
        rest = &after_space[end + 1..];
    }
    (Labels::from_pairs(pairs), rest)
}

fn braces_end(text: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    for (index, c) in text.char_indices().skip(1) {
        match quote {
            Some(_) if escaped => escaped = false,
            Some(q) if c == '\\' && q != '`' => escaped = true,
            Some(q) if c == q => quote = None,
            Some(_) => {}
            None if matches!(c, '"' | '\'' | '`') => quote = Some(c),
            None if c == '}' => return index,
            None => {}
        }
    }
    panic!("no end of labels in {text:?}")
}

fn labels(body: &str, pairs: &mut Vec<(String, String)>) {
    static ITEM: LazyLock<Regex> = LazyLock::new(|| {
        let text = r#""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`"#;
        Regex::new(&format!(r"(?s)^\s*(?:([A-Za-z_:][\w:.]*|{text})\s*=\s*({text})|({text}))\s*,?")).unwrap()
    });
    let mut rest = body;
    while !rest.trim().is_empty() {
        let found = ITEM.captures(rest).unwrap_or_else(|| panic!("bad labels {body:?}"));
        let unquote =
            |t: &str| if t.starts_with(['"', '\'', '`']) { promql::unquote(t).unwrap() } else { t.to_owned() };
        match (found.get(1), found.get(2), found.get(3)) {
            (Some(name), Some(value), _) => pairs.push((unquote(name.as_str()), unquote(value.as_str()))),
            (_, _, Some(name)) => pairs.push(("__name__".to_owned(), unquote(name.as_str()))),
            _ => unreachable!("the pattern has two forms"),
        }
        rest = &rest[found.get(0).unwrap().end()..];
    }
}

fn tokens(text: &str) -> Vec<&str> {
    let mut out = Vec::new();
    let mut start = None;
    let mut depth = 0;
    for (index, c) in text.char_indices() {
        if c.is_whitespace() && depth == 0 {
            if let Some(from) = start.take() {
                out.push(&text[from..index]);
            }
            continue;
        }
        start.get_or_insert(index);
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
    }
    out.extend(start.map(|from| &text[from..]));
    out
}

/// The values of a series line.
/// Start timestamps relative to the samples' times: `_ -30s-1mx2` is nothing, then -30s, -90s, -150s.
pub(crate) fn starts(text: &str) -> Vec<Option<i64>> {
    static ITEM: LazyLock<Regex> = LazyLock::new(|| {
        let duration = r"\d+(?:ms|[smhdwy])?";
        Regex::new(&format!(r"^([+-]?{duration})([+-]{duration})?(?:x(\d+))?$")).unwrap()
    });
    let mut out = Vec::new();
    for item in text.split_whitespace() {
        if let Some(count) = item.strip_prefix('_') {
            let count = count.strip_prefix('x').map_or(1, |n| n.parse().unwrap());
            out.extend(vec![None; count]);
            continue;
        }
        let found = ITEM.captures(item).unwrap_or_else(|| panic!("{item:?}"));
        let first = duration_ms(&found[1]);
        let step = found.get(2).map_or(0, |m| duration_ms(m.as_str()));
        let more: i64 = found.get(3).map_or(0, |m| m.as_str().parse().unwrap());
        out.extend((0..=more).map(|k| Some(first + step * k)));
    }
    out
}

pub(crate) fn values(text: &str) -> Vec<Item> {
    static ITEM: LazyLock<Regex> = LazyLock::new(|| {
        let number = r"(?:\d+(?:\.\d*)?(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|0x[0-9a-fA-F]+|(?i:inf|nan))(?:ms|[smhdwy])?(?:\d+(?:ms|[smhdwy]))*";
        Regex::new(&format!(r"^([+-]?{number})([+-]{number})?(?:x(\d+))?$")).unwrap()
    });
    static HISTOGRAMS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^\{\{(.*?)\}\}(?:([+-])\{\{(.*?)\}\})?(?:x(\d+))?$").unwrap());
    let times = |m: Option<regex::Match<'_>>| m.map_or(0, |m| m.as_str().parse::<usize>().unwrap());
    let mut out: Vec<Item> = Vec::new();
    for token in tokens(text) {
        if let Some(count) = token.strip_prefix('_') {
            out.extend(std::iter::repeat_n(None, count.strip_prefix('x').map_or(1, |c| c.parse().unwrap())));
        } else if let Some(count) = token.strip_prefix("stale") {
            let count = count.strip_prefix('x').map_or(1, |c| c.parse::<usize>().unwrap() + 1);
            out.extend(std::iter::repeat_n(Some(Sample::Float(vocab::STALE_NAN)), count));
        } else if let Some(found) = HISTOGRAMS.captures(token) {
            let mut current = Histogram::parse(&found[1]);
            out.push(Some(Sample::Histogram(current.build())));
            let step = found.get(3).map(|s| Histogram::parse(s.as_str()));
            let sign = if found.get(2).is_some_and(|s| s.as_str() == "-") { -1.0 } else { 1.0 };
            if let Some(step) = &step {
                // As in Prometheus's own notation, the hint is that of the increment.
                current.hint_of(step);
                if let Some(Some(Sample::Histogram(first))) = out.last_mut() {
                    first.reset_hint = current.hint;
                }
            }
            for _ in 0..times(found.get(4)) {
                if let Some(step) = &step {
                    current.add(step, sign);
                }
                out.push(Some(Sample::Histogram(current.build())));
            }
        } else {
            let found = ITEM.captures(token).unwrap_or_else(|| panic!("bad value {token:?} in {text:?}"));
            let mut v = value(&found[1]);
            out.push(Some(Sample::Float(v)));
            for _ in 0..times(found.get(3)) {
                v += found.get(2).map_or(0.0, |s| value(s.as_str()));
                out.push(Some(Sample::Float(v)));
            }
        }
    }
    out
}

/// A histogram of the notation.
#[derive(Debug, Clone, Default)]
struct Histogram {
    schema: i32,
    count: f64,
    sum: f64,
    zero_count: f64,
    zero_threshold: f64,
    positive: BTreeMap<i32, f64>,
    negative: BTreeMap<i32, f64>,
    custom: Vec<f64>,
    hint: ResetHint,
    hint_given: bool,
}

impl Histogram {
    fn parse(body: &str) -> Self {
        static FIELD: LazyLock<Regex> =
            LazyLock::new(|| Regex::new(r"\s*([a-z_]+)\s*:\s*(\[[^\]]*\]|[^\s\]]+)").unwrap());
        let fields: BTreeMap<&str, &str> =
            FIELD.captures_iter(body).map(|c| (c.get(1).unwrap().as_str(), c.get(2).unwrap().as_str())).collect();
        let number = |key: &str| fields.get(key).map_or(0.0, |t| value(t));
        let list = |key: &str| -> Vec<f64> {
            fields.get(key).map_or(Vec::new(), |t| t.trim_matches(['[', ']']).split_whitespace().map(value).collect())
        };
        let indexed = |key: &str, offset: &str| {
            let offset = number(offset) as i32;
            list(key).into_iter().enumerate().map(|(i, v)| (offset + i as i32, v)).collect()
        };
        let hint = match fields.get("counter_reset_hint") {
            Some(&"reset") => ResetHint::Reset,
            Some(&"not_reset") => ResetHint::NoReset,
            Some(&"gauge") => ResetHint::Gauge,
            _ => ResetHint::Unknown,
        };
        Self {
            schema: number("schema") as i32,
            count: number("count"),
            sum: number("sum"),
            zero_count: number("z_bucket"),
            zero_threshold: number("z_bucket_w"),
            positive: indexed("buckets", "offset"),
            negative: indexed("n_buckets", "n_offset"),
            custom: list("custom_values"),
            hint,
            hint_given: fields.contains_key("counter_reset_hint"),
        }
    }

    fn hint_of(&mut self, step: &Self) {
        if !step.hint_given && !self.hint_given {
            self.hint = ResetHint::Unknown;
        } else if step.hint_given {
            self.hint = step.hint;
        }
    }

    fn reduce(&mut self, schema: i32) {
        if self.schema == CUSTOM_BUCKETS_SCHEMA || schema >= self.schema {
            return;
        }
        let shift = self.schema - schema;
        for buckets in [&mut self.positive, &mut self.negative] {
            let mut merged = BTreeMap::new();
            for (index, count) in std::mem::take(buckets) {
                *merged.entry(((index - 1) >> shift) + 1).or_insert(0.0) += count;
            }
            *buckets = merged;
        }
        self.schema = schema;
    }

    fn add(&mut self, step: &Self, sign: f64) {
        let mut step = step.clone();
        if self.schema != CUSTOM_BUCKETS_SCHEMA {
            let schema = self.schema.min(step.schema);
            self.reduce(schema);
            step.reduce(schema);
        }
        self.zero_threshold = self.zero_threshold.max(step.zero_threshold);
        self.count += sign * step.count;
        self.sum += sign * step.sum;
        self.zero_count += sign * step.zero_count;
        for (into, from) in [(&mut self.positive, &step.positive), (&mut self.negative, &step.negative)] {
            for (index, count) in from {
                *into.entry(*index).or_insert(0.0) += sign * count;
            }
        }
    }

    fn build(&self) -> NativeHistogram {
        let (positive_spans, positive_buckets) = spans(&self.positive);
        let (negative_spans, negative_buckets) = spans(&self.negative);
        NativeHistogram {
            schema: self.schema,
            zero_threshold: self.zero_threshold,
            zero_count: self.zero_count,
            count: self.count,
            sum: self.sum,
            positive_spans,
            positive_buckets,
            negative_spans,
            negative_buckets,
            custom_values: self.custom.clone(),
            reset_hint: self.hint,
            integer: false,
        }
    }
}

fn spans(buckets: &BTreeMap<i32, f64>) -> (Vec<Span>, Vec<f64>) {
    let mut out: Vec<Span> = Vec::new();
    let mut next = 0;
    for index in buckets.keys() {
        match out.last_mut() {
            Some(span) if *index == next => span.length += 1,
            _ => out.push(Span { offset: index - next, length: 1 }),
        }
        next = index + 1;
    }
    (out, buckets.values().copied().collect())
}
