//! Decodes in parallel what a search has found, for streams and for fragments.

use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock};

use futures::StreamExt;
use futures::stream;
use promql::fragment::{self, FragmentAccumulator};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use vocab::ports::query::{Fragment, FragmentResult, SelectRequest, SeriesStream};
use vocab::sample::SeriesData;
use vocab::{Ctx, ErrorKind, MatchOp, Matcher, PortError, PortResult};

use super::decode::Decoder;
use super::gather::{Gathered, Part, Search, gather};
use crate::block::BlockSet;
use crate::db::inline;
use crate::downsample;
use crate::error::StoreError;
use crate::head::Head;

/// A batch of a stream is handed over with this many series or samples.
const BATCH_SERIES: usize = 256;
const BATCH_SAMPLES: usize = 128 * 1024;

/// Batches that may wait for a slow reader, per worker.
const BATCHES_QUEUED: usize = 2;

/// Below this many series a query is not divided among threads.
const SERIES_PER_WORKER_MIN: usize = 32;

/// Into so many parts a fragment's series are divided, one number after the other until a part fits into memory.
const PARTS: [u64; 2] = [1, 16];

/// What a query reads from.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) head: Arc<Head>,
    pub(crate) blocks: Arc<BlockSet>,
    /// Whether downsampled data may stand for samples.
    pub(crate) downsampling: bool,
}

