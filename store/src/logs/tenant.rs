//! One tenant's records: the recent ones in memory, the others in splits.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::RwLock;
use serde::{Deserialize, Serialize};
use vocab::ports::logs::SourcePosition;
use vocab::{LogRecord, TenantId, TimestampMs};

use crate::disk::sync_folder;
use crate::logs::error::LogError;
use crate::logs::split::{Split, Stored};

/// Most sources whose positions are remembered; of more, those not heard of for longest are forgotten.
const SOURCES_MAX: usize = 10_000;
/// The file of the positions, in the tenant's folder.
const POSITIONS_FILE: &str = "positions.json";

/// Records that were written together and are not yet in a split.
#[derive(Debug)]
pub(crate) struct HeadBatch {
    /// The records.
    pub(crate) records: Vec<Stored>,
    /// Their share of memory.
    pub(crate) bytes: usize,
}

impl HeadBatch {
    /// Numbers records from `first_seq` on.
    pub(crate) fn new(first_seq: u64, records: Vec<LogRecord>) -> Self {
        let bytes = records.iter().map(LogRecord::heap_bytes).sum();
        let records = (first_seq..).zip(records).map(|(seq, record)| Stored { seq, record }).collect();
        Self { records, bytes }
    }
}

/// How far a source was read, and when it was last heard of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    offset: u64,
    seen_ms: TimestampMs,
}

/// What changes under a lock.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Not yet in a split, in order of writing.
    pub(crate) batches: Vec<Arc<HeadBatch>>,
    /// Bytes of the batches.
    pub(crate) head_bytes: usize,
    /// When the first of the batches was written, on the monotonic clock.
    pub(crate) head_since: Option<Duration>,
    /// Everything else.
    pub(crate) splits: Vec<Arc<Split>>,
    positions: HashMap<String, Position>,
}

/// A consistent look at a tenant's records.
#[derive(Debug, Default)]
pub(crate) struct View {
    /// Not yet in a split.
    pub(crate) head: Vec<Arc<HeadBatch>>,
    /// In splits.
    pub(crate) splits: Vec<Arc<Split>>,
}

/// One tenant.
#[derive(Debug)]
pub(crate) struct Tenant {
    /// Its name.
    pub(crate) id: TenantId,
    /// Held while a batch with a position is written, so that the same batch sent twice at once is seen as such.
    pub(crate) turn: tokio::sync::Mutex<()>,
    next_seq: AtomicU64,
    positions_changed: AtomicBool,
    pub(crate) state: RwLock<State>,
}

impl Tenant {
    /// A tenant without records.
    pub(crate) fn new(id: TenantId) -> Self {
        Self {
            id,
            turn: tokio::sync::Mutex::new(()),
            next_seq: AtomicU64::new(1),
            positions_changed: AtomicBool::new(false),
            state: RwLock::default(),
        }
    }

    /// Takes numbers for records; gives the first.
    pub(crate) fn take_seqs(&self, count: usize) -> u64 {
        self.next_seq.fetch_add(count as u64, Ordering::Relaxed)
    }

    /// Numbers up to this one are taken.
    pub(crate) fn seqs_taken(&self, last: u64) {
        self.next_seq.fetch_max(last.saturating_add(1), Ordering::Relaxed);
    }

    /// Makes a batch searchable.
    pub(crate) fn push(&self, batch: Arc<HeadBatch>, now: Duration) {
        let mut state = self.state.write();
        state.head_bytes += batch.bytes;
        state.head_since.get_or_insert(now);
        state.batches.push(batch);
    }

    /// Whether a source was read up to here before.
    pub(crate) fn was_taken(&self, position: &SourcePosition) -> bool {
        self.state.read().positions.get(&position.source).is_some_and(|known| position.offset <= known.offset)
    }

    /// Remembers how far a source was read.
    pub(crate) fn note_position(&self, position: SourcePosition, now_ms: TimestampMs) {
        let mut state = self.state.write();
        let known = state.positions.entry(position.source).or_insert(Position { offset: 0, seen_ms: now_ms });
        known.offset = known.offset.max(position.offset);
        known.seen_ms = now_ms;
        if state.positions.len() > SOURCES_MAX {
            let oldest = state.positions.iter().min_by_key(|(_, p)| p.seen_ms).map(|(source, _)| source.clone());
            if let Some(oldest) = oldest {
                state.positions.remove(&oldest);
            }
        }
        self.positions_changed.store(true, Ordering::Relaxed);
    }

    /// What a search looks at.
    pub(crate) fn view(&self) -> View {
        let state = self.state.read();
        View { head: state.batches.clone(), splits: state.splits.clone() }
    }

    /// The first `count` batches are in `split` now. Gives the bytes that they held.
    pub(crate) fn batches_written(&self, count: usize, split: Arc<Split>, now: Duration) -> usize {
        let mut state = self.state.write();
        let freed = state.batches.drain(..count).map(|b| b.bytes).sum();
        state.head_bytes -= freed;
        state.head_since = if state.batches.is_empty() { None } else { Some(now) };
        state.splits.push(split);
        freed
    }

    /// Whether nothing is known of it any more.
    pub(crate) fn is_empty(&self) -> bool {
        let state = self.state.read();
        state.batches.is_empty() && state.splits.is_empty() && state.positions.is_empty()
    }

    /// Reads the positions of the tenant's folder.
    pub(crate) fn load_positions(&self, dir: &Path) {
        let path = dir.join(POSITIONS_FILE);
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "positions of log sources cannot be read");
                return;
            }
        };
        match serde_json::from_slice::<HashMap<String, Position>>(&text) {
            Ok(positions) => self.state.write().positions = positions,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "positions of log sources are not readable; records sent again will not be recognised");
            }
        }
    }

    /// Writes the positions if they changed since they were last written.
    pub(crate) fn save_positions(&self, dir: &Path) -> Result<(), LogError> {
        if !self.positions_changed.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let written = self.write_positions(dir);
        if written.is_err() {
            self.positions_changed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn write_positions(&self, dir: &Path) -> Result<(), LogError> {
        let positions: BTreeMap<String, Position> =
            self.state.read().positions.iter().map(|(source, position)| (source.clone(), *position)).collect();
        std::fs::create_dir_all(dir).map_err(LogError::io("create", dir))?;
        let (path, beside) = (dir.join(POSITIONS_FILE), dir.join("positions.json.new"));
        let write = || -> std::io::Result<()> {
            let file = std::fs::File::create(&beside)?;
            serde_json::to_writer(&file, &positions)?;
            file.sync_all()?;
            std::fs::rename(&beside, &path)?;
            sync_folder(dir)
        };
        write().map_err(LogError::io("write", &path))
    }
}
