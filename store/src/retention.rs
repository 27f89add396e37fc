//! Which blocks have to go.

use ulid::Ulid;
use vocab::TimestampMs;

use crate::block::BlockMeta;

/// What may stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retention {
    /// Most bytes of all blocks.
    pub(crate) bytes_max: u64,
    /// Blocks whose newest sample is older go.
    pub(crate) oldest_ms: Option<TimestampMs>,
}

/// Chooses the blocks that go: those that are too old, then the oldest until the rest fits.
pub(crate) fn choose(blocks: &[&BlockMeta], retention: Retention) -> Vec<Ulid> {
    let mut oldest_first = blocks.to_vec();
    oldest_first.sort_by_key(|m| (m.max_time_ms, m.ulid));
    let mut left: u64 = blocks.iter().map(|m| m.num_bytes()).sum();
    let goes = |m: &&&BlockMeta| {
        let too_old = retention.oldest_ms.is_some_and(|oldest| m.max_time_ms < oldest);
        let goes = too_old || left > retention.bytes_max;
        if goes {
            left -= m.num_bytes();
        }
        goes
    };
    oldest_first.iter().filter(goes).map(|m| m.ulid).collect()
}

#[cfg(test)]
mod tests;
