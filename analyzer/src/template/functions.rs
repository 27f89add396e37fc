//! The functions of templates: Go's own and Prometheus's.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::rc::Rc;

use regex::Regex;

use super::eval::{Runner, failed};
use super::format::printf;
use super::humanize::{humanize, humanize_1024, humanize_duration, humanize_timestamp};
use super::value::Value;
use super::{QUERIES_MAX, TemplateError};

type Run<T> = Result<T, TemplateError>;

const NAMES: &[&str] = &[
    "and",
    "or",
    "not",
    "len",
    "index",
    "slice",
    "print",
    "printf",
    "println",
    "html",
    "js",
    "urlquery",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "query",
    "first",
    "label",
    "value",
    "strvalue",
    "args",
    "reReplaceAll",
    "safeHtml",
    "match",
    "title",
    "toUpper",
    "toLower",
    "graphLink",
    "tableLink",
    "sortByLabel",
    "stripPort",
    "stripDomain",
    "humanize",
    "humanize1024",
    "humanizeDuration",
    "humanizePercentage",
    "humanizeTimestamp",
    "toTime",
    "toDuration",
    "now",
    "pathPrefix",
    "externalURL",
    "parseDuration",
    "urlQueryEscape",
    "tmpl",
];

/// Whether there is a function of that name.
pub(super) fn is_known(name: &str) -> bool {
    NAMES.contains(&name)
}

/// For `and` and `or`: the truth that ends the search.
pub(super) fn short_circuit(name: &str) -> Option<bool> {
    match name {
        "and" => Some(false),
        "or" => Some(true),
        _ => None,
    }
}

/// Calls a function.
pub(super) fn call(runner: &mut Runner<'_>, name: &str, args: &[Value]) -> Run<Value> {
    match (name, args) {
        ("not", [x]) => Ok(Value::Bool(!x.is_true())),
        ("len", [x]) => length(x),
        ("index", [x, keys @ ..]) => keys.iter().try_fold(x.clone(), |value, key| index(&value, key)),
        ("slice", [x, bounds @ ..]) => slice(x, bounds),
        ("print", _) => Ok(Value::text(print(args))),
        ("println", _) => {
            let words: Vec<String> = args.iter().map(Value::print).collect();
            Ok(Value::text(words.join(" ") + "\n"))
        }
        ("printf", [format, rest @ ..]) => Ok(Value::text(printf(text(format)?, rest))),
        ("html", _) => Ok(Value::text(escape_html(&print(args)))),
        ("js", _) => Ok(Value::text(escape_js(&print(args)))),
        ("urlquery" | "urlQueryEscape", _) => Ok(Value::text(escape_query(&print(args)))),
        ("eq", [first, others @ ..]) if !others.is_empty() => {
            Ok(Value::Bool(others.iter().any(|other| compare(first, other) == Some(Ordering::Equal) || first == other)))
        }
        ("ne", [a, b]) => Ok(Value::Bool(compare(a, b) != Some(Ordering::Equal) && a != b)),
        ("lt", [a, b]) => ordered(a, b).map(|o| Value::Bool(o == Some(Ordering::Less))),
        ("le", [a, b]) => ordered(a, b).map(|o| Value::Bool(matches!(o, Some(Ordering::Less | Ordering::Equal)))),
        ("gt", [a, b]) => ordered(a, b).map(|o| Value::Bool(o == Some(Ordering::Greater))),
        ("ge", [a, b]) => ordered(a, b).map(|o| Value::Bool(matches!(o, Some(Ordering::Greater | Ordering::Equal)))),
        ("query", [expression]) => query(runner, text(expression)?),
        ("first", [Value::List(list)]) => match list.first() {
            Some(value) => Ok(value.clone()),
            None => failed("first() called on vector with no elements"),
        },
        ("label", [name, sample]) => labels_of(sample)?.field(text(name)?).map_err(TemplateError::Run),
        ("value", [sample]) => sample.field("Value").map_err(TemplateError::Run),
        ("strvalue", [sample]) => labels_of(sample)?.field("__value__").map_err(TemplateError::Run),
        ("sortByLabel", [name, Value::List(list)]) => sort_by_label(text(name)?, list),
        ("args", _) => {
            let map: BTreeMap<String, Value> =
                args.iter().enumerate().map(|(i, value)| (format!("arg{i}"), value.clone())).collect();
            Ok(Value::Map(Rc::new(map)))
        }
        ("tmpl", [name, dot]) => runner.rendered(text(name)?, dot.clone()).map(Value::text),
        ("reReplaceAll", [pattern, replacement, subject]) => {
            let regex = compile(text(pattern)?)?;
            Ok(Value::text(regex.replace_all(text(subject)?, text(replacement)?)))
        }
        ("match", [pattern, subject]) => Ok(Value::Bool(compile(text(pattern)?)?.is_match(text(subject)?))),
        ("safeHtml", [x]) => Ok(Value::text(text(x)?)),
        ("title", [x]) => Ok(Value::text(title(text(x)?))),
        ("toUpper", [x]) => Ok(Value::text(text(x)?.to_uppercase())),
        ("toLower", [x]) => Ok(Value::text(text(x)?.to_lowercase())),
        ("graphLink", [x]) => Ok(Value::text(format!("/graph?g0.expr={}&g0.tab=0", escape_query(text(x)?)))),
        ("tableLink", [x]) => Ok(Value::text(format!("/graph?g0.expr={}&g0.tab=1", escape_query(text(x)?)))),
        ("stripPort", [x]) => Ok(Value::text(split_port(text(x)?).map_or(text(x)?, |(host, _)| host))),
        ("stripDomain", [x]) => Ok(Value::text(strip_domain(text(x)?))),
        ("humanize", [x]) => Ok(Value::text(humanize(number(x)?))),
        ("humanize1024", [x]) => Ok(Value::text(humanize_1024(number(x)?))),
        ("humanizeDuration", [x]) => Ok(Value::text(humanize_duration(number(x)?))),
        ("humanizePercentage", [x]) => Ok(Value::text(format!("{}%", super::format_g(number(x)? * 100.0, 4)))),
        ("humanizeTimestamp", [x]) => humanize_timestamp(number(x)?).map(Value::text).map_err(TemplateError::Run),
        ("toTime", [x]) => humanize_timestamp(number(x)?).map(Value::text).map_err(TemplateError::Run),
        ("toDuration", [x]) => Ok(Value::text(humanize_duration(number(x)?))),
        ("now", []) => Ok(Value::Float(runner.input.now_ms as f64 / 1000.0)),
        ("externalURL", []) => Ok(Value::text(runner.input.external_url)),
        ("pathPrefix", []) => Ok(Value::text(
            url::Url::parse(runner.input.external_url)
                .map(|u| u.path().trim_end_matches('/').to_owned())
                .unwrap_or_default(),
        )),
        ("parseDuration", [x]) => {
            vocab::duration::parse_duration(text(x)?).map(|d| Value::Float(d.as_secs_f64())).map_err(TemplateError::Run)
        }
        _ => {
            let types: Vec<&str> = args.iter().map(Value::type_name).collect();
            failed(format!("wrong number or type of arguments: got ({})", types.join(", ")))
        }
    }
}

