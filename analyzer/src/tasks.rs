//! Periodic tasks and what they did last, for the status page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vocab::TimestampMs;
use vocab::ports::admin::TaskStatus;

/// The tasks that run; clones share them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tasks {
    list: Arc<Mutex<BTreeMap<String, TaskStatus>>>,
}

impl Tasks {
    /// Notes the end of a run.
    pub(crate) fn ran(
        &self,
        name: &str,
        interval: Duration,
        ended_ms: TimestampMs,
        took: Duration,
        result: Result<String, String>,
    ) {
        let failed = result.is_err();
        let status = TaskStatus {
            name: name.to_owned(),
            interval_seconds: interval.as_secs_f64(),
            last_run_ms: Some(ended_ms),
            last_seconds: took.as_secs_f64(),
            last_result: result.unwrap_or_else(|error| error),
            failed,
        };
        self.list.lock().insert(name.to_owned(), status);
    }

    /// Forgets a task that no longer runs.
    pub(crate) fn remove(&self, name: &str) {
        self.list.lock().remove(name);
    }

    /// The tasks by name.
    pub(crate) fn list(&self) -> Vec<TaskStatus> {
        self.list.lock().values().cloned().collect()
    }
}
