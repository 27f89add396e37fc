//! What can go wrong in the log engine.

use std::io;
use std::path::{Path, PathBuf};

use vocab::{ErrorKind, PortError};

use crate::wal::WalError;

/// Why the log engine could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A file operation failed.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The full-text index of a split cannot be written or read.
    #[error("the index of the split {split} cannot be used")]
    Index {
        /// The split's folder.
        split: PathBuf,
        /// What the index says.
        #[source]
        source: tantivy::TantivyError,
    },
    /// The records of a split cannot be written or read.
    #[error("the records of the split {split} cannot be used")]
    Records {
        /// The split's folder.
        split: PathBuf,
        /// What the file's reader or writer says.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A split does not hold what it should.
    #[error("the split {split} is damaged: {what}")]
    Damaged {
        /// The split's folder.
        split: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The write-ahead log cannot be used.
    #[error("the write-ahead log of log records cannot be used")]
    Wal(#[from] WalError),
    /// A background thread could not finish.
    #[error("a task of the log engine ended without an answer")]
    Task,
}

impl LogError {
    pub(crate) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(crate) fn damaged(split: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { split: split.to_owned(), what: what.into() }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Wal(error) => error.kind(),
            _ if self.is_disk_full() => ErrorKind::Unavailable,
            _ => ErrorKind::Internal,
        }
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        let full = |e: &io::Error| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            Self::Wal(error) => error.is_disk_full(),
            Self::Io { source, .. } => full(source),
            Self::Index { source: tantivy::TantivyError::IoError(error), .. } => full(error),
            Self::Records { source: parquet::errors::ParquetError::External(error), .. } => {
                error.downcast_ref::<io::Error>().is_some_and(full)
            }
            _ => false,
        }
    }

    /// Whether reading a split failed in a way that trying again will not mend.
    pub(crate) fn is_damage(&self) -> bool {
        matches!(self, Self::Index { .. } | Self::Records { .. } | Self::Damaged { .. })
            || matches!(self, Self::Io { source, .. }
                if matches!(source.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof))
    }
}

impl From<LogError> for PortError {
    fn from(error: LogError) -> Self {
        let message =
            if error.is_disk_full() { "writes are refused: the disk is full".to_owned() } else { error.to_string() };
        Self::with_source(error.kind(), message, error)
    }
}
