//! Id maps of a new user namespace, written from outside it.

use core::ffi::CStr;

use crate::exec;
use crate::fail::{At, Fail, Outcome, keep};
use crate::sys::{self, AT_FDCWD, Errno, Fd, Forked};
use crate::text::Text;
use crate::wire::{Extent, IdMap, List, MountIdMap, NOT_FOUND, Step, fd};

type Lines = Text<4096>;

/// Maps the ids of the process `pid`, which has just been made with a new user namespace.
pub fn write(map: &IdMap<'static>, pid: i32) -> Outcome {
    match map.helpers {
        Some((newuidmap, newgidmap)) => {
            run_helper(newgidmap, &map.gids, pid)?;
            run_helper(newuidmap, &map.uids, pid)
        }
        None => write_directly(map, pid),
    }
}

/// A user namespace with a mount's map, held by its descriptor alone.
pub fn namespace(map: &MountIdMap<'static>) -> Outcome<Fd> {
    let (ours, theirs) = sys::socketpair().step(Step::MapMount)?;
    let forked = sys::fork_plainly(sys::CLONE_NEWUSER);
    let (pid, pidfd) = match forked.step(Step::MapMount)? {
        Forked::Child => wait_for_end(ours, theirs),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(pidfd);
    let _ = sys::close(theirs);
    let mut path: Text<64> = Text::new();
    path.push(b"/proc/").dec(pid as u64).push(b"/ns/user");
    let map = IdMap { uids: map.uids, gids: map.gids, helpers: None, of: core::marker::PhantomData };
    let opened = write(&map, pid).and_then(|()| sys::openat(AT_FDCWD, path.c(), sys::O_RDONLY, 0).step(Step::MapMount));
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    opened
}

/// Until the other end is closed, be it by a kill.
fn wait_for_end(ours: Fd, theirs: Fd) -> ! {
    let _ = sys::close(ours);
    let _ = sys::recv(theirs, &mut [0], false);
    sys::exit(0)
}

fn write_directly(map: &IdMap<'static>, pid: i32) -> Outcome {
    let groups = || put(pid, b"gid_map", lines(map.gids.iter()).bytes());
    // Without CAP_SETGID outside, which root too may lack, the kernel takes a group map only once groups can't be
    // dropped inside.
    if sys::getuid() != 0 || groups().is_err() {
        put(pid, b"setgroups", b"deny").step(Step::IdMap)?;
        groups().step(Step::IdMap)?;
    }
    put(pid, b"uid_map", lines(map.uids.iter()).bytes()).step(Step::IdMap)
}

/// The ids that this process's user namespace has, under the same numbers, in one below it: by its root.
pub fn write_same(map: &IdMap<'static>, pid: i32) -> Outcome {
    put(pid, b"gid_map", same(&map.gids).bytes()).step(Step::IdMap)?;
    put(pid, b"uid_map", same(&map.uids).bytes()).step(Step::IdMap)
}

fn same(extents: &List<'static, Extent>) -> Lines {
    lines(extents.iter().map(|(inside, _, length)| (inside, inside, length)))
}

fn put(pid: i32, file: &[u8], content: &[u8]) -> sys::Result {
    let mut path: Text<64> = Text::new();
    path.push(b"/proc/").dec(pid as u64).push(b"/").push(file);
    sys::put(AT_FDCWD, path.c(), content)
}

fn lines(extents: impl Iterator<Item = Extent>) -> Lines {
    let mut lines = Lines::new();
    for (inside, outside, length) in extents {
        lines.dec(inside as u64).push(b" ").dec(outside as u64).push(b" ").dec(length as u64).push(b"\n");
    }
    lines
}

/// newuidmap and newgidmap are set-user-id; what they say on standard error becomes the failure's text.
fn run_helper(path: &'static CStr, extents: &List<'static, Extent>, pid: i32) -> Outcome {
    let (errors, theirs) = sys::pipe(0).step(Step::IdMapHelper)?;
    let child = match sys::fork_plainly(0).step(Step::IdMapHelper)? {
        Forked::Child => exec_helper(path, extents, pid, theirs),
        Forked::Parent { pid, pidfd } => {
            let _ = sys::close(pidfd);
            pid
        }
    };
    let _ = sys::close(theirs);
    let said = read_all(errors);
    let _ = sys::close(errors);
    match sys::wait(child, false).step(Step::IdMapHelper)? {
        Some(end) if end.code == 0 && end.signal == 0 => Ok(()),
        Some(end) if end.code == NOT_FOUND => {
            Err(Fail { step: Step::IdMapHelper, errno: Errno::ENOENT, detail: path.to_bytes() })
        }
        _ => Err(Fail { step: Step::IdMapHelper, errno: Errno(0), detail: keep(&said) }),
    }
}

fn exec_helper(path: &'static CStr, extents: &List<'static, Extent>, pid: i32, errors: Fd) -> ! {
    let mut text = Lines::new();
    text.push(path.to_bytes()).push(b"\0").dec(pid as u64).push(b"\0");
    for (inside, outside, length) in extents.iter() {
        text.dec(inside as u64).push(b"\0").dec(outside as u64).push(b"\0").dec(length as u64).push(b"\0");
    }
    let _ = sys::dup_to(errors, fd::STDERR);
    let _ = sys::close_from(fd::STDERR + 1);
    let _ = sys::set_signal_mask(0);
    if let Ok(args) = exec::vector(2 + 3 * extents.len(), text.bytes().split_inclusive(|b| *b == 0)) {
        let _ = sys::execve(path, args, &[0]);
    }
    sys::exit(NOT_FOUND)
}

fn read_all(pipe: Fd) -> Text<512> {
    let mut said = Text::new();
    let mut buf = [0; 128];
    while let Ok(n @ 1..) = sys::read(pipe, &mut buf) {
        said.push(&buf[..n]);
    }
    said
}
