//! `meta.json`: what a split holds, and the sizes by which damage is seen at start-up.

use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::logs::error::LogError;

/// Version of the split format that this program writes; it reads all up to it.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// The file's name.
pub(crate) const FILE_NAME: &str = "meta.json";

/// What a split holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SplitMeta {
    /// Version of the format.
    pub(crate) format_version: u32,
    /// Its name, also that of its folder.
    pub(crate) id: String,
    /// Whose records.
    pub(crate) tenant: String,
    /// Number of records.
    pub(crate) num_records: u64,
    /// Bytes of text and labels before compression.
    pub(crate) text_bytes: u64,
    /// Time of the first record in nanoseconds.
    pub(crate) min_time_ns: i64,
    /// Time of the last record.
    pub(crate) max_time_ns: i64,
    /// Highest number of a record: what the write-ahead log holds up to it is in splits.
    pub(crate) max_seq: u64,
    /// Names of the splits whose records were merged into this one; they are removed where they still stand.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) replaces: Vec<String>,
    /// All other files.
    pub(crate) files: Vec<FileMeta>,
}

/// A file of a split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct FileMeta {
    /// Path inside the split's folder.
    pub(crate) path: String,
    /// Length in bytes.
    pub(crate) bytes: u64,
    /// CRC-32C of the content.
    pub(crate) crc32c: u32,
}

impl SplitMeta {
    /// Bytes on disk, this file not counted.
    pub(crate) fn disk_bytes(&self) -> u64 {
        self.files.iter().map(|f| f.bytes).sum()
    }

    /// Reads the file and compares the sizes of the others.
    pub(crate) fn load(dir: &Path) -> Result<Self, LogError> {
        let path = dir.join(FILE_NAME);
        let text =
            std::fs::read(&path).map_err(|e| LogError::damaged(dir, format!("{FILE_NAME} cannot be read: {e}")))?;
        let meta: Self = serde_json::from_slice(&text)
            .map_err(|e| LogError::damaged(dir, format!("{FILE_NAME} is not readable: {e}")))?;
        if meta.format_version == 0 || meta.format_version > FORMAT_VERSION {
            return Err(LogError::damaged(
                dir,
                format!(
                    "format version {} is not known; this program reads up to {FORMAT_VERSION}",
                    meta.format_version
                ),
            ));
        }
        for file in &meta.files {
            let found = std::fs::metadata(dir.join(&file.path)).map(|m| m.len());
            match found {
                Ok(bytes) if bytes == file.bytes => {}
                Ok(bytes) => {
                    return Err(LogError::damaged(dir, format!("{} has {bytes} of {} bytes", file.path, file.bytes)));
                }
                Err(error) => return Err(LogError::damaged(dir, format!("{} cannot be read: {error}", file.path))),
            }
        }
        Ok(meta)
    }

    /// Reads all files and compares their checksums.
    pub(crate) fn verify(&self, dir: &Path) -> Result<(), LogError> {
        for file in &self.files {
            let found = describe(dir, &file.path)?;
            if found != *file {
                return Err(LogError::damaged(dir, format!("the checksum of {} is wrong", file.path)));
            }
        }
        Ok(())
    }
}

/// Length and checksum of a file.
pub(crate) fn describe(dir: &Path, path: &str) -> Result<FileMeta, LogError> {
    let full = dir.join(path);
    let mut file = std::fs::File::open(&full).map_err(LogError::io("open", &full))?;
    let (mut bytes, mut crc) = (0u64, 0u32);
    let mut buffer = vec![0u8; 1 << 18];
    loop {
        let count = file.read(&mut buffer).map_err(LogError::io("read", &full))?;
        if count == 0 {
            return Ok(FileMeta { path: path.to_owned(), bytes, crc32c: crc });
        }
        crc = crc32c::crc32c_append(crc, &buffer[..count]);
        bytes += count as u64;
    }
}

/// Paths of all files below a folder, relative to it, sorted.
pub(crate) fn list_files(dir: &Path) -> Result<Vec<String>, LogError> {
    let mut files = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let full = dir.join(&folder);
        for entry in std::fs::read_dir(&full).map_err(LogError::io("list", &full))? {
            let entry = entry.map_err(LogError::io("list", &full))?;
            let path = folder.join(entry.file_name());
            if entry.file_type().map_err(LogError::io("read", &full))?.is_dir() {
                folders.push(path);
            } else {
                files.push(path.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    Ok(files)
}
