//! Where things are in the repository.

use std::path::{Path, PathBuf};

/// A path in the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").join(relative)
}

/// The text of a file of the repository.
pub fn read(relative: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(path(relative)).map_err(|e| anyhow::anyhow!("read {relative}: {e}"))
}
