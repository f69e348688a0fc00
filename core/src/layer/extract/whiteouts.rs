//! Whiteouts and opaque directories: marked as overlayfs reads them.

use std::ffi::CString;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, mknodat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::{Extractor, Place};
use crate::error::{Context, Result};
use crate::layer::dirs::Note;
use crate::layer::tree::{self, is_a};
use crate::layer::{Whiteouts, xattr};

impl Extractor {
    pub(super) fn whiteout(&mut self, at: &Place<'_>) -> Result<()> {
        match mknodat(&at.dir.fd, at.name, SFlag::S_IFCHR, Mode::empty(), 0) {
            Ok(()) => self.whiteouts_are(Whiteouts::Native),
            Err(Errno::EEXIST) => return self.whiteout_of_own(at),
            Err(errno) if xattr::impossible(errno) || errno == Errno::EINVAL => self.whiteout_by_attribute(at)?,
            Err(errno) => return Err(at.failed(errno)),
        }
        self.sidecar.whiteout(&at.path()).context("unpack layer", "")
    }

    /// A whiteout hides only what is below, whichever comes first: a file of this layer stays, and hides it
    /// anyway; a directory must not be merged.
    fn whiteout_of_own(&mut self, at: &Place<'_>) -> Result<()> {
        let there = tree::stat(at.dir.fd.as_fd(), at.name).map_err(|e| at.failed(e))?;
        match is_a(&there, SFlag::S_IFDIR) {
            true => self.mark_opaque(&at.path()),
            false => Ok(()),
        }
    }

    fn whiteout_by_attribute(&mut self, at: &Place<'_>) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let mode = Mode::S_IRUSR | Mode::S_IWUSR;
        let fd = openat(&at.dir.fd, at.name, flags, mode).map_err(|e| at.failed(e))?;
        match xattr::set(fd.as_fd(), &self.overlay("whiteout"), b"y") {
            Ok(()) => {
                self.whiteouts_are(Whiteouts::Attributes);
                self.note(&at.dir.path, Note::HoldsWhiteouts)
            }
            Err(errno) if xattr::impossible(errno) => {
                self.whiteouts_are(Whiteouts::RecordedOnly);
                unlinkat(&at.dir.fd, at.name, UnlinkatFlags::NoRemoveDir).map_err(|e| at.failed(e))
            }
            Err(errno) => Err(at.failed(errno)),
        }
    }

    pub(super) fn opaque(&mut self, path: &[u8]) -> Result<()> {
        let dir = self.parent(path)?;
        self.mark_opaque(&dir.path)
    }

    pub(super) fn mark_opaque(&mut self, path: &[u8]) -> Result<()> {
        self.note(path, Note::Opaque)?;
        self.outcome.opaque_root |= path.is_empty();
        self.sidecar.opaque(path).context("unpack layer", "")
    }

    pub(super) fn whiteouts_are(&mut self, how: Whiteouts) {
        self.outcome.whiteouts = self.outcome.whiteouts.max(how);
    }

    pub(super) fn overlay(&self, what: &str) -> CString {
        CString::new(format!("{}.overlay.{what}", self.form.class())).unwrap_or_default()
    }
}
