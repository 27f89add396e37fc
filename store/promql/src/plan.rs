//! What a query needs to read before it can be evaluated.

use std::collections::HashMap;

use vocab::ports::query::{Fragment, SelectHints, SelectRequest, StepGrid};
use vocab::{ErrorKind, Matcher};

use crate::ast::{Call, Expr, RangeEdge, VectorSelector};
use crate::error::QueryError;
use crate::eval::select::Wanted;
use crate::fragment;
use crate::timing::{QueryTimes, Timing, effective_grid, subquery_grid};

/// Most inner steps of a subquery: a column of them is held for every series.
const SUBQUERY_STEPS_MAX: usize = 5_000_000;

/// Identifies a node of the tree for as long as the tree is borrowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeId(usize);

impl NodeId {
    pub(crate) fn of(expr: &Expr) -> Self {
        Self(std::ptr::from_ref(expr).addr())
    }
}

/// How a selector is read.
#[derive(Debug, Clone)]
pub(crate) enum LeafKind {
    /// The newest sample of each step, or something of it.
    Instant { lookback_ms: i64, what: Wanted, smoothed: bool },
    /// All samples of the windows, as they are.
    Range,
    /// Work that the store does.
    Fragment(Box<Fragment>),
}

/// One read.
#[derive(Debug, Clone)]
pub(crate) struct Leaf {
    pub(crate) node: NodeId,
    pub(crate) kind: LeafKind,
    pub(crate) grid: StepGrid,
    pub(crate) timing: Timing,
    pub(crate) request: SelectRequest,
    /// Whether only counts and sums of histograms are looked at, which makes their resets known while reading.
    pub(crate) histogram_stats: bool,
}

/// Finds the reads of a tree.
#[derive(Debug)]
pub(crate) struct Planner<'a> {
    pub(crate) times: &'a QueryTimes,
    pub(crate) lookback_ms: i64,
    pub(crate) fragments: bool,
    pub(crate) leaves: Vec<Leaf>,
    /// For every subquery the grid it is evaluated on.
    pub(crate) subqueries: HashMap<NodeId, StepGrid>,
    histogram_stats: bool,
}

impl<'a> Planner<'a> {
    pub(crate) fn new(times: &'a QueryTimes, lookback_ms: i64, fragments: bool) -> Self {
        Self { times, lookback_ms, fragments, leaves: Vec::new(), subqueries: HashMap::new(), histogram_stats: false }
    }

    /// For planning a part of a tree: what the nodes above it look at.
    pub(crate) fn set_histogram_stats(&mut self, histogram_stats: bool) {
        self.histogram_stats = histogram_stats;
    }

    pub(crate) fn plan(&mut self, expr: &Expr, grid: &StepGrid) -> Result<(), QueryError> {
        let grid = &effective_grid(expr, grid);
        if self.fragments
            && let Some(fragment) = fragment::compile(expr, grid, self.times, self.lookback_ms)?
        {
            self.fragment(expr, fragment, grid);
            return Ok(());
        }
        match expr {
            Expr::Number(_) | Expr::String(_) => Ok(()),
            Expr::Vector(selector) => self.vector(expr, selector, grid, Wanted::Value),
            Expr::Matrix(matrix) => {
                let range_ms = self.times.duration(&matrix.range, true, &matrix.span)?;
                self.range(expr, &matrix.selector, range_ms, grid, "")
            }
            Expr::Subquery(subquery) => {
                let timing = self.times.timing(subquery.at, &subquery.offset, &subquery.span)?;
                let range_ms = self.times.duration(&subquery.range, true, &subquery.span)?;
                let step_ms = match self.times.duration(&subquery.step, false, &subquery.span)? {
                    step if step > 0 => step,
                    0 => self.times.subquery_step_ms,
                    _ => return Err(QueryError::execution("subquery step must be greater than 0").at(&subquery.span)),
                };
                let inner = subquery_grid(grid, &timing, range_ms, step_ms);
                if inner.num_steps() > SUBQUERY_STEPS_MAX {
                    let message = format!(
                        "subquery has {} steps, more than {SUBQUERY_STEPS_MAX}; use a coarser step or a shorter range",
                        inner.num_steps()
                    );
                    return Err(QueryError::new(ErrorKind::Limit, message).at(&subquery.span));
                }
                self.subqueries.insert(NodeId::of(expr), inner);
                let outer = std::mem::replace(&mut self.histogram_stats, false);
                let planned = self.plan(&subquery.expr, &inner);
                self.histogram_stats = outer;
                planned
            }
            Expr::Call(call) => self.call(call, grid),
            Expr::Aggregate(_) | Expr::Binary(_) | Expr::Unary(_) | Expr::Paren(_) => {
                expr.children().into_iter().try_for_each(|child| self.plan(child, grid))
            }
        }
    }

