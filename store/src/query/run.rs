//! Decodes in parallel what a search has found, for streams and for fragments.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream;
use promql::fragment::{self, FragmentAccumulator};
use tokio::sync::mpsc;
use vocab::ports::query::{Fragment, FragmentResult, SelectRequest, SeriesStream};
use vocab::sample::SeriesData;
use vocab::{Ctx, PortError, PortResult};

use super::decode::Decoder;
use super::gather::{Gathered, Search, gather};
use crate::block::BlockSet;
use crate::db::blocking;
use crate::error::StoreError;
use crate::head::Head;

/// A batch of a stream is handed over with this many series or samples.
const BATCH_SERIES: usize = 256;
const BATCH_SAMPLES: usize = 128 * 1024;

/// Batches that may wait for a slow reader, per worker.
const BATCHES_QUEUED: usize = 2;

/// Below this many series a query is not divided among threads.
const SERIES_PER_WORKER_MIN: usize = 32;

/// What a query reads from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) head: Arc<Head>,
    pub(crate) blocks: Arc<BlockSet>,
}

impl Sources {
    /// Searches, then streams batches from as many threads as are worth it.
    pub(crate) async fn select(&self, ctx: &Ctx, request: SelectRequest) -> PortResult<SeriesStream> {
        ctx.cancel.check()?;
        let limit = request.hints.limit;
        let gathered = self.gather(ctx, request.matchers, request.start_ms, request.end_ms, limit).await?;
        let (sender, receiver) = mpsc::channel(BATCHES_QUEUED * num_workers(gathered.series.len()));
        for range in split(gathered.series.len()) {
            let (sources, ctx, gathered, sender) = (self.clone(), ctx.clone(), Arc::clone(&gathered), sender.clone());
            // The stream ends when all workers have dropped their senders; one whose reader is gone ends at its next batch.
            tokio::task::spawn_blocking(move || {
                if let Err(error) = sources.send_batches(&ctx, &gathered, range, &sender) {
                    drop(sender.blocking_send(Err(error.into())));
                }
            });
        }
        drop(sender);
        Ok(stream::unfold(receiver, |mut receiver| async move { Some((receiver.recv().await?, receiver)) }).boxed())
    }

    fn send_batches(
        &self,
        ctx: &Ctx,
        gathered: &Gathered,
        range: std::ops::Range<usize>,
        sender: &mpsc::Sender<PortResult<Vec<SeriesData>>>,
    ) -> Result<(), StoreError> {
        let mut batch = Vec::new();
        let mut num_samples = 0;
        self.decode(ctx, gathered, range, |series| {
            num_samples += series.num_samples();
            batch.push(series);
            if batch.len() >= BATCH_SERIES || num_samples >= BATCH_SAMPLES {
                num_samples = 0;
                if sender.blocking_send(Ok(std::mem::take(&mut batch))).is_err() {
                    return Err(PortError::new(vocab::ErrorKind::Cancelled, "the reader went away").into());
                }
            }
            Ok(())
        })?;
        if !batch.is_empty() {
            // A reader that has gone away does not miss it.
            drop(sender.blocking_send(Ok(batch)));
        }
        Ok(())
    }

    /// Decodes series one after the other; those without samples in the range are left out.
    fn decode(
        &self,
        ctx: &Ctx,
        gathered: &Gathered,
        range: std::ops::Range<usize>,
        mut visit: impl FnMut(SeriesData) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut decoder = Decoder::new(&self.blocks, gathered);
        for sources in &gathered.series[range] {
            ctx.cancel.check()?;
            let series = decoder.series(sources)?;
            if series.num_samples() > 0 {
                ctx.memory.try_grow(series.heap_bytes())?;
                visit(series)?;
            }
        }
        Ok(())
    }

    async fn gather(
        &self,
        ctx: &Ctx,
        matchers: Vec<vocab::Matcher>,
        start: i64,
        end: i64,
        limit: usize,
    ) -> PortResult<Arc<Gathered>> {
        let (sources, ctx) = (self.clone(), ctx.clone());
        let gathered = blocking(move || {
            let search = Search { matchers: &matchers, start, end, limit };
            gather(&sources.head, &sources.blocks, &ctx, &search)
        });
        Ok(Arc::new(gathered.await?))
    }

    /// Runs a fragment on as many threads as are worth it and merges their results.
    pub(crate) async fn execute(&self, ctx: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        ctx.cancel.check()?;
        let (start, end) = fragment.sample_bounds();
        let gathered = self.gather(ctx, fragment.matchers.clone(), start, end, 0).await?;
        let fragment = Arc::new(fragment);
        let parts = split(gathered.series.len()).into_iter().map(|range| {
            let (sources, ctx, gathered) = (self.clone(), ctx.clone(), Arc::clone(&gathered));
            let fragment = Arc::clone(&fragment);
            blocking(move || sources.execute_part(&ctx, &gathered, range, &fragment))
        });
        let parts = futures::future::try_join_all(parts).await?;
        Ok(fragment::merge(&fragment, parts))
    }

    fn execute_part(
        &self,
        ctx: &Ctx,
        gathered: &Gathered,
        range: std::ops::Range<usize>,
        fragment: &Fragment,
    ) -> Result<FragmentResult, StoreError> {
        let mut reserved = 0;
        let mut accumulator = FragmentAccumulator::new(fragment);
        self.decode(ctx, gathered, range, |series| {
            let bytes = series.heap_bytes();
            accumulator.add(&series);
            drop(series);
            ctx.memory.shrink(bytes);
            let grown = accumulator.heap_bytes();
            if grown > reserved {
                ctx.memory.try_grow(grown - reserved)?;
                reserved = grown;
            }
            Ok(())
        })?;
        Ok(accumulator.finish())
    }
}

fn num_workers(num_series: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    num_series.div_ceil(SERIES_PER_WORKER_MIN).clamp(1, cores)
}

/// Divides series into as many ranges as there are workers for them.
fn split(num_series: usize) -> Vec<std::ops::Range<usize>> {
    let workers = num_workers(num_series);
    let length = num_series.div_ceil(workers).max(1);
    (0..num_series).step_by(length).map(|start| start..(start + length).min(num_series)).collect()
}
