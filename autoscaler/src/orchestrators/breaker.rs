//! A circuit breaker around an orchestrator, so that a dead cluster costs the others nothing.
//!
//! After some failures in a row it is left alone for a while: calls fail at once and say so. Then one call is let through; when
//! it gets an answer (a refusal is one) all is as before, else the while doubles. Calls are bounded in time and number.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use vocab::error::chain;
use vocab::{Clock, ErrorKind};

use crate::error::OrchestratorError;
use crate::metrics::Metrics;
use crate::orchestrator::{Orchestrator, OrchestratorEvent, Room, ScaleChange, ServiceState};

/// Failures in a row after which it is left alone: each has been tried a few times already.
const FAILURES_MAX: u32 = 5;
/// How long it is left alone at first, and at most.
const PAUSE: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(120));
/// Longest a call may take, its retries and its wait for its turn included: less than a round waits.
const CALL_TIMEOUT: Duration = Duration::from_secs(18);
/// Calls under way at once: what a busy API server shares out to one client.
const CALLS_AT_ONCE_MAX: usize = 64;

/// Whether calls are let through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Closed,
    /// Left alone until then.
    Open(Duration),
    /// One call is under way to find out.
    Probing,
}

/// The state machine; knows no clock and no orchestrator.
#[derive(Debug)]
struct Breaker {
    state: State,
    failures: u32,
    pause: Duration,
    last: String,
}

/// What a result changed.
#[derive(Debug, PartialEq, Eq)]
enum Turned {
    Opened,
    Closed,
    Nothing,
}

impl Breaker {
    fn new() -> Self {
        Self { state: State::Closed, failures: 0, pause: PAUSE.0, last: String::new() }
    }

    /// Whether a call may go through, and whether it is the one that finds out; else how long none may.
    fn admit(&mut self, now: Duration) -> Result<bool, Duration> {
        match self.state {
            State::Closed => Ok(false),
            State::Open(until) if now < until => Err(until - now),
            State::Open(_) => {
                self.state = State::Probing;
                Ok(true)
            }
            State::Probing => Err(Duration::from_secs(1)),
        }
    }

    fn answered(&mut self) -> Turned {
        let was_open = self.state != State::Closed;
        *self = Self::new();
        if was_open { Turned::Closed } else { Turned::Nothing }
    }

    fn failed(&mut self, is_probe: bool, reason: String, now: Duration) -> Turned {
        self.failures = self.failures.saturating_add(1);
        self.last = reason;
        if is_probe {
            self.pause = (self.pause * 2).min(PAUSE.1);
            self.state = State::Open(now + self.pause);
        } else if self.state == State::Closed && self.failures >= FAILURES_MAX {
            self.state = State::Open(now + self.pause);
            return Turned::Opened;
        }
        Turned::Nothing
    }

    /// A finding-out call that was given up: the next one finds out.
    fn abandoned(&mut self, now: Duration) {
        if self.state == State::Probing {
            self.state = State::Open(now);
        }
    }

    fn number(&self) -> i64 {
        match self.state {
            State::Closed => 0,
            State::Probing => 1,
            State::Open(_) => 2,
        }
    }
}

/// An orchestrator behind a breaker.
#[derive(Debug)]
pub(crate) struct Guarded {
    name: String,
    inner: Arc<dyn Orchestrator>,
    breaker: Mutex<Breaker>,
    turns: Semaphore,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

/// Puts a finding-out call back when it is given up before its result.
struct Probe<'a> {
    guarded: &'a Guarded,
    is_over: bool,
}

impl Drop for Probe<'_> {
    fn drop(&mut self) {
        if !self.is_over {
            let mut breaker = self.guarded.breaker.lock();
            breaker.abandoned(self.guarded.clock.monotonic());
            self.guarded.show(&breaker);
        }
    }
}

