//! The thread that writes, and the one that syncs at a distance.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use parking_lot::{Condvar, Mutex};
use tokio::sync::oneshot;

use super::segment::{self, MAGIC};
use super::{FsyncPolicy, WalConfig, WalError, WalPosition};
use crate::disk::{Disk, DiskFile, sync_folder};
use crate::metrics::Metrics;

type Answer<T> = oneshot::Sender<Result<T, WalError>>;

/// What appenders and threads share.
#[derive(Debug)]
pub(super) struct Shared {
    config: WalConfig,
    disk: Arc<dyn Disk>,
    metrics: Arc<Metrics>,
    queue: Mutex<Queue>,
    wake: Condvar,
    /// Sizes of the segments that exist.
    segments: Mutex<BTreeMap<u64, u64>>,
    refusing: Mutex<Option<String>>,
    unsynced: Mutex<Unsynced>,
    wake_sync: Condvar,
}

/// What waits for the writer.
#[derive(Debug, Default)]
struct Queue {
    bytes: Vec<u8>,
    /// End of each appender's part of `bytes`, and where to answer.
    appenders: Vec<(usize, Answer<WalPosition>)>,
    rotations: Vec<Answer<u64>>,
    next_segment: u64,
    stopping: bool,
}

/// What the syncing thread looks at.
#[derive(Debug, Default)]
struct Unsynced {
    file: Option<Arc<dyn DiskFile>>,
    stopping: bool,
}

impl Shared {
    pub(super) fn new(
        config: WalConfig,
        disk: Arc<dyn Disk>,
        metrics: Arc<Metrics>,
        segments: BTreeMap<u64, u64>,
        next_segment: u64,
    ) -> Self {
        Self {
            config,
            disk,
            metrics,
            queue: Mutex::new(Queue { next_segment, ..Queue::default() }),
            wake: Condvar::new(),
            segments: Mutex::new(segments),
            refusing: Mutex::new(None),
            unsynced: Mutex::new(Unsynced::default()),
            wake_sync: Condvar::new(),
        }
    }

    pub(super) fn push(&self, bytes: Vec<u8>, answer: Answer<WalPosition>) -> Result<(), WalError> {
        let mut queue = self.queue.lock();
        if queue.stopping {
            return Err(WalError::Closed);
        }
        if queue.bytes.is_empty() {
            queue.bytes = bytes;
        } else {
            queue.bytes.extend_from_slice(&bytes);
        }
        let end = queue.bytes.len();
        queue.appenders.push((end, answer));
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn rotate(&self, answer: Answer<u64>) -> Result<(), WalError> {
        let mut queue = self.queue.lock();
        if queue.stopping {
            return Err(WalError::Closed);
        }
        queue.rotations.push(answer);
        self.wake.notify_one();
        Ok(())
    }

    pub(super) fn stop(&self) {
        self.queue.lock().stopping = true;
        self.wake.notify_one();
        self.unsynced.lock().stopping = true;
        self.wake_sync.notify_one();
    }

    pub(super) fn cut(&self, below: u64) -> Result<(), WalError> {
        let old: Vec<u64> = self.segments.lock().range(..below).map(|(number, _)| *number).collect();
        for number in old {
            let path = segment::path(&self.config.dir, number);
            match std::fs::remove_file(&path) {
                Ok(()) => {}
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(WalError::io("remove", &path, e)),
            }
            self.segments.lock().remove(&number);
        }
        sync_folder(&self.config.dir).map_err(|e| WalError::io("sync the folder", &self.config.dir, e))
    }

    pub(super) fn size_bytes(&self) -> u64 {
        self.segments.lock().values().sum()
    }

    pub(super) fn refusing(&self) -> Option<String> {
        self.refusing.lock().clone()
    }
}

/// The state of the writing thread.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    /// The open segment: number, length, file. None until something is to be written.
    open: Option<(u64, u64, Arc<dyn DiskFile>)>,
    next_segment: u64,
}

