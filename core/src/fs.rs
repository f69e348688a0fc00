//! Files: atomic writes, safe opens beneath a root, removal. The only room (beside `layer`) that uses `std::fs`.

#![allow(clippy::disallowed_methods)]

use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::errno::Errno;

use crate::error::{Context, Error, Kind, Result};
use crate::sys;

mod durable;
mod relabel;
mod remove;

pub use durable::{owner_and_mode, remove_durably, replace_durably};
pub use relabel::{label, relabel};
pub use remove::{empty, remove_at, remove_tree, tree_size};
pub use std::fs::File;

/// Makes a directory and its missing parents, mode 0700. One that exists is fine.
pub fn make_dirs(dir: &Path) -> Result<()> {
    // The common case first: one system call instead of a walk.
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(e) if e.kind() == ErrorKind::NotFound => DirBuilder::new().mode(0o700).recursive(true).create(dir),
        done => done,
    }
    .context("make directory", dir.display())
}

/// Makes a directory, mode 0700; false when something has its name already.
pub fn make_dir(dir: &Path) -> Result<bool> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        done => done.map(|()| true).context("make directory", dir.display()),
    }
}

/// Opens a directory of ours to everyone for reading, whatever the umask.
pub fn open_to_all(dir: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o755)).context("set mode of", dir.display())
}

/// The owner of a directory; `None` for a symlink or a file.
pub fn owner(dir: &Path) -> Result<Option<u32>> {
    let meta = std::fs::symlink_metadata(dir).context("look at", dir.display())?;
    Ok(meta.is_dir().then(|| meta.uid()))
}

/// As [`owner`], of what a symlink leads to.
pub fn owner_followed(dir: &Path) -> Result<Option<u32>> {
    let meta = std::fs::metadata(dir).context("look at", dir.display())?;
    Ok(meta.is_dir().then(|| meta.uid()))
}

/// The path made absolute by the working directory of now, so that a later `chdir` of the host can't move it.
pub fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).context("resolve path", path.display())
}

/// The path that a path leads to, without links.
pub fn resolved(path: &Path) -> Result<PathBuf> {
    std::fs::canonicalize(path).context("resolve path", path.display())
}

/// Whether anything is at `path`; a dangling symlink counts.
pub fn exists(path: &Path) -> Result<bool> {
    match std::fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(e) if is_missing(&e) => Ok(false),
        Err(e) => Err(e).context("look at", path.display()),
    }
}

/// Whether two paths, symlinks followed, lead to one file or directory.
pub fn is_same(one: &Path, other: &Path) -> Result<bool> {
    let identity =
        |path: &Path| std::fs::metadata(path).map(|meta| (meta.dev(), meta.ino())).context("look at", path.display());
    Ok(identity(one)? == identity(other)?)
}

/// Device and inode of a directory, as `DEVICE:INODE`: a copy of it has others, and it keeps them when it is renamed.
pub fn identity(dir: &Path) -> Result<String> {
    let meta = std::fs::symlink_metadata(dir).context("look at", dir.display())?;
    Ok(format!("{}:{}", meta.dev(), meta.ino()))
}

/// The same of where a symlink leads; none for who can't look.
pub fn identity_followed(link: &Path) -> Option<String> {
    std::fs::metadata(link).ok().map(|meta| format!("{}:{}", meta.dev(), meta.ino()))
}

/// A word that changes with a file's content, where a symlink leads; empty when there is none.
pub fn version(path: &Path) -> String {
    let word = |meta: std::fs::Metadata| format!("{}-{}.{}", meta.ino(), meta.mtime(), meta.mtime_nsec());
    std::fs::metadata(path).map_or_else(|_| String::new(), word)
}

/// The size of a regular file; `None` when it is missing or of another kind.
pub fn file_size(path: &Path) -> Result<Option<u64>> {
    match std::fs::symlink_metadata(path) {
        Ok(meta) => Ok(meta.is_file().then_some(meta.len())),
        Err(e) if is_missing(&e) => Ok(None),
        Err(e) => Err(e).context("look at", path.display()),
    }
}

