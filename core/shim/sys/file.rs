//! Files, directories and descriptors.

use core::ffi::CStr;
use core::marker::PhantomData;
use core::ptr::{null, null_mut};

use super::{Errno, Fd, Result, syscall};

pub const O_RDONLY: i32 = 0;
pub const O_WRONLY: i32 = 1;
pub const O_RDWR: i32 = 2;
pub const O_CREAT: i32 = 0o100;
pub const O_EXCL: i32 = 0o200;
pub const O_NOCTTY: i32 = 0o400;
pub const O_TRUNC: i32 = 0o1000;
pub const O_APPEND: i32 = 0o2000;
pub const O_NONBLOCK: i32 = 0o4000;
pub const O_CLOEXEC: i32 = 0o2000000;
pub const O_PATH: i32 = 0o10000000;
#[cfg(target_arch = "x86_64")]
pub const O_DIRECTORY: i32 = 0o200000;
#[cfg(target_arch = "x86_64")]
pub const O_NOFOLLOW: i32 = 0o400000;
#[cfg(target_arch = "aarch64")]
pub const O_DIRECTORY: i32 = 0o40000;
#[cfg(target_arch = "aarch64")]
pub const O_NOFOLLOW: i32 = 0o100000;

pub const AT_SYMLINK_NOFOLLOW: i32 = 0x100;
pub const AT_REMOVEDIR: i32 = 0x200;
pub const AT_EMPTY_PATH: i32 = 0x1000;

pub const S_IFMT: u32 = 0o170000;
pub const S_IFSOCK: u32 = 0o140000;
pub const S_IFLNK: u32 = 0o120000;
pub const S_IFREG: u32 = 0o100000;
pub const S_IFBLK: u32 = 0o060000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFCHR: u32 = 0o020000;
pub const S_IFIFO: u32 = 0o010000;

pub const RESOLVE_NO_XDEV: u64 = 1;
pub const RESOLVE_NO_MAGICLINKS: u64 = 2;
pub const RESOLVE_NO_SYMLINKS: u64 = 4;
pub const RESOLVE_BENEATH: u64 = 8;
pub const RESOLVE_IN_ROOT: u64 = 0x10;

/// What `statx` tells, as far as it is used here.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stat {
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub size: u64,
    pub ino: u64,
    pub nlink: u32,
    /// Device that holds it, major and minor.
    pub dev: (u32, u32),
    /// Device that it is, major and minor.
    pub rdev: (u32, u32),
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// Seconds and nanoseconds.
    pub atime: (i64, u32),
}

impl Stat {
    pub fn kind(&self) -> u32 {
        self.mode & S_IFMT
    }

    pub fn is_dir(&self) -> bool {
        self.kind() == S_IFDIR
    }
}

#[repr(C)]
#[derive(Clone, Copy)]
struct StatxTime {
    sec: i64,
    nsec: u32,
    pad: i32,
}

#[repr(C)]
struct Statx {
    mask: u32,
    blksize: u32,
    attributes: u64,
    nlink: u32,
    uid: u32,
    gid: u32,
    mode: u16,
    pad: u16,
    ino: u64,
    size: u64,
    blocks: u64,
    attributes_mask: u64,
    times: [StatxTime; 4],
    rdev_major: u32,
    rdev_minor: u32,
    dev_major: u32,
    dev_minor: u32,
    rest: [u64; 14],
}

/// `flags`: `AT_SYMLINK_NOFOLLOW`, `AT_EMPTY_PATH`.
pub fn statx(dir: Fd, path: &CStr, flags: i32) -> Result<Stat> {
    const BASIC: u32 = 0x7ff;
    // SAFETY: all of it is numbers, for which zero is a value.
    let mut s: Statx = unsafe { core::mem::zeroed() };
    syscall!(STATX, dir, path.as_ptr(), flags, BASIC, &raw mut s)?;
    Ok(Stat {
        mode: s.mode as u32,
        uid: s.uid,
        gid: s.gid,
        size: s.size,
        ino: s.ino,
        nlink: s.nlink,
        dev: (s.dev_major, s.dev_minor),
        rdev: (s.rdev_major, s.rdev_minor),
        mtime: (s.times[3].sec, s.times[3].nsec),
        atime: (s.times[0].sec, s.times[0].nsec),
    })
}

pub fn fstat(fd: Fd) -> Result<Stat> {
    statx(fd, c"", AT_EMPTY_PATH)
}

/// The file system's magic number.
pub fn fs_magic(fd: Fd) -> Result<u64> {
    let mut buf = [0u64; 16];
    syscall!(FSTATFS, fd, buf.as_mut_ptr())?;
    Ok(buf[0])
}

