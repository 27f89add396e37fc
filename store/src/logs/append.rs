//! Taking records: checked, numbered, written to the write-ahead log, searchable, acknowledged.

use std::sync::Arc;

use vocab::ports::logs::{LogAppendOutcome, LogBatch};
use vocab::{Ctx, LogRecord, PortError, PortResult};

use crate::logs::codec;
use crate::logs::engine::{Engine, TailBatch};
use crate::logs::tenant::HeadBatch;

/// Largest record in bytes, all its texts together: a stack trace fits many times over, a core dump does not.
pub const RECORD_BYTES_MAX: usize = 1 << 20;
/// Most fields of a record: far beyond what structured loggers write.
pub const RECORD_FIELDS_MAX: usize = 256;
/// Longest name and value of a label or field together: what the index can hold as one term, with room to spare.
pub const RECORD_PAIR_BYTES_MAX: usize = 32 * 1024;
/// Largest batch in bytes.
pub const BATCH_BYTES_MAX: usize = 64 << 20;

impl Engine {
    /// Appends a batch; see [`vocab::ports::LogAppender::append`].
    pub(crate) async fn append(self: &Arc<Self>, ctx: &Ctx, batch: LogBatch) -> PortResult<LogAppendOutcome> {
        let position = batch.position.filter(|p| !p.source.is_empty());
        let num_sent = batch.records.len() as u64;
        let mut outcome = LogAppendOutcome::default();
        let mut records = batch.records;
        records.retain_mut(|record| match admit(record) {
            Ok(()) => true,
            Err(reason) => {
                outcome.rejected += 1;
                if outcome.first_reason.is_empty() {
                    outcome.first_reason = reason;
                }
                false
            }
        });
        outcome.accepted = records.len() as u64;
        let bytes = records.iter().map(LogRecord::heap_bytes).sum::<usize>();
        if bytes > BATCH_BYTES_MAX {
            return Err(PortError::new(
                vocab::ErrorKind::Limit,
                format!(
                    "a batch of {bytes} bytes of log records is over the limit of {BATCH_BYTES_MAX}; send smaller ones"
                ),
            ));
        }
        self.reserve(bytes).await?;
        let held = Held { engine: self, bytes };
        let _agree = self.commit.read().await;
        let tenant = self.tenant(&ctx.tenant);
        let _turn = match &position {
            Some(_) => Some(tenant.turn.lock().await),
            None => None,
        };
        if position.as_ref().is_some_and(|p| tenant.was_taken(p)) {
            self.metrics.log_records("repeated", num_sent);
            return Ok(LogAppendOutcome { repeated: num_sent, ..LogAppendOutcome::default() });
        }
        if !records.is_empty() || position.is_some() {
            let first_seq = tenant.take_seqs(records.len());
            let record = codec::encode(&tenant.id, first_seq, position.as_ref(), &records);
            self.wal.append(&[&record]).await?;
            if let Some(position) = position {
                tenant.note_position(position, self.clock.now_ms());
            }
            if !records.is_empty() {
                let batch = Arc::new(HeadBatch::new(first_seq, records));
                tenant.push(Arc::clone(&batch), self.clock.monotonic());
                held.keep();
                // No reader is no error.
                let _readers = self.tails.send(TailBatch { tenant: tenant.id.clone(), batch });
                if tenant.state.read().head_bytes >= self.flush_bytes() {
                    self.flush_wanted.notify_one();
                }
            }
        }
        self.metrics.log_records("accepted", outcome.accepted);
        self.metrics.log_records("rejected", outcome.rejected);
        Ok(outcome)
    }

    /// A tenant's head of this size is written to a split: the configured one, or less when memory is small.
    pub(crate) fn flush_bytes(&self) -> usize {
        self.config.flush_bytes.min(self.head_bytes_max() / 2)
    }

    /// Recent records may take half of the share; the other half is for writing splits.
    fn head_bytes_max(&self) -> usize {
        self.pool.limit_bytes() / 2
    }

    /// Takes memory for a batch; when there is none left, waits once for a flush to free some.
    async fn reserve(self: &Arc<Self>, bytes: usize) -> PortResult<()> {
        if self.try_reserve(bytes).is_ok() {
            return Ok(());
        }
        self.flush().await?;
        self.try_reserve(bytes)
    }

    fn try_reserve(&self, bytes: usize) -> PortResult<()> {
        let (held, limit) = (self.head_memory.bytes(), self.head_bytes_max());
        if held.saturating_add(bytes) > limit {
            return Err(PortError::new(
                vocab::ErrorKind::Limit,
                format!(
                    "recent log records hold {held} of {limit} bytes of the memory share \"{}\"; send again later",
                    self.pool.name()
                ),
            ));
        }
        self.head_memory.try_grow(bytes)
    }
}

/// Memory that is given back unless the batch was taken.
struct Held<'a> {
    engine: &'a Engine,
    bytes: usize,
}

impl Held<'_> {
    fn keep(mut self) {
        self.bytes = 0;
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.engine.head_memory.shrink(self.bytes);
        }
    }
}

/// Checks a record and puts its fields in order; a name that occurs twice keeps its first value.
fn admit(record: &mut LogRecord) -> Result<(), String> {
    if record.heap_bytes() + record.labels.heap_bytes() > RECORD_BYTES_MAX {
        return Err(format!("a record of {} bytes is over the limit of {RECORD_BYTES_MAX}", record.heap_bytes()));
    }
    if record.fields.len() > RECORD_FIELDS_MAX {
        return Err(format!("a record with {} fields is over the limit of {RECORD_FIELDS_MAX}", record.fields.len()));
    }
    let fields = record.fields.iter().map(|(n, v)| (n.as_str(), v.as_str()));
    for (name, value) in record.labels.iter().chain(fields) {
        if name.is_empty() || name.contains('\0') {
            return Err(format!("{name:?} is not a name for a label or field"));
        }
        if name.len() + value.len() > RECORD_PAIR_BYTES_MAX {
            let name: String = name.chars().take(64).collect();
            return Err(format!("the label or field {name:?} is over the limit of {RECORD_PAIR_BYTES_MAX} bytes"));
        }
    }
    if record.service.len() > RECORD_PAIR_BYTES_MAX {
        return Err(format!("the service's name is over the limit of {RECORD_PAIR_BYTES_MAX} bytes"));
    }
    record.fields.sort_by(|a, b| a.0.cmp(&b.0));
    record.fields.dedup_by(|later, first| later.0 == first.0);
    Ok(())
}
