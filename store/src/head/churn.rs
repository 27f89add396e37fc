//! How many series were new, by hour and metric: what makes a store grow although nobody added a metric.

use std::collections::VecDeque;

use hashbrown::HashMap;

pub(crate) const HOUR_MS: i64 = 60 * 60 * 1000;

/// Hours that are remembered.
const HOURS_MAX: usize = 24;

/// Hours whose series are counted by metric, the current one included: the one before says what a whole hour brings.
const HOURS_BY_METRIC: usize = 2;

/// Metrics counted one by one in an hour; the series of further ones count in the sum only.
const METRICS_MAX: usize = 10_000;

/// Series made in one hour.
#[derive(Debug, Default)]
pub(crate) struct Hour {
    /// Number of the hour since 1970.
    pub(crate) number: i64,
    pub(crate) created: u64,
    /// By metric; emptied when the hour is no longer one of the last.
    pub(crate) by_metric: HashMap<Box<str>, u64>,
}

/// What was made lately, oldest hour first.
#[derive(Debug, Default)]
pub(crate) struct Churn {
    hours: VecDeque<Hour>,
}

impl Churn {
    /// Counts a new series.
    pub(crate) fn note(&mut self, hour: i64, metric: &str) {
        if self.hours.back().is_none_or(|h| h.number < hour) {
            if self.hours.len() >= HOURS_MAX {
                self.hours.pop_front();
            }
            self.hours.push_back(Hour { number: hour, ..Hour::default() });
            if let Some(old) = self.hours.len().checked_sub(HOURS_BY_METRIC + 1).and_then(|at| self.hours.get_mut(at)) {
                old.by_metric = HashMap::new();
            }
        }
        let Some(last) = self.hours.back_mut() else { return };
        last.created += 1;
        if let Some(count) = last.by_metric.get_mut(metric) {
            *count += 1;
        } else if last.by_metric.len() < METRICS_MAX {
            last.by_metric.insert(metric.into(), 1);
        }
    }

    pub(crate) fn hours(&self) -> impl Iterator<Item = &Hour> {
        self.hours.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hours_and_metrics_are_counted_within_bounds() {
        let mut churn = Churn::default();
        for hour in 0..30 {
            for _ in 0..=hour {
                churn.note(hour, "a");
            }
            churn.note(hour, "b");
        }
        let hours: Vec<_> = churn.hours().collect();
        assert_eq!((hours.len(), hours[0].number, hours[0].created), (24, 6, 8));
        assert_eq!(hours.iter().filter(|h| !h.by_metric.is_empty()).count(), HOURS_BY_METRIC);
        assert_eq!(hours[23].by_metric["a"], 30);
        for metric in 0..METRICS_MAX * 2 {
            churn.note(30, &metric.to_string());
        }
        let last = churn.hours().last().unwrap();
        assert_eq!((last.created, last.by_metric.len()), (2 * METRICS_MAX as u64, METRICS_MAX));
    }
}
