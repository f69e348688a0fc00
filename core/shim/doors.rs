//! Namespaces of a container that waits for its start, for the plain user who made it: into a process that can't be dumped
//! nobody may look but the host's root, while who has a user namespace may join that by a descriptor. The process that
//! waits gives them to who comes by its socket, which is its maker's alone.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::launch::word;
use crate::passed::Passed;
use crate::sys::{self, AT_FDCWD, Fd};
use crate::wire::Step;

/// That of the users first: who has joined it may join the others.
const NAMES: [&CStr; sys::MOST_FDS] = [
    c"/proc/self/ns/user",
    c"/proc/self/ns/mnt",
    c"/proc/self/ns/pid",
    c"/proc/self/ns/net",
    c"/proc/self/ns/ipc",
    c"/proc/self/ns/uts",
    c"/proc/self/ns/cgroup",
    c"/proc/self/ns/time",
];

/// Some of a container's namespaces, opened, in that order.
pub struct Doors {
    fds: [Fd; NAMES.len()],
    count: usize,
}

impl Doors {
    /// None.
    pub const NONE: Doors = Doors { fds: [-1; NAMES.len()], count: 0 };

    /// This process's own, by the host's /proc; those that its kernel has.
    pub fn open() -> Doors {
        let mut doors = Doors::NONE;
        NAMES
            .iter()
            .filter_map(|name| sys::openat(AT_FDCWD, name, sys::O_RDONLY, 0).ok())
            .for_each(|fd| doors.push(fd));
        doors
    }

    /// So many that the caller has been given, in their order.
    pub fn receive(passed: &Passed, count: u32) -> Outcome<Doors> {
        let mut doors = Doors::NONE;
        for _ in 0..(count as usize).min(NAMES.len()) {
            doors.push(passed.receive_more(Step::Enter)?);
        }
        Ok(doors)
    }

    fn push(&mut self, fd: Fd) {
        self.fds[self.count] = fd;
        self.count += 1;
    }

    /// To who asks for them.
    pub fn show(&self, caller: Fd) {
        let _ = sys::send_fds(caller, &[word::DOORS], &self.fds[..self.count]);
    }

    /// Joins them.
    pub fn enter(&self) -> Outcome {
        self.fds[..self.count].iter().try_for_each(|fd| {
            sys::setns(*fd, 0).step(Step::Enter)?;
            sys::close(*fd).step(Step::Enter)
        })
    }
}
