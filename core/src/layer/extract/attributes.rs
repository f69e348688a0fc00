//! Extended attributes, capabilities and owners; what this process may not set is told in the sidecar.

use std::ffi::CString;
use std::os::fd::BorrowedFd;

use super::{Extractor, failed};
use crate::error::{Context, Result};
use crate::layer::entry::{Entry, invalid};
use crate::layer::xattr;

impl Extractor {
    /// Sets what an image may set. The rest is dropped: labels of another host's policy, ACLs in its ids,
    /// and above all overlay's own attributes.
    pub(super) fn attributes(&mut self, fd: BorrowedFd<'_>, path: &[u8], entry: &Entry) -> Result<()> {
        for (name, value) in &entry.xattrs {
            match name.as_slice() {
                b"security.capability" => self.capability(fd, path, value)?,
                name if name.starts_with(b"user.") && !name.starts_with(b"user.overlay.") => {
                    self.attribute(fd, path, name, value)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn attribute(&self, fd: BorrowedFd<'_>, path: &[u8], name: &[u8], value: &[u8]) -> Result<()> {
        let name = CString::new(name).map_err(|_| invalid(path, "an attribute's name contains a NUL byte"))?;
        match xattr::set(fd, &name, value) {
            // The file system has none (NFS, an older tmpfs): as in Docker, the image does without.
            Err(errno) if !xattr::impossible(errno) => Err(failed(path, errno)),
            _ => Ok(()),
        }
    }

    fn capability(&mut self, fd: BorrowedFd<'_>, path: &[u8], value: &[u8]) -> Result<()> {
        if self.form.has_owners() {
            match xattr::set(fd, c"security.capability", value) {
                Ok(()) => return Ok(()),
                Err(errno) if xattr::impossible(errno) => {}
                Err(errno) => return Err(failed(path, errno)),
            }
        }
        self.sidecar.capability(path, value).context("unpack layer", "")
    }

    pub(super) fn tell_owner(&mut self, path: &[u8], entry: &Entry) -> Result<()> {
        let told = (entry.meta.uid, entry.meta.gid) != (0, 0) || self.replaced;
        match told && !self.form.has_owners() {
            true => self.sidecar.owner(path, entry.kind, &entry.meta).context("unpack layer", ""),
            false => Ok(()),
        }
    }
}
