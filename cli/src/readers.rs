//! Who reads what we write. One that is gone ends a command in the foreground, as a broken pipe ends any program.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{SFlag, fstat, major};
use sampan::{Cancel, Container, Stdio};

use crate::fail::Outcome;

/// What a shell says of a program that a broken pipe has ended: 128 and SIGPIPE.
pub const BROKEN_PIPE: u8 = 141;

/// Shows what others do, for as long as anybody reads it: a reader that goes ends the wait for more without a word.
pub fn following(show: impl FnOnce(&Cancel) -> Outcome) -> Outcome {
    let unread = match can_lose_its_reader(io::stdout().as_fd()) {
        true => cancelled_after(|| until_gone(&[io::stdout().as_fd()]).is_some()),
        false => Cancel::new(),
    };
    match show(&unread) {
        Err(_) if unread.is_cancelled() => Ok(0),
        shown => shown,
    }
}

/// A token that is cancelled once the container has written to one of our streams that nobody reads any more. One that
/// is silent goes on undisturbed, as a program does that never writes to its broken pipe again.
///
/// Its shim copies the streams to where ours lead: here no write fails.
pub fn watch_container(container: &Container, stdio: &Stdio) -> Cancel {
    let (stdout, stderr) = (io::stdout(), io::stderr());
    let lost = |given: Option<i32>, fd| given.is_some() && can_lose_its_reader(fd);
    let watched = [lost(stdio.stdout, stdout.as_fd()), lost(stdio.stderr, stderr.as_fd())];
    if watched == [false; 2] {
        return Cancel::new();
    }
    let container = container.clone();
    cancelled_after(move || {
        let all = [(0, stdout.as_fd()), (1, stderr.as_fd())].into_iter().filter(|(number, _)| watched[*number]);
        let (numbers, fds): (Vec<usize>, Vec<BorrowedFd>) = all.unzip();
        until_gone(&fds).is_some_and(|which| until_it_writes(&container, numbers[which]))
    })
}

/// A file has no reader to lose, nor has `/dev/null` or another of the memory devices: there is nothing to wait for.
fn can_lose_its_reader(fd: BorrowedFd<'_>) -> bool {
    const MEMORY: u64 = 1;
    let Ok(stat) = fstat(fd) else { return false };
    match SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT {
        SFlag::S_IFREG => false,
        SFlag::S_IFCHR => major(stat.st_rdev) != MEMORY,
        _ => true,
    }
}

/// Cancels when `seen` has come back with a yes. Without a thread to wait on, the command goes on as if all were read.
fn cancelled_after(seen: impl FnOnce() -> bool + Send + 'static) -> Cancel {
    let cancel = Cancel::new();
    let theirs = cancel.clone();
    let work = move || {
        if seen() {
            theirs.cancel();
        }
    };
    let _ = std::thread::Builder::new().spawn(work);
    cancel
}

/// Waits until one of these has no reader, and tells which; `None` where that can't be told.
fn until_gone(fds: &[BorrowedFd<'_>]) -> Option<usize> {
    // Nothing is asked for: an error or a hang-up is told nevertheless.
    let mut polls: Vec<PollFd> = fds.iter().map(|fd| PollFd::new(*fd, PollFlags::empty())).collect();
    wait(&mut polls)?;
    let gone = PollFlags::POLLERR | PollFlags::POLLHUP;
    polls.iter().position(|poll| poll.revents().is_some_and(|told| told.intersects(gone)))
}

/// Waits until the container writes to one of its outputs, 0 for the standard one and 1 for errors; false at its end.
fn until_it_writes(container: &Container, output: usize) -> bool {
    // One that can't be joined is just ending, as a rule.
    let Ok(mut attached) = container.attach(false, &Cancel::new()) else { return false };
    let (stdout, stderr) = (attached.take_stdout(), attached.take_stderr());
    // The other is let go at once: it would have to be read.
    let stream = if output == 0 { stdout } else { stderr };
    stream.is_some_and(|stream| until_written(&stream))
}

/// Waits for the first byte; false when the end comes before it.
fn until_written(stream: &OwnedFd) -> bool {
    let mut polls = [PollFd::new(stream.as_fd(), PollFlags::POLLIN)];
    wait(&mut polls).is_some() && nix::unistd::read(stream, &mut [0]) == Ok(1)
}

fn wait(polls: &mut [PollFd<'_>]) -> Option<()> {
    loop {
        match poll(polls, PollTimeout::NONE) {
            Ok(_) => return Some(()),
            Err(Errno::EINTR) => {}
            Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_goes_is_seen_among_those_that_stay() {
        let ((kept, first), (gone, second)) = (nix::unistd::pipe().unwrap(), nix::unistd::pipe().unwrap());
        drop(gone);
        assert_eq!(until_gone(&[first.as_fd(), second.as_fd()]), Some(1));
        drop((kept, first));
    }

    #[test]
    fn only_what_somebody_reads_is_watched() {
        use std::fs::OpenOptions;
        let open = |path: &str| OpenOptions::new().write(true).open(path).unwrap();
        let (_, pipe) = nix::unistd::pipe().unwrap();
        let (socket, _) = std::os::unix::net::UnixStream::pair().unwrap();
        let terminal = nix::pty::openpty(None, None).unwrap().slave;
        for fd in [pipe.as_fd(), socket.as_fd(), terminal.as_fd()] {
            assert!(can_lose_its_reader(fd), "{fd:?}");
        }
        let file = tempfile::tempfile().unwrap();
        for fd in [file.as_fd(), open("/dev/null").as_fd(), open("/dev/full").as_fd()] {
            assert!(!can_lose_its_reader(fd), "{fd:?}");
        }
    }

    #[test]
    fn an_end_is_no_word() {
        let (read, write) = nix::unistd::pipe().unwrap();
        nix::unistd::write(&write, b"x").unwrap();
        assert!(until_written(&read));
        drop(write);
        assert!(!until_written(&read));
    }
}
