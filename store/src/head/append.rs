//! A batch on its way into the head: compared first, then logged by the caller, then added.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use vocab::Labels;
use vocab::ports::append::{
    AppendOutcome, BatchSample, REJECTIONS_DESCRIBED_MAX, RejectReason, Rejection, SeriesRef, WriteBatch,
};
use vocab::sample::Exemplar;

use super::grouping::{SamplesBySeries, SeriesByShard};
use super::record::RecordBuilder;
use super::series::{Series, Value, Verdict};
use super::shard::{SeriesId, Shard};
use super::{Head, HeadLimits, TenantHead};

/// A batch that was compared with the head: what is to be logged, and what to add afterwards.
#[derive(Debug)]
pub(crate) struct Prepared {
    head: Arc<TenantHead>,
    generation: u32,
    /// Each series' number, parallel to the batch; `None` for a refused one.
    series: Vec<Option<SeriesId>>,
    /// Indices into the batch's samples, by shard.
    samples: Vec<u32>,
    /// Indices into the batch's histograms.
    histograms: Vec<u32>,
    exemplars: Vec<(Labels, Exemplar)>,
    /// What is to be logged; `None` when there is nothing new.
    pub(crate) record: Option<Vec<u8>>,
    outcome: AppendOutcome,
}

impl Head {
    /// Compares a batch with the head and says what is to be logged. The caller holds off the end of the generation until
    /// [`Head::add`] is done.
    ///
    /// Samples before `oldest_ms` are refused because of the retention.
    pub(crate) fn prepare(
        &self,
        tenant: &vocab::TenantId,
        batch: &WriteBatch,
        limits: &HeadLimits,
        oldest_ms: Option<i64>,
    ) -> Prepared {
        let head = self.tenant_or_new(tenant);
        let generation = self.generation();
        let mut work = Work {
            limits,
            head: &head,
            batch,
            generation,
            oldest_ms,
            series: vec![None; batch.series.len()],
            refused: HashMap::new(),
            newest: vec![None; batch.series.len()],
            samples: Vec::with_capacity(batch.samples.len()),
            histograms: Vec::new(),
            record: RecordBuilder::new(tenant, batch.samples.len()),
            outcome: AppendOutcome::default(),
        };
        work.compare_series();
        work.compare_histograms();
        let exemplars = work.choose_exemplars();
        work.choose_metadata();
        let Work { series, samples, histograms, record, mut outcome, .. } = work;
        outcome.refs =
            series.iter().map(|id| id.map_or(SeriesRef::NONE, |id| SeriesRef(u64::from(id.0) + 1))).collect();
        Prepared { head, generation, series, samples, histograms, exemplars, record: record.finish(), outcome }
    }

    /// Adds what was prepared, after it was logged.
    pub(crate) fn add(&self, prepared: Prepared, batch: &WriteBatch) -> AppendOutcome {
        let Prepared { head, generation, series, samples, histograms, exemplars, mut outcome, .. } = prepared;
        let times = samples.iter().map(|&i| batch.samples[i as usize].timestamp);
        let times = times.chain(histograms.iter().map(|&i| batch.histograms[i as usize].1));
        if let Some((min, max)) = times.map(|t| (t, t)).reduce(|a, b| (a.0.min(b.0), a.1.max(b.1))) {
            // Before the samples themselves, so that no reader misses them.
            head.note_times(min, max);
        }
        let mut rest = samples.as_slice();
        while let Some(&first) = rest.first() {
            let shard_of_sample =
                |index: u32| series[batch.samples[index as usize].series as usize].map_or(0, SeriesId::shard);
            let number = shard_of_sample(first);
            let length = rest.iter().take_while(|&&i| shard_of_sample(i) == number).count();
            let (mine, others) = rest.split_at(length);
            rest = others;
            let mut shard = head.shards[number].lock();
            let (mut change, mut num_added) = (0, 0);
            for &index in mine {
                let BatchSample { series: at, timestamp, value } = batch.samples[index as usize];
                let Some(series) = series[at as usize].and_then(|id| shard.get_mut(id)) else { continue };
                series.logged = generation;
                let value = Value::Float(value);
                if take(&mut outcome, series.compare(timestamp, value), batch, at, timestamp) {
                    change += series.add(generation, timestamp, value, batch.sample_start(index as usize));
                    num_added += 1;
                }
            }
            // While nobody can drop them, so that the count never falls below what is there.
            head.memory.samples_added(num_added);
            drop(shard);
            head.memory.samples_changed(change);
        }
        for &index in &histograms {
            let (at, timestamp, histogram) = &batch.histograms[index as usize];
            let Some(id) = series[*at as usize] else { continue };
            let mut shard = head.shards[id.shard()].lock();
            let Some(series) = shard.get_mut(id) else { continue };
            series.logged = generation;
            let value = Value::Histogram(histogram);
            if take(&mut outcome, series.compare(*timestamp, value), batch, *at, *timestamp) {
                let change = series.add(generation, *timestamp, value, batch.histogram_start(index as usize));
                head.memory.samples_added(1);
                drop(shard);
                head.memory.samples_changed(change);
            }
        }
        let mut side = head.side.lock();
        for (series, exemplar) in exemplars {
            side.add_exemplar(series, exemplar);
        }
        for metadata in &batch.metadata {
            if side.is_news(metadata) {
                side.set(metadata.clone());
            }
        }
        drop(side);
        outcome
    }
}

