//! The bounded pipe between the thread that inflates and the thread that writes files.
//!
//! A gzip layer is bound by inflating; hashing and writing take about half its time, so these two
//! halves fill two cores. A fixed set of buffers goes round: memory stays flat, and a buffer is still
//! in the processor's cache when it is hashed and written.

use std::io::Read;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use sha2::{Digest as _, Sha256};

use super::inflate::Decoder;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;

/// Size of a buffer: a multiple of the tar block, so that headers don't straddle two.
const CHUNK: usize = 128 << 10;
/// Buffers going round.
const CHUNKS: usize = 8;

type Message = Result<Vec<u8>>;

/// A pipe's two ends.
pub fn pipe() -> (Feeder, TarStream) {
    let (full_in, full) = sync_channel::<Message>(CHUNKS);
    let (spent, empty) = sync_channel(CHUNKS);
    let stream = TarStream { full, spent, chunk: Vec::new(), at: 0, hash: Sha256::new(), bytes: 0 };
    (Feeder { full: full_in, empty, made: 0, whole: true }, stream)
}

/// The end that inflates.
pub struct Feeder {
    full: SyncSender<Message>,
    empty: Receiver<Vec<u8>>,
    made: usize,
    /// Buffers are filled before they are sent.
    whole: bool,
}

impl Feeder {
    /// Sends all of `decoder` through the pipe, or the error that stopped it. Returns early when the
    /// other end is gone: it has an error of its own to tell.
    pub fn pump(mut self, decoder: &mut Decoder<impl Read>, max_bytes: u64, cancel: &Cancel) {
        let mut left = max_bytes;
        while let Some(mut chunk) = self.buffer() {
            let filled = match self.next(decoder, &mut chunk, &mut left, cancel) {
                Ok(0) => return,
                Ok(n) => n,
                Err(e) => {
                    let _ = self.full.send(Err(e));
                    return;
                }
            };
            chunk.truncate(filled);
            if self.full.send(Ok(chunk)).is_err() || self.whole && filled < CHUNK {
                return;
            }
        }
    }

    /// As [`Feeder::pump`], without a bound, for one whose first bytes have not come yet. What comes is sent at once:
    /// whoever writes it may stay behind the archive's end for as long as he likes.
    pub fn feed<R: Read>(mut self, decoder: impl FnOnce() -> Result<Decoder<R>>, cancel: &Cancel) {
        self.whole = false;
        match decoder() {
            Ok(mut decoder) => self.pump(&mut decoder, u64::MAX, cancel),
            Err(e) => drop(self.full.send(Err(e))),
        }
    }

    fn buffer(&mut self) -> Option<Vec<u8>> {
        if self.made < CHUNKS {
            self.made += 1;
            return Some(vec![0; CHUNK]);
        }
        let mut chunk = self.empty.recv().ok()?;
        chunk.resize(CHUNK, 0);
        Some(chunk)
    }

    fn next(
        &self,
        decoder: &mut Decoder<impl Read>,
        chunk: &mut [u8],
        left: &mut u64,
        cancel: &Cancel,
    ) -> Result<usize> {
        cancel.check("unpack layer", "")?;
        let filled = if self.whole { decoder.fill(chunk) } else { decoder.read(chunk) }?;
        *left = left.checked_sub(filled as u64).ok_or_else(too_large)?;
        Ok(filled)
    }
}

/// The error for a layer, or the files it describes, beyond the bound.
pub fn too_large() -> Error {
    Error::new(Kind::LimitExceeded, "unpack layer", "")
        .because("the layer unpacks to more bytes than allowed")
        .hint("raise max_unpacked_bytes if the image is trusted")
}

/// The end that reads the tar and hashes every byte of it.
pub struct TarStream {
    full: Receiver<Message>,
    spent: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    hash: Sha256,
    bytes: u64,
}

impl TarStream {
    /// The bytes at hand, at least one; none at the end.
    pub fn available(&mut self) -> Result<&[u8]> {
        if self.at == self.chunk.len() {
            self.refill()?;
        }
        Ok(&self.chunk[self.at..])
    }

    /// Takes `n` of the bytes at hand.
    pub fn consume(&mut self, n: usize) {
        self.at += n;
    }

    fn refill(&mut self) -> Result<()> {
        // The other end may be gone already; the buffer is then of no use to anyone.
        let _ = self.spent.try_send(std::mem::take(&mut self.chunk));
        self.at = 0;
        if let Ok(message) = self.full.recv() {
            self.chunk = message?;
            self.bytes += self.chunk.len() as u64;
            self.hash.update(&self.chunk);
        }
        Ok(())
    }

    /// Fills `buffer`; false when the end came before its first byte.
    pub fn read_exact(&mut self, buffer: &mut [u8]) -> Result<bool> {
        let mut filled = 0;
        while filled < buffer.len() {
            let bytes = self.available()?;
            let n = bytes.len().min(buffer.len() - filled);
            match n {
                0 if filled == 0 => return Ok(false),
                0 => return Err(truncated()),
                _ => buffer[filled..filled + n].copy_from_slice(&bytes[..n]),
            }
            self.consume(n);
            filled += n;
        }
        Ok(true)
    }

    /// Passes over `n` bytes.
    pub fn skip(&mut self, mut n: u64) -> Result<()> {
        while n > 0 {
            let step = (self.available()?.len() as u64).min(n);
            if step == 0 {
                return Err(truncated());
            }
            self.consume(step as usize);
            n -= step;
        }
        Ok(())
    }

    /// Reads what follows the archive's end mark, which counts for the diff id; the diff id and the length.
    pub fn finish(mut self) -> Result<(Digest, u64)> {
        loop {
            match self.available()?.len() {
                0 => return Ok((Digest::from_sha256(self.hash.finalize().into()), self.bytes)),
                n => self.consume(n),
            }
        }
    }
}

/// The error for an archive that ends within an entry.
pub fn truncated() -> Error {
    Error::new(Kind::InvalidImage, "unpack layer", "").because("the archive ends within an entry")
}
