//! The ports that the store implements.

use std::sync::atomic::Ordering;

use async_trait::async_trait;
use tokio::runtime::{Handle, RuntimeFlavor};
use vocab::ports::append::{AppendOutcome, Appender, WriteBatch};
use vocab::ports::query::{
    CardinalityReport, Fragment, FragmentResult, Querier, SelectExtent, SelectRequest, SeriesExemplars, SeriesFilter,
    SeriesStream,
};
use vocab::sample::MetricMetadata;
use vocab::{Ctx, ErrorKind, Labels, PortError, PortResult};

use super::{MetricStore, blocking, inline};
use crate::cardinality;
use crate::error::StoreError;
use crate::head::Head;
use crate::query::extent;
use crate::query::labels::LabelSearch;

/// A batch with more samples than this lets the other tasks of its thread go on elsewhere: at most ten milliseconds. Agents send
/// fewer at once; to change threads for each of their requests costs CPU, and memory for the allocator's part of every thread.
const SAMPLES_INLINE_MAX: usize = 20_000;

#[async_trait]
impl Appender for MetricStore {
    async fn append(&self, ctx: &Ctx, batch: &WriteBatch) -> PortResult<AppendOutcome> {
        if self.closing.load(Ordering::Acquire) {
            return Err(PortError::new(ErrorKind::Unavailable, "the metric store is closing"));
        }
        let memory = self.sources.head.memory();
        if memory.is_exhausted() {
            self.wake.notify_one();
            let text = format!(
                "samples are refused: the memory share \"head\" of {} bytes is used up until they are moved into blocks (raise --memory-limit)",
                memory.limit_bytes()
            );
            self.metrics.limited(&ctx.tenant, "memory", (batch.samples.len() + batch.histograms.len()) as u64);
            return Err(PortError::new(ErrorKind::Limit, text));
        }
        let (limits, own) = self.limits_of(&ctx.tenant);
        self.check_rate(&ctx.tenant, &own, batch.origin, batch.samples.len() + batch.histograms.len())?;
        let generation = self.gate.read().await;
        let large = batch.samples.len() > SAMPLES_INLINE_MAX;
        let oldest_ms = self.oldest_ms(&own);
        let mut prepared = compute(large, || self.sources.head.prepare(&ctx.tenant, batch, &limits, oldest_ms));
        if let Some(record) = prepared.record.take() {
            self.wal.append(&[&record]).await?;
        }
        let outcome = compute(large, || self.sources.head.add(prepared, batch));
        drop(generation);
        self.metrics.appended(&outcome);
        if outcome.limited > 0 {
            self.metrics.limited(&ctx.tenant, "max_series", outcome.limited);
        }
        if memory.wants_flush() {
            self.wake.notify_one();
        }
        Ok(outcome)
    }
}

/// Runs CPU work; when it is large, in a way that lets the other tasks of this thread go on elsewhere.
fn compute<T>(large: bool, work: impl FnOnce() -> T) -> T {
    let can_move = Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
    if large && can_move { tokio::task::block_in_place(work) } else { work() }
}

impl MetricStore {
    /// Runs a search for labels.
    async fn search_labels<T: Send + 'static>(
        &self,
        ctx: &Ctx,
        filter: SeriesFilter,
        search: impl FnOnce(&LabelSearch<'_>) -> Result<T, StoreError> + Send + 'static,
    ) -> PortResult<T> {
        ctx.cancel.check()?;
        let (sources, search_ctx) = (self.sources.clone(), ctx.clone());
        let found = inline(ctx, move || {
            let (head, blocks): (&Head, _) = (&sources.head, &sources.blocks);
            search(&LabelSearch { head, blocks, ctx: &search_ctx, filter: &filter })
        });
        Ok(found.await?)
    }
}

#[async_trait]
impl Querier for MetricStore {
    async fn select(&self, ctx: &Ctx, request: SelectRequest) -> PortResult<SeriesStream> {
        self.sources.select(ctx, request).await
    }

    async fn extent(&self, ctx: &Ctx, request: &SelectRequest) -> PortResult<Option<SelectExtent>> {
        ctx.cancel.check()?;
        let (sources, ctx, request) = (self.sources.clone(), ctx.clone(), request.clone());
        Ok(Some(blocking(move || extent::of(&sources, &ctx, &request)).await?))
    }

    async fn execute(&self, ctx: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        self.sources.execute(ctx, fragment).await
    }

    async fn series(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<Labels>> {
        ctx.cancel.check_long()?;
        self.search_labels(ctx, filter, |search| search.series()).await
    }

    async fn label_names(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<String>> {
        // Names of all series are listed, those of some are looked for.
        if !filter.any_of.is_empty() {
            ctx.cancel.check_long()?;
        }
        self.search_labels(ctx, filter, |search| search.names()).await
    }

    async fn label_values(&self, ctx: &Ctx, name: &str, filter: SeriesFilter) -> PortResult<Vec<String>> {
        ctx.cancel.check_long()?;
        let name = name.to_owned();
        self.search_labels(ctx, filter, move |search| search.values(&name)).await
    }

    async fn cardinality(&self, ctx: &Ctx, most: usize) -> PortResult<CardinalityReport> {
        ctx.cancel.check()?;
        let (sources, ctx) = (self.sources.clone(), ctx.clone());
        Ok(blocking(move || cardinality::report(&sources.head, &sources.blocks, &ctx, most)).await?)
    }

    async fn metadata(&self, ctx: &Ctx, metric: Option<&str>) -> PortResult<Vec<MetricMetadata>> {
        ctx.cancel.check()?;
        let Some(head) = self.sources.head.tenant(&ctx.tenant) else { return Ok(Vec::new()) };
        let side = head.side().lock();
        Ok(match metric {
            Some(metric) => side.family(metric).into_iter().cloned().collect(),
            None => side.families().cloned().collect(),
        })
    }

    async fn exemplars(&self, ctx: &Ctx, filter: SeriesFilter) -> PortResult<Vec<SeriesExemplars>> {
        ctx.cancel.check()?;
        let Some(head) = self.sources.head.tenant(&ctx.tenant) else { return Ok(Vec::new()) };
        let side = head.side().lock();
        let wanted = |labels: &Labels| {
            filter.any_of.is_empty() || filter.any_of.iter().any(|all| all.iter().all(|m| m.matches_labels(labels)))
        };
        let found = side.exemplars().filter(|(labels, _)| wanted(labels)).filter_map(|(labels, exemplars)| {
            let inside = exemplars.iter().filter(|e| e.timestamp >= filter.start_ms && e.timestamp <= filter.end_ms);
            let exemplars: Vec<_> = inside.cloned().collect();
            (!exemplars.is_empty()).then(|| SeriesExemplars { labels: labels.clone(), exemplars })
        });
        Ok(found.take(if filter.limit == 0 { usize::MAX } else { filter.limit }).collect())
    }
}
