//! Log records.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::labels::Labels;

/// How serious a log record is; the order is that of syslog turned round, so that `>=` means "at least as serious".
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Not stated.
    #[default]
    Unknown,
    /// For developers, very chatty.
    Trace,
    /// For developers.
    Debug,
    /// Normal operation.
    Info,
    /// Normal but significant.
    Notice,
    /// Surprising, nothing lost yet.
    Warning,
    /// Something failed.
    Error,
    /// A critical condition.
    Critical,
    /// Someone must act now.
    Alert,
    /// The system is unusable.
    Emergency,
}

impl Severity {
    /// All severities from the least to the most serious.
    pub const ALL: [Self; 10] = [
        Self::Unknown,
        Self::Trace,
        Self::Debug,
        Self::Info,
        Self::Notice,
        Self::Warning,
        Self::Error,
        Self::Critical,
        Self::Alert,
        Self::Emergency,
    ];

    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Trace => "trace",
            Self::Debug => "debug",
            Self::Info => "info",
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
            Self::Alert => "alert",
            Self::Emergency => "emergency",
        }
    }

    /// From a syslog priority number (RFC 5424: 0 emergency … 7 debug); anything else is unknown.
    pub fn from_syslog(number: u8) -> Self {
        match number {
            0 => Self::Emergency,
            1 => Self::Alert,
            2 => Self::Critical,
            3 => Self::Error,
            4 => Self::Warning,
            5 => Self::Notice,
            6 => Self::Info,
            7 => Self::Debug,
            _ => Self::Unknown,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Severity {
    type Err = ();
    /// Reads the words that programs really write, in any case; `Err` when the word is none of them.
    fn from_str(word: &str) -> Result<Self, ()> {
        let is = |names: &[&str]| names.iter().any(|n| word.eq_ignore_ascii_case(n));
        Ok(match word {
            _ if is(&["trace", "finest", "trc"]) => Self::Trace,
            _ if is(&["debug", "dbg", "fine", "d"]) => Self::Debug,
            _ if is(&["info", "information", "inf", "i", "informational"]) => Self::Info,
            _ if is(&["notice", "n"]) => Self::Notice,
            _ if is(&["warning", "warn", "wrn", "w"]) => Self::Warning,
            _ if is(&["error", "err", "e", "severe"]) => Self::Error,
            _ if is(&["critical", "crit", "fatal", "c", "f", "dpanic"]) => Self::Critical,
            _ if is(&["alert"]) => Self::Alert,
            _ if is(&["emergency", "emerg", "panic"]) => Self::Emergency,
            _ if is(&["unknown"]) => Self::Unknown,
            _ => return Err(()),
        })
    }
}

/// One log record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct LogRecord {
    /// Nanoseconds since the Unix epoch.
    pub time_ns: i64,
    /// The service that wrote it, as the identity resolver says; empty when unknown.
    pub service: String,
    /// Its severity.
    pub severity: Severity,
    /// The message.
    pub body: String,
    /// Few and low in cardinality: cluster, host, source, file …
    pub labels: Labels,
    /// Parsed out of the body: many, any cardinality, sorted by name.
    pub fields: Vec<(String, String)>,
    /// The mined pattern's id; 0 before the pattern stage has seen the record.
    pub pattern_id: u64,
}

impl LogRecord {
    /// The value of a field.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }

    /// Bytes this holds on the heap; for queues and reservations.
    pub fn heap_bytes(&self) -> usize {
        std::mem::size_of::<Self>()
            + self.service.len()
            + self.body.len()
            + self.fields.iter().map(|(n, v)| 48 + n.len() + v.len()).sum::<usize>()
    }
}
