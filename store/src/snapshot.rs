//! A copy of a tenant's blocks that costs no space: hard links in a folder that is a data folder by itself.

use std::path::{Path, PathBuf};

use ulid::Ulid;
use vocab::{TenantId, TimestampMs};

use crate::block::BlockSet;
use crate::disk::sync_folder;
use crate::error::StoreError;

/// Name of a snapshot: its time in UTC and a part that makes it the only one, as Prometheus names its own.
pub(crate) fn name(now_ms: TimestampMs, unique: Ulid) -> String {
    let seconds = now_ms.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z-{:016x}", unique.0 & u128::from(u64::MAX))
}

/// Year, month and day in the Gregorian calendar of a day since 1970.
fn date(days: i64) -> (i64, i64, i64) {
    // Counted from the first of March of year 0, so that the leap day is the last of its year.
    let days = days + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let of_month = day - (153 * month + 2) / 5 + 1;
    let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (era * 400 + year + next, month, of_month)
}

/// Links a tenant's blocks, its tombstones and its metadata (in `side`) into `<data>/snapshots/<name>/metrics`.
///
/// The caller holds off merges and retention. The folder has its name only when it is whole.
pub(crate) fn write(
    data_dir: &Path,
    name: &str,
    set: &BlockSet,
    tenant: &TenantId,
    side: &Path,
) -> Result<(), StoreError> {
    let all = data_dir.join("snapshots");
    let beside = all.join(format!("{name}.tmp"));
    let metrics = beside.join("metrics");
    let written = (|| {
        let blocks = make(metrics.join("blocks").join(tenant.as_str()))?;
        for block in set.of(tenant) {
            let folder = make(blocks.join(block.meta().ulid.to_string()))?;
            link_all(block.dir(), &folder)?;
        }
        let tombstones = set.tombstones().path_of(tenant);
        for (file, folder) in [(tombstones.as_path(), "tombstones"), (side, "tenants")] {
            let folder = make(metrics.join(folder))?;
            if let Some(name) = file.file_name().filter(|_| file.exists()) {
                link(file, &folder.join(name))?;
            }
            sync(&folder)?;
        }
        sync(&blocks)?;
        sync(&metrics)?;
        let place = all.join(name);
        std::fs::rename(&beside, &place).map_err(|e| StoreError::io("rename", &beside, e))?;
        sync(&all)
    })();
    if written.is_err() {
        // What cannot be removed is recognised by its name.
        drop(std::fs::remove_dir_all(&beside));
    }
    written
}

fn make(folder: PathBuf) -> Result<PathBuf, StoreError> {
    std::fs::create_dir_all(&folder).map_err(|e| StoreError::io("create the folder", &folder, e))?;
    Ok(folder)
}

fn sync(folder: &Path) -> Result<(), StoreError> {
    sync_folder(folder).map_err(|e| StoreError::io("sync the folder", folder, e))
}

fn link(file: &Path, place: &Path) -> Result<(), StoreError> {
    std::fs::hard_link(file, place).map_err(|e| StoreError::io("link", file, e))
}

fn link_all(from: &Path, to: &Path) -> Result<(), StoreError> {
    let failed = |e| StoreError::io("list the folder", from, e);
    for entry in std::fs::read_dir(from).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        link(&entry.path(), &to.join(entry.file_name()))?;
    }
    sync(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_begin_with_the_time() {
        let check = |ms: i64, expect: &str| assert_eq!(name(ms, Ulid::from_parts(0, 0xab)), expect);
        check(0, "19700101T000000Z-00000000000000ab");
        check(951_782_399_999, "20000228T235959Z-00000000000000ab");
        check(951_782_400_000, "20000229T000000Z-00000000000000ab");
        check(1_767_268_800_123, "20260101T120000Z-00000000000000ab");
        check(-1, "19691231T235959Z-00000000000000ab");
    }
}
