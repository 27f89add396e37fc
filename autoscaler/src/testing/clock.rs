//! A clock that runs, for tests with real processes and servers; the program's own is in the root package.

use std::time::{Duration, UNIX_EPOCH};

use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::time::Instant;
use vocab::{Clock, TimestampMs};

/// Real time through Tokio's timer.
#[derive(Debug, Clone)]
pub struct RunningClock {
    start: Instant,
}

impl Default for RunningClock {
    fn default() -> Self {
        Self { start: Instant::now() }
    }
}

impl Clock for RunningClock {
    fn now_ms(&self) -> TimestampMs {
        let since_epoch = UNIX_EPOCH.elapsed().unwrap_or_default();
        i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX)
    }

    fn monotonic(&self) -> Duration {
        self.start.elapsed()
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        tokio::time::sleep_until(Instant::now() + duration).boxed()
    }
}
