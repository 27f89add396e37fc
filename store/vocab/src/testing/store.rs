//! A metric store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use futures::StreamExt;
use futures::stream;
use parking_lot::RwLock;

use crate::context::Ctx;
use crate::error::{ErrorKind, PortError, PortResult};
use crate::labels::Labels;
use crate::matcher::Matcher;
use crate::ports::append::{
    AppendOutcome, Appender, REJECTIONS_DESCRIBED_MAX, RejectReason, Rejection, SeriesRef, WriteBatch,
};
use crate::ports::query::{
    Fragment, FragmentResult, Querier, SelectHints, SelectRequest, SeriesExemplars, SeriesFilter, SeriesStream,
};
use crate::sample::{Exemplar, MetricMetadata, SeriesData, StartTimes};
use crate::tenant::TenantId;
use crate::time::TimestampMs;

/// Evaluates a fragment over decoded series; `promql` has one, which this crate may not name.
pub type FragmentRunner = Arc<dyn Fn(&Ctx, &Fragment, Vec<SeriesData>) -> PortResult<FragmentResult> + Send + Sync>;

/// Samples in memory, per tenant. Takes samples of any age. Clones share the samples.
///
/// [`Querier::execute`] answers only when a [`FragmentRunner`] was handed in; otherwise it fails with
/// [`ErrorKind::Execution`].
#[derive(Clone, Default)]
pub struct MemStore {
    tenants: Arc<RwLock<BTreeMap<TenantId, TenantData>>>,
    runner: Option<FragmentRunner>,
    refusing: Arc<RwLock<Option<PortError>>>,
}

#[derive(Default)]
struct TenantData {
    series: BTreeMap<Labels, Series>,
    metadata: BTreeMap<String, MetricMetadata>,
}

struct Series {
    number: u64,
    data: SeriesData,
    /// Since when samples count, by their time.
    starts: BTreeMap<TimestampMs, TimestampMs>,
    exemplars: Vec<Exemplar>,
}

impl fmt::Debug for MemStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemStore").field("num_tenants", &self.tenants.read().len()).finish_non_exhaustive()
    }
}

impl MemStore {
    /// An empty store whose `execute` fails.
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty store whose `execute` selects the series and hands them to `runner`.
    pub fn with_runner(runner: FragmentRunner) -> Self {
        Self { runner: Some(runner), ..Self::default() }
    }

    /// Makes every append fail with this error, or work again.
    pub fn refuse_writes(&self, error: Option<PortError>) {
        *self.refusing.write() = error;
    }

    /// All series of a tenant, sorted by labels.
    pub fn dump(&self, tenant: &TenantId) -> Vec<SeriesData> {
        let tenants = self.tenants.read();
        tenants
            .get(tenant)
            .map(|t| t.series.values().map(|s| s.between(TimestampMs::MIN, TimestampMs::MAX)).collect())
            .unwrap_or_default()
    }

    /// Adds one sample of the default tenant, for the set-up of a test.
    pub fn put(&self, labels: &[(&str, &str)], timestamp: TimestampMs, value: f64) {
        let mut tenants = self.tenants.write();
        let labels = Labels::from_pairs(labels.iter().copied());
        let series = tenants.entry(TenantId::default()).or_default().series_mut(&labels);
        series.insert(timestamp, value, 0);
    }

    fn collect<T>(&self, ctx: &Ctx, filter: &SeriesFilter, mut pick: impl FnMut(&Series, &mut Vec<T>)) -> Vec<T> {
        let mut out = Vec::new();
        if let Some(data) = self.tenants.read().get(&ctx.tenant) {
            for (labels, series) in &data.series {
                let wanted = filter.any_of.is_empty() || filter.any_of.iter().any(|all| matches_all(all, labels));
                if wanted && series.touches(filter.start_ms, filter.end_ms) {
                    pick(series, &mut out);
                }
            }
        }
        out
    }
}

fn matches_all(matchers: &[Matcher], labels: &Labels) -> bool {
    matchers.iter().all(|m| m.matches_labels(labels))
}

fn cut<T>(values: impl IntoIterator<Item = T>, limit: usize) -> Vec<T> {
    values.into_iter().take(if limit == 0 { usize::MAX } else { limit }).collect()
}

impl TenantData {
    fn series_mut(&mut self, labels: &Labels) -> &mut Series {
        let number = self.series.len() as u64 + 1;
        self.series.entry(labels.clone()).or_insert_with(|| Series {
            number,
            data: SeriesData { labels: labels.clone(), ..SeriesData::default() },
            starts: BTreeMap::new(),
            exemplars: Vec::new(),
        })
    }
}

