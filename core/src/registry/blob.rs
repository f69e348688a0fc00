//! A blob as a stream: taken up again where a connection broke, and verified at its end.

use std::io::{self, Read};

use sha2::{Digest as _, Sha256};
use ureq::BodyReader;
use ureq::http::header::CONTENT_RANGE;
use ureq::http::{HeaderMap, StatusCode, Uri};

use super::client::Client;
use super::failure::{self, Again, Failure};
use super::manifest::Descriptor;
use super::retry::Retry;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;

/// After so many bytes a connection counts as working, and earlier failures as past.
const PROGRESS: u64 = 1 << 20;

/// Reads a blob. The end is given only after size and digest were found right; before that, nothing
/// that was read is to be relied on.
pub struct BlobReader<'c> {
    client: &'c Client,
    blob: Descriptor,
    body: Option<(Uri, BodyReader<'static>)>,
    at: u64,
    hash: Sha256,
    verified: bool,
    retry: Retry,
    failed_at: u64,
    fault: Option<Error>,
}

impl<'c> BlobReader<'c> {
    pub(super) fn new(client: &'c Client, blob: Descriptor) -> Self {
        let (retry, hash) = (Retry::default(), Sha256::new());
        BlobReader { client, blob, body: None, at: 0, hash, verified: false, retry, failed_at: 0, fault: None }
    }

    /// The error that reading ended with: an `io::Error` is not enough for what it has to tell.
    pub fn take_fault(&mut self) -> Option<Error> {
        self.fault.take()
    }

    /// The whole blob.
    pub fn read_whole(mut self) -> Result<Vec<u8>> {
        let mut bytes = Vec::with_capacity(self.blob.size as usize);
        let read = self.read_to_end(&mut bytes);
        match (read, self.take_fault()) {
            (_, Some(fault)) => Err(fault),
            (Err(e), None) => Err(self.error(Kind::Network, e.to_string())),
            (Ok(_), None) => Ok(bytes),
        }
    }

    fn error(&self, kind: Kind, why: impl Into<String>) -> Error {
        Error::new(kind, "fetch blob", self.blob.digest.as_str()).because(why)
    }

    fn next(&mut self, buffer: &mut [u8]) -> Result<usize> {
        while self.at < self.blob.size {
            match self.attempt(buffer) {
                Ok(n) => {
                    self.took(&buffer[..n]);
                    return Ok(n);
                }
                Err(failure) => {
                    self.body = None;
                    self.failed_at = self.at;
                    self.retry.pause(failure, self.client.cancel())?;
                }
            }
        }
        self.verify().map(|()| 0)
    }

    fn took(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.at += bytes.len() as u64;
        if self.at - self.failed_at >= PROGRESS {
            self.retry.forget();
        }
    }

    fn attempt(&mut self, buffer: &mut [u8]) -> Result<usize, Failure> {
        if self.body.is_none() {
            self.body = Some(self.open()?);
        }
        let left = self.blob.size - self.at;
        let room = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let Some((url, body)) = &mut self.body else { return Ok(0) };
        match body.read(&mut buffer[..room]) {
            Ok(0) => Err(self.cut_short()),
            Ok(n) => Ok(n),
            Err(e) => Err(failure::of_transport(e.into(), url, self.client.cancel())),
        }
    }

    fn cut_short(&self) -> Failure {
        let error = self.error(Kind::Network, format!("it ended after {} of {} bytes", self.at, self.blob.size));
        Failure { error, again: Again::Soon }
    }

    /// Asks for the blob from where we are. Its server may give all of it nevertheless.
    fn open(&self) -> Result<(Uri, BodyReader<'static>), Failure> {
        let path = format!("blobs/{}", self.blob.digest);
        let range = format!("bytes={}-", self.at);
        let headers: &[(&str, &str)] = if self.at > 0 { &[("range", &range)] } else { &[] };
        let (url, answer) = self.client.get(&path, headers)?;
        let (parts, body) = answer.into_parts();
        let from = match parts.status {
            StatusCode::OK => 0,
            StatusCode::PARTIAL_CONTENT => self.resumed_at(&parts.headers)?,
            status => return Err(self.refused(failure::of_status(status, &parts.headers, body, &url))),
        };
        if let Some(length) = body.content_length().filter(|l| *l != self.blob.size - from) {
            let why = format!("it has {} bytes, and {} by its manifest", from.saturating_add(length), self.blob.size);
            return Err(self.error(Kind::Integrity, why).into());
        }
        let mut reader = body.into_with_config().limit(u64::MAX).reader();
        skip(&mut reader, self.at - from).map_err(|e| failure::of_transport(e.into(), &url, self.client.cancel()))?;
        Ok((url, reader))
    }

    fn refused(&self, mut failure: Failure) -> Failure {
        if failure.error.kind() == Kind::NotFound {
            failure.error = self
                .error(Kind::NotFound, "the registry has the manifest, but not this part of the image")
                .hint("push the image again");
        }
        failure
    }

    /// Where a partial answer begins: `bytes 5-9/10`.
    fn resumed_at(&self, headers: &HeaderMap) -> Result<u64, Failure> {
        let range = headers.get(CONTENT_RANGE).and_then(|v| v.to_str().ok());
        let start = range.and_then(|r| r.strip_prefix("bytes ")?.split_once('-')?.0.trim().parse().ok());
        match start {
            Some(start) if start <= self.at => Ok(start),
            _ => Err(self.error(Kind::Registry, "the registry gave another part of it than asked for").into()),
        }
    }

    /// All bytes are there: is it all there is, and the right ones?
    fn verify(&mut self) -> Result<()> {
        if self.verified {
            return Ok(());
        }
        // Reading the end also gives the connection back for the next request.
        let surplus = self.body.take().is_some_and(|(_, mut body)| matches!(body.read(&mut [0]), Ok(1)));
        if surplus {
            return Err(self.error(Kind::Integrity, format!("it has more than the {} bytes of its manifest", self.at)));
        }
        let digest = Digest::from_sha256(self.hash.finalize_reset().into());
        if digest != self.blob.digest {
            return Err(self.error(Kind::Integrity, format!("its bytes are those of {digest}")));
        }
        self.verified = true;
        Ok(())
    }
}

fn skip(reader: &mut impl Read, bytes: u64) -> io::Result<()> {
    match io::copy(&mut reader.take(bytes), &mut io::sink())? {
        n if n == bytes => Ok(()),
        _ => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

impl Read for BlobReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        if self.fault.is_some() {
            return Err(io::Error::other("reading it failed before"));
        }
        self.next(buffer).map_err(|fault| {
            let told = io::Error::other(fault.to_string());
            self.fault = Some(fault);
            told
        })
    }
}
