//! The parser of both formats: one entry at a time, borrowed from the body.

use thiserror::Error;
use vocab::Labels;
use vocab::sample::MetricType;

use super::cursor::Cursor;
use super::float::parse_float;
use super::labels::{self, LabelError};

/// Which format a body is in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus text 0.0.4, with the UTF-8 names of 1.0.0.
    Prometheus,
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's protobuf, length-delimited; for [`super::ProtobufParser`].
    Protobuf,
}

/// A mistake in a body.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {message}: {near:?}")]
pub struct ParseError {
    /// The line, from 1.
    pub line: usize,
    /// What was expected.
    pub message: String,
    /// The text around the mistake, shortened.
    pub near: String,
}

/// Most bytes of the input that a message shows.
const NEAR_BYTES_MAX: usize = 80;

/// One entry of a body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Entry<'a> {
    /// A sample.
    Series(SeriesLine<'a>),
    /// `# HELP`: the family's name and its help text, still escaped.
    Help(&'a str, &'a str),
    /// `# TYPE`.
    Type(&'a str, MetricType),
    /// `# UNIT`.
    Unit(&'a str, &'a str),
}

/// A sample as it stands in the body.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeriesLine<'a> {
    /// Name and labels exactly as written: the key of the scrape cache.
    pub text: &'a [u8],
    /// The value.
    pub value: f64,
    /// The explicit time in milliseconds.
    pub timestamp_ms: Option<i64>,
    /// The exemplar, whose labels [`Parser::exemplar_labels`] builds.
    pub exemplar: Option<RawExemplar>,
}

/// An exemplar's numbers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RawExemplar {
    /// The value observed.
    pub value: f64,
    /// Its explicit time in milliseconds.
    pub timestamp_ms: Option<i64>,
}

/// Reads a body entry by entry.
#[derive(Debug)]
pub struct Parser<'a> {
    cursor: Cursor<'a>,
    format: Format,
    family_type: MetricType,
    /// Range of the metric name of the last series line.
    name: Option<(usize, usize)>,
    /// Ranges of label names and values of the last series line, alternating.
    pairs: Vec<(usize, usize)>,
    exemplar_pairs: Vec<(usize, usize)>,
    done: bool,
}

impl<'a> Parser<'a> {
    /// A parser at the start of a body.
    pub fn new(body: &'a [u8], format: Format) -> Self {
        // An empty body is a target without metrics in both formats.
        let done = body.is_empty();
        Self {
            cursor: Cursor { body, at: 0 },
            format,
            family_type: MetricType::Unknown,
            name: None,
            pairs: Vec::new(),
            exemplar_pairs: Vec::new(),
            done,
        }
    }

