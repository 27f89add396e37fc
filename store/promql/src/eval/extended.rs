//! `anchored` and `smoothed` selectors.

use vocab::ports::query::StepGrid;

use super::Evaluator;
use crate::ast::{Call, Expr};
use crate::error::QueryError;
use crate::functions::range::RangeFunction;
use crate::value::Value;

impl Evaluator<'_> {
    pub(super) fn smoothed_vector(&self, expr: &Expr, _grid: &StepGrid) -> Result<Value, QueryError> {
        Err(QueryError::execution("smoothed").at(&expr.span()))
    }

    pub(super) fn extended_range_call(
        &self,
        _function: RangeFunction,
        call: &Call,
        _arg: &Expr,
        _grid: &StepGrid,
    ) -> Result<Value, QueryError> {
        Err(QueryError::execution("extended").at(&call.span))
    }
}