impl Writer {
    /// Starts the threads of a log.
    pub(super) fn start(shared: &Arc<Shared>) -> Result<Vec<JoinHandle<()>>, WalError> {
        let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            let dir = &shared.config.dir;
            std::thread::Builder::new().name(name).spawn(work).map_err(|e| WalError::io("start a thread for", dir, e))
        };
        let next_segment = shared.queue.lock().next_segment;
        let writer = Self { shared: Arc::clone(shared), open: None, next_segment };
        let name = shared.config.name;
        let mut threads = vec![spawn(format!("wal-{name}"), Box::new(move || writer.run()))?];
        if let FsyncPolicy::Interval(interval) = shared.config.fsync {
            let shared = Arc::clone(shared);
            threads.push(spawn(format!("wal-{name}-sync"), Box::new(move || sync_at_distance(&shared, interval)))?);
        }
        Ok(threads)
    }

    fn run(mut self) {
        loop {
            let (bytes, appenders, rotations) = {
                let mut queue = self.shared.queue.lock();
                while queue.appenders.is_empty() && queue.rotations.is_empty() && !queue.stopping {
                    self.shared.wake.wait(&mut queue);
                }
                if queue.appenders.is_empty() && queue.rotations.is_empty() {
                    break;
                }
                (
                    std::mem::take(&mut queue.bytes),
                    std::mem::take(&mut queue.appenders),
                    std::mem::take(&mut queue.rotations),
                )
            };
            if !appenders.is_empty() {
                self.commit(&bytes, appenders);
            }
            if !rotations.is_empty() {
                self.finish_segment();
                for answer in rotations {
                    // Whoever asked may have gone away; the rotation stands.
                    drop(answer.send(Ok(self.next_segment)));
                }
            }
        }
        self.finish_segment();
    }

    fn commit(&mut self, bytes: &[u8], appenders: Vec<(usize, Answer<WalPosition>)>) {
        let result = self.write(bytes);
        self.note(&result);
        for (end, answer) in appenders {
            let position = result.clone().map(|(segment, start)| WalPosition {
                segment,
                offset: start + u64::try_from(end).unwrap_or(u64::MAX),
            });
            // An appender that went away learns of its records at the next replay.
            drop(answer.send(position));
        }
    }

    /// Writes a group; gives segment and offset at which it begins.
    fn write(&mut self, bytes: &[u8]) -> Result<(u64, u64), WalError> {
        if self.open.as_ref().is_some_and(|(_, length, _)| *length >= self.shared.config.segment_bytes) {
            self.finish_segment();
        }
        if self.open.is_none() {
            self.open_segment()?;
        }
        let Some((number, length, file)) = self.open.as_mut() else { return Err(WalError::Closed) };
        let (number, start) = (*number, *length);
        let path = segment::path(&self.shared.config.dir, number);
        let written = file.append(bytes).map_err(|e| WalError::io("write to", &path, e));
        let synced = written.and_then(|()| match self.shared.config.fsync {
            FsyncPolicy::EveryCommit => file.sync().map_err(|e| WalError::io("sync", &path, e)),
            FsyncPolicy::Interval(_) => {
                self.shared.unsynced.lock().file.get_or_insert_with(|| Arc::clone(file));
                Ok(())
            }
            FsyncPolicy::Never => Ok(()),
        });
        if let Err(error) = synced {
            // Nobody was told that these records are there, so they are taken back; a segment on which even that fails is
            // left as it is: its torn end is cut at the next start.
            if file.truncate(start).is_err() || !error.is_disk_full() {
                self.open = None;
            }
            return Err(error);
        }
        *length += bytes.len() as u64;
        self.shared.segments.lock().insert(number, *length);
        self.shared.metrics.wal_written_bytes(self.shared.config.name, bytes.len());
        Ok((number, start))
    }

    fn open_segment(&mut self) -> Result<(), WalError> {
        let dir = &self.shared.config.dir;
        let number = self.next_segment;
        let path = segment::path(dir, number);
        let file = self.shared.disk.create(&path).map_err(|e| WalError::io("create", &path, e))?;
        file.append(MAGIC).map_err(|e| WalError::io("write to", &path, e))?;
        sync_folder(dir).map_err(|e| WalError::io("sync the folder", dir, e))?;
        self.next_segment = number + 1;
        self.shared.segments.lock().insert(number, MAGIC.len() as u64);
        self.open = Some((number, MAGIC.len() as u64, file));
        Ok(())
    }

    /// Closes the open segment, so that the next record begins a new one.
    fn finish_segment(&mut self) {
        let Some((number, _, file)) = self.open.take() else { return };
        if self.shared.config.fsync != FsyncPolicy::Never
            && let Err(e) = file.sync()
        {
            let path = segment::path(&self.shared.config.dir, number);
            self.note(&Err(WalError::io("sync", &path, e)));
        }
    }

    /// Keeps what status and metrics say of the last write.
    fn note(&self, result: &Result<(u64, u64), WalError>) {
        note(&self.shared, result.as_ref().err());
    }
}

/// Counts and logs a failure, once per streak; forgets it at the next success.
fn note(shared: &Shared, error: Option<&WalError>) {
    let mut refusing = shared.refusing.lock();
    match error {
        None => {
            if refusing.take().is_some() {
                tracing::info!(wal = shared.config.name, "writes are taken again");
            }
        }
        Some(error) => {
            shared.metrics.wal_failure(shared.config.name);
            let reason = vocab::error::chain(error);
            if refusing.as_ref() != Some(&reason) {
                tracing::error!(wal = shared.config.name, %reason, "writes are refused");
                *refusing = Some(reason);
            }
        }
    }
}

fn sync_at_distance(shared: &Shared, interval: std::time::Duration) {
    let failed = AtomicBool::new(false);
    loop {
        let (file, stopping) = {
            let mut unsynced = shared.unsynced.lock();
            if !unsynced.stopping {
                shared.wake_sync.wait_for(&mut unsynced, interval);
            }
            (unsynced.file.take(), unsynced.stopping)
        };
        if let Some(file) = file {
            match file.sync() {
                Ok(()) => failed.store(false, Ordering::Relaxed),
                Err(error) => {
                    shared.metrics.wal_failure(shared.config.name);
                    if !failed.swap(true, Ordering::Relaxed) {
                        tracing::error!(wal = shared.config.name, %error, "cannot sync the write-ahead log; a power loss may lose records");
                    }
                }
            }
        }
        if stopping {
            return;
        }
    }
}
