//! Looking: queries through PromQL and the orchestrator's state, every unknown with its reason.

use std::sync::Arc;
use std::time::Duration;

use promql::{Engine, EngineOptions, Expr, ParseOptions, QueryValue, SampleValue};
use tokio::sync::Semaphore;
use vocab::error::chain;
use vocab::ports::Querier;
use vocab::ports::query::StepGrid;
use vocab::scaling::SeenMetric;
use vocab::{Clock, Ctx, MemoryPool, PortError, PortResult, TenantId, TimestampMs};

use crate::policy::{Policy, ms};

/// A sample older than this many scrapes is no longer current.
const CURRENT_SCRAPES: i64 = 3;
/// Most queries under way at once: enough to keep all cores busy, few enough to leave memory to people's queries.
const QUERIES_MAX: usize = 32;
/// Longest wait for one query: a round must not hang on a store in trouble.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// Asks the store.
#[derive(Debug, Clone)]
pub(crate) struct Observer {
    querier: Arc<dyn Querier>,
    options: EngineOptions,
    memory: Arc<MemoryPool>,
    clock: Arc<dyn Clock>,
    tenant: TenantId,
    /// One permit per query under way: ten thousand services ask in turn, not all at once.
    permits: Arc<Semaphore>,
}

impl Observer {
    pub(crate) fn new(
        querier: Arc<dyn Querier>,
        options: EngineOptions,
        memory: Arc<MemoryPool>,
        clock: Arc<dyn Clock>,
        tenant: TenantId,
    ) -> Self {
        Self { querier, options, memory, clock, tenant, permits: Arc::new(Semaphore::new(QUERIES_MAX)) }
    }

    /// Evaluates a query to one number. `None` when the policy has no such query.
    pub(crate) async fn ask(&self, policy: &Policy, name: &str, query: &str) -> Option<SeenMetric> {
        if query.is_empty() {
            return None;
        }
        let mut seen =
            SeenMetric { name: name.into(), value: None, age_ms: None, query: query.into(), note: String::new() };
        match self.evaluate(policy, query).await {
            Ok((value, age_ms)) => (seen.value, seen.age_ms) = (Some(value), age_ms),
            Err(note) => seen.note = note,
        }
        Some(seen)
    }

    /// Evaluates a query to one number for each value of a label; what has no number is left out. Nothing for no query.
    pub(crate) async fn ask_by(&self, policy: &Policy, query: &str, label: &str) -> Result<Vec<(String, f64)>, String> {
        if query.is_empty() {
            return Ok(Vec::new());
        }
        let expr = promql::parse(query, &ParseOptions::default()).map_err(|e| e.to_string())?;
        let value = self.answer(policy, &expr, self.clock.now_ms()).await?;
        let QueryValue::Vector(samples) = value else { return Err("the query gives no series".into()) };
        let number = |sample: &promql::VectorSample| match &sample.value {
            SampleValue::Float(value) => Some((sample.labels.get(label)?.to_owned(), *value)),
            SampleValue::Histogram(_) => None,
        };
        Ok(samples.iter().filter_map(number).collect())
    }

    /// The context of a longer task than one query.
    pub(crate) fn ctx(&self, what: &'static str) -> Ctx {
        Ctx::new(self.tenant.clone(), self.memory.reservation(what))
    }

    /// Evaluates a query at the steps of a grid to one series: the steps at which it has a number.
    pub(crate) async fn course(
        &self,
        ctx: &Ctx,
        policy: &Policy,
        query: &str,
        grid: StepGrid,
    ) -> PortResult<Vec<(TimestampMs, f64)>> {
        let expr = promql::parse(query, &ParseOptions::default()).map_err(|e| PortError::invalid(e.to_string()))?;
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let output = self.engine(policy).range(self.querier.as_ref(), ctx, &expr, grid).await;
        let output = output.map_err(|error| PortError::new(error.kind(), chain(&error)))?;
        let QueryValue::Matrix(series) = output.value else {
            return Err(PortError::invalid("the query gives no series"));
        };
        if series.len() > 1 {
            return Err(PortError::invalid(format!("the query gives {} series, not one; sum them", series.len())));
        }
        let points = series.into_iter().flat_map(|s| s.timestamps.into_iter().zip(s.values));
        Ok(points.collect())
    }

