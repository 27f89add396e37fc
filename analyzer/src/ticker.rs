//! Moments of the wall clock at which periodic work is due.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use vocab::{Clock, TimestampMs};

/// Gives `offset`, `offset + interval`, … until cancelled.
#[derive(Debug)]
pub(crate) struct Ticker {
    clock: Arc<dyn Clock>,
    cancel: CancellationToken,
    step_ms: i64,
    offset_ms: i64,
    next_ms: TimestampMs,
}

impl Ticker {
    pub(crate) fn new(clock: Arc<dyn Clock>, cancel: CancellationToken, interval: Duration, offset_ms: i64) -> Self {
        let step_ms = i64::try_from(interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let mut ticker = Self { clock, cancel, step_ms, offset_ms, next_ms: 0 };
        ticker.next_ms = ticker.after(ticker.clock.now_ms());
        ticker
    }

    fn after(&self, now: TimestampMs) -> TimestampMs {
        now - (now - self.offset_ms).rem_euclid(self.step_ms) + self.step_ms
    }

    /// Waits for the next moment; gives it and how many before it were missed. `None` once cancelled.
    pub(crate) async fn tick(&mut self) -> Option<(TimestampMs, u64)> {
        loop {
            if self.cancel.is_cancelled() {
                return None;
            }
            let now = self.clock.now_ms();
            // A wall clock that was set back must not silence the rules for as long as it was set back.
            if self.next_ms - now > self.step_ms {
                self.next_ms = self.after(now);
            }
            if now >= self.next_ms {
                let missed = (now - self.next_ms) / self.step_ms;
                let due = self.next_ms + missed * self.step_ms;
                self.next_ms = due + self.step_ms;
                return Some((due, missed.unsigned_abs()));
            }
            let wait = Duration::from_millis((self.next_ms - now).unsigned_abs());
            tokio::select! {
                () = self.clock.sleep(wait) => {}
                () = self.cancel.cancelled() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vocab::testing::SimClock;

    #[tokio::test]
    async fn ticks_keep_their_moments_and_count_what_was_missed() {
        let clock = SimClock::at(10_000);
        let cancel = CancellationToken::new();
        let mut ticker = Ticker::new(Arc::new(clock.clone()), cancel.clone(), Duration::from_secs(10), 3_000);
        clock.advance(Duration::from_secs(3));
        assert_eq!(ticker.tick().await, Some((13_000, 0)));
        clock.advance(Duration::from_secs(35));
        assert_eq!(ticker.tick().await, Some((43_000, 2)));
        // Set back by far: the next moment is at most one interval away.
        clock.jump_to(1_000);
        let waiting = tokio::spawn(async move { ticker.tick().await });
        while clock.num_sleepers() == 0 {
            tokio::task::yield_now().await;
        }
        clock.advance(Duration::from_secs(2));
        assert_eq!(waiting.await.expect("no panic"), Some((3_000, 0)));
        cancel.cancel();
        let mut ticker = Ticker::new(Arc::new(clock), cancel, Duration::from_secs(1), 0);
        assert_eq!(ticker.tick().await, None);
    }
}