    fn fragment(&mut self, expr: &Expr, fragment: Fragment, grid: &StepGrid) {
        let (start_ms, end_ms) = fragment.sample_bounds();
        let hints = SelectHints {
            step_ms: grid.step_ms,
            function: fragment.function.clone(),
            range_ms: fragment.range_ms.unwrap_or(0),
            ..SelectHints::default()
        };
        self.leaves.push(Leaf {
            node: NodeId::of(expr),
            timing: Timing { at_ms: fragment.at_ms, offset_ms: fragment.offset_ms },
            request: SelectRequest { matchers: fragment.matchers.clone(), start_ms, end_ms, hints },
            kind: LeafKind::Fragment(Box::new(fragment)),
            grid: *grid,
            histogram_stats: self.histogram_stats,
        });
    }

    fn call(&mut self, call: &Call, grid: &StepGrid) -> Result<(), QueryError> {
        let outer = self.histogram_stats;
        match call.function.name {
            "histogram_count" | "histogram_sum" | "histogram_avg" => self.histogram_stats = true,
            "histogram_quantile" | "histogram_quantiles" | "histogram_fraction" => self.histogram_stats = false,
            _ => {}
        }
        let planned = self.args(call, grid);
        self.histogram_stats = outer;
        planned
    }

    fn args(&mut self, call: &Call, grid: &StepGrid) -> Result<(), QueryError> {
        for (index, arg) in call.args.iter().enumerate() {
            let inner = arg.unwrap_parens();
            match inner {
                Expr::Vector(selector) if matches!(call.function.name, "timestamp" | "start_timestamp") => {
                    let what = if call.function.name == "timestamp" { Wanted::Time } else { Wanted::Start };
                    self.vector(inner, selector, &effective_grid(arg, grid), what)?;
                }
                Expr::Matrix(matrix) => {
                    let range_ms = self.times.duration(&matrix.range, true, &matrix.span)?;
                    self.range(inner, &matrix.selector, range_ms, grid, call.function.name)?;
                }
                _ if call.function.name == "info" && index == 1 => {}
                _ => self.plan(arg, grid)?,
            }
        }
        Ok(())
    }

    fn vector(
        &mut self,
        expr: &Expr,
        selector: &VectorSelector,
        grid: &StepGrid,
        what: Wanted,
    ) -> Result<(), QueryError> {
        let timing = self.times.timing(selector.at, &selector.offset, &selector.span)?;
        let smoothed = selector.edge == RangeEdge::Smoothed;
        let after = if smoothed { self.lookback_ms } else { 0 };
        let kind = LeafKind::Instant { lookback_ms: self.lookback_ms, what, smoothed };
        self.leaf(expr, &selector.matchers, kind, grid, timing, (self.lookback_ms, after), String::new());
        Ok(())
    }

    fn range(
        &mut self,
        expr: &Expr,
        selector: &VectorSelector,
        range_ms: i64,
        grid: &StepGrid,
        function: &str,
    ) -> Result<(), QueryError> {
        let timing = self.times.timing(selector.at, &selector.offset, &selector.span)?;
        let (before, after) = match selector.edge {
            RangeEdge::Plain => (0, 0),
            RangeEdge::Anchored => (self.lookback_ms, 0),
            RangeEdge::Smoothed => (self.lookback_ms, self.lookback_ms),
        };
        let window = (range_ms.saturating_add(before), after);
        self.leaf(expr, &selector.matchers, LeafKind::Range, grid, timing, window, function.to_owned());
        Ok(())
    }

    #[allow(clippy::too_many_arguments, reason = "one place builds all reads")]
    fn leaf(
        &mut self,
        expr: &Expr,
        matchers: &[Matcher],
        kind: LeafKind,
        grid: &StepGrid,
        timing: Timing,
        (before_ms, after_ms): (i64, i64),
        function: String,
    ) {
        let (first, last) = timing.bounds(grid);
        // Whether the first histogram of a window was a reset shows in the one before it.
        let sees_before = self.histogram_stats && matches!(kind, LeafKind::Range);
        let before_ms = if sees_before { before_ms.saturating_add(self.lookback_ms) } else { before_ms };
        let range_ms = if matches!(kind, LeafKind::Range) { before_ms } else { 0 };
        let step_ms = if grid.num_steps() > 1 { grid.step_ms } else { 0 };
        let newest_at_steps = matches!(kind, LeafKind::Instant { smoothed: false, .. }) && timing.at_ms.is_none();
        let request = SelectRequest {
            matchers: matchers.to_vec(),
            start_ms: first.saturating_sub(before_ms).saturating_add(1),
            end_ms: last.saturating_add(after_ms),
            hints: SelectHints { step_ms, function, range_ms, limit: 0, newest_at_steps },
        };
        let histogram_stats = self.histogram_stats;
        self.leaves.push(Leaf { node: NodeId::of(expr), kind, grid: *grid, timing, request, histogram_stats });
    }
}
