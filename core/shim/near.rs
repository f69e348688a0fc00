//! Mount points of one directory of the container's own, /dev or below /sys, which a plan names one after another: the
//! directory is opened once, and what is most likely missing is made without asking first.

use core::ffi::CStr;

use crate::sys::{self, Fd};
use crate::target::{self, Missing};

/// The directory of the last one.
pub struct Near {
    /// Its path inside the root; empty when there is none.
    dir: &'static [u8],
    fd: Fd,
}

impl Near {
    /// None yet.
    pub fn new() -> Near {
        Near { dir: b"", fd: -1 }
    }

    /// An `O_PATH` descriptor of a mount point that was missing and is made; `None` where it has to be looked for.
    pub fn make(&mut self, root: Fd, path: &'static CStr, missing: Missing) -> Option<Fd> {
        let (dir, name) = target::split(path);
        if dir.is_empty() || !target::is_own(path) {
            return None;
        }
        if dir != self.dir {
            let fd = target::parent_of_own(root, dir).ok()?;
            self.forget();
            *self = Near { dir, fd };
        }
        target::make_in(self.fd, name, missing).ok()
    }

    /// Something was mounted there. The directory is still the one of its name only when that was right inside it:
    /// anything else may cover it, or lead to it by a link.
    pub fn mounted(&mut self, path: &'static CStr) {
        let (dir, name) = target::split(path);
        if dir != self.dir || matches!(name, b"" | b"." | b"..") {
            self.forget();
        }
    }

    /// Lets the directory go.
    pub fn forget(&mut self) {
        if self.fd >= 0 {
            let _ = sys::close(self.fd);
        }
        *self = Near::new();
    }
}
