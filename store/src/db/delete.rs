//! Deletes samples: hides them at once, has merges leave them out, and cleans up what no merge has reached.

use std::sync::Arc;

use ulid::Ulid;
use vocab::ports::admin::Deletion;
use vocab::{Ctx, ErrorKind, Matcher, PortError, TenantId, TimestampMs};

use super::{MetricStore, blocking};
use crate::block::{Block, BlockSet};
use crate::compact;
use crate::error::StoreError;
use crate::query::postings;
use crate::tombstones::{TOMBSTONES_MAX, Tombstone};

/// A deletion is cleaned up in the background when it is this old; until then a merge may do it on its way.
const CLEAN_AFTER_MS: i64 = 60 * 60 * 1000;

/// Series that are looked at together when it is asked whether a deletion concerns a block.
const SERIES_AT_ONCE: usize = 256;

impl MetricStore {
    /// Deletes samples of the context's tenant. Queries that begin after it returns do not see them, also after a crash.
    ///
    /// # Errors
    /// When the head cannot be moved into blocks or the deletion cannot be written: then nothing is deleted. `Limit` when
    /// too many deletions wait to be cleaned up.
    pub async fn delete_series(&self, ctx: &Ctx, deletion: Deletion) -> Result<(), StoreError> {
        let mut state = self.maintenance.lock().await;
        ctx.cancel.check()?;
        let (start, end) = (deletion.start_ms, deletion.end_ms);
        let head = self.sources.head.tenant(&ctx.tenant);
        let in_head = |matchers: &Vec<Matcher>| match &head {
            Some(head) => head.labels(matchers, start, end).map(|found| !found.is_empty()),
            None => Ok(false),
        };
        let mut to_flush = state.log_is_uncut();
        for matchers in &deletion.any_of {
            to_flush = to_flush || in_head(matchers)?;
        }
        if to_flush {
            self.flush_locked(&mut state).await?;
        }
        for matchers in head.iter().flat_map(|_| &deletion.any_of) {
            if let Some(head) = &head {
                head.forget_newest(matchers, start, end)?;
            }
        }
        let (set, disk) = (Arc::clone(&self.sources.blocks), Arc::clone(&self.disk));
        let (tenant, now_ms) = (ctx.tenant.clone(), self.clock.now_ms());
        blocking(move || {
            let blocks = set.of(&tenant);
            let mut tombstones = set.tombstones().of(&tenant).to_vec();
            let before = tombstones.len();
            for matchers in deletion.any_of {
                let ulid = set.next_ulid(now_ms);
                let tombstone = Tombstone { ulid, matchers, start_ms: start, end_ms: end, created_at_ms: now_ms };
                if any_affected(&blocks, &tombstone)? {
                    tombstones.push(tombstone);
                }
            }
            if tombstones.len() > TOMBSTONES_MAX {
                let text = format!(
                    "more than {TOMBSTONES_MAX} deletions of tenant {tenant} would wait to be cleaned up: call clean_tombstones first"
                );
                return Err(PortError::new(ErrorKind::Limit, text).into());
            }
            if tombstones.len() == before {
                return Ok(());
            }
            set.tombstones().replace(&tenant, tombstones, &disk)
        })
        .await
    }

    /// Returns when nothing of what a tenant deleted is in its blocks any more; files that a query still reads go when it ends.
    ///
    /// # Errors
    /// When a block cannot be read or written; what is deleted stays hidden.
    pub async fn clean_tombstones(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let _state = self.maintenance.lock().await;
        self.clean_locked(tenant).await
    }

    /// Cleans up after every tenant whose oldest deletion has waited long enough.
    pub(super) async fn clean_old(&self) -> Result<(), StoreError> {
        let due_ms = self.clock.now_ms().saturating_sub(CLEAN_AFTER_MS);
        for tenant in self.sources.blocks.tombstones().tenants() {
            let tombstones = self.sources.blocks.tombstones().of(&tenant);
            if tombstones.iter().any(|t| t.created_at_ms <= due_ms) {
                self.clean_locked(&tenant).await?;
            }
        }
        Ok(())
    }

    /// Cleans up after every tenant.
    pub(super) async fn clean_all(&self) -> Result<(), StoreError> {
        for tenant in self.sources.blocks.tombstones().tenants() {
            self.clean_locked(&tenant).await?;
        }
        Ok(())
    }

    async fn clean_locked(&self, tenant: &TenantId) -> Result<(), StoreError> {
        let tombstones = self.sources.blocks.tombstones().of(tenant);
        if tombstones.is_empty() {
            return Ok(());
        }
        for block in self.sources.blocks.of(tenant) {
            let (set, disk, mine) = (Arc::clone(&self.sources.blocks), Arc::clone(&self.disk), Arc::clone(&tombstones));
            let now_ms = self.clock.now_ms();
            blocking(move || {
                for tombstone in mine.iter() {
                    if is_affected(&block, tombstone)? {
                        let chosen = [block];
                        let written = compact::merge(&set, &chosen, false, now_ms, &disk)?;
                        let [block] = &chosen;
                        return set.exchange(&block.meta().tenant, written.into_iter().collect(), &chosen);
                    }
                }
                Ok(())
            })
            .await?;
        }
        let (set, disk, tenant) = (Arc::clone(&self.sources.blocks), Arc::clone(&self.disk), tenant.clone());
        blocking(move || prune(&set, &tenant, &tombstones, &disk)).await
    }
}

/// Forgets the tombstones that hide nothing any more. A block that is not listed but whose folder is still there would come
/// back after a crash, so a tombstone that concerns it has to stay.
fn prune(
    set: &BlockSet,
    tenant: &TenantId,
    tombstones: &[Tombstone],
    disk: &Arc<dyn crate::disk::Disk>,
) -> Result<(), StoreError> {
    let listed = set.of(tenant);
    let unlisted: Vec<Ulid> =
        set.folders_of(tenant)?.into_iter().filter(|u| !listed.iter().any(|b| b.meta().ulid == *u)).collect();
    let mut left = Vec::new();
    for tombstone in tombstones {
        if unlisted.iter().any(|u| *u < tombstone.ulid) || any_affected(&listed, tombstone)? {
            left.push(tombstone.clone());
        }
    }
    if left.len() < tombstones.len() { set.tombstones().replace(tenant, left, disk) } else { Ok(()) }
}

fn any_affected(blocks: &[Arc<Block>], tombstone: &Tombstone) -> Result<bool, StoreError> {
    for block in blocks {
        if is_affected(block, tombstone)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a tombstone covers a series of a block that has a chunk in its time.
fn is_affected(block: &Block, tombstone: &Tombstone) -> Result<bool, StoreError> {
    if !tombstone.concerns(block.meta()) {
        return Ok(false);
    }
    let index = block.index()?;
    let candidates = postings::resolve(&*index, &tombstone.matchers)?;
    let mut ids = candidates.series.iter().peekable();
    while ids.peek().is_some() {
        let some = ids.by_ref().take(SERIES_AT_ONCE).collect();
        let mut found = false;
        index.series(&some, |series| {
            let (start, end): (TimestampMs, TimestampMs) = (tombstone.start_ms, tombstone.end_ms);
            found |= series.chunks.iter().any(|c| c.min_time <= end && c.max_time >= start)
                && tombstone.covers(&series.labels);
            Ok(())
        })?;
        if found {
            return Ok(true);
        }
    }
    Ok(false)
}
