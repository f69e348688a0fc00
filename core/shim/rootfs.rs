//! The root file system: an overlay or a directory, attached where it can become the root.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, Errno, Fd, MountAttr};
use crate::text::Text;
use crate::wire::{List, Rootfs, RootfsKind, Step};

/// Nothing that is mounted from here on reaches the host; unmounts there still reach us and keep nothing busy.
pub fn detach_from_host() -> Outcome {
    sys::mount(c"", c"/", c"", sys::MS_SLAVE | sys::MS_REC, c"").step(Step::Propagation)
}

/// Mounts and attaches it; the descriptor is its root directory.
pub fn attach(rootfs: &Rootfs<'static>) -> Outcome<Fd> {
    let nodev = if rootfs.nodev { sys::MOUNT_ATTR_NODEV } else { 0 };
    let mount = match rootfs.kind {
        RootfsKind::Overlay(lower, upper, work, userxattr) => overlay(&lower, upper, work, userxattr, nodev, rootfs)?,
        RootfsKind::Directory(path) => directory(path, nodev)?,
    };
    match mount {
        Some(detached) => {
            sys::move_mount_at(detached, rootfs.attach_at).at(Step::AttachRoot, rootfs.attach_at)?;
            Ok(detached)
        }
        None => sys::openat(AT_FDCWD, rootfs.attach_at, sys::O_PATH | sys::O_DIRECTORY, 0)
            .at(Step::AttachRoot, rootfs.attach_at),
    }
}

/// Makes it read-only, once everything in it is in place.
pub fn make_readonly(root: Fd) -> Outcome {
    let attr = MountAttr { set: sys::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    sys::mount_setattr(root, c"", AT_EMPTY_PATH, &attr).step(Step::ReadonlyRoot)
}

/// Makes it the root of this mount namespace and lets the host's go.
pub fn enter(root: Fd) -> Outcome {
    sys::fchdir(root).step(Step::Pivot)?;
    match sys::pivot_root(c".", c".") {
        // The host's root is the first file system of the kernel, which can't be pivoted from.
        Err(Errno::EINVAL) => {
            sys::mount(c".", c"/", c"", sys::MS_MOVE, c"").step(Step::Pivot)?;
            sys::chroot(c".").step(Step::Pivot)?;
        }
        other => {
            other.step(Step::Pivot)?;
            // The old root lies on top of the new one now.
            sys::umount2(c".", sys::MNT_DETACH).step(Step::Pivot)?;
        }
    }
    sys::chdir(c"/").step(Step::Pivot)
}

fn directory(path: &'static CStr, nodev: u64) -> Outcome<Option<Fd>> {
    let tree = sys::open_tree_clone(AT_FDCWD, path, true, 0).at(Step::RootDirectory, path)?;
    let attr = MountAttr { set: nodev, propagation: sys::MS_PRIVATE, ..MountAttr::default() };
    sys::mount_setattr(tree, c"", AT_EMPTY_PATH | AT_RECURSIVE, &attr).at(Step::RootDirectory, path)?;
    Ok(Some(tree))
}

type Lower = List<'static, &'static CStr>;

fn overlay(
    lower: &Lower,
    upper: &'static CStr,
    work: &'static CStr,
    userxattr: bool,
    nodev: u64,
    rootfs: &Rootfs<'static>,
) -> Outcome<Option<Fd>> {
    match by_options(lower, upper, work, userxattr, nodev) {
        Ok(mount) => Ok(Some(mount)),
        // A kernel without `lowerdir+`, or a path too long for one option.
        Err(Errno::EINVAL) => by_descriptors(lower, upper, work, userxattr, nodev, rootfs.attach_at)
            .at(Step::Overlay, upper)
            .map(|()| None),
        Err(errno) => Err(errno).at(Step::Overlay, upper),
    }
}

fn by_options(lower: &Lower, upper: &CStr, work: &CStr, userxattr: bool, nodev: u64) -> sys::Result<Fd> {
    let context = sys::fsopen(c"overlay")?;
    let configured = (|| {
        sys::fsconfig_set(context, c"source", c"overlay")?;
        for dir in lower.iter() {
            sys::fsconfig_set(context, c"lowerdir+", dir)?;
        }
        sys::fsconfig_set(context, c"upperdir", upper)?;
        sys::fsconfig_set(context, c"workdir", work)?;
        if userxattr {
            sys::fsconfig_set(context, c"userxattr", c"")?;
        }
        sys::fsconfig_create(context)?;
        sys::fsmount(context, nodev)
    })();
    let _ = sys::close(context);
    configured
}

/// All of an older mount's options share one page: directories are named by short links to descriptors.
fn by_descriptors(lower: &Lower, upper: &CStr, work: &CStr, userxattr: bool, nodev: u64, at: &CStr) -> sys::Result {
    let mut options: Text<4096> = Text::new();
    let name = |options: &mut Text<4096>, dir: &CStr| -> sys::Result {
        let fd = sys::openat(AT_FDCWD, dir, sys::O_PATH | sys::O_DIRECTORY, 0)?;
        options.push(b"/proc/self/fd/").dec(fd as u64);
        Ok(())
    };
    for (i, dir) in lower.iter().enumerate() {
        options.push(if i == 0 { b"lowerdir=" } else { b":" });
        name(&mut options, dir)?;
    }
    options.push(b",upperdir=");
    name(&mut options, upper)?;
    options.push(b",workdir=");
    name(&mut options, work)?;
    if userxattr {
        options.push(b",userxattr");
    }
    if options.is_cut() {
        return Err(Errno::E2BIG);
    }
    sys::mount(c"overlay", at, c"overlay", if nodev != 0 { sys::MS_NODEV } else { 0 }, options.c())
}