fn is_missing(e: &std::io::Error) -> bool {
    matches!(e.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Opens a regular file for reading; symlinks in its last component are refused and a FIFO does not block.
pub fn open(path: &Path) -> Result<File> {
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).context("open", path.display())?;
    match file.metadata().context("open", path.display())?.is_file() {
        true => Ok(file),
        false => Err(Error::new(Kind::Store, "open", path.display().to_string()).because("not a regular file")),
    }
}

/// The whole of a file that has at most `max` bytes.
pub fn read_bounded(path: &Path, max: u64) -> Result<Vec<u8>> {
    read_open(open(path)?, path, max)
}

/// What a file of the kernel's answers to a question, on one descriptor.
pub fn ask(path: &Path, question: &[u8]) -> Result<String> {
    let mut answer = String::new();
    let mut file = OpenOptions::new().read(true).write(true).open(path).context("open", path.display())?;
    file.write_all(question).context("write", path.display())?;
    file.take(4096).read_to_string(&mut answer).context("read", path.display())?;
    Ok(answer)
}

/// As [`read_bounded`]; `None` when the file is missing.
pub fn read_if_exists(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    match read_bounded(path, max) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if matches!(e.errno(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
        Err(e) => Err(e),
    }
}

fn read_open(file: File, path: &Path, max: u64) -> Result<Vec<u8>> {
    // A page: most files here are smaller and are read at once, those of /proc too, which tell no size.
    let mut bytes = Vec::with_capacity(4096);
    file.take(max + 1).read_to_end(&mut bytes).context("read", path.display())?;
    match bytes.len() as u64 > max {
        true => Err(Error::new(Kind::LimitExceeded, "read", path.display().to_string())
            .because(format!("the file is larger than {max} bytes"))),
        false => Ok(bytes),
    }
}

/// Makes a new file, mode 0600, for reading and writing; `None` when something has its name already.
pub fn create_new(path: &Path) -> Result<Option<File>> {
    let made = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
    match made {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(None),
        made => made.map(Some).context("create", path.display()),
    }
}

/// Opens a file for locking, making it when missing.
pub fn open_or_create(path: &Path) -> Result<File> {
    let flags = libc::O_NOFOLLOW;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600).custom_flags(flags);
    options.open(path).context("open", path.display())
}

/// Opens a file to append to it, making it when missing, mode 0600.
pub fn open_append(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    // To be read, too: a lock over NFS is refused on a descriptor that can only be written to.
    options.read(true).append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW);
    options.open(path).context("open", path.display())
}

/// Writes a new file at once; an error when something has its name already.
pub fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let Some(mut file) = create_new(path)? else {
        return Err(Error::errno_in(libc::EEXIST, "create", path.display().to_string()));
    };
    file.write_all(bytes).context("write", path.display())
}

/// Writes a new file that may be executed, mode 0755.
pub fn write_executable(path: &Path, bytes: &[u8]) -> Result<()> {
    let made = OpenOptions::new().write(true).create_new(true).mode(0o755).open(path);
    made.and_then(|mut file| file.write_all(bytes)).context("write", path.display())
}

/// Puts a file in place whole or not at all: written as `staged`, then renamed over `path`.
///
/// `staged` must be on the same file system and nobody else's; it is gone afterwards, also on failure. Not for what
/// must survive a power failure.
pub fn replace(path: &Path, staged: &Path, bytes: &[u8]) -> Result<()> {
    let done = write_staged(staged, bytes).and_then(|()| rename(staged, path));
    if done.is_err() {
        let _ = std::fs::remove_file(staged);
    }
    done
}

fn write_staged(staged: &Path, bytes: &[u8]) -> Result<()> {
    let mut file = File::create(staged).context("create", staged.display())?;
    file.write_all(bytes).context("write", staged.display())
}

/// Makes the names in the directory of `path` durable.
pub fn sync_dir_of(path: &Path) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("/"));
    File::open(dir).and_then(|d| d.sync_all()).context("sync", dir.display())
}

/// Renames, replacing what is there.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    std::fs::rename(from, to).context("rename", to.display())
}

/// Renames unless something is there already; false when it is.
pub fn rename_noreplace(from: &Path, to: &Path) -> Result<bool> {
    match sys::rename_noreplace_at(None, from, None, to) {
        Ok(()) => Ok(true),
        Err(Errno::EEXIST | Errno::ENOTEMPTY) => Ok(false),
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => link_noreplace(from, to),
        Err(e) => Err(e).context("rename", to.display()),
    }
}

/// Where the file system refuses the flag, as NFS does: `link` for a file. A directory can't be linked,
/// but `rename` replaces only an empty one, and what we put in place never is.
fn link_noreplace(from: &Path, to: &Path) -> Result<bool> {
    let is_dir = std::fs::symlink_metadata(from).context("rename", from.display())?.is_dir();
    let done = match is_dir {
        true => std::fs::rename(from, to),
        false => std::fs::hard_link(from, to).and_then(|()| std::fs::remove_file(from)),
    };
    match done {
        Ok(()) => Ok(true),
        Err(e) if matches!(e.raw_os_error(), Some(libc::EEXIST | libc::ENOTEMPTY)) => Ok(false),
        Err(e) => Err(e).context("rename", to.display()),
    }
}

/// Removes a file or symlink; false when it was gone already.
pub fn remove_file(path: &Path) -> Result<bool> {
    match std::fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(e) if is_missing(&e) => Ok(false),
        Err(e) => Err(e).context("remove", path.display()),
    }
}

/// Removes an empty directory; false when it was gone already.
pub fn remove_dir(dir: &Path) -> Result<bool> {
    match std::fs::remove_dir(dir) {
        Ok(()) => Ok(true),
        Err(e) if is_missing(&e) => Ok(false),
        Err(e) => Err(e).context("remove directory", dir.display()),
    }
}

/// Whether this process may write to `path`.
pub fn writable(path: &Path) -> bool {
    nix::unistd::access(path, nix::unistd::AccessFlags::W_OK).is_ok()
}

/// Whether `path` is a file that this process may execute.
pub fn executable(path: &Path) -> bool {
    path.is_file() && nix::unistd::access(path, nix::unistd::AccessFlags::X_OK).is_ok()
}

