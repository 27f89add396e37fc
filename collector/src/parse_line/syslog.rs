//! RFC 3164 and RFC 5424 lines, with or without the priority in front.

use vocab::Severity;

use super::ParsedLine;
use super::time::{parse_time_ns, rfc3164_time_ns};

const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// Reads a line; `None` when it has no syslog header.
pub(super) fn parse(line: &str, now_ns: i64) -> Option<ParsedLine> {
    let mut parsed = ParsedLine::default();
    let mut rest = line;
    let priority = take_priority(&mut rest);
    if let Some(priority) = priority {
        parsed.severity = Severity::from_syslog(priority & 7);
        parsed.field("facility", *FACILITIES.get(usize::from(priority >> 3))?);
        if let Some(new_style) = rest.strip_prefix("1 ") {
            return rfc5424(new_style, parsed);
        }
    }
    if let Some(body) = rfc3164(rest, now_ns, &mut parsed) {
        parsed.body = body;
        return Some(parsed);
    }
    // A priority and no header that follows either RFC: what programs write to /dev/log.
    priority?;
    let (program, pid, body) = split_tag(rest).unwrap_or(("", "", rest));
    set_program(&mut parsed, program, pid);
    parsed.body = body.to_owned();
    Some(parsed)
}

fn take_priority(line: &mut &str) -> Option<u8> {
    let (digits, after) = line.strip_prefix('<')?.split_once('>')?;
    let priority = digits.parse().ok().filter(|p| *p < 192)?;
    *line = after;
    Some(priority)
}

/// `Nov 21 10:00:00 host program[pid]: message`, or the same with an RFC 3339 time as rsyslog writes it today.
fn rfc3164(line: &str, now_ns: i64, parsed: &mut ParsedLine) -> Option<String> {
    let old_style = line.get(..15).and_then(|head| Some((rfc3164_time_ns(head, now_ns)?, &line[15..])));
    let (time_ns, rest) = old_style.or_else(|| {
        let (first, _) = line.split_once(' ')?;
        let is_date = first.len() >= 19 && first.as_bytes().get(10) == Some(&b'T');
        Some((is_date.then(|| parse_time_ns(first)).flatten()?, &line[first.len()..]))
    })?;
    let rest = rest.strip_prefix(' ')?;
    // HAProxy and others leave the host out when they write to a receiver directly: `program[pid]: `.
    let (host, program, pid, body) = match rest.split_once(' ') {
        Some((first, _)) if first.ends_with(':') => {
            let (program, pid, body) = split_tag(rest)?;
            ("", program, pid, body)
        }
        Some((host, tagged)) => {
            let (program, pid, body) = split_tag(tagged)?;
            (host, program, pid, body)
        }
        None => return None,
    };
    parsed.time_ns = Some(time_ns);
    parsed.host = Some(host.to_owned()).filter(|h| !h.is_empty());
    set_program(parsed, program, pid);
    Some(body.to_owned())
}

/// `program[pid]: message` or `program: message`.
fn split_tag(text: &str) -> Option<(&str, &str, &str)> {
    let (tag, body) = text.split_once(": ").or_else(|| text.strip_suffix(':').map(|t| (t, "")))?;
    if tag.is_empty() || tag.len() > 128 || tag.contains([' ', '"', '{']) {
        return None;
    }
    Some(match tag.split_once('[') {
        Some((program, pid)) => (program, pid.trim_end_matches(']'), body),
        None => (tag, "", body),
    })
}

fn set_program(parsed: &mut ParsedLine, program: &str, pid: &str) {
    parsed.field("program", program);
    parsed.field("pid", pid);
}

/// After `<pri>1 `: time, host, app, process id, message id, structured data, message.
fn rfc5424(text: &str, mut parsed: ParsedLine) -> Option<ParsedLine> {
    let mut parts = text.splitn(6, ' ');
    let mut next = || parts.next().map(|p| if p == "-" { "" } else { p });
    let (time, host, program, pid, message_id) = (next()?, next()?, next()?, next()?, next()?);
    let rest = parts.next().unwrap_or("-");
    parsed.time_ns = if time.is_empty() { None } else { Some(parse_time_ns(time)?) };
    parsed.host = Some(host.to_owned()).filter(|h| !h.is_empty());
    set_program(&mut parsed, program, pid);
    parsed.field("message_id", message_id);
    let body = match rest.strip_prefix('-') {
        Some(body) => body,
        None => structured_data(rest, &mut parsed)?,
    };
    parsed.body = body.trim_start_matches(' ').trim_start_matches('\u{feff}').to_owned();
    Some(parsed)
}

/// `[id name="value" …][…]`, each as the field `id.name`; gives what follows.
fn structured_data<'a>(mut text: &'a str, parsed: &mut ParsedLine) -> Option<&'a str> {
    while let Some(element) = text.strip_prefix('[') {
        let id_end = element.find([' ', ']'])?;
        let (id, mut rest) = element.split_at(id_end);
        while let Some(pair) = rest.strip_prefix(' ') {
            let (name, quoted) = pair.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = quoted.char_indices();
            let end = loop {
                match chars.next()? {
                    (index, '"') => break index,
                    (_, '\\') => value.push(chars.next()?.1),
                    (_, c) => value.push(c),
                }
            };
            parsed.field(&format!("{id}.{name}"), value);
            rest = &quoted[end + 1..];
        }
        text = rest.strip_prefix(']')?;
    }
    Some(text)
}
