//! One round of a built-in source: samples of one moment, written as one batch, with staleness markers for what is gone.

use std::sync::atomic::Ordering;

use hashbrown::HashMap;
use vocab::labels::METRIC_NAME;
use vocab::ports::append::{Origin, SeriesRef};
use vocab::ports::{AppendOutcome, WriteBatch};
use vocab::sample::{MetricMetadata, MetricType};
use vocab::{Labels, LabelsBuilder, PortResult, STALE_NAN, TimestampMs};

use crate::shared::Shared;

/// Samples of one moment.
#[derive(Debug, Default)]
pub(crate) struct Snapshot {
    base: LabelsBuilder,
    pub(crate) samples: Vec<(Labels, f64)>,
    pub(crate) metadata: Vec<MetricMetadata>,
}

impl Snapshot {
    /// An empty round whose samples all carry the base labels.
    pub(crate) fn new<'a>(base: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let mut builder = LabelsBuilder::default();
        for (name, value) in base {
            builder.set(name, value);
        }
        Self { base: builder, ..Self::default() }
    }

    /// Declares a family once per round.
    pub(crate) fn family(&mut self, metric: &str, metric_type: MetricType, help: &str) {
        self.metadata.push(MetricMetadata {
            metric: metric.to_owned(),
            metric_type,
            help: help.to_owned(),
            unit: String::new(),
        });
    }

    /// Adds a sample; labels of the sample win over the base labels.
    pub(crate) fn push(&mut self, metric: &str, labels: &[(&str, &str)], value: f64) {
        let mut builder = self.base.clone();
        builder.set(METRIC_NAME, metric);
        for (name, text) in labels {
            builder.set(name, text);
        }
        self.samples.push((builder.build(), value));
    }

    /// Declares a counter and adds its only sample.
    pub(crate) fn counter(&mut self, metric: &str, help: &str, value: f64) {
        self.family(metric, MetricType::Counter, help);
        self.push(metric, &[], value);
    }

    /// Declares a gauge and adds its only sample.
    pub(crate) fn gauge(&mut self, metric: &str, help: &str, value: f64) {
        self.family(metric, MetricType::Gauge, help);
        self.push(metric, &[], value);
    }
}

/// Writes the rounds of one source.
#[derive(Debug, Default)]
pub(crate) struct SnapshotWriter {
    /// Series of the last round that was written.
    known: HashMap<Labels, SeriesRef>,
    described: HashMap<String, MetricMetadata>,
}

impl SnapshotWriter {
    /// Writes a round as one batch; gives the number of samples the store took.
    ///
    /// # Errors
    /// The store's; nothing was written then and the next round makes up for the staleness markers.
    pub(crate) async fn write(&mut self, shared: &Shared, round: Snapshot, now_ms: TimestampMs) -> PortResult<u64> {
        let mut batch = WriteBatch { origin: Origin::Scrape, ..WriteBatch::default() };
        let mut current: HashMap<Labels, SeriesRef> = HashMap::with_capacity(round.samples.len());
        for (labels, value) in round.samples {
            let series_ref = self.known.get(&labels).copied().unwrap_or_default();
            // Of equal series the first counts, as in a scrape.
            if current.insert(labels.clone(), series_ref).is_none() {
                let series = batch.push_series(labels, series_ref);
                batch.samples.push(vocab::ports::append::BatchSample { series, timestamp: now_ms, value });
            }
        }
        let num_live = batch.series.len();
        for (labels, series_ref) in self.known.iter().filter(|(labels, _)| !current.contains_key(*labels)) {
            let series = batch.push_series(labels.clone(), *series_ref);
            batch.samples.push(vocab::ports::append::BatchSample { series, timestamp: now_ms, value: STALE_NAN });
        }
        let news = |m: &MetricMetadata| self.described.get(&m.metric) != Some(m);
        batch.metadata = round.metadata.into_iter().filter(news).collect();
        let outcome = append(shared, &batch).await?;
        for (index, series) in batch.series.iter().enumerate().take(num_live) {
            if let Some(slot) = current.get_mut(&series.labels) {
                *slot = outcome.refs.get(index).copied().unwrap_or_default();
            }
        }
        self.known = current;
        for metadata in batch.metadata {
            self.described.insert(metadata.metric.clone(), metadata);
        }
        Ok(outcome.accepted)
    }

    /// Marks everything as gone when the source was turned off, but not when the process ends.
    pub(crate) async fn finish(&mut self, shared: &Shared) {
        if shared.draining.load(Ordering::Acquire) || self.known.is_empty() {
            return;
        }
        if let Err(error) = self.write(shared, Snapshot::default(), shared.clock.now_ms()).await {
            tracing::debug!(error = %vocab::error::chain(&error), "staleness markers not written");
        }
    }
}

/// Bytes that a batch holds beside its label sets, which the caches share.
fn batch_bytes(batch: &WriteBatch) -> usize {
    batch.series.len() * size_of::<vocab::ports::append::BatchSeries>()
        + batch.samples.len() * size_of::<vocab::ports::append::BatchSample>()
        + (batch.starts.floats.len() + batch.starts.histograms.len()) * size_of::<TimestampMs>()
}

/// Appends a batch and counts what became of it.
pub(crate) async fn append(shared: &Shared, batch: &WriteBatch) -> PortResult<AppendOutcome> {
    let ctx = shared.ctx();
    let result = match ctx.memory.try_grow(batch_bytes(batch)) {
        Ok(()) => shared.appender.append(&ctx, batch).await,
        Err(error) => Err(error),
    };
    match &result {
        Ok(outcome) => {
            shared.metrics.samples.inc_by(outcome.accepted);
            shared.metrics.samples_lost.inc_by(outcome.rejected);
            if let Some(first) = outcome.rejections.first() {
                tracing::debug!(count = outcome.rejected, first = %first.message, "samples refused");
            }
        }
        Err(_) => {
            shared.metrics.samples_lost.inc_by(batch.samples.len() as u64);
        }
    }
    result
}
