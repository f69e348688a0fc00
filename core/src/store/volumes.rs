//! Volumes: directories that outlive containers.

use std::path::PathBuf;

use super::{crash, tmp};
use crate::error::Result;
use crate::fs;
use crate::id::Name;
use crate::paths::Paths;

/// The directory that a volume's files are in.
pub fn data(paths: &Paths, name: &Name) -> PathBuf {
    paths.volume(name).join("_data")
}

/// Makes a volume unless it is there; true when it was not.
pub fn make(paths: &Paths, name: &Name) -> Result<bool> {
    let made = !fs::exists(&paths.volume(name))?;
    fs::make_dirs(&data(paths, name))?;
    crash::point("volume made");
    Ok(made)
}

/// Takes a volume out of sight and returns what to delete; `None` when there is none.
pub fn unlist(paths: &Paths, name: &Name) -> Result<Option<PathBuf>> {
    let trash = tmp::trash(paths, &paths.volume(name));
    crash::point("volume unlinked");
    trash
}
