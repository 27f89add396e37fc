//! How far an import has come.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};

/// What stands in the progress file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Position {
    /// Length of a text file, to notice when it is another one.
    pub(super) file_bytes: u64,
    /// Bytes of it that are acknowledged.
    pub(super) offset: u64,
    /// Time given to samples without one.
    pub(super) default_ms: Option<i64>,
    /// Blocks that are acknowledged whole.
    pub(super) blocks: Vec<String>,
    /// The block in work.
    pub(super) block: String,
    /// Series of it that are acknowledged.
    pub(super) series: u64,
}

/// The progress file of one source.
#[derive(Debug)]
pub(super) struct Progress {
    path: PathBuf,
    pub(super) position: Position,
}

impl Progress {
    /// Reads the file beside the source, or begins anew.
    pub(super) fn open(source: &Path, restart: bool) -> Result<Self> {
        let source = source.canonicalize().with_context(|| format!("cannot read {}", source.display()))?;
        let Some(name) = source.file_name() else { bail!("{} cannot be imported", source.display()) };
        let path = source.with_file_name(format!("{}.tidewatch-import.json", name.to_string_lossy()));
        if restart {
            return Ok(Self { path, position: Position::default() });
        }
        let position = match std::fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text)
                .with_context(|| format!("{} is damaged; --restart begins anew", path.display()))?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Position::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", path.display())),
        };
        Ok(Self { path, position })
    }

    /// Notes the position, whole or not at all.
    pub(super) fn save(&self) -> Result<()> {
        let beside = self.path.with_extension("json.new");
        let text = serde_json::to_vec(&self.position)?;
        std::fs::write(&beside, text)
            .and_then(|()| std::fs::rename(&beside, &self.path))
            .with_context(|| format!("cannot write {}", self.path.display()))
    }

    /// The import is complete: there is nothing to go on with.
    pub(super) fn done(&self) -> Result<()> {
        match std::fs::remove_file(&self.path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", self.path.display()))
            }
            _ => Ok(()),
        }
    }
}
