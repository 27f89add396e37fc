//! Moving recent records into splits and cutting the write-ahead log.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use ulid::Ulid;
use vocab::TenantId;

use crate::logs::engine::Engine;
use crate::logs::error::LogError;
use crate::logs::split::{Split, SplitWriter, Stored, writer};
use crate::logs::tenant::{HeadBatch, Tenant};

impl Engine {
    /// Returns when everything acknowledged before the call is in splits and the write-ahead log is cut.
    pub(crate) async fn flush(self: &Arc<Self>) -> Result<(), LogError> {
        let _one = self.flushing.lock().await;
        let result = self.flush_now().await;
        let mut failure = self.flush_failure.lock();
        match &result {
            Ok(()) => failure.clear(),
            Err(error) => {
                let reason = vocab::error::chain(error);
                self.metrics.log_flush_failed();
                if *failure != reason {
                    tracing::error!(%reason, "recent log records cannot be written to a split; they stay in memory and in the write-ahead log");
                    *failure = reason;
                }
            }
        }
        result
    }

    async fn flush_now(self: &Arc<Self>) -> Result<(), LogError> {
        let (segment, heads) = {
            let _agree = self.commit.write().await;
            let segment = self.wal.rotate().await?;
            let heads: Vec<_> = self.all_tenants().into_iter().map(|t| (t.view().head, t)).collect();
            (segment, heads)
        };
        let engine = Arc::clone(self);
        let work = move || {
            for (batches, tenant) in heads {
                if !batches.is_empty() {
                    engine.write_head(&tenant, &batches)?;
                }
                tenant.save_positions(&engine.tenant_dir(&tenant.id))?;
            }
            engine.wal.cut(segment).map_err(LogError::from)
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| LogError::Task)?
    }

    fn write_head(&self, tenant: &Tenant, batches: &[Arc<HeadBatch>]) -> Result<(), LogError> {
        let bytes: usize = batches.iter().map(|b| b.bytes).sum();
        // Counted where it fits; a flush must go on even when nothing is left, for it is what frees memory.
        let memory = self.pool.reservation("writing a log split");
        if let Err(error) = memory.try_grow(bytes) {
            tracing::debug!(%error, "writing a split without a reservation");
        }
        let mut records: Vec<&Stored> = batches.iter().flat_map(|b| &b.records).collect();
        records.sort_unstable_by_key(|s| (s.record.time_ns, s.seq));
        let split = self.write_split(&tenant.id, |split| {
            records.iter().try_for_each(|stored| split.push(stored.seq, &stored.record))
        })?;
        self.metrics.log_split_written("flush", split.meta.num_records);
        let freed = tenant.batches_written(batches.len(), Arc::new(split), self.clock.monotonic());
        self.head_memory.shrink(freed);
        Ok(())
    }

    /// Writes a split and puts it in its place; one that could not be finished leaves nothing behind.
    pub(crate) fn write_split(
        &self,
        tenant: &TenantId,
        fill: impl FnOnce(&mut SplitWriter) -> Result<(), LogError>,
    ) -> Result<Split, LogError> {
        let (id, staging) = (self.new_id(), Self::staging_dir(&self.config.dir));
        let write = || {
            let mut split = SplitWriter::create(&staging, &id, tenant)?;
            fill(&mut split)?;
            let (staged, meta) = split.finish()?;
            let dir = writer::publish(&staged, &self.tenant_dir(tenant), &id)?;
            Ok(Split::new(dir, meta))
        };
        let written = write();
        if written.is_err()
            && let Err(error) = std::fs::remove_dir_all(staging.join(&id))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            tracing::warn!(%error, split = id, "cannot remove an unfinished split; the next start does");
        }
        written
    }

    /// A name for a new split.
    fn new_id(&self) -> String {
        let since_epoch = Duration::from_millis(u64::try_from(self.clock.now_ms()).unwrap_or(0));
        Ulid::from_datetime(SystemTime::UNIX_EPOCH + since_epoch).to_string()
    }

    /// Whether some tenant's head is large or old enough for a split.
    pub(crate) fn flush_due(&self) -> bool {
        let now = self.clock.monotonic();
        self.all_tenants().iter().any(|tenant| {
            let state = tenant.state.read();
            state.head_bytes >= self.flush_bytes()
                || state.head_since.is_some_and(|since| now.saturating_sub(since) >= self.config.flush_age)
        })
    }
}
