//! What runs in the background: flush, merge, retention.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use vocab::{Clock, TimestampMs};

use super::{MetricStore, blocking};
use crate::block::{Block, BlockMeta};
use crate::compact::{self, Eagerness};
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
}

impl State {
    pub(super) fn note_flush(&mut self, now_ms: TimestampMs) {
        self.last_flush_ms = Some(now_ms);
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
    async fn round(&self) -> Result<(), StoreError> {
        let mut state = self.maintenance.lock().await;
        let now_ms = self.clock.now_ms();
        let last = *state.last_flush_ms.get_or_insert(now_ms);
        let interval = i64::try_from(self.config.flush_interval.as_millis()).unwrap_or(i64::MAX).max(1);
        let due = now_ms.div_euclid(interval) > last.div_euclid(interval);
        if due || self.sources.head.memory().wants_flush() || self.wal.size_bytes() > self.config.wal_bytes_max {
            self.flush_locked().await?;
            state.note_flush(now_ms);
        }
        self.retain().await?;
        while self.merge_once(Eagerness::Background).await? {}
        self.metrics.set_state(&self.status());
        Ok(())
    }

    /// Returns when no merge is due any more and retention is applied.
    ///
    /// # Errors
    /// When a block cannot be read or written; the blocks that were to be merged stay.
    pub async fn compact(&self) -> Result<(), StoreError> {
        let _state = self.maintenance.lock().await;
        self.retain().await?;
        while self.merge_once(Eagerness::Full).await? {}
        Ok(())
    }

    /// Does the first merge that is due; false when none is.
    async fn merge_once(&self, eagerness: Eagerness) -> Result<bool, StoreError> {
        let now_ms = self.clock.now_ms();
        let all = self.sources.blocks.all();
        for members in all.chunk_by(|a, b| a.meta().tenant == b.meta().tenant) {
            let metas: Vec<&BlockMeta> = members.iter().map(|b| b.meta()).collect();
            let Some(chosen) = compact::choose(&metas, now_ms, eagerness) else { continue };
            let chosen: Vec<Arc<Block>> = members.iter().filter(|b| chosen.contains(&b.meta().ulid)).cloned().collect();
            let (set, disk) = (Arc::clone(&self.sources.blocks), Arc::clone(&self.disk));
            blocking(move || {
                let merged = compact::merge(&set, &chosen, now_ms, &disk)?;
                let Some(tenant) = chosen.first().map(|b| b.meta().tenant.clone()) else { return Ok(()) };
                set.exchange(&tenant, merged.into_iter().collect(), &chosen)
            })
            .await?;
            self.metrics.merged();
            return Ok(true);
        }
        Ok(false)
    }

    async fn retain(&self) -> Result<(), StoreError> {
        let retention = Retention { bytes_max: self.config.retention_bytes, oldest_ms: self.oldest_ms() };
        let set = Arc::clone(&self.sources.blocks);
        blocking(move || {
            let all = set.all();
            let metas: Vec<&BlockMeta> = all.iter().map(|b| b.meta()).collect();
            let gone = retention::choose(&metas, retention);
            for block in all.iter().filter(|b| gone.contains(&b.meta().ulid)) {
                tracing::info!(block = %block.dir().display(), "retention removes a block");
                set.exchange(&block.meta().tenant, Vec::new(), std::slice::from_ref(block))?;
            }
            Ok(())
        })
        .await
    }

    /// The oldest time that a retention by time keeps.
    pub(super) fn oldest_ms(&self) -> Option<TimestampMs> {
        let retention = self.config.retention_time?;
        let length = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        Some(self.clock.now_ms().saturating_sub(length))
    }
}
