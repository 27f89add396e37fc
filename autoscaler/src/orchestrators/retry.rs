//! What is tried again, and how often: one rule for every orchestrator behind HTTP.

use std::time::Duration;

use rand::Rng;
use vocab::Clock;

use super::rest::{Answer, Words};
use crate::error::OrchestratorError;

/// Tries of a change whose object has moved meanwhile: it moves by itself during a rolling update, so that one more read is
/// usually enough.
const STALE_TRIES_MAX: u32 = 5;
/// Tries of a call that broke off or was put off. The next round comes anyway; more would only delay it.
const BROKEN_TRIES_MAX: u32 = 3;
/// Longest random wait before an object that has moved is read again, in milliseconds.
const STALE_WAIT_MS_MAX: u64 = 250;
/// Longest random wait before the second try of a broken call, in milliseconds; doubled for each further one.
const BROKEN_WAIT_MS_MAX: u64 = 400;
/// No try begins later than this after the first: a round waits for 20 s at most.
const BUDGET: Duration = Duration::from_secs(12);

/// What one more try could change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Again {
    /// Nothing: the same request will fail the same way.
    Never,
    /// The object has moved; read it and decide again.
    Stale,
    /// The call broke off or was put off, for as long as the server says.
    Broken(Option<Duration>),
}

/// A failed call.
#[derive(Debug)]
pub(crate) struct CallError {
    pub(crate) error: OrchestratorError,
    pub(crate) again: Again,
}

impl CallError {
    /// A failure that stays one.
    pub(crate) fn never(error: OrchestratorError) -> Self {
        Self { error, again: Again::Never }
    }

    /// An object that has moved.
    pub(crate) fn stale(error: OrchestratorError) -> Self {
        Self { error, again: Again::Stale }
    }

    /// A call without an answer.
    pub(crate) fn broken(error: OrchestratorError) -> Self {
        Self { error, again: Again::Broken(None) }
    }

    /// The failure that a status says, in the server's words.
    pub(crate) fn refused(orchestrator: &'static str, answer: &Answer, words: &Words) -> Self {
        let error = OrchestratorError::Refused { orchestrator, status: answer.status, message: words.0.clone() };
        let again = match answer.status {
            408 | 429 | 500..=599 => Again::Broken(answer.retry_after),
            _ => Again::Never,
        };
        Self { error, again }
    }
}

impl From<OrchestratorError> for CallError {
    fn from(error: OrchestratorError) -> Self {
        Self::never(error)
    }
}

/// Calls until it succeeds, cannot, or has been tried often enough.
pub(crate) async fn with_retries<T, F, C>(clock: &dyn Clock, call: F) -> Result<T, OrchestratorError>
where
    F: Fn() -> C,
    C: Future<Output = Result<T, CallError>>,
{
    let start = clock.monotonic();
    let (mut stale, mut broken) = (1, 1);
    loop {
        let failed = match call().await {
            Ok(value) => return Ok(value),
            Err(failed) => failed,
        };
        let wait = match failed.again {
            Again::Stale if stale < STALE_TRIES_MAX => {
                stale += 1;
                random_ms(STALE_WAIT_MS_MAX)
            }
            Again::Broken(asked) if broken < BROKEN_TRIES_MAX => {
                let wait = random_ms(BROKEN_WAIT_MS_MAX << (broken - 1));
                broken += 1;
                asked.map_or(wait, |asked| asked + random_ms(STALE_WAIT_MS_MAX))
            }
            _ => return Err(failed.error),
        };
        if clock.monotonic().saturating_sub(start) + wait > BUDGET {
            return Err(failed.error);
        }
        clock.sleep(wait).await;
    }
}

fn random_ms(max: u64) -> Duration {
    Duration::from_millis(rand::rng().random_range(1..=max))
}
