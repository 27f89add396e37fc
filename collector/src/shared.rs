//! What every task of the collector shares.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::RwLock;
use vocab::budget::MemoryPool;
use vocab::limits::Limits;
use vocab::ports::{Appender, Catalog, LogAppender};
use vocab::resolve::{Identity, ResolverConfig, resolve};
use vocab::{Clock, Ctx, TenantId};

use crate::config::OtlpConfig;
use crate::entities::EntityBook;
use crate::metrics::Metrics;
use crate::sources::SourceBook;

/// This machine as its metrics, logs and entity name it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Host {
    /// Its name.
    pub(crate) name: String,
    /// `room`, `rack` and further labels.
    pub(crate) labels: BTreeMap<String, String>,
}

/// Shared by every task.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) appender: Arc<dyn Appender>,
    pub(crate) log_appender: Arc<dyn LogAppender>,
    pub(crate) catalog: Arc<dyn Catalog>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) memory: Arc<MemoryPool>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) metrics: Metrics,
    pub(crate) tenant: TenantId,
    pub(crate) resolver: RwLock<Arc<ResolverConfig>>,
    pub(crate) otlp: RwLock<Arc<OtlpConfig>>,
    pub(crate) host: RwLock<Arc<Host>>,
    pub(crate) entities: EntityBook,
    pub(crate) sources: SourceBook,
    /// Grows with each configuration: what was derived from an older one is void.
    pub(crate) epoch: AtomicU64,
    /// Set when the process ends: its sources are not gone then, and their series get no staleness markers.
    pub(crate) draining: AtomicBool,
}

impl Shared {
    /// The context of one write.
    pub(crate) fn ctx(&self) -> Ctx {
        Ctx::new(self.tenant.clone(), self.memory.reservation("collector"))
    }

    /// Who source labels belong to.
    pub(crate) fn resolve(&self, labels: &BTreeMap<String, String>) -> Identity {
        let config = Arc::clone(&self.resolver.read());
        resolve(labels, &config)
    }

    /// The cluster of sources that name none.
    pub(crate) fn default_cluster(&self) -> String {
        self.resolver.read().default_cluster.clone()
    }

    /// This machine.
    pub(crate) fn host(&self) -> Arc<Host> {
        Arc::clone(&self.host.read())
    }
}
