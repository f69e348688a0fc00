//! One small memory file system per container, for planned files and for the directory that hides others.
//!
//! It is attached below the root, so that its parts can be cloned on kernels which clone attached mounts
//! only; it goes out of sight with the host's tree.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Errno, Fd, MountAttr};
use crate::text::Text;
use crate::wire::{Launch, MountSource, Step};

/// What the scratch file system gives.
pub struct Scratch {
    dir: Option<Fd>,
    files: u64,
    /// A read-only mount of the empty directory, once there is one.
    empty: Option<Fd>,
    /// The host's /dev/null, checked to be it.
    null: Option<Fd>,
}

impl Scratch {
    /// Makes it when the plan will need it.
    pub fn new(launch: &Launch<'static>) -> Outcome<Scratch> {
        let files = launch.mounts.iter().any(|m| matches!(m.source, MountSource::File(..)));
        let dir = match files || !launch.masked_paths.is_empty() {
            true => Some(attach(launch.rootfs.attach_at, launch.mount_label).step(Step::Scratch)?),
            false => None,
        };
        Ok(Scratch { dir, files: 0, empty: None, null: None })
    }

    /// A detached mount of a file with this content.
    pub fn file(&mut self, content: &[u8], mode: u32) -> sys::Result<Fd> {
        let dir = self.dir.ok_or(Errno::ENOENT)?;
        let mut name: Text<32> = Text::new();
        name.dec(self.files);
        self.files += 1;
        let fd = sys::openat(dir, name.c(), sys::O_CREAT | sys::O_EXCL | sys::O_WRONLY, mode)?;
        let written = sys::write_all(fd, content).and_then(|()| sys::fchmod(fd, mode));
        let _ = sys::close(fd);
        written?;
        sys::open_tree_clone(dir, name.c(), false, 0)
    }

    /// A detached read-only mount of an empty directory.
    pub fn empty_directory(&mut self) -> sys::Result<Fd> {
        // A clone of a mount has its attributes: only the first is made read-only.
        if let Some(first) = self.empty {
            return sys::open_tree_clone(first, c"", false, AT_EMPTY_PATH);
        }
        let dir = self.dir.ok_or(Errno::ENOENT)?;
        sys::mkdirat(dir, c"empty", 0o555)?;
        let mount = sys::open_tree_clone(dir, c"empty", false, 0)?;
        let readonly = MountAttr { set: sys::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
        sys::mount_setattr(mount, c"", AT_EMPTY_PATH, &readonly)?;
        self.empty = Some(mount);
        Ok(mount)
    }

    /// A detached mount of /dev/null.
    pub fn null(&mut self) -> sys::Result<Fd> {
        let null = match self.null {
            Some(fd) => fd,
            None => open_null()?,
        };
        self.null = Some(null);
        sys::open_tree_clone(null, c"", false, AT_EMPTY_PATH)
    }

    /// True for a mount that later ones are cloned from.
    pub fn keeps(&self, mount: Fd) -> bool {
        self.empty == Some(mount)
    }
}

/// A small memory file system at a path.
pub fn attach(at: &CStr, label: Option<&'static CStr>) -> sys::Result<Fd> {
    let context = sys::fsopen(c"tmpfs")?;
    sys::fsconfig_set(context, c"mode", c"755")?;
    sys::fsconfig_set(context, c"size", c"4m")?;
    if let Some(label) = label {
        sys::fsconfig_set(context, c"context", label)?;
    }
    sys::fsconfig_create(context)?;
    let mount = sys::fsmount(context, sys::MOUNT_ATTR_NOSUID | sys::MOUNT_ATTR_NODEV | sys::MOUNT_ATTR_NOEXEC)?;
    let _ = sys::close(context);
    sys::move_mount_at(mount, at)?;
    Ok(mount)
}

fn open_null() -> sys::Result<Fd> {
    let fd = sys::openat(AT_FDCWD, c"/dev/null", sys::O_PATH | sys::O_NOFOLLOW, 0)?;
    let stat = sys::fstat(fd)?;
    match stat.kind() == sys::S_IFCHR && stat.rdev == (1, 3) {
        true => Ok(fd),
        false => Err(Errno::ENODEV),
    }
}
