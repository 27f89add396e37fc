//! The file operations whose failure the store must survive, behind a trait, so that tests can make them fail.

use std::fmt::Debug;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;

/// Creates the files that the store writes.
pub trait Disk: Send + Sync + Debug {
    /// Creates an empty file; one that stands there already is emptied.
    ///
    /// # Errors
    /// The operating system's.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>>;
}

/// A file that grows at its end.
pub trait DiskFile: Send + Sync + Debug {
    /// Writes all bytes at the end.
    ///
    /// # Errors
    /// The operating system's; an unknown part of the bytes may have been written then.
    fn append(&self, bytes: &[u8]) -> io::Result<()>;

    /// Returns when the data is on the device.
    ///
    /// # Errors
    /// The operating system's; what was written since the last success may be lost then.
    fn sync(&self) -> io::Result<()>;

    /// Shortens the file to `length` bytes; the next write goes there.
    ///
    /// # Errors
    /// The operating system's.
    fn truncate(&self, length: u64) -> io::Result<()>;
}

/// The operating system's files.
#[derive(Debug, Clone, Copy, Default)]
pub struct OsDisk;

impl Disk for OsDisk {
    fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
        // In append mode every write goes to the current end, also after the file was shortened.
        File::create(path)?;
        Ok(Arc::new(OpenOptions::new().append(true).open(path)?))
    }
}

impl DiskFile for File {
    fn append(&self, bytes: &[u8]) -> io::Result<()> {
        let mut file = self;
        file.write_all(bytes)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

/// Removes a file that an interrupted write left beside its place; false when it is none such.
pub(crate) fn remove_unfinished(path: &Path) -> bool {
    if path.extension().is_none_or(|extension| extension != "tmp") {
        return false;
    }
    match std::fs::remove_file(path) {
        Ok(()) => tracing::info!(path = %path.display(), "removed what an interrupted write left"),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "cannot remove what an interrupted write left");
        }
    }
    true
}

/// Makes the entries of a folder durable (new, renamed and removed files).
///
/// # Errors
/// The operating system's.
pub fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// A [`DiskFile`] as a [`Write`], for encoders that want one.
#[derive(Debug)]
pub struct DiskWriter(pub Arc<dyn DiskFile>);

impl Write for DiskWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.append(bytes)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A disk that fails on command, for tests of this crate.
#[cfg(test)]
pub(crate) mod faults {
    use super::{Arc, Debug, Disk, DiskFile, OsDisk, Path, io};
    use parking_lot::Mutex;

    /// What is to go wrong.
    #[derive(Debug, Default)]
    pub(crate) struct Plan {
        /// Bytes that still fit; `None` for a disk without end.
        pub(crate) free_bytes: Option<usize>,
        /// Whether syncing fails.
        pub(crate) sync_fails: bool,
    }

    /// A disk on which [`Plan`] comes true: a write that does not fit writes what fits and fails with `ENOSPC`.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct FaultyDisk(pub(crate) Arc<Mutex<Plan>>);

    #[derive(Debug)]
    struct FaultyFile {
        inner: Arc<dyn DiskFile>,
        plan: Arc<Mutex<Plan>>,
    }

    fn disk_full() -> io::Error {
        io::Error::from(io::ErrorKind::StorageFull)
    }

    impl Disk for FaultyDisk {
        fn create(&self, path: &Path) -> io::Result<Arc<dyn DiskFile>> {
            if self.0.lock().free_bytes == Some(0) {
                return Err(disk_full());
            }
            Ok(Arc::new(FaultyFile { inner: OsDisk.create(path)?, plan: Arc::clone(&self.0) }))
        }
    }

    impl DiskFile for FaultyFile {
        fn append(&self, bytes: &[u8]) -> io::Result<()> {
            let mut plan = self.plan.lock();
            match &mut plan.free_bytes {
                Some(free) if *free < bytes.len() => {
                    let fits = std::mem::take(free);
                    self.inner.append(&bytes[..fits])?;
                    Err(disk_full())
                }
                Some(free) => {
                    *free -= bytes.len();
                    self.inner.append(bytes)
                }
                None => self.inner.append(bytes),
            }
        }

        fn sync(&self) -> io::Result<()> {
            if self.plan.lock().sync_fails { Err(io::Error::other("device error")) } else { self.inner.sync() }
        }

        fn truncate(&self, length: u64) -> io::Result<()> {
            self.inner.truncate(length)
        }
    }
}
