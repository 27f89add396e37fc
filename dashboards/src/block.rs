//! Prometheus's block folders: an index (version 2), chunk segments, tombstones and `meta.json`.
//!
//! [`BlockReader`] goes through the series of a block in the index's order, [`BlockWriter`] makes a block that Prometheus and
//! promtool open. Every section is checked by its checksum; a damaged one is an error that names file and offset.

mod bytes;
mod reader;
mod writer;

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use vocab::TimestampMs;

pub use reader::{BlockReader, BlockSeries, ChunkRef};
pub use writer::BlockWriter;

/// First bytes of an index.
const INDEX_MAGIC: u32 = 0xBAAA_D700;
/// The version of indexes that is read and written.
const INDEX_VERSION: u8 = 2;
/// First bytes of a chunk segment.
const SEGMENT_MAGIC: u32 = 0x85BD_40DD;
/// First bytes of a tombstones file.
const TOMBSTONES_MAGIC: u32 = 0x0130_BA30;
/// Bytes of an index's table of contents: six offsets and a checksum.
const TOC_BYTES: usize = 6 * 8 + 4;
/// Largest index that is read: it is held in memory.
const INDEX_BYTES_MAX: u64 = 4 << 30;

/// Why a block cannot be read or written.
#[derive(Debug, Error)]
pub enum BlockError {
    /// A file could not be read or written.
    #[error("cannot access {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be.
    #[error("{path} is damaged at byte {offset}: {what}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where.
        offset: usize,
        /// What is wrong.
        what: String,
    },
    /// A block that is to be written cannot be.
    #[error("cannot write block: {0}")]
    Refused(String),
}

/// What `meta.json` says of a block; what else stands there is passed over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockMeta {
    /// Its name.
    pub ulid: String,
    /// Its first time.
    pub min_time: TimestampMs,
    /// The time that is after all of its samples.
    pub max_time: TimestampMs,
    /// What it holds.
    #[serde(default)]
    pub stats: BlockStats,
    /// The version of this file.
    pub version: u32,
    /// How it came to be.
    #[serde(default)]
    pub compaction: BlockCompaction,
}

/// What a block holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BlockStats {
    /// Samples.
    pub num_samples: u64,
    /// Series.
    pub num_series: u64,
    /// Chunks.
    pub num_chunks: u64,
}

/// How a block came to be.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct BlockCompaction {
    /// How often it was merged.
    pub level: u32,
    /// From which blocks.
    pub sources: Vec<String>,
}

/// The next multiple of `to`.
fn align(at: usize, to: usize) -> usize {
    at.div_ceil(to) * to
}

#[cfg(test)]
mod tests;
