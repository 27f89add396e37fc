//! Where the conformance kit is, when it is there at all.

use std::path::PathBuf;

/// The kit's folder: `TIDEWATCH_CONFORMANCE`, or `../shared/conformance` beside the workspace.
pub(crate) fn kit() -> Option<PathBuf> {
    let folder = std::env::var_os("TIDEWATCH_CONFORMANCE")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/conformance"), PathBuf::from);
    folder.is_dir().then_some(folder)
}
