//! The root of a container without namespaces: a directory of its own, entered by chroot and confined by Landlock.
//!
//! Whoever may call chroot again can leave one; the plan takes that capability, and Landlock holds in any case.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::target;
use crate::text::Text;
use crate::wire::{Launch, MountSource, Step};
use crate::{init, landlock, terminal, tree};

/// Enters it and makes what a container finds there at each start; returns the terminal's slave, if it has one.
pub fn make(launch: &Launch<'static>, tree: &'static CStr, sync: Fd) -> Outcome<Option<Fd>> {
    let slave = if launch.process.tty { Some(terminal::make_of_host(sync, None)?) } else { None };
    enter(tree)?;
    let root = sys::openat(AT_FDCWD, c"/", sys::O_PATH | sys::O_DIRECTORY, 0).at(Step::Tree, tree)?;
    make_devices()?;
    // In place of a memory file system, which would have to be mounted.
    make_directory(c"/dev/shm", 0o1777).at(Step::Tree, c"/dev/shm")?;
    launch.mounts.iter().try_for_each(|mount| match mount.source {
        MountSource::File(content, mode) => write(root, mount.target, content, mode).at(Step::Tree, mount.target),
        _ => Ok(()),
    })?;
    init::make_working_directory(root, &launch.process)?;
    let _ = sys::close(root);
    landlock::confine(launch.rootfs.readonly)?;
    Ok(slave)
}

/// Enters that of a container that has been made, with a terminal of this size where one is asked for; nothing is done for
/// one with namespaces. Returns the terminal's slave.
pub fn join(launch: &Launch<'static>, tty: Option<Option<(u32, u32)>>, sync: Fd) -> Outcome<Option<Fd>> {
    let Some(tree) = launch.rootfs.tree() else { return Ok(None) };
    let slave = tty.map(|size| terminal::make_of_host(sync, size)).transpose()?;
    enter(tree)?;
    landlock::confine(launch.rootfs.readonly)?;
    Ok(slave)
}

fn enter(tree: &'static CStr) -> Outcome {
    sys::chroot(tree).and_then(|()| sys::chdir(c"/")).at(Step::Tree, tree)
}

const DEVICES: [(&CStr, (u32, u32)); 6] = [
    (c"/dev/null", (1, 3)),
    (c"/dev/zero", (1, 5)),
    (c"/dev/full", (1, 7)),
    (c"/dev/random", (1, 8)),
    (c"/dev/urandom", (1, 9)),
    (c"/dev/tty", (5, 0)),
];

/// Nodes of its own: nothing can be bound here. The container can make none.
fn make_devices() -> Outcome {
    make_directory(c"/dev", 0o755).at(Step::Device, c"/dev")?;
    let mask = sys::umask(0);
    DEVICES.iter().try_for_each(|(path, number)| make_device(path, *number).at(Step::Device, path))?;
    sys::umask(mask);
    // On a file system that is mounted so, nodes can be made, and not opened.
    let null = sys::openat(AT_FDCWD, c"/dev/null", sys::O_RDWR, 0).at(Step::Device, c"/dev/null")?;
    let _ = sys::close(null);
    Ok(())
}

fn make_device(path: &CStr, number: (u32, u32)) -> sys::Result {
    let make = || sys::mknodat(AT_FDCWD, path, sys::S_IFCHR | 0o666, sys::makedev(number));
    match make() {
        // That of the start before, or whatever the container has put there.
        Err(Errno::EEXIST) => tree::remove(AT_FDCWD, path).and_then(|()| make()),
        made => made,
    }
}

/// A directory with this mode, in the place of what is none.
fn make_directory(path: &CStr, mode: u32) -> sys::Result {
    let open = || sys::openat(AT_FDCWD, path, sys::O_RDONLY | sys::O_DIRECTORY | sys::O_NOFOLLOW, 0);
    let make = || sys::mkdirat(AT_FDCWD, path, mode).and_then(|()| open());
    let dir = match open() {
        Err(Errno::ENOENT) => make(),
        Err(Errno::ENOTDIR | Errno::ELOOP) => tree::remove(AT_FDCWD, path).and_then(|()| make()),
        there => there,
    }?;
    let changed = sys::fchmod(dir, mode);
    let _ = sys::close(dir);
    changed
}

/// Writes a file anew, over whatever has its name.
fn write(root: Fd, path: &'static CStr, content: &[u8], mode: u32) -> sys::Result {
    let (dir, name) = target::split(path);
    let mut dir: Text<4096> = Text::of(&[b"/", dir]);
    let parent = target::directory(root, dir.c())?;
    let written = write_in(parent, Text::<256>::of(&[name]).c(), content, mode);
    let _ = sys::close(parent);
    written
}

fn write_in(parent: Fd, name: &CStr, content: &[u8], mode: u32) -> sys::Result {
    tree::remove(parent, name)?;
    let file = sys::openat(parent, name, sys::O_CREAT | sys::O_EXCL | sys::O_WRONLY, mode)?;
    let written = sys::write_all(file, content).and_then(|()| sys::fchmod(file, mode));
    let _ = sys::close(file);
    written
}
