//! Blobs by digest: manifests, configs, compressed layers.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use super::crash;
use super::tmp::Temp;
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, File};
use crate::id::Digest;
use crate::paths::Paths;

/// The blob's file, here or in a store below.
pub fn find(paths: &Paths, digest: &Digest) -> Result<Option<PathBuf>> {
    for store in paths.all() {
        let path = store.blob(digest);
        if fs::file_size(&path)?.is_some() {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// The blob's file, here or below, whole as far as its size tells.
pub fn find_of_size(paths: &Paths, digest: &Digest, size: u64) -> Result<Option<PathBuf>> {
    for store in paths.all() {
        let path = store.blob(digest);
        if fs::file_size(&path)? == Some(size) {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// A blob's file here or below whose bytes are what the digest says, all of which are read for that.
pub fn find_sound(paths: &Paths, digest: &Digest) -> Result<Option<PathBuf>> {
    for store in paths.all() {
        let path = store.blob(digest);
        if fs::file_size(&path)?.is_some() && is_sound(&path, digest)? {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

/// Opens a blob for reading.
pub fn open(paths: &Paths, digest: &Digest) -> Result<File> {
    match find(paths, digest)? {
        Some(path) => fs::open(&path),
        None => Err(Error::new(Kind::NotFound, "read blob", digest.as_str())
            .because("it is not in the store")
            .hint("pull the image again")),
    }
}

/// All of a small blob, checked against its digest.
pub fn read(paths: &Paths, digest: &Digest, max: u64) -> Result<Vec<u8>> {
    let Some(path) = find(paths, digest)? else { return open(paths, digest).map(|_| Vec::new()) };
    let bytes = fs::read_bounded(&path, max)?;
    match Digest::from_sha256(Sha256::digest(&bytes).into()) == *digest {
        true => Ok(bytes),
        false => Err(Error::new(Kind::Integrity, "read blob", path.display().to_string())
            .because("its bytes don't match its digest")
            .hint("remove the image and pull it again")),
    }
}

/// Stores a small blob: a manifest or a config. It survives a power failure once its lease was settled.
pub fn put(paths: &Paths, bytes: &[u8]) -> Result<Digest> {
    let digest = Digest::from_sha256(Sha256::digest(bytes).into());
    let mut writer = Writer::new(paths, Check::Digest)?;
    writer.write_all(bytes).map_err(|e| failed(&digest, e))?;
    writer.commit(&digest, bytes.len() as u64)?;
    Ok(digest)
}

/// As [`put`]; true when it was missing, or something else had its place. What can't be read now is left alone.
pub fn restore(paths: &Paths, bytes: &[u8]) -> Result<bool> {
    let digest = Digest::from_sha256(Sha256::digest(bytes).into());
    match read(paths, &digest, bytes.len() as u64) {
        Ok(_) => return Ok(false),
        Err(e) if e.kind() == Kind::NotFound => drop(put(paths, bytes)?),
        // Of the right size it may be, as after a power failure: a writer would leave it.
        Err(e) if matches!(e.kind(), Kind::Integrity | Kind::LimitExceeded) => {
            Temp::holding(paths, bytes)?.replace(&paths.blob(&digest))?;
        }
        Err(e) => return Err(e),
    }
    Ok(true)
}

/// Removes a blob of this store whose bytes are not what its digest says.
pub fn remove_damaged(paths: &Paths, digest: &Digest) -> Result<()> {
    let path = paths.blob(digest);
    match fs::file_size(&path)?.is_none() || is_sound(&path, digest)? {
        true => Ok(()),
        false => fs::remove_file(&path).map(drop),
    }
}

/// Whether a file's bytes are what the digest says.
pub fn is_sound(path: &Path, digest: &Digest) -> Result<bool> {
    Ok(digest_of(&mut fs::open(path)?).context("read blob", path.display())? == *digest)
}

fn digest_of(file: &mut File) -> std::io::Result<Digest> {
    let (mut hasher, mut buffer) = (Sha256::new(), vec![0; 64 << 10]);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(Digest::from_sha256(hasher.finalize().into())),
            n => hasher.update(&buffer[..n]),
        }
    }
}

fn failed(digest: &Digest, e: std::io::Error) -> Error {
    match e.raw_os_error() {
        Some(errno) => Error::errno_in(errno, "write blob", digest.as_str()),
        None => Error::new(Kind::System, "write blob", digest.as_str()).because(e.to_string()),
    }
}

/// Who checks a blob's digest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Check {
    /// The writer, as the bytes pass.
    Digest,
    /// The caller has done it; the writer looks at the size alone.
    Size,
}

/// Writes one blob. Dropped before [`Writer::commit`], it leaves nothing.
#[derive(Debug)]
pub struct Writer {
    paths: Paths,
    temp: Temp,
    file: File,
    hasher: Option<Sha256>,
    written: u64,
}

impl Writer {
    /// A blob in the making.
    pub fn new(paths: &Paths, check: Check) -> Result<Writer> {
        let (temp, file) = Temp::file(paths)?;
        let hasher = (check == Check::Digest).then(Sha256::new);
        Ok(Writer { paths: paths.clone(), temp, file, hasher, written: 0 })
    }

    /// Puts the blob in its place under `digest`. Another process having done so first is success.
    pub fn commit(mut self, digest: &Digest, size: u64) -> Result<()> {
        self.verify(digest, size)?;
        crash::point("blob staged");
        let to = self.paths.blob(digest);
        // One of another size was cut short by a power failure.
        if fs::file_size(&to)?.is_some_and(|there| there != size) {
            fs::remove_file(&to)?;
        }
        self.temp.place(&to)?;
        crash::point("blob committed");
        Ok(())
    }

    fn verify(&mut self, digest: &Digest, size: u64) -> Result<()> {
        let fault = |why: String| Error::new(Kind::Integrity, "write blob", digest.as_str()).because(why);
        if self.written != size {
            return Err(fault(format!("{} bytes came where {size} were promised", self.written)));
        }
        match self.hasher.take().map(|h| Digest::from_sha256(h.finalize().into())) {
            Some(actual) if actual != *digest => Err(fault(format!("its bytes have the digest {actual}"))),
            _ => Ok(()),
        }
    }
}

impl Write for Writer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let n = self.file.write(bytes)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(&bytes[..n]);
        }
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
