//! What the log engine and SQL count.

use vocab::telemetry::{Counter, Family, LabelPairs, Telemetry};

/// Metrics of the log engine and of SQL.
#[derive(Debug, Clone)]
pub(crate) struct LogMetrics {
    records: Family<LabelPairs, Counter>,
    tail_missed: Counter,
    splits_written: Family<LabelPairs, Counter>,
    splits_removed: Counter,
    splits_damaged: Counter,
    flush_failures: Counter,
    sql_queries: Family<LabelPairs, Counter>,
}

impl LogMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            records: telemetry.register(
                "store_log_records",
                "Log records handed to the store, by what became of them",
                Family::default(),
            ),
            tail_missed: telemetry.register(
                "store_log_tail_missed_batches",
                "Batches that slow readers of a log tail did not get",
                Counter::default(),
            ),
            splits_written: telemetry.register(
                "store_log_split_records",
                "Log records written to splits, by the reason of writing",
                Family::default(),
            ),
            splits_removed: telemetry.register(
                "store_log_splits_removed",
                "Log splits removed by retention",
                Counter::default(),
            ),
            splits_damaged: telemetry.register(
                "store_log_splits_damaged",
                "Log splits set aside as damaged",
                Counter::default(),
            ),
            flush_failures: telemetry.register(
                "store_log_flush_failures",
                "Failed attempts to write recent log records to a split",
                Counter::default(),
            ),
            sql_queries: telemetry.register("store_sql_queries", "SQL queries by how they ended", Family::default()),
        }
    }
}

impl super::Metrics {
    pub(crate) fn log_records(&self, outcome: &'static str, count: u64) {
        if count > 0 {
            self.logs.records.get_or_create(&vec![("outcome", outcome.to_owned())]).inc_by(count);
        }
    }

    pub(crate) fn log_tail_missed(&self, batches: u64) {
        self.logs.tail_missed.inc_by(batches);
    }

    pub(crate) fn log_split_written(&self, reason: &'static str, records: u64) {
        self.logs.splits_written.get_or_create(&vec![("reason", reason.to_owned())]).inc_by(records);
    }

    pub(crate) fn log_split_removed(&self) {
        self.logs.splits_removed.inc();
    }

    pub(crate) fn log_split_damaged(&self) {
        self.logs.splits_damaged.inc();
    }

    pub(crate) fn log_flush_failed(&self) {
        self.logs.flush_failures.inc();
    }

    pub(crate) fn sql_query(&self, outcome: &'static str) {
        self.logs.sql_queries.get_or_create(&vec![("outcome", outcome.to_owned())]).inc();
    }
}
