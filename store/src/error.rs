//! What can go wrong when the store is opened, flushed or compacted.

use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use vocab::{ErrorKind, PortError};

use crate::codec::CodecError;
use crate::wal::WalError;

/// Why the metric store could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
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
    /// Another process has the data folder open.
    #[error("the data folder {path} is in use by process {pid}; stop that process or choose another --data-dir")]
    Locked {
        /// The folder.
        path: PathBuf,
        /// The other process, as it noted itself; `unknown` when it did not.
        pid: String,
    },
    /// The write-ahead log failed.
    #[error("the write-ahead log failed")]
    Wal(#[from] WalError),
    /// A block could not be written as Parquet.
    #[error("cannot write the Parquet file {path}")]
    Parquet {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: ParquetError,
    },
    /// A file of a block is damaged.
    #[error("{path} is damaged: {why}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        why: String,
    },
    /// Samples could not be encoded or decoded.
    #[error("cannot encode or decode samples")]
    Codec(#[from] CodecError),
    /// The store was closed, or a background task ended early.
    #[error("the metric store is closed")]
    Closed,
    /// A query ended before its data was read.
    #[error(transparent)]
    Port(#[from] PortError),
}

impl StoreError {
    pub(crate) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, why: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), why: why.into() }
    }

    /// Whether the disk is full.
    pub fn is_disk_full(&self) -> bool {
        match self {
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            Self::Wal(error) => error.is_disk_full(),
            Self::Parquet { source: ParquetError::External(source), .. } => {
                let source = source.downcast_ref::<io::Error>();
                source.is_some_and(|e| {
                    matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
                        // The writer may have wrapped its cause.
                        || e.to_string().contains("os error 28")
                })
            }
            Self::Parquet { source, .. } => source.to_string().contains("os error 28"),
            _ => false,
        }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Io { .. } | Self::Parquet { .. } | Self::Closed | Self::Locked { .. } => ErrorKind::Unavailable,
            Self::Wal(error) => error.kind(),
            Self::Damaged { .. } | Self::Codec(_) => ErrorKind::Internal,
            Self::Port(error) => error.kind(),
        }
    }
}

impl From<StoreError> for PortError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Port(error) => error,
            StoreError::Wal(error) => error.into(),
            error if error.is_disk_full() => Self::with_source(ErrorKind::Unavailable, "the disk is full", error),
            error => Self::with_source(error.kind(), error.to_string(), error),
        }
    }
}
