//! Errors of the analyzer.

use vocab::{ErrorKind, PortError};

/// Why a rule could not be evaluated.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RuleError {
    /// The expression failed.
    #[error("{0}")]
    Query(promql::QueryError),
    /// The expression's value is of a kind that no rule can use.
    #[error("rule result is not a vector or scalar")]
    NotAVector,
    /// Two samples have the same labels once the rule's are applied.
    #[error("vector contains metrics with the same labelset after applying rule labels: {0}")]
    DuplicateLabels(String),
    /// More series or alerts than the group's `limit`.
    #[error("exceeded limit of {limit} with {got} {what}")]
    Limit {
        /// The group's limit.
        limit: usize,
        /// How many there were.
        got: usize,
        /// `series` or `alerts`.
        what: &'static str,
    },
    /// The results could not be written.
    #[error("results could not be written")]
    Write(#[source] PortError),
}

impl RuleError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Query(error) => error.kind(),
            Self::NotAVector | Self::DuplicateLabels(_) => ErrorKind::Execution,
            Self::Limit { .. } => ErrorKind::Limit,
            Self::Write(error) => error.kind(),
        }
    }
}

/// Why a report could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    /// The range has no length.
    #[error("the report's range is empty: {from_ms} to {to_ms}")]
    EmptyRange {
        /// Start, in milliseconds.
        from_ms: i64,
        /// End, in milliseconds.
        to_ms: i64,
    },
    /// There are no words for the language.
    #[error("unknown language {0:?}: want en or zh")]
    UnknownLanguage(String),
    /// The store or the catalog did not answer.
    #[error("the report's data could not be read")]
    Read(#[source] PortError),
    /// The template failed.
    #[error("the report's page could not be made")]
    Render(#[source] minijinja::Error),
}

impl From<ReportError> for PortError {
    fn from(error: ReportError) -> Self {
        let kind = match &error {
            ReportError::EmptyRange { .. } | ReportError::UnknownLanguage(_) => ErrorKind::Invalid,
            ReportError::Read(cause) => cause.kind(),
            ReportError::Render(_) => ErrorKind::Internal,
        };
        let message = error.to_string();
        Self::with_source(kind, message, error)
    }
}
