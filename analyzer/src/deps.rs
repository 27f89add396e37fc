//! What every part of the analyzer works with.

use std::sync::Arc;
use std::time::Duration;

use vocab::ports::{Appender, Catalog, LogSearcher, Querier};
use vocab::telemetry::Telemetry;
use vocab::{Clock, Ctx, MemoryPool, TenantId};

use crate::evaluate::Evaluate;
use crate::metrics::Metrics;
use crate::tasks::Tasks;

/// The ports and services handed in at construction.
#[derive(Debug, Clone)]
pub struct AnalyzerDeps {
    /// Reads samples.
    pub querier: Arc<dyn Querier>,
    /// Writes results as series.
    pub appender: Arc<dyn Appender>,
    /// Reads log records.
    pub logs: Arc<dyn LogSearcher>,
    /// Rows.
    pub catalog: Arc<dyn Catalog>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where metrics are registered.
    pub telemetry: Telemetry,
    /// The memory share that queries of rules, watches and reports draw on.
    pub memory: Arc<MemoryPool>,
    /// How queries are evaluated.
    pub engine: promql::EngineOptions,
}

/// The same, as the parts share it.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) evaluate: Evaluate,
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) logs: Arc<dyn LogSearcher>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) tasks: Tasks,
    pub(crate) tenant: TenantId,
    memory: Arc<MemoryPool>,
}

impl Shared {
    pub(crate) fn new(deps: AnalyzerDeps, tenant: TenantId) -> Self {
        Self {
            evaluate: Evaluate::new(promql::Engine::new(deps.engine), deps.querier),
            appender: deps.appender,
            logs: deps.logs,
            catalog: deps.catalog,
            clock: deps.clock,
            metrics: Metrics::new(&deps.telemetry),
            tasks: Tasks::default(),
            tenant,
            memory: deps.memory,
        }
    }

    /// A context of its own for one piece of work.
    pub(crate) fn ctx(&self, consumer: &'static str) -> Ctx {
        Ctx::new(self.tenant.clone(), self.memory.reservation(consumer))
    }

    /// Notes the end of a periodic task's run; a failure is logged.
    pub(crate) fn task_ran(&self, name: &str, interval: Duration, started: Duration, result: Result<String, String>) {
        if let Err(problem) = &result {
            tracing::debug!(task = name, problem, "a task failed");
        }
        let took = self.clock.monotonic().saturating_sub(started);
        self.tasks.ran(name, interval, self.clock.now_ms(), took, result);
    }

    /// Brings the gauges of alerts up to date.
    pub(crate) fn show_alerts(&self, board: &crate::rules::group::AlertBoard) {
        let all = board.all();
        for state in [vocab::AlertState::Pending, vocab::AlertState::Firing] {
            let count = all.iter().filter(|a| a.state == state).count();
            let labels = vec![("state", state.as_str().to_owned())];
            self.metrics.alerts.get_or_create(&labels).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }

    /// Counts and logs a row that the catalog did not take.
    pub(crate) fn catalog_failed(&self, what: &str, error: &vocab::PortError) {
        self.metrics.catalog_failures.inc();
        tracing::warn!(what, error = %vocab::error::chain(error), "the catalog did not take a row");
    }
}
