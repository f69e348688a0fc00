//! Entries, one after the other, of a stream.
//!
//! Reads what Go's `archive/tar` reads, since the images of the world were made for it: ustar, PAX and
//! GNU long names and sparse files; a size in an entry that can have no data is ignored; global PAX
//! headers are ignored.

use super::entry::{Entry, EntryKind, Sparse, invalid};
use super::header::{self, BLOCK, Block};
use super::pax::Pax;
use super::pipe::{TarStream, truncated};
use super::sparse::{self, Failure};
use crate::error::Result;
use crate::id::Digest;

/// Largest PAX header or long name, as in Go.
const MOST_EXTENSION: u64 = 1 << 20;

/// The archive. After [`next`](TarReader::next) the entry's data can be read; what is left is skipped.
pub struct TarReader {
    stream: TarStream,
    left: u64,
    padding: u64,
}

/// What extension headers said before an entry's own.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl TarReader {
    /// Reads entries from `stream`.
    pub fn new(stream: TarStream) -> Self {
        TarReader { stream, left: 0, padding: 0 }
    }

    /// The next entry into `entry`; false at the end.
    pub fn next(&mut self, entry: &mut Entry) -> Result<bool> {
        let mut extensions = Extensions::default();
        loop {
            self.stream.skip(self.left + self.padding)?;
            (self.left, self.padding) = (0, 0);
            let mut block = [0; BLOCK];
            if !self.header(&mut block)? {
                return Ok(false);
            }
            match header::typeflag(&block) {
                b'x' => extensions.pax = Some(self.pax(&block)?),
                b'L' => extensions.name = Some(self.long_name(&block)?),
                b'K' => extensions.link = Some(self.long_name(&block)?),
                b'g' => drop(self.extension(&block)?),
                _ => return self.entry(&block, extensions, entry).map(|()| true),
            }
        }
    }

    /// The next header block; false at the end mark, or where the archive just stops.
    fn header(&mut self, block: &mut Block) -> Result<bool> {
        let zero = |block: &Block| block.iter().all(|b| *b == 0);
        if !self.stream.read_exact(block)? {
            return Ok(false);
        }
        if zero(block) {
            let more = self.stream.read_exact(block)?;
            return match more && !zero(block) {
                true => Err(invalid(b"", "the archive goes on after half an end mark")),
                false => Ok(false),
            };
        }
        match header::checksum_fits(block) {
            true => Ok(true),
            false => Err(invalid(b"", "a header's checksum is wrong: this is no tar archive, or a damaged one")),
        }
    }

    fn extension(&mut self, block: &Block) -> Result<Vec<u8>> {
        let size = header::size(block).map_err(|why| invalid(b"", why))?;
        if size > MOST_EXTENSION {
            return Err(invalid(b"", "an extension header is larger than 1 MiB"));
        }
        let mut body = vec![0; size as usize];
        if size > 0 && !self.stream.read_exact(&mut body)? {
            return Err(truncated());
        }
        self.padding = padding(size);
        Ok(body)
    }

    fn pax(&mut self, block: &Block) -> Result<Pax> {
        let body = self.extension(block)?;
        Pax::parse(&body).map_err(|why| invalid(b"", why))
    }

    fn long_name(&mut self, block: &Block) -> Result<Vec<u8>> {
        let mut name = self.extension(block)?;
        name.truncate(header::until_nul(&name).len());
        Ok(name)
    }

    fn entry(&mut self, block: &Block, extensions: Extensions, entry: &mut Entry) -> Result<()> {
        match self.fill(block, extensions, entry) {
            Ok(()) => Ok(()),
            Err(Failure::Error(e)) => Err(e),
            Err(Failure::Refused(why)) => Err(invalid(&entry.name, why)),
        }
    }

    fn fill(&mut self, block: &Block, extensions: Extensions, entry: &mut Entry) -> Result<(), Failure> {
        entry.xattrs.clear();
        header::read(block, entry)?;
        let mut pax = extensions.pax.unwrap_or_default();
        pax.apply(entry);
        entry.name = extensions.name.unwrap_or_else(|| std::mem::take(&mut entry.name));
        entry.link = extensions.link.unwrap_or_else(|| std::mem::take(&mut entry.link));
        let typeflag = header::typeflag(block);
        entry.kind = kind(typeflag, &entry.name)?;
        let size = match pax.size {
            Some(size) => size,
            None => header::size(block)?,
        };
        (self.left, self.padding) = match entry.kind {
            EntryKind::File => (size, padding(size)),
            _ => (0, 0),
        };
        entry.sparse = self.sparse(block, pax, entry.kind)?;
        entry.stored = self.left;
        match &entry.sparse {
            Some(sparse) => Ok(sparse::check(sparse, entry.stored)?),
            None => Ok(()),
        }
    }

    fn sparse(&mut self, block: &Block, pax: Pax, kind: EntryKind) -> Result<Option<Sparse>, Failure> {
        if kind != EntryKind::File {
            return Ok(None);
        }
        if header::typeflag(block) == b'S' {
            return sparse::from_gnu(block, &mut self.stream).map(Some);
        }
        let map_in_data = pax.sparse.map_in_data;
        let mut shape = pax.sparse.into_sparse()?;
        if let Some(sparse) = shape.as_mut().filter(|_| map_in_data) {
            let (map, taken) = sparse::from_data(&mut self.stream, self.left)?;
            sparse.map = map;
            self.left -= taken;
        }
        Ok(shape)
    }

    /// The entry's data at hand, at least one byte; none at its end.
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.left == 0 {
            return Ok(&[]);
        }
        let left = self.left;
        let bytes = self.stream.available()?;
        match bytes.len() {
            0 => Err(truncated()),
            n => Ok(&bytes[..n.min(usize::try_from(left).unwrap_or(n))]),
        }
    }

    /// Takes `n` bytes of the data at hand.
    pub fn consume(&mut self, n: usize) {
        self.stream.consume(n);
        self.left -= n as u64;
    }

    /// Reads the rest; the diff id and the bytes of the whole archive.
    pub fn finish(self) -> Result<(Digest, u64)> {
        self.stream.finish()
    }
}

fn kind(typeflag: u8, name: &[u8]) -> Result<EntryKind, &'static str> {
    Ok(match typeflag {
        // Before ustar a directory was told by its slash.
        0 if name.ends_with(b"/") => EntryKind::Directory,
        0 | b'0' | b'7' | b'S' => EntryKind::File,
        b'1' => EntryKind::HardLink,
        b'2' => EntryKind::Symlink,
        b'3' => EntryKind::CharDevice,
        b'4' => EntryKind::BlockDevice,
        b'5' => EntryKind::Directory,
        b'6' => EntryKind::Fifo,
        _ => return Err("the entry is of an unknown type"),
    })
}

fn padding(size: u64) -> u64 {
    size.next_multiple_of(BLOCK as u64) - size
}