/// `fchmod` refuses a descriptor that was opened only as a path. Before Linux 6.6, and behind a filter that doesn't know the
/// call, by the host's /proc: there not inside.
pub fn chmod_opened(file: Fd, mode: u32) -> Result {
    match syscall!(FCHMODAT2, file, c"".as_ptr(), mode, super::AT_EMPTY_PATH) {
        Err(Errno::ENOSYS | Errno::EPERM) => chmod_by_proc(file, mode),
        done => done.map(drop),
    }
}

fn chmod_by_proc(file: Fd, mode: u32) -> Result {
    let mut path = crate::text::Text::<32>::new();
    path.push(b"/proc/self/fd/").signed(file.into());
    fchmodat(super::AT_FDCWD, path.c(), mode)
}

/// Exactly the file that was opened as a path, opened for work. By the host's /proc, so not inside.
pub fn reopen(file: Fd, flags: i32) -> Result<Fd> {
    let mut path = crate::text::Text::<32>::new();
    path.push(b"/proc/self/fd/").signed(file.into());
    openat(super::AT_FDCWD, path.c(), flags, 0)
}

pub fn openat(dir: Fd, path: &CStr, flags: i32, mode: u32) -> Result<Fd> {
    syscall!(OPENAT, dir, path.as_ptr(), flags | O_CLOEXEC, mode).map(|fd| fd as Fd)
}

/// An open that can't leave what `resolve` allows; retried when a rename elsewhere made it unsure.
pub fn openat2(dir: Fd, path: &CStr, flags: i32, mode: u32, resolve: u64) -> Result<Fd> {
    let how = [(flags | O_CLOEXEC) as u32 as u64, mode as u64, resolve];
    for _ in 0..128 {
        match syscall!(OPENAT2, dir, path.as_ptr(), how.as_ptr(), size_of_val(&how)) {
            Err(Errno::EAGAIN) => continue,
            other => return other.map(|fd| fd as Fd),
        }
    }
    Err(Errno::EAGAIN)
}

pub fn close(fd: Fd) -> Result {
    syscall!(CLOSE, fd).map(drop)
}

/// Closes all from `first` to `last`, both included.
pub fn close_range(first: Fd, last: Fd) -> Result {
    syscall!(CLOSE_RANGE, first, last, 0).map(drop)
}

/// Closes `first` and everything above.
pub fn close_from(first: Fd) -> Result {
    syscall!(CLOSE_RANGE, first, u32::MAX, 0).map(drop)
}

/// Makes `first` and everything above close on exec.
pub fn cloexec_from(first: Fd) -> Result {
    const CLOSE_RANGE_CLOEXEC: u32 = 4;
    syscall!(CLOSE_RANGE, first, u32::MAX, CLOSE_RANGE_CLOEXEC).map(drop)
}

pub fn read(fd: Fd, buf: &mut [u8]) -> Result<usize> {
    loop {
        match syscall!(READ, fd, buf.as_mut_ptr(), buf.len()) {
            Err(Errno::EINTR) => continue,
            other => return other,
        }
    }
}

pub fn write(fd: Fd, buf: &[u8]) -> Result<usize> {
    loop {
        match syscall!(WRITE, fd, buf.as_ptr(), buf.len()) {
            Err(Errno::EINTR) => continue,
            other => return other,
        }
    }
}

pub fn write_all(fd: Fd, mut buf: &[u8]) -> Result {
    while !buf.is_empty() {
        let n = write(fd, buf)?;
        buf = &buf[n..];
    }
    Ok(())
}

/// Opens, writes in one call and closes: for files of /proc and of cgroups.
pub fn put(dir: Fd, path: &CStr, content: &[u8]) -> Result {
    let fd = openat(dir, path, O_WRONLY | O_NOCTTY, 0)?;
    let written = write(fd, content);
    let _ = close(fd);
    written.map(drop)
}

pub fn pread(fd: Fd, buf: &mut [u8], at: u64) -> Result<usize> {
    syscall!(PREAD64, fd, buf.as_mut_ptr(), buf.len(), at)
}

/// A file in memory without a name.
pub fn memory_file(name: &CStr) -> Result<Fd> {
    const MFD_CLOEXEC: usize = 1;
    syscall!(MEMFD_CREATE, name.as_ptr(), MFD_CLOEXEC).map(|fd| fd as Fd)
}

pub fn ftruncate(fd: Fd, size: u64) -> Result {
    syscall!(FTRUNCATE, fd, size).map(drop)
}

