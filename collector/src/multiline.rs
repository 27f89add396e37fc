//! Joins lines to records: a stack trace is one record, not forty.

use std::time::Duration;

use regex::Regex;

/// A record that is not continued for this long is complete.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(1);
/// Most lines of a record; what follows begins a new one.
const LINES_MAX: usize = 1000;

/// How lines are joined: a record begins with a line that matches, the others continue it.
#[derive(Debug, Clone)]
pub struct Multiline {
    start: Regex,
    /// A record that is not continued for this long is complete.
    pub timeout: Duration,
}

impl PartialEq for Multiline {
    fn eq(&self, other: &Self) -> bool {
        self.start.as_str() == other.start.as_str() && self.timeout == other.timeout
    }
}

impl Multiline {
    /// Compiles the pattern of a first line.
    ///
    /// # Errors
    /// A sentence when it is empty or does not compile.
    pub fn new(start: &str, timeout: Option<Duration>) -> Result<Self, String> {
        if start.is_empty() {
            return Err("want a regular expression that matches the first line of a record".to_owned());
        }
        let start = Regex::new(start).map_err(|e| format!("invalid regular expression {start:?}: {e}"))?;
        Ok(Self { start, timeout: timeout.unwrap_or(TIMEOUT_DEFAULT) })
    }

    /// Whether a line begins a record.
    pub fn is_start(&self, line: &str) -> bool {
        self.start.is_match(line)
    }
}

/// A record and the position after its last line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Joined {
    /// The text, lines separated by newlines.
    pub text: String,
    /// Position after it in its source.
    pub end: u64,
}

/// Joins the lines of one source.
#[derive(Debug, Default)]
pub struct Joiner {
    open: Option<(Joined, usize)>,
}

impl Joiner {
    /// Takes a line and gives the record that it completes, if any. `bytes_max` bounds a record.
    pub fn push(&mut self, rule: Option<&Multiline>, line: &str, end: u64, bytes_max: usize) -> Option<Joined> {
        let Some(rule) = rule else { return Some(Joined { text: line.to_owned(), end }) };
        if let Some((joined, num_lines)) = &mut self.open {
            let fits = *num_lines < LINES_MAX && joined.text.len() + line.len() < bytes_max;
            if !rule.is_start(line) && fits {
                joined.text.push('\n');
                joined.text.push_str(line);
                joined.end = end;
                *num_lines += 1;
                return None;
            }
        }
        self.open.replace((Joined { text: line.to_owned(), end }, 1)).map(|open| open.0)
    }

    /// Gives the open record: its time is up, or the source ends.
    pub fn flush(&mut self) -> Option<Joined> {
        self.open.take().map(|open| open.0)
    }

    /// Whether a record is open.
    pub fn is_open(&self) -> bool {
        self.open.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_one_record() {
        let rule = Multiline::new(r"^\d{4}-", None).expect("compiles");
        let mut joiner = Joiner::default();
        let mut records = Vec::new();
        for (index, line) in ["2026-01 boom", "  at a", "  at b", "2026-02 fine"].iter().enumerate() {
            records.extend(joiner.push(Some(&rule), line, index as u64, 1000));
        }
        records.extend(joiner.flush());
        let texts: Vec<_> = records.iter().map(|r| (r.text.as_str(), r.end)).collect();
        assert_eq!(texts, [("2026-01 boom\n  at a\n  at b", 2), ("2026-02 fine", 3)]);
        assert!(!joiner.is_open());
    }

    #[test]
    fn a_record_is_bounded() {
        let rule = Multiline::new("^never", None).expect("compiles");
        let mut joiner = Joiner::default();
        assert_eq!(joiner.push(Some(&rule), "aaaaaaaa", 1, 10), None);
        assert_eq!(joiner.push(Some(&rule), "bbbbbbbb", 2, 10).map(|r| r.text), Some("aaaaaaaa".to_owned()));
        assert!(Multiline::new("(", None).is_err() && Multiline::new("", None).is_err());
    }
}
