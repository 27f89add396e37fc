//! One JSON object per line.

use serde_json::{Map, Value};
use vocab::Severity;

use super::ParsedLine;
use super::time::parse_time_ns;

const TIME_KEYS: [&str; 7] = ["time", "timestamp", "ts", "@timestamp", "_time", "datetime", "t"];
const BODY_KEYS: [&str; 5] = ["message", "msg", "body", "log", "_msg"];
const SEVERITY_KEYS: [&str; 6] = ["severity", "level", "lvl", "loglevel", "log_level", "severity_text"];
const SERVICE_KEYS: [&str; 4] = ["service", "service.name", "app", "service_name"];
/// Nested objects are flattened with dots this deep; what is deeper stays JSON.
const DEPTH_MAX: usize = 4;

/// Reads a line; `None` when it is not a JSON object.
pub(super) fn parse(line: &str) -> Option<ParsedLine> {
    let Value::Object(mut object) = serde_json::from_str(line).ok()? else { return None };
    let time_ns = take_first(&mut object, &TIME_KEYS, time_of);
    let severity = take_first(&mut object, &SEVERITY_KEYS, severity_of);
    let body = take_first(&mut object, &BODY_KEYS, |v| v.as_str().map(str::to_owned));
    let service = take_first(&mut object, &SERVICE_KEYS, |v| v.as_str().filter(|s| !s.is_empty()).map(str::to_owned));
    let mut parsed = ParsedLine { time_ns, service, ..ParsedLine::default() };
    flatten("", object, 0, &mut parsed);
    parsed.body = body.unwrap_or_else(|| line.to_owned());
    parsed.severity = severity.unwrap_or_else(|| super::severity_of_text(&parsed.body));
    Some(parsed)
}

fn take_first<T>(object: &mut Map<String, Value>, keys: &[&str], read: impl Fn(&Value) -> Option<T>) -> Option<T> {
    let (key, value) = keys.iter().find_map(|key| Some((*key, read(object.get(*key)?)?)))?;
    object.remove(key);
    Some(value)
}

/// A time written as text or as a number.
pub(crate) fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => parse_time_ns(text),
        Value::Number(number) => parse_time_ns(&number.to_string()),
        _ => None,
    }
}

/// A level written as a word, as a syslog number (0 to 7) or as pino and bunyan do (10 to 60).
pub(crate) fn severity_of(value: &Value) -> Option<Severity> {
    match value {
        Value::String(word) => word.trim().parse().ok(),
        Value::Number(number) => match number.as_u64()? {
            small @ 0..=7 => Some(Severity::from_syslog(u8::try_from(small).ok()?)),
            10 => Some(Severity::Trace),
            20 => Some(Severity::Debug),
            30 => Some(Severity::Info),
            40 => Some(Severity::Warning),
            50 => Some(Severity::Error),
            60 => Some(Severity::Critical),
            _ => None,
        },
        _ => None,
    }
}

fn flatten(prefix: &str, object: Map<String, Value>, depth: usize, parsed: &mut ParsedLine) {
    for (key, value) in object {
        let name = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Null => {}
            Value::String(text) => parsed.field(&name, text),
            Value::Object(inner) if depth < DEPTH_MAX => flatten(&name, inner, depth + 1, parsed),
            other => parsed.field(&name, other.to_string()),
        }
    }
}
