//! Deltas become running totals: Prometheus's functions expect counters that only grow.
//!
//! The totals live in memory. After a restart, or when a series was silent for long, its total begins at the next delta
//! again, which every reader takes for a counter reset, also by the start time of that delta: rates and increases stay right.

use std::collections::HashMap;

use vocab::{Labels, TenantId, TimestampMs};

use super::histogram::Exponential;
use super::wire::HistogramPoint;

/// Most series whose totals are kept, all tenants together: about 60 MB.
pub(super) const DELTA_SERIES_MAX: usize = 100_000;
/// A series that is silent for so long is forgotten.
const IDLE_MS: i64 = 3_600_000;
/// When the table is full, series that are silent for so long make room; the time that OpenTelemetry's own converter
/// remembers a series.
const IDLE_WHEN_FULL_MS: i64 = 300_000;
/// How often silent series are looked for.
const SWEEP_INTERVAL_MS: i64 = 60_000;
/// Most buckets of a side of an exponential total; beyond it the resolution is halved, as OpenTelemetry's SDKs do.
const BUCKETS_MAX: usize = 160;

/// One total.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Total {
    /// A sum.
    Number(f64),
    /// An explicit histogram: its last point with everything added up.
    Explicit(HistogramPoint),
    /// An exponential histogram.
    Exponential(Exponential),
}

#[derive(Debug)]
struct Entry {
    total: Total,
    /// Since when it counts; 0 when that is not known.
    start_ms: TimestampMs,
    /// Time of the newest delta in it.
    time_ns: u64,
    seen_ms: TimestampMs,
}

/// The totals of all delta series.
#[derive(Debug, Default)]
pub(in crate::push) struct Deltas {
    entries: HashMap<(TenantId, Labels), Entry>,
    swept_ms: TimestampMs,
}

impl Deltas {
    /// Adds a delta, which counts since a start (0: not known) and has a time, and gives the total up to it and since when that
    /// counts. A delta of the same time as the last one is a repetition: it gives the
    /// total without being added again, so that senders may retry.
    ///
    /// # Errors
    /// A sentence: the delta is older than the last one, or too many series send deltas.
    pub(super) fn add(
        &mut self,
        tenant: &TenantId,
        labels: Labels,
        (start_ms, time_ns): (TimestampMs, u64),
        delta: Total,
        now_ms: TimestampMs,
    ) -> Result<(Total, TimestampMs), String> {
        self.sweep(now_ms);
        let key = (tenant.clone(), labels);
        if let Some(entry) = self.entries.get_mut(&key) {
            if time_ns < entry.time_ns {
                return Err(format!("{}: delta is older than the last one", key.1));
            }
            if time_ns > entry.time_ns {
                if !merge(&mut entry.total, delta) {
                    entry.start_ms = start_ms;
                }
                entry.time_ns = time_ns;
            }
            entry.seen_ms = now_ms;
            return Ok((entry.total.clone(), entry.start_ms));
        }
        if self.entries.len() >= DELTA_SERIES_MAX {
            self.forget(now_ms, IDLE_WHEN_FULL_MS);
        }
        if self.entries.len() >= DELTA_SERIES_MAX {
            return Err(format!("more than {DELTA_SERIES_MAX} series send deltas: send cumulative sums instead"));
        }
        self.entries.insert(key, Entry { total: delta.clone(), start_ms, time_ns, seen_ms: now_ms });
        Ok((delta, start_ms))
    }

    /// Series whose totals are kept.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    fn sweep(&mut self, now_ms: TimestampMs) {
        if now_ms - self.swept_ms >= SWEEP_INTERVAL_MS {
            self.swept_ms = now_ms;
            self.forget(now_ms, IDLE_MS);
        }
    }

    fn forget(&mut self, now_ms: TimestampMs, idle_ms: i64) {
        self.entries.retain(|_, entry| now_ms - entry.seen_ms < idle_ms);
    }
}