/// Counts a sample by its verdict; true when it is to be added.
fn take(outcome: &mut AppendOutcome, verdict: Verdict, batch: &WriteBatch, series: u32, time: i64) -> bool {
    match verdict {
        Verdict::New => outcome.accepted += 1,
        Verdict::Known => outcome.accepted += 1,
        Verdict::Conflict => {
            let labels = &batch.series[series as usize].labels;
            reject(outcome, series, time, RejectReason::Duplicate, || {
                format!("{labels} has another value at {time} already")
            });
        }
    }
    verdict == Verdict::New
}

fn reject(
    outcome: &mut AppendOutcome,
    series: u32,
    timestamp: i64,
    reason: RejectReason,
    message: impl FnOnce() -> String,
) {
    outcome.rejected += 1;
    let is_limit = reason == RejectReason::SeriesLimit;
    outcome.limited += u64::from(is_limit);
    if outcome.rejections.len() < REJECTIONS_DESCRIBED_MAX {
        outcome.rejections.push(Rejection { series, timestamp, reason, message: message() });
    } else if is_limit
        && outcome.limited == 1
        && let Some(last) = outcome.rejections.last_mut()
    {
        // Whoever sent it has to learn that trying again later helps.
        *last = Rejection { series, timestamp, reason, message: message() };
    }
}

/// The comparison of one batch.
struct Work<'a> {
    limits: &'a HeadLimits,
    head: &'a TenantHead,
    batch: &'a WriteBatch,
    generation: u32,
    oldest_ms: Option<i64>,
    series: Vec<Option<SeriesId>>,
    /// Why series are refused, by index.
    refused: HashMap<u32, (RejectReason, String)>,
    /// Newest time of each series, samples of this batch included.
    newest: Vec<Option<i64>>,
    samples: Vec<u32>,
    histograms: Vec<u32>,
    record: RecordBuilder,
    outcome: AppendOutcome,
}