fn query(runner: &Runner<'_>, expression: &str) -> Run<Value> {
    match runner.input.results.get(expression) {
        Some(samples) => Ok(Value::samples(samples)),
        None if runner.input.results.len() >= QUERIES_MAX => {
            failed(format!("template asks for more than {QUERIES_MAX} queries"))
        }
        None => Err(TemplateError::NeedsQuery(expression.to_owned())),
    }
}

fn text(value: &Value) -> Run<&str> {
    match value {
        Value::Text(text) => Ok(text),
        other => failed(format!("wrong type for value; expected string; got {}", other.type_name())),
    }
}

/// Numbers, and strings that hold one or a duration.
fn number(value: &Value) -> Run<f64> {
    match value {
        Value::Float(f) => Ok(*f),
        Value::Int(i) => Ok(*i as f64),
        Value::Text(t) => t
            .parse()
            .or_else(|_| vocab::duration::parse_duration(t).map(|d| d.as_secs_f64()))
            .map_err(|_| TemplateError::Run(format!("can't convert {t:?} to float"))),
        other => failed(format!("can't convert {} to float", other.type_name())),
    }
}

/// Operands are joined with blanks where neither neighbour is a string, as Go's `Sprint` does.
fn print(args: &[Value]) -> String {
    let mut out = String::new();
    for (position, value) in args.iter().enumerate() {
        let is_text = |v: &Value| matches!(v, Value::Text(_));
        if position > 0 && !is_text(value) && !is_text(&args[position - 1]) {
            out.push(' ');
        }
        out.push_str(&value.print());
    }
    out
}

fn length(value: &Value) -> Run<Value> {
    let length = match value {
        Value::Text(t) => t.len(),
        Value::List(l) => l.len(),
        Value::Strings(m) => m.len(),
        Value::Map(m) => m.len(),
        other => return failed(format!("len of type {}", other.type_name())),
    };
    Ok(Value::Int(i64::try_from(length).unwrap_or(i64::MAX)))
}

