//! Files of chunks that were read lately, open.

use std::collections::VecDeque;
use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use ulid::Ulid;

use crate::error::StoreError;

/// Most files that are kept open: far below what a process may have, more than the blocks of a usual query.
const FILES_MAX: usize = 64;

/// Keeps files open, the ones used last.
#[derive(Debug, Default)]
pub(super) struct FileCache {
    /// By block; the one used last is last.
    files: Mutex<VecDeque<(Ulid, Arc<File>)>>,
}

impl FileCache {
    /// A block's file, opened when it is not open.
    pub(super) fn get(&self, block: Ulid, path: &Path) -> Result<Arc<File>, StoreError> {
        let mut files = self.files.lock();
        if let Some(at) = files.iter().rposition(|f| f.0 == block)
            && let Some(found) = files.remove(at)
        {
            let file = Arc::clone(&found.1);
            files.push_back(found);
            return Ok(file);
        }
        drop(files);
        let file = Arc::new(File::open(path).map_err(|e| StoreError::io("open", path, e))?);
        let mut files = self.files.lock();
        if files.len() >= FILES_MAX {
            files.pop_front();
        }
        // When two queries open one file at a time, it stands here twice until it gives way.
        files.push_back((block, Arc::clone(&file)));
        Ok(file)
    }

    /// Closes what is open of a block.
    pub(super) fn forget(&self, block: Ulid) {
        self.files.lock().retain(|f| f.0 != block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_files_used_last_stay_open() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("samples");
        std::fs::write(&path, "x").unwrap();
        let cache = FileCache::default();
        let block = |number: u64| Ulid::from_parts(number, 0);
        let first = cache.get(block(0), &path).unwrap();
        for number in 1..200 {
            cache.get(block(number), &path).unwrap();
            assert!(Arc::ptr_eq(&cache.get(block(0), &path).unwrap(), &first), "{number}");
        }
        assert_eq!(cache.files.lock().len(), FILES_MAX);
        cache.forget(block(0));
        assert!(!Arc::ptr_eq(&cache.get(block(0), &path).unwrap(), &first));
        assert!(cache.get(block(999), &dir.path().join("none")).is_err());
    }
}
