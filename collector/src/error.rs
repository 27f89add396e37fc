//! What can go wrong, per operation.

use thiserror::Error;
use vocab::{ErrorKind, PortError};

use crate::exposition::{LabelError, ParseError, ProtobufError};

/// Why a scrape failed.
#[derive(Debug, Error)]
pub enum ScrapeError {
    /// The target did not answer, or not as it should.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// The body has a mistake.
    #[error("{0}")]
    Parse(#[from] ParseError),
    /// The protobuf body has a mistake.
    #[error(transparent)]
    Protobuf(#[from] ProtobufError),
    /// A series has a mistake.
    #[error("line {line}: {source}")]
    Labels {
        /// Which line.
        line: usize,
        /// What is wrong.
        source: LabelError,
    },
    /// A limit of the job was exceeded.
    #[error("{what} limit exceeded (limit: {limit})")]
    Limit {
        /// Which limit.
        what: &'static str,
        /// Its value.
        limit: u64,
    },
}

/// Why a target could not be fetched.
#[derive(Debug, Error)]
pub enum FetchError {
    /// The connection failed.
    #[error("Get {url:?}: {reason}")]
    Transport {
        /// What was fetched.
        url: String,
        /// Why it failed, all causes in one line.
        reason: String,
    },
    /// It took longer than the timeout.
    #[error("Get {url:?}: context deadline exceeded")]
    Timeout {
        /// What was fetched.
        url: String,
    },
    /// The answer was not 200.
    #[error("server returned HTTP status {0}")]
    Status(String),
    /// The body is larger than allowed.
    #[error("body size limit exceeded (limit: {0} bytes)")]
    BodyLimit(u64),
    /// The answer is in no format that is understood.
    #[error("received unsupported Content-Type {0:?} and no fallback_scrape_protocol specified for target")]
    ContentType(String),
    /// Credentials could not be read.
    #[error("cannot read {file}: {reason}")]
    Secret {
        /// The file.
        file: String,
        /// Why.
        reason: String,
    },
    /// The HTTP client could not be set up.
    #[error("cannot set up the HTTP client: {0}")]
    Client(String),
}

/// Why a source could not deliver. The sentence says what would help, where that is known.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file could not be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file or folder.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// An endpoint could not be fetched.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// What came is not what was expected.
    #[error("{0}")]
    Malformed(String),
    /// The store did not take it.
    #[error("cannot write to the store: {0}")]
    Write(#[from] PortError),
}

impl SourceError {
    /// A reading error with its path.
    pub(crate) fn read(path: &std::path::Path, source: std::io::Error) -> Self {
        Self::Read { path: path.display().to_string(), source }
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::NotFound => ErrorKind::NotFound,
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => ErrorKind::Forbidden,
            Self::Read { .. } | Self::Fetch(_) => ErrorKind::Unavailable,
            Self::Malformed(_) => ErrorKind::Invalid,
            Self::Write(error) => error.kind(),
        }
    }
}
