//! The cost ledger: replica-seconds by service, team and cluster, and what they cost, added up by the hour.
//!
//! Counted from what the orchestrator was told to run, since that is what is paid for. While it is silent what it last ran
//! goes on counting. Time in which nobody decided is not counted: a gap is a gap.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use vocab::ports::Catalog;
use vocab::ports::catalog::{Fence, LedgerRow};
use vocab::{PortResult, TenantId, TimestampMs};

use crate::policy::{Policy, ms};
use crate::quota::micros;

/// Rows are written this often: so much of the count is lost with a crash.
pub(crate) const FLUSH_INTERVAL: Duration = Duration::from_secs(60);
/// Rounds further apart than this leave a gap.
const GAP: Duration = Duration::from_secs(60);
/// Milliseconds of an hour.
const HOUR_MS: i64 = 3_600_000;

/// What a row adds up: (hour, cluster, service, team).
type Key = (TimestampMs, String, String, String);

/// Counts until it is flushed.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    open: Mutex<BTreeMap<Key, (i64, i64)>>,
}

impl Meter {
    /// Counts the time since the last round, which ended at `now_ms`.
    pub(crate) fn count(&self, policy: &Policy, replicas: u32, passed: Duration, now_ms: TimestampMs) {
        if passed > GAP.max(policy.interval * 3) {
            return;
        }
        let price = micros(policy.operations.price_per_hour);
        let mut from = now_ms.saturating_sub(ms(passed));
        let mut open = self.open.lock();
        while from < now_ms {
            let hour = from.div_euclid(HOUR_MS) * HOUR_MS;
            let until = now_ms.min(hour.saturating_add(HOUR_MS));
            let replica_ms = (until - from).saturating_mul(i64::from(replicas));
            let cost = i128::from(replica_ms) * i128::from(price) / i128::from(HOUR_MS);
            let key = (hour, policy.cluster.clone(), policy.service.clone(), policy.operations.team.clone());
            let sums = open.entry(key).or_default();
            sums.0 = sums.0.saturating_add(replica_ms);
            sums.1 = sums.1.saturating_add(i64::try_from(cost).unwrap_or(i64::MAX));
            from = until;
        }
    }

    /// Writes what was counted; what cannot be written is kept for the next time.
    pub(crate) async fn flush(
        &self,
        catalog: &Arc<dyn Catalog>,
        tenant: &TenantId,
        fence: Option<&Fence>,
    ) -> PortResult<()> {
        let open = std::mem::take(&mut *self.open.lock());
        if open.is_empty() {
            return Ok(());
        }
        let rows: Vec<LedgerRow> = open
            .iter()
            .map(|((hour_ms, cluster, service, team), (replica_ms, cost_micros))| LedgerRow {
                hour_ms: *hour_ms,
                cluster: cluster.clone(),
                service: service.clone(),
                team: team.clone(),
                replica_ms: *replica_ms,
                cost_micros: *cost_micros,
            })
            .collect();
        let written = catalog.add_to_ledger(tenant, &rows, fence).await;
        if written.is_err() {
            let mut kept = self.open.lock();
            for (key, (replica_ms, cost)) in open {
                let sums = kept.entry(key).or_default();
                sums.0 = sums.0.saturating_add(replica_ms);
                sums.1 = sums.1.saturating_add(cost);
            }
        }
        written
    }
}

#[cfg(test)]
mod tests {
    use vocab::testing::MemCatalog;

    use super::*;

    #[tokio::test]
    async fn replica_seconds_are_counted_by_the_hour_and_priced() {
        let catalog: Arc<dyn Catalog> = Arc::new(MemCatalog::default());
        let tenant = TenantId::default();
        let mut policy = crate::tests::policy();
        policy.operations.team = "shop".into();
        policy.operations.price_per_hour = 0.36;
        let meter = Meter::default();
        // Ten replicas for twenty seconds, ten of them before the hour and ten after.
        let hour = 500_000 * HOUR_MS;
        meter.count(&policy, 10, Duration::from_secs(20), hour + 10_000);
        // A gap is not counted.
        meter.count(&policy, 10, Duration::from_secs(600), hour + 900_000);
        meter.flush(&catalog, &tenant, None).await.expect("written");
        meter.flush(&catalog, &tenant, None).await.expect("nothing to write");
        meter.count(&policy, 1, Duration::from_secs(5), hour + 905_000);
        meter.flush(&catalog, &tenant, None).await.expect("added");
        let rows = catalog.ledger(&tenant, 0, i64::MAX).await.expect("read");
        let sums: Vec<_> = rows.iter().map(|r| (r.hour_ms, r.replica_ms, r.cost_micros)).collect();
        assert_eq!(sums, [(hour - HOUR_MS, 100_000, 10_000), (hour, 105_000, 10_500)]);
        assert_eq!(
            (rows[0].service.as_str(), rows[0].team.as_str(), rows[0].cluster.as_str()),
            ("web", "shop", "local")
        );
    }
}
