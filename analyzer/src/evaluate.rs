//! Evaluates expressions: the engine with the store it reads.

use std::sync::Arc;

use promql::{Engine, Expr, QueryValue, SampleValue};
use vocab::ports::Querier;
use vocab::ports::query::StepGrid;
use vocab::{Ctx, Labels, TimestampMs};

use crate::error::RuleError;

/// One series of a range evaluation: a value per step, NaN where there is none.
#[derive(Debug, Clone, PartialEq)]
pub struct RangeSeries {
    /// Its labels.
    pub labels: Labels,
    /// One value per step of the grid.
    pub values: Vec<f64>,
}

/// The engine with its store.
#[derive(Debug, Clone)]
pub struct Evaluate {
    engine: Engine,
    querier: Arc<dyn Querier>,
}

impl Evaluate {
    /// Puts both together.
    pub fn new(engine: Engine, querier: Arc<dyn Querier>) -> Self {
        Self { engine, querier }
    }

    /// The store.
    pub fn querier(&self) -> &Arc<dyn Querier> {
        &self.querier
    }

    /// Samples at one time. A scalar is one sample without labels; native histograms are left out, since neither rules nor
    /// scores can use them.
    ///
    /// # Errors
    /// The query's, and [`RuleError::NotAVector`] for texts and range vectors.
    pub async fn instant(&self, ctx: &Ctx, expr: &Expr, time_ms: TimestampMs) -> Result<Vec<(Labels, f64)>, RuleError> {
        let output = self.engine.instant(&*self.querier, ctx, expr, time_ms).await.map_err(RuleError::Query)?;
        match output.value {
            QueryValue::Scalar(_, value) => Ok(vec![(Labels::empty(), value)]),
            QueryValue::Vector(samples) => Ok(samples
                .into_iter()
                .filter_map(|s| match s.value {
                    SampleValue::Float(value) => Some((s.labels, value)),
                    SampleValue::Histogram(_) => None,
                })
                .collect()),
            QueryValue::String(..) | QueryValue::Matrix(_) => Err(RuleError::NotAVector),
        }
    }

    /// Values at every step of a grid.
    ///
    /// # Errors
    /// As [`Evaluate::instant`].
    pub async fn range(&self, ctx: &Ctx, expr: &Expr, grid: StepGrid) -> Result<Vec<RangeSeries>, RuleError> {
        let output = self.engine.range(&*self.querier, ctx, expr, grid).await.map_err(RuleError::Query)?;
        let QueryValue::Matrix(series) = output.value else { return Err(RuleError::NotAVector) };
        let steps = grid.num_steps();
        Ok(series
            .into_iter()
            .map(|series| {
                let mut values = vec![f64::NAN; steps];
                for (time, value) in series.timestamps.iter().zip(&series.values) {
                    let step = usize::try_from((time - grid.start_ms) / grid.step_ms.max(1)).unwrap_or(usize::MAX);
                    if let Some(slot) = values.get_mut(step) {
                        *slot = *value;
                    }
                }
                RangeSeries { labels: series.labels, values }
            })
            .collect())
    }
}
