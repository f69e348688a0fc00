//! A tree as a tar archive: ustar, with PAX records (pax(1)) for what has no room there.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::pread;
use tar::{EntryType, Header};

use super::COPY;
use super::tree::{Item, Sink};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};

const BLOCK: u64 = 512;
/// What a pipe that is ready takes without waiting.
const AT_ONCE: usize = 4096;
const BUFFER: usize = 64 << 10;
/// The largest numbers of ustar's fields: eleven and seven octal digits.
const MOST_SIZE: u64 = 0o77777777777;
const MOST_ID: u32 = 0o7777777;

/// Writes a tree to a descriptor.
pub struct TarSink<'a> {
    to: BorrowedFd<'a>,
    cancel: &'a Cancel,
    buffer: Vec<u8>,
    path: Vec<u8>,
    /// How long it was in each directory above.
    lengths: Vec<usize>,
}

impl<'a> TarSink<'a> {
    /// Writes there, waiting for nothing beyond a cancel.
    pub fn new(to: BorrowedFd<'a>, cancel: &'a Cancel) -> Self {
        TarSink { to, cancel, buffer: Vec::with_capacity(2 * BUFFER), path: Vec::new(), lengths: Vec::new() }
    }

    /// The end mark.
    pub fn finish(mut self) -> Result<()> {
        self.buffer.resize(self.buffer.len() + 2 * BLOCK as usize, 0);
        self.flush()
    }

    fn push(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }

    fn pad(&mut self, size: u64) -> Result<()> {
        let zeros = [0; BLOCK as usize];
        self.push(&zeros[..(size.next_multiple_of(BLOCK) - size) as usize])
    }

    fn flush(&mut self) -> Result<()> {
        let mut done = 0;
        while done < self.buffer.len() {
            self.ready()?;
            let piece = &self.buffer[done..self.buffer.len().min(done + AT_ONCE)];
            match nix::unistd::write(self.to, piece) {
                Ok(n) => done += n,
                Err(Errno::EAGAIN | Errno::EINTR) => {}
                Err(e) => return Err(e).context("write archive", ""),
            }
        }
        self.buffer.clear();
        Ok(())
    }

    fn ready(&self) -> Result<()> {
        self.cancel.check(COPY, "")?;
        let mut fds = vec![PollFd::new(self.to.as_fd(), PollFlags::POLLOUT)];
        fds.extend(self.cancel.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => self.cancel.check(COPY, ""),
            Err(e) => Err(e).context("write archive", ""),
        }
    }

    fn here(&self, name: &[u8]) -> Vec<u8> {
        [&self.path, name].concat()
    }

    fn entry(&mut self, path: &[u8], kind: EntryType, item: &Item, link: &[u8], size: u64) -> Result<()> {
        let records = records(path, item, link, size);
        if !records.is_empty() {
            let mut header = Header::new_ustar();
            fill(&mut header, EntryType::XHeader, b"PaxHeaders/0", &Item::default(), b"", records.len() as u64);
            self.push(header.as_bytes())?;
            self.push(&records)?;
            self.pad(records.len() as u64)?;
        }
        let mut header = Header::new_ustar();
        fill(&mut header, kind, path, item, link, size);
        self.push(header.as_bytes())
    }

    /// Exactly as much as the header says, whatever has become of the file.
    fn data(&mut self, data: BorrowedFd<'_>, size: u64) -> Result<()> {
        let (mut at, mut buffer) = (0, vec![0; BUFFER]);
        while at < size {
            let most = (size - at).min(BUFFER as u64) as usize;
            let n = match pread(data, &mut buffer[..most], at as i64).context("read", "")? {
                // It has become shorter: the rest reads as a hole does.
                0 => {
                    buffer[..most].fill(0);
                    most
                }
                n => n,
            };
            self.push(&buffer[..n])?;
            at += n as u64;
        }
        self.pad(size)
    }
}