    /// The next entry, or `None` at the end of the body.
    ///
    /// # Errors
    /// The first mistake; the parser is at its end then.
    pub fn next_entry(&mut self) -> Result<Option<Entry<'a>>, ParseError> {
        if self.done {
            return Ok(None);
        }
        let start = self.cursor.at;
        let result = match self.format {
            Format::Prometheus => self.next_prometheus(),
            Format::OpenMetrics => self.next_openmetrics(),
            Format::Protobuf => Err("protobuf is no text"),
        };
        match result {
            Ok(Some(entry)) => Ok(Some(entry)),
            Ok(None) => {
                self.done = true;
                Ok(None)
            }
            Err(message) => {
                self.done = true;
                Err(self.error(start, message))
            }
        }
    }

    /// The next entry when it is a series that is written exactly as `text`, name and labels as an earlier body had them: what is inside
    /// needs no second reading then, and [`Parser::labels`] does not know it. `None` when something else comes; then nothing is taken.
    ///
    /// # Errors
    /// As [`Parser::next_entry`].
    pub fn next_known(&mut self, text: &[u8]) -> Result<Option<SeriesLine<'a>>, ParseError> {
        let start = self.cursor.at;
        let body = self.cursor.body;
        let after = start + text.len();
        // Behind a bare name a blank and more labels may follow, behind a brace only the value.
        let is_whole = text.last() == Some(&b'}') || matches!(body.get(after + 1), Some(b'0'..=b'9' | b'+' | b'-'));
        if self.done
            || text.is_empty()
            || !is_whole
            || !body[start..].starts_with(text)
            || body.get(after) != Some(&b' ')
        {
            return Ok(None);
        }
        self.exemplar_pairs.clear();
        self.cursor.at = after;
        let text = &body[start..after];
        let line = match self.format {
            Format::Prometheus => self.prometheus_value(text),
            Format::OpenMetrics => self.openmetrics_value(text),
            Format::Protobuf => return Ok(None),
        };
        line.map(Some).map_err(|message| {
            self.done = true;
            self.error(start, message)
        })
    }

    /// Goes on behind the line of the last mistake: for imports, where one bad line must not cost the others.
    pub fn skip_line(&mut self) {
        self.cursor.take_line();
        self.done = !self.cursor.take(b'\n') || self.cursor.peek().is_none();
    }

    /// The label set of the series line last returned, metric name included.
    ///
    /// # Errors
    /// [`LabelError`] when a name is empty, stands twice, or is not UTF-8.
    pub fn labels(&self) -> Result<Labels, LabelError> {
        let name = self.name.ok_or(LabelError::EmptyName("metric"))?;
        labels::build(self.cursor.body, name, &self.pairs, self.family_type)
    }

    /// The labels of the exemplar last returned; those that are not UTF-8 are left out.
    pub fn exemplar_labels(&self) -> Labels {
        let body = self.cursor.body;
        let pairs = self.exemplar_pairs.chunks_exact(2);
        Labels::from_pairs(pairs.filter_map(|p| Some((labels::unescape(body, p[0])?, labels::unescape(body, p[1])?))))
    }

    fn error(&self, start: usize, message: &'static str) -> ParseError {
        let body = self.cursor.body;
        let end = (self.cursor.at + 1).clamp(start, body.len());
        let near = String::from_utf8_lossy(&body[start.max(end.saturating_sub(NEAR_BYTES_MAX))..end]).into_owned();
        ParseError { line: self.cursor.line_number(), message: message.to_owned(), near }
    }

    fn next_prometheus(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        loop {
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                None => return Ok(None),
                Some(b'\n') => self.cursor.at += 1,
                Some(b'#') => {
                    if let Some(entry) = self.prometheus_comment()? {
                        return Ok(Some(entry));
                    }
                }
                Some(_) => return self.prometheus_series().map(Some),
            }
        }
    }

    /// `# HELP` and `# TYPE`; every other comment is passed over.
    fn prometheus_comment(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        self.cursor.at += 1;
        let spaced = self.cursor.skip_blanks();
        let keyword = match () {
            () if !spaced => None,
            () if self.cursor.take_text(b"HELP") => Some(true),
            () if self.cursor.take_text(b"TYPE") => Some(false),
            () => None,
        };
        let Some(is_help) = keyword.filter(|_| matches!(self.cursor.peek(), Some(b' ' | b'\t'))) else {
            self.cursor.take_line();
            return Ok(None);
        };
        self.cursor.skip_blanks();
        let family = self.family_name()?;
        // One separating character belongs to no one, what follows it is the text as it is.
        let text = self.cursor.take_line().get(1..).unwrap_or_default();
        if is_help {
            let text = std::str::from_utf8(text).map_err(|_| "help text is not valid UTF-8")?;
            return Ok(Some(Entry::Help(family, text)));
        }
        self.family_type = match text {
            b"counter" => MetricType::Counter,
            b"gauge" => MetricType::Gauge,
            b"histogram" => MetricType::Histogram,
            b"summary" => MetricType::Summary,
            b"untyped" => MetricType::Unknown,
            _ => return Err("invalid metric type"),
        };
        Ok(Some(Entry::Type(family, self.family_type)))
    }

    fn family_name(&mut self) -> Result<&'a str, &'static str> {
        let range = self.cursor.take_quoted(true).or_else(|| self.cursor.take_name(true));
        let (from, to) = range.ok_or("expected metric name after HELP, TYPE or UNIT")?;
        std::str::from_utf8(&self.cursor.body[from..to]).map_err(|_| "metric name is not valid UTF-8")
    }

    fn prometheus_series(&mut self) -> Result<Entry<'a>, &'static str> {
        let start = self.cursor.at;
        self.series_start("expected a valid start token")?;
        if self.name.is_some() {
            // `a {b="c"}` is allowed, but the blank is not part of the series text when no brace follows.
            let after_name = self.cursor.at;
            self.cursor.skip_blanks();
            if self.cursor.peek() != Some(b'{') {
                self.cursor.at = after_name;
            }
        }
        if self.cursor.take(b'{') {
            self.prometheus_braces()?;
        }
        let text = &self.cursor.body[start..self.cursor.at];
        if self.name.is_none() {
            return Err("metric name not set");
        }
        self.prometheus_value(text).map(Entry::Series)
    }

    /// What stands behind name and labels, up to the end of the line.
    fn prometheus_value(&mut self, text: &'a [u8]) -> Result<SeriesLine<'a>, &'static str> {
        self.cursor.skip_blanks();
        let value = self.cursor.take_while(|c| !matches!(c, b'{' | b' ' | b'\t' | b'\n'));
        if value.is_empty() || is_name_glued(text, value) {
            return Err("expected value after metric");
        }
        let value = parse_float(value).ok_or("invalid value")?;
        self.cursor.skip_blanks();
        let digits = self.cursor.take_while(|c| c.is_ascii_digit() || c == b'-');
        let timestamp_ms = if digits.is_empty() {
            None
        } else {
            let digits = std::str::from_utf8(digits).ok().and_then(|d| d.parse().ok());
            Some(digits.ok_or("invalid timestamp")?)
        };
        self.cursor.skip_blanks();
        if self.cursor.peek().is_some() && !self.cursor.take(b'\n') {
            return Err("expected timestamp or new record");
        }
        Ok(SeriesLine { text, value, timestamp_ms, exemplar: None })
    }

    /// Takes the bare metric name, if there is one; a brace may follow or stand in its place.
    fn series_start(&mut self, otherwise: &'static str) -> Result<(), &'static str> {
        self.pairs.clear();
        self.exemplar_pairs.clear();
        self.name = self.cursor.take_name(true);
        if self.name.is_none() && self.cursor.peek() != Some(b'{') {
            return Err(otherwise);
        }
        Ok(())
    }

    /// Inside braces, the opening one taken. Blanks are free and commas between labels may be missing.
    fn prometheus_braces(&mut self) -> Result<(), &'static str> {
        loop {
            self.cursor.skip_blanks();
            if self.cursor.take(b'}') {
                return Ok(());
            }
            let quoted = self.cursor.peek() == Some(b'"');
            let label = self.brace_name(true)?;
            self.cursor.skip_blanks();
            match self.cursor.peek() {
                Some(c @ (b',' | b'}')) => {
                    self.set_quoted_name(label, quoted)?;
                    self.cursor.at += 1;
                    if c == b'}' {
                        return Ok(());
                    }
                }
                Some(b'=') => {
                    self.cursor.at += 1;
                    self.cursor.skip_blanks();
                    let value = self.label_value(true)?;
                    self.pairs.extend([label, value]);
                    self.cursor.skip_blanks();
                    self.cursor.take(b',');
                }
                _ => return Err("expected equal"),
            }
        }
    }

    fn brace_name(&mut self, newlines: bool) -> Result<(usize, usize), &'static str> {
        let range = self.cursor.take_quoted(newlines).or_else(|| self.cursor.take_name(false));
        range.ok_or("expected label name")
    }

    fn label_value(&mut self, newlines: bool) -> Result<(usize, usize), &'static str> {
        let range = self.cursor.take_quoted(newlines).ok_or("expected label value")?;
        match std::str::from_utf8(&self.cursor.body[range.0..range.1]) {
            Ok(_) => Ok(range),
            Err(_) => Err("invalid UTF-8 label value"),
        }
    }

    /// `{"name", …}`: only a quoted text can be the metric's name, and only once.
    fn set_quoted_name(&mut self, range: (usize, usize), quoted: bool) -> Result<(), &'static str> {
        if !quoted {
            return Err("expected equal after label name");
        }
        if self.name.is_some() {
            return Err("metric name already set");
        }
        self.name = Some(range);
        Ok(())
    }

    fn next_openmetrics(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        match self.cursor.peek() {
            None => Err("data does not end with # EOF"),
            Some(b'#') => self.openmetrics_comment(),
            Some(_) => self.openmetrics_series().map(Some),
        }
    }

    fn openmetrics_comment(&mut self) -> Result<Option<Entry<'a>>, &'static str> {
        if !self.cursor.take_text(b"# ") {
            return Err("expected a valid start token");
        }
        if self.cursor.take_text(b"EOF") {
            self.cursor.take(b'\n');
            return if self.cursor.peek().is_none() { Ok(None) } else { Err("unexpected data after # EOF") };
        }
        let keyword = match () {
            () if self.cursor.take_text(b"HELP ") => b'H',
            () if self.cursor.take_text(b"TYPE ") => b'T',
            () if self.cursor.take_text(b"UNIT ") => b'U',
            () => return Err("expected HELP, TYPE, UNIT or EOF"),
        };
        let family = self.family_name()?;
        if !self.cursor.take(b' ') {
            return Err("expected text in HELP, TYPE or UNIT");
        }
        let text = self.cursor.take_line();
        if !self.cursor.take(b'\n') {
            return Err("expected text in HELP, TYPE or UNIT");
        }
        let text = std::str::from_utf8(text).map_err(|_| "metadata is not valid UTF-8")?;
        Ok(Some(match keyword {
            b'H' => Entry::Help(family, text),
            b'U' => {
                let stem = family.strip_suffix(text).and_then(|s| s.strip_suffix('_'));
                if !text.is_empty() && stem.is_none() {
                    return Err("unit is not a suffix of the metric name");
                }
                Entry::Unit(family, text)
            }
            _ => {
                self.family_type = openmetrics_type(text).ok_or("invalid metric type")?;
                Entry::Type(family, self.family_type)
            }
        }))
    }

    fn openmetrics_series(&mut self) -> Result<Entry<'a>, &'static str> {
        let start = self.cursor.at;
        self.series_start("expected a valid start token")?;
        if self.cursor.take(b'{') {
            self.openmetrics_braces(false)?;
        }
        let text = &self.cursor.body[start..self.cursor.at];
        if self.name.is_none() {
            return Err("metric name not set");
        }
        self.openmetrics_value(text).map(Entry::Series)
    }

    /// What stands behind name and labels, up to the end of the line.
    fn openmetrics_value(&mut self, text: &'a [u8]) -> Result<SeriesLine<'a>, &'static str> {
        let value = self.openmetrics_number().ok_or("expected value after metric")?;
        let mut line =
            SeriesLine { text, value: parse_float(value).ok_or("invalid value")?, timestamp_ms: None, exemplar: None };
        if !self.cursor.body[self.cursor.at..].starts_with(b" # {") {
            line.timestamp_ms = self.openmetrics_timestamp()?;
        }
        if self.cursor.take_text(b" # {") {
            line.exemplar = Some(self.openmetrics_exemplar()?);
        }
        if self.cursor.peek().is_none() {
            return Err("data does not end with # EOF");
        }
        if !self.cursor.take(b'\n') {
            return Err("expected next entry");
        }
        Ok(line)
    }

    fn openmetrics_exemplar(&mut self) -> Result<RawExemplar, &'static str> {
        self.openmetrics_braces(true)?;
        let value = self.openmetrics_number().ok_or("expected value after exemplar labels")?;
        let value = parse_float(value).ok_or("invalid exemplar value")?;
        Ok(RawExemplar { value, timestamp_ms: self.openmetrics_timestamp()? })
    }

    /// A blank and what follows it up to the next blank or line end.
    fn openmetrics_number(&mut self) -> Option<&'a [u8]> {
        let start = self.cursor.at;
        if !self.cursor.take(b' ') {
            return None;
        }
        let text = self.cursor.take_while(|c| c != b' ' && c != b'\n');
        if text.is_empty() {
            self.cursor.at = start;
            return None;
        }
        Some(text)
    }

    /// Seconds with a fraction, given as milliseconds.
    fn openmetrics_timestamp(&mut self) -> Result<Option<i64>, &'static str> {
        let Some(text) = self.openmetrics_number() else { return Ok(None) };
        let seconds = parse_float(text).filter(|s| s.is_finite()).ok_or("invalid timestamp")?;
        #[allow(clippy::cast_possible_truncation, reason = "a float cast saturates, as far as a time can go")]
        let ms = (seconds * 1000.0) as i64;
        Ok(Some(ms))
    }

    /// Inside braces, the opening one taken. No blanks; one trailing comma is allowed.
    fn openmetrics_braces(&mut self, is_exemplar: bool) -> Result<(), &'static str> {
        loop {
            if self.cursor.take(b'}') {
                return Ok(());
            }
            let quoted = self.cursor.peek() == Some(b'"');
            let label = self.brace_name(true)?;
            match self.cursor.peek() {
                Some(c @ (b',' | b'}')) if !is_exemplar => {
                    self.set_quoted_name(label, quoted)?;
                    self.cursor.at += 1;
                    if c == b'}' {
                        return Ok(());
                    }
                    continue;
                }
                Some(b'=') => self.cursor.at += 1,
                _ => return Err("expected equal"),
            }
            let value = self.label_value(false)?;
            let pairs = if is_exemplar { &mut self.exemplar_pairs } else { &mut self.pairs };
            pairs.extend([label, value]);
            if !self.cursor.take(b',') && self.cursor.peek() != Some(b'}') {
                return Err("expected comma or brace close");
            }
        }
    }
}

/// `a"1"`, `a.b 1`: the value must be set off from a bare name by a blank, or stand behind a brace.
fn is_name_glued(series: &[u8], value: &[u8]) -> bool {
    let glued = std::ptr::eq(series.as_ptr_range().end, value.as_ptr());
    glued && series.last() != Some(&b'}')
}

fn openmetrics_type(text: &str) -> Option<MetricType> {
    Some(match text {
        "counter" => MetricType::Counter,
        "gauge" => MetricType::Gauge,
        "histogram" => MetricType::Histogram,
        "gaugehistogram" => MetricType::GaugeHistogram,
        "summary" => MetricType::Summary,
        "info" => MetricType::Info,
        "stateset" => MetricType::StateSet,
        "unknown" => MetricType::Unknown,
        _ => return None,
    })
}
