//! One step after the other in a container's files, each by one name that is resolved once, to a descriptor.
//!
//! The container may change its files at any moment. So a path from outside is walked with the container's root as the
//! root (CVE-2018-15664), a name in an opened directory is never followed, and what is found is looked at before it is
//! opened: a device or a pipe never is.

use core::ffi::CStr;

use crate::sys::{self, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Errno, Fd, Stat};
use crate::target::relative;
use crate::text::Text;
use crate::wire::{self, FILES_PACKET, FileOrder, FileStep, REPLY_FIXED, Reader};

/// A name that is taken anew each time it is cleared: whoever does that gets the error.
const PATIENCE: u32 = 8;

/// What a step finds or makes.
struct Found {
    stat: Option<Stat>,
    /// To be sent and closed; -1 for none.
    fd: Fd,
    /// How much of the reply's room for a text is used.
    text: usize,
}

impl Found {
    const NOTHING: Found = Found { stat: None, fd: -1, text: 0 };

    fn text(n: usize) -> Found {
        Found { text: n, ..Found::NOTHING }
    }
}

/// The container's root, and this process's own descriptors as files.
pub struct Server {
    root: Fd,
    own: Fd,
    /// Whether what is there stays as it is, though no mount sees to it.
    kept: bool,
    order: &'static mut [u8],
    reply: &'static mut [u8],
}

impl Server {
    /// Serves below this root.
    pub fn new(root: Fd, own: Fd, kept: bool) -> sys::Result<Server> {
        let (order, reply) = (sys::map_anonymous(FILES_PACKET)?, sys::map_anonymous(FILES_PACKET)?);
        Ok(Server { root, own, kept, order, reply })
    }

    /// One order; false when nobody is there to give any.
    pub fn turn(&mut self, socket: Fd) -> bool {
        let Ok((n @ 1.., fds)) = sys::recv_two(socket, self.order) else { return false };
        let done = self.step(n, fds);
        fds.into_iter().for_each(|fd| drop(sys::close(fd)));
        let sent = self.answer(socket, &done);
        if let Ok(Found { fd, .. }) = done {
            let _ = sys::close(fd);
        }
        sent
    }

    fn step(&mut self, n: usize, [first, second]: [Fd; 2]) -> sys::Result<Found> {
        let order: FileOrder = Reader(&self.order[..n]).get().map_err(|_| Errno::EINVAL)?;
        let at = Place { root: self.root, own: self.own };
        let text = &mut self.reply[REPLY_FIXED..];
        match FileStep::from_number(order.step).ok_or(Errno::EINVAL)? {
            FileStep::Look => at.look(first, &order, text),
            FileStep::Open => at.open(&order),
            FileStep::Make => make(first, &order, self.kept),
            FileStep::Finish => finish(first, &order),
            FileStep::ListAttributes => sys::flistxattr(first, text).map(Found::text),
            FileStep::Attribute => sys::fgetxattr(first, order.text, text).map(Found::text),
            FileStep::SetAttribute => sys::fsetxattr(first, order.text, order.value).map(|()| Found::NOTHING),
            FileStep::Link => at.link(first, second, order.path),
            FileStep::Undo => undo(first, second, order.path),
        }
    }

    fn answer(&mut self, socket: Fd, done: &sys::Result<Found>) -> bool {
        let (errno, found) = match done {
            Ok(found) => (0, found),
            Err(errno) => (errno.0 as u32, &Found::NOTHING),
        };
        let n = write(self.reply, errno, found);
        let fd = [found.fd];
        let fds = if found.fd < 0 { &fd[..0] } else { &fd[..] };
        sys::send_fds(socket, &self.reply[..n], fds).is_ok()
    }
}

/// The reply's fixed part in front of the text, which is there; the length of both.
fn write(reply: &mut [u8], errno: u32, found: &Found) -> usize {
    let s = found.stat.unwrap_or_default();
    let words = [errno, s.mode, s.uid, s.gid, s.nlink, s.mtime.1, s.dev.0, s.dev.1, s.rdev.0, s.rdev.1];
    let (fixed, _) = reply.split_at_mut(REPLY_FIXED);
    for (to, word) in fixed.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&word.to_ne_bytes());
    }
    for (to, long) in fixed[40..].chunks_exact_mut(8).zip([s.size, s.ino, s.mtime.0 as u64]) {
        to.copy_from_slice(&long.to_ne_bytes());
    }
    fixed[REPLY_FIXED - 4..].copy_from_slice(&(found.text as u32).to_ne_bytes());
    REPLY_FIXED + found.text
}

/// Where paths are resolved.
struct Place {
    root: Fd,
    own: Fd,
}