    /// Evaluates as a policy's rounds do.
    fn engine(&self, policy: &Policy) -> Engine {
        // A plain selector must not show what was scraped minutes ago; rates have their window.
        let lookback_ms = CURRENT_SCRAPES * ms(policy.scrape_interval);
        Engine::new(EngineOptions { lookback_ms, ..self.options.clone() })
    }

    async fn evaluate(&self, policy: &Policy, query: &str) -> Result<(f64, Option<i64>), String> {
        let expr = promql::parse(query, &ParseOptions::default()).map_err(|e| e.to_string())?;
        let now_ms = self.clock.now_ms();
        let value = self.number(policy, &expr, now_ms).await?;
        if !value.is_finite() {
            return Err(format!("the query gives {value}"));
        }
        if value < 0.0 {
            return Err(format!("the query gives {value}, and a load is not negative"));
        }
        Ok((value, self.age(policy, &expr, now_ms).await))
    }

    /// One number: a scalar, or the only element of a vector.
    async fn number(&self, policy: &Policy, expr: &Expr, now_ms: TimestampMs) -> Result<f64, String> {
        let current_ms = CURRENT_SCRAPES * ms(policy.scrape_interval);
        match self.answer(policy, expr, now_ms).await? {
            QueryValue::Scalar(_, value) => Ok(value),
            QueryValue::Vector(samples) => match samples.as_slice() {
                [] => Err(format!("no samples in the last {} s", current_ms / 1000)),
                [one] => match &one.value {
                    SampleValue::Float(value) => Ok(*value),
                    SampleValue::Histogram(_) => Err("the query gives a histogram, not a number".into()),
                },
                more => Err(format!("the query gives {} series, not one; sum them", more.len())),
            },
            QueryValue::Matrix(_) | QueryValue::String(..) => Err("the query gives no number".into()),
        }
    }

    async fn answer(&self, policy: &Policy, expr: &Expr, now_ms: TimestampMs) -> Result<QueryValue, String> {
        // The semaphore is never closed.
        let _permit = self.permits.acquire().await.ok();
        let ctx = self.ctx("autoscaler query");
        let engine = self.engine(policy);
        let answer = engine.instant(self.querier.as_ref(), &ctx, expr, now_ms);
        let answer = tokio::select! {
            answer = answer => answer.map_err(|e| chain(&e))?,
            () = self.clock.sleep(QUERY_TIMEOUT) => {
                ctx.cancel.time_out();
                return Err(format!("the query took longer than {} s", QUERY_TIMEOUT.as_secs()));
            }
        };
        Ok(answer.value)
    }

    /// Age of the newest sample behind a query, through its first selector.
    async fn age(&self, policy: &Policy, expr: &Expr, now_ms: TimestampMs) -> Option<i64> {
        let selector = first_selector(expr)?;
        let query = format!("max(timestamp({selector}))");
        let expr = promql::parse(&query, &ParseOptions::default()).ok()?;
        let seconds = self.number(policy, &expr, now_ms).await.ok()?;
        #[allow(clippy::cast_possible_truncation, reason = "a time in milliseconds; the cast saturates")]
        let newest_ms = (seconds * 1000.0) as i64;
        Some(now_ms.saturating_sub(newest_ms).max(0))
    }
}

/// The first selector of an expression, without range and modifiers.
fn first_selector(expr: &Expr) -> Option<String> {
    let plain = |matchers: &[vocab::Matcher]| {
        let all: Vec<String> = matchers.iter().map(ToString::to_string).collect();
        format!("{{{}}}", all.join(","))
    };
    match expr {
        Expr::Vector(selector) => Some(plain(&selector.matchers)),
        Expr::Matrix(matrix) => Some(plain(&matrix.selector.matchers)),
        Expr::Subquery(subquery) => first_selector(&subquery.expr),
        Expr::Call(call) => call.args.iter().find_map(first_selector),
        Expr::Aggregate(aggregate) => first_selector(&aggregate.expr),
        Expr::Binary(binary) => first_selector(&binary.lhs).or_else(|| first_selector(&binary.rhs)),
        Expr::Unary(unary) => first_selector(&unary.expr),
        Expr::Paren(paren) => first_selector(&paren.expr),
        Expr::Number(_) | Expr::String(_) => None,
    }
}
