//! What belongs to one user of a tree goes to another, all of it.

use core::ffi::CStr;

use crate::dirs::Entries;
use crate::owners;
use crate::sys::{self, Errno, Fd, Stat};

/// User and group: of whom, and to whom.
pub type Move = ((u32, u32), (u32, u32));

const CAPABILITIES: &CStr = c"security.capability";
/// For `chown(2)`: stays as it is.
const SAME: u32 = u32::MAX;
/// Two descriptors a level must fit into the usual limit of 1024.
const DEPTH_MAX: u32 = 480;

/// The directory and all that is below it. A file that has several names is met as often, to which it is the same.
pub fn run(root: Fd, which: Move) -> sys::Result {
    directory(root, c".", which, DEPTH_MAX)
}

fn directory(parent: Fd, name: &CStr, which: Move, depth: u32) -> sys::Result {
    let deeper = depth.checked_sub(1).ok_or(Errno::ELOOP)?;
    let flags = sys::O_RDONLY | sys::O_DIRECTORY | sys::O_NOFOLLOW;
    with(sys::openat(parent, name, flags, 0)?, |here| {
        let mut entries = Entries::new();
        while let Some(entry) = entries.next(here)? {
            let flags = sys::O_PATH | sys::O_NOFOLLOW;
            with(sys::openat(here, entry.name, flags, 0)?, |file| match sys::fstat(file)? {
                stat if stat.is_dir() => directory(here, entry.name, which, deeper),
                stat => give((here, entry.name), file, &stat, which),
            })?;
        }
        give((here, c"."), here, &sys::fstat(here)?, which)
    })
}

/// A change of owner takes capabilities away; they are put back.
fn give((dir, name): (Fd, &CStr), file: Fd, stat: &Stat, (from, to): Move) -> sys::Result {
    let uid = if stat.uid == from.0 { to.0 } else { SAME };
    let gid = if stat.gid == from.1 { to.1 } else { SAME };
    match stat.kind() {
        _ if (uid, gid) == (SAME, SAME) => Ok(()),
        sys::S_IFREG => {
            let flags = sys::O_RDONLY | sys::O_NOFOLLOW | sys::O_NONBLOCK;
            with(sys::openat(dir, name, flags, 0)?, |file| {
                let mut value = [0; 64];
                let capable = sys::fgetxattr(file, CAPABILITIES, &mut value);
                owners::give(file, uid, gid)?;
                capable.map_or(Ok(()), |n| sys::fsetxattr(file, CAPABILITIES, &value[..n]))
            })
        }
        _ => owners::give(file, uid, gid),
    }
}

/// Closes what it was given after the work.
fn with<T>(fd: Fd, work: impl FnOnce(Fd) -> sys::Result<T>) -> sys::Result<T> {
    let done = work(fd);
    let _ = sys::close(fd);
    done
}
