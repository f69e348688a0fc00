//! The container's terminal, made in its own devpts, so that its name there is true.

use crate::fail::{At, Fail, Outcome};
use crate::launch::word;
use crate::sys::{self, AT_EMPTY_PATH, Errno, Fd};
use crate::target::{self, Missing};
use crate::text::Text;
use crate::wire::{Header, Step, fd};

/// Makes one, sends its master to the shim and binds its slave on /dev/console. Returns the slave.
pub fn make(root: Fd, sync: Fd) -> Outcome<Fd> {
    let (master, slave) = open(root)?;
    take_size(master);
    bind_console(root, slave)?;
    give(sync, master).map(|()| slave)
}

/// A further one for a command in the container that this process has joined; its size as rows and columns, where that
/// is known. Returns the slave.
pub fn make_inside(sync: Fd, size: Option<(u32, u32)>) -> Outcome<Fd> {
    let root = sys::openat(sys::AT_FDCWD, c"/", sys::O_PATH | sys::O_DIRECTORY, 0).step(Step::Terminal)?;
    let (master, slave) = open(root)?;
    let _ = sys::close(root);
    if let Some((rows, columns)) = size {
        resize(master, rows as u16, columns as u16);
    }
    give(sync, master).map(|()| slave)
}

/// One of the host's own, for a container without a devpts: it has no name inside. Returns the slave.
pub fn make_of_host(sync: Fd, size: Option<(u32, u32)>) -> Outcome<Fd> {
    let flags = sys::O_RDWR | sys::O_NOCTTY;
    let master = sys::openat(sys::AT_FDCWD, c"/dev/ptmx", flags, 0).at(Step::Terminal, c"/dev/ptmx")?;
    let slave = open_slave(master).step(Step::Terminal)?;
    match size {
        Some((rows, columns)) => resize(master, rows as u16, columns as u16),
        None => take_size(master),
    }
    give(sync, master).map(|()| slave)
}

/// One in the devpts of the container with this root: master, slave.
fn open(root: Fd) -> Outcome<(Fd, Fd)> {
    let master = open_master(root).step(Step::Terminal)?;
    Ok((master, open_slave(master).step(Step::Terminal)?))
}

/// The same slave by the devpts of the root that this process has by now: that it was opened by may have gone.
pub fn reopen(slave: Fd) -> Outcome<Fd> {
    let number = sys::fstat(slave).step(Step::Terminal)?.rdev;
    let mut path: Text<32> = Text::new();
    path.push(b"dev/pts/").dec(number.1.into());
    let root = sys::openat(sys::AT_FDCWD, c"/", sys::O_PATH | sys::O_DIRECTORY, 0).step(Step::Terminal)?;
    let how = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    let again = sys::openat2(root, path.c(), sys::O_RDWR | sys::O_NOCTTY, 0, how).step(Step::Terminal)?;
    if sys::fstat(again).step(Step::Terminal)?.rdev != number {
        return Err(Fail { step: Step::Terminal, errno: Errno::ENODEV, detail: b"" });
    }
    [root, slave].into_iter().for_each(|fd| drop(sys::close(fd)));
    Ok(again)
}

/// Sends a master to the shim and lets it go here.
fn give(sync: Fd, master: Fd) -> Outcome {
    sys::send_fd(sync, &[word::TERMINAL], master).step(Step::Terminal)?;
    let _ = sys::close(master);
    Ok(())
}

/// The master goes to the caller's console socket, with a name as runc gives it one.
pub fn hand_over(header: &Header, size: Option<(u32, u32)>, master: Fd) -> Outcome {
    if let Some((rows, columns)) = size {
        resize(master, rows as u16, columns as u16);
    }
    if header.has(fd::CONSOLE) {
        sys::send_fd(fd::CONSOLE, b"/dev/ptmx", master).step(Step::Terminal)?;
    }
    sys::close(master).step(Step::Terminal)
}

/// Sets the size of the terminal behind this master.
pub fn resize(master: Fd, rows: u16, columns: u16) {
    const TIOCSWINSZ: usize = 0x5414;
    let _ = sys::ioctl_with(master, TIOCSWINSZ, &mut [rows, columns, 0, 0]);
}

/// The size of the host's terminal, when it passed one: what is asked for later comes after the first output.
fn take_size(master: Fd) {
    const TIOCGWINSZ: usize = 0x5413;
    const TIOCSWINSZ: usize = 0x5414;
    for host in [fd::STDIN, fd::STDOUT, fd::STDERR] {
        let mut size = [0u16; 4];
        if sys::ioctl_with(host, TIOCGWINSZ, &mut size).is_ok() && size[0] > 0 {
            let _ = sys::ioctl_with(master, TIOCSWINSZ, &mut size);
            return;
        }
    }
}

/// Makes it the controlling terminal of this process, which leads a session without one.
pub fn control(slave: Fd) -> Outcome {
    const TIOCSCTTY: usize = 0x540e;
    sys::ioctl(slave, TIOCSCTTY, 0).step(Step::Terminal).map(drop)
}

/// Not through /dev/ptmx, which the image may have made, and only when it is a devpts.
fn open_master(root: Fd) -> sys::Result<Fd> {
    const DEVPTS_SUPER_MAGIC: u64 = 0x1cd1;
    let how = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS;
    let master = sys::openat2(root, c"dev/pts/ptmx", sys::O_RDWR | sys::O_NOCTTY, 0, how)?;
    match sys::fs_magic(master)? {
        DEVPTS_SUPER_MAGIC => Ok(master),
        _ => Err(Errno::ENODEV),
    }
}

fn open_slave(master: Fd) -> sys::Result<Fd> {
    const TIOCSPTLCK: usize = 0x40045431;
    const TIOCGPTPEER: usize = 0x5441;
    sys::ioctl_with(master, TIOCSPTLCK, &mut 0i32)?;
    let flags = sys::O_RDWR | sys::O_NOCTTY | sys::O_CLOEXEC;
    sys::ioctl(master, TIOCGPTPEER, flags as usize).map(|fd| fd as Fd)
}

fn bind_console(root: Fd, slave: Fd) -> Outcome {
    let target = target::require(root, c"/dev/console", Missing::File, Step::Terminal)?;
    let bound = sys::open_tree_clone(slave, c"", false, AT_EMPTY_PATH)
        .and_then(|tree| sys::move_mount_onto(tree, target).and_then(|()| sys::close(tree)));
    let _ = sys::close(target);
    bound.map_err(|errno| Fail { step: Step::Terminal, errno, detail: b"/dev/console" })
}
