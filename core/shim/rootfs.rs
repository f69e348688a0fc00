//! The root file system: an overlay or a directory, attached where it can become the root.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, Errno, Fd, MountAttr};
use crate::text::Text;
use crate::wire::{List, Rootfs, RootfsKind, Step};

/// Nothing that is mounted from here on reaches the host; unmounts there still reach us and keep nothing busy.
/// From the top of the mount namespace, which is not the host's root when the host has changed that by a chroot.
pub fn detach_from_host() -> Outcome {
    let host = sys::openat(AT_FDCWD, c"/", sys::O_PATH | sys::O_DIRECTORY, 0).step(Step::Propagation)?;
    go_to_top().step(Step::Propagation)?;
    sys::mount(c"", c"/", c"", sys::MS_SLAVE | sys::MS_REC, c"").step(Step::Propagation)?;
    // The plan's paths are the host's.
    sys::fchdir(host).and_then(|()| sys::chroot(c".")).step(Step::Propagation)?;
    let _ = sys::close(host);
    Ok(())
}

/// Joining a mount namespace, one's own too, makes the top of it the root.
pub fn go_to_top() -> sys::Result {
    let own =
        sys::pidfd_open(sys::getpid()).or_else(|_| sys::openat(AT_FDCWD, c"/proc/self/ns/mnt", sys::O_RDONLY, 0))?;
    let joined = sys::setns(own, sys::CLONE_NEWNS);
    let _ = sys::close(own);
    joined
}

/// A detached mount of it; the descriptor is its root directory.
pub fn make(rootfs: &Rootfs<'static>, label: Option<&'static CStr>) -> Outcome<Fd> {
    let nodev = if rootfs.nodev { sys::MOUNT_ATTR_NODEV } else { 0 };
    match rootfs.kind {
        RootfsKind::Overlay(lower, upper, work, userxattr) => {
            let overlay = Overlay { lower, upper, work, userxattr, nodev, label };
            overlay.mount(rootfs.attach_at).at(Step::Overlay, upper)
        }
        RootfsKind::Directory(path) => directory(path, nodev).at(Step::RootDirectory, path),
        // Whoever has one enters it without a mount.
        RootfsKind::Tree(path) => Err(Errno::EINVAL).at(Step::Tree, path),
    }
}

/// Attaches it where it can become the root. What the host has there is out of sight then.
pub fn attach(root: Fd, rootfs: &Rootfs<'static>) -> Outcome {
    sys::move_mount_at(root, rootfs.attach_at).at(Step::AttachRoot, rootfs.attach_at)
}

/// Makes it read-only, once everything in it is in place.
pub fn make_readonly(root: Fd) -> Outcome {
    let attr = MountAttr { set: sys::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    sys::mount_setattr(root, c"", AT_EMPTY_PATH, &attr).step(Step::ReadonlyRoot)
}

/// Makes it the root of this mount namespace and lets the host's go: all of it, or a container of a host in a
/// chroot could climb out by way of what is above.
pub fn enter(root: Fd) -> Outcome {
    go_to_top().step(Step::Pivot)?;
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

fn directory(path: &CStr, nodev: u64) -> sys::Result<Fd> {
    let tree = sys::open_tree_clone(AT_FDCWD, path, true, 0)?;
    if !sys::fstat(tree)?.is_dir() {
        return Err(Errno::ENOTDIR);
    }
    let attr = MountAttr { set: nodev, propagation: sys::MS_PRIVATE, ..MountAttr::default() };
    sys::mount_setattr(tree, c"", AT_EMPTY_PATH | AT_RECURSIVE, &attr)?;
    Ok(tree)
}

struct Overlay {
    lower: List<'static, &'static CStr>,
    upper: &'static CStr,
    work: &'static CStr,
    userxattr: bool,
    nodev: u64,
    /// SELinux label of everything in it.
    label: Option<&'static CStr>,
}

impl Overlay {
    fn mount(&self, spare: &CStr) -> sys::Result<Fd> {
        if self.would_be_unescaped() {
            return self.by_descriptors(spare);
        }
        match self.by_options() {
            // A kernel without `lowerdir+`, or a path too long for one option.
            Err(Errno::EINVAL) => self.by_descriptors(spare),
            other => other,
        }
    }

    /// Overlayfs takes a backslash for the beginning of an escape: in some options, and which differs between kernels.
    fn would_be_unescaped(&self) -> bool {
        let mut dirs = self.lower.iter().chain([self.upper, self.work]);
        dirs.any(|dir| dir.to_bytes().contains(&b'\\'))
    }

    fn by_options(&self) -> sys::Result<Fd> {
        let context = sys::fsopen(c"overlay")?;
        let mount = self.configure(context).and_then(|()| sys::fsmount(context, self.nodev));
        let _ = sys::close(context);
        mount
    }

    fn configure(&self, context: Fd) -> sys::Result {
        sys::fsconfig_set(context, c"source", c"overlay")?;
        for dir in self.lower.iter() {
            sys::fsconfig_set(context, c"lowerdir+", dir)?;
        }
        sys::fsconfig_set(context, c"upperdir", self.upper)?;
        sys::fsconfig_set(context, c"workdir", self.work)?;
        if self.userxattr {
            sys::fsconfig_set(context, c"userxattr", c"")?;
        }
        if let Some(label) = self.label {
            sys::fsconfig_set(context, c"context", label)?;
        }
        sys::fsconfig_create(context)
    }

    /// By the older call, which can only mount at a path: it is taken from there again.
    fn by_descriptors(&self, spare: &CStr) -> sys::Result<Fd> {
        let flags = if self.nodev != 0 { sys::MS_NODEV } else { 0 };
        sys::mount(c"overlay", spare, c"overlay", flags, self.options()?.c())?;
        let tree = sys::open_tree_clone(AT_FDCWD, spare, false, 0)?;
        sys::umount2(spare, sys::MNT_DETACH)?;
        Ok(tree)
    }

    /// All options share one page: directories are named by short links to descriptors.
    fn options(&self) -> sys::Result<Text<4096>> {
        let mut options: Text<4096> = Text::new();
        for (i, dir) in self.lower.iter().enumerate() {
            push_directory(&mut options, if i == 0 { b"lowerdir=" } else { b":" }, dir)?;
        }
        push_directory(&mut options, b",upperdir=", self.upper)?;
        push_directory(&mut options, b",workdir=", self.work)?;
        if self.userxattr {
            options.push(b",userxattr");
        }
        if let Some(label) = self.label {
            // A label has commas, which end an option otherwise.
            options.push(b",context=\"").push(label.to_bytes()).push(b"\"");
        }
        if options.is_cut() { Err(Errno::E2BIG) } else { Ok(options) }
    }
}

fn push_directory(options: &mut Text<4096>, key: &[u8], dir: &CStr) -> sys::Result {
    let fd = sys::openat(AT_FDCWD, dir, sys::O_PATH | sys::O_DIRECTORY, 0)?;
    options.push(key).push(b"/proc/self/fd/").dec(fd as u64);
    Ok(())
}