impl Series {
    /// Whether the sample is there now: an exact repetition is, another value at the same time is not.
    fn insert(&mut self, timestamp: TimestampMs, value: f64, start: TimestampMs) -> bool {
        if self.data.histograms.iter().any(|h| h.0 == timestamp) {
            return false;
        }
        match self.data.timestamps.binary_search(&timestamp) {
            Ok(at) => self.data.values[at].to_bits() == value.to_bits(),
            Err(at) => {
                self.data.timestamps.insert(at, timestamp);
                self.data.values.insert(at, value);
                self.note_start(timestamp, start);
                true
            }
        }
    }

    fn note_start(&mut self, timestamp: TimestampMs, start: TimestampMs) {
        if start != 0 {
            self.starts.insert(timestamp, start);
        }
    }

    fn starts_of(&self, times: impl Iterator<Item = TimestampMs>) -> Vec<TimestampMs> {
        let starts: Vec<_> = times.map(|time| self.starts.get(&time).copied().unwrap_or(0)).collect();
        if starts.iter().any(|s| *s != 0) { starts } else { Vec::new() }
    }

    fn touches(&self, start: TimestampMs, end: TimestampMs) -> bool {
        let inside = |t: TimestampMs| (start..=end).contains(&t);
        self.data.timestamps.iter().copied().any(inside) || self.data.histograms.iter().any(|h| inside(h.0))
    }

    fn between(&self, start: TimestampMs, end: TimestampMs) -> SeriesData {
        let from = self.data.timestamps.partition_point(|&t| t < start);
        let to = self.data.timestamps.partition_point(|&t| t <= end).max(from);
        let inside = || self.data.histograms.iter().filter(|h| h.0 >= start && h.0 <= end);
        let starts = StartTimes {
            floats: self.starts_of(self.data.timestamps[from..to].iter().copied()),
            histograms: self.starts_of(inside().map(|h| h.0)),
        };
        SeriesData {
            labels: self.data.labels.clone(),
            timestamps: self.data.timestamps[from..to].to_vec(),
            values: self.data.values[from..to].to_vec(),
            histograms: inside().cloned().collect(),
            starts: (!starts.is_empty()).then(|| Box::new(starts)),
        }
    }
}

impl AppendOutcome {
    fn count(&mut self, taken: bool, series: u32, timestamp: TimestampMs, reason: RejectReason, labels: &Labels) {
        if taken {
            self.accepted += 1;
            return;
        }
        self.rejected += 1;
        if self.rejections.len() < REJECTIONS_DESCRIBED_MAX {
            let message = format!("{} at {timestamp}: {}", labels, reason.as_str());
            self.rejections.push(Rejection { series, timestamp, reason, message });
        }
    }
}

#[async_trait]
impl Appender for MemStore {
    async fn append(&self, ctx: &Ctx, batch: &WriteBatch) -> PortResult<AppendOutcome> {
        if let Some(error) = self.refusing.read().clone() {
            return Err(error);
        }
        let mut tenants = self.tenants.write();
        let data = tenants.entry(ctx.tenant.clone()).or_default();
        let mut outcome = AppendOutcome { refs: vec![SeriesRef::NONE; batch.series.len()], ..AppendOutcome::default() };
        let labels_of = |index: u32| &batch.series[index as usize].labels;
        for (place, sample) in batch.samples.iter().enumerate() {
            let labels = labels_of(sample.series);
            let reason = if labels.is_empty() { RejectReason::InvalidLabels } else { RejectReason::Duplicate };
            let start = batch.sample_start(place);
            let taken = !labels.is_empty() && data.series_mut(labels).insert(sample.timestamp, sample.value, start);
            outcome.count(taken, sample.series, sample.timestamp, reason, labels);
        }
        for (place, (index, timestamp, histogram)) in batch.histograms.iter().enumerate() {
            let labels = labels_of(*index);
            let mut reason = RejectReason::InvalidLabels;
            let mut taken = false;
            if !labels.is_empty() {
                reason = RejectReason::Duplicate;
                let series = data.series_mut(labels);
                let floats = series.data.timestamps.binary_search(timestamp).is_ok();
                match series.data.histograms.binary_search_by_key(timestamp, |h| h.0) {
                    Ok(at) => taken = !floats && series.data.histograms[at].1 == *histogram,
                    Err(at) if !floats => {
                        series.data.histograms.insert(at, (*timestamp, Arc::clone(histogram)));
                        series.note_start(*timestamp, batch.histogram_start(place));
                        taken = true;
                    }
                    Err(_) => {}
                }
            }
            outcome.count(taken, *index, *timestamp, reason, labels);
        }
        for (index, exemplar) in &batch.exemplars {
            if let Some(series) = data.series.get_mut(labels_of(*index))
                && !series.exemplars.contains(exemplar)
            {
                let at = series.exemplars.partition_point(|e| e.timestamp <= exemplar.timestamp);
                series.exemplars.insert(at, exemplar.clone());
            }
        }
        for metadata in &batch.metadata {
            data.metadata.insert(metadata.metric.clone(), metadata.clone());
        }
        for (slot, series) in outcome.refs.iter_mut().zip(&batch.series) {
            *slot = data.series.get(&series.labels).map_or(SeriesRef::NONE, |s| SeriesRef(s.number));
        }
        Ok(outcome)
    }
}

