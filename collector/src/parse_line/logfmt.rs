//! `key=value key="quoted value"`.

use super::ParsedLine;
use super::time::parse_time_ns;

/// Fewer pairs than this may be chance: `a=b` occurs in prose.
const PAIRS_MIN: usize = 2;

/// Reads a line; `None` when it does not consist of pairs.
pub(super) fn parse(line: &str) -> Option<ParsedLine> {
    let pairs = pairs(line)?;
    let mut parsed = ParsedLine { body: line.to_owned(), ..ParsedLine::default() };
    for (key, value) in pairs {
        match key {
            "time" | "ts" | "timestamp" | "t" if parsed.time_ns.is_none() => {
                parsed.time_ns = parse_time_ns(&value);
                if parsed.time_ns.is_none() {
                    parsed.field(key, value);
                }
            }
            "level" | "lvl" | "severity" => match value.parse() {
                Ok(severity) => parsed.severity = severity,
                Err(()) => parsed.field(key, value),
            },
            "msg" | "message" => parsed.body = value,
            "service" | "app" if !value.is_empty() => parsed.service = Some(value),
            _ => parsed.field(key, value),
        }
    }
    Some(parsed)
}

fn pairs(line: &str) -> Option<Vec<(&str, String)>> {
    let mut pairs = Vec::new();
    let mut rest = line.trim();
    while !rest.is_empty() {
        let (key, after) = rest.split_once('=')?;
        let is_key = !key.is_empty() && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"_.-/@".contains(&c));
        if !is_key {
            return None;
        }
        let (value, after) = match after.strip_prefix('"') {
            Some(quoted) => take_quoted(quoted)?,
            None => {
                let (value, after) = after.split_once(' ').unwrap_or((after, ""));
                (value.to_owned(), after)
            }
        };
        pairs.push((key, value));
        rest = after.trim_start();
    }
    (pairs.len() >= PAIRS_MIN).then_some(pairs)
}

fn take_quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((index, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[index + 1..])),
            '\\' => match chars.next()?.1 {
                'n' => value.push('\n'),
                't' => value.push('\t'),
                other => value.push(other),
            },
            _ => value.push(c),
        }
    }
    None
}
