//! What queries and flushes copy out of a head.

use roaring::RoaringBitmap;
use vocab::{Labels, Matcher, NativeHistogram, TimestampMs};

use super::TenantHead;
use super::churn::Churn;
use super::series::{Series, Snapshot};
use super::shard::{NUM_SHARDS, SeriesId};
use crate::error::StoreError;
use crate::query::gather::Part;
use crate::query::postings;

/// Series that are visited without letting others at their shard.
const SERIES_PER_LOCK: usize = 128;

/// A series' samples, copied out of the head.
#[derive(Debug)]
pub(crate) struct HeadSeries {
    pub(crate) labels: Labels,
    pub(crate) data: Snapshot,
}

impl TenantHead {
    /// Copies out the matching series that have samples in a time range and belong to a part of all; the bytes of each are
    /// told to `reserve` first.
    pub(crate) fn select(
        &self,
        matchers: &[Matcher],
        (start, end): (TimestampMs, TimestampMs),
        part: Part,
        mut reserve: impl FnMut(usize) -> Result<(), StoreError>,
    ) -> Result<Vec<HeadSeries>, StoreError> {
        let mut found = Vec::new();
        if !self.overlaps(start, end) {
            return Ok(found);
        }
        self.visit(matchers, |series| {
            if !part.has(&series.labels) {
                return Ok(());
            }
            let data = series.snapshot(start, end);
            if !data.is_empty() {
                reserve(std::mem::size_of::<HeadSeries>() + data.heap_bytes())?;
                found.push(HeadSeries { labels: series.labels.clone(), data });
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Labels of the matching series that have samples in a time range.
    pub(crate) fn labels(
        &self,
        matchers: &[Matcher],
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<Vec<Labels>, StoreError> {
        let mut found = Vec::new();
        if !self.overlaps(start, end) {
            return Ok(found);
        }
        self.visit(matchers, |series| {
            if series.touches(start, end) {
                found.push(series.labels.clone());
            }
            Ok(())
        })?;
        Ok(found)
    }

    /// Forgets the newest sample of matching series where it lies in a time range and only blocks have it: it was deleted, so
    /// what comes next is compared with nothing.
    pub(crate) fn forget_newest(
        &self,
        matchers: &[Matcher],
        start: TimestampMs,
        end: TimestampMs,
    ) -> Result<(), StoreError> {
        let index = self.index.read();
        let candidates = postings::resolve(&*index, matchers)?;
        drop(index);
        for (number, ids) in by_shard(&candidates.series).into_iter().enumerate() {
            let mut shard = self.shards[number].lock();
            for id in ids {
                if let Some(series) = shard.get_mut(id)
                    && candidates.unchecked.iter().all(|m| m.matches_labels(&series.labels))
                {
                    series.forget_newest(start, end);
                }
            }
        }
        Ok(())
    }

    fn visit(
        &self,
        matchers: &[Matcher],
        mut visitor: impl FnMut(&Series) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let index = self.index.read();
        let candidates = postings::resolve(&*index, matchers)?;
        drop(index);
        for (number, ids) in by_shard(&candidates.series).into_iter().enumerate() {
            if ids.is_empty() {
                continue;
            }
            // Writers and flushes wait for a few series, not for all that a query looks at.
            for ids in ids.chunks(SERIES_PER_LOCK) {
                let shard = self.shards[number].lock();
                let found = ids.iter().filter_map(|id| shard.get(*id));
                found
                    .filter(|s| candidates.unchecked.iter().all(|m| m.matches_labels(&s.labels)))
                    .try_for_each(&mut visitor)?;
            }
        }
        Ok(())
    }

    /// Names of all labels when there may be samples in a time range; series without samples included.
    pub(crate) fn label_names(&self, start: TimestampMs, end: TimestampMs) -> Vec<String> {
        let index = self.index.read();
        if self.overlaps(start, end) { index.names().map(str::to_owned).collect() } else { Vec::new() }
    }

    /// Values of a label when there may be samples in a time range; series without samples included.
    pub(crate) fn label_values(&self, name: &str, start: TimestampMs, end: TimestampMs) -> Vec<String> {
        let index = self.index.read();
        if self.overlaps(start, end) { index.values(name).map(str::to_owned).collect() } else { Vec::new() }
    }

    /// Visits every label with its values and the number of series of each; series without samples included. New series wait
    /// for one label at a time.
    pub(crate) fn visit_values(
        &self,
        mut visitor: impl FnMut(&str, &mut dyn Iterator<Item = (&str, u64)>) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let names: Vec<String> = self.index.read().names().map(str::to_owned).collect();
        names.iter().try_for_each(|name| visitor(name, &mut self.index.read().value_sizes(name)))
    }

    /// Shows how many series were new lately.
    pub(crate) fn with_churn(&self, show: impl FnOnce(&Churn)) {
        show(self.index.read().churn());
    }

    /// Series that a flush has to write, ascending by packed labels.
    pub(crate) fn series_of_flush(&self, generation: u32) -> Vec<(Labels, SeriesId)> {
        let mut all = Vec::with_capacity(self.num_series());
        for shard in &self.shards {
            let shard = shard.lock();
            let mine = shard.iter().filter(|(_, s)| s.has_flush(generation));
            all.extend(mine.map(|(id, series)| (series.labels.clone(), id)));
        }
        all.sort_unstable_by(|a, b| a.0.packed().cmp(b.0.packed()));
        all
    }

    /// What a flush has to write of one series.
    pub(crate) fn data_of_flush(&self, id: SeriesId, generation: u32) -> Snapshot {
        self.shards[id.shard()].lock().get(id).map(|s| s.snapshot_of_flush(generation)).unwrap_or_default()
    }
}

fn by_shard(ids: &RoaringBitmap) -> Vec<Vec<SeriesId>> {
    let mut shards = vec![Vec::new(); NUM_SHARDS];
    for id in ids.iter().map(SeriesId) {
        shards[id.shard()].push(id);
    }
    shards
}

/// What is wrong with a histogram's shape.
pub(super) fn complaint(histogram: &NativeHistogram) -> Option<String> {
    let covers = |spans: &[vocab::histogram::Span]| spans.iter().map(|s| u64::from(s.length)).sum::<u64>();
    let pairs = [
        ("positive", covers(&histogram.positive_spans), histogram.positive_buckets.len()),
        ("negative", covers(&histogram.negative_spans), histogram.negative_buckets.len()),
    ];
    for (side, wanted, there) in pairs {
        if wanted != there as u64 {
            return Some(format!("its {side} spans cover {wanted} buckets but {there} are given"));
        }
    }
    let buckets = || histogram.positive_buckets.iter().chain(&histogram.negative_buckets);
    if buckets().any(|b| *b < 0.0) || histogram.zero_count < 0.0 || histogram.count < 0.0 {
        return Some("a count is negative".to_owned());
    }
    None
}