#[async_trait]
impl Querier for MemStore {
    async fn select(&self, ctx: &Ctx, request: SelectRequest) -> PortResult<SeriesStream> {
        ctx.cancel.check()?;
        let filter = SeriesFilter {
            any_of: vec![request.matchers],
            start_ms: request.start_ms,
            end_ms: request.end_ms,
            limit: request.hints.limit,
        };
        let found = self.collect(ctx, &filter, |s, out| out.push(s.between(filter.start_ms, filter.end_ms)));
        let found = cut(found, filter.limit);
        ctx.memory.try_grow(found.iter().map(SeriesData::heap_bytes).sum())?;
        let batches: Vec<PortResult<Vec<SeriesData>>> = if found.is_empty() { Vec::new() } else { vec![Ok(found)] };
        Ok(stream::iter(batches).boxed())
    }

    async fn execute(&self, ctx: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        let Some(runner) = &self.runner else {
            return Err(PortError::new(ErrorKind::Execution, "this store in memory does not evaluate fragments"));
        };
        let (start_ms, end_ms) = fragment.sample_bounds();
        let matchers = fragment.matchers.clone();
        let request = SelectRequest { matchers, start_ms, end_ms, hints: SelectHints::default() };
        let mut series = Vec::new();
        let mut batches = self.select(ctx, request).await?;
        while let Some(batch) = batches.next().await {
            series.append(&mut batch?);
        }
        runner(ctx, &fragment, series)
    }

    async fn series(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<Labels>> {
        ctx.cancel.check()?;
        Ok(cut(self.collect(ctx, &filter, |s, out| out.push(s.data.labels.clone())), filter.limit))
    }

    async fn label_names(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<String>> {
        ctx.cancel.check()?;
        let names: Vec<String> =
            self.collect(ctx, &filter, |s, out| out.extend(s.data.labels.iter().map(|p| p.0.to_owned())));
        Ok(cut(names.into_iter().collect::<BTreeSet<_>>(), filter.limit))
    }

    async fn label_values(&self, ctx: &Ctx, name: &str, filter: SeriesFilter) -> PortResult<Vec<String>> {
        ctx.cancel.check()?;
        let values: Vec<String> =
            self.collect(ctx, &filter, |s, out| out.extend(s.data.labels.get(name).map(str::to_owned)));
        Ok(cut(values.into_iter().collect::<BTreeSet<_>>(), filter.limit))
    }

    async fn metadata(&self, ctx: &Ctx, metric: Option<&str>) -> PortResult<Vec<MetricMetadata>> {
        let tenants = self.tenants.read();
        let all = tenants.get(&ctx.tenant).into_iter().flat_map(|t| t.metadata.values());
        Ok(all.filter(|m| metric.is_none_or(|name| name == m.metric)).cloned().collect())
    }

    async fn exemplars(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<SeriesExemplars>> {
        ctx.cancel.check()?;
        let found =
            self.collect(ctx, &SeriesFilter { start_ms: i64::MIN, end_ms: i64::MAX, ..filter.clone() }, |s, out| {
                let inside = |e: &&Exemplar| (filter.start_ms..=filter.end_ms).contains(&e.timestamp);
                let exemplars: Vec<_> = s.exemplars.iter().filter(inside).cloned().collect();
                if !exemplars.is_empty() {
                    out.push(SeriesExemplars { labels: s.data.labels.clone(), exemplars });
                }
            });
        Ok(cut(found, filter.limit))
    }
}
