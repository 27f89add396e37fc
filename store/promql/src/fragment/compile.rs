//! Expressions to fragments.

use vocab::ports::query::{Fragment, FragmentAggregation, StepGrid};

use super::state::Fold;
use crate::ast::{Call, Expr, RangeEdge};
use crate::error::QueryError;
use crate::functions::range::RangeFunction;
use crate::timing::{QueryTimes, effective_grid};

/// The fragment that gives an expression's value; `None` when there is none and the expression's parts must be read.
pub(crate) fn compile(
    expr: &Expr,
    grid: &StepGrid,
    times: &QueryTimes,
    lookback_ms: i64,
) -> Result<Option<Fragment>, QueryError> {
    match expr {
        Expr::Call(call) => range_call(call, grid, times, lookback_ms),
        Expr::Aggregate(aggregate) => {
            let op = aggregate.op.as_str();
            if aggregate.param.is_some() || Fold::parse(op).is_none() {
                return Ok(None);
            }
            let inner = aggregate.expr.unwrap_parens();
            // A constant inside a changing aggregation is evaluated once and repeated.
            if effective_grid(inner, grid) != *grid {
                return Ok(None);
            }
            let fragment = match inner {
                Expr::Call(call) => range_call(call, grid, times, lookback_ms)?,
                Expr::Vector(selector) if selector.edge == RangeEdge::Plain => {
                    let timing = times.timing(selector.at, &selector.offset, &selector.span)?;
                    Some(Fragment {
                        matchers: selector.matchers.clone(),
                        grid: *grid,
                        offset_ms: timing.offset_ms,
                        at_ms: timing.at_ms,
                        range_ms: None,
                        lookback_ms,
                        function: String::new(),
                        args: Vec::new(),
                        aggregation: None,
                    })
                }
                _ => None,
            };
            Ok(fragment.map(|fragment| Fragment {
                aggregation: Some(FragmentAggregation {
                    op: op.to_owned(),
                    grouping: aggregate.grouping.clone(),
                    without: aggregate.without,
                    param: 0,
                }),
                ..fragment
            }))
        }
        _ => Ok(None),
    }
}

fn range_call(
    call: &Call,
    grid: &StepGrid,
    times: &QueryTimes,
    lookback_ms: i64,
) -> Result<Option<Fragment>, QueryError> {
    let Some(function) = RangeFunction::parse(call.function.name) else { return Ok(None) };
    let matrix_index = usize::from(function == RangeFunction::Quantile);
    let Some(Expr::Matrix(matrix)) = call.args.get(matrix_index).map(Expr::unwrap_parens) else { return Ok(None) };
    if matrix.selector.edge != RangeEdge::Plain {
        return Ok(None);
    }
    let others = call.args.iter().enumerate().filter(|(index, _)| *index != matrix_index);
    let Some(args) = others.map(|(_, arg)| constant(arg)).collect::<Option<Vec<f64>>>() else { return Ok(None) };
    // Arguments that raise errors or remarks are left to the evaluator, which knows their places.
    let odd_quantile = function == RangeFunction::Quantile && !args.iter().all(|q| (0.0..=1.0).contains(q));
    if odd_quantile || function.check_args(&args).is_err() {
        return Ok(None);
    }
    let timing = times.timing(matrix.selector.at, &matrix.selector.offset, &matrix.span)?;
    Ok(Some(Fragment {
        matchers: matrix.selector.matchers.clone(),
        grid: *grid,
        offset_ms: timing.offset_ms,
        at_ms: timing.at_ms,
        range_ms: Some(times.duration(&matrix.range, true, &matrix.span)?),
        lookback_ms,
        function: call.function.name.to_owned(),
        args,
        aggregation: None,
    }))
}

fn constant(expr: &Expr) -> Option<f64> {
    match expr.unwrap_parens() {
        Expr::Number(number) => Some(number.value),
        Expr::Unary(unary) => constant(&unary.expr).map(|v| if unary.negate { -v } else { v }),
        _ => None,
    }
}