impl Guarded {
    /// An orchestrator, under the name that policies use.
    pub(crate) fn new(name: &str, inner: Arc<dyn Orchestrator>, metrics: Metrics, clock: Arc<dyn Clock>) -> Self {
        let breaker = Mutex::new(Breaker::new());
        let guarded =
            Self { name: name.to_owned(), inner, breaker, turns: Semaphore::new(CALLS_AT_ONCE_MAX), metrics, clock };
        guarded.show(&guarded.breaker.lock());
        guarded
    }

    fn labels(&self) -> vocab::telemetry::LabelPairs {
        vec![("orchestrator", self.name.clone()), ("cluster", self.inner.cluster().to_owned())]
    }

    fn show(&self, breaker: &Breaker) {
        self.metrics.orchestrator_state.get_or_create(&self.labels()).set(breaker.number());
    }

    fn unreachable(&self, words: &str) -> OrchestratorError {
        let source = Box::new(std::io::Error::new(std::io::ErrorKind::TimedOut, words.to_owned()));
        OrchestratorError::Unreachable { orchestrator: self.inner.kind(), endpoint: self.name.clone(), source }
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, OrchestratorError>> + Send,
    ) -> Result<T, OrchestratorError> {
        let is_probe = {
            let mut breaker = self.breaker.lock();
            let admitted = breaker.admit(self.clock.monotonic());
            self.show(&breaker);
            admitted.map_err(|wait| OrchestratorError::Open {
                orchestrator: self.inner.kind(),
                cluster: self.inner.cluster().to_owned(),
                failures: breaker.failures,
                wait_seconds: wait.as_secs().max(1),
                last: breaker.last.clone(),
            })?
        };
        let mut probe = Probe { guarded: self, is_over: !is_probe };
        let in_turn = async {
            // The semaphore is never closed.
            let _turn = self.turns.acquire().await;
            call.await
        };
        let result = tokio::select! {
            result = in_turn => result,
            () = self.clock.sleep(CALL_TIMEOUT) => {
                Err(self.unreachable(&format!("no answer within {} s", CALL_TIMEOUT.as_secs())))
            }
        };
        let turned = {
            let mut breaker = self.breaker.lock();
            let turned = match &result {
                Err(e) if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::Timeout) => {
                    breaker.failed(is_probe, chain(e), self.clock.monotonic())
                }
                _ => breaker.answered(),
            };
            self.show(&breaker);
            turned
        };
        probe.is_over = true;
        match turned {
            Turned::Opened => {
                self.metrics.orchestrator_openings.get_or_create(&self.labels()).inc();
                let error = result.as_ref().err().map(|e| chain(e)).unwrap_or_default();
                tracing::warn!(orchestrator = self.name, error, "left alone after {FAILURES_MAX} failures in a row");
            }
            Turned::Closed => tracing::info!(orchestrator = self.name, "it answers again"),
            Turned::Nothing => {}
        }
        result
    }
}

#[async_trait]
impl Orchestrator for Guarded {
    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn cluster(&self) -> &str {
        self.inner.cluster()
    }

    async fn services(&self) -> Result<Vec<String>, OrchestratorError> {
        self.call(self.inner.services()).await
    }

    async fn state(&self, service: &str) -> Result<ServiceState, OrchestratorError> {
        self.call(self.inner.state(service)).await
    }

    async fn scale(&self, service: &str, change: ScaleChange) -> Result<(), OrchestratorError> {
        self.call(self.inner.scale(service, change)).await
    }

    async fn scale_because(&self, service: &str, change: ScaleChange, reason: &str) -> Result<(), OrchestratorError> {
        self.call(self.inner.scale_because(service, change, reason)).await
    }

    async fn replace(&self, service: &str, replica: &str) -> Result<(), OrchestratorError> {
        self.call(self.inner.replace(service, replica)).await
    }

    async fn room(&self, service: &str) -> Result<Option<Room>, OrchestratorError> {
        self.call(self.inner.room(service)).await
    }

    fn may_write(&self) -> Result<(), String> {
        self.inner.may_write()
    }

    async fn release(&self, service: &str, replicas: &[String]) {
        self.inner.release(service, replicas).await;
    }