fn index(value: &Value, key: &Value) -> Run<Value> {
    let position = |length: usize| match key {
        Value::Int(i) => usize::try_from(*i)
            .ok()
            .filter(|&i| i < length)
            .ok_or_else(|| TemplateError::Run(format!("index out of range: {i}"))),
        other => failed(format!("cannot index slice/array with type {}", other.type_name())),
    };
    match value {
        Value::List(list) => position(list.len()).map(|i| list[i].clone()),
        Value::Text(t) => position(t.len()).map(|i| Value::Int(i64::from(t.as_bytes()[i]))),
        Value::Strings(_) | Value::Map(_) => value.field(text(key)?).map_err(TemplateError::Run),
        other => failed(format!("can't index item of type {}", other.type_name())),
    }
}

fn slice(value: &Value, bounds: &[Value]) -> Run<Value> {
    let length = match value {
        Value::Text(t) => t.len(),
        Value::List(l) => l.len(),
        other => return failed(format!("can't slice item of type {}", other.type_name())),
    };
    let bound = |at: usize, default: usize| match bounds.get(at) {
        None => Ok(default),
        Some(Value::Int(i)) => usize::try_from(*i)
            .ok()
            .filter(|&i| i <= length)
            .ok_or_else(|| TemplateError::Run(format!("index out of range: {i}"))),
        Some(other) => failed(format!("cannot index slice/array with type {}", other.type_name())),
    };
    let (from, to) = (bound(0, 0)?, bound(1, length)?);
    match value {
        Value::Text(t) => match t.get(from..to) {
            Some(part) => Ok(Value::text(part)),
            None => failed(format!("invalid slice index: {from} > {to}")),
        },
        Value::List(l) if from <= to => Ok(Value::List(Rc::new(l[from..to].to_vec()))),
        _ => failed(format!("invalid slice index: {from} > {to}")),
    }
}

/// Order of two values of the same kind; whole numbers and floats compare with each other.
fn compare(a: &Value, b: &Value) -> Option<Ordering> {
    match (a, b) {
        (Value::Int(a), Value::Int(b)) => Some(a.cmp(b)),
        (Value::Int(a), Value::Float(b)) => (*a as f64).partial_cmp(b),
        (Value::Float(a), Value::Int(b)) => a.partial_cmp(&(*b as f64)),
        (Value::Float(a), Value::Float(b)) => a.partial_cmp(b),
        (Value::Text(a), Value::Text(b)) => Some(a.cmp(b)),
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    }
}

fn ordered(a: &Value, b: &Value) -> Run<Option<Ordering>> {
    let is_number = |v: &Value| matches!(v, Value::Int(_) | Value::Float(_));
    match (a, b) {
        (Value::Text(_), Value::Text(_)) => Ok(compare(a, b)),
        _ if is_number(a) && is_number(b) => Ok(compare(a, b)),
        _ => failed("incompatible types for comparison"),
    }
}

fn labels_of(sample: &Value) -> Run<Value> {
    sample.field("Labels").map_err(TemplateError::Run)
}

fn sort_by_label(name: &str, list: &[Value]) -> Run<Value> {
    let mut keyed: Vec<(String, Value)> = Vec::with_capacity(list.len());
    for sample in list {
        keyed.push((labels_of(sample)?.field(name).map_err(TemplateError::Run)?.print(), sample.clone()));
    }
    keyed.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(Value::List(Rc::new(keyed.into_iter().map(|k| k.1).collect())))
}

fn compile(pattern: &str) -> Run<Regex> {
    Regex::new(pattern).map_err(|e| TemplateError::Run(format!("invalid regular expression {pattern:?}: {e}")))
}

fn title(text: &str) -> String {
    let mut previous = ' ';
    text.chars()
        .map(|c| {
            let starts = !previous.is_alphanumeric() && previous != '_' && previous != '\'';
            previous = c;
            if starts { c.to_uppercase().next().unwrap_or(c) } else { c }
        })
        .collect()
}

/// Host and port of `host:port` or `[v6]:port`.
fn split_port(text: &str) -> Option<(&str, &str)> {
    let (host, port) = text.rsplit_once(':')?;
    match host.strip_prefix('[') {
        Some(inner) => inner.strip_suffix(']').map(|host| (host, port)),
        None if host.contains(':') => None,
        None => Some((host, port)),
    }
}

fn strip_domain(text: &str) -> String {
    let (host, port) = split_port(text).map_or((text, None), |(h, p)| (h, Some(p)));
    if host.parse::<std::net::IpAddr>().is_ok() {
        return text.to_owned();
    }
    let short = host.split('.').next().unwrap_or(host);
    port.map_or_else(|| short.to_owned(), |port| format!("{short}:{port}"))
}

fn escape_html(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&#34;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn escape_js(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\'' => out.push_str("\\'"),
            '"' => out.push_str("\\\""),
            '<' | '>' | '&' | '=' => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04X}", u32::from(c))),
            c => out.push(c),
        }
    }
    out
}

fn escape_query(text: &str) -> String {
    url::form_urlencoded::byte_serialize(text.as_bytes()).collect()
}
