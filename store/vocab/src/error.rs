//! Error kinds and the error that crosses ports.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// What a caller can do about an error. Only the HTTP edge maps a kind to a status code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The thing asked for does not exist.
    NotFound,
    /// The request is wrong and will stay wrong.
    Invalid,
    /// The request is well formed but cannot be evaluated (PromQL's `execution` errors).
    Execution,
    /// The thing changed meanwhile; read again and retry.
    Conflict,
    /// Not now: overload, shutdown, a full disk, a peer that does not answer.
    Unavailable,
    /// A time limit passed.
    Timeout,
    /// The caller went away or the process is stopping.
    Cancelled,
    /// A named limit was reached; the message says which.
    Limit,
    /// The caller may not do this.
    Forbidden,
    /// A broken invariant or a damaged file.
    Internal,
}

/// The error of every port: a kind to act on, a sentence to read, and the cause.
///
/// `Display` says what this layer failed to do; the causes hang behind [`Error::source`].
#[derive(Debug, Clone)]
pub struct PortError {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn Error + Send + Sync>>,
}

/// A result with a [`PortError`].
pub type PortResult<T> = Result<T, PortError>;

impl PortError {
    /// An error without a cause.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    /// An error with its cause.
    pub fn with_source(
        kind: ErrorKind,
        message: impl Into<String>,
        source: impl Error + Send + Sync + 'static,
    ) -> Self {
        Self { kind, message: message.into(), source: Some(Arc::new(source)) }
    }

    /// [`ErrorKind::Invalid`] with a message.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    /// [`ErrorKind::NotFound`] with a message.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence, without the causes.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl fmt::Display for PortError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl Error for PortError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_ref().map(|s| s.as_ref() as &(dyn Error + 'static))
    }
}

/// An error and all its causes in one line, for logs.
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
