//! The sidecar: what the archive says and the unpacked files can't.
//!
//! A plain user can't give files away, make devices or set capabilities, and some file systems hold no
//! whiteouts. So that owners can be applied later inside a user namespace, and a layer be copied into
//! another form, these facts stand in a file beside the layer's files, one record each, in the order of
//! the archive: a later record on a path overrides an earlier one, and the path of a record may have
//! been replaced since, so it must be opened without following symlinks and may be missing.
//!
//! A record is ASCII words, then the path below the root (any bytes; empty for the root), then NUL:
//!
//! | record | meaning |
//! |---|---|
//! | `sampan-layer 1` | first; the version |
//! | `o UID GID MODE PATH` | owner other than the file has; MODE octal with type bits, to set again after a chown unless it is a symlink |
//! | `c HEX PATH` | value of `security.capability`; after the path's owner |
//! | `d TYPE MAJOR MINOR UID GID MODE PATH` | a device that was not made; TYPE `c` or `b` |
//! | `w PATH` | a whiteout |
//! | `q PATH` | an opaque directory |

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::fd::BorrowedFd;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::entry::{Entry, EntryKind, Meta};

/// The sidecar's name, beside the layer's files.
pub const SIDECAR: &str = "sidecar";

/// A sidecar being written.
pub struct Sidecar(BufWriter<File>);

impl Sidecar {
    /// Makes it in the staging directory.
    pub fn create(into: BorrowedFd<'_>) -> io::Result<Self> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_CLOEXEC;
        let file = openat(into, SIDECAR, flags, Mode::from_bits_truncate(0o600))?;
        let mut sidecar = Sidecar(BufWriter::new(File::from(file)));
        sidecar.0.write_all(b"sampan-layer 1\0")?;
        Ok(sidecar)
    }

    /// The owner that the file at `path` should have.
    pub fn owner(&mut self, path: &[u8], kind: EntryKind, meta: &Meta) -> io::Result<()> {
        write!(self.0, "o {} {} {:o} ", meta.uid, meta.gid, type_bits(kind) | meta.mode)?;
        self.end(path)
    }

    /// The capabilities that the file at `path` should have.
    pub fn capability(&mut self, path: &[u8], value: &[u8]) -> io::Result<()> {
        self.0.write_all(b"c ")?;
        value.iter().try_for_each(|byte| write!(self.0, "{byte:02x}"))?;
        self.0.write_all(b" ")?;
        self.end(path)
    }

    /// A device that should be at `path`.
    pub fn device(&mut self, path: &[u8], entry: &Entry) -> io::Result<()> {
        let kind = if entry.kind == EntryKind::CharDevice { 'c' } else { 'b' };
        let ((major, minor), meta) = (entry.device, entry.meta);
        let mode = type_bits(entry.kind) | meta.mode;
        write!(self.0, "d {kind} {major} {minor} {} {} {mode:o} ", meta.uid, meta.gid)?;
        self.end(path)
    }

    /// A whiteout at `path`.
    pub fn whiteout(&mut self, path: &[u8]) -> io::Result<()> {
        self.0.write_all(b"w ")?;
        self.end(path)
    }

    /// An opaque directory at `path`.
    pub fn opaque(&mut self, path: &[u8]) -> io::Result<()> {
        self.0.write_all(b"q ")?;
        self.end(path)
    }

    fn end(&mut self, path: &[u8]) -> io::Result<()> {
        self.0.write_all(path)?;
        self.0.write_all(b"\0")
    }

    /// Writes all out.
    pub fn finish(mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn type_bits(kind: EntryKind) -> u32 {
    match kind {
        EntryKind::File | EntryKind::HardLink => libc::S_IFREG,
        EntryKind::Symlink => libc::S_IFLNK,
        EntryKind::Directory => libc::S_IFDIR,
        EntryKind::CharDevice => libc::S_IFCHR,
        EntryKind::BlockDevice => libc::S_IFBLK,
        EntryKind::Fifo => libc::S_IFIFO,
    }
}
