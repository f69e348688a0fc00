//! A layer's compressed bytes on their way: counted, and kept as a blob when asked to.

use std::io::{self, Read, Write};
use std::path::Path;

use super::events::Post;
use crate::error::{Error, Kind, Result};
use crate::fs::{self, File};
use crate::paths::Paths;
use crate::progress::Event;
use crate::registry::{BlobReader, Client, Descriptor};
use crate::store::blobs::{self, Check};

/// An event for every so many bytes: often enough for a bar, seldom enough to cost nothing.
const TELL_EVERY: u64 = 512 << 10;

enum Source<'a> {
    Registry(Box<BlobReader<'a>>),
    Store(File),
}

/// Reads a layer's blob.
pub struct Stream<'a> {
    source: Source<'a>,
    copy: Option<blobs::Writer>,
    blob: &'a Descriptor,
    post: &'a Post,
    done: u64,
    told: u64,
    fault: Option<Error>,
}

impl<'a> Stream<'a> {
    /// From the file where the store has the blob, from the registry without one.
    pub fn open(
        paths: &Paths,
        stored: Option<&Path>,
        client: &'a Client,
        blob: &'a Descriptor,
        keep: bool,
        post: &'a Post,
    ) -> Result<Self> {
        let source = match stored {
            Some(path) => Source::Store(fs::open(path)?),
            None => Source::Registry(Box::new(client.blob(blob))),
        };
        // The reader has checked the digest by the time the copy is put in its place.
        let copy = (keep && stored.is_none()).then(|| blobs::Writer::new(paths, Check::Size)).transpose()?;
        Ok(Stream { source, copy, blob, post, done: 0, told: 0, fault: None })
    }

    fn fetch(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match &mut self.source {
            Source::Store(file) => file.read(buffer),
            Source::Registry(reader) => {
                let read = reader.read(buffer);
                self.fault = reader.take_fault();
                read
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some(copy) = &mut self.copy else { return Ok(()) };
        copy.write_all(bytes).inspect_err(|e| {
            let digest = self.blob.digest.as_str();
            self.fault = Some(match e.raw_os_error() {
                Some(errno) => Error::errno_in(errno, "keep blob", digest),
                None => Error::new(Kind::System, "keep blob", digest).because(e.to_string()),
            });
        })
    }

    fn count(&mut self, bytes: usize) {
        self.done += bytes as u64;
        if self.done - self.told >= TELL_EVERY || (bytes > 0 && self.done == self.blob.size) {
            self.told = self.done;
            let (digest, total) = (self.blob.digest.to_string(), self.blob.size);
            self.post.send(Event::LayerBytes { digest, done: self.done, total });
        }
    }

    /// Reads what is left. Only after it are the bytes known to be the right ones.
    pub fn drain(&mut self) -> Result<()> {
        let read = io::copy(self, &mut io::sink());
        match (read, self.fault.take()) {
            (_, Some(fault)) => Err(fault),
            (Err(e), None) => {
                Err(Error::new(Kind::System, "read blob", self.blob.digest.as_str()).because(e.to_string()))
            }
            (Ok(_), None) => Ok(()),
        }
    }

    /// What is behind an error of who read from here: this end may know better.
    pub fn explain(&mut self, error: Error) -> Error {
        if let Some(fault) = self.fault.take() {
            return fault;
        }
        // A flipped bit first shows as a malformed archive. It is the digest that tells who is to blame.
        match error.kind() {
            Kind::InvalidImage | Kind::Integrity => self.drain().err().unwrap_or(error),
            _ => error,
        }
    }

    /// Puts the copy in its place.
    pub fn commit(self) -> Result<()> {
        match self.copy {
            Some(copy) => copy.commit(&self.blob.digest, self.blob.size),
            None => Ok(()),
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.fetch(buffer)?;
        self.keep(&buffer[..n])?;
        self.count(n);
        Ok(n)
    }
}
