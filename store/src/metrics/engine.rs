//! What the metric engine counts.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vocab::TenantId;
use vocab::ports::admin::StoreStatus;
use vocab::ports::append::AppendOutcome;
use vocab::telemetry::{Counter, Family, Gauge, Histogram, LabelPairs, Telemetry, exponential_buckets};

use super::Metrics;

/// Tenants that reached a limit and are counted by name; callers choose the names, so there must be an end.
const LIMITED_TENANTS_MAX: usize = 200;

/// Metrics of the metric engine.
#[derive(Debug, Clone)]
pub(super) struct EngineMetrics {
    appended: Counter,
    rejected: Family<LabelPairs, Counter>,
    limited: Family<LabelPairs, Counter>,
    /// Tenants that have a row of their own.
    limited_tenants: Arc<Mutex<BTreeSet<TenantId>>>,
    flush_seconds: Histogram,
    merges: Counter,
    failures: Counter,
    damaged_blocks: Counter,
    head_series: Gauge,
    head_samples: Gauge,
    blocks: Gauge,
    block_bytes: Gauge,
}

impl EngineMetrics {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        Self {
            appended: telemetry.register("store_appended_samples", "Samples accepted", Counter::default()),
            rejected: telemetry.register(
                "store_rejected_samples",
                "Samples refused, by reason (of a batch with many, the ones not described count as other)",
                Family::default(),
            ),
            limited: telemetry.register(
                "store_limited_samples",
                "Samples refused because a limit was reached, by limit and tenant (other when there are many)",
                Family::default(),
            ),
            limited_tenants: Arc::default(),
            flush_seconds: telemetry.register(
                "store_flush_duration_seconds",
                "Time to move the head into blocks",
                Histogram::new(exponential_buckets(0.01, 4.0, 8)),
            ),
            merges: telemetry.register("store_block_merges", "Merges of blocks", Counter::default()),
            failures: telemetry.register(
                "store_maintenance_failures",
                "Rounds of flush, merge and retention that failed",
                Counter::default(),
            ),
            damaged_blocks: telemetry.register(
                "store_damaged_blocks",
                "Blocks set aside because they are damaged",
                Counter::default(),
            ),
            head_series: telemetry.register("store_head_series", "Series in memory", Gauge::default()),
            head_samples: telemetry.register("store_head_samples", "Samples in memory", Gauge::default()),
            blocks: telemetry.register("store_blocks", "Metric blocks", Gauge::default()),
            block_bytes: telemetry.register("store_block_size_bytes", "Bytes of metric blocks", Gauge::default()),
        }
    }
}

impl Metrics {
    pub(crate) fn appended(&self, outcome: &AppendOutcome) {
        self.engine.appended.inc_by(outcome.accepted);
        let mut others = outcome.rejected;
        for rejection in &outcome.rejections {
            self.engine.rejected.get_or_create(&vec![("reason", rejection.reason.as_str().to_owned())]).inc();
            others = others.saturating_sub(1);
        }
        if others > 0 {
            self.engine.rejected.get_or_create(&vec![("reason", "other".to_owned())]).inc_by(others);
        }
    }

    pub(crate) fn limited(&self, tenant: &TenantId, limit: &'static str, num_samples: u64) {
        let mut tenants = self.engine.limited_tenants.lock();
        let has_row =
            tenants.contains(tenant) || (tenants.len() < LIMITED_TENANTS_MAX && tenants.insert(tenant.clone()));
        drop(tenants);
        let name = if has_row { tenant.to_string() } else { "other".to_owned() };
        let labels = vec![("limit", limit.to_owned()), ("tenant", name)];
        self.engine.limited.get_or_create(&labels).inc_by(num_samples);
    }

    pub(crate) fn flushed(&self, took: Duration) {
        self.engine.flush_seconds.observe(took.as_secs_f64());
    }

    pub(crate) fn merged(&self) {
        self.engine.merges.inc();
    }

    pub(crate) fn maintenance_failed(&self) {
        self.engine.failures.inc();
    }

    pub(crate) fn block_damaged(&self) {
        self.engine.damaged_blocks.inc();
    }

    pub(crate) fn set_state(&self, status: &StoreStatus) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.engine.head_series.set(signed(status.head_series));
        self.engine.head_samples.set(signed(status.head_samples));
        self.engine.blocks.set(signed(status.blocks));
        self.engine.block_bytes.set(signed(status.blocks_bytes));
    }
}
