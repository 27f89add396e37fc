//! What every handler shares, and who is calling.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use vocab::ports::{Admin, Catalog, Ingest, LogSearcher, Querier, RuleView, ScalingView, SourceView, Sql, TargetView};
use vocab::{Clock, Ctx, MemoryPool, TenantId};

use crate::config::ServerConfig;
use crate::live::Live;
use crate::metrics::Metrics;
use crate::run::Lengths;

/// The rooms behind the API.
#[derive(Debug, Clone)]
pub struct Ports {
    /// Samples.
    pub querier: Arc<dyn Querier>,
    /// Log records.
    pub logs: Arc<dyn LogSearcher>,
    /// Rows.
    pub catalog: Arc<dyn Catalog>,
    /// SQL over samples and log records.
    pub sql: Arc<dyn Sql>,
    /// Scrape targets.
    pub targets: Arc<dyn TargetView>,
    /// Built-in and log sources.
    pub sources: Arc<dyn SourceView>,
    /// Rules, alerts, log patterns, reports.
    pub rules: Arc<dyn RuleView>,
    /// What is scaled.
    pub scaling: Arc<dyn ScalingView>,
    /// The process.
    pub admin: Arc<dyn Admin>,
    /// Push protocols.
    pub ingest: Arc<dyn Ingest>,
}

/// The server's inside.
#[derive(Debug)]
pub(crate) struct App {
    pub(crate) ports: Ports,
    pub(crate) config: ServerConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    /// Where queries reserve memory.
    pub(crate) memory: Arc<MemoryPool>,
    /// Where pushed bodies reserve memory.
    pub(crate) ingest_memory: Arc<MemoryPool>,
    /// One permit per query that may be evaluated now.
    pub(crate) permits: Arc<Semaphore>,
    /// Which queries take long.
    pub(crate) lengths: Lengths,
    /// One permit per request that may be in work now.
    pub(crate) requests: Arc<Semaphore>,
    pub(crate) live: Live,
    /// Raised when the server drains: streams end then.
    pub(crate) stop: CancellationToken,
}

pub(crate) type Shared = Arc<App>;

impl App {
    /// The context of a call: its tenant, and the memory share of queries.
    pub(crate) fn ctx(&self, caller: &Caller) -> Ctx {
        Ctx::new(caller.tenant.clone(), self.memory.reservation_among_many("a query"))
    }
}

/// Who calls, as the door has found out.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// Whose data is meant.
    pub(crate) tenant: TenantId,
    /// The name for the audit log.
    pub(crate) actor: String,
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Infallible;
    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Self::Rejection> {
        // The door puts it there for every request that it lets in.
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}
