//! A room in memory for this crate's tests.

use std::sync::Arc;

use vocab::telemetry::Telemetry;
use vocab::testing::{MemCatalog, MemLogs, MemStore, SimClock};
use vocab::{MemoryPool, TenantId};

use crate::deps::{AnalyzerDeps, Shared};

/// Fakes of every port, and what is made from them.
pub(crate) struct Room {
    pub(crate) clock: SimClock,
    pub(crate) store: MemStore,
    pub(crate) logs: MemLogs,
    pub(crate) catalog: Arc<MemCatalog>,
    pub(crate) shared: Arc<Shared>,
}

/// When a test's clock begins: a round number, so that steps and buckets are easy to read.
pub(crate) const START_MS: i64 = 1_700_000_000_000;

impl Room {
    pub(crate) fn new() -> Self {
        let clock = SimClock::at(START_MS);
        let (store, logs) = (MemStore::new(), MemLogs::new());
        let catalog = Arc::new(MemCatalog::new(Arc::new(clock.clone())));
        let shared = Arc::new(Shared::new(deps(&clock, &store, &logs, &catalog), TenantId::default()));
        Self { clock, store, logs, catalog, shared }
    }

    pub(crate) fn deps(&self) -> AnalyzerDeps {
        deps(&self.clock, &self.store, &self.logs, &self.catalog)
    }
}

fn deps(clock: &SimClock, store: &MemStore, logs: &MemLogs, catalog: &Arc<MemCatalog>) -> AnalyzerDeps {
    AnalyzerDeps {
        querier: Arc::new(store.clone()),
        appender: Arc::new(store.clone()),
        logs: Arc::new(logs.clone()),
        catalog: Arc::clone(catalog) as Arc<dyn vocab::ports::Catalog>,
        clock: Arc::new(clock.clone()),
        telemetry: Telemetry::new(),
        memory: MemoryPool::new("queries", usize::MAX),
        engine: promql::EngineOptions { fragments: false, ..promql::EngineOptions::default() },
    }
}
