//! Work inside a user namespace: giving files their owners, deleting what the mapped users own.

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome, send};
use crate::launch::word;
use crate::sys::{self, AT_FDCWD, Errno, Fd, Forked};
use crate::wire::{ApplyOwners, IdMap, Oom, RemoveTrees, Status, Step};
use crate::{idmap, moves, tree};

/// Gives each listed file its owner; the paths are resolved within the tree and through no symlink. What is not there is passed
/// over: who has made the list can't look into every directory.
#[inline(never)]
pub fn apply(request: ApplyOwners<'static>) -> Outcome {
    within(request.id_map, || {
        let flags = sys::O_PATH | sys::O_DIRECTORY;
        let root = sys::openat(AT_FDCWD, request.root, flags, 0).at(Step::Owners, request.root)?;
        request.owners.iter().try_for_each(|(path, uid, gid)| {
            let Some(file) = find(root, path, sys::O_PATH).at(Step::Owners, path)? else { return Ok(()) };
            let given = give(file, uid, gid).at(Step::Owners, path);
            let _ = sys::close(file);
            given
        })?;
        request.capabilities.iter().try_for_each(|(path, value)| empower(root, path, value).at(Step::Owners, path))?;
        request.moves.iter().try_for_each(|which| moves::run(root, which).at(Step::Owners, request.root))
    })
}

/// `None` where nothing is, or a link or a file where a directory was.
fn find(root: Fd, path: &CStr, flags: i32) -> sys::Result<Option<Fd>> {
    let resolve = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS;
    match sys::openat2(root, path, flags | sys::O_NOFOLLOW, 0, resolve) {
        Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => Ok(None),
        found => found.map(Some),
    }
}

/// The kernel notes whose namespace the capabilities hold in (capabilities(7), version 3).
fn empower(root: Fd, path: &CStr, value: &[u8]) -> sys::Result {
    let Some(file) = find(root, path, sys::O_RDONLY | sys::O_NONBLOCK)? else { return Ok(()) };
    let given = match sys::fstat(file)?.kind() {
        sys::S_IFREG => sys::fsetxattr(file, c"security.capability", value),
        _ => Ok(()),
    };
    let _ = sys::close(file);
    match given {
        // A file system or a kernel without them: as for root, the image does without.
        Err(Errno::EOPNOTSUPP | Errno::EPERM) => Ok(()),
        given => given,
    }
}

/// A change of owner takes the set-user-id and set-group-id bits away; they are put back.
pub fn give(file: Fd, uid: u32, gid: u32) -> sys::Result {
    const SET_ID: u32 = 0o6000;
    let before = sys::fstat(file)?;
    sys::fchownat(file, c"", uid, gid, sys::AT_EMPTY_PATH | sys::AT_SYMLINK_NOFOLLOW)?;
    if before.kind() == sys::S_IFREG && before.mode & SET_ID != 0 {
        sys::chmod_opened(file, before.mode & 0o7777)?;
    }
    Ok(())
}

/// Deletes each tree; goes on after a failure, and reports the first.
#[inline(never)]
pub fn remove(request: RemoveTrees<'static>) -> Outcome {
    within(request.id_map, || {
        let delete = |path| tree::remove(AT_FDCWD, path).at(Step::Remove, path);
        request.paths.iter().map(delete).reduce(Outcome::and).unwrap_or(Ok(()))
    })
}

/// Does the work in a new user namespace when there is a map, here otherwise; tells the host when it is done.
fn within(map: Option<IdMap<'static>>, work: impl FnOnce() -> Outcome) -> Outcome {
    match map {
        Some(map) => in_namespace(&map, sys::CLONE_NEWUSER, work)?,
        None => work()?,
    }
    send(&Status::Exited { code: 0, signal: 0, unwritten: 0, oom: Oom::default() });
    Ok(())
}

/// Does the work in a child with new namespaces (`CLONE_NEW*`), a user namespace with this map among them, as its root.
pub fn in_namespace(map: &IdMap<'static>, flags: u64, work: impl FnOnce() -> Outcome) -> Outcome {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let forked = sys::fork_plainly(flags).step(Step::Clone)?;
    let Forked::Parent { pid, .. } = forked else {
        let _ = sys::close(ours);
        as_root(theirs, work)
    };
    let _ = sys::close(theirs);
    let mapped = idmap::write(map, pid).and_then(|()| sys::send(ours, &[word::MAPPED]).step(Step::IdMap));
    // Without a word the child ends by itself.
    let _ = sys::close(ours);
    let ended = sys::wait(pid, false).step(Step::Clone)?;
    mapped?;
    match ended {
        Some(end) if end.signal == 0 && end.code == 0 => Ok(()),
        // It has told the host why.
        Some(end) if end.signal == 0 => sys::exit(end.code),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}

fn as_root(sync: Fd, work: impl FnOnce() -> Outcome) -> ! {
    let mut word = [0];
    if sys::recv(sync, &mut word, false) != Ok(1) {
        sys::exit(1);
    }
    let rooted = sys::setresgid(0).and_then(|()| sys::setresuid(0)).step(Step::BecomeRoot);
    match rooted.and_then(|()| work()) {
        Ok(()) => sys::exit(0),
        Err(fail) => {
            fail.report();
            sys::exit(1)
        }
    }
}
