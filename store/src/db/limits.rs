//! What tenants may write, and how fast.

use std::sync::Arc;
use std::time::Duration;

use hashbrown::HashMap;
use parking_lot::Mutex;
use vocab::limits::TenantLimits;
use vocab::ports::append::Origin;
use vocab::{ErrorKind, PortError, TenantId};

use super::MetricStore;
use crate::head::HeadLimits;

/// A tenant that was quiet may write this many seconds' worth at once.
const BURST_SECONDS: f64 = 5.0;

/// Rates of so many tenants are remembered; beyond it those that are not used up are forgotten.
const RATES_MAX: usize = 10_000;

/// How much each tenant may still write; only tenants with a limit are in it.
#[derive(Debug, Default)]
pub(super) struct Rates(Mutex<HashMap<TenantId, Rate>>);

#[derive(Debug, Clone, Copy)]
struct Rate {
    /// Samples that may be written at once; below 0 after a batch that was larger.
    left: f64,
    at: Duration,
}

impl Rates {
    /// Takes a batch's samples from what its tenant may write; false when nothing is left. A batch that is larger than what is
    /// left is taken and waited out afterwards, so that the size of batches does not matter.
    fn take(&self, tenant: &TenantId, per_second: u64, num_samples: usize, now: Duration) -> bool {
        let (per_second, num_samples) = (per_second as f64, num_samples as f64);
        let full = per_second * BURST_SECONDS;
        let mut rates = self.0.lock();
        if rates.len() >= RATES_MAX && !rates.contains_key(tenant) {
            rates.retain(|_, rate| rate.left < 0.0);
        }
        let rate = rates.entry(tenant.clone()).or_insert(Rate { left: full, at: now });
        let passed = now.saturating_sub(rate.at).as_secs_f64();
        rate.left = (rate.left + passed * per_second).min(full);
        rate.at = now;
        let may = rate.left > 0.0;
        if may {
            rate.left -= num_samples;
        }
        may
    }
}

impl MetricStore {
    /// A tenant's limits, those of the configuration before those of the store.
    pub(super) fn limits_of(&self, tenant: &TenantId) -> (HeadLimits, Arc<TenantLimits>) {
        let own = self.config.tenants.of(tenant);
        (self.config.limits.with(&own), own)
    }

    /// Refuses what a tenant pushes faster than it may. What is scraped or computed here is not held up.
    pub(super) fn check_rate(
        &self,
        tenant: &TenantId,
        limits: &TenantLimits,
        origin: Origin,
        num_samples: usize,
    ) -> Result<(), PortError> {
        let Some(per_second) = limits.samples_per_second.filter(|_| origin == Origin::Write && num_samples > 0) else {
            return Ok(());
        };
        if self.rates.take(tenant, per_second, num_samples, self.clock.monotonic()) {
            return Ok(());
        }
        self.metrics.limited(tenant, "max_samples_per_second", num_samples as u64);
        let text = format!(
            "tenant {tenant} writes more than its {per_second} samples per second (max_samples_per_second); try again later"
        );
        Err(PortError::new(ErrorKind::Limit, text))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_kept_on_average_whatever_the_size_of_batches() {
        let rates = Rates::default();
        let tenant = TenantId::default();
        let at = Duration::from_secs;
        assert!(rates.take(&tenant, 100, 400, at(0)), "a burst");
        assert!(rates.take(&tenant, 100, 300, at(0)), "larger than what is left");
        assert!(!rates.take(&tenant, 100, 1, at(1)));
        assert!(!rates.take(&tenant, 100, 1, at(2)));
        assert!(rates.take(&tenant, 100, 1, at(3)));
        let mut taken = 0;
        for second in 4..1004 {
            for _ in 0..7 {
                taken += if rates.take(&tenant, 100, 33, at(second)) { 33 } else { 0 };
            }
        }
        assert!((99_000..=101_000).contains(&taken), "{taken}");
        assert!(rates.take(&TenantId::new("other").unwrap(), 100, 33, at(1003)), "each has its own");
    }
}
