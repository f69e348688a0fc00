//! What the host asks a helper that has entered a container's files, step by step, and what it is told.

use core::ffi::CStr;
use core::marker::PhantomData;

use super::field::{Field, Malformed, Reader};
use super::request::{Launch, record};

/// The longest packet, in either direction: an extended attribute has up to 64 KiB.
pub const FILES_PACKET: usize = 80 << 10;

record! {
    /// Enter the files of a container: of the process [`fd::INSIDE`](super::fd::INSIDE), or of a start that doesn't happen.
    Files {
        /// Of one that doesn't run: what makes its root. Its lock comes along.
        launch: Option<Launch<'a>>,
        /// Of one that runs: it has a user namespace of its own.
        mapped: bool,
    }
}

/// One step. All names are resolved within the container, by one call each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum FileStep {
    /// What is at `path`: with a directory below it and through no link, else from the root.
    Look = 1,
    /// Opens the regular file at `path` from the root, with the `open(2)` flags in `flags`; `mode` for a new one.
    Open = 2,
    /// Makes `path`, one name, in the directory: of the kind and permissions in `mode`, `text` being a link's target.
    Make = 3,
    /// The opened file gets its permissions and its time.
    Finish = 4,
    /// The opened file's extended attributes: their names.
    ListAttributes = 5,
    /// The opened file's extended attribute with the name `text`.
    Attribute = 6,
    /// Sets the opened file's extended attribute with the name `text` to `value`.
    SetAttribute = 7,
    /// Makes `path`, one name, in the directory: another name of the opened file that comes second.
    Link = 8,
    /// Takes `path`, one name, out of the directory, if it is still that of the opened file that comes second.
    Undo = 9,
}

impl FileStep {
    /// The step with this number.
    pub fn from_number(n: u32) -> Option<FileStep> {
        use FileStep::{Attribute, Finish, Link, ListAttributes, Look, Make, Open, SetAttribute, Undo};
        let all = [Look, Open, Make, Finish, ListAttributes, Attribute, SetAttribute, Link, Undo];
        all.into_iter().find(|s| *s as u32 == n)
    }
}

/// `Look`: the last link of the path is followed too; with a directory, every one.
pub const FOLLOW: u32 = 1;
/// `Look`: a regular file or a directory comes opened for reading, else as a mere place.
pub const READ: u32 = 2;
/// `Make`: a directory that is there is taken.
pub const KEEP: u32 = 1;

record! {
    /// A step with all that any needs; one or two descriptors come along.
    FileOrder {
        /// A [`FileStep`].
        step: u32,
        /// See the steps.
        flags: u32,
        /// Kind and permissions, as of `stat`.
        mode: u32,
        /// Owner, as the container has it.
        uid: u32,
        /// Group, as the container has it.
        gid: u32,
        /// Time of the last change: seconds, as of `i64`.
        seconds: u64,
        /// And nanoseconds.
        nanoseconds: u32,
        /// A path or a name.
        path: &'a CStr,
        /// A link's target, an attribute's name.
        text: &'a CStr,
        /// An attribute's value.
        value: &'a [u8],
    }
}

record! {
    /// The answer to a step; a descriptor comes along where there is one.
    FileReply {
        /// Why it failed, 0 when it did not: then the rest is there.
        errno: u32,
        /// Kind and permissions.
        mode: u32,
        /// Owner, as the container has it.
        uid: u32,
        /// Group, as the container has it.
        gid: u32,
        /// How many names it has.
        nlink: u32,
        /// Nanoseconds of the time below.
        nanoseconds: u32,
        /// Device that holds it.
        dev: (u32, u32),
        /// Device that it is.
        rdev: (u32, u32),
        /// Bytes.
        size: u64,
        /// Its number on its device.
        ino: u64,
        /// Time of the last change, as of `i64`.
        seconds: u64,
        /// A link's target, an attribute's value.
        text: &'a [u8],
    }
}

/// Bytes of a reply before its text, the text's length included.
pub const REPLY_FIXED: usize = 4 * 10 + 8 * 3 + 4;
