//! What each tenant may do: one table that every room asks, replaced whole when the configuration is loaded again.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::RwLock;

use crate::tenant::TenantId;

/// Limits of one tenant. What is `None` is as the room that applies it has it by default.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TenantLimits {
    /// Most series in memory.
    pub series: Option<usize>,
    /// Most labels of a series, the metric name included.
    pub labels_per_series: Option<usize>,
    /// Longest label name in bytes.
    pub label_name_bytes: Option<usize>,
    /// Longest label value in bytes.
    pub label_value_bytes: Option<usize>,
    /// Most samples in one pushed request.
    pub samples_per_request: Option<u64>,
    /// Most pushed samples per second, on average.
    pub samples_per_second: Option<u64>,
    /// Largest pushed body in bytes as it comes over the wire.
    pub body_bytes: Option<usize>,
    /// Largest pushed body in bytes after it was decompressed.
    pub decompressed_bytes: Option<usize>,
    /// Samples older than this go.
    pub retention_time: Option<Duration>,
    /// The oldest blocks go when the tenant's are larger than this together.
    pub retention_bytes: Option<u64>,
}

impl TenantLimits {
    /// These limits where they say something, else those.
    #[must_use]
    pub fn or(self, those: &Self) -> Self {
        Self {
            series: self.series.or(those.series),
            labels_per_series: self.labels_per_series.or(those.labels_per_series),
            label_name_bytes: self.label_name_bytes.or(those.label_name_bytes),
            label_value_bytes: self.label_value_bytes.or(those.label_value_bytes),
            samples_per_request: self.samples_per_request.or(those.samples_per_request),
            samples_per_second: self.samples_per_second.or(those.samples_per_second),
            body_bytes: self.body_bytes.or(those.body_bytes),
            decompressed_bytes: self.decompressed_bytes.or(those.decompressed_bytes),
            retention_time: self.retention_time.or(those.retention_time),
            retention_bytes: self.retention_bytes.or(those.retention_bytes),
        }
    }
}

/// The limits of all tenants.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LimitsTable {
    /// Of every tenant.
    pub defaults: TenantLimits,
    /// Of single tenants, before the defaults.
    pub overrides: BTreeMap<TenantId, TenantLimits>,
}

/// The table in force.
#[derive(Debug, Default)]
pub struct Limits {
    defaults: RwLock<Arc<TenantLimits>>,
    overrides: RwLock<Arc<BTreeMap<TenantId, Arc<TenantLimits>>>>,
}

impl Limits {
    /// A table.
    pub fn new(table: LimitsTable) -> Arc<Self> {
        let limits = Self::default();
        limits.replace(table);
        Arc::new(limits)
    }

    /// Puts another table in force; what is under way ends under the old one.
    pub fn replace(&self, table: LimitsTable) {
        let LimitsTable { defaults, overrides } = table;
        let merged = overrides.into_iter().map(|(tenant, limits)| (tenant, Arc::new(limits.or(&defaults)))).collect();
        *self.overrides.write() = Arc::new(merged);
        *self.defaults.write() = Arc::new(defaults);
    }

    /// A tenant's limits.
    pub fn of(&self, tenant: &TenantId) -> Arc<TenantLimits> {
        let own = self.overrides.read().get(tenant).cloned();
        own.unwrap_or_else(|| Arc::clone(&self.defaults.read()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenants_own_limits_come_before_the_defaults() {
        let of = |series, labels_per_series| TenantLimits { series, labels_per_series, ..TenantLimits::default() };
        let team = TenantId::new("team").expect("a valid name");
        let table = LimitsTable {
            defaults: of(Some(1), Some(2)),
            overrides: BTreeMap::from([(team.clone(), of(Some(10), None))]),
        };
        let limits = Limits::new(table);
        assert_eq!(*limits.of(&team), of(Some(10), Some(2)));
        assert_eq!(*limits.of(&TenantId::default()), of(Some(1), Some(2)));
        limits.replace(LimitsTable::default());
        assert_eq!(*limits.of(&team), TenantLimits::default());
    }
}
