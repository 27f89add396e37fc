//! PromQL for pages: small queries whose answers are joined by a label.

use std::collections::BTreeMap;

use promql::{Engine, ParseOptions, QueryValue, SampleValue};
use vocab::ports::query::StepGrid;
use vocab::{Ctx, Labels, TimestampMs};

use crate::app::Shared;
use crate::error::{ApiError, ApiResult};

/// Points of a sparkline.
pub(crate) const SPARK_POINTS: i64 = 30;

/// Evaluates expressions for one page.
pub(crate) struct View {
    app: Shared,
    ctx: Ctx,
    engine: Engine,
    time_ms: TimestampMs,
}

/// A metric's value by the value of a label.
pub(crate) type ByLabel = BTreeMap<String, f64>;

impl View {
    pub(crate) fn new(app: Shared, ctx: Ctx, time_ms: TimestampMs) -> Self {
        let engine = Engine::new(app.config.engine.clone());
        Self { app, ctx, engine, time_ms }
    }

    fn parse(text: &str) -> ApiResult<promql::Expr> {
        promql::parse(text, &ParseOptions::default()).map_err(|e| ApiError::parse(text, &e))
    }

    /// The series of an expression now, native histograms left out.
    pub(crate) async fn vector(&self, text: &str) -> ApiResult<Vec<(Labels, f64)>> {
        let expr = Self::parse(text)?;
        let answer = self.engine.instant(&*self.app.ports.querier, &self.ctx, &expr, self.time_ms).await;
        let QueryValue::Vector(samples) = answer.map_err(|e| ApiError::query(text, &e))?.value else {
            return Ok(Vec::new());
        };
        let float = |sample: promql::VectorSample| match sample.value {
            SampleValue::Float(value) => Some((sample.labels, value)),
            SampleValue::Histogram(_) => None,
        };
        Ok(samples.into_iter().filter_map(float).collect())
    }

    /// The same by the value of one label; what is not a finite number is unknown.
    pub(crate) async fn by(&self, label: &str, text: &str) -> ApiResult<ByLabel> {
        let keyed = |(labels, value): (Labels, f64)| Some((labels.get(label)?.to_owned(), value));
        let found = self.vector(text).await?.into_iter().filter_map(keyed);
        Ok(found.filter(|(_, value)| value.is_finite()).collect())
    }

    /// [`SPARK_POINTS`] points over a range, by the value of one label.
    pub(crate) async fn sparks(
        &self,
        label: &str,
        text: &str,
        (from_ms, to_ms): (TimestampMs, TimestampMs),
    ) -> ApiResult<BTreeMap<String, Vec<Option<f64>>>> {
        let expr = Self::parse(text)?;
        let step_ms = ((to_ms - from_ms) / SPARK_POINTS).max(1);
        // The first point is one step in, so that the last one is the end of the range.
        let start_ms = to_ms - step_ms * (SPARK_POINTS - 1);
        let grid = StepGrid { start_ms, end_ms: to_ms, step_ms };
        let answer = self.engine.range(&*self.app.ports.querier, &self.ctx, &expr, grid).await;
        let QueryValue::Matrix(series) = answer.map_err(|e| ApiError::query(text, &e))?.value else {
            return Ok(BTreeMap::new());
        };
        let mut sparks = BTreeMap::new();
        for data in series {
            let Some(key) = data.labels.get(label) else { continue };
            let mut points = vec![None; usize::try_from(SPARK_POINTS).unwrap_or_default()];
            for (time, value) in data.timestamps.iter().zip(&data.values).filter(|(_, v)| v.is_finite()) {
                if let Some(slot) = usize::try_from((time - start_ms) / step_ms).ok().and_then(|i| points.get_mut(i)) {
                    *slot = Some(*value);
                }
            }
            sparks.insert(key.to_owned(), points);
        }
        Ok(sparks)
    }
}

/// A label value inside double quotes.
pub(crate) fn quoted(value: &str) -> String {
    format!("{value:?}")
}