impl Work<'_> {
    /// Finds or makes every series and compares its samples with what the head holds, one shard after the other.
    fn compare_series(&mut self) {
        let too_old = self.series_too_old();
        let (by_shard, by_series) = (SeriesByShard::new(self.batch), SamplesBySeries::new(self.batch));
        self.outcome.rejected += by_series.num_strays as u64;
        let mut made = Vec::new();
        for (number, members) in by_shard.iter() {
            let mut shard = self.head.shards[number].lock();
            for &(index, hash) in members {
                let is_too_old = too_old.get(index as usize).copied().unwrap_or(false);
                let id = self.resolve(&mut shard, index, hash, is_too_old, &mut made);
                self.series[index as usize] = id;
                let Some((id, series)) = id.and_then(|id| Some((id, shard.get_mut(id)?))) else {
                    for place in by_series.places(index) {
                        self.refuse_with_series(index, self.batch.samples[place as usize].timestamp);
                    }
                    continue;
                };
                series.touched = self.generation;
                self.newest[index as usize] = series.newest();
                if series.logged != self.generation {
                    self.record.series(id.0, &series.labels);
                }
                for place in by_series.places(index) {
                    let BatchSample { timestamp, value, .. } = self.batch.samples[place as usize];
                    if self.is_wanted(series, index, timestamp, Value::Float(value)) {
                        self.samples.push(place);
                        self.record.sample(id.0, timestamp, value, self.batch.sample_start(place as usize));
                    }
                }
            }
            if !made.is_empty() {
                let mut index = self.head.index.write();
                for id in &made {
                    if let Some(series) = shard.get(*id) {
                        index.insert(id.0, &series.labels);
                    }
                }
                self.head.num_series.fetch_add(made.len(), Ordering::Relaxed);
                made.clear();
            }
        }
    }

    /// Finds a series in its shard, or makes it when nothing speaks against it.
    fn resolve(
        &mut self,
        shard: &mut Shard,
        index: u32,
        hash: u64,
        is_too_old: bool,
        made: &mut Vec<SeriesId>,
    ) -> Option<SeriesId> {
        let wanted = &self.batch.series[index as usize];
        let hinted = u32::try_from(wanted.series_ref.0.wrapping_sub(1)).ok().map(SeriesId);
        let hinted = hinted
            .filter(|id| id.shard() == shard.number() && shard.get(*id).is_some_and(|s| s.labels == wanted.labels));
        if let Some(id) = hinted.or_else(|| shard.find(hash, &wanted.labels)) {
            return Some(id);
        }
        if is_too_old {
            let text = format!("{} has only samples that are older than the retention keeps", wanted.labels);
            self.refused.insert(index, (RejectReason::BeyondRetention, text));
            return None;
        }
        if let Err(refusal) = self.admit(&wanted.labels) {
            self.refused.insert(index, refusal);
            return None;
        }
        let id = shard.insert(hash, Series::new(wanted.labels.clone(), self.generation));
        made.extend(id);
        id
    }

    /// For each series whether the retention refuses all its samples; empty when there is no retention by time.
    fn series_too_old(&self) -> Vec<bool> {
        let Some(oldest) = self.oldest_ms else { return Vec::new() };
        let mut too_old = vec![true; self.batch.series.len()];
        let floats = self.batch.samples.iter().map(|s| (s.series, s.timestamp));
        for (series, time) in floats.chain(self.batch.histograms.iter().map(|h| (h.0, h.1))) {
            if let Some(too_old) = too_old.get_mut(series as usize) {
                *too_old &= time < oldest;
            }
        }
        too_old
    }

    fn admit(&self, labels: &Labels) -> Result<(), (RejectReason, String)> {
        if let Some(complaint) = self.limits.complaint(labels) {
            return Err((RejectReason::InvalidLabels, complaint));
        }
        let most = self.limits.series_per_tenant_max;
        if self.head.num_series() >= most {
            let tenant = &self.head.tenant;
            let text =
                format!("{labels} would be one series more than the {most} that tenant {tenant} may have (max_series)");
            return Err((RejectReason::SeriesLimit, text));
        }
        if !self.head.memory.series_added(labels) {
            let text = format!(
                "{labels} is a new series and the memory share \"head\" of {} bytes has no room for it (raise --memory-limit)",
                self.head.memory.limit_bytes()
            );
            return Err((RejectReason::SeriesLimit, text));
        }
        Ok(())
    }

    /// Notes a sample as refused because its series is.
    fn refuse_with_series(&mut self, at: u32, time: i64) {
        let refusal = self.refused.get(&at).map(|(reason, text)| (*reason, text.as_str()));
        let (reason, text) = refusal.unwrap_or((RejectReason::SeriesLimit, "no series number is left"));
        reject(&mut self.outcome, at, time, reason, || text.to_owned());
    }

    fn compare_histograms(&mut self) {
        for (index, (at, timestamp, histogram)) in (0u32..).zip(&self.batch.histograms) {
            if *at as usize >= self.series.len() {
                self.outcome.rejected += 1;
                continue;
            }
            if self.series[*at as usize].is_none() {
                self.refuse_with_series(*at, *timestamp);
                continue;
            }
            if let Some(complaint) = super::read::complaint(histogram) {
                let labels = &self.batch.series[*at as usize].labels;
                reject(&mut self.outcome, *at, *timestamp, RejectReason::InvalidHistogram, || {
                    format!("{labels} at {timestamp}: {complaint}")
                });
                continue;
            }
            let Some(id) = self.series[*at as usize] else { continue };
            let shard = self.head.shards[id.shard()].lock();
            if let Some(series) = shard.get(id)
                && self.is_wanted(series, *at, *timestamp, Value::Histogram(histogram))
            {
                self.histograms.push(index);
                self.record.histogram(id.0, *timestamp, histogram, self.batch.histogram_start(index as usize));
            }
        }
    }

    /// Whether a sample is new to its series; counts it when it is not.
    fn is_wanted(&mut self, series: &Series, at: u32, timestamp: i64, value: Value<'_>) -> bool {
        if self.oldest_ms.is_some_and(|oldest| timestamp < oldest) {
            reject(&mut self.outcome, at, timestamp, RejectReason::BeyondRetention, || {
                format!("{} at {timestamp} is older than the retention keeps", series.labels)
            });
            return false;
        }
        let newest = self.newest[at as usize];
        if timestamp < self.limits.oldest(self.batch.origin, newest) {
            let newest = newest.unwrap_or(timestamp);
            reject(&mut self.outcome, at, timestamp, RejectReason::TooOld, || {
                format!(
                    "{} at {timestamp} is {} s older than the newest sample of its series, which is more than the out-of-order window",
                    series.labels,
                    (newest - timestamp) / 1000
                )
            });
            return false;
        }
        let verdict = series.compare(timestamp, value);
        if verdict == Verdict::New {
            self.newest[at as usize] = Some(newest.map_or(timestamp, |t| t.max(timestamp)));
            return true;
        }
        take(&mut self.outcome, verdict, self.batch, at, timestamp)
    }

    fn choose_exemplars(&mut self) -> Vec<(Labels, Exemplar)> {
        let side = self.head.side.lock();
        let mut chosen = Vec::new();
        if side.exemplars_max() == 0 {
            return chosen;
        }
        for (at, exemplar) in &self.batch.exemplars {
            let known = self.series.get(*at as usize).copied().flatten().is_some();
            let Some(series) = self.batch.series.get(*at as usize).filter(|_| known) else { continue };
            if !side.has_exemplar(&series.labels, exemplar) {
                self.record.exemplar(&series.labels, exemplar);
                chosen.push((series.labels.clone(), exemplar.clone()));
            }
        }
        chosen
    }

    fn choose_metadata(&mut self) {
        let side = self.head.side.lock();
        for metadata in self.batch.metadata.iter().filter(|m| side.is_news(m)) {
            self.record.metadata(metadata);
        }
    }
}
