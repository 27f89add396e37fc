//! Positions of followed files, kept as documents of the catalog.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vocab::PortResult;

use super::file::Seen;
use crate::shared::Shared;

/// Positions not written for this long belong to files that are gone.
const KEPT_MS: i64 = 60 * 86_400_000;
/// A shorter head does not tell files apart; then only the inode does.
const HEAD_BYTES_MIN: usize = 32;

/// A position.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Checkpoint {
    /// The file's name in positions.
    pub(super) source: String,
    /// Where it was last seen.
    pub(super) path: String,
    /// Device and inode.
    pub(super) inode: (u64, u64),
    /// Hash of its first bytes, and of how many.
    pub(super) head_hash: u64,
    pub(super) head_length: usize,
    /// Everything before it is in the store.
    pub(super) offset: u64,
}

/// The positions of one source.
#[derive(Debug)]
pub(super) struct Checkpoints {
    shared: Arc<Shared>,
    namespace: String,
    by_source: BTreeMap<String, Checkpoint>,
}

impl Checkpoints {
    pub(super) fn new(shared: &Arc<Shared>, source: &str) -> Self {
        let namespace = format!("collector.tail.{source}");
        Self { shared: Arc::clone(shared), namespace, by_source: BTreeMap::new() }
    }

    /// Reads what was kept and forgets what is too old.
    pub(super) async fn load(&mut self) -> PortResult<()> {
        let oldest = self.shared.clock.now_ms() - KEPT_MS;
        for document in self.shared.catalog.documents(&self.namespace).await? {
            if document.updated_at_ms < oldest {
                self.shared.catalog.delete_document(&self.namespace, &document.key).await?;
            } else if let Ok(checkpoint) = serde_json::from_value(document.value) {
                self.by_source.insert(document.key, checkpoint);
            }
        }
        Ok(())
    }

    /// The position of a file that is not open: by inode and head, else by head alone when the file with the inode is no
    /// longer what it was (a copy made before truncating, a restored backup).
    pub(super) fn find(&self, seen: &Seen, listed: &[((u64, u64), Seen)]) -> Option<Checkpoint> {
        let fits = |c: &&Checkpoint| seen.length >= c.offset && seen.has_head(c.head_hash, c.head_length);
        let same_inode = self.by_source.values().filter(fits).find(|c| c.inode == seen.inode);
        let moved = || {
            self.by_source.values().filter(fits).filter(|c| c.head_length >= HEAD_BYTES_MIN).find(|c| {
                let still_there = |(inode, other): &((u64, u64), Seen)| {
                    *inode == c.inode && other.length >= c.offset && other.has_head(c.head_hash, c.head_length)
                };
                !listed.iter().any(still_there)
            })
        };
        same_inode.or_else(moved).cloned()
    }

    /// Keeps a position. A failure costs a repetition after a restart, which the store recognises.
    pub(super) async fn save(&mut self, source: &str, checkpoint: Checkpoint) {
        let value = match serde_json::to_value(&checkpoint) {
            Ok(value) => value,
            Err(error) => return tracing::error!(error = %error, "position cannot be written as JSON"),
        };
        self.by_source.insert(source.to_owned(), checkpoint);
        if let Err(error) = self.shared.catalog.put_document(&self.namespace, source, &value, None).await {
            tracing::warn!(source, error = %vocab::error::chain(&error), "file position not saved");
        }
    }
}
