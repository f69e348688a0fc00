//! Tar to root file system and back.
//!
//! A layer is unpacked on its own, without the layers below it: whiteouts and opaque directories are
//! *converted* to what overlayfs reads, never applied. So layers unpack in parallel and in any order,
//! and one unpacked layer serves every image that has it.

use std::io::Read;
use std::os::fd::BorrowedFd;

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;

/// The directory of the layer's files, within the staging directory; overlayfs's `lowerdir`.
pub const FILES: &str = "fs";

/// How a layer's blob is compressed, as its media type says. The blob's first bytes have the last
/// word: registries hold layers whose media type lies, and every engine unpacks them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// A plain tar.
    None,
    /// gzip, of one or more members.
    Gzip,
    /// zstd, of one or more frames.
    Zstd,
}

/// For whom the layer is made: decides owners, devices and the dialect of overlay's attributes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Root's: real owners, devices and capabilities, `trusted.overlay.*`.
    Root,
    /// A plain user's: all is owned by the user, `user.overlay.*`; what only root may do is written
    /// in the sidecar.
    User,
}

/// What to unpack for, and the bounds against bombs.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions {
    /// For whom.
    pub form: Form,
    /// Most bytes of uncompressed tar, and of the files that sparse entries describe.
    pub max_bytes: u64,
    /// Most entries.
    pub max_entries: u64,
}

/// How the layer's whiteouts and opaque directories are there on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whiteouts {
    /// There are none.
    Absent,
    /// 0/0 character devices and opaque attributes: every overlayfs reads them.
    Native,
    /// `overlay.whiteout` attributes, since the file system refuses 0/0 devices: Linux 6.7 or newer.
    Attributes,
    /// Only in the sidecar, since the file system can hold neither: the layer can be copied, not mounted.
    RecordedOnly,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unpacked {
    /// SHA-256 of the whole uncompressed tar; the caller compares it with the image's config.
    pub diff_id: Digest,
    /// Bytes of uncompressed tar.
    pub bytes: u64,
    /// Entries of the tar.
    pub entries: u64,
    /// Bytes that the files take, in blocks of 4 KiB: an estimate that costs no system call.
    pub size_on_disk: u64,
    /// How whiteouts were made.
    pub whiteouts: Whiteouts,
    /// The layer's own root is opaque: nothing below this layer shows. Overlayfs ignores the mark on a
    /// layer's root, so whoever stacks layers ends the stack here.
    pub opaque_root: bool,
}

/// Unpacks one layer's blob into the empty directory `into`: makes [`FILES`] and the sidecar in it.
///
/// Reads `reader` to its end, so that whoever hashes the blob sees all of it. Nothing outside `into` is
/// touched whatever the archive holds; on an error `into` is left half-made for the caller to remove.
pub fn unpack(
    _reader: impl Read,
    _compression: Compression,
    _into: BorrowedFd<'_>,
    _options: &UnpackOptions,
    _cancel: &Cancel,
) -> Result<Unpacked> {
    Err(Error::new(Kind::Unsupported, "unpack layer", ""))
}
