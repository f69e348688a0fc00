//! Makes files of entries. Every name is used relative to a directory's descriptor, every last part
//! without following it, so nothing outside the layer's root can be touched.

mod attributes;
mod finish;
mod whiteouts;

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{
    FchmodatFlags, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, futimens, makedev, mkdirat, mknodat, utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, getegid, geteuid, linkat, symlinkat};

use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::layer::dirs::{Note, Notes};
use crate::layer::entry::{Entry, EntryKind, Meta, invalid, shown};
use crate::layer::name::{self, Meaning};
use crate::layer::pipe::too_large;
use crate::layer::reader::TarReader;
use crate::layer::sidecar::Sidecar;
use crate::layer::tree::{self, Dir, Failure, Implied, Missing, Tree, WORKING_MODE, is_a};
use crate::layer::{FILES, Form, UnpackOptions, Whiteouts, xattr};

/// Blocks of the usual file systems.
const DISK_BLOCK: u64 = 4096;

/// Takes the entries of one layer.
pub struct Extractor {
    tree: Tree,
    notes: Notes,
    sidecar: Sidecar,
    form: Form,
    /// Owner and group of what this process makes.
    own: (u32, u32),
    /// Modes come out as asked, since this thread has a umask of its own: 0.
    exact_modes: bool,
    /// Something was replaced, so every owner must be told: an earlier record may name the path.
    replaced: bool,
    sparse_left: u64,
    /// Entries, and directories that they imply, that there may still be.
    entries_left: u64,
    outcome: Outcome,
}

/// What there is to tell besides the files.
#[derive(Clone, Copy, Debug)]
pub struct Outcome {
    /// Directories that no entry had told of.
    pub implied: u64,
    /// Estimate of the bytes on disk.
    pub size_on_disk: u64,
    /// How whiteouts were made.
    pub whiteouts: Whiteouts,
    /// The root itself is opaque.
    pub opaque_root: bool,
}

/// Where an entry goes.
struct Place<'a> {
    dir: &'a Dir,
    name: &'a [u8],
}

impl<'a> Place<'a> {
    fn new(dir: &'a Dir, name: &'a [u8]) -> Result<Self> {
        let place = Place { dir, name };
        match dir.path.len() + name.len() < name::NAME_MAX {
            true => Ok(place),
            false => name::fits(&place.path()).map_err(|why| invalid(&place.path(), why)).map(|()| place),
        }
    }

    fn path(&self) -> Vec<u8> {
        name::join(&self.dir.path, self.name)
    }

    fn failed(&self, errno: Errno) -> Error {
        failed(&self.path(), errno)
    }
}

fn failed(path: &[u8], errno: Errno) -> Error {
    match errno {
        Errno::ENAMETOOLONG => invalid(path, "the name is too long for the file system"),
        errno => Error::errno_in(errno as i32, "unpack layer", shown(path)),
    }
}

fn too_many() -> Error {
    Error::new(Kind::LimitExceeded, "unpack layer", "")
        .because("the layer has more entries, and directories that their paths imply, than allowed")
        .hint("raise max_entries if the image is trusted")
}

fn refused(path: &[u8], failure: Failure) -> Error {
    match failure {
        Failure::Refused(why) => invalid(path, why),
        Failure::System(errno) => failed(path, errno),
    }
}

impl Extractor {
    /// Makes the layer's root and sidecar in `into`.
    pub fn new(into: BorrowedFd<'_>, options: &UnpackOptions, exact_modes: bool) -> Result<Self> {
        let own = (geteuid().as_raw(), getegid().as_raw());
        let root = make_root(into, own.1).context("unpack layer", "")?;
        let mut notes = Notes::new(into).context("unpack layer", "")?;
        notes.push(b"", Note::Implied).context("unpack layer", "")?;
        Ok(Extractor {
            tree: Tree::new(root),
            notes,
            sidecar: Sidecar::create(into).context("unpack layer", "")?,
            form: options.form,
            own,
            exact_modes,
            replaced: false,
            sparse_left: options.max_bytes,
            entries_left: options.max_entries,
            outcome: Outcome { implied: 0, size_on_disk: DISK_BLOCK, whiteouts: Whiteouts::Absent, opaque_root: false },
        })
    }

