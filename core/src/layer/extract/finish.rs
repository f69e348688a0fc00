//! The end of a layer: what is done to directories once all their files are in them.

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::stat::{Mode, fchmod, futimens};
use nix::unistd::{Gid, Uid, fchown};

use super::{Extractor, Outcome, chown_failed, failed, timespec};
use crate::cancel::Cancel;
use crate::error::{Context, Result};
use crate::layer::dirs::Final;
use crate::layer::entry::Meta;
use crate::layer::{Whiteouts, xattr};

impl Extractor {
    /// Finishes directories and sidecar.
    pub fn finish(mut self, cancel: &Cancel) -> Result<Outcome> {
        let mut finals = self.notes.finals().context("unpack layer", "")?;
        while let Some(dir) = finals.next().context("unpack layer", "")? {
            cancel.check("unpack layer", "")?;
            self.finish_directory(&dir)?;
        }
        self.sidecar.finish().context("unpack layer", "")?;
        Ok(self.outcome)
    }

    fn finish_directory(&mut self, dir: &Final<'_>) -> Result<()> {
        let fd = match self.tree.reopen(dir.path) {
            // Replaced by a later entry.
            Err(Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP) => return Ok(()),
            other => other.map_err(|e| failed(dir.path, e))?,
        };
        self.mark(fd.as_fd(), dir)?;
        self.dress_directory(fd.as_fd(), dir)
    }

    fn mark(&mut self, fd: BorrowedFd<'_>, dir: &Final<'_>) -> Result<()> {
        let value: &[u8] = match (dir.opaque, dir.holds_whiteouts) {
            // Overlayfs reads no such mark on a layer's root.
            (true, _) if dir.path.is_empty() => return Ok(()),
            (true, _) => b"y",
            (false, true) => b"x",
            (false, false) => return Ok(()),
        };
        match xattr::set(fd, &self.overlay("opaque"), value) {
            Ok(()) => self.whiteouts_are(Whiteouts::Native),
            Err(errno) if xattr::impossible(errno) => self.whiteouts_are(Whiteouts::RecordedOnly),
            Err(errno) => return Err(failed(dir.path, errno)),
        }
        Ok(())
    }

    fn dress_directory(&self, fd: BorrowedFd<'_>, dir: &Final<'_>) -> Result<()> {
        let place = |e| failed(dir.path, e);
        let meta = dir.meta.unwrap_or(Meta { mode: 0o755, ..Meta::default() });
        if self.must_chown(&meta) {
            let ids = (Uid::from_raw(meta.uid), Gid::from_raw(meta.gid));
            fchown(fd, Some(ids.0), Some(ids.1)).map_err(|e| chown_failed(dir.path, &meta, e))?;
        }
        fchmod(fd, Mode::from_bits_truncate(meta.mode)).map_err(place)?;
        match dir.meta {
            Some(meta) => futimens(fd, &timespec(&meta), &timespec(&meta)).map_err(place),
            None => Ok(()),
        }
    }
}
