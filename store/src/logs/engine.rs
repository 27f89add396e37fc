//! What all parts of the log engine share: tenants, the write-ahead log, memory and the list of what is damaged.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};
use vocab::ports::admin::StoreStatus;
use vocab::{Clock, Ctx, MemoryPool, MemoryReservation, PortError, PortResult, TenantId};

use crate::logs::config::LogStoreConfig;
use crate::logs::error::LogError;
use crate::logs::split::{OpenSplit, OpenSplits, Split};
use crate::logs::tenant::{HeadBatch, Tenant, View};
use crate::metrics::Metrics;
use crate::wal::Wal;

/// A batch as readers of `tail` get it.
#[derive(Debug, Clone)]
pub(crate) struct TailBatch {
    /// Whose.
    pub(crate) tenant: TenantId,
    /// The records.
    pub(crate) batch: Arc<HeadBatch>,
}

/// The log engine's inside.
#[derive(Debug)]
pub(crate) struct Engine {
    pub(crate) config: LogStoreConfig,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) wal: Arc<Wal>,
    pub(crate) pool: Arc<MemoryPool>,
    /// Memory of records that are not yet in a split.
    pub(crate) head_memory: MemoryReservation,
    pub(crate) tenants: RwLock<HashMap<TenantId, Arc<Tenant>>>,
    /// Read while a batch goes to the WAL and into memory, written when the two must agree.
    pub(crate) commit: tokio::sync::RwLock<()>,
    /// Held by the one flush that runs.
    pub(crate) flushing: tokio::sync::Mutex<()>,
    /// Held by the one merge or removal that runs.
    pub(crate) merging: tokio::sync::Mutex<()>,
    /// Wakes the background flush.
    pub(crate) flush_wanted: Notify,
    pub(crate) tails: broadcast::Sender<TailBatch>,
    pub(crate) open_splits: OpenSplits,
    pub(crate) damaged: Mutex<Vec<String>>,
    /// Why the last flush failed, or empty.
    pub(crate) flush_failure: Mutex<String>,
}

/// Why work on a split ended early.
#[derive(Debug)]
pub(crate) enum Halt {
    /// Something is wrong with the split.
    Split(LogError),
    /// The work itself must end.
    Port(PortError),
}

impl From<LogError> for Halt {
    fn from(error: LogError) -> Self {
        Self::Split(error)
    }
}

impl From<PortError> for Halt {
    fn from(error: PortError) -> Self {
        Self::Port(error)
    }
}

impl Engine {
    /// Folder of all splits.
    pub(crate) fn splits_dir(dir: &Path) -> PathBuf {
        dir.join("splits")
    }

    /// Folder of splits that are being written.
    pub(crate) fn staging_dir(dir: &Path) -> PathBuf {
        dir.join("staging")
    }

    /// Folder of splits that were set aside.
    pub(crate) fn damaged_dir(dir: &Path) -> PathBuf {
        dir.join("damaged")
    }

    /// Folder of a tenant's splits.
    pub(crate) fn tenant_dir(&self, tenant: &TenantId) -> PathBuf {
        Self::splits_dir(&self.config.dir).join(tenant.as_str())
    }

    /// The tenant, made now if it is new. Call only while `commit` is held, or a tenant that is being freed may be written.
    pub(crate) fn tenant(&self, id: &TenantId) -> Arc<Tenant> {
        if let Some(tenant) = self.tenants.read().get(id) {
            return Arc::clone(tenant);
        }
        let mut tenants = self.tenants.write();
        Arc::clone(tenants.entry(id.clone()).or_insert_with(|| Arc::new(Tenant::new(id.clone()))))
    }

    /// All tenants.
    pub(crate) fn all_tenants(&self) -> Vec<Arc<Tenant>> {
        self.tenants.read().values().cloned().collect()
    }

    /// What a tenant has now.
    pub(crate) fn view(&self, id: &TenantId) -> View {
        self.tenants.read().get(id).map(|t| t.view()).unwrap_or_default()
    }

    /// Works on a split. One that turns out to be damaged is set aside and `None` comes back, so that the rest serves.
    pub(crate) fn on_split<T>(
        &self,
        ctx: &Ctx,
        split: &Arc<Split>,
        work: impl FnOnce(&OpenSplit) -> Result<T, Halt>,
    ) -> PortResult<Option<T>> {
        ctx.cancel.check()?;
        // The libraries that read the files assert on what a damaged one may hold.
        let result = catch_unwind(AssertUnwindSafe(|| work(&*self.open_splits.get(split)?))).unwrap_or_else(|_| {
            Err(Halt::Split(LogError::damaged(&split.dir, "reading it stopped at a broken invariant")))
        });
        match result {
            Ok(value) => Ok(Some(value)),
            Err(Halt::Port(error)) => Err(error),
            Err(Halt::Split(error)) if error.is_damage() => {
                self.set_aside(&ctx.tenant, split, &error);
                Ok(None)
            }
            Err(Halt::Split(error)) => Err(error.into()),
        }
    }

    /// Takes a damaged split out of service and moves it to where someone can look at it.
    pub(crate) fn set_aside(&self, tenant: &TenantId, split: &Arc<Split>, error: &LogError) {
        self.open_splits.forget(split);
        if let Some(tenant) = self.tenants.read().get(tenant) {
            tenant.state.write().splits.retain(|s| !Arc::ptr_eq(s, split));
        }
        self.note_damage(tenant, &split.dir, error);
    }

    /// Moves a damaged split's folder and remembers why.
    pub(crate) fn note_damage(&self, tenant: &TenantId, dir: &Path, error: &LogError) {
        let reason = vocab::error::chain(error);
        let text = move_aside(&self.config.dir, tenant, dir, &reason);
        tracing::error!(tenant = %tenant, "{text}");
        self.metrics.log_split_damaged();
        self.damaged.lock().push(text);
    }

    /// Fills in what the log engine knows.
    pub(crate) fn status(&self, status: &mut StoreStatus) {
        for tenant in self.all_tenants() {
            let state = tenant.state.read();
            status.head_records += state.batches.iter().map(|b| b.records.len() as u64).sum::<u64>();
            status.splits += state.splits.len() as u64;
            status.splits_bytes += state.splits.iter().map(|s| s.meta.disk_bytes()).sum::<u64>();
            status.split_records += state.splits.iter().map(|s| s.meta.num_records).sum::<u64>();
        }
        status.logs_wal_bytes = self.wal.size_bytes();
        status.damaged.extend(self.damaged.lock().iter().cloned());
        if status.refusing_writes.is_empty() {
            status.refusing_writes = self.wal.refusing().unwrap_or_else(|| self.flush_failure.lock().clone());
        }
    }
}

/// Moves a damaged folder among the damaged ones; gives a sentence that says what happened.
fn move_aside(root: &Path, tenant: &TenantId, dir: &Path, reason: &str) -> String {
    let aside = Engine::damaged_dir(root);
    let name = dir.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let target = aside.join(format!("{tenant}-{name}"));
    match std::fs::create_dir_all(&aside).and_then(|()| std::fs::rename(dir, &target)) {
        Ok(()) => format!("{reason}; set aside as {}", target.display()),
        Err(error) => format!("{reason}; it could not be moved to {}: {error}", target.display()),
    }
}
