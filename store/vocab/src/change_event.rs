//! Change events: what was done to the platform, by whom, and when. One record type for all of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::time::TimestampMs;

/// What kind of change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChangeKind {
    /// A new version was rolled out.
    Deploy,
    /// Replicas were added or removed.
    Scale,
    /// Something was restarted or died and came back.
    Restart,
    /// The kernel killed a process for memory.
    OomKill,
    /// A configuration changed.
    Config,
    /// A host or replica joined or left.
    Membership,
    /// An alert fired or resolved.
    Alert,
    /// A log pattern never seen before.
    NewLogPattern,
}

impl ChangeKind {
    /// The word in rows and URLs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deploy => "deploy",
            Self::Scale => "scale",
            Self::Restart => "restart",
            Self::OomKill => "oom_kill",
            Self::Config => "config",
            Self::Membership => "membership",
            Self::Alert => "alert",
            Self::NewLogPattern => "new_log_pattern",
        }
    }

    /// Reads the word back.
    pub fn parse(word: &str) -> Option<Self> {
        [
            Self::Deploy,
            Self::Scale,
            Self::Restart,
            Self::OomKill,
            Self::Config,
            Self::Membership,
            Self::Alert,
            Self::NewLogPattern,
        ]
        .into_iter()
        .find(|k| k.as_str() == word)
    }
}

/// One change.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChangeEvent {
    /// When it happened.
    pub time_ms: TimestampMs,
    /// What kind.
    pub kind: ChangeKind,
    /// The cluster.
    pub cluster: String,
    /// The service it concerns; empty when it concerns none.
    pub service: String,
    /// The host, replica, container or file it concerns; empty when none.
    pub subject: String,
    /// Who or what did it: `autoscaler`, `kernel`, a user.
    pub actor: String,
    /// One sentence.
    pub summary: String,
    /// Further facts: `from`, `to`, `decision_id` …
    pub details: BTreeMap<String, String>,
}
