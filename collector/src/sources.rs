//! How the built-in and the log sources do.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;
use vocab::TimestampMs;
use vocab::ports::views::SourceStatus;

/// The sources and their state, by name.
#[derive(Debug, Default)]
pub(crate) struct SourceBook {
    by_name: Mutex<BTreeMap<String, Arc<SourceEntry>>>,
}

/// One source's state; its task writes it.
#[derive(Debug)]
pub(crate) struct SourceEntry {
    status: Mutex<SourceStatus>,
}

impl SourceBook {
    /// Adds (or starts over) a source.
    pub(crate) fn open(&self, name: &str, kind: &str, reading: &str) -> Arc<SourceEntry> {
        let entry = Arc::new(SourceEntry {
            status: Mutex::new(SourceStatus {
                name: name.to_owned(),
                kind: kind.to_owned(),
                healthy: true,
                reading: reading.to_owned(),
                problem: String::new(),
                delivered: 0,
                malformed: 0,
                last_ms: None,
            }),
        });
        self.by_name.lock().insert(name.to_owned(), Arc::clone(&entry));
        entry
    }

    /// Removes a source that is no longer configured, unless it was opened anew meanwhile.
    pub(crate) fn close(&self, name: &str, entry: &Arc<SourceEntry>) {
        let mut by_name = self.by_name.lock();
        if by_name.get(name).is_some_and(|e| Arc::ptr_eq(e, entry)) {
            by_name.remove(name);
        }
    }

    /// All sources, by name.
    pub(crate) fn list(&self) -> Vec<SourceStatus> {
        self.by_name.lock().values().map(|e| e.status.lock().clone()).collect()
    }
}

impl SourceEntry {
    /// A round went well.
    pub(crate) fn delivered(&self, count: u64, now_ms: TimestampMs) {
        let mut status = self.status.lock();
        status.healthy = true;
        status.problem.clear();
        status.delivered += count;
        status.last_ms = Some(now_ms);
    }

    /// Lines that did not parse.
    pub(crate) fn malformed(&self, count: u64) {
        self.status.lock().malformed += count;
    }

    /// A round went wrong; says whether this is news.
    pub(crate) fn failed(&self, problem: &str) -> bool {
        let mut status = self.status.lock();
        let news = status.problem != problem;
        status.healthy = false;
        problem.clone_into(&mut status.problem);
        news
    }

    /// A shortcoming that does not keep the source from delivering.
    pub(crate) fn note(&self, problem: &str) {
        problem.clone_into(&mut self.status.lock().problem);
    }

    /// What it reads now.
    pub(crate) fn reading(&self, what: &str) {
        what.clone_into(&mut self.status.lock().reading);
    }
}