/// The fields of ustar; a number that is too large for one is in the records, and the largest here.
fn fill(header: &mut Header, kind: EntryType, path: &[u8], item: &Item, link: &[u8], size: u64) {
    header.set_entry_type(kind);
    header.set_mode(item.mode & 0o7777);
    header.set_uid(item.owner.0.min(MOST_ID).into());
    header.set_gid(item.owner.1.min(MOST_ID).into());
    header.set_size(size.min(MOST_SIZE));
    header.set_mtime(item.mtime.0.clamp(0, MOST_SIZE as i64) as u64);
    if matches!(kind, EntryType::Char | EntryType::Block) {
        // The header is ustar, which has them.
        let _ = header.set_device_major(item.device.0).and_then(|()| header.set_device_minor(item.device.1));
    }
    let raw = header.as_old_mut();
    put(&mut raw.name, path);
    put(&mut raw.linkname, link);
    header.set_cksum();
}

fn put(field: &mut [u8], text: &[u8]) {
    let n = text.len().min(field.len());
    field[..n].copy_from_slice(&text[..n]);
}

/// PAX records for what ustar has no room for.
fn records(path: &[u8], item: &Item, link: &[u8], size: u64) -> Vec<u8> {
    let mut all = Vec::new();
    let mut record = |key: &[u8], value: &[u8]| all.extend(one_record(key, value));
    for (key, text) in [(&b"path"[..], path), (b"linkpath", link)] {
        if text.len() > 100 {
            record(key, text);
        }
    }
    for (key, number, most) in [
        (&b"size"[..], size, MOST_SIZE),
        (b"uid", item.owner.0.into(), MOST_ID.into()),
        (b"gid", item.owner.1.into(), MOST_ID.into()),
    ] {
        if number > most {
            record(key, number.to_string().as_bytes());
        }
    }
    if !(0..=MOST_SIZE as i64).contains(&item.mtime.0) {
        record(b"mtime", item.mtime.0.to_string().as_bytes());
    }
    for (name, value) in &item.xattrs {
        record(&[b"SCHILY.xattr.", name.as_slice()].concat(), value);
    }
    all
}

/// `LENGTH KEY=VALUE\n`, of which the length counts itself.
fn one_record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = Vec::with_capacity(length);
    // To memory: it can't fail.
    let _ = write!(record, "{length} ");
    for part in [key, b"=", value, b"\n"] {
        record.extend_from_slice(part);
    }
    record
}

impl Sink for TarSink<'_> {
    fn enter(&mut self, name: &[u8], item: &Item) -> Result<()> {
        self.lengths.push(self.path.len());
        self.path.extend_from_slice(name);
        self.path.push(b'/');
        let path = self.path.clone();
        self.entry(&path, EntryType::Directory, item, b"", 0)
    }

    fn leave(&mut self) -> Result<()> {
        self.path.truncate(self.lengths.pop().unwrap_or(0));
        Ok(())
    }

    fn file(&mut self, name: &[u8], item: &Item, data: BorrowedFd<'_>) -> Result<()> {
        let path = self.here(name);
        self.entry(&path, EntryType::Regular, item, b"", item.size)?;
        self.data(data, item.size).map_err(|e| e.within(COPY, String::from_utf8_lossy(&path)))
    }

    fn again(&mut self, name: &[u8], item: &Item, first: &[u8]) -> Result<()> {
        self.entry(&self.here(name), EntryType::Link, item, first, 0)
    }

    fn other(&mut self, name: &[u8], item: &Item) -> Result<()> {
        let kind = match item.kind() {
            libc::S_IFLNK => EntryType::Symlink,
            libc::S_IFIFO => EntryType::Fifo,
            libc::S_IFCHR => EntryType::Char,
            libc::S_IFBLK => EntryType::Block,
            _ => {
                return Err(Error::new(Kind::Unsupported, COPY, String::from_utf8_lossy(name))
                    .because("an archive has no such files"));
            }
        };
        self.entry(&self.here(name), kind, item, &item.link.clone(), 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_counts_itself() {
        assert_eq!(one_record(b"path", b"x"), b"9 path=x\n");
        let long = one_record(b"path", &[b'x'; 93]);
        assert_eq!(long.len().to_string().as_bytes(), &long[..3]);
    }
}
