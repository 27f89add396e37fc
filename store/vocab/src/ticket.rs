//! Tickets: what someone has to look at, with a timeline of machine and people.

use serde::{Deserialize, Serialize};

use crate::time::TimestampMs;

/// Where a ticket stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TicketState {
    /// Nobody has it yet.
    Open,
    /// Someone has it.
    Acknowledged,
    /// Its cause is gone.
    Resolved,
    /// A person has closed it.
    Closed,
}

impl TicketState {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Acknowledged => "acknowledged",
            Self::Resolved => "resolved",
            Self::Closed => "closed",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Open, Self::Acknowledged, Self::Resolved, Self::Closed].into_iter().find(|s| s.as_str() == word)
    }
}

/// One entry of a ticket's timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TicketEntry {
    /// When.
    pub time_ms: TimestampMs,
    /// `tidewatch` or a person's name.
    pub actor: String,
    /// What happened, one sentence.
    pub text: String,
}

/// A ticket with its timeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ticket {
    /// Its number, given by the catalog; 0 in a ticket that is yet to be created.
    pub id: i64,
    /// Alerts of the same key go to the same ticket while it is not closed.
    pub dedup_key: String,
    /// One line.
    pub title: String,
    /// `critical`, `warning`, `info` (from the alert's `severity` label; `warning` when it has none).
    pub severity: String,
    /// The service it concerns; empty for none.
    pub service: String,
    /// Where it stands.
    pub state: TicketState,
    /// Who has it; empty for nobody.
    pub owner: String,
    /// When it was opened.
    pub opened_at_ms: TimestampMs,
    /// When anything last changed.
    pub updated_at_ms: TimestampMs,
    /// When it was resolved or closed.
    pub resolved_at_ms: Option<TimestampMs>,
    /// What happened, oldest first.
    pub timeline: Vec<TicketEntry>,
    /// PromQL expressions that show the evidence.
    pub evidence: Vec<String>,
}