pub fn lseek(fd: Fd, offset: i64, whence: i32) -> Result<u64> {
    syscall!(LSEEK, fd, offset, whence).map(|n| n as u64)
}

pub fn mkdirat(dir: Fd, path: &CStr, mode: u32) -> Result {
    syscall!(MKDIRAT, dir, path.as_ptr(), mode).map(drop)
}

/// `mode` holds the type (`S_IFREG` …); `dev` as from [`makedev`].
pub fn mknodat(dir: Fd, path: &CStr, mode: u32, dev: u64) -> Result {
    syscall!(MKNODAT, dir, path.as_ptr(), mode, dev).map(drop)
}

/// A device number as system calls take it.
pub fn makedev((major, minor): (u32, u32)) -> u64 {
    let (major, minor) = (major as u64, minor as u64);
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12) | ((major & !0xfff) << 32)
}

pub fn symlinkat(target: &CStr, dir: Fd, path: &CStr) -> Result {
    syscall!(SYMLINKAT, target.as_ptr(), dir, path.as_ptr()).map(drop)
}

pub fn linkat(from: Fd, old: &CStr, to: Fd, new: &CStr, flags: i32) -> Result {
    syscall!(LINKAT, from, old.as_ptr(), to, new.as_ptr(), flags).map(drop)
}

pub fn readlinkat(dir: Fd, path: &CStr, buf: &mut [u8]) -> Result<usize> {
    syscall!(READLINKAT, dir, path.as_ptr(), buf.as_mut_ptr(), buf.len())
}

pub fn unlinkat(dir: Fd, path: &CStr, flags: i32) -> Result {
    syscall!(UNLINKAT, dir, path.as_ptr(), flags).map(drop)
}

/// `flags`: 1 for `RENAME_NOREPLACE`.
pub fn renameat2(from: Fd, old: &CStr, to: Fd, new: &CStr, flags: u32) -> Result {
    syscall!(RENAMEAT2, from, old.as_ptr(), to, new.as_ptr(), flags).map(drop)
}

pub fn fchownat(dir: Fd, path: &CStr, uid: u32, gid: u32, flags: i32) -> Result {
    syscall!(FCHOWNAT, dir, path.as_ptr(), uid, gid, flags).map(drop)
}

pub fn fchmodat(dir: Fd, path: &CStr, mode: u32) -> Result {
    syscall!(FCHMODAT, dir, path.as_ptr(), mode).map(drop)
}

pub fn fchmod(fd: Fd, mode: u32) -> Result {
    syscall!(FCHMOD, fd, mode).map(drop)
}

/// Access and modification time, as seconds and nanoseconds.
pub fn utimensat(dir: Fd, path: &CStr, times: [(i64, u32); 2], flags: i32) -> Result {
    let times = times.map(|(s, ns)| [s, ns as i64]);
    syscall!(UTIMENSAT, dir, path.as_ptr(), times.as_ptr(), flags).map(drop)
}

/// Raw `linux_dirent64` records; 0 at the end.
pub fn getdents64(fd: Fd, buf: &mut [u8]) -> Result<usize> {
    syscall!(GETDENTS64, fd, buf.as_mut_ptr(), buf.len())
}

/// Copies inside the kernel from the current offsets.
pub fn copy_file_range(from: Fd, to: Fd, n: usize) -> Result<usize> {
    syscall!(COPY_FILE_RANGE, from, null::<u8>(), to, null::<u8>(), n, 0)
}

/// Sets a name's value on the file behind a path such as `/proc/self/fd/N`, not following a last link.
pub fn lsetxattr(path: &CStr, name: &CStr, value: &[u8]) -> Result {
    syscall!(LSETXATTR, path.as_ptr(), name.as_ptr(), value.as_ptr(), value.len(), 0).map(drop)
}

pub fn fsetxattr(fd: Fd, name: &CStr, value: &[u8]) -> Result {
    syscall!(FSETXATTR, fd, name.as_ptr(), value.as_ptr(), value.len(), 0).map(drop)
}

pub fn lgetxattr(path: &CStr, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    syscall!(LGETXATTR, path.as_ptr(), name.as_ptr(), buf.as_mut_ptr(), buf.len())
}

pub fn fgetxattr(fd: Fd, name: &CStr, buf: &mut [u8]) -> Result<usize> {
    syscall!(FGETXATTR, fd, name.as_ptr(), buf.as_mut_ptr(), buf.len())
}

pub fn flistxattr(fd: Fd, buf: &mut [u8]) -> Result<usize> {
    syscall!(FLISTXATTR, fd, buf.as_mut_ptr(), buf.len())
}