    /// Makes one entry; `clean` is a buffer for its name.
    pub fn extract(&mut self, entry: &Entry, reader: &mut TarReader, clean: &mut Vec<u8>) -> Result<()> {
        self.count(1)?;
        name::clean(&entry.name, clean).map_err(|why| invalid(&entry.name, why))?;
        let (parent, last) = name::split(clean);
        match name::meaning(clean).map_err(|why| invalid(&entry.name, why))? {
            Meaning::Bookkeeping => Ok(()),
            Meaning::Opaque => self.opaque(parent),
            Meaning::Whiteout(hidden) => {
                let dir = self.parent(parent)?;
                self.whiteout(&Place::new(&dir, &clean[hidden])?)
            }
            Meaning::File if clean.is_empty() => self.root(entry),
            Meaning::File => {
                let dir = self.parent(parent)?;
                self.file(&Place::new(&dir, last)?, entry, reader)
            }
        }
    }

    fn count(&mut self, n: u64) -> Result<()> {
        self.entries_left = self.entries_left.checked_sub(n).ok_or_else(too_many)?;
        Ok(())
    }

    fn parent(&mut self, path: &[u8]) -> Result<Rc<Dir>> {
        let mut implied: Vec<Implied> = Vec::new();
        let dir = self.tree.dir(path, Missing::Make, &mut implied).map_err(|e| refused(path, e))?;
        self.count(implied.len() as u64)?;
        self.outcome.implied += implied.len() as u64;
        for new in implied {
            self.made_directory(&new.path, Note::Implied)?;
            if new.opaque {
                self.mark_opaque(&new.path)?;
            }
        }
        Ok(dir)
    }

    fn root(&mut self, entry: &Entry) -> Result<()> {
        match entry.kind {
            EntryKind::Directory => {
                self.note(b"", Note::Changed(entry.meta))?;
                self.tell_owner(b"", entry)
            }
            _ => Err(invalid(&entry.name, "the root would become something else than a directory")),
        }
    }

    fn file(&mut self, at: &Place<'_>, entry: &Entry, reader: &mut TarReader) -> Result<()> {
        match entry.kind {
            EntryKind::File => return self.regular(at, entry, reader),
            EntryKind::Directory => self.directory(at, entry),
            EntryKind::Symlink => self.symlink(at, entry),
            EntryKind::HardLink => return self.hard_link(at, entry),
            EntryKind::Fifo => self.node(at, entry, SFlag::S_IFIFO),
            EntryKind::CharDevice => return self.device(at, entry, SFlag::S_IFCHR),
            EntryKind::BlockDevice => return self.device(at, entry, SFlag::S_IFBLK),
        }?;
        self.tell_owner(&at.path(), entry)
    }

    // ── What is there already ────────────────────────────────────────────────────────────────────

