//! A clock that tests move.

use std::sync::Arc;
use std::time::Duration;

use futures::channel::oneshot;
use futures::future::BoxFuture;
use parking_lot::Mutex;

use crate::time::{Clock, TimestampMs};

/// A clock that stands still until [`SimClock::advance`] moves it. Clones share the time.
#[derive(Debug, Clone, Default)]
pub struct SimClock {
    inner: Arc<Mutex<Inner>>,
}

#[derive(Debug, Default)]
struct Inner {
    wall_ms: i64,
    monotonic: Duration,
    sleepers: Vec<(Duration, oneshot::Sender<()>)>,
}

impl SimClock {
    /// A clock that shows `wall_ms`.
    pub fn at(wall_ms: TimestampMs) -> Self {
        let clock = Self::default();
        clock.inner.lock().wall_ms = wall_ms;
        clock
    }

    /// Moves both readings forward and wakes the sleepers whose time has come.
    pub fn advance(&self, by: Duration) {
        let mut inner = self.inner.lock();
        inner.monotonic += by;
        inner.wall_ms += i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        let now = inner.monotonic;
        let (due, waiting): (Vec<_>, Vec<_>) =
            std::mem::take(&mut inner.sleepers).into_iter().partition(|s| s.0 <= now);
        inner.sleepers = waiting;
        drop(inner);
        for (_, wake) in due {
            // A sleeper that was dropped meanwhile needs no waking.
            let _gone = wake.send(());
        }
    }

    /// Sets the wall clock only, as an operator or NTP does: monotonic time does not move.
    pub fn jump_to(&self, wall_ms: TimestampMs) {
        self.inner.lock().wall_ms = wall_ms;
    }

    /// How many sleepers wait: a test advances once the code under test has gone to sleep.
    pub fn num_sleepers(&self) -> usize {
        let mut inner = self.inner.lock();
        inner.sleepers.retain(|s| !s.1.is_canceled());
        inner.sleepers.len()
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> TimestampMs {
        self.inner.lock().wall_ms
    }

    fn monotonic(&self) -> Duration {
        self.inner.lock().monotonic
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        let (wake, woken) = oneshot::channel();
        let mut inner = self.inner.lock();
        if duration.is_zero() {
            return Box::pin(std::future::ready(()));
        }
        let due = inner.monotonic + duration;
        inner.sleepers.push((due, wake));
        Box::pin(async move {
            let _dropped = woken.await;
        })
    }
}
