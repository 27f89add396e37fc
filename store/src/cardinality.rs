//! How a tenant's series spread over metrics and labels, from the sizes of postings: no series is looked at.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use vocab::labels::METRIC_NAME;
use vocab::ports::query::{CardinalityReport, HourOfChurn};
use vocab::{Ctx, TenantId};

use crate::block::BlockSet;
use crate::error::StoreError;
use crate::head::{Churn, HOUR_MS, Head};

/// Keeps the largest of many counts; of equal ones those that come first by name.
#[derive(Debug)]
struct Top {
    most: usize,
    heap: BinaryHeap<Reverse<(u64, Reverse<String>)>>,
}

impl Top {
    fn new(most: usize) -> Self {
        Self { most, heap: BinaryHeap::new() }
    }

    fn add(&mut self, count: u64, name: impl FnOnce() -> String) {
        let least = self.heap.peek().map_or(0, |Reverse((count, _))| *count);
        if self.heap.len() >= self.most && count < least {
            return;
        }
        self.heap.push(Reverse((count, Reverse(name()))));
        if self.heap.len() > self.most {
            self.heap.pop();
        }
    }

    fn finish(self) -> Vec<(String, u64)> {
        self.heap.into_sorted_vec().into_iter().map(|Reverse((count, Reverse(name)))| (name, count)).collect()
    }
}

/// Collects the values of all labels.
struct Spread {
    metrics: Top,
    values: Top,
    bytes: Top,
    pairs: Top,
    num_pairs: u64,
}

impl Spread {
    fn new(most: usize) -> Self {
        let top = || Top::new(most);
        Self { metrics: top(), values: top(), bytes: top(), pairs: top(), num_pairs: 0 }
    }

    fn value(&mut self, name: &str, value: &str, num_series: u64) {
        self.num_pairs += 1;
        self.pairs.add(num_series, || format!("{name}={value}"));
        if name == METRIC_NAME {
            self.metrics.add(num_series, || value.to_owned());
        }
    }

    fn label(&mut self, name: &str, num_values: u64, bytes: u64) {
        self.values.add(num_values, || name.to_owned());
        self.bytes.add(bytes, || name.to_owned());
    }
}

/// The report over the series in memory; when there are none, over those of the newest block.
pub(crate) fn report(head: &Head, blocks: &BlockSet, ctx: &Ctx, most: usize) -> Result<CardinalityReport, StoreError> {
    let mut spread = Spread::new(most);
    let mut report = CardinalityReport::default();
    if let Some(tenant) = head.tenant(&ctx.tenant) {
        tenant.visit_values(|name, values| {
            ctx.cancel.check()?;
            let (mut num_values, mut bytes) = (0, 0);
            for (value, num_series) in values {
                spread.value(name, value, num_series);
                num_values += 1;
                bytes += value.len() as u64;
            }
            spread.label(name, num_values, bytes);
            Ok(())
        })?;
        report.series = tenant.num_series() as u64;
        tenant.with_churn(|churn| add_churn(&mut report, churn, most));
    }
    if report.series == 0 {
        report.series = of_newest_block(blocks, &ctx.tenant, &mut spread)?;
    }
    report.metrics = spread.metrics.finish();
    report.labels = spread.values.finish();
    report.label_bytes = spread.bytes.finish();
    report.pairs = spread.pairs.finish();
    report.num_pairs = spread.num_pairs;
    Ok(report)
}

fn of_newest_block(blocks: &BlockSet, tenant: &TenantId, spread: &mut Spread) -> Result<u64, StoreError> {
    let all = blocks.of(tenant);
    let Some(block) = all.iter().max_by_key(|b| (b.meta().max_time_ms, b.meta().num_series)) else { return Ok(0) };
    let index = block.index()?;
    for name in index.names() {
        let (mut num_values, mut bytes) = (0, 0);
        index.value_sizes(name, |value, num_series| {
            spread.value(name, value, num_series);
            num_values += 1;
            bytes += value.len() as u64;
        })?;
        spread.label(name, num_values, bytes);
    }
    Ok(block.meta().num_series)
}

fn add_churn(report: &mut CardinalityReport, churn: &Churn, most: usize) {
    report.churn_hours =
        churn.hours().map(|h| HourOfChurn { start_ms: h.number * HOUR_MS, created: h.created }).collect();
    let mut metrics = hashbrown::HashMap::<&str, u64>::new();
    for (metric, created) in churn.hours().flat_map(|h| &h.by_metric) {
        *metrics.entry(metric).or_default() += created;
    }
    let mut top = Top::new(most);
    metrics.into_iter().for_each(|(metric, created)| top.add(created, || metric.to_owned()));
    report.churn_metrics = top.finish();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_largest_stay_in_order() {
        let check = |most, counts: &[(&str, u64)], expect: &[(&str, u64)]| {
            let mut top = Top::new(most);
            counts.iter().for_each(|(name, count)| top.add(*count, || (*name).to_owned()));
            let expect: Vec<_> = expect.iter().map(|(n, c)| ((*n).to_owned(), *c)).collect();
            assert_eq!(top.finish(), expect);
        };
        let counts = [("b", 2), ("a", 2), ("c", 9), ("d", 1), ("e", 3)];
        check(2, &counts, &[("c", 9), ("e", 3)]);
        check(3, &counts, &[("c", 9), ("e", 3), ("a", 2)]);
        check(9, &counts, &[("c", 9), ("e", 3), ("a", 2), ("b", 2), ("d", 1)]);
        check(0, &counts, &[]);
    }
}