    /// Makes something new at a place, taking away what is there: the last entry of a name wins.
    fn make<T>(&mut self, at: &Place<'_>, mut make: impl FnMut(BorrowedFd<'_>, &[u8]) -> nix::Result<T>) -> Result<T> {
        let result = match make(at.dir.fd.as_fd(), at.name) {
            Err(Errno::EEXIST) => {
                self.clear(at)?;
                make(at.dir.fd.as_fd(), at.name)
            }
            result => result,
        };
        result.map_err(|e| at.failed(e))
    }

    fn clear(&mut self, at: &Place<'_>) -> Result<()> {
        fs::remove_at(at.dir.fd.as_fd(), at.name).map_err(|e| at.failed(e))?;
        self.tree.forget();
        self.replaced = true;
        Ok(())
    }

    // ── Files ────────────────────────────────────────────────────────────────────────────────────

    fn regular(&mut self, at: &Place<'_>, entry: &Entry, reader: &mut TarReader) -> Result<()> {
        // An attribute can be set only on what its owner may write.
        let mode = if entry.xattrs.is_empty() { entry.meta.mode & 0o777 } else { 0o600 };
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let fd = self.make(at, |dir, name| openat(dir, name, flags, Mode::from_bits_truncate(mode)))?;
        let file = File::from(fd);
        match &entry.sparse {
            Some(_) => self.write_sparse(&file, at, entry, reader)?,
            None => write_data(&file, at, reader)?,
        }
        self.outcome.size_on_disk += entry.stored.next_multiple_of(DISK_BLOCK);
        self.dress(&file, at, entry, mode)
    }

    fn write_sparse(&mut self, file: &File, at: &Place<'_>, entry: &Entry, reader: &mut TarReader) -> Result<()> {
        let Some(sparse) = &entry.sparse else { return Ok(()) };
        self.sparse_left = self.sparse_left.checked_sub(sparse.size).ok_or_else(too_large)?;
        let failed = |e: std::io::Error| at.failed(errno_of(&e));
        file.set_len(sparse.size).map_err(failed)?;
        for (mut offset, mut length) in sparse.map.iter().copied() {
            while length > 0 {
                let data = reader.data()?;
                let n = data.len().min(usize::try_from(length).unwrap_or(data.len()));
                file.write_all_at(&data[..n], offset).map_err(failed)?;
                reader.consume(n);
                (offset, length) = (offset + n as u64, length - n as u64);
            }
        }
        Ok(())
    }

    /// Owner, mode, attributes, times; in this order, as a chown clears setuid bits and capabilities.
    fn dress(&mut self, file: &File, at: &Place<'_>, entry: &Entry, made_with: u32) -> Result<()> {
        let meta = &entry.meta;
        self.tell_owner(&at.path(), entry)?;
        if self.must_chown(meta) {
            fchown(file, Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)))
                .map_err(|e| chown_failed(&at.path(), meta, e))?;
        }
        self.attributes(file.as_fd(), &at.path(), entry)?;
        if !self.exact_modes || meta.mode != made_with {
            fchmod(file, Mode::from_bits_truncate(meta.mode)).map_err(|e| at.failed(e))?;
        }
        let time = timespec(meta);
        futimens(file, &time, &time).map_err(|e| at.failed(e))
    }

    fn must_chown(&self, meta: &Meta) -> bool {
        self.form.has_owners() && (meta.uid, meta.gid) != self.own
    }

    fn symlink(&mut self, at: &Place<'_>, entry: &Entry) -> Result<()> {
        if entry.link.is_empty() {
            return Err(invalid(&entry.name, "the symlink has no target"));
        }
        self.make(at, |dir, name| symlinkat(entry.link.as_slice(), dir, name))?;
        self.dress_node(at, &entry.meta)
    }

    fn dress_node(&mut self, at: &Place<'_>, meta: &Meta) -> Result<()> {
        if self.must_chown(meta) {
            let (uid, gid) = (Some(Uid::from_raw(meta.uid)), Some(Gid::from_raw(meta.gid)));
            fchownat(&at.dir.fd, at.name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)
                .map_err(|e| chown_failed(&at.path(), meta, e))?;
        }
        let time = timespec(meta);
        utimensat(&at.dir.fd, at.name, &time, &time, UtimensatFlags::NoFollowSymlink).map_err(|e| at.failed(e))
    }

    fn hard_link(&mut self, at: &Place<'_>, entry: &Entry) -> Result<()> {
        let mut target = Vec::new();
        name::clean(&entry.link, &mut target).map_err(|why| invalid(&entry.link, why))?;
        let (parent, last) = name::split(&target);
        let absent =
            || invalid(&entry.name, format!("it is a hard link to {}, which is not in this layer", shown(&entry.link)));
        let dir = match self.tree.dir(parent, Missing::Fail, &mut Vec::new()) {
            Err(Failure::System(Errno::ENOENT)) => return Err(absent()),
            other => other.map_err(|e| refused(&entry.link, e))?,
        };
        match tree::stat(dir.fd.as_fd(), last) {
            _ if last.is_empty() => return Err(invalid(&entry.name, "it is a hard link to the root")),
            Ok(stat) if is_a(&stat, SFlag::S_IFDIR) => {
                return Err(invalid(&entry.name, "it is a hard link to a directory"));
            }
            Ok(stat) if !tree::hides(dir.fd.as_fd(), last, &stat) => {}
            Ok(_) | Err(Errno::ENOENT) => return Err(absent()),
            Err(errno) => return Err(failed(&target, errno)),
        }
        if dir.path == at.dir.path && last == at.name {
            return Err(invalid(&entry.name, "it is a hard link to itself"));
        }
        // Without AT_SYMLINK_FOLLOW a symlink gets a second name itself.
        self.make(at, |new, name| linkat(&dir.fd, last, new, name, AtFlags::empty()))?;
        // The name may have belonged to a file of another owner.
        match self.replaced {
            true => self.tell_owner(&at.path(), entry),
            false => Ok(()),
        }
    }

    // ── Devices and pipes ────────────────────────────────────────────────────────────────────────

    fn device(&mut self, at: &Place<'_>, entry: &Entry, kind: SFlag) -> Result<()> {
        if kind == SFlag::S_IFCHR && entry.device == (0, 0) {
            return Err(invalid(&entry.name, "a 0/0 device in an archive would hide files of the layers below"));
        }
        if self.form.has_owners() {
            match self.node(at, entry, kind) {
                // Root of a container or of a user namespace, which may make none.
                Err(e) if e.errno() == Some(libc::EPERM) => {}
                other => return other,
            }
        }
        self.sidecar.device(&at.path(), entry).context("unpack layer", "")
    }

    fn node(&mut self, at: &Place<'_>, entry: &Entry, kind: SFlag) -> Result<()> {
        let mode = Mode::from_bits_truncate(entry.meta.mode);
        let (major, minor) = entry.device;
        let device = makedev(major.into(), minor.into());
        self.make(at, |dir, name| mknodat(dir, name, kind, mode, device))?;
        if !self.exact_modes {
            // Follows symlinks, but this name is the node just made, in a directory that is ours alone.
            fchmodat(&at.dir.fd, at.name, mode, FchmodatFlags::FollowSymlink).map_err(|e| at.failed(e))?;
        }
        self.dress_node(at, &entry.meta)
    }

    // ── Directories ──────────────────────────────────────────────────────────────────────────────

    fn directory(&mut self, at: &Place<'_>, entry: &Entry) -> Result<()> {
        let path = at.path();
        match mkdirat(&at.dir.fd, at.name, WORKING_MODE) {
            Ok(()) => self.made_directory(&path, Note::Made(entry.meta))?,
            Err(Errno::EEXIST) => self.directory_again(at, &path, entry)?,
            Err(errno) => return Err(at.failed(errno)),
        }
        match entry.xattrs.is_empty() {
            true => Ok(()),
            false => {
                let fd = self.tree.reopen(&path).map_err(|e| at.failed(e))?;
                self.attributes(fd.as_fd(), &path, entry)
            }
        }
    }

    fn directory_again(&mut self, at: &Place<'_>, path: &[u8], entry: &Entry) -> Result<()> {
        let there = tree::stat(at.dir.fd.as_fd(), at.name).map_err(|e| at.failed(e))?;
        if is_a(&there, SFlag::S_IFDIR) {
            return self.note(path, Note::Changed(entry.meta));
        }
        let hidden = tree::hides(at.dir.fd.as_fd(), at.name, &there);
        self.clear(at)?;
        mkdirat(&at.dir.fd, at.name, WORKING_MODE).map_err(|e| at.failed(e))?;
        self.made_directory(path, Note::Made(entry.meta))?;
        match hidden {
            true => self.mark_opaque(path),
            false => Ok(()),
        }
    }

    fn made_directory(&mut self, path: &[u8], note: Note) -> Result<()> {
        self.outcome.size_on_disk += DISK_BLOCK;
        self.note(path, note)
    }

    fn note(&mut self, path: &[u8], note: Note) -> Result<()> {
        self.notes.push(path, note).context("unpack layer", "")
    }
}

