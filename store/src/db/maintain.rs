//! What runs in the background: flush, merge, retention.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use vocab::limits::TenantLimits;
use vocab::{Clock, TimestampMs};

use super::{MetricStore, blocking};
use crate::block::{Block, BlockMeta};
use crate::compact::{self, Eagerness};
use crate::downsample;
use crate::error::StoreError;
use crate::retention::{self, Retention};

/// How often it is looked whether something is due.
const ROUND: Duration = Duration::from_secs(15);

/// After a failure it is waited this long, so that a full disk is not hammered.
const AFTER_FAILURE: Duration = Duration::from_secs(60);

/// What the rounds remember.
#[derive(Debug, Default)]
pub(super) struct State {
    last_flush_ms: Option<TimestampMs>,
    /// Whether a flush failed before it had cut the log.
    log_is_uncut: bool,
}

impl State {
    pub(super) fn note_flush(&mut self, now_ms: TimestampMs) {
        self.last_flush_ms = Some(now_ms);
    }

    /// Whether the log may still have samples that are in blocks already.
    pub(super) fn log_is_uncut(&self) -> bool {
        self.log_is_uncut
    }

    pub(super) fn set_log_uncut(&mut self, log_is_uncut: bool) {
        self.log_is_uncut = log_is_uncut;
    }
}

/// Runs until the store is closed or gone. Between rounds it does not hold the store.
pub(super) async fn run(store: Weak<MetricStore>, wake: Arc<Notify>, clock: Arc<dyn Clock>) {
    let mut wait = ROUND;
    loop {
        if wait == ROUND {
            futures::future::select(std::pin::pin!(wake.notified()), clock.sleep(wait)).await;
        } else {
            // A failure is waited out, however crowded the head is.
            clock.sleep(wait).await;
        }
        let Some(store) = store.upgrade() else { return };
        if store.closing.load(Ordering::Acquire) {
            return;
        }
        wait = match store.round().await {
            Ok(()) => ROUND,
            Err(error) => {
                tracing::error!("metric store maintenance failed: {}", vocab::error::chain(&error));
                store.metrics.maintenance_failed();
                AFTER_FAILURE
            }
        };
    }
}

impl MetricStore {
    pub(super) async fn round(&self) -> Result<(), StoreError> {
        let mut state = self.maintenance.lock().await;
        let now_ms = self.clock.now_ms();
        self.sources.head.set_time(now_ms);
        let last = *state.last_flush_ms.get_or_insert(now_ms);
        let interval = i64::try_from(self.config.flush_interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let due = now_ms.div_euclid(interval) > last.div_euclid(interval);
        if due || self.sources.head.memory().wants_flush() || self.wal.size_bytes() > self.config.wal_bytes_max {
            self.flush_locked(&mut state).await?;
            state.note_flush(now_ms);
        }
        self.retain().await?;
        while self.merge_once(Eagerness::Background).await? {}
        self.clean_old().await?;
        if self.config.downsampling {
            self.downsample_once().await?;
        }
        self.metrics.set_state(&self.status());
        Ok(())
    }

    /// Returns when no merge is due any more, retention is applied and what was deleted is gone.
    ///
    /// # Errors
    /// When a block cannot be read or written; the blocks that were to be merged stay.
    pub async fn compact(&self) -> Result<(), StoreError> {
        let _state = self.maintenance.lock().await;
        self.retain().await?;
        while self.merge_once(Eagerness::Full).await? {}
        self.clean_all().await
    }

    /// Does the first merge that is due; false when none is.
    async fn merge_once(&self, eagerness: Eagerness) -> Result<bool, StoreError> {
        let now_ms = self.clock.now_ms();
        let all = self.sources.blocks.all();
        for members in all.chunk_by(|a, b| a.meta().tenant == b.meta().tenant) {
            let metas: Vec<&BlockMeta> = members.iter().map(|b| b.meta()).collect();
            let Some(chosen) = compact::choose(&metas, now_ms, eagerness, self.merged_series_max) else { continue };
            let chosen: Vec<Arc<Block>> = members.iter().filter(|b| chosen.contains(&b.meta().ulid)).cloned().collect();
            let (set, disk) = (Arc::clone(&self.sources.blocks), Arc::clone(&self.disk));
            blocking(move || {
                let merged = compact::merge(&set, &chosen, false, now_ms, &disk)?;
                let Some(tenant) = chosen.first().map(|b| b.meta().tenant.clone()) else { return Ok(()) };
                set.exchange(&tenant, merged.into_iter().collect(), &chosen)
            })
            .await?;
            self.metrics.merged();
            return Ok(true);
        }
        Ok(false)
    }

    /// Gives columns of downsampled data to the first block that is due; the next round goes on.
    async fn downsample_once(&self) -> Result<(), StoreError> {
        let now_ms = self.clock.now_ms();
        let all = self.sources.blocks.all();
        for members in all.chunk_by(|a, b| a.meta().tenant == b.meta().tenant) {
            let metas: Vec<&BlockMeta> = members.iter().map(|b| b.meta()).collect();
            let Some(due) = downsample::due(&metas, now_ms, self.merged_series_max) else { continue };
            let chosen: Vec<Arc<Block>> = members.iter().filter(|b| b.meta().ulid == due.ulid).cloned().collect();
            let (set, disk, tenant) = (Arc::clone(&self.sources.blocks), Arc::clone(&self.disk), due.tenant.clone());
            return blocking(move || {
                let written = compact::merge(&set, &chosen, true, now_ms, &disk)?;
                set.exchange(&tenant, written.into_iter().collect(), &chosen)
            })
            .await;
        }
        Ok(())
    }

    async fn retain(&self) -> Result<(), StoreError> {
        let all = self.sources.blocks.all();
        let own: Vec<(std::ops::Range<usize>, Retention)> = all
            .chunk_by(|a, b| a.meta().tenant == b.meta().tenant)
            .scan(0, |end, members| {
                *end += members.len();
                let tenant = members.first().map(|b| b.meta().tenant.clone()).unwrap_or_default();
                let limits = self.config.tenants.of(&tenant);
                let bytes_max = limits.retention_bytes.unwrap_or(u64::MAX);
                Some((*end - members.len()..*end, Retention { bytes_max, oldest_ms: self.oldest_ms(&limits) }))
            })
            .collect();
        let together = Retention { bytes_max: self.config.retention_bytes, oldest_ms: None };
        let set = Arc::clone(&self.sources.blocks);
        blocking(move || {
            let metas: Vec<&BlockMeta> = all.iter().map(|b| b.meta()).collect();
            // Each tenant's own first, then all together.
            let mut gone: Vec<_> = own
                .iter()
                .flat_map(|(range, retention)| retention::choose(&metas[range.clone()], *retention))
                .collect();
            let left: Vec<&BlockMeta> = metas.iter().filter(|m| !gone.contains(&m.ulid)).copied().collect();
            gone.extend(retention::choose(&left, together));
            for block in all.iter().filter(|b| gone.contains(&b.meta().ulid)) {
                tracing::info!(block = %block.dir().display(), "retention removes a block");
                set.exchange(&block.meta().tenant, Vec::new(), std::slice::from_ref(block))?;
            }
            Ok(())
        })
        .await
    }

    /// The oldest time that a retention by time keeps.
    pub(super) fn oldest_ms(&self, limits: &TenantLimits) -> Option<TimestampMs> {
        let retention = limits.retention_time.or(self.config.retention_time)?;
        let length = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        Some(self.clock.now_ms().saturating_sub(length))
    }
}
