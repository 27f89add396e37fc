//! What the store counts.

mod engine;
mod logs;

use vocab::telemetry::{Counter, Family, LabelPairs, Telemetry};

/// All metrics of the store, registered once.
#[derive(Debug, Clone)]
pub struct Metrics {
    wal_written_bytes: Family<LabelPairs, Counter>,
    wal_failures: Family<LabelPairs, Counter>,
    wal_damaged: Family<LabelPairs, Counter>,
    engine: engine::EngineMetrics,
    logs: logs::LogMetrics,
}

impl Metrics {
    /// Registers the metrics.
    pub fn new(telemetry: &Telemetry) -> Self {
        Self {
            engine: engine::EngineMetrics::new(telemetry),
            logs: logs::LogMetrics::new(telemetry),
            wal_written_bytes: telemetry.register(
                "store_wal_written_bytes",
                "Bytes written to the write-ahead log",
                Family::default(),
            ),
            wal_failures: telemetry.register(
                "store_wal_failures",
                "Failed writes or syncs of the write-ahead log",
                Family::default(),
            ),
            wal_damaged: telemetry.register(
                "store_wal_damaged_segments",
                "Segments of the write-ahead log of which a part was set aside as damaged",
                Family::default(),
            ),
        }
    }

    pub(crate) fn wal_written_bytes(&self, wal: &'static str, bytes: usize) {
        self.wal_written_bytes.get_or_create(&vec![("wal", wal.to_owned())]).inc_by(bytes as u64);
    }

    pub(crate) fn wal_failure(&self, wal: &'static str) {
        self.wal_failures.get_or_create(&vec![("wal", wal.to_owned())]).inc();
    }

    pub(crate) fn wal_damage(&self, wal: &'static str) {
        self.wal_damaged.get_or_create(&vec![("wal", wal.to_owned())]).inc();
    }
}
