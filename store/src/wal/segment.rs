//! Segment files: names, numbers, sizes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::WalError;

/// First bytes of every segment; the last digit is the version of the format.
pub(super) const MAGIC: &[u8; 8] = b"TWWAL001";

/// The file of a segment.
pub(super) fn path(dir: &Path, number: u64) -> PathBuf {
    dir.join(format!("{number:08}.wal"))
}

/// The segments of a folder by number, with their sizes. Other files are left alone.
pub(super) fn list(dir: &Path) -> Result<BTreeMap<u64, u64>, WalError> {
    let failed = |e| WalError::io("list the folder", dir, e);
    let mut segments = BTreeMap::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name();
        let number = name.to_str().and_then(|n| n.strip_suffix(".wal")).and_then(|n| n.parse::<u64>().ok());
        if let Some(number) = number {
            segments.insert(number, entry.metadata().map_err(failed)?.len());
        }
    }
    Ok(segments)
}