impl Sources {
    /// Searches, then streams batches: a few series are decoded here, more of them on as many threads as are worth it.
    pub(crate) async fn select(&self, ctx: &Ctx, request: SelectRequest) -> PortResult<SeriesStream> {
        ctx.cancel.check()?;
        let choice = downsample::choose_for_select(&request).filter(|_| self.downsampling);
        let SelectRequest { matchers, start_ms, end_ms, hints } = request;
        check_brief(ctx, &matchers)?;
        let (sources, ctx) = (self.clone(), ctx.clone());
        let search_ctx = ctx.clone();
        let found = inline(&ctx, move || {
            let (start, end, limit) = (start_ms, end_ms, hints.limit);
            let search = Search { matchers: &matchers, start, end, limit, part: Part::ALL, choice };
            let gathered = sources.gather(&search_ctx, &search)?;
            let ranges = split(gathered.series.len());
            if ranges.len() > 1 {
                search_ctx.cancel.check_long()?;
                return Ok((Arc::new(gathered), ranges, Vec::new()));
            }
            let mut few = Vec::new();
            sources.decode(&search_ctx, &gathered, 0..gathered.series.len(), |series| {
                few.push(series);
                Ok(())
            })?;
            Ok((Arc::new(gathered), Vec::new(), few))
        });
        let (gathered, ranges, few) = found.await?;
        if ranges.is_empty() {
            return Ok(stream::iter((!few.is_empty()).then_some(Ok(few))).boxed());
        }
        let (sender, receiver) = mpsc::channel(BATCHES_QUEUED * ranges.len());
        for range in ranges {
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
                    return Err(PortError::new(ErrorKind::Cancelled, "the reader went away").into());
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
        let column = gathered.choice.and_then(|choice| choice.columns.first().copied());
        let mut decoder = Decoder::new(&self.blocks, gathered);
        for sources in &gathered.series[range] {
            ctx.cancel.check()?;
            let series = decoder.column(sources, column)?;
            if series.num_samples() > 0 {
                ctx.memory.try_grow(series.heap_bytes())?;
                visit(series)?;
            }
        }
        Ok(())
    }

    /// Decodes sums and numbers of samples of series one after the other.
    fn decode_means(
        &self,
        ctx: &Ctx,
        gathered: &Gathered,
        range: std::ops::Range<usize>,
        mut visit: impl FnMut(SeriesData, SeriesData) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut decoder = Decoder::new(&self.blocks, gathered);
        for sources in &gathered.series[range] {
            ctx.cancel.check()?;
            let (sums, counts) = decoder.means(sources)?;
            if sums.num_samples() > 0 {
                ctx.memory.try_grow(sums.heap_bytes() + counts.heap_bytes())?;
                visit(sums, counts)?;
            }
        }
        Ok(())
    }

    fn gather(&self, ctx: &Ctx, search: &Search<'_>) -> Result<Gathered, StoreError> {
        let gathered = gather(&self.head, &self.blocks, ctx, search)?;
        if let Some(choice) = gathered.choice {
            ctx.downsampled_ms.fetch_max(choice.resolution.ms(), Ordering::Relaxed);
        }
        Ok(gathered)
    }

    /// Runs a fragment. When what it reads does not fit into memory at once, it is read in parts one after the other: an
    /// aggregation needs no more than its result then.
    pub(crate) async fn execute(&self, ctx: &Ctx, fragment: Fragment) -> PortResult<FragmentResult> {
        ctx.cancel.check()?;
        check_brief(ctx, &fragment.matchers)?;
        let (sources, work_ctx, runtime) = (self.clone(), ctx.clone(), Handle::current());
        let fragment = Arc::new(fragment);
        let merged = inline(ctx, move || {
            let mut refusal = None;
            for num_parts in PARTS {
                match sources.execute_parts(&work_ctx, &fragment, num_parts, &runtime)? {
                    Ok(result) => return Ok(result),
                    Err(error) => refusal = Some(error),
                }
            }
            Err(refusal.unwrap_or(StoreError::Closed))
        });
        Ok(merged.await?)
    }

    /// Runs a fragment part by part. The inner error says that a part does not fit into memory.
    fn execute_parts(
        &self,
        ctx: &Ctx,
        fragment: &Arc<Fragment>,
        num_parts: u64,
        runtime: &Handle,
    ) -> Result<Result<FragmentResult, StoreError>, StoreError> {
        let mut merged: Option<FragmentResult> = None;
        for number in 0..num_parts {
            ctx.cancel.check()?;
            let part = Part { number, of: num_parts };
            let (start, end) = fragment.sample_bounds();
            let choice = downsample::choose(fragment).filter(|_| self.downsampling);
            let search = Search { matchers: &fragment.matchers, start, end, limit: 0, part, choice };
            let gathered = match self.gather(ctx, &search) {
                Ok(gathered) => gathered,
                Err(error) if error.kind() == ErrorKind::Limit => return Ok(Err(error)),
                Err(error) => return Err(error),
            };
            let result = self.execute_gathered(ctx, fragment, gathered, runtime)?;
            merged = Some(match merged {
                Some(before) => fragment::merge(fragment, vec![before, result]),
                None => result,
            });
        }
        Ok(Ok(merged.unwrap_or_default()))
    }

    /// Runs a fragment over what was found, here and on as many further threads as are worth it, and merges their results.
    fn execute_gathered(
        &self,
        ctx: &Ctx,
        fragment: &Arc<Fragment>,
        gathered: Gathered,
        runtime: &Handle,
    ) -> Result<FragmentResult, StoreError> {
        let gathered = Arc::new(gathered);
        let mut ranges = split(gathered.series.len());
        let own = ranges.pop().unwrap_or(0..0);
        if !ranges.is_empty() {
            ctx.cancel.check_long()?;
        }
        let others = ranges.into_iter().map(|range| {
            let (sources, ctx, gathered) = (self.clone(), ctx.clone(), Arc::clone(&gathered));
            let (fragment, (answer, answered)) = (Arc::clone(fragment), std::sync::mpsc::sync_channel(1));
            runtime.spawn_blocking(move || {
                // Nobody listens any more when another part has failed.
                drop(answer.send(sources.execute_part(&ctx, &gathered, range, &fragment)));
            });
            answered
        });
        let others: Vec<_> = others.collect();
        let mut parts = vec![self.execute_part(ctx, &gathered, own, fragment)?];
        for answered in others {
            parts.push(answered.recv().map_err(|_| StoreError::Closed)??);
        }
        Ok(fragment::merge(fragment, parts))
    }

    fn execute_part(
        &self,
        ctx: &Ctx,
        gathered: &Gathered,
        range: std::ops::Range<usize>,
        fragment: &Fragment,
    ) -> Result<FragmentResult, StoreError> {
        let function = gathered.choice.and_then(|choice| choice.function);
        let replaced = function.map(|function| Fragment { function: function.to_owned(), ..fragment.clone() });
        let mut accumulator = FragmentAccumulator::new(replaced.as_ref().unwrap_or(fragment));
        let mut reserved = 0;
        let mut settle = |accumulator: &FragmentAccumulator, bytes: usize| {
            ctx.memory.shrink(bytes);
            let grown = accumulator.heap_bytes();
            if grown > reserved {
                ctx.memory.try_grow(grown - reserved)?;
                reserved = grown;
            }
            Ok(())
        };
        if gathered.choice.is_some_and(|choice| choice.columns.len() > 1) {
            self.decode_means(ctx, gathered, range, |sums, counts| {
                accumulator.add_means(&sums, &counts);
                settle(&accumulator, sums.heap_bytes() + counts.heap_bytes())
            })?;
        } else {
            self.decode(ctx, gathered, range, |series| {
                accumulator.add(&series);
                settle(&accumulator, series.heap_bytes())
            })?;
        }
        Ok(accumulator.finish())
    }
}

/// Ends work that is to be brief and has to look at every value of a label.
fn check_brief(ctx: &Ctx, matchers: &[Matcher]) -> PortResult<()> {
    let looks_at_all = |m: &Matcher| matches!(m.op, MatchOp::Regex | MatchOp::NotRegex);
    if matchers.iter().any(looks_at_all) { ctx.cancel.check_long() } else { Ok(()) }
}

/// Cores that this process may use. To ask costs more than a small query, so it is asked once.
static NUM_CORES: LazyLock<usize> =
    LazyLock::new(|| std::thread::available_parallelism().map_or(1, std::num::NonZero::get));

fn num_workers(num_series: usize) -> usize {
    num_series.div_ceil(SERIES_PER_WORKER_MIN).clamp(1, *NUM_CORES)
}

/// Divides series into as many ranges as there are workers for them.
fn split(num_series: usize) -> Vec<std::ops::Range<usize>> {
    let workers = num_workers(num_series);
    let length = num_series.div_ceil(workers).max(1);
    (0..num_series).step_by(length).map(|start| start..(start + length).min(num_series)).collect()
}
