//! The engine: reads what a query needs, then evaluates it.

use std::collections::HashMap;
use std::sync::Arc;

use futures::StreamExt;
use vocab::ports::Querier;
use vocab::ports::query::StepGrid;
use vocab::sample::SeriesData;
use vocab::{Clock, Ctx, ErrorKind, TimestampMs};

use crate::annotations::Annotations;
use crate::ast::{AggregateOp, Expr, ValueType};
use crate::error::QueryError;
use crate::eval::{Evaluator, select};
use crate::fragment;
use crate::histogram::derive_hints;
use crate::output;
use crate::plan::{Leaf, LeafKind, NodeId, Planner};
use crate::stats::{self, Laps, QueryDetail};
use crate::timing::QueryTimes;
use crate::value::{QueryOutput, QueryStats, QueryValue, Raw, Reserved, Series, Vector};

/// How queries are evaluated.
#[derive(Debug, Clone)]
pub struct EngineOptions {
    /// How long a sample stays current, in milliseconds.
    pub lookback_ms: i64,
    /// Most samples that one query may read.
    pub max_samples: u64,
    /// Step of a subquery that states none, in milliseconds.
    pub subquery_step_ms: i64,
    /// Whether work may be sent to the store as fragments. Results are the same without, only slower.
    pub fragments: bool,
    /// With a clock, what a query costs is counted step by step and timed, in [`QueryOutput::detail`]. Its samples come here then,
    /// not through fragments.
    pub detail: Option<Arc<dyn Clock>>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self { lookback_ms: 300_000, max_samples: 50_000_000, subquery_step_ms: 60_000, fragments: true, detail: None }
    }
}

/// Evaluates expressions over a [`Querier`].
#[derive(Debug, Clone, Default)]
pub struct Engine {
    options: EngineOptions,
}

/// What was read for a node.
#[derive(Debug)]
pub(crate) enum LeafData {
    /// Evaluated already.
    Vector(Vector),
    /// Samples as they are.
    Raw(Raw),
}

/// Everything read for a query.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    pub(crate) leaves: HashMap<NodeId, LeafData>,
    /// Info series of `info()` calls; their columns hold the times of their samples.
    pub(crate) info: HashMap<NodeId, Vec<Series>>,
    pub(crate) subqueries: HashMap<NodeId, StepGrid>,
    pub(crate) stats: QueryStats,
    pub(crate) annotations: Annotations,
}

impl Engine {
    /// An engine with these options.
    pub fn new(options: EngineOptions) -> Self {
        Self { options }
    }

    /// Its options.
    pub fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Evaluates at one time.
    ///
    /// # Errors
    /// `Execution` and `Invalid` for what the query asks, `Limit` for its size, and those of the [`Querier`].
    pub async fn instant(
        &self,
        querier: &dyn Querier,
        ctx: &Ctx,
        expr: &Expr,
        time_ms: TimestampMs,
    ) -> Result<QueryOutput, QueryError> {
        let grid = StepGrid { start_ms: time_ms, end_ms: time_ms, step_ms: 1 };
        let mut laps = Laps::start(self.options.detail.as_ref());
        let (times, reads) = self.read(querier, ctx, expr, grid).await?;
        let mut detail = self.detail(&reads, &mut laps);
        let evaluator = Evaluator::new(ctx, &times, reads, self.options.lookback_ms, detail.is_some());
        let value = match expr.value_type() {
            ValueType::Matrix => {
                let series = evaluator.matrix_at(expr, &grid)?;
                QueryValue::Matrix(output::matrix_of_windows(series)?)
            }
            _ => {
                let value = evaluator.eval(expr, &grid)?;
                detail.iter_mut().for_each(|d| d.evaluation = laps.lap());
                output::instant(value, time_ms, sorts(expr))?
            }
        };
        detail.iter_mut().for_each(|d| d.ordering = laps.lap());
        Ok(evaluator.finish(value, detail))
    }

    /// Evaluates at every step of a grid.
    ///
    /// # Errors
    /// As [`Engine::instant`].
    pub async fn range(
        &self,
        querier: &dyn Querier,
        ctx: &Ctx,
        expr: &Expr,
        grid: StepGrid,
    ) -> Result<QueryOutput, QueryError> {
        let ty = expr.value_type();
        if matches!(ty, ValueType::Matrix | ValueType::String) {
            let message = format!(
                "invalid expression type \"{}\" for range query, must be Scalar or instant Vector",
                ty.documented()
            );
            return Err(QueryError::new(ErrorKind::Invalid, message));
        }
        if grid.step_ms <= 0 || grid.end_ms < grid.start_ms {
            return Err(QueryError::new(ErrorKind::Invalid, "a range query needs a positive step and start <= end"));
        }
        let mut laps = Laps::start(self.options.detail.as_ref());
        let (times, reads) = self.read(querier, ctx, expr, grid).await?;
        let mut detail = self.detail(&reads, &mut laps);
        let evaluator = Evaluator::new(ctx, &times, reads, self.options.lookback_ms, detail.is_some());
        let value = evaluator.eval(expr, &grid)?;
        detail.iter_mut().for_each(|d| d.evaluation = laps.lap());
        let matrix = output::range(value, &grid)?;
        detail.iter_mut().for_each(|d| d.ordering = laps.lap());
        Ok(evaluator.finish(QueryValue::Matrix(matrix), detail))
    }

