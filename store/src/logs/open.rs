//! Starting: what earlier runs left in splits and in the write-ahead log.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, broadcast};
use vocab::{Clock, MemoryPool, TenantId};

use crate::disk::Disk;
use crate::logs::codec;
use crate::logs::config::LogStoreConfig;
use crate::logs::engine::Engine;
use crate::logs::error::LogError;
use crate::logs::split::{OpenSplits, Split};
use crate::logs::tenant::{HeadBatch, Tenant};
use crate::metrics::Metrics;
use crate::wal::{Wal, WalConfig, WalReader};

/// Batches that a reader of `tail` may be behind before it misses some.
const TAIL_BATCHES_MAX: usize = 256;

impl Engine {
    /// Opens the engine's folder. Blocks on file operations.
    pub(crate) fn open(
        config: LogStoreConfig,
        disk: Arc<dyn Disk>,
        pool: Arc<MemoryPool>,
        metrics: Arc<Metrics>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, LogError> {
        let staging = Self::staging_dir(&config.dir);
        match std::fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(LogError::io("empty", &staging)(error));
            }
            _ => {}
        }
        for dir in [staging, Self::splits_dir(&config.dir)] {
            std::fs::create_dir_all(&dir).map_err(LogError::io("create", &dir))?;
        }
        let wal_config = WalConfig { fsync: config.fsync, ..WalConfig::new("logs", config.dir.join("wal")) };
        let (wal, reader) = Wal::open(wal_config, disk, Arc::clone(&metrics))?;
        let engine = Self {
            config,
            clock,
            metrics,
            wal,
            head_memory: pool.reservation("recent log records"),
            pool,
            tenants: RwLock::new(HashMap::new()),
            commit: tokio::sync::RwLock::new(()),
            flushing: tokio::sync::Mutex::new(()),
            merging: tokio::sync::Mutex::new(()),
            flush_wanted: Notify::new(),
            tails: broadcast::Sender::new(TAIL_BATCHES_MAX),
            open_splits: OpenSplits::default(),
            damaged: Mutex::default(),
            flush_failure: Mutex::default(),
        };
        engine.load_tenants()?;
        engine.replay(reader);
        Ok(engine)
    }

    fn load_tenants(&self) -> Result<(), LogError> {
        let splits = Self::splits_dir(&self.config.dir);
        for entry in std::fs::read_dir(&splits).map_err(LogError::io("list", &splits))? {
            let entry = entry.map_err(LogError::io("list", &splits))?;
            let name = entry.file_name();
            match name.to_str().map(TenantId::new) {
                Some(Ok(id)) if entry.path().is_dir() => self.load_tenant(&entry.path(), &id)?,
                _ => tracing::warn!(path = %entry.path().display(), "not a tenant's folder; it is left alone"),
            }
        }
        Ok(())
    }

    fn load_tenant(&self, dir: &Path, id: &TenantId) -> Result<(), LogError> {
        let tenant = Tenant::new(id.clone());
        tenant.load_positions(dir);
        let mut splits = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(LogError::io("list", dir))? {
            let path = entry.map_err(LogError::io("list", dir))?.path();
            if !path.is_dir() {
                continue;
            }
            match Split::load(&path) {
                Ok(split) if split.meta.tenant == id.as_str() => splits.push(Arc::new(split)),
                Ok(split) => {
                    let error = LogError::damaged(&path, format!("it belongs to the tenant {}", split.meta.tenant));
                    self.note_damage(id, &path, &error);
                }
                Err(error) => self.note_damage(id, &path, &error),
            }
        }
        // A merge that was interrupted has published its result but not yet removed what it was made of.
        let replaced: HashSet<&str> = splits.iter().flat_map(|s| s.meta.replaces.iter().map(String::as_str)).collect();
        for split in splits.iter().filter(|s| replaced.contains(s.meta.id.as_str())) {
            split.remove_when_unused();
        }
        let listed: Vec<Arc<Split>> =
            splits.iter().filter(|s| !replaced.contains(s.meta.id.as_str())).cloned().collect();
        tenant.seqs_taken(splits.iter().map(|s| s.meta.max_seq).max().unwrap_or(0));
        tenant.state.write().splits = listed;
        self.tenants.write().insert(id.clone(), Arc::new(tenant));
        Ok(())
    }

    /// Brings back what is in the write-ahead log and not in splits.
    fn replay(&self, reader: WalReader) {
        let in_splits: HashMap<TenantId, u64> = self
            .all_tenants()
            .iter()
            .map(|t| (t.id.clone(), t.state.read().splits.iter().map(|s| s.meta.max_seq).max().unwrap_or(0)))
            .collect();
        let now = self.clock.monotonic();
        let now_ms = self.clock.now_ms();
        let mut unreadable = 0u64;
        let report = reader.replay(|_, bytes| {
            let Some(batch) = codec::decode(bytes) else {
                unreadable += 1;
                return;
            };
            let tenant = self.tenant(&batch.tenant);
            tenant.seqs_taken(batch.first_seq.saturating_add(batch.records.len() as u64).saturating_sub(1));
            if let Some(position) = batch.position {
                tenant.note_position(position, now_ms);
            }
            // A batch is in splits as a whole or not at all, because a flush takes whole batches.
            let known = in_splits.get(&batch.tenant).copied().unwrap_or(0);
            if batch.first_seq > known && !batch.records.is_empty() {
                let batch = Arc::new(HeadBatch::new(batch.first_seq, batch.records));
                // What is already acknowledged is taken back in any case; an overdrawn share is flushed right after.
                if self.head_memory.try_grow(batch.bytes).is_err() {
                    self.flush_wanted.notify_one();
                }
                tenant.push(batch, now);
            }
        });
        let mut damaged = self.damaged.lock();
        damaged.extend(report.damaged);
        if unreadable > 0 {
            let text = format!(
                "{unreadable} records of the write-ahead log of log records are not readable and were left out"
            );
            tracing::error!("{text}");
            damaged.push(text);
        }
    }
}
