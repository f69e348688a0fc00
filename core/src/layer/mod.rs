//! Tar to root file system and back.
//!
//! A layer is unpacked on its own, without the layers below it: whiteouts and opaque directories are
//! *converted* to what overlayfs reads, never applied. So layers unpack in parallel and in any order,
//! and one unpacked layer serves every image that has it.

#![allow(clippy::disallowed_methods)]

mod dirs;
mod entry;
mod extract;
mod header;
mod inflate;
mod merge;
mod name;
mod owners;
mod pax;
mod pipe;
mod reader;
mod sidecar;
mod sparse;
mod spill;
#[cfg(test)]
mod tests;
mod tree;
mod xattr;

use std::io::Read;
use std::os::fd::BorrowedFd;
use std::thread;

use nix::sched::{CloneFlags, unshare};
use nix::sys::signal::SigSet;
use nix::sys::stat::{Mode, umask};

use self::extract::{Extractor, Outcome};
use self::inflate::Decoder;
use self::pipe::TarStream;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::id::Digest;

pub use self::entry::{Entry, EntryKind};
pub use self::merge::merge;
pub use self::name::clean as clean_name;
pub use self::owners::{Owed, owed};
pub use self::reader::TarReader;
pub use self::sidecar::SIDECAR;

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
    /// The root of a user namespace's, as in a rootless container or below `unshare -r`: owners as its id map
    /// has them, capabilities that hold within it, `user.overlay.*`; devices are written in the sidecar.
    NestedRoot,
    /// A plain user's: all is owned by the user, `user.overlay.*`; what only root may do is written
    /// in the sidecar.
    User,
}

impl Form {
    /// Whether files get the image's owners.
    fn has_owners(self) -> bool {
        self != Form::User
    }

    /// The class of the attributes that overlayfs keeps its marks in. `trusted.*` is for the initial namespace's root.
    fn class(self) -> &'static str {
        if self == Form::Root { "trusted" } else { "user" }
    }
}

/// What to unpack for, and the bounds against bombs.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions {
    /// For whom.
    pub form: Form,
    /// Most bytes of uncompressed tar, and of the files that sparse entries describe.
    pub max_bytes: u64,
    /// Most entries, with the directories that only their paths imply.
    pub max_entries: u64,
}

/// How the layer's whiteouts and opaque directories are there on disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
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
    /// Directories that only their paths imply.
    pub implied: u64,
    /// Bytes that the files take, in blocks of 4 KiB: an estimate that costs no system call.
    pub size_on_disk: u64,
    /// How whiteouts were made.
    pub whiteouts: Whiteouts,
    /// The layer's own root is opaque: nothing below this layer shows. Overlayfs ignores the mark on a
    /// layer's root, so whoever stacks layers ends the stack here.
    pub opaque_root: bool,
}

/// Unpacks one layer's blob into the empty directory `into`: makes [`FILES`] and the [`SIDECAR`] in it.
///
/// Reads `reader` to its end, so that whoever hashes the blob sees all of it. Nothing outside `into` is
/// touched whatever the archive holds; on an error `into` is left half-made for the caller to remove.
/// Files are written by a second thread, which has ended when this returns; `reader` stays on this one.
///
/// What the layer doesn't hold can't be known here: a hard link to a file of a layer below is an error,
/// and a directory that only a path of this layer implies is made as root's with mode 755.
pub fn unpack(
    reader: impl Read,
    compression: Compression,
    into: BorrowedFd<'_>,
    options: &UnpackOptions,
    cancel: &Cancel,
) -> Result<Unpacked> {
    let mut decoder = Decoder::new(reader, compression)?;
    let (feeder, stream) = pipe::pipe();
    thread::scope(|scope| {
        let writer = thread::Builder::new()
            .name("sampan-unpack".into())
            .spawn_scoped(scope, || write(stream, into, options, cancel))
            .context("start a thread to unpack a layer", "")?;
        feeder.pump(&mut decoder, options.max_bytes, cancel);
        writer.join().unwrap_or_else(|_| Err(Error::new(Kind::Panic, "unpack layer", "")))
    })
}

/// Reads an archive, compressed or not, that is no layer: `take` gets its entries. What reads `from` has ended when this
/// returns; it runs in a thread of its own, and an error of its is one of `take`'s reader.
pub fn read_archive<T>(
    from: impl Read + Send,
    cancel: &Cancel,
    take: impl FnOnce(&mut TarReader) -> Result<T>,
) -> Result<T> {
    let (feeder, stream) = pipe::pipe();
    thread::scope(|scope| {
        let feed = || {
            let _ = SigSet::all().thread_block();
            // Its first bytes tell how it is compressed.
            feeder.feed(|| Decoder::new(from, Compression::None), cancel);
        };
        let feeding = thread::Builder::new().name("sampan-archive".into()).spawn_scoped(scope, feed);
        drop(feeding.context("start a thread to read an archive", "")?);
        take(&mut TarReader::new(stream))
    })
}

fn write(stream: TarStream, into: BorrowedFd<'_>, options: &UnpackOptions, cancel: &Cancel) -> Result<Unpacked> {
    // No signal of the host's is handled here, and a file beyond RLIMIT_FSIZE is an error, not a SIGXFSZ.
    let _ = SigSet::all().thread_block();
    let mut extractor = Extractor::new(into, options, own_umask())?;
    let mut reader = TarReader::new(stream);
    let (mut entry, mut name, mut entries) = (Entry::default(), Vec::new(), 0);
    while reader.next(&mut entry)? {
        cancel.check("unpack layer", "")?;
        entries += 1;
        extractor.extract(&entry, &mut reader, &mut name)?;
    }
    let outcome = extractor.finish(cancel)?;
    let (diff_id, bytes) = reader.finish()?;
    let Outcome { implied, size_on_disk, whiteouts, opaque_root } = outcome;
    Ok(Unpacked { diff_id, bytes, entries, implied, size_on_disk, whiteouts, opaque_root })
}

/// Gives this thread a umask of its own and sets it to 0, so that no file needs a chmod; false where a
/// sandbox forbids it. The process's umask is never touched.
fn own_umask() -> bool {
    let own = unshare(CloneFlags::CLONE_FS).is_ok();
    if own {
        umask(Mode::empty());
    }
    own
}
