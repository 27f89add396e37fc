//! How much of the disk the data may fill when the configuration says nothing.

use std::path::Path;

/// Share of the room that metrics may take, in percent; logs may take as much, the rest stays for WALs, merges and others.
const SHARE_PERCENT: u64 = 40;
/// Never less than this, so that a nearly full disk does not empty the store at the next start.
const BYTES_MIN: u64 = 1 << 30;
/// The share where the file system does not say how large it is.
const BYTES_UNKNOWN: u64 = 20 << 30;

/// Default retention by size of metrics and of logs each, in bytes: a share of what the data folder holds already and
/// what is free beside it. Taken once at the start: what other programs write later does not shrink it.
pub(crate) fn default_retention_bytes(data_dir: &Path) -> u64 {
    let Ok(stat) = nix::sys::statvfs::statvfs(data_dir) else {
        return BYTES_UNKNOWN;
    };
    // The types differ between platforms.
    #[allow(clippy::useless_conversion, reason = "u32 on some platforms")]
    let free = u64::from(stat.blocks_available()).saturating_mul(u64::from(stat.fragment_size()));
    share(free, folder_bytes(data_dir))
}

fn share(free_bytes: u64, ours_bytes: u64) -> u64 {
    (free_bytes.saturating_add(ours_bytes) / 100 * SHARE_PERCENT).max(BYTES_MIN)
}

/// Bytes of all files below a folder; what cannot be read counts nothing.
fn folder_bytes(dir: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    let size = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => folder_bytes(&entry.path()),
        Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |m| m.len()),
        _ => 0,
    };
    entries.flatten().map(size).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_free_and_own() {
        let gib = 1u64 << 30;
        for (free, ours, expect) in [(100 * gib, 0, 40), (60 * gib, 40 * gib, 40), (0, 0, 1), (gib, 0, 1)] {
            let bytes = share(free, ours);
            assert!(bytes.abs_diff(expect * gib) < 100, "{free} free, {ours} ours: {bytes}");
        }
        assert!(share(u64::MAX, u64::MAX) > gib, "no overflow");
    }

    #[test]
    fn folders_are_counted_whole() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(dir.path().join("a")).expect("created");
        std::fs::write(dir.path().join("a/b"), [0; 10]).expect("written");
        std::fs::write(dir.path().join("c"), [0; 5]).expect("written");
        assert_eq!(folder_bytes(dir.path()), 15);
        assert_eq!(folder_bytes(&dir.path().join("absent")), 0);
        assert!(default_retention_bytes(dir.path()) >= BYTES_MIN);
    }
}
