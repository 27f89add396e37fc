//! Alerts: one row per rule and label set, from pending to resolved.

use serde::{Deserialize, Serialize};

use crate::labels::Labels;
use crate::time::TimestampMs;

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AlertState {
    /// The expression does not hold.
    Inactive,
    /// It holds, but not yet for long enough.
    Pending,
    /// It holds for at least `for`.
    Firing,
    /// It fired and no longer holds.
    Resolved,
}

impl AlertState {
    /// The lower-case word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Inactive => "inactive",
            Self::Pending => "pending",
            Self::Firing => "firing",
            Self::Resolved => "resolved",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Inactive, Self::Pending, Self::Firing, Self::Resolved].into_iter().find(|s| s.as_str() == word)
    }
}

/// One alert. `(group, rule, fingerprint, active_at_ms)` is its key: an alert that fires again is a new row.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Alert {
    /// Rule group.
    pub group: String,
    /// Rule name (`alertname`).
    pub rule: String,
    /// Stable hash of `labels`, 16 hexadecimal digits.
    pub fingerprint: String,
    /// Labels, `alertname` included.
    pub labels: Labels,
    /// Annotations with their templates filled in.
    pub annotations: Labels,
    /// Where it stands.
    pub state: AlertState,
    /// The expression's last value.
    pub value: f64,
    /// The rule's expression.
    pub expression: String,
    /// Since when the expression holds.
    pub active_at_ms: TimestampMs,
    /// Since when it fires.
    pub fired_at_ms: Option<TimestampMs>,
    /// When it resolved.
    pub resolved_at_ms: Option<TimestampMs>,
    /// When it was last evaluated.
    pub updated_at_ms: TimestampMs,
    /// The ticket it opened or joined.
    pub ticket_id: Option<i64>,
}
