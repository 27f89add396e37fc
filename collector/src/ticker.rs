//! Rounds at a fixed pace by the injected clock.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::Clock;

/// Gives the moments of rounds: the first after `first`, then every `interval`; rounds that were missed are passed over.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
    next: Duration,
    interval: Duration,
}

impl Ticker {
    pub(crate) fn new(clock: &Arc<dyn Clock>, stop: &CancellationToken, first: Duration, interval: Duration) -> Self {
        Self { clock: Arc::clone(clock), stop: stop.clone(), next: clock.monotonic() + first, interval }
    }

    /// Waits for the next round; `false` when the task is to end.
    pub(crate) async fn tick(&mut self) -> bool {
        let now = self.clock.monotonic();
        if self.next > now && !sleep(&self.clock, &self.stop, self.next - now).await {
            return false;
        }
        let now = self.clock.monotonic();
        while self.next <= now {
            self.next += self.interval;
        }
        !self.stop.is_cancelled()
    }
}

/// Sleeps; `false` when the task is to end meanwhile.
pub(crate) async fn sleep(clock: &Arc<dyn Clock>, stop: &CancellationToken, duration: Duration) -> bool {
    tokio::select! {
        biased;
        () = stop.cancelled() => false,
        () = clock.sleep(duration) => true,
    }
}
