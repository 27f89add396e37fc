//! Inspection reports as the catalog keeps them.

use serde::{Deserialize, Serialize};

use crate::time::TimestampMs;

/// What a list of reports shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReportHead {
    /// Its number, given by the catalog; 0 in a report that is yet to be stored.
    pub id: i64,
    /// One line.
    pub title: String,
    /// What it is about: `inspection` or the service of a single-service report.
    pub subject: String,
    /// `en` or `zh`.
    pub language: String,
    /// Start of the time it covers.
    pub from_ms: TimestampMs,
    /// End of the time it covers.
    pub to_ms: TimestampMs,
    /// When it was written.
    pub created_at_ms: TimestampMs,
    /// The finding in one sentence.
    pub summary: String,
}

/// A report with its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// What a list shows.
    pub head: ReportHead,
    /// One self-contained HTML file.
    pub html: String,
    /// The same as Markdown.
    pub markdown: String,
}
