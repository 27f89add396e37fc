//! What can go wrong with orchestrators and balancers.

use vocab::{ErrorKind, PortError};

/// A failure of an orchestrator.
#[derive(Debug, thiserror::Error)]
pub enum OrchestratorError {
    /// It does not run such a service.
    #[error("{orchestrator} runs no service {service:?}")]
    UnknownService {
        /// The orchestrator's kind.
        orchestrator: &'static str,
        /// The service.
        service: String,
    },
    /// The service has no number of replicas that could be changed.
    #[error("service {service:?} cannot be scaled: {reason}")]
    NotScalable {
        /// The service.
        service: String,
        /// Why.
        reason: String,
    },
    /// A single replica cannot be chosen to end.
    #[error("it cannot be ended alone: {reason}")]
    NotReplaceable {
        /// Why.
        reason: String,
    },
    /// Someone else has changed the replicas meanwhile.
    #[error("replicas of {service:?} were changed by someone else: {expected} expected, {found} found")]
    Conflict {
        /// The service.
        service: String,
        /// Replicas that were expected.
        expected: u32,
        /// Replicas that were found.
        found: u32,
    },
    /// It does not answer.
    #[error("{orchestrator} at {endpoint} does not answer")]
    Unreachable {
        /// The orchestrator's kind.
        orchestrator: &'static str,
        /// Where it should be.
        endpoint: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// It refused.
    #[error("{orchestrator} refused with status {status}: {message}")]
    Refused {
        /// The orchestrator's kind.
        orchestrator: &'static str,
        /// HTTP status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// Its answer could not be understood.
    #[error("{orchestrator} gave an answer without {missing}")]
    Malformed {
        /// The orchestrator's kind.
        orchestrator: &'static str,
        /// What was looked for.
        missing: &'static str,
    },
    /// Another change of the service is under way; nothing was changed, and later it can be.
    #[error("service {service:?} cannot be changed now: {reason}")]
    Busy {
        /// The service.
        service: String,
        /// What is under way.
        reason: String,
    },
    /// What is configured cannot be used.
    #[error("{orchestrator} cannot be used as it is configured: {reason}")]
    Misconfigured {
        /// The orchestrator's kind.
        orchestrator: &'static str,
        /// What is wrong and what would be right.
        reason: String,
    },
    /// It has not answered several times in a row and is left alone for a while.
    #[error(
        "{orchestrator} of cluster {cluster:?} is left alone for {wait_seconds} s after {failures} failures in a row, the last: {last}"
    )]
    Open {
        /// The orchestrator's kind.
        orchestrator: &'static str,
        /// Its cluster.
        cluster: String,
        /// Failures in a row.
        failures: u32,
        /// Seconds until it is asked again.
        wait_seconds: u64,
        /// The last failure.
        last: String,
    },
    /// The catalog, which keeps the process table, failed; nothing was changed.
    #[error("the process table could not be kept")]
    Catalog {
        /// Why.
        #[from]
        source: PortError,
    },
}

impl OrchestratorError {
    /// What a caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::UnknownService { .. } => ErrorKind::NotFound,
            Self::NotScalable { .. } | Self::NotReplaceable { .. } => ErrorKind::Invalid,
            Self::Conflict { .. } | Self::Busy { .. } => ErrorKind::Conflict,
            Self::Unreachable { .. } => ErrorKind::Unavailable,
            Self::Open { .. } | Self::Refused { status: 408 | 429 | 500..=599, .. } => ErrorKind::Unavailable,
            Self::Refused { status: 401 | 403, .. } => ErrorKind::Forbidden,
            Self::Refused { status: 404, .. } => ErrorKind::NotFound,
            Self::Refused { status: 409, .. } => ErrorKind::Conflict,
            Self::Refused { .. } | Self::Misconfigured { .. } => ErrorKind::Invalid,
            Self::Malformed { .. } => ErrorKind::Internal,
            Self::Catalog { source } => source.kind(),
        }
    }
}

/// A failure of a balancer.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// It does not answer.
    #[error("the balancer's socket {socket} does not answer")]
    Unreachable {
        /// The socket.
        socket: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// It answered something else than expected.
    #[error("the balancer refused `{command}`: {answer}")]
    Refused {
        /// What was asked.
        command: String,
        /// Its words.
        answer: String,
    },
    /// The backend is not there or has no slots.
    #[error(
        "backend {backend:?} has no server slots called {prefix}1, {prefix}2 …; add `server-template {prefix} 1-20 127.0.0.1:1 check disabled`"
    )]
    NoSlots {
        /// The backend.
        backend: String,
        /// Prefix of the slots.
        prefix: String,
    },
}