pub fn llistxattr(path: &CStr, buf: &mut [u8]) -> Result<usize> {
    syscall!(LLISTXATTR, path.as_ptr(), buf.as_mut_ptr(), buf.len())
}

/// A descriptor with the same open file at exactly `to`, kept over an exec.
pub fn dup_to(fd: Fd, to: Fd) -> Result {
    match fd == to {
        true => syscall!(FCNTL, fd, 2, 0).map(drop),
        false => syscall!(DUP3, fd, to, 0).map(drop),
    }
}

/// A close-on-exec descriptor with the same open file at `least` or above.
pub fn dup_above(fd: Fd, least: Fd) -> Result<Fd> {
    const F_DUPFD_CLOEXEC: i32 = 1030;
    syscall!(FCNTL, fd, F_DUPFD_CLOEXEC, least).map(|fd| fd as Fd)
}

pub fn set_cloexec(fd: Fd, on: bool) -> Result {
    syscall!(FCNTL, fd, 2, on as i32).map(drop)
}

pub fn status_flags(fd: Fd) -> Result<i32> {
    syscall!(FCNTL, fd, 3, 0).map(|f| f as i32)
}

pub fn set_status_flags(fd: Fd, flags: i32) -> Result {
    syscall!(FCNTL, fd, 4, flags).map(drop)
}

/// How many bytes a pipe holds.
pub fn pipe_size(fd: Fd) -> Result<u64> {
    const F_GETPIPE_SZ: i32 = 1032;
    syscall!(FCNTL, fd, F_GETPIPE_SZ, 0).map(|n| n as u64)
}

/// Bytes that lie in a pipe.
pub fn pipe_content(fd: Fd) -> Result<usize> {
    const FIONREAD: usize = 0x541b;
    let mut count = 0i32;
    ioctl_with(fd, FIONREAD, &mut count).map(|_| count.max(0) as usize)
}

/// Read end, write end. `flags`: `O_NONBLOCK`; both close on exec.
pub fn pipe(flags: i32) -> Result<(Fd, Fd)> {
    let mut fds = [0i32; 2];
    syscall!(PIPE2, fds.as_mut_ptr(), flags | O_CLOEXEC)?;
    Ok((fds[0], fds[1]))
}

/// `ioctl` with a number as argument.
pub fn ioctl(fd: Fd, request: usize, arg: usize) -> Result<usize> {
    syscall!(IOCTL, fd, request, arg)
}

/// `ioctl` with a pointer as argument.
pub fn ioctl_with<T>(fd: Fd, request: usize, arg: &mut T) -> Result<usize> {
    syscall!(IOCTL, fd, request, arg as *mut T)
}

/// `operation`: 1 shared, 2 exclusive, 8 unlock, 4 to not wait.
pub fn flock(fd: Fd, operation: i32) -> Result {
    syscall!(FLOCK, fd, operation).map(drop)
}

/// Takes an open file's lock of all bytes from one on, or gives it back; waits for nobody.
pub fn lock_from(file: Fd, start: i64, hold: bool) -> Result {
    const F_OFD_SETLK: i32 = 37;
    const F_WRLCK: u64 = 1;
    const F_UNLCK: u64 = 2;
    // `struct flock`: type and whence (the file's begin), start, length (to its end), process.
    let range = [if hold { F_WRLCK } else { F_UNLCK }, start as u64, 0, 0];
    syscall!(FCNTL, file, F_OFD_SETLK, range.as_ptr()).map(drop)
}

pub fn fsync(fd: Fd) -> Result {
    syscall!(FSYNC, fd).map(drop)
}

/// One entry of a [`poll`].
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Poll {
    pub fd: Fd,
    pub events: i16,
    pub revents: i16,
}

pub const POLLIN: i16 = 1;
pub const POLLOUT: i16 = 4;
pub const POLLERR: i16 = 8;
pub const POLLHUP: i16 = 16;

/// Waits for events, `None` for ever; returns how many are ready. Entries with a negative fd are skipped.
pub fn poll(fds: &mut [Poll], timeout_ms: Option<u64>) -> Result<usize> {
    let time = timeout_ms.map(|ms| [(ms / 1000) as i64, (ms % 1000) as i64 * 1_000_000]);
    let time = time.as_ref().map_or(null(), |t| t.as_ptr());
    syscall!(PPOLL, fds.as_mut_ptr(), fds.len(), time, null::<u8>(), 8)
}

