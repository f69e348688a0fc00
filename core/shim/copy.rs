//! Copying single files for a new volume: content, modes, owners, times, extended attributes; hard links become files of their
//! own. How they are met is in `fill.rs`.

use core::ffi::CStr;

use crate::sys::{self, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Errno, Fd, O_NOFOLLOW, O_RDONLY, Stat};

/// Copies what is no directory.
pub fn entry(from: Fd, to: Fd, name: &CStr, stat: &Stat) -> sys::Result {
    match stat.kind() {
        sys::S_IFREG => copy_file(from, to, name, stat),
        sys::S_IFLNK => copy_link(from, to, name, stat),
        _ => copy_node(to, name, stat),
    }
}

fn copy_file(from: Fd, to: Fd, name: &CStr, stat: &Stat) -> sys::Result {
    let create = sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL | O_NOFOLLOW;
    with(sys::openat(from, name, O_RDONLY | O_NOFOLLOW | sys::O_NONBLOCK, 0)?, |source| {
        with(sys::openat(to, name, create, 0o600)?, |target| {
            copy_content(source, target, stat.size)?;
            dress(source, target, stat)
        })
    })
}

/// Data by data, so that holes stay holes.
fn copy_content(from: Fd, to: Fd, size: u64) -> sys::Result {
    const SEEK_DATA: i32 = 3;
    const SEEK_HOLE: i32 = 4;
    let mut at = 0;
    while at < size {
        let data = match sys::lseek(from, at as i64, SEEK_DATA) {
            Ok(data) => data,
            // Nothing but a hole up to the end.
            Err(Errno::ENXIO) => break,
            Err(_) => at,
        };
        let end = sys::lseek(from, data as i64, SEEK_HOLE).unwrap_or(size).max(data + 1);
        copy_range(from, to, data, end)?;
        at = end;
    }
    sys::ftruncate(to, size)
}

fn copy_range(from: Fd, to: Fd, start: u64, end: u64) -> sys::Result {
    const SEEK_SET: i32 = 0;
    for fd in [from, to] {
        sys::lseek(fd, start as i64, SEEK_SET)?;
    }
    let mut left = end - start;
    while left > 0 {
        let n = match sys::copy_file_range(from, to, left.min(1 << 30) as usize) {
            Ok(n @ 1..) => n,
            // Not between these file systems, or not on this kernel; or the end.
            _ => copy_piece(from, to, left)?,
        };
        if n == 0 {
            break;
        }
        left -= n as u64;
    }
    Ok(())
}

fn copy_piece(from: Fd, to: Fd, most: u64) -> sys::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let most = most.min(buffer.len() as u64) as usize;
    let n = sys::read(from, &mut buffer[..most])?;
    sys::write_all(to, &buffer[..n])?;
    Ok(n)
}

fn copy_link(from: Fd, to: Fd, name: &CStr, stat: &Stat) -> sys::Result {
    let mut target = [0; 4097];
    let n = sys::readlinkat(from, name, &mut target[..4096])?;
    target[n] = 0;
    let target = CStr::from_bytes_until_nul(&target).map_err(|_| Errno::EINVAL)?;
    sys::symlinkat(target, to, name)?;
    made(to, name, stat, |_| Ok(()))
}

/// A fifo, socket or device. A user namespace may not make devices; a volume does without them.
fn copy_node(to: Fd, name: &CStr, stat: &Stat) -> sys::Result {
    match sys::mknodat(to, name, stat.mode, sys::makedev(stat.rdev)) {
        Err(Errno::EPERM) if matches!(stat.kind(), sys::S_IFCHR | sys::S_IFBLK) => return Ok(()),
        other => other?,
    }
    made(to, name, stat, |node| sys::chmod_opened(node, stat.mode & 0o7777))
}

/// Owner, mode and times of what was made, by a descriptor: who shares the volume may have put a link of its own in its place,
/// which would lead through the host's root.
fn made(to: Fd, name: &CStr, stat: &Stat, set_mode: impl FnOnce(Fd) -> sys::Result) -> sys::Result {
    with(sys::openat(to, name, sys::O_PATH | O_NOFOLLOW, 0)?, |node| {
        let there = sys::fstat(node)?;
        if (there.kind(), there.rdev) != (stat.kind(), stat.rdev) {
            return Err(Errno::EBUSY);
        }
        sys::fchownat(node, c"", stat.uid, stat.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW)?;
        set_mode(node)?;
        sys::utimensat(node, c"", [stat.atime, stat.mtime], AT_EMPTY_PATH)
    })
}

/// Owner first, since a change of owner takes set-user-id bits and file capabilities away; times last.
pub fn dress(from: Fd, to: Fd, stat: &Stat) -> sys::Result {
    sys::fchownat(to, c"", stat.uid, stat.gid, AT_EMPTY_PATH)?;
    sys::fchmod(to, stat.mode & 0o7777)?;
    copy_attributes(from, to)?;
    sys::utimensat(to, c"", [stat.atime, stat.mtime], AT_EMPTY_PATH)
}

/// The attribute that SELinux has a file's label in.
pub const LABEL: &CStr = c"security.selinux";

/// Those that the target takes: a file system may have none, and some names are the system's.
fn copy_attributes(from: Fd, to: Fd) -> sys::Result {
    let mut names = [0; 4096];
    let n = match sys::flistxattr(from, &mut names) {
        Ok(n) => n,
        Err(_) => return Ok(()),
    };
    // A label is that of where a file is: here of one container's own, there of all that share the volume.
    let is_label = |name: &&[u8]| *name == LABEL.to_bytes_with_nul();
    for name in names[..n].split_inclusive(|b| *b == 0).filter(|name| !is_label(name)) {
        let name = CStr::from_bytes_with_nul(name).map_err(|_| Errno::EINVAL)?;
        if let Err(Errno::ENOSPC | Errno::EDQUOT) = copy_attribute(from, to, name) {
            return Err(Errno::ENOSPC);
        }
    }
    Ok(())
}

fn copy_attribute(from: Fd, to: Fd, name: &CStr) -> sys::Result {
    let mut value = [0; 4096];
    let n = sys::fgetxattr(from, name, &mut value)?;
    sys::fsetxattr(to, name, &value[..n])
}

/// Closes what it was given after the work.
pub fn with<T>(fd: Fd, work: impl FnOnce(Fd) -> sys::Result<T>) -> sys::Result<T> {
    let done = work(fd);
    let _ = sys::close(fd);
    done
}
