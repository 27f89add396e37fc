//! nginx's and Apache's combined and common access log formats.

use vocab::Severity;

use super::ParsedLine;
use super::haproxy::request_fields;
use super::time::access_log_time_ns;

/// Reads `client ident user [time] "request" status bytes "referer" "agent"`; the last two may be missing.
pub(super) fn parse(line: &str) -> Option<ParsedLine> {
    let mut words = line.splitn(4, ' ');
    let (client, _ident, user, rest) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (date, rest) = rest.strip_prefix('[')?.split_once("] \"")?;
    let mut parsed = ParsedLine { time_ns: Some(access_log_time_ns(date)?), ..ParsedLine::default() };
    let (request, rest) = quoted_end(rest)?;
    let mut numbers = rest.trim_start().splitn(3, ' ');
    let (status, bytes) = (numbers.next()?, numbers.next()?);
    let status_number: u16 = status.parse().ok()?;
    parsed.field("client", client);
    parsed.field("user", user.trim_matches('-'));
    request_fields(&mut parsed, request);
    parsed.field("status", status);
    if bytes.parse::<u64>().is_ok() {
        parsed.field("bytes", bytes);
    }
    if let Some((referer, rest)) = numbers.next().and_then(|t| t.strip_prefix('"')).and_then(quoted_end) {
        parsed.field("referer", if referer == "-" { "" } else { referer });
        if let Some((agent, _)) = rest.trim_start().strip_prefix('"').and_then(quoted_end) {
            parsed.field("user_agent", if agent == "-" { "" } else { agent });
        }
    }
    parsed.severity = if status_number >= 500 { Severity::Error } else { Severity::Info };
    line.clone_into(&mut parsed.body);
    Some(parsed)
}

/// Splits at the closing quote, which no backslash precedes.
fn quoted_end(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            b'"' if !escaped => return Some((&text[..index], &text[index + 1..])),
            _ => escaped = byte == b'\\' && !escaped,
        }
    }
    None
}