/// Whether a regular file is at `path`, or where a symlink there leads.
pub fn is_regular(path: &Path) -> bool {
    path.is_file()
}

/// Major and minor number of the block device that is to be limited at `path`, or where a symlink there leads; `None` when it is none.
pub fn block_device(path: &Path) -> Result<Option<(u32, u32)>> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let found = std::fs::metadata(path).context("limit device", path.display())?;
    let number = || (libc::major(found.rdev()), libc::minor(found.rdev()));
    Ok(found.file_type().is_block_device().then(number))
}

/// Gives a file of the kernel's (in `/proc`, or a cgroup) a value, in one write as they want it.
pub fn write_kernel(path: &Path, value: &str) -> Result<()> {
    let mut file = OpenOptions::new().write(true).open(path).context("open", path.display())?;
    file.write_all(value.as_bytes()).context("write", path.display())
}

/// As [`read_bounded`], through symlinks: for files of the host's such as `/etc/resolv.conf`.
pub fn read_following(path: &Path, max: u64) -> Result<Vec<u8>> {
    let flags = libc::O_NONBLOCK | libc::O_NOCTTY;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).context("open", path.display())?;
    read_open(file, path, max)
}

/// The names in a directory, sorted; none when it is missing.
pub fn list(dir: &Path) -> Result<Vec<OsString>> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if is_missing(&e) => return Ok(Vec::new()),
        entries => entries.context("list", dir.display())?,
    };
    let names = entries.map(|e| e.map(|e| e.file_name())).collect::<std::io::Result<Vec<_>>>();
    let mut names = names.context("list", dir.display())?;
    names.sort_unstable();
    Ok(names)
}

/// The character and block devices below a directory but for what `skip` says, by path: no symlink is followed, and what
/// can't be read has none.
pub fn device_nodes(dir: &Path, skip: &dyn Fn(&str) -> bool) -> Vec<String> {
    use std::os::unix::fs::FileTypeExt;
    let mut nodes = Vec::new();
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        let (path, kind) = (entry.path(), entry.file_type());
        let Some(text) = path.to_str().filter(|text| !skip(text)) else { continue };
        match kind {
            Ok(kind) if kind.is_dir() => nodes.extend(device_nodes(&path, skip)),
            Ok(kind) if kind.is_char_device() || kind.is_block_device() => nodes.push(text.to_owned()),
            _ => {}
        }
    }
    nodes.sort_unstable();
    nodes
}

/// Whether a device is a block device, and its numbers; `None` for what is none.
pub fn device_number(path: &Path) -> Option<(bool, (u32, u32))> {
    use std::os::unix::fs::{FileTypeExt, MetadataExt};
    let meta = std::fs::metadata(path).ok()?;
    let kind = meta.file_type();
    let device = kind.is_block_device() || kind.is_char_device();
    device.then(|| (kind.is_block_device(), (libc::major(meta.rdev()), libc::minor(meta.rdev()))))
}

/// A directory's owner, group and permissions; `None` when it can't be looked at.
pub fn owners_and_mode(dir: &Path) -> Option<(u32, u32, u32)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(dir).ok().map(|meta| (meta.uid(), meta.gid(), meta.mode() & 0o7777))
}

/// A file's owner and group, of a symlink its own; `None` when it can't be looked at.
pub fn owners(path: &Path) -> Option<(u32, u32)> {
    std::fs::symlink_metadata(path).ok().map(|meta| (meta.uid(), meta.gid()))
}

/// Whether every user may read and write it; what is not there is not in the way.
pub fn is_open_to_all(path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    std::fs::metadata(path).is_ok_and(|meta| meta.mode() & 0o006 == 0o006) || !path.exists()
}

/// All directories below one, deepest first; none when it is missing. For trees of the kernel's: no symlink is in them.
pub fn directories_below(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let children = entries.flatten().filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
    let mut all = Vec::new();
    for child in children.map(|entry| entry.path()) {
        all.extend(directories_below(&child));
        all.push(child);
    }
    all
}

/// Makes a symlink; false when something has its name already.
pub fn symlink_new(text: &str, link: &Path) -> Result<bool> {
    match std::os::unix::fs::symlink(text, link) {
        Err(e) if e.kind() == ErrorKind::AlreadyExists => Ok(false),
        done => done.map(|()| true).context("create", link.display()),
    }
}

/// The text of a symlink; `None` when there is none.
pub fn read_link(link: &Path) -> Result<Option<String>> {
    match std::fs::read_link(link) {
        Ok(text) => Ok(Some(text.to_string_lossy().into_owned())),
        Err(e) if is_missing(&e) || e.raw_os_error() == Some(libc::EINVAL) => Ok(None),
        Err(e) => Err(e).context("read", link.display()),
    }
}

/// A directory, opened; a symlink in its last component is refused.
pub fn open_dir(dir: &Path) -> Result<OwnedFd> {
    let flags = libc::O_DIRECTORY | libc::O_NOFOLLOW;
    let file = OpenOptions::new().read(true).custom_flags(flags).open(dir).context("open", dir.display())?;
    Ok(file.into())
}

#[cfg(test)]
mod tests;
