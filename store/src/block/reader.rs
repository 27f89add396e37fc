//! Reads a block.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use parking_lot::Mutex;
use vocab::TimestampMs;

use super::index::{ChunkEntry, ChunkKind};
use super::index_cache::IndexCache;
use super::{BlockIndex, BlockMeta, INDEX_FILE, SAMPLES_FILE, parquet_file};
use crate::codec::{dense, histogram};
use crate::error::StoreError;

/// Payloads that follow each other at most this far apart are read together.
const READ_AHEAD_BYTES: usize = 128 << 10;

/// A block that is listed.
#[derive(Debug)]
pub(crate) struct Block {
    dir: PathBuf,
    meta: BlockMeta,
    cache: Arc<IndexCache>,
    /// The index while somebody uses it: one that does not fit into the cache is in memory once, not once per query.
    index: Mutex<Weak<BlockIndex>>,
    /// Its files go when the last query that reads it ends.
    obsolete: AtomicBool,
}

impl Block {
    /// Opens the block of a folder: its description is read, its index and the size of its files are checked.
    pub(crate) fn open(dir: &Path, cache: &Arc<IndexCache>) -> Result<Self, StoreError> {
        let meta = BlockMeta::load(dir)?;
        let (index, obsolete) = (Mutex::new(Weak::new()), AtomicBool::new(false));
        let block = Self { dir: dir.to_owned(), meta, cache: Arc::clone(cache), index, obsolete };
        let path = dir.join(SAMPLES_FILE);
        let length = std::fs::metadata(&path).map(|m| m.len()).unwrap_or_default();
        if length != block.meta.samples_bytes {
            let why = format!("it has {length} bytes instead of {}", block.meta.samples_bytes);
            return Err(StoreError::damaged(&path, why));
        }
        block.index()?;
        Ok(block)
    }

    pub(crate) fn meta(&self) -> &BlockMeta {
        &self.meta
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    /// Its index, from memory or from disk.
    pub(crate) fn index(&self) -> Result<Arc<BlockIndex>, StoreError> {
        if let Some(index) = self.cache.get(self.meta.ulid) {
            return Ok(index);
        }
        let mut in_use = self.index.lock();
        let index = match in_use.upgrade() {
            Some(index) => index,
            None => {
                let index = BlockIndex::load(&self.dir.join(INDEX_FILE))?;
                Arc::new(index.with_cache(self.meta.ulid, &self.cache.groups))
            }
        };
        *in_use = Arc::downgrade(&index);
        self.cache.put(self.meta.ulid, &index);
        Ok(index)
    }

    /// Where the payloads of each row group of its samples lie, ascending.
    pub(crate) fn row_groups(&self) -> Result<Vec<Range<u64>>, StoreError> {
        parquet_file::row_groups(&self.dir.join(SAMPLES_FILE))
    }

    /// Has its files removed as soon as nobody reads it.
    pub(crate) fn set_obsolete(&self) {
        self.obsolete.store(true, Ordering::Release);
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        if self.obsolete.load(Ordering::Acquire) {
            self.cache.forget(self.meta.ulid);
            remove_block(&self.dir);
        }
    }
}

/// Removes a block's folder: renamed first, so that what a crash leaves of it is no block.
fn remove_block(dir: &Path) {
    let mut name = dir.as_os_str().to_owned();
    name.push(".tmp");
    let gone = PathBuf::from(name);
    let removed = std::fs::rename(dir, &gone).and_then(|()| std::fs::remove_dir_all(&gone));
    if let Err(error) = removed
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(block = %dir.display(), %error, "cannot remove a block that is not needed any more");
    }
}

/// Reads chunks of one block, ahead where they follow each other.
#[derive(Debug)]
pub(crate) struct ChunkReader {
    block: Arc<Block>,
    index: Option<Arc<BlockIndex>>,
    file: Arc<File>,
    path: PathBuf,
    buffer: Vec<u8>,
    buffer_at: u64,
}

impl ChunkReader {
    pub(crate) fn new(block: &Arc<Block>) -> Result<Self, StoreError> {
        let path = block.dir.join(SAMPLES_FILE);
        let file = block.cache.files.get(block.meta.ulid, &path)?;
        Ok(Self { block: Arc::clone(block), index: None, file, path, buffer: Vec::new(), buffer_at: 0 })
    }

    /// Decodes a chunk of floats, appending to `times` and `values`, and to `starts` when it says since when they count.
    pub(crate) fn floats(
        &mut self,
        entry: &ChunkEntry,
        times: &mut Vec<TimestampMs>,
        values: &mut Vec<f64>,
        starts: &mut Vec<TimestampMs>,
    ) -> Result<(), StoreError> {
        // Kept once it is needed: whoever reads chunks has its index in use anyway.
        let index = match &self.index {
            Some(index) => Arc::clone(index),
            None => Arc::clone(self.index.insert(self.block.index()?)),
        };
        let of = (entry.num_samples as usize, entry.min_time);
        let decoded = dense::decode(self.payload(entry)?, of, || index.shared_times(), times, values, starts);
        decoded.map_err(|e| StoreError::damaged(&self.path, e.0))
    }

    /// Decodes a chunk of histograms.
    pub(crate) fn histograms(&mut self, entry: &ChunkEntry) -> Result<histogram::Chunk, StoreError> {
        let decoded = histogram::decode_chunk(self.payload(entry)?);
        decoded.map_err(|e| StoreError::damaged(&self.path, e.0))
    }

    fn payload(&mut self, entry: &ChunkEntry) -> Result<&[u8], StoreError> {
        let length = entry.length as usize;
        let buffer_end = self.buffer_at + self.buffer.len() as u64;
        let inside = entry.offset >= self.buffer_at && entry.offset + length as u64 <= buffer_end;
        if !inside {
            let follows = entry.offset >= self.buffer_at && entry.offset < buffer_end + READ_AHEAD_BYTES as u64;
            let left = usize::try_from(self.block.meta.samples_bytes.saturating_sub(entry.offset)).unwrap_or(0);
            let wanted = if follows && buffer_end > 0 { length.max(READ_AHEAD_BYTES) } else { length };
            if left < length {
                return Err(StoreError::damaged(
                    &self.path,
                    format!("a chunk at offset {} lies behind its end", entry.offset),
                ));
            }
            self.buffer.resize(wanted.min(left), 0);
            self.buffer_at = entry.offset;
            self.file
                .read_exact_at(&mut self.buffer, entry.offset)
                .map_err(|e| StoreError::io("read", &self.path, e))?;
        }
        let at = usize::try_from(entry.offset - self.buffer_at).unwrap_or(usize::MAX);
        let payload = self.buffer.get(at..at + length).unwrap_or_default();
        if crc32c::crc32c(payload) == entry.crc32c {
            Ok(payload)
        } else {
            let why = format!("the checksum of the chunk at offset {} does not fit", entry.offset);
            Err(StoreError::damaged(&self.path, why))
        }
    }

    /// Whether a chunk holds histograms.
    pub(crate) fn is_histogram(entry: &ChunkEntry) -> bool {
        entry.kind == ChunkKind::Histogram
    }
}