    fn take_events(&self) -> Vec<OrchestratorEvent> {
        self.inner.take_events()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::FakeOrchestrator;
    use vocab::telemetry::Telemetry;
    use vocab::testing::SimClock;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn it_opens_probes_and_closes() {
        let mut breaker = Breaker::new();
        for n in 1..FAILURES_MAX {
            assert_eq!(breaker.admit(seconds(0)), Ok(false));
            assert_eq!(breaker.failed(false, n.to_string(), seconds(0)), Turned::Nothing);
        }
        assert_eq!(breaker.answered(), Turned::Nothing, "an answer ends the row");
        for n in 1..=FAILURES_MAX {
            let expect = if n == FAILURES_MAX { Turned::Opened } else { Turned::Nothing };
            assert_eq!(breaker.failed(false, n.to_string(), seconds(100)), expect);
        }
        assert_eq!(breaker.admit(seconds(103)), Err(seconds(7)));
        // Calls that began before it opened change nothing.
        assert_eq!(breaker.failed(false, "late".into(), seconds(104)), Turned::Nothing);
        assert_eq!(breaker.admit(seconds(110)), Ok(true));
        assert!(breaker.admit(seconds(110)).is_err(), "one at a time");
        breaker.abandoned(seconds(111));
        assert_eq!(breaker.admit(seconds(111)), Ok(true));
        assert_eq!(breaker.failed(true, "no".into(), seconds(112)), Turned::Nothing);
        assert_eq!(breaker.admit(seconds(112)), Err(seconds(20)), "the pause doubles");
        let mut now = seconds(200);
        for _ in 0..10 {
            assert_eq!(breaker.admit(now), Ok(true));
            breaker.failed(true, "no".into(), now);
            let wait = breaker.admit(now).expect_err("open");
            assert!(wait <= PAUSE.1, "{wait:?}");
            now += wait;
        }
        assert_eq!(breaker.admit(now), Ok(true));
        assert_eq!(breaker.answered(), Turned::Closed);
        assert_eq!((breaker.admit(now), breaker.pause), (Ok(false), PAUSE.0));
    }

    #[tokio::test]
    async fn a_dead_cluster_is_left_alone_and_comes_back() {
        let clock = Arc::new(SimClock::at(0));
        let fake = Arc::new(FakeOrchestrator::new(&[("web", 2)]));
        let telemetry = Telemetry::new();
        let metrics = Metrics::new(&telemetry);
        let guarded = Guarded::new(
            "east",
            Arc::clone(&fake) as Arc<dyn Orchestrator>,
            metrics,
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        // What is unknown or refused is an answer.
        for _ in 0..20 {
            assert_eq!(guarded.state("none").await.expect_err("unknown").kind(), ErrorKind::NotFound);
        }
        fake.set_silent(true);
        for _ in 0..FAILURES_MAX {
            assert!(guarded.state("web").await.is_err());
        }
        let error = guarded.scale("web", ScaleChange { from: 2, to: 3 }).await.expect_err("open");
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        let text = chain(&error);
        assert!(
            text.starts_with("fake of cluster \"local\" is left alone for 10 s after 5 failures in a row"),
            "{text}"
        );
        assert_eq!(fake.num_calls(), 0, "it was not asked");
        let shown = telemetry.encode();
        assert!(shown.contains("autoscaler_orchestrator_state{orchestrator=\"east\",cluster=\"local\"} 2"), "{shown}");
        assert!(
            shown.contains("autoscaler_orchestrator_openings_total{orchestrator=\"east\",cluster=\"local\"} 1"),
            "{shown}"
        );
        fake.set_silent(false);
        assert!(guarded.state("web").await.is_err(), "not yet");
        clock.advance(PAUSE.0);
        assert_eq!(guarded.state("web").await.expect("it answers again").wanted, 2);
        guarded.scale("web", ScaleChange { from: 2, to: 3 }).await.expect("as before");
    }
}
