//! What can go wrong with a log.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use vocab::{ErrorKind, PortError};

/// Why a log could not be opened, written or cut.
#[derive(Debug, Clone, thiserror::Error)]
pub enum WalError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed; shared because it answers a whole group of appenders.
        #[source]
        source: Arc<io::Error>,
    },
    /// A record is empty or longer than the format allows.
    #[error("a record has {bytes} bytes, 1 to {} are possible", super::RECORD_BYTES_MAX)]
    RecordTooLarge {
        /// Its length.
        bytes: usize,
    },
    /// The log was closed.
    #[error("the write-ahead log is closed")]
    Closed,
}

impl WalError {
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source: Arc::new(source) }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Closed => ErrorKind::Unavailable,
            Self::RecordTooLarge { .. } => ErrorKind::Limit,
        }
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        matches!(self, Self::Io { source, .. }
            if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded))
    }
}

impl From<WalError> for PortError {
    fn from(error: WalError) -> Self {
        let message = if error.is_disk_full() {
            "writes are refused: the disk is full".to_owned()
        } else {
            format!("writes are refused: {error}")
        };
        Self::with_source(error.kind(), message, error)
    }
}