impl Place {
    fn look(&self, dir: Fd, order: &FileOrder, text: &mut [u8]) -> sys::Result<Found> {
        let file = self.find(dir, order)?;
        let found = self.describe(file, order.flags & wire::READ != 0, text);
        if !matches!(&found, Ok(found) if found.fd == file) {
            let _ = sys::close(file);
        }
        found
    }

    fn find(&self, dir: Fd, order: &FileOrder) -> sys::Result<Fd> {
        let follow = order.flags & wire::FOLLOW != 0;
        let flags = sys::O_PATH | if follow { 0 } else { sys::O_NOFOLLOW };
        match (dir < 0, follow) {
            (true, _) => self.resolve(order.path, flags),
            // From here the root is this process's own, which no link leads out of either.
            (false, true) => sys::openat2(dir, relative(order.path), flags, 0, sys::RESOLVE_NO_MAGICLINKS),
            (false, false) => {
                let how = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;
                sys::openat2(dir, order.path, flags, 0, how)
            }
        }
    }

    fn resolve(&self, path: &CStr, flags: i32) -> sys::Result<Fd> {
        sys::openat2(self.root, relative(path), flags, 0, sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS)
    }

    fn describe(&self, file: Fd, read: bool, text: &mut [u8]) -> sys::Result<Found> {
        let stat = sys::fstat(file)?;
        let n = if stat.kind() == sys::S_IFLNK { sys::readlinkat(file, c"", &mut text[..4096])? } else { 0 };
        let opened = match stat.kind() {
            sys::S_IFREG | sys::S_IFDIR if read => self.reopen(file, sys::O_RDONLY | sys::O_NONBLOCK)?,
            _ => file,
        };
        Ok(Found { stat: Some(stat), fd: opened, text: n })
    }

    /// Exactly the file that is held, opened for work. Its kind has been looked at.
    fn reopen(&self, file: Fd, flags: i32) -> sys::Result<Fd> {
        let mut name: Text<16> = Text::new();
        name.dec(file as u64);
        sys::openat(self.own, name.c(), flags | sys::O_NOCTTY, 0)
    }

    fn open(&self, order: &FileOrder) -> sys::Result<Found> {
        let flags = order.flags as i32;
        let (creates, alone) = (flags & sys::O_CREAT != 0, flags & sys::O_EXCL != 0);
        for _ in 0..PATIENCE {
            match self.resolve(order.path, sys::O_PATH) {
                Ok(file) if creates && alone => return sys::close(file).and(Err(Errno::EEXIST)),
                Ok(file) => {
                    let opened = self.open_regular(file, flags & !sys::O_CREAT);
                    let _ = sys::close(file);
                    return opened;
                }
                Err(Errno::ENOENT) if creates => {}
                Err(errno) => return Err(errno),
            }
            match self.create(order) {
                // Somebody else was faster.
                Err(Errno::EEXIST) => {}
                made => return made.map(|fd| Found { fd, ..Found::NOTHING }),
            }
        }
        Err(Errno::EEXIST)
    }

    fn open_regular(&self, file: Fd, flags: i32) -> sys::Result<Found> {
        match sys::fstat(file)?.kind() {
            sys::S_IFREG => self.reopen(file, flags).map(|fd| Found { fd, ..Found::NOTHING }),
            sys::S_IFDIR => Err(Errno::EISDIR),
            // As the kernel calls a socket that is opened.
            _ => Err(Errno::ENXIO),
        }
    }

    fn create(&self, order: &FileOrder) -> sys::Result<Fd> {
        let flags = order.flags as i32 | sys::O_EXCL | sys::O_NOFOLLOW | sys::O_NOCTTY;
        let how = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS;
        sys::openat2(self.root, relative(order.path), flags, order.mode & 0o7777, how)
    }

    fn link(&self, dir: Fd, file: Fd, name: &CStr) -> sys::Result<Found> {
        const AT_SYMLINK_FOLLOW: i32 = 0x400;
        let mut own: Text<16> = Text::new();
        own.dec(file as u64);
        anew(dir, name, || sys::linkat(self.own, own.c(), dir, name, AT_SYMLINK_FOLLOW))?;
        Ok(Found::NOTHING)
    }
}

/// Makes something at a name, taking away what has it.
fn anew<T>(dir: Fd, name: &CStr, mut make: impl FnMut() -> sys::Result<T>) -> sys::Result<T> {
    for _ in 0..PATIENCE {
        match make() {
            Err(Errno::EEXIST) => clear(dir, name)?,
            made => return made,
        }
    }
    Err(Errno::EEXIST)
}

/// A directory stays: nothing but a directory may take its place.
fn clear(dir: Fd, name: &CStr) -> sys::Result {
    match sys::unlinkat(dir, name, 0) {
        Err(Errno::ENOENT) => Ok(()),
        Err(Errno::EPERM) if sys::statx(dir, name, AT_SYMLINK_NOFOLLOW).is_ok_and(|s| s.is_dir()) => Err(Errno::EISDIR),
        other => other,
    }
}