    /// Begins the detailed account of a query whose samples have just been read.
    fn detail(&self, reads: &Reads, laps: &mut Laps<'_>) -> Option<QueryDetail> {
        self.options.detail.as_ref()?;
        let (preparation, peak_samples) = (laps.lap(), stats::held(reads));
        Some(QueryDetail { preparation, peak_samples, ..QueryDetail::default() })
    }

    async fn read(
        &self,
        querier: &dyn Querier,
        ctx: &Ctx,
        expr: &Expr,
        grid: StepGrid,
    ) -> Result<(QueryTimes, Reads), QueryError> {
        let times = QueryTimes { grid, subquery_step_ms: self.options.subquery_step_ms };
        let mut reads = Reads::default();
        reads.stats.num_steps = grid.num_steps() as u64;
        let fragments = self.options.fragments && self.options.detail.is_none();
        let mut planner = Planner::new(&times, self.options.lookback_ms, fragments);
        planner.plan(expr, &grid)?;
        reads.subqueries.extend(planner.subqueries);
        for leaf in planner.leaves {
            self.read_leaf(querier, ctx, expr, &times, leaf, &mut reads).await?;
        }
        crate::info::read(self, querier, ctx, expr, &grid, &times, &mut reads).await?;
        Ok((times, reads))
    }

    async fn read_leaf(
        &self,
        querier: &dyn Querier,
        ctx: &Ctx,
        root: &Expr,
        times: &QueryTimes,
        leaf: Leaf,
        reads: &mut Reads,
    ) -> Result<(), QueryError> {
        ctx.cancel.check()?;
        let LeafKind::Fragment(spec) = &leaf.kind else {
            let data = self.select(querier, ctx, &leaf, &mut reads.stats).await?;
            reads.leaves.insert(leaf.node, data);
            return Ok(());
        };
        let result = querier.execute(ctx, (**spec).clone()).await?;
        if !result.saw_histograms {
            reads.stats.num_series += result.num_series;
            reads.stats.num_samples += result.num_samples;
            self.check_samples(&reads.stats)?;
            let node = find(root, leaf.node);
            let span = node.map_or(0..0, fragment::annotation_span);
            for (kind, text) in &result.annotations {
                if kind == "info" { reads.annotations.info(text, &span) } else { reads.annotations.warn(text, &span) }
            }
            let series = fragment::finish(spec, result);
            reads.leaves.insert(leaf.node, LeafData::Vector(Vector::new(series, &ctx.memory)?));
            return Ok(());
        }
        // The store met native histograms: read the samples and evaluate here.
        let Some(node) = find(root, leaf.node) else {
            return Err(QueryError::new(ErrorKind::Internal, "a planned node is not part of its query"));
        };
        let mut planner = Planner::new(times, self.options.lookback_ms, false);
        planner.set_histogram_stats(leaf.histogram_stats);
        planner.plan(node, &leaf.grid)?;
        reads.subqueries.extend(planner.subqueries);
        for leaf in planner.leaves {
            let data = self.select(querier, ctx, &leaf, &mut reads.stats).await?;
            reads.leaves.insert(leaf.node, data);
        }
        Ok(())
    }

    fn check_samples(&self, stats: &QueryStats) -> Result<(), QueryError> {
        if stats.num_samples <= self.options.max_samples {
            return Ok(());
        }
        let message = format!(
            "query processing would load too many samples into memory in query execution (limit {})",
            self.options.max_samples
        );
        Err(QueryError::new(ErrorKind::Limit, message))
    }

    pub(crate) async fn select(
        &self,
        querier: &dyn Querier,
        ctx: &Ctx,
        leaf: &Leaf,
        stats: &mut QueryStats,
    ) -> Result<LeafData, QueryError> {
        let mut stream = querier.select(ctx, leaf.request.clone()).await?;
        let mut vectors: Vec<Series> = Vec::new();
        let mut raw: Vec<SeriesData> = Vec::new();
        let mut reserved = Reserved::new(&ctx.memory);
        let instant = match leaf.kind {
            LeafKind::Instant { lookback_ms, what, smoothed: false } => {
                Some(select::Instant::new(&leaf.grid, leaf.timing, lookback_ms, what))
            }
            _ => None,
        };
        while let Some(batch) = stream.next().await {
            ctx.cancel.check()?;
            let batch = batch?;
            for mut series in batch {
                stats.num_series += 1;
                stats.num_samples += series.num_samples() as u64;
                if leaf.histogram_stats {
                    derive_hints(&mut series.histograms);
                }
                match &instant {
                    Some(instant) => {
                        if let Some(series) = instant.evaluate(&series) {
                            reserved.grow(series.heap_bytes())?;
                            vectors.push(series);
                        }
                    }
                    None => {
                        reserved.grow(series.heap_bytes())?;
                        raw.push(series);
                    }
                }
            }
            self.check_samples(stats)?;
        }
        if instant.is_some() {
            return Ok(LeafData::Vector(Vector::reserved(vectors, reserved)));
        }
        Ok(LeafData::Raw(Raw { series: raw, reserved }))
    }
}

/// Whether the order of an expression's elements means something.
fn sorts(expr: &Expr) -> bool {
    match expr.unwrap_parens() {
        Expr::Call(call) => call.function.name.starts_with("sort"),
        Expr::Aggregate(aggregate) => matches!(aggregate.op, AggregateOp::Topk | AggregateOp::Bottomk),
        _ => false,
    }
}

fn find(expr: &Expr, node: NodeId) -> Option<&Expr> {
    if NodeId::of(expr) == node {
        return Some(expr);
    }
    expr.children().into_iter().find_map(|child| find(child, node))
}
