//! What is being made or deleted: the entries of `tmp/`.

use std::io::Write;
use std::path::{Path, PathBuf};

use crate::error::{Context, Error, Result};
use crate::fs::{self, File};
use crate::lock::{Lock, Mode};
use crate::paths::Paths;
use crate::sys;

/// What entries to be deleted are called.
const TRASH: &str = "trash";

/// A file or directory being made. Dropped, it is removed; locked, so that a sweep leaves it alone.
#[derive(Debug)]
pub struct Temp {
    path: PathBuf,
    // Held for its lifetime only.
    _lock: Lock,
    placed: bool,
}

impl Temp {
    /// A new empty file, mode 0600, for reading and writing.
    pub fn file(paths: &Paths) -> Result<(Temp, File)> {
        loop {
            let path = fresh(paths, "file")?;
            let Some(file) = fs::create_new(&path)? else { continue };
            let ours = file.try_clone().context("create", path.display())?;
            if let Some(temp) = Temp::locked(path, file)? {
                return Ok((temp, ours));
            }
        }
    }

    /// A new empty directory, mode 0700.
    pub fn dir(paths: &Paths) -> Result<Temp> {
        loop {
            let path = fresh(paths, "dir")?;
            if let Some(temp) = Temp::try_dir(path)? {
                return Ok(temp);
            }
        }
    }

    /// A new empty directory of that name, which nothing else uses: an id.
    pub fn dir_named(paths: &Paths, name: &str) -> Result<Temp> {
        let path = paths.tmp().join(name);
        for _ in 0..16 {
            if let Some(temp) = Temp::try_dir(path.clone())? {
                return Ok(temp);
            }
        }
        Err(Error::errno_in(libc::EEXIST, "make directory", path.display().to_string()))
    }

    /// `None` when the name is taken, or a sweep between the making and the lock took it for a leftover.
    fn try_dir(path: PathBuf) -> Result<Option<Temp>> {
        if !fs::make_dir(&path)? {
            return Ok(None);
        }
        match fs::open_dir(&path) {
            Err(e) if e.errno() == Some(libc::ENOENT) => Ok(None),
            Err(e) => {
                let _ = fs::remove_dir(&path);
                Err(e)
            }
            Ok(dir) => Temp::locked(path, dir.into()),
        }
    }

    fn locked(path: PathBuf, file: File) -> Result<Option<Temp>> {
        let lock = Lock::try_open(file, &path, Mode::Exclusive)?;
        Ok(lock.map(|lock| Temp { path, _lock: lock, placed: false }))
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file of these bytes, to be put in place.
    pub fn holding(paths: &Paths, bytes: &[u8]) -> Result<Temp> {
        Temp::filled(paths, bytes).map(|(temp, _)| temp)
    }

    /// The same, and they are on the disk by now.
    pub fn synced(paths: &Paths, bytes: &[u8]) -> Result<Temp> {
        let (temp, file) = Temp::filled(paths, bytes)?;
        file.sync_all().context("sync", temp.path.display())?;
        Ok(temp)
    }

    fn filled(paths: &Paths, bytes: &[u8]) -> Result<(Temp, File)> {
        let (temp, mut file) = Temp::file(paths)?;
        file.write_all(bytes).context("write", temp.path.display())?;
        Ok((temp, file))
    }

    /// Puts it in its place, over what is there.
    pub fn replace(mut self, to: &Path) -> Result<()> {
        fs::rename(&self.path, to)?;
        self.placed = true;
        Ok(())
    }

    /// Puts it in its place; false (and it is removed) when something is there already.
    pub fn place(mut self, to: &Path) -> Result<bool> {
        self.placed = fs::rename_noreplace(&self.path, to)?;
        Ok(self.placed)
    }
}

impl Drop for Temp {
    fn drop(&mut self) {
        // What is empty is removed without a descriptor, of which there may be no more.
        if !self.placed && !fs::remove_dir(&self.path).unwrap_or(false) {
            let _ = fs::remove_tree(&self.path);
        }
    }
}

/// Whether an entry is there and being worked on.
pub fn is_busy(path: &Path) -> Result<bool> {
    match fs::open_dir(path) {
        Ok(dir) => Ok(Lock::try_open(dir.into(), path, Mode::Shared)?.is_none()),
        Err(e) if e.errno() == Some(libc::ENOENT) => Ok(false),
        Err(e) => Err(e),
    }
}

/// A name in `tmp/` that nothing has.
pub fn fresh(paths: &Paths, what: &str) -> Result<PathBuf> {
    let random = sys::random_bytes().context("make name in", paths.tmp().display())?;
    Ok(paths.tmp().join(format!("{what}-{:032x}", u128::from_ne_bytes(random))))
}

/// Takes something out of sight, to be deleted; `None` when it is gone already.
pub fn trash(paths: &Paths, path: &Path) -> Result<Option<PathBuf>> {
    let to = fresh(paths, TRASH)?;
    match fs::rename(path, &to) {
        Ok(()) => Ok(Some(to)),
        Err(e) if e.errno() == Some(libc::ENOENT) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Takes an entry that nobody works on for deletion and returns where it is now; `None` when someone does.
///
/// It is renamed while it is locked, so that who has just made it, and not locked it yet, notices.
pub fn reclaim(paths: &Paths, path: &Path) -> Result<Option<PathBuf>> {
    let is_trash = path.file_name().is_some_and(|n| n.as_encoded_bytes().starts_with(TRASH.as_bytes()));
    if is_trash {
        return Ok(Some(path.to_owned()));
    }
    match fs::open(path).or_else(|_| fs::open_dir(path).map(File::from)) {
        Ok(file) => match Lock::try_open(file, path, Mode::Exclusive)? {
            Some(_lock) => trash(paths, path),
            None => Ok(None),
        },
        // What can't be opened (a symlink, a directory without permissions) is not being worked on either.
        Err(_) => trash(paths, path),
    }
}