/// Adds a delta to a total. Where the two do not fit (other bounds), the total begins anew with the delta, and false is given.
fn merge(total: &mut Total, delta: Total) -> bool {
    match (total, delta) {
        (Total::Number(sum), Total::Number(delta)) => *sum += delta,
        (Total::Explicit(sum), Total::Explicit(delta))
            if sum.explicit_bounds == delta.explicit_bounds && sum.bucket_counts.len() == delta.bucket_counts.len() =>
        {
            sum.count = sum.count.saturating_add(delta.count);
            sum.sum = sum.sum.zip(delta.sum).map(|(a, b)| a + b);
            for (sum, delta) in sum.bucket_counts.iter_mut().zip(&delta.bucket_counts) {
                *sum = sum.saturating_add(*delta);
            }
        }
        (Total::Exponential(sum), Total::Exponential(delta)) => merge_exponential(sum, delta),
        (total, delta) => {
            *total = delta;
            return false;
        }
    }
    true
}

fn merge_exponential(sum: &mut Exponential, mut delta: Exponential) {
    let schema = sum.schema.min(delta.schema);
    sum.coarsen(schema);
    delta.coarsen(schema);
    // The zero bucket only grows; what a narrower one left in the smallest buckets stays there, which is still true.
    sum.zero_threshold = sum.zero_threshold.max(delta.zero_threshold);
    sum.zero_count = sum.zero_count.saturating_add(delta.zero_count);
    sum.count = sum.count.saturating_add(delta.count);
    sum.sum += delta.sum;
    for (total, own) in [(&mut sum.positive, delta.positive), (&mut sum.negative, delta.negative)] {
        for (index, count) in own {
            let bucket = total.entry(index).or_default();
            *bucket = bucket.saturating_add(count);
        }
    }
    while sum.positive.len().max(sum.negative.len()) > BUCKETS_MAX && sum.schema > -4 {
        sum.coarsen(sum.schema - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(n: usize) -> Labels {
        Labels::from_pairs([("__name__", "x".to_owned()), ("n", n.to_string())])
    }

    #[test]
    fn deltas_add_up_and_may_be_repeated() {
        let (mut deltas, tenant) = (Deltas::default(), TenantId::default());
        let mut add = |start_ms, time_ns, delta| deltas.add(&tenant, labels(0), (start_ms, time_ns), delta, 0);
        let number = Total::Number;
        assert_eq!(add(5, 10, number(1.0)), Ok((number(1.0), 5)));
        assert_eq!(add(10, 20, number(2.0)), Ok((number(3.0), 5)));
        assert_eq!(add(10, 20, number(2.0)), Ok((number(3.0), 5)), "a retry");
        assert!(add(10, 15, number(2.0)).is_err_and(|e| e.contains("older")));
        assert_eq!(add(20, 30, number(0.5)), Ok((number(3.5), 5)));
        let other = Total::Exponential(Exponential::default());
        assert_eq!(add(30, 40, other.clone()), Ok((other, 30)), "what does not fit begins anew");
    }

    #[test]
    fn totals_are_bounded_and_silent_series_make_room() {
        let (mut deltas, tenant) = (Deltas::default(), TenantId::default());
        for n in 0..DELTA_SERIES_MAX {
            deltas.add(&tenant, labels(n), (0, 1), Total::Number(1.0), 0).expect("room");
        }
        let full = deltas.add(&tenant, labels(DELTA_SERIES_MAX), (0, 1), Total::Number(1.0), 1000);
        assert!(full.is_err_and(|e| e.contains("more than 100000 series")));
        let number = Total::Number(1.0);
        deltas.add(&tenant, labels(DELTA_SERIES_MAX), (0, 1), number, IDLE_WHEN_FULL_MS).expect("room again");
        assert_eq!(deltas.len(), 1);
    }

    #[test]
    fn exponential_totals_keep_their_count_and_bounded_buckets() {
        let side = |from: i32| (from..from + 120).map(|i| (i, 1)).collect();
        let one = Exponential { schema: 4, count: 120, sum: 1.0, positive: side(0), ..Exponential::default() };
        let two = Exponential { schema: 5, count: 120, sum: 2.0, positive: side(400), ..Exponential::default() };
        let mut total = one;
        merge_exponential(&mut total, two);
        assert_eq!((total.count, total.positive.values().sum::<u64>()), (240, 240));
        assert!(total.positive.len() <= BUCKETS_MAX && total.schema < 4, "{total:?}");
    }
}