/// The container may have given the name to another file meanwhile.
fn undo(dir: Fd, file: Fd, name: &CStr) -> sys::Result<Found> {
    let (is, was) = (sys::statx(dir, name, AT_SYMLINK_NOFOLLOW)?, sys::fstat(file)?);
    if (is.dev, is.ino) == (was.dev, was.ino) {
        sys::unlinkat(dir, name, 0)?;
    }
    Ok(Found::NOTHING)
}

fn make(dir: Fd, order: &FileOrder, kept: bool) -> sys::Result<Found> {
    let name = order.path;
    let fd = match order.mode & sys::S_IFMT {
        sys::S_IFDIR => directory(dir, order, kept)?,
        sys::S_IFREG => regular(dir, name)?,
        sys::S_IFLNK => return other(dir, order, || sys::symlinkat(order.text, dir, name)),
        sys::S_IFIFO => return other(dir, order, || sys::mknodat(dir, name, order.mode, 0)),
        _ => return Err(Errno::EOPNOTSUPP),
    };
    match give(fd, order) {
        Ok(()) => Ok(Found { fd, ..Found::NOTHING }),
        Err(errno) => sys::close(fd).and(Err(errno)),
    }
}

/// One that is there already is given another owner, mode and time in the end.
fn directory(dir: Fd, order: &FileOrder, kept: bool) -> sys::Result<Fd> {
    let (name, keep) = (order.path, order.flags & wire::KEEP != 0);
    match sys::mkdirat(dir, name, 0o700) {
        Err(Errno::EEXIST) if keep && kept => return Err(Errno::EROFS),
        Err(Errno::EEXIST) if keep => {}
        made => made?,
    }
    // A link in the place of a directory is not one here.
    let flags = sys::O_RDONLY | sys::O_DIRECTORY | sys::O_NOFOLLOW;
    sys::openat(dir, name, flags, 0).map_err(|e| if e == Errno::ELOOP { Errno::ENOTDIR } else { e })
}

fn regular(dir: Fd, name: &CStr) -> sys::Result<Fd> {
    let flags = sys::O_WRONLY | sys::O_CREAT | sys::O_EXCL | sys::O_NOFOLLOW;
    anew(dir, name, || match sys::openat(dir, name, flags, 0o600) {
        // One that is a mount by itself can't be taken away.
        Err(Errno::EEXIST) if clear(dir, name) == Err(Errno::EBUSY) => in_place(dir, name),
        made => made,
    })
}

fn in_place(dir: Fd, name: &CStr) -> sys::Result<Fd> {
    // A mount doesn't change its kind between two calls.
    if sys::statx(dir, name, AT_SYMLINK_NOFOLLOW)?.kind() != sys::S_IFREG {
        return Err(Errno::EBUSY);
    }
    sys::openat(dir, name, sys::O_WRONLY | sys::O_TRUNC | sys::O_NOFOLLOW | sys::O_NONBLOCK | sys::O_NOCTTY, 0)
}

/// A link or a pipe. It is dressed by a descriptor: the name may be another file's by then.
fn other(dir: Fd, order: &FileOrder, make: impl FnMut() -> sys::Result) -> sys::Result<Found> {
    anew(dir, order.path, make)?;
    let fd = sys::openat(dir, order.path, sys::O_PATH | sys::O_NOFOLLOW, 0)?;
    let dressed = match sys::fstat(fd)?.kind() == order.mode & sys::S_IFMT {
        true => give(fd, order).map(|()| drop(sys::utimensat(fd, c"", times(order), AT_EMPTY_PATH))),
        false => Err(Errno::EBUSY),
    };
    let _ = sys::close(fd);
    dressed.map(|()| Found::NOTHING)
}

/// An owner that the id map has no number for is root instead, as is one on a file system without owners.
fn give(fd: Fd, order: &FileOrder) -> sys::Result {
    match sys::fchownat(fd, c"", order.uid, order.gid, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) {
        Err(Errno::EINVAL | Errno::EPERM | Errno::EOPNOTSUPP) => Ok(()),
        given => given,
    }
}

fn times(order: &FileOrder) -> [(i64, u32); 2] {
    [(order.seconds as i64, order.nanoseconds); 2]
}

fn finish(fd: Fd, order: &FileOrder) -> sys::Result<Found> {
    match sys::fchmod(fd, order.mode & 0o7777) {
        // Of a file that was there and belongs to nobody of the container.
        Err(Errno::EPERM) => {}
        changed => changed?,
    }
    let _ = sys::utimensat(fd, c"", times(order), AT_EMPTY_PATH);
    Ok(Found::NOTHING)
}
