//! The anonymous memory of a process, watched from outside.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// The most anonymous memory a process was seen with, while this is there.
#[derive(Debug)]
pub struct PeakMemory {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    peak_kib: AtomicU64,
    over: AtomicBool,
}

impl PeakMemory {
    /// Looks at a process again and again.
    pub fn watch(pid: u32, every: Duration) -> Self {
        let shared = Arc::new(Shared::default());
        std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || shared.watch(pid, every)
        });
        Self { shared }
    }

    /// The peak so far, in MiB.
    pub fn mib(&self) -> f64 {
        self.shared.peak_kib.load(Ordering::Relaxed) as f64 / 1024.0
    }
}

impl Drop for PeakMemory {
    fn drop(&mut self) {
        self.shared.over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    #[allow(clippy::disallowed_methods, reason = "watches a real process")]
    fn watch(&self, pid: u32, every: Duration) {
        while !self.over.load(Ordering::Relaxed) {
            let Ok(status) = std::fs::read_to_string(format!("/proc/{pid}/status")) else { return };
            let anon = status
                .lines()
                .find_map(|l| l.strip_prefix("RssAnon:"))
                .and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok());
            self.peak_kib.fetch_max(anon.unwrap_or(0), Ordering::Relaxed);
            std::thread::sleep(every);
        }
    }
}
