//! What `meta.json` says of a block.

use std::path::Path;

use serde::{Deserialize, Serialize};
use ulid::Ulid;
use vocab::{TenantId, TimestampMs};

use super::META_FILE;
use crate::error::StoreError;

/// Version of the format that is written.
pub(crate) const FORMAT_VERSION: u32 = 4;

/// Description of a block. Keys that a later version adds are ignored; a later `format_version` is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BlockMeta {
    pub(crate) format_version: u32,
    pub(crate) ulid: Ulid,
    pub(crate) tenant: TenantId,
    /// Oldest sample.
    pub(crate) min_time_ms: TimestampMs,
    /// Newest sample.
    pub(crate) max_time_ms: TimestampMs,
    pub(crate) num_series: u64,
    pub(crate) num_chunks: u64,
    pub(crate) num_samples: u64,
    /// How often its samples were merged: 0 for a block that came from the head.
    pub(crate) level: u32,
    /// Blocks whose samples are all in this one; they go when it is listed.
    pub(crate) replaces: Vec<Ulid>,
    /// The oldest block whose samples are in this one: of two values for one time the one that was written first stays.
    pub(crate) first_ulid: Ulid,
    pub(crate) created_at_ms: TimestampMs,
    /// Whether it was looked through for downsampling; its series have columns where that is worth it.
    #[serde(default)]
    pub(crate) downsampled: bool,
    pub(crate) samples_bytes: u64,
    pub(crate) index_bytes: u64,
    /// CRC32C of the index file.
    pub(crate) index_crc32c: u32,
}

impl BlockMeta {
    /// Reads and checks the description in a block's folder.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        let path = dir.join(META_FILE);
        let bytes = std::fs::read(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => StoreError::damaged(&path, "it is missing"),
            _ => StoreError::io("read", &path, e),
        })?;
        let meta: Self = serde_json::from_slice(&bytes).map_err(|e| StoreError::damaged(&path, e.to_string()))?;
        if meta.format_version > FORMAT_VERSION {
            let why =
                format!("format version {} is newer than {FORMAT_VERSION}, the newest known here", meta.format_version);
            return Err(StoreError::damaged(&path, why));
        }
        Ok(meta)
    }

    /// Bytes of the block on disk, the description itself left out.
    pub(crate) fn num_bytes(&self) -> u64 {
        self.samples_bytes + self.index_bytes
    }

    /// Whether it may hold samples of a time range.
    pub(crate) fn overlaps(&self, start: TimestampMs, end: TimestampMs) -> bool {
        self.min_time_ms <= end && self.max_time_ms >= start
    }
}
