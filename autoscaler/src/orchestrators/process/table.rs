//! The process table of a service: what runs, kept in the catalog so that the next Tidewatch adopts it.

use serde::{Deserialize, Serialize};
use vocab::TimestampMs;

/// Namespace of the documents.
pub(crate) const NAMESPACE: &str = "process";

/// Where a replica stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Phase {
    /// To be started, at `not_before_ms` at the earliest.
    Due,
    /// Started.
    Running,
    /// To leave once the balancer has let go of it.
    Draining,
    /// Told to end.
    Stopping,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Row {
    /// `<service>-<number>`; numbers are never used twice.
    pub(crate) id: String,
    /// Stands in the process's environment: a process that was started but not yet written down is found by it.
    pub(crate) token: String,
    /// Its port, when it has one.
    pub(crate) port: Option<u16>,
    /// Its process; `None` while it does not run.
    pub(crate) process: Option<ProcessKey>,
    /// When it was last started.
    pub(crate) started_at_ms: TimestampMs,
    /// Where it stands.
    pub(crate) phase: Phase,
    /// Since when.
    pub(crate) since_ms: TimestampMs,
    /// No start before this time.
    pub(crate) not_before_ms: TimestampMs,
    /// Deaths in a row.
    pub(crate) deaths: u32,
}

/// A process, told from a later one of the same number by its start time and from one of an earlier boot by the boot's id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ProcessKey {
    pub(crate) pid: u32,
    /// Start time in clock ticks since the boot.
    pub(crate) start_ticks: u64,
    pub(crate) boot_id: String,
}

/// All replicas of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, Default)]
pub(crate) struct Table {
    /// Grows with every change of `wanted`.
    pub(crate) version: u64,
    /// Replicas wanted.
    pub(crate) wanted: u32,
    /// Number of the next replica.
    pub(crate) next_number: u64,
    /// The replicas, oldest first.
    pub(crate) rows: Vec<Row>,
}

impl Table {
    /// A new replica that is to be started.
    pub(crate) fn add(&mut self, service: &str, now: TimestampMs) {
        self.next_number += 1;
        self.rows.push(Row {
            id: format!("{service}-{}", self.next_number),
            token: format!("{:016x}", rand::random::<u64>()),
            port: None,
            process: None,
            started_at_ms: now,
            phase: Phase::Due,
            since_ms: now,
            not_before_ms: now,
            deaths: 0,
        });
    }

    /// Replicas that are not on their way out.
    pub(crate) fn num_staying(&self) -> u32 {
        let staying = self.rows.iter().filter(|r| matches!(r.phase, Phase::Due | Phase::Running));
        u32::try_from(staying.count()).unwrap_or(u32::MAX)
    }

    /// Who leaves next: one that does not run, else one that is not ready, else the newest.
    pub(crate) fn next_to_leave(&self, is_ready: impl Fn(&Row) -> bool) -> Option<usize> {
        self.rows
            .iter()
            .enumerate()
            .filter(|(_, r)| matches!(r.phase, Phase::Due | Phase::Running))
            .min_by_key(|(index, r)| (r.process.is_some(), is_ready(r), std::cmp::Reverse(*index)))
            .map(|(index, _)| index)
    }
}
