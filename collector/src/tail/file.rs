//! One followed file: its identity, its position, its lines.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::checkpoint::Checkpoint;
use crate::error::SourceError;
use crate::log_sink::LINE_BYTES_MAX;
use crate::multiline::Joiner;

/// Bytes at the head of a file that tell it from others, as far as it has them.
pub(super) const HEAD_BYTES_MAX: usize = 256;
/// Bytes read at once; longer than the longest line.
const READ_BYTES: usize = 2 * LINE_BYTES_MAX;

/// A file as a look at the folder found it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    /// Device and inode.
    pub(super) inode: (u64, u64),
    /// Its first bytes.
    pub(super) head: Vec<u8>,
    pub(super) length: u64,
}

impl Seen {
    /// Whether the file begins with what was hashed before.
    pub(super) fn has_head(&self, hash: u64, length: usize) -> bool {
        self.head.get(..length).is_some_and(|head| xxh3_64(head) == hash)
    }
}

/// Looks at a path; `None` for folders, devices and empty files.
pub(super) fn identify(path: &Path) -> Result<Option<Seen>, String> {
    let problem = |e: std::io::Error| {
        let help = if e.kind() == std::io::ErrorKind::PermissionDenied { " (add the user to group adm)" } else { "" };
        format!("cannot read {}: {e}{help}", path.display())
    };
    let meta = match std::fs::metadata(path) {
        Ok(meta) => meta,
        // Gone between listing and looking.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(problem(error)),
    };
    if !meta.is_file() || meta.len() == 0 {
        return Ok(None);
    }
    let mut head = Vec::with_capacity(HEAD_BYTES_MAX);
    File::open(path).and_then(|f| f.take(HEAD_BYTES_MAX as u64).read_to_end(&mut head)).map_err(problem)?;
    Ok(Some(Seen { inode: (meta.dev(), meta.ino()), head, length: meta.len() }))
}

/// What a file is known by.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    /// Its name in positions: unique, and the same for ever.
    pub(super) source: String,
    pub(super) inode: (u64, u64),
    head_hash: u64,
    head_length: usize,
}

/// A followed file.
#[derive(Debug)]
pub(super) struct TailedFile {
    pub(super) path: PathBuf,
    pub(super) identity: Identity,
    pub(super) joiner: Joiner,
    /// When it last had data.
    pub(super) last_data: Duration,
    /// Whether a pattern still finds it.
    pub(super) is_listed: bool,
    pub(super) idle_rounds: u32,
    file: Arc<File>,
    /// Everything before it has been given out as lines.
    offset: u64,
    /// Inside a line that was cut: skip to its end.
    is_skipping: bool,
}

/// Lines with the position after each.
#[derive(Debug, Default)]
pub(super) struct Lines {
    pub(super) lines: Vec<(String, u64)>,
    pub(super) num_cut: u64,
    /// Whether the read was full, so that more is likely there.
    pub(super) has_more: bool,
}

impl TailedFile {
    /// Opens a file that was never seen. An offset inside the file is moved to the next line.
    pub(super) fn begin(path: PathBuf, seen: &Seen, offset: u64, now_ms: i64) -> Result<Self, SourceError> {
        let head_hash = xxh3_64(&seen.head);
        let source = format!("file:{:x}:{:x}:{head_hash:x}:{now_ms:x}", seen.inode.0, seen.inode.1);
        let identity = Identity { source, inode: seen.inode, head_hash, head_length: seen.head.len() };
        let mut file = Self::open(path, identity, offset)?;
        let at_line_start = offset == 0 || {
            let mut before = [0u8; 1];
            file.file.read_at(&mut before, offset - 1).is_ok_and(|n| n == 1 && before[0] == b'\n')
        };
        file.is_skipping = !at_line_start;
        Ok(file)
    }

    /// Opens a file at the position where it was left.
    pub(super) fn resume(path: PathBuf, seen: &Seen, checkpoint: Checkpoint) -> Result<Self, SourceError> {
        let identity = Identity {
            source: checkpoint.source,
            inode: seen.inode,
            head_hash: checkpoint.head_hash,
            head_length: checkpoint.head_length,
        };
        Self::open(path, identity, checkpoint.offset)
    }

    fn open(path: PathBuf, identity: Identity, offset: u64) -> Result<Self, SourceError> {
        let file = File::open(&path).map_err(|e| SourceError::read(&path, e))?;
        Ok(Self {
            path,
            identity,
            joiner: Joiner::default(),
            last_data: Duration::ZERO,
            is_listed: true,
            idle_rounds: 0,
            file: Arc::new(file),
            offset,
            is_skipping: false,
        })
    }

    /// Whether a listed file of the same inode is still this one: as long as before, with the same head.
    pub(super) fn continues_as(&mut self, seen: &Seen) -> bool {
        if seen.length < self.offset || !seen.has_head(self.identity.head_hash, self.identity.head_length) {
            return false;
        }
        if seen.head.len() > self.identity.head_length {
            self.identity.head_hash = xxh3_64(&seen.head);
            self.identity.head_length = seen.head.len();
        }
        true
    }

    /// What to remember when everything before `offset` is written.
    pub(super) fn checkpoint(&self, offset: u64) -> Checkpoint {
        Checkpoint {
            source: self.identity.source.clone(),
            path: self.path.display().to_string(),
            inode: self.identity.inode,
            head_hash: self.identity.head_hash,
            head_length: self.identity.head_length,
            offset,
        }
    }

    async fn read(&self) -> Result<Vec<u8>, SourceError> {
        let (file, offset) = (Arc::clone(&self.file), self.offset);
        let read = tokio::task::spawn_blocking(move || {
            let mut buffer = vec![0u8; READ_BYTES];
            let count = file.read_at(&mut buffer, offset)?;
            buffer.truncate(count);
            Ok(buffer)
        });
        let result = read.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        result.map_err(|e| SourceError::read(&self.path, e))
    }

    /// Complete lines that are new.
    pub(super) async fn read_lines(&mut self) -> Result<Lines, SourceError> {
        let buffer = self.read().await?;
        let mut lines = Lines { has_more: buffer.len() == READ_BYTES, ..Lines::default() };
        let mut start = 0;
        while let Some(length) = memchr::memchr(b'\n', &buffer[start..]) {
            let line = &buffer[start..start + length];
            start += length + 1;
            self.offset += length as u64 + 1;
            if std::mem::take(&mut self.is_skipping) {
                continue;
            }
            lines.num_cut += u64::from(line.len() > LINE_BYTES_MAX);
            lines.lines.push((text_of(line), self.offset));
        }
        let rest = &buffer[start..];
        if rest.len() > LINE_BYTES_MAX {
            // No line end in sight: give out what fits and pass over the rest.
            self.offset += rest.len() as u64;
            if !std::mem::replace(&mut self.is_skipping, true) {
                lines.num_cut += 1;
                lines.lines.push((text_of(rest), self.offset));
            }
        }
        Ok(lines)
    }

    /// The last line, which has no line end.
    pub(super) async fn read_rest(&mut self) -> Result<Option<(String, u64)>, SourceError> {
        let rest = self.read().await?;
        self.offset += rest.len() as u64;
        let skip = std::mem::take(&mut self.is_skipping);
        Ok((!rest.is_empty() && !skip).then(|| (text_of(&rest), self.offset)))
    }
}

/// Bytes that are not UTF-8 are shown as replacement characters: a line is never dropped for its encoding.
fn text_of(line: &[u8]) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    String::from_utf8_lossy(&line[..line.len().min(LINE_BYTES_MAX)]).into_owned()
}
