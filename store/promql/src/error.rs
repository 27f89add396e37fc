//! Errors of parsing and of evaluation.

use std::ops::Range;

use thiserror::Error;
use vocab::{ErrorKind, PortError};

/// Why a text is not a PromQL expression, and where.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{line}:{column}: parse error: {message}")]
pub struct ParseError {
    /// Bytes of the text that the error is about; empty at the end of input.
    pub span: Range<usize>,
    /// Line of the span's start, from 1.
    pub line: usize,
    /// Character within that line, from 1.
    pub column: usize,
    /// What is wrong, as Prometheus words it.
    pub message: String,
}

impl ParseError {
    /// An error about a part of `text`.
    pub fn new(text: &str, span: Range<usize>, message: impl Into<String>) -> Self {
        let (line, column) = position(text, span.start);
        Self { span, line, column, message: message.into() }
    }
}

/// Line and character (both from 1) of a byte offset.
pub fn position(text: &str, offset: usize) -> (usize, usize) {
    let mut end = offset.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let before = &text[..end];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

impl From<ParseError> for PortError {
    fn from(error: ParseError) -> Self {
        Self::new(ErrorKind::Invalid, error.to_string())
    }
}

/// Why a query could not be evaluated.
#[derive(Debug, Clone, Error)]
#[error("{message}")]
pub struct QueryError {
    kind: ErrorKind,
    message: String,
    /// Bytes of the query that the error is about, where that is known.
    pub span: Option<Range<usize>>,
}

impl QueryError {
    /// [`ErrorKind::Execution`] with a message.
    pub fn execution(message: impl Into<String>) -> Self {
        Self { kind: ErrorKind::Execution, message: message.into(), span: None }
    }

    /// An error of a kind.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), span: None }
    }

    /// The same error with a span, unless it has one.
    #[must_use]
    pub fn at(mut self, span: &Range<usize>) -> Self {
        self.span.get_or_insert_with(|| span.clone());
        self
    }

    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// What went wrong.
    pub fn message(&self) -> &str {
        &self.message
    }
}

impl From<PortError> for QueryError {
    fn from(error: PortError) -> Self {
        Self { kind: error.kind(), message: error.to_string(), span: None }
    }
}

impl From<ParseError> for QueryError {
    fn from(error: ParseError) -> Self {
        Self { kind: ErrorKind::Invalid, message: error.to_string(), span: Some(error.span) }
    }
}

impl From<QueryError> for PortError {
    fn from(error: QueryError) -> Self {
        Self::new(error.kind, error.message)
    }
}
