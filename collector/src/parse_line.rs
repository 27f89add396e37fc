//! Makes sense of one log line: JSON, logfmt, syslog, HAProxy's HTTP log, the combined format of nginx and Apache, or plain
//! text. A line that is none of what was expected is kept whole, with what can be seen of its time and severity.

mod combined;
mod haproxy;
mod json;
mod logfmt;
mod severity;
mod syslog;
mod time;

use vocab::Severity;

pub(crate) use json::{severity_of, time_of};
pub(crate) use severity::severity_of_text;

/// Most fields of a record; a line with more keeps the first.
pub const FIELDS_MAX: usize = 128;

/// How lines are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineFormat {
    /// Look at each line.
    Auto,
    /// One JSON object per line.
    Json,
    /// `key=value` pairs.
    Logfmt,
    /// RFC 3164 or RFC 5424.
    Syslog,
    /// HAProxy's HTTP log format, with or without a syslog header.
    Haproxy,
    /// nginx's and Apache's combined (or common) format.
    Combined,
    /// The line is the message.
    Plain,
}

impl LineFormat {
    /// The words of the configuration.
    pub const NAMES: [&'static str; 7] = ["auto", "json", "logfmt", "syslog", "haproxy", "combined", "plain"];

    /// Reads the word of the configuration.
    pub fn parse(word: &str) -> Option<Self> {
        Some(match word {
            "auto" => Self::Auto,
            "json" => Self::Json,
            "logfmt" => Self::Logfmt,
            "syslog" => Self::Syslog,
            "haproxy" => Self::Haproxy,
            "combined" | "nginx" | "apache" => Self::Combined,
            "plain" => Self::Plain,
            _ => return None,
        })
    }
}

/// What a line says.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct ParsedLine {
    /// When it was written, if it says so, in nanoseconds since the epoch.
    pub time_ns: Option<i64>,
    /// How serious it is.
    pub severity: Severity,
    /// The message.
    pub body: String,
    /// What was found in it, sorted by name, names unique.
    pub fields: Vec<(String, String)>,
    /// The service or program it names.
    pub service: Option<String>,
    /// The host it names.
    pub host: Option<String>,
    /// Whether the line was not what the format promised and is kept as plain text.
    pub malformed: bool,
}

impl ParsedLine {
    /// Adds a field unless its value is empty or there are too many.
    pub(crate) fn field(&mut self, name: &str, value: impl Into<String>) {
        let value = value.into();
        if !value.is_empty() && self.fields.len() < FIELDS_MAX {
            self.fields.push((name.to_owned(), value));
        }
    }

    fn sorted(mut self) -> Self {
        self.fields.sort();
        self.fields.dedup_by(|later, first| later.0 == first.0);
        self
    }
}

/// Reads a line. `now_ns` completes times that lack a year.
pub fn parse_line(line: &str, format: LineFormat, now_ns: i64) -> ParsedLine {
    let line = line.trim_end_matches(['\r', '\n']);
    let parsed = match format {
        LineFormat::Auto => auto(line, now_ns),
        LineFormat::Json => json::parse(line),
        LineFormat::Logfmt => logfmt::parse(line),
        LineFormat::Syslog => syslog::parse(line, now_ns).map(inner),
        LineFormat::Haproxy => haproxy::parse_with_header(line, now_ns),
        LineFormat::Combined => combined::parse(line),
        LineFormat::Plain => Some(plain(line, now_ns)),
    };
    parsed.unwrap_or_else(|| ParsedLine { malformed: true, ..plain(line, now_ns) }).sorted()
}

fn auto(line: &str, now_ns: i64) -> Option<ParsedLine> {
    if line.starts_with('{')
        && let Some(parsed) = json::parse(line)
    {
        return Some(parsed);
    }
    if let Some(parsed) = haproxy::parse_with_header(line, now_ns).or_else(|| combined::parse(line)) {
        return Some(parsed);
    }
    if let Some(parsed) = syslog::parse(line, now_ns) {
        return Some(inner(parsed));
    }
    logfmt::parse(line).or_else(|| Some(plain(line, now_ns)))
}

/// The message behind a syslog header may itself be JSON or logfmt.
fn inner(mut outer: ParsedLine) -> ParsedLine {
    let found = if outer.body.starts_with('{') { json::parse(&outer.body) } else { logfmt::parse(&outer.body) };
    let Some(found) = found.or_else(|| haproxy::parse_message(&outer.body)) else {
        if outer.severity == Severity::Unknown {
            outer.severity = severity_of_text(&outer.body);
        }
        return outer;
    };
    if found.severity != Severity::Unknown {
        outer.severity = found.severity;
    }
    outer.time_ns = found.time_ns.or(outer.time_ns);
    outer.body = found.body;
    outer.service = found.service.or(outer.service);
    for (name, value) in found.fields {
        outer.field(&name, value);
    }
    outer
}

fn plain(line: &str, now_ns: i64) -> ParsedLine {
    ParsedLine {
        time_ns: time::leading_time_ns(line, now_ns),
        severity: severity_of_text(line),
        body: line.to_owned(),
        ..ParsedLine::default()
    }
}

#[cfg(test)]
mod tests;
