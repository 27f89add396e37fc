//! Files of metadata and exemplars, one per tenant.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use vocab::TenantId;

use crate::disk::{Disk, remove_unfinished, sync_folder};
use crate::error::StoreError;
use crate::head::{Head, TenantHead};

/// Fills the heads from the files. A damaged file is renamed; metadata comes again with the next scrape.
pub(super) fn load(dir: &Path, head: &Head) -> Result<(), StoreError> {
    std::fs::create_dir_all(dir).map_err(|e| StoreError::io("create the folder", dir, e))?;
    let failed = |e| StoreError::io("list the folder", dir, e);
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if remove_unfinished(&path) {
            continue;
        }
        let name = path.file_name().and_then(|n| n.to_str()).and_then(|n| n.strip_suffix(".json"));
        let Some(tenant) = name.and_then(|n| TenantId::new(n).ok()) else { continue };
        if let Err(error) = head.tenant_or_new(&tenant).load_side(&path) {
            tracing::error!(path = %path.display(), "metadata and exemplars set aside: {}", vocab::error::chain(&error));
            let mut aside = path.as_os_str().to_owned();
            aside.push(".damaged");
            std::fs::rename(&path, PathBuf::from(aside)).map_err(|e| StoreError::io("rename", &path, e))?;
        }
    }
    Ok(())
}

/// Writes a tenant's file when it has changed.
pub(super) fn save(dir: &Path, head: &TenantHead, disk: &Arc<dyn Disk>) -> Result<(), StoreError> {
    let Some(bytes) = head.side().lock().take_unwritten() else { return Ok(()) };
    let written = write(dir, head, &bytes, disk);
    if written.is_err() {
        head.side().lock().not_written();
    }
    written
}

fn write(dir: &Path, head: &TenantHead, bytes: &[u8], disk: &Arc<dyn Disk>) -> Result<(), StoreError> {
    let path = dir.join(format!("{}.json", head.name()));
    let beside = dir.join(format!("{}.json.tmp", head.name()));
    let file = disk.create(&beside).map_err(|e| StoreError::io("create", &beside, e))?;
    file.append(bytes).map_err(|e| StoreError::io("write to", &beside, e))?;
    file.sync().map_err(|e| StoreError::io("sync", &beside, e))?;
    std::fs::rename(&beside, &path).map_err(|e| StoreError::io("rename", &beside, e))?;
    sync_folder(dir).map_err(|e| StoreError::io("sync the folder", dir, e))
}
