//! What was deleted and is not yet gone from the blocks.
//!
//! A tombstone concerns the blocks whose names are smaller than its own: exactly those that were there when it was made, because
//! the head is moved into blocks first. So nothing that is written later is hidden, and one file per tenant, replaced in one
//! step, makes a deletion whole. A merge leaves out what is covered; its block has a greater name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use ulid::Ulid;
use vocab::{Labels, Matcher, TenantId, TimestampMs};

use crate::block::BlockMeta;
use crate::disk::{Disk, remove_unfinished, sync_folder};
use crate::error::StoreError;

/// Version of the file's format.
const FORMAT_VERSION: u32 = 1;

/// Most deletions of a tenant that may wait to be cleaned up: every query compares with them.
pub(crate) const TOMBSTONES_MAX: usize = 1_000;

/// One deletion.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tombstone {
    /// Its name: it concerns blocks with smaller ones.
    pub(crate) ulid: Ulid,
    /// Series that satisfy all of them.
    pub(crate) matchers: Vec<Matcher>,
    /// First time, included.
    pub(crate) start_ms: TimestampMs,
    /// Last time, included.
    pub(crate) end_ms: TimestampMs,
    pub(crate) created_at_ms: TimestampMs,
}

impl Tombstone {
    /// Whether it may cover samples of a block.
    pub(crate) fn concerns(&self, meta: &BlockMeta) -> bool {
        meta.ulid < self.ulid && meta.overlaps(self.start_ms, self.end_ms)
    }

    pub(crate) fn covers(&self, labels: &Labels) -> bool {
        self.matchers.iter().all(|m| m.matches_labels(labels))
    }
}

/// Stretches of time of one series in one block that are deleted: ascending and apart.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Deleted(Vec<(TimestampMs, TimestampMs)>);

impl Deleted {
    /// What the tombstones of a block delete of a series.
    pub(crate) fn of(tombstones: &[&Tombstone], labels: &Labels) -> Self {
        let mut ranges: Vec<_> =
            tombstones.iter().filter(|t| t.covers(labels)).map(|t| (t.start_ms, t.end_ms)).collect();
        ranges.sort_unstable();
        ranges.dedup_by(|next, kept| {
            let joined = next.0 <= kept.1.saturating_add(1);
            if joined {
                kept.1 = kept.1.max(next.1);
            }
            joined
        });
        Self(ranges)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether all of a stretch of time is deleted.
    pub(crate) fn has_all(&self, start: TimestampMs, end: TimestampMs) -> bool {
        self.0.iter().any(|r| r.0 <= start && end <= r.1)
    }

    /// Whether something of a stretch of time is deleted.
    pub(crate) fn has_any(&self, start: TimestampMs, end: TimestampMs) -> bool {
        self.0.iter().any(|r| r.0 <= end && start <= r.1)
    }

    /// Whether a sample is deleted.
    pub(crate) fn has(&self, time: TimestampMs) -> bool {
        self.has_any(time, time)
    }

    pub(crate) fn heap_bytes(&self) -> usize {
        self.0.capacity() * 16
    }
}

/// The tombstones of all tenants and their files.
#[derive(Debug)]
pub(crate) struct Tombstones {
    dir: PathBuf,
    tenants: RwLock<BTreeMap<TenantId, Arc<[Tombstone]>>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct TombstoneFile {
    format_version: u32,
    tombstones: Vec<Tombstone>,
}

impl Tombstones {
    /// Reads the files of a folder, which is made when the first deletion is.
    ///
    /// A file that cannot be read ends the start: what was deleted must not come back silently.
    pub(crate) fn load(dir: &Path) -> Result<Self, StoreError> {
        let failed = |e| StoreError::io("list the folder", dir, e);
        let mut tenants = BTreeMap::new();
        let entries = match std::fs::read_dir(dir) {
            Ok(entries) => entries.collect::<Result<Vec<_>, _>>().map_err(failed)?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Vec::new(),
            Err(e) => return Err(failed(e)),
        };
        for path in entries.into_iter().map(|e| e.path()).filter(|path| !remove_unfinished(path)) {
            let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".json"));
            let Some(tenant) = name.and_then(|n| TenantId::new(n).ok()) else { continue };
            let bytes = std::fs::read(&path).map_err(|e| StoreError::io("read", &path, e))?;
            let file: TombstoneFile =
                serde_json::from_slice(&bytes).map_err(|e| StoreError::damaged(&path, e.to_string()))?;
            if file.format_version > FORMAT_VERSION {
                let why = format!("format version {} is newer than {FORMAT_VERSION}", file.format_version);
                return Err(StoreError::damaged(&path, why));
            }
            tenants.insert(tenant, file.tombstones.into());
        }
        Ok(Self { dir: dir.to_owned(), tenants: RwLock::new(tenants) })
    }

    /// A tenant's tombstones. To be asked before the tenant's blocks are listed, so that no query sees a block that was
    /// cleaned together with the tombstones that are left after it.
    pub(crate) fn of(&self, tenant: &TenantId) -> Arc<[Tombstone]> {
        self.tenants.read().get(tenant).cloned().unwrap_or_default()
    }

    /// Tenants that have tombstones.
    pub(crate) fn tenants(&self) -> Vec<TenantId> {
        self.tenants.read().keys().cloned().collect()
    }

    /// The greatest name of a tombstone.
    pub(crate) fn newest(&self) -> Ulid {
        self.tenants.read().values().flat_map(|list| list.iter()).map(|t| t.ulid).max().unwrap_or_default()
    }

    /// The file of a tenant.
    pub(crate) fn path_of(&self, tenant: &TenantId) -> PathBuf {
        self.dir.join(format!("{tenant}.json"))
    }

    /// Writes a tenant's tombstones, then lists them; nothing is changed when that fails.
    pub(crate) fn replace(
        &self,
        tenant: &TenantId,
        tombstones: Vec<Tombstone>,
        disk: &Arc<dyn Disk>,
    ) -> Result<(), StoreError> {
        let path = self.path_of(tenant);
        if tombstones.is_empty() {
            match std::fs::remove_file(&path) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io("remove", &path, e)),
                _ => self.tenants.write().remove(tenant),
            };
            return Ok(());
        }
        std::fs::create_dir_all(&self.dir).map_err(|e| StoreError::io("create the folder", &self.dir, e))?;
        let file = TombstoneFile { format_version: FORMAT_VERSION, tombstones };
        let bytes =
            serde_json::to_vec_pretty(&file).map_err(|e| StoreError::io("write", &path, std::io::Error::other(e)))?;
        let beside = self.dir.join(format!("{tenant}.json.tmp"));
        let out = disk.create(&beside).map_err(|e| StoreError::io("create", &beside, e))?;
        out.append(&bytes).map_err(|e| StoreError::io("write to", &beside, e))?;
        out.sync().map_err(|e| StoreError::io("sync", &beside, e))?;
        std::fs::rename(&beside, &path).map_err(|e| StoreError::io("rename", &beside, e))?;
        // From here on a restart finds it, so it counts now, whatever becomes of the folder's sync.
        self.tenants.write().insert(tenant.clone(), file.tombstones.into());
        sync_folder(&self.dir).map_err(|e| StoreError::io("sync the folder", &self.dir, e))
    }
}

#[cfg(test)]
mod tests;
