//! How the log engine is kept.

use std::path::PathBuf;
use std::time::Duration;

use crate::wal::FsyncPolicy;

/// Settings of the log engine.
#[derive(Debug, Clone)]
pub struct LogStoreConfig {
    /// Its folder; made when absent.
    pub dir: PathBuf,
    /// When written records are forced onto the device.
    pub fsync: FsyncPolicy,
    /// A head of this many bytes is written to a split. Search scans the head, so this also bounds what a scan costs.
    pub flush_bytes: usize,
    /// Records older than this in the head are written to a split, so that the WAL stays short.
    pub flush_age: Duration,
    /// Splits are merged while the result has at most this many bytes of text.
    pub split_bytes_max: u64,
    /// Splits are merged while the result has at most this many records.
    pub split_records_max: u64,
    /// Oldest splits are removed when all splits together have more than this many bytes on disk.
    pub retention_bytes: Option<u64>,
    /// Splits whose newest record is older than this are removed.
    pub retention_age: Option<Duration>,
}

impl LogStoreConfig {
    /// The usual settings for a folder.
    pub fn new(dir: PathBuf) -> Self {
        Self {
            dir,
            fsync: FsyncPolicy::default(),
            flush_bytes: 16 << 20,
            flush_age: Duration::from_secs(600),
            split_bytes_max: 192 << 20,
            split_records_max: 1_000_000,
            retention_bytes: None,
            retention_age: None,
        }
    }
}
