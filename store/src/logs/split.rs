//! A split: the records of one tenant for some time, as a Parquet file with a full-text index beside it.
//!
//! Rows stand in order of (time, number) and the index numbers its documents alike, so that a row number, a document number
//! and a place in time are the same thing. The format is described in `docs/formats/split.md`.

pub(crate) mod eval;
pub(crate) mod facets;
pub(crate) mod meta;
pub(crate) mod reader;
pub(crate) mod rows;
pub(crate) mod schema;
pub(crate) mod writer;

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

pub(crate) use meta::SplitMeta;
pub(crate) use reader::OpenSplit;
pub(crate) use rows::Stored;
pub(crate) use writer::SplitWriter;

use crate::logs::error::LogError;

/// The file of the records.
pub(crate) const RECORDS_FILE: &str = "records.parquet";
/// The folder of the index.
pub(crate) const INDEX_DIR: &str = "index";
/// Most splits that are kept open: each has a few file handles and the footer of its Parquet file in memory.
const OPEN_SPLITS_MAX: usize = 128;

/// A listed split.
#[derive(Debug)]
pub(crate) struct Split {
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// What it holds.
    pub(crate) meta: SplitMeta,
    remove: AtomicBool,
}

impl Split {
    /// Lists the split of a folder.
    pub(crate) fn load(dir: &Path) -> Result<Self, LogError> {
        let meta = SplitMeta::load(dir)?;
        Ok(Self::new(dir.to_owned(), meta))
    }

    /// Lists a split that was just written.
    pub(crate) fn new(dir: PathBuf, meta: SplitMeta) -> Self {
        Self { dir, meta, remove: AtomicBool::new(false) }
    }

    /// Removes the files as soon as no search that began before uses them any more.
    pub(crate) fn remove_when_unused(&self) {
        self.remove.store(true, Ordering::Relaxed);
    }

    /// Whether its time range meets a query's.
    pub(crate) fn overlaps(&self, start_ns: i64, end_ns: i64) -> bool {
        self.meta.min_time_ns < end_ns && self.meta.max_time_ns >= start_ns
    }
}

impl Drop for Split {
    fn drop(&mut self) {
        if *self.remove.get_mut()
            && let Err(error) = std::fs::remove_dir_all(&self.dir)
        {
            tracing::warn!(split = %self.dir.display(), %error, "cannot remove a split that is no longer needed");
        }
    }
}

/// The splits used last, kept open.
#[derive(Debug, Default)]
pub(crate) struct OpenSplits {
    recent: Mutex<VecDeque<(PathBuf, Arc<OpenSplit>)>>,
}

impl OpenSplits {
    /// The open split, opened now if need be.
    pub(crate) fn get(&self, split: &Split) -> Result<Arc<OpenSplit>, LogError> {
        {
            let mut recent = self.recent.lock();
            if let Some(entry) = recent.iter().position(|(dir, _)| *dir == split.dir).and_then(|i| recent.remove(i)) {
                let open = Arc::clone(&entry.1);
                recent.push_back(entry);
                return Ok(open);
            }
        }
        let open = Arc::new(OpenSplit::open(&split.dir, &split.meta)?);
        if split.remove.load(Ordering::Relaxed) {
            // An older search still reads a split that is about to go; kept open, its files would go on taking space.
            return Ok(open);
        }
        let mut recent = self.recent.lock();
        if recent.len() >= OPEN_SPLITS_MAX {
            recent.pop_front();
        }
        recent.push_back((split.dir.clone(), Arc::clone(&open)));
        Ok(open)
    }

    /// Forgets a split that is about to go away.
    pub(crate) fn forget(&self, split: &Split) {
        self.recent.lock().retain(|(dir, _)| *dir != split.dir);
    }
}
