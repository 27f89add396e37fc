//! Functions of instant vectors that map every float.

use std::f64::consts::PI;

use vocab::ports::query::StepGrid;

use super::Evaluator;
use crate::ast::Call;
use crate::error::QueryError;
use crate::value::{Series, Value, is_absent};

/// Maps the floats of a series; histograms stay.
pub(super) fn map_floats(series: &mut Series, map: impl Fn(f64) -> f64) {
    for value in series.floats.iter_mut().filter(|v| !is_absent(**v)) {
        *value = map(*value);
    }
}

/// The mapping of a function without parameters.
pub(crate) fn mapping(name: &str) -> Option<fn(f64) -> f64> {
    Some(match name {
        "abs" => f64::abs,
        "acos" => f64::acos,
        "acosh" => f64::acosh,
        "asin" => f64::asin,
        "asinh" => f64::asinh,
        "atan" => f64::atan,
        "atanh" => f64::atanh,
        "ceil" => f64::ceil,
        "cos" => f64::cos,
        "cosh" => f64::cosh,
        "deg" => |v| v * 180.0 / PI,
        "exp" => f64::exp,
        "floor" => f64::floor,
        "ln" => f64::ln,
        "log10" => f64::log10,
        "log2" => f64::log2,
        "rad" => |v| v * PI / 180.0,
        "sgn" => |v| {
            if v < 0.0 {
                -1.0
            } else if v > 0.0 {
                1.0
            } else {
                v
            }
        },
        "sin" => f64::sin,
        "sinh" => f64::sinh,
        "sqrt" => f64::sqrt,
        "tan" => f64::tan,
        "tanh" => f64::tanh,
        _ => return None,
    })
}

/// The larger (or smaller) of two numbers; NaN when either is.
pub(super) fn extreme(a: f64, b: f64, larger: bool) -> f64 {
    if a.is_nan() || b.is_nan() {
        f64::NAN
    } else if larger {
        a.max(b)
    } else {
        a.min(b)
    }
}

impl Evaluator<'_> {
    /// Functions whose parameters may change from step to step: `map(step, value)`; `None` drops the sample.
    pub(super) fn map_steps(
        &self,
        call: &Call,
        grid: &StepGrid,
        map: impl Fn(usize, f64) -> Option<f64>,
    ) -> Result<Value, QueryError> {
        let mut vector = self.eval_vector(&call.args[0], grid)?;
        for series in &mut vector.series {
            series.drop_name = true;
            series.histograms = Vec::new();
            for (step, value) in series.floats.iter_mut().enumerate().filter(|(_, v)| !is_absent(**v)) {
                *value = map(step, *value).unwrap_or(crate::value::ABSENT);
            }
        }
        vector.series.retain(|s| !s.is_empty());
        Ok(Value::Vector(vector))
    }

    pub(super) fn clamp(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let steps = grid.num_steps();
        let (low, high) = match call.function.name {
            "clamp" => (self.eval_scalar(&call.args[1], grid)?, self.eval_scalar(&call.args[2], grid)?),
            "clamp_min" => (self.eval_scalar(&call.args[1], grid)?, vec![f64::INFINITY; steps]),
            _ => (vec![f64::NEG_INFINITY; steps], self.eval_scalar(&call.args[1], grid)?),
        };
        self.map_steps(call, grid, |step, value| {
            let (low, high) = (low[step], high[step]);
            if high < low { None } else { Some(extreme(low, extreme(high, value, false), true)) }
        })
    }

    pub(super) fn round(&self, call: &Call, grid: &StepGrid) -> Result<Value, QueryError> {
        let nearest = match call.args.get(1) {
            Some(arg) => self.eval_scalar(arg, grid)?,
            None => vec![1.0; grid.num_steps()],
        };
        self.map_steps(call, grid, |step, value| {
            let inverse = 1.0 / nearest[step];
            Some((value * inverse + 0.5).floor() / inverse)
        })
    }
}