/// As [`poll`], of those entries alone that have a descriptor: the kernel refuses more than there may be open files. Should it
/// refuse all the same, none is ready, and that is told after a pause: whoever asks again is not to do so without end.
pub fn poll_open(fds: &mut [Poll], timeout_ms: Option<u64>) -> Result<usize> {
    const MOST: usize = 256;
    const PAUSE_MS: u64 = 100;
    let mut open = [Poll { fd: -1, events: 0, revents: 0 }; MOST];
    let mut used = 0;
    for (entry, to) in fds.iter().filter(|entry| entry.fd >= 0).zip(&mut open) {
        *to = *entry;
        used += 1;
    }
    let ready = poll(&mut open[..used], timeout_ms);
    if ready.is_err_and(|e| e != Errno::EINTR) {
        let _ = poll(&mut [], Some(timeout_ms.unwrap_or(PAUSE_MS).min(PAUSE_MS)));
        return ready;
    }
    for (entry, told) in fds.iter_mut().filter(|entry| entry.fd >= 0).zip(&open[..used]) {
        entry.revents = told.revents;
    }
    ready
}

/// Maps a file read-only, for good.
pub fn map_file(fd: Fd, size: usize) -> Result<&'static [u8]> {
    const PROT_READ: i32 = 1;
    const MAP_PRIVATE: i32 = 2;
    let at = syscall!(MMAP, null_mut::<u8>(), size, PROT_READ, MAP_PRIVATE, fd, 0)?;
    // SAFETY: a fresh mapping of that size which nobody unmaps.
    Ok(unsafe { core::slice::from_raw_parts(at as *const u8, size) })
}

/// Whether a memory file can change no more, so that a mapping of it is safe to read.
pub fn is_sealed(fd: Fd) -> bool {
    const F_GET_SEALS: i32 = 1034;
    const SHRINK_AND_WRITE: usize = 2 | 8;
    syscall!(FCNTL, fd, F_GET_SEALS, 0).is_ok_and(|seals| seals & SHRINK_AND_WRITE == SHRINK_AND_WRITE)
}

/// Zeroed memory, for good.
pub fn map_anonymous(size: usize) -> Result<&'static mut [u8]> {
    const PROT_READ_WRITE: i32 = 3;
    const MAP_PRIVATE_ANONYMOUS: i32 = 0x22;
    let at = syscall!(MMAP, null_mut::<u8>(), size.max(1), PROT_READ_WRITE, MAP_PRIVATE_ANONYMOUS, -1i32, 0)?;
    // SAFETY: a fresh mapping of that size which nobody unmaps.
    Ok(unsafe { core::slice::from_raw_parts_mut(at as *mut u8, size) })
}

pub fn chdir(path: &CStr) -> Result {
    syscall!(CHDIR, path.as_ptr()).map(drop)
}

pub fn fchdir(fd: Fd) -> Result {
    syscall!(FCHDIR, fd).map(drop)
}

pub fn chroot(path: &CStr) -> Result {
    syscall!(CHROOT, path.as_ptr()).map(drop)
}

/// The working directory's path with its NUL; its length.
pub fn getcwd(buf: &mut [u8]) -> Result<usize> {
    syscall!(GETCWD, buf.as_mut_ptr(), buf.len())
}

pub fn umask(mask: u32) -> u32 {
    syscall!(UMASK, mask).unwrap_or(0) as u32
}

/// One piece of a [`writev`].
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Slice<'a> {
    base: *const u8,
    len: usize,
    of: PhantomData<&'a [u8]>,
}

impl<'a> Slice<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Slice { base: bytes.as_ptr(), len: bytes.len(), of: PhantomData }
    }
}

pub fn writev(fd: Fd, slices: &[Slice]) -> Result<usize> {
    syscall!(WRITEV, fd, slices.as_ptr(), slices.len())
}

/// Gives the memory of whole pages back; they read as zeros afterwards.
pub fn forget_pages(pages: &mut [u8]) {
    // SAFETY: nobody else has them while they are lent.
    unsafe { forget_range(pages.as_mut_ptr() as usize, pages.len()) }
}

/// Keeps whole pages out of a core dump, of which this program makes none: they are a mapping apart from then on.
pub fn mark_undumped(start: usize, length: usize) {
    const MADV_DONTDUMP: i32 = 16;
    let _ = syscall!(MADVISE, start, length, MADV_DONTDUMP);
}

/// As [`forget_pages`], wherever they are; what of it is not mapped is left alone.
///
/// # Safety
/// Nobody counts on what is in there.
pub unsafe fn forget_range(start: usize, length: usize) {
    const MADV_DONTNEED: i32 = 4;
    let _ = syscall!(MADVISE, start, length, MADV_DONTNEED);
}
