//! From SIGTERM to the exit.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use nix::sys::signal::{SigSet, Signal};

use crate::time;

/// Longest wait for requests that are still being worked on when the lingering ends.
const FINISH_WAIT_MAX: Duration = Duration::from_secs(5);
/// How often that is looked at.
const FINISH_LOOK: Duration = Duration::from_millis(10);

/// Whether the service is on its way out.
#[derive(Debug, Default)]
pub(crate) struct Lifetime {
    leaving: AtomicBool,
    closed: AtomicBool,
}

impl Lifetime {
    /// Whether SIGTERM has come: `/health` fails, and connections are not kept alive.
    pub(crate) fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }

    /// Whether the lingering is over: no new requests.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Fails `/health` at once, lingers, and closes.
    pub(crate) fn leave(&self, linger: Duration) {
        self.leaving.store(true, Ordering::Release);
        time::sleep(linger);
        self.closed.store(true, Ordering::Release);
    }
}

/// Waits until `in_flight` says 0, within limits.
pub(crate) fn wait_until_idle(in_flight: impl Fn() -> u64) {
    let start = time::now();
    while in_flight() > 0 && start.elapsed() < FINISH_WAIT_MAX {
        time::sleep(FINISH_LOOK);
    }
}

/// Holds SIGTERM and SIGINT back in this thread and all it starts, so that [`wait_for_signal`] receives them. Process 1 of
/// a container receives them too, since the kernel drops only signals that are not held back.
pub(crate) fn block_signals() -> Result<SigSet, String> {
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().map_err(|e| format!("cannot hold signals back: {e}"))?;
    Ok(signals)
}

/// Waits for one of the signals.
pub(crate) fn wait_for_signal(signals: &SigSet) -> Result<(), String> {
    signals.wait().map(|_| ()).map_err(|e| format!("cannot wait for signals: {e}"))
}
