//! One entry of an archive, as the extractor takes it.

use crate::error::{Error, Kind};

/// What an entry makes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file, sparse or not.
    #[default]
    File,
    /// Another name of a file of this archive.
    HardLink,
    /// A symbolic link.
    Symlink,
    /// A directory.
    Directory,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
    /// A named pipe.
    Fifo,
}

/// A time of modification.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Time {
    /// Seconds since 1970, maybe before.
    pub seconds: i64,
    /// Nanoseconds, below 10⁹.
    pub nanoseconds: u32,
}

/// Owner, permission bits and time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// The low twelve bits.
    pub mode: u32,
    /// Of the last modification.
    pub mtime: Time,
}

/// One entry. Reused from entry to entry, so that its buffers are allocated once.
#[derive(Clone, Debug, Default)]
pub struct Entry {
    /// As written in the archive: anything.
    pub name: Vec<u8>,
    /// Target of a link, as written.
    pub link: Vec<u8>,
    /// What it makes.
    pub kind: EntryKind,
    /// Owner, mode, time.
    pub meta: Meta,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Bytes of data in the archive.
    pub stored: u64,
    /// Where the data lies in a sparse file.
    pub sparse: Option<Sparse>,
}

/// A sparse file's shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sparse {
    /// Size of the whole file.
    pub size: u64,
    /// Offset and length of each stretch of data, in order.
    pub map: Vec<(u64, u64)>,
}

/// A name for people: what isn't text is escaped, what is endless is cut.
pub fn shown(name: &[u8]) -> String {
    const LONGEST: usize = 200;
    match name.len() > LONGEST {
        true => format!("{}…", name[..LONGEST].escape_ascii()),
        false => String::from_utf8(name.to_vec())
            .ok()
            .filter(|s| !s.chars().any(char::is_control))
            .unwrap_or_else(|| name.escape_ascii().to_string()),
    }
}

/// The error for an archive that is malformed or hostile.
pub fn invalid(name: &[u8], why: impl Into<String>) -> Error {
    Error::new(Kind::InvalidImage, "unpack layer", shown(name)).because(why)
}
