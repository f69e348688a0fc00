//! The flat messages between the host and the shim. Shared by both, so: no I/O, no allocation, no `std`.
//!
//! A request is one blob on a fixed descriptor: `abi kind fds length`, then the fields of one record in
//! order. Numbers are little words of the machine; a string is a length, its bytes and a NUL, so that the
//! shim hands it to system calls where it lies; a list is a count, a length in bytes and its items.
//! Answers are small packets on a socket ([`Status`]).

// The shim reads what the host writes and the other way round: each side leaves half of this unused.
#![allow(dead_code, unused_imports)]

mod control;
mod field;
mod files;
#[cfg(test)]
mod layout;
mod life;
mod request;
mod shared;
mod status;
mod step;

pub use control::{AttachHead, EXEC_ID, EXEC_MAX, ExecHead, SOCKET};
pub use field::{Field, List, Malformed, Reader};
pub use files::*;
pub use life::{Healthy, Probes, Restart, Restarts, Timing};
pub use request::*;
pub use shared::*;
pub use status::{Oom, PACKET_MAX, Status};
pub use step::Step;

/// Changes whenever a record below changes: an installed helper of another version is refused. `layout.rs` sees to it.
pub const ABI: u32 = 18;

/// The descriptors that the shim finds in place.
pub mod fd {
    /// Where the container's standard input comes from.
    pub const STDIN: i32 = 0;
    /// Where its standard output is copied to.
    pub const STDOUT: i32 = 1;
    /// Where its standard error is copied to.
    pub const STDERR: i32 = 2;
    /// The request.
    pub const BLOB: i32 = 3;
    /// Socket (`SOCK_SEQPACKET`) to the host.
    pub const STATUS: i32 = 4;
    /// Open file whose lock tells that the container lives.
    pub const LOCK: i32 = 5;
    /// Read end of a pipe that the host process alone holds open.
    pub const TIE: i32 = 6;
    /// A pidfd of the host process.
    pub const HOST: i32 = 7;
    /// OCI: a listening socket; a packet on a connection to it starts the payload.
    pub const START: i32 = LOCK;
    /// OCI: the socket that the terminal's master is sent over.
    pub const CONSOLE: i32 = TIE;
    /// OCI, and for a container's files: a pidfd of the container's init.
    pub const INSIDE: i32 = HOST;
    /// What the shim opens itself begins here.
    pub const FIRST_FREE: i32 = 8;

    /// Set in the header for each of the above that was passed.
    pub const fn bit(fd: i32) -> u32 {
        1 << fd
    }
}

/// To a shim that has no request yet: make a network namespace for the container. Above the numbers of descriptors.
pub const NEW_NET: u8 = b'n';

/// What the blob asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Start a container and look after it: [`Launch`].
    Launch = 1,
    /// Give the files of unpacked layers their owners: [`ApplyOwners`].
    ApplyOwners = 2,
    /// Delete directory trees: [`RemoveTrees`].
    RemoveTrees = 3,
    /// Run a program of the host and tell how it ended: [`Program`].
    Program = 4,
    /// On a container's socket: run a command in it: [`ExecHead`]; the blob comes along and holds a [`Process`].
    Exec = 5,
    /// On a container's socket: give its terminal another size: rows, columns.
    Resize = 6,
    /// On a container's socket: join its streams: [`AttachHead`].
    Attach = 7,
    /// Enter a container's files and do what is asked there: [`Files`].
    Files = 11,
    /// On a container's socket: what follows its end from now on: a [`Restart`].
    Restart = 10,
    /// Make a container that another call starts: [`Bundle`].
    Bundle = 16,
    /// Run a further process in one: [`Enter`].
    Enter = 17,
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(n: u32) -> Option<Kind> {
        use Kind::{ApplyOwners, Attach, Bundle, Enter, Exec, Files, Launch, Program, RemoveTrees, Resize, Restart};
        let all = [Launch, ApplyOwners, RemoveTrees, Program, Exec, Resize, Attach, Restart, Files, Bundle, Enter];
        all.into_iter().find(|k| *k as u32 == n)
    }
}

/// The head of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`ABI`].
    pub abi: u32,
    /// A [`Kind`].
    pub kind: u32,
    /// [`fd::bit`] of each descriptor that was passed.
    pub fds: u32,
    /// Bytes that follow the header.
    pub length: u32,
}

impl Header {
    /// Its size in the blob.
    pub const SIZE: usize = 16;

    /// Reads it from the beginning of a blob.
    pub fn read(blob: &[u8]) -> Result<Header, Malformed> {
        let r = &mut Reader(blob);
        Ok(Header { abi: r.get()?, kind: r.get()?, fds: r.get()?, length: r.get()? })
    }

    /// True when this descriptor was passed.
    pub fn has(&self, fd: i32) -> bool {
        self.fds & fd::bit(fd) != 0
    }
}
