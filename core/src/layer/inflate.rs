//! From a blob's bytes to the tar's: plain, gzip or zstd.

use std::io::{self, BufRead, BufReader, Chain, Cursor, Read};

use flate2::{Decompress, FlushDecompress, Status};

use super::Compression;
use crate::error::{Error, Kind, Result};

/// Bytes asked of the blob at once.
const READ_SIZE: usize = 64 << 10;
/// Largest zstd window: 128 MiB, what `zstd --long` makes and what a decoder without options takes.
const ZSTD_WINDOW_LOG: u32 = 27;

const GZIP_MAGIC: &[u8] = &[0x1f, 0x8b];
const ZSTD_MAGIC: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];

/// The blob, whose first bytes were read already to look at them.
type Blob<R> = BufReader<Chain<Cursor<Vec<u8>>, Honest<R>>>;

/// The tar inside a blob.
pub struct Decoder<R: Read>(Codec<R>);

enum Codec<R: Read> {
    Plain(Blob<R>),
    Gzip(Gunzip<Blob<R>>),
    Zstd(Box<zstd::stream::read::Decoder<'static, Blob<R>>>),
}

impl<R: Read> Decoder<R> {
    /// Looks at the first bytes and chooses; `declared` is asked only when they say nothing.
    pub fn new(reader: R, declared: Compression) -> Result<Self> {
        let mut reader = Honest(reader);
        let mut magic = Vec::with_capacity(4);
        (&mut reader).take(4).read_to_end(&mut magic).map_err(|e| failure(e, "the blob"))?;
        let found = sniff(&magic, declared)?;
        let blob = BufReader::with_capacity(READ_SIZE, Cursor::new(magic).chain(reader));
        Ok(Decoder(match found {
            Compression::None => Codec::Plain(blob),
            Compression::Gzip => Codec::Gzip(Gunzip::new(blob)),
            Compression::Zstd => Codec::Zstd(Box::new(zstd_decoder(blob)?)),
        }))
    }

    /// Fills `buffer` unless the end comes first; the number of bytes.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                n => filled += n,
            }
        }
        Ok(filled)
    }

    /// What comes next, without a wait for more than its first byte; 0 at the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        match &mut self.0 {
            Codec::Plain(blob) => blob.read(buffer).map_err(|e| failure(e, "the blob")),
            Codec::Gzip(gunzip) => gunzip.read(buffer).map_err(|e| failure(e, "the gzip data")),
            Codec::Zstd(decoder) => decoder.read(buffer).map_err(|e| failure(e, "the zstd data")),
        }
    }
}

fn sniff(magic: &[u8], declared: Compression) -> Result<Compression> {
    let not = |what| Err(invalid(format!("the media type says {what}, but the blob does not begin so")));
    match declared {
        _ if magic.starts_with(GZIP_MAGIC) => Ok(Compression::Gzip),
        // A blob that holds frames to skip first (as zstd:chunked may) begins otherwise.
        _ if magic.starts_with(ZSTD_MAGIC) || skippable(magic) => Ok(Compression::Zstd),
        Compression::Gzip if magic.len() < GZIP_MAGIC.len() => not("gzip"),
        Compression::Zstd if magic.len() < ZSTD_MAGIC.len() => not("zstd"),
        _ => Ok(Compression::None),
    }
}

fn skippable(magic: &[u8]) -> bool {
    matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18])
}

fn zstd_decoder<B: BufRead>(blob: B) -> Result<zstd::stream::read::Decoder<'static, B>> {
    let set_up = |e| failure(e, "the zstd decoder");
    let mut decoder = zstd::stream::read::Decoder::with_buffer(blob).map_err(set_up)?;
    decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(set_up)?;
    Ok(decoder)
}

/// gzip of any number of members. What follows the last may only be zero padding, as GNU gzip takes it.
struct Gunzip<B> {
    input: B,
    member: Option<Decompress>,
    /// The member has come to its end, and what follows was not looked at yet: its last bytes needn't wait for that.
    ended: bool,
}

impl<B: BufRead> Gunzip<B> {
    fn new(input: B) -> Self {
        Gunzip { input, member: Some(new_member()), ended: false }
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if std::mem::take(&mut self.ended) {
                self.next_member()?;
            }
            let Some(member) = &mut self.member else { return Ok(0) };
            let input = self.input.fill_buf()?;
            let (at_end, read, written) = (input.is_empty(), member.total_in(), member.total_out());
            let status = member.decompress(input, buffer, FlushDecompress::None).map_err(io::Error::other)?;
            let (read, written) = ((member.total_in() - read) as usize, (member.total_out() - written) as usize);
            self.input.consume(read);
            match status {
                Status::StreamEnd => self.ended = true,
                _ if written == 0 && at_end => return Err(io::ErrorKind::UnexpectedEof.into()),
                _ => {}
            }
            if written > 0 {
                return Ok(written);
            }
        }
    }

    fn next_member(&mut self) -> io::Result<()> {
        self.member = None;
        match self.input.fill_buf()?.first() {
            None => Ok(()),
            Some(0) => self.skip_padding(),
            Some(_) => {
                self.member = Some(new_member());
                Ok(())
            }
        }
    }

    fn skip_padding(&mut self) -> io::Result<()> {
        loop {
            let padding = self.input.fill_buf()?;
            let len = padding.len();
            match padding.iter().all(|b| *b == 0) {
                true if len == 0 => return Ok(()),
                true => self.input.consume(len),
                false => return Err(io::Error::other("something follows the last gzip member")),
            }
        }
    }
}

fn new_member() -> Decompress {
    Decompress::new_gzip(15)
}

/// Marks the errors of the blob's reader, so that a broken network is not taken for a corrupt layer.
struct Honest<R>(R);

impl<R: Read> Read for Honest<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.0.read(buffer) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(io::Error::other(as_ours(e))),
                Ok(n) => return Ok(n),
            }
        }
    }
}

/// The library's error that a reader wrapped, or one made of a system's.
fn as_ours(e: io::Error) -> Error {
    let errno = e.raw_os_error();
    match e.downcast::<Error>() {
        Ok(ours) => ours,
        Err(e) => match errno {
            Some(n) => Error::errno_in(n, "read layer", ""),
            None => Error::new(Kind::System, "read layer", "").because(e.to_string()).caused_by(e),
        },
    }
}

/// An error of the reader as it is; any other is the archive's fault.
fn failure(e: io::Error, what: &str) -> Error {
    match e.downcast::<Error>() {
        Ok(ours) => ours,
        Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => invalid(format!("{what} ends too soon")),
        Err(e) => invalid(format!("{what} is corrupt: {e}")),
    }
}

fn invalid(why: String) -> Error {
    Error::new(Kind::InvalidImage, "unpack layer", "").because(why)
}