/// The layer's root, free of what a store's directory may hand down: group, setgid bit, default ACL.
fn make_root(into: BorrowedFd<'_>, own_group: u32) -> nix::Result<OwnedFd> {
    mkdirat(into, FILES, WORKING_MODE)?;
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let root = openat(into, FILES, flags, Mode::empty())?;
    for acl in [c"system.posix_acl_default", c"system.posix_acl_access"] {
        match xattr::remove(root.as_fd(), acl) {
            Ok(()) | Err(Errno::ENODATA) => {}
            Err(errno) if xattr::impossible(errno) => {}
            Err(errno) => return Err(errno),
        }
    }
    if fstat(&root)?.st_gid != own_group {
        fchown(&root, None, Some(Gid::from_raw(own_group)))?;
    }
    fchmod(&root, WORKING_MODE)?;
    Ok(root)
}

fn write_data(mut file: &File, at: &Place<'_>, reader: &mut TarReader) -> Result<()> {
    loop {
        let data = reader.data()?;
        let n = data.len();
        if n == 0 {
            return Ok(());
        }
        file.write_all(data).map_err(|e| at.failed(errno_of(&e)))?;
        reader.consume(n);
    }
}

fn errno_of(e: &std::io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

fn owner_words(meta: &Meta) -> String {
    format!("it can't be given to owner {}:{}", meta.uid, meta.gid)
}

fn chown_failed(path: &[u8], meta: &Meta, errno: Errno) -> Error {
    let error = failed(path, errno).because(owner_words(meta));
    match errno {
        // chown(2): an id without a place in the user namespace's map.
        Errno::EINVAL => error.hint("the image has owners beyond the id map of this user namespace: give it more ids"),
        _ => error,
    }
}

fn timespec(meta: &Meta) -> TimeSpec {
    TimeSpec::new(meta.mtime.seconds, meta.mtime.nanoseconds.into())
}
