//! When a selector reads: offsets, `@`, windows, inner steps of subqueries.

use vocab::TimestampMs;
use vocab::ports::query::StepGrid;

use crate::ast::{At, DurationValue, Expr, Span};
use crate::error::QueryError;

/// Times of the whole query, which `start()`, `end()`, `step()`, `range()` refer to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct QueryTimes {
    pub(crate) grid: StepGrid,
    /// Step of a subquery that states none.
    pub(crate) subquery_step_ms: i64,
}

impl QueryTimes {
    /// 0 for an instant query.
    pub(crate) fn step_ms(&self) -> i64 {
        if self.grid.start_ms == self.grid.end_ms { 0 } else { self.grid.step_ms }
    }

    pub(crate) fn range_ms(&self) -> i64 {
        self.grid.end_ms - self.grid.start_ms
    }

    pub(crate) fn at(&self, at: Option<At>) -> Option<TimestampMs> {
        at.map(|at| match at {
            At::Time(ms) => ms,
            At::Start => self.grid.start_ms,
            At::End => self.grid.end_ms,
        })
    }

    pub(crate) fn duration(&self, value: &DurationValue, positive: bool, span: &Span) -> Result<i64, QueryError> {
        match value {
            DurationValue::Fixed(ms) => Ok(*ms),
            DurationValue::Computed(expr) => expr
                .resolve(self.step_ms(), self.range_ms(), positive)
                .map_err(|m| QueryError::new(vocab::ErrorKind::Invalid, m).at(span)),
        }
    }

    /// The reading times of a selector or subquery.
    pub(crate) fn timing(&self, at: Option<At>, offset: &DurationValue, span: &Span) -> Result<Timing, QueryError> {
        Ok(Timing { at_ms: self.at(at), offset_ms: self.duration(offset, false, span)? })
    }
}

/// Where a selector reads for an evaluation step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    pub(crate) at_ms: Option<TimestampMs>,
    pub(crate) offset_ms: i64,
}

impl Timing {
    pub(crate) fn reference(&self, step_ms: TimestampMs) -> TimestampMs {
        self.at_ms.unwrap_or(step_ms).saturating_sub(self.offset_ms)
    }

    /// First and last time that windows of `width` end at, over a grid.
    pub(crate) fn bounds(&self, grid: &StepGrid) -> (TimestampMs, TimestampMs) {
        let steps = i64::try_from(grid.num_steps().saturating_sub(1)).unwrap_or(0);
        let last = grid.start_ms.saturating_add(steps.saturating_mul(grid.step_ms.max(1)));
        (self.reference(grid.start_ms), self.reference(last))
    }
}

/// The inner steps of a subquery: multiples of its step inside the windows, left borders left out.
pub(crate) fn subquery_grid(outer: &StepGrid, timing: &Timing, range_ms: i64, step_ms: i64) -> StepGrid {
    let step_ms = step_ms.max(1);
    let (first, last) = timing.bounds(outer);
    let border = first.saturating_sub(range_ms);
    let start_ms = border.div_euclid(step_ms).saturating_add(1).saturating_mul(step_ms);
    StepGrid { start_ms, end_ms: last, step_ms }
}

/// Functions whose value depends on the evaluation time even when their arguments do not.
const TIME_DEPENDENT: &[&str] = &[
    "days_in_month",
    "day_of_month",
    "day_of_week",
    "day_of_year",
    "hour",
    "minute",
    "month",
    "year",
    "forecast",
    "predict_linear",
    "start_timestamp",
    "time",
    "timestamp",
];

/// Whether an expression has the same value at every step.
pub(crate) fn is_step_invariant(expr: &Expr) -> bool {
    match expr {
        Expr::Number(_) | Expr::String(_) => true,
        Expr::Vector(selector) => selector.at.is_some(),
        Expr::Matrix(matrix) => matrix.selector.at.is_some(),
        Expr::Subquery(subquery) => subquery.at.is_some(),
        Expr::Call(call) => {
            // The second argument of `info` only holds matchers.
            let args = if call.function.name == "info" { &call.args[..1] } else { &call.args[..] };
            !TIME_DEPENDENT.contains(&call.function.name) && args.iter().all(is_step_invariant)
        }
        Expr::Aggregate(_) | Expr::Binary(_) | Expr::Unary(_) | Expr::Paren(_) => {
            expr.children().into_iter().all(is_step_invariant)
        }
    }
}

/// The grid that an expression is evaluated on: one step when all steps are the same.
pub(crate) fn effective_grid(expr: &Expr, grid: &StepGrid) -> StepGrid {
    let trivial = matches!(expr, Expr::Number(_) | Expr::String(_) | Expr::Matrix(_) | Expr::Subquery(_));
    if grid.num_steps() > 1 && !trivial && is_step_invariant(expr) {
        StepGrid { start_ms: grid.start_ms, end_ms: grid.start_ms, step_ms: grid.step_ms }
    } else {
        *grid
    }
}
