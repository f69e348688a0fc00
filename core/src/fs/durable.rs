//! Files of the machine's, such as those in `/etc`: replaced whole, as they were but for their content, and on the disk.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::error::{Context, Error, Kind, Result};
use crate::sys;

/// The owner and the mode of a file or directory, where a symlink leads; `None` when there is none.
pub fn owner_and_mode(path: &Path) -> Result<Option<(u32, u32)>> {
    match std::fs::metadata(path) {
        Ok(meta) => Ok(Some((meta.uid(), meta.mode()))),
        Err(e) if super::is_missing(&e) => Ok(None),
        Err(e) => Err(e).context("look at", path.display()),
    }
}

/// Gives a file this content and waits until it is on the disk: a reader, and whoever comes after a power failure, sees
/// the old one or the new one. What was there keeps its mode, its owners and its attributes; a new file has `mode`.
///
/// `staged` is beside it and nobody else's; what a killed process has left there is replaced.
///
/// # Errors
/// `Conflict` where `path` is a symlink or no file: what looks after it is not we.
pub fn replace_durably(path: &Path, staged: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let old = existing(path)?;
    super::remove_file(staged)?;
    let done = write(staged, bytes, old.as_ref(), mode).context("write", staged.display());
    let done = done.and_then(|()| super::rename(staged, path));
    if done.is_err() {
        let _ = std::fs::remove_file(staged);
    }
    done.and_then(|()| super::sync_dir_of(path))
}

fn existing(path: &Path) -> Result<Option<File>> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) if meta.is_file() => super::open(path).map(Some),
        Ok(_) => Err(Error::new(Kind::Conflict, "replace", path.display().to_string())
            .because("it is not a plain file, so something else looks after it")),
        Err(e) if super::is_missing(&e) => Ok(None),
        Err(e) => Err(e).context("look at", path.display()),
    }
}

fn write(staged: &Path, bytes: &[u8], old: Option<&File>, mode: u32) -> std::io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(staged)?;
    file.write_all(bytes)?;
    match old {
        Some(old) => be_like(&file, old)?,
        None => file.set_permissions(Permissions::from_mode(mode))?,
    }
    file.sync_all()
}

fn be_like(new: &File, old: &File) -> std::io::Result<()> {
    let meta = old.metadata()?;
    std::os::unix::fs::fchown(new, Some(meta.uid()), Some(meta.gid()))?;
    for (name, value) in sys::attributes(old.as_fd(), |name| !name.is_empty()) {
        sys::set_attribute(new.as_fd(), &name, &value);
    }
    new.set_permissions(meta.permissions())
}

/// Removes a file of the machine's, for good.
pub fn remove_durably(path: &Path) -> Result<()> {
    super::remove_file(path)?;
    super::sync_dir_of(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_but_the_content_is_kept() {
        let dir = tempfile::tempdir().unwrap();
        let (path, staged) = (dir.path().join("subuid"), dir.path().join("subuid+"));
        replace_durably(&path, &staged, b"old\n", 0o644).unwrap();
        std::fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        sys::set_attribute(File::open(&path).unwrap().as_fd(), b"user.mark", b"kept");
        let before = std::fs::metadata(&path).unwrap();
        // As a killed process leaves it.
        std::fs::write(&staged, b"ha").unwrap();
        replace_durably(&path, &staged, b"new\n", 0o600).unwrap();
        let after = std::fs::metadata(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
        assert_eq!((after.mode(), after.uid(), after.gid()), (before.mode(), before.uid(), before.gid()));
        let marks = sys::attributes(File::open(&path).unwrap().as_fd(), |name| name == b"user.mark");
        assert!(marks.iter().all(|(_, value)| value == b"kept"));
        assert!(!staged.exists());
    }

    #[test]
    fn a_symlink_is_left_to_whoever_made_it() {
        let dir = tempfile::tempdir().unwrap();
        let (path, staged) = (dir.path().join("subuid"), dir.path().join("subuid+"));
        std::os::unix::fs::symlink("/etc/static/subuid", &path).unwrap();
        let error = replace_durably(&path, &staged, b"new\n", 0o644).unwrap_err();
        assert_eq!(error.kind(), Kind::Conflict);
        assert!(!staged.exists() && path.is_symlink());
    }
}
