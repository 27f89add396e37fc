//! The blocks of all tenants: which are listed, which were set aside.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use ulid::Ulid;
use vocab::{MemoryPool, TenantId, TimestampMs};

use super::index_cache::IndexCache;
use super::{Block, BlockMeta};
use crate::error::StoreError;
use crate::metrics::Metrics;
use crate::tombstones::Tombstones;

/// The listed blocks.
#[derive(Debug)]
pub(crate) struct BlockSet {
    dir: PathBuf,
    cache: Arc<IndexCache>,
    metrics: Arc<Metrics>,
    tenants: RwLock<BTreeMap<TenantId, Vec<Arc<Block>>>>,
    damaged: Mutex<Vec<String>>,
    last_ulid: Mutex<Ulid>,
    tombstones: Tombstones,
}

impl BlockSet {
    /// Lists the blocks of a folder. A damaged one is set aside; what is no block any more is removed.
    pub(crate) fn load(
        dir: &Path,
        tombstones: Tombstones,
        pool: &Arc<MemoryPool>,
        metrics: Arc<Metrics>,
    ) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|e| StoreError::io("create the folder", dir, e))?;
        let set = Self {
            dir: dir.to_owned(),
            cache: Arc::new(IndexCache::new(pool)),
            metrics,
            tenants: RwLock::default(),
            damaged: Mutex::default(),
            // A block that is named later must not be taken for one that a tombstone concerns.
            last_ulid: Mutex::new(tombstones.newest()),
            tombstones,
        };
        for (path, name) in entries(dir)? {
            if let Ok(tenant) = TenantId::new(&name) {
                set.load_tenant(&path, &tenant)?;
            }
        }
        Ok(set)
    }

    fn load_tenant(&self, dir: &Path, tenant: &TenantId) -> Result<(), StoreError> {
        let mut blocks = Vec::new();
        for (path, name) in entries(dir)? {
            if name.ends_with(".tmp") {
                remove_tmp(&path);
            } else if name.ends_with(".damaged") {
                self.damaged.lock().push(format!("{}: set aside earlier", path.display()));
            } else if Ulid::from_string(&name).is_ok() {
                match Block::open(&path, &self.cache) {
                    Ok(block) => blocks.push(Arc::new(block)),
                    Err(error @ StoreError::Damaged { .. }) => self.put_aside(&path, &error),
                    // A file that cannot be read today may be readable tomorrow, so it stays where it is.
                    Err(error) => self.note_damaged(&path, &error),
                }
            }
        }
        let replaced: HashSet<Ulid> = blocks.iter().flat_map(|b| b.meta().replaces.iter().copied()).collect();
        blocks.retain(|block| {
            let stays = !replaced.contains(&block.meta().ulid);
            if !stays {
                block.set_obsolete();
            }
            stays
        });
        let newest = blocks.iter().map(|b| b.meta().ulid).max().unwrap_or_default();
        let mut last = self.last_ulid.lock();
        *last = newest.max(*last);
        drop(last);
        sort(&mut blocks);
        if !blocks.is_empty() {
            self.tenants.write().insert(tenant.clone(), blocks);
        }
        Ok(())
    }

    /// The folder of a tenant's blocks.
    pub(crate) fn dir_of(&self, tenant: &TenantId) -> PathBuf {
        self.dir.join(tenant.as_str())
    }

    /// What is deleted in the blocks.
    pub(crate) fn tombstones(&self) -> &Tombstones {
        &self.tombstones
    }

    /// A tenant's listed blocks.
    pub(crate) fn of(&self, tenant: &TenantId) -> Vec<Arc<Block>> {
        self.tenants.read().get(tenant).cloned().unwrap_or_default()
    }

    /// Names of a tenant's folders of blocks, listed or not.
    pub(crate) fn folders_of(&self, tenant: &TenantId) -> Result<Vec<Ulid>, StoreError> {
        let dir = self.dir_of(tenant);
        if !dir.exists() {
            return Ok(Vec::new());
        }
        Ok(entries(&dir)?.into_iter().filter_map(|(_, name)| Ulid::from_string(&name).ok()).collect())
    }

    /// A name for a new block, greater than all before.
    pub(crate) fn next_ulid(&self, now_ms: TimestampMs) -> Ulid {
        use std::hash::{BuildHasher, Hasher};
        let random = || u128::from(std::hash::RandomState::new().build_hasher().finish());
        let fresh = Ulid::from_parts(u64::try_from(now_ms).unwrap_or(0), random() << 64 | random());
        let mut last = self.last_ulid.lock();
        *last = if fresh > *last { fresh } else { last.increment().unwrap_or(fresh) };
        *last
    }

    /// A tenant's blocks that may hold samples of a time range, the ones first written first.
    pub(crate) fn overlapping(&self, tenant: &TenantId, start: TimestampMs, end: TimestampMs) -> Vec<Arc<Block>> {
        let tenants = self.tenants.read();
        let blocks = tenants.get(tenant).into_iter().flatten();
        blocks.filter(|b| b.meta().overlaps(start, end)).cloned().collect()
    }

    /// All listed blocks.
    pub(crate) fn all(&self) -> Vec<Arc<Block>> {
        self.tenants.read().values().flatten().cloned().collect()
    }

    /// Lists new blocks and unlists others, in one step for every query; files of the latter go when no query reads them.
    pub(crate) fn exchange(
        &self,
        tenant: &TenantId,
        added: Vec<(PathBuf, BlockMeta)>,
        removed: &[Arc<Block>],
    ) -> Result<(), StoreError> {
        let added: Vec<Arc<Block>> = added
            .into_iter()
            .map(|(path, _)| Block::open(&path, &self.cache).map(Arc::new))
            .collect::<Result<_, _>>()?;
        let mut tenants = self.tenants.write();
        let blocks = tenants.entry(tenant.clone()).or_default();
        blocks.retain(|b| !removed.iter().any(|r| r.meta().ulid == b.meta().ulid));
        blocks.extend(added);
        sort(blocks);
        if blocks.is_empty() {
            tenants.remove(tenant);
        }
        drop(tenants);
        removed.iter().for_each(|b| b.set_obsolete());
        Ok(())
    }

    /// Takes a block that turned out to be damaged out of the list; the rest goes on.
    pub(crate) fn set_aside(&self, block: &Arc<Block>, error: &StoreError) {
        let mut tenants = self.tenants.write();
        let Some(blocks) = tenants.get_mut(&block.meta().tenant) else { return };
        let before = blocks.len();
        blocks.retain(|b| b.meta().ulid != block.meta().ulid);
        let was_listed = blocks.len() < before;
        drop(tenants);
        if was_listed {
            self.put_aside(block.dir(), error);
        }
    }

    fn put_aside(&self, path: &Path, error: &StoreError) {
        let mut aside = path.as_os_str().to_owned();
        aside.push(".damaged");
        if let Err(error) = std::fs::rename(path, &aside) {
            tracing::warn!(block = %path.display(), %error, "cannot rename the damaged block");
        }
        self.note_damaged(path, error);
    }

    fn note_damaged(&self, path: &Path, error: &StoreError) {
        let text = vocab::error::chain(error);
        tracing::error!(block = %path.display(), "block set aside: {text}");
        self.metrics.block_damaged();
        self.damaged.lock().push(text);
    }

    /// One sentence for each block that was set aside.
    pub(crate) fn damaged(&self) -> Vec<String> {
        self.damaged.lock().clone()
    }
}

/// Of two values for one time the one that was written first stays, so the order of blocks is that of their oldest samples' arrival.
fn sort(blocks: &mut [Arc<Block>]) {
    blocks.sort_by_key(|b| (b.meta().first_ulid, b.meta().ulid));
}

fn entries(dir: &Path) -> Result<Vec<(PathBuf, String)>, StoreError> {
    let failed = |e| StoreError::io("list the folder", dir, e);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if let Ok(name) = entry.file_name().into_string() {
            found.push((entry.path(), name));
        }
    }
    found.sort();
    Ok(found)
}

fn remove_tmp(path: &Path) {
    if let Err(error) = std::fs::remove_dir_all(path) {
        tracing::warn!(path = %path.display(), %error, "cannot remove what an interrupted write left");
    } else {
        tracing::info!(path = %path.display(), "removed what an interrupted write left");
    }
}
