//! HAProxy's HTTP log format (`option httplog`), with or without a syslog header.

use vocab::Severity;

use super::time::access_log_time_ns;
use super::{ParsedLine, syslog};

/// Names of the five timers: TR, Tw, Tc, Tr, Ta. Milliseconds; -1 where the step was not reached.
const TIMERS: [&str; 5] = ["request_ms", "queue_ms", "connect_ms", "response_ms", "duration_ms"];
/// Concurrent connections: of the process, the frontend, the backend, the server; and retries.
const CONNECTIONS: [&str; 5] = ["actconn", "feconn", "beconn", "srvconn", "retries"];

pub(super) fn parse_with_header(line: &str, now_ns: i64) -> Option<ParsedLine> {
    if let Some(parsed) = parse_message(line) {
        return Some(parsed);
    }
    let outer = syslog::parse(line, now_ns)?;
    let mut parsed = parse_message(&outer.body)?;
    parsed.host = outer.host;
    for (name, value) in outer.fields {
        parsed.field(&name, value);
    }
    Some(parsed)
}

/// Reads the message itself:
/// `ip:port [date] frontend backend/server TR/Tw/Tc/Tr/Ta status bytes cc cs tsc a/f/b/s/r sq/bq {…} "request"`.
pub(super) fn parse_message(message: &str) -> Option<ParsedLine> {
    let (client, rest) = message.split_once(" [")?;
    let (address, port) = client.rsplit_once(':')?;
    if address.contains(' ') || port.parse::<u16>().is_err() {
        return None;
    }
    let (date, rest) = rest.split_once("] ")?;
    let mut parsed = ParsedLine { time_ns: Some(access_log_time_ns(date)?), ..ParsedLine::default() };
    let (head, request) = match rest.find(" \"") {
        Some(at) => (&rest[..at], &rest[at + 2..]),
        None => return None,
    };
    let mut words = head.split(' ');
    let mut next = || words.next().filter(|w| !w.is_empty());
    let frontend = next()?;
    let (backend, server) = next()?.split_once('/')?;
    let (timers, status, bytes) = (next()?, next()?, next()?);
    let (_cookies, termination) = ((next()?, next()?), next()?);
    let (connections, queues) = (next()?, next()?);

    parsed.field("client", address.trim_matches(['[', ']']));
    parsed.field("client_port", port);
    parsed.field("frontend", frontend.trim_end_matches('~'));
    if frontend.ends_with('~') {
        parsed.field("tls", "true");
    }
    parsed.field("backend", backend);
    parsed.field("server", server);
    counters(&mut parsed, &TIMERS, timers)?;
    let status_number: i32 = status.parse().ok()?;
    parsed.field("status", status);
    parsed.field("bytes", number(bytes)?);
    parsed.field("termination_state", termination);
    counters(&mut parsed, &CONNECTIONS, connections)?;
    counters(&mut parsed, &["srv_queue", "backend_queue"], queues)?;
    let captured = words.collect::<Vec<_>>().join(" ");
    parsed.field("captured", captured);
    request_fields(&mut parsed, request.strip_suffix('"').unwrap_or(request));
    parsed.severity = if (0..500).contains(&status_number) { Severity::Info } else { Severity::Error };
    // `<NOSRV>` names no server, and a backend that is the frontend itself names no service.
    if backend != frontend.trim_end_matches('~') {
        parsed.service = Some(backend.to_owned());
    }
    message.clone_into(&mut parsed.body);
    Some(parsed)
}

/// A `+` marks numbers that were not final when the line was written (`option logasap`).
fn number(text: &str) -> Option<&str> {
    let text = text.trim_start_matches('+');
    text.parse::<i64>().is_ok().then_some(text)
}

fn counters(parsed: &mut ParsedLine, names: &[&str], text: &str) -> Option<()> {
    let values: Vec<&str> = text.split('/').collect();
    if values.len() != names.len() {
        return None;
    }
    for (name, value) in names.iter().zip(values) {
        parsed.field(name, number(value)?);
    }
    Some(())
}

/// `GET /path?query HTTP/1.1`; a request that HAProxy could not read is `<BADREQ>`.
pub(super) fn request_fields(parsed: &mut ParsedLine, request: &str) {
    let mut words = request.splitn(3, ' ');
    let (Some(method), Some(target)) = (words.next(), words.next()) else {
        parsed.field("request", request);
        return;
    };
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    parsed.field("method", method);
    parsed.field("path", path);
    parsed.field("query", query);
    parsed.field("http_version", words.next().unwrap_or("").trim_start_matches("HTTP/"));
}
