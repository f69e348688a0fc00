//! What is said on the socket of a running container.

use core::ffi::CStr;
use core::marker::PhantomData;

use super::field::{Field, Malformed, Reader};
use super::request::record;

/// The name of a container's socket (`SOCK_SEQPACKET`) in its directory.
///
/// A client sends one request, a [`Header`](super::Header) with what its [`Kind`](super::Kind) says, and
/// hears [`Status`](super::Status) packets. With `Ready` come the descriptors of a command's streams: its
/// terminal's master, or its input (when it was asked for), output and error. The end of the connection is
/// no end of the command. With `Attached` come the pipes that it tells of; the end of that connection is the end of them.
pub const SOCKET: &CStr = c"control";

/// The longest request for a command: arguments and environment, as the kernel bounds them by default.
pub const EXEC_MAX: u32 = 4 << 20;

/// How long a command's name in events is.
pub const EXEC_ID: usize = 32;

record! {
    /// A command to be run in a running container, but for its process.
    ExecHead {
        /// With a terminal.
        tty: bool,
        /// Its input comes from the client; else there is none.
        stdin: bool,
        /// Its output goes nowhere.
        detach: bool,
        /// Milliseconds after which it is killed; 0 for never.
        timeout_ms: u64,
        /// Of its terminal; 0 for the kernel's default.
        rows: u32,
        /// The same.
        columns: u32,
        /// The command's name in events; [`EXEC_ID`] bytes, or none.
        id: &'a CStr,
    }
}

impl ExecHead<'_> {
    /// Rows and columns, when both are said.
    pub fn size(&self) -> Option<(u32, u32)> {
        (self.rows != 0 && self.columns != 0).then_some((self.rows, self.columns))
    }
}

record! {
    /// Which streams of the container a client wants to join, from now on.
    AttachHead {
        /// To write to its input.
        stdin: bool,
        /// To read its output, which is all that there is with a terminal.
        stdout: bool,
        /// To read its errors.
        stderr: bool,
    }
}
