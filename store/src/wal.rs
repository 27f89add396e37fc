//! A write-ahead log of opaque records, used by the metric engine and by the log engine alike.
//!
//! Appenders hand over records and wait; one thread writes whatever has gathered meanwhile in one go (group commit), makes it
//! durable as the [`FsyncPolicy`] says, and answers all of them. A record that was answered is in the operating system, so that
//! the end of this process, however sudden, does not lose it. The format is described in `docs/formats/wal.md`.

mod error;
mod frame;
#[cfg(test)]
mod fuzz;
mod reader;
mod segment;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, oneshot};

use crate::disk::Disk;
use crate::metrics::Metrics;

pub use error::WalError;
pub use reader::{WalReader, WalReport};
use writer::{Shared, Writer};

/// Longest accepted record in bytes: larger than any request body that the limits let through.
pub const RECORD_BYTES_MAX: usize = 256 << 20;

/// Bytes that may wait for the writer; more appenders wait before they hand over.
const QUEUE_KIB_MAX: usize = 64 << 10;

/// When written records are forced onto the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsyncPolicy {
    /// Before every acknowledgement: power loss loses nothing acknowledged.
    EveryCommit,
    /// At this distance in the background: the end of the process loses nothing, power loss at most this much.
    Interval(Duration),
    /// When the operating system likes: the end of the process loses nothing, power loss perhaps half a minute.
    Never,
}

impl Default for FsyncPolicy {
    fn default() -> Self {
        Self::Interval(Duration::from_secs(1))
    }
}

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct WalConfig {
    /// What its metrics and messages call it: `metrics`, `logs`.
    pub name: &'static str,
    /// Folder of its segments; made when absent.
    pub dir: PathBuf,
    /// A segment that has reached this many bytes is followed by a new one.
    pub segment_bytes: u64,
    /// When records are forced onto the device.
    pub fsync: FsyncPolicy,
}

impl WalConfig {
    /// A log with the usual sizes.
    pub fn new(name: &'static str, dir: PathBuf) -> Self {
        Self { name, dir, segment_bytes: 64 << 20, fsync: FsyncPolicy::default() }
    }
}

/// Where a record ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct WalPosition {
    /// Number of the segment.
    pub segment: u64,
    /// Bytes from its beginning.
    pub offset: u64,
}

/// A log that is open for appending.
#[derive(Debug)]
pub struct Wal {
    shared: Arc<Shared>,
    room: Semaphore,
    threads: Mutex<Vec<std::thread::JoinHandle<()>>>,
}

impl Wal {
    /// Opens the log of a folder. The reader gives what earlier runs left behind; new records go to a new segment, so both
    /// may be used at the same time.
    ///
    /// # Errors
    /// When the folder cannot be made or read, or no thread can be started. Damage inside segments is no error; see
    /// [`WalReader::replay`].
    pub fn open(
        config: WalConfig,
        disk: Arc<dyn Disk>,
        metrics: Arc<Metrics>,
    ) -> Result<(Arc<Self>, WalReader), WalError> {
        std::fs::create_dir_all(&config.dir).map_err(|e| WalError::io("create the folder", &config.dir, e))?;
        let segments = segment::list(&config.dir)?;
        let next = segments.last_key_value().map_or(1, |(number, _)| number + 1);
        let reader = WalReader::new(config.clone(), segments.keys().copied().collect(), Arc::clone(&metrics));
        let shared = Arc::new(Shared::new(config, disk, metrics, segments, next));
        let threads = Writer::start(&shared)?;
        let wal = Self { shared, room: Semaphore::new(QUEUE_KIB_MAX), threads: Mutex::new(threads) };
        Ok((Arc::new(wal), reader))
    }

    /// Appends records together: after a crash either the first few of them are there or all. Returns the end of the last one
    /// once they are as durable as the policy says.
    ///
    /// # Errors
    /// [`WalError::Io`] when writing failed (disk full, device error): none of the records counts as written.
    /// [`WalError::RecordTooLarge`], [`WalError::Closed`].
    pub async fn append(&self, records: &[&[u8]]) -> Result<WalPosition, WalError> {
        let size = records.iter().map(|r| r.len() + frame::HEADER_BYTES).sum::<usize>();
        if let Some(record) = records.iter().find(|r| r.len() > RECORD_BYTES_MAX || r.is_empty()) {
            return Err(WalError::RecordTooLarge { bytes: record.len() });
        }
        let mut bytes = Vec::with_capacity(size);
        for record in records {
            frame::push(&mut bytes, record);
        }
        // One request may be larger than the whole room; it then takes all of it.
        let kib = u32::try_from((size / 1024 + 1).min(QUEUE_KIB_MAX)).unwrap_or(u32::MAX);
        let _room = self.room.acquire_many(kib).await.map_err(|_| WalError::Closed)?;
        let (answer, answered) = oneshot::channel();
        self.shared.push(bytes, answer)?;
        answered.await.map_err(|_| WalError::Closed)?
    }

    /// Starts a new segment and gives its number: everything acknowledged before the call is in lower segments, everything
    /// appended after its return is in this one or higher.
    ///
    /// # Errors
    /// As [`Wal::append`].
    pub async fn rotate(&self) -> Result<u64, WalError> {
        let (answer, answered) = oneshot::channel();
        self.shared.rotate(answer)?;
        answered.await.map_err(|_| WalError::Closed)?
    }

    /// Removes the segments below `segment`: their records are safe elsewhere. Blocks on file operations.
    ///
    /// # Errors
    /// [`WalError::Io`] for the first segment that could not be removed; it is tried again next time.
    pub fn cut(&self, segment: u64) -> Result<(), WalError> {
        self.shared.cut(segment)
    }

    /// Bytes of all segments.
    pub fn size_bytes(&self) -> u64 {
        self.shared.size_bytes()
    }

    /// Why the last write failed, until one succeeds again.
    pub fn refusing(&self) -> Option<String> {
        self.shared.refusing()
    }

    /// Writes what is queued, forces it onto the device and stops. Later calls answer [`WalError::Closed`].
    pub async fn close(&self) {
        self.shared.stop();
        let threads = std::mem::take(&mut *self.threads.lock());
        // A writer that panicked has already answered its appenders by dropping their channels.
        let _joined = tokio::task::spawn_blocking(move || threads.into_iter().for_each(|t| drop(t.join()))).await;
    }
}

impl Drop for Wal {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in std::mem::take(&mut *self.threads.lock()) {
            drop(thread.join());
        }
    }
}

#[cfg(test)]
mod tests;
