//! Time as every room sees it: milliseconds since the Unix epoch for samples and rows, a monotonic reading for windows.
//!
//! Nobody reads the operating system's clock or sleeps except through [`Clock`], so that a day of scaling can be
//! simulated in a second and a clock that jumps can be tested.

use std::fmt::Debug;
use std::time::Duration;

use futures::future::BoxFuture;

/// Milliseconds since the Unix epoch, UTC; negative before 1970.
pub type TimestampMs = i64;

/// The only way to know the time or to wait.
pub trait Clock: Send + Sync + Debug {
    /// Wall-clock time in milliseconds since the Unix epoch. May jump when an operator sets the clock.
    fn now_ms(&self) -> TimestampMs;

    /// Time since an arbitrary fixed moment; never goes backwards. Use it for windows, cooldowns and durations.
    fn monotonic(&self) -> Duration;

    /// Completes after `duration` of this clock's time.
    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()>;
}
