//! The miner's state as a document, so that ids and templates outlive a restart.

use serde::{Deserialize, Serialize};

use super::{Miner, MinerLimits, Pattern};

/// Everything the miner knows, as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, Default)]
pub struct MinerState {
    /// Format version.
    pub version: u32,
    patterns: Vec<StoredPattern>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct StoredPattern {
    /// Hexadecimal: JSON numbers lose digits beyond 2^53 in other readers.
    id: String,
    service: String,
    tokens: Vec<String>,
    count: u64,
    first_seen_ms: i64,
    last_seen_ms: i64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    absorbed: Vec<String>,
}

/// The version written now.
const VERSION: u32 = 1;

impl Miner {
    /// What is known, to be stored.
    pub fn state(&self) -> MinerState {
        let hex = |id: &u64| format!("{id:016x}");
        let patterns = self
            .patterns
            .iter()
            .map(|p| StoredPattern {
                id: hex(&p.id),
                service: p.service.clone(),
                tokens: p.tokens.clone(),
                count: p.count,
                first_seen_ms: p.first_seen_ms,
                last_seen_ms: p.last_seen_ms,
                absorbed: p.absorbed.iter().map(hex).collect(),
            })
            .collect();
        MinerState { version: VERSION, patterns }
    }

    /// A miner that knows what was stored; rows that cannot be read are left out, and an unknown version is nothing.
    pub fn restore(limits: MinerLimits, state: MinerState) -> Self {
        let mut miner = Self::new(limits);
        if state.version != VERSION {
            return miner;
        }
        let id = |text: &str| u64::from_str_radix(text, 16).ok().filter(|&id| id != 0);
        let patterns = state
            .patterns
            .into_iter()
            .take(limits.patterns_max)
            .filter_map(|p| {
                Some(Pattern {
                    id: id(&p.id)?,
                    service: p.service,
                    tokens: p.tokens,
                    count: p.count,
                    first_seen_ms: p.first_seen_ms,
                    last_seen_ms: p.last_seen_ms,
                    absorbed: p.absorbed.iter().filter_map(|a| id(a)).collect(),
                })
            })
            .collect();
        miner.rebuild(patterns);
        miner
    }
}
