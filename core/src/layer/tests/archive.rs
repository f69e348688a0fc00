//! Builds odd archives block by block, and unpacks them into throw-away directories.

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use tar::{EntryType, Header};

use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::layer::owners::{BATCH, Debts, Owed};
use crate::layer::{Compression, FILES, Form, SIDECAR, UnpackOptions, Unpacked, unpack};

pub const MTIME: u64 = 1_000_000_007;

/// A tar being written, with no care for sense.
#[derive(Clone, Default)]
pub struct Archive(pub Vec<u8>);

/// A GNU header of this name and type: mode 644 (755 for directories), root's, no data.
pub fn header(name: &[u8], kind: EntryType) -> Header {
    let mut header = Header::new_gnu();
    let n = name.len().min(100);
    header.as_old_mut().name[..n].copy_from_slice(&name[..n]);
    header.set_entry_type(kind);
    header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(MTIME);
    header.set_size(0);
    header
}

impl Archive {
    pub fn new() -> Self {
        Self::default()
    }

    /// The header, its checksum set, and the data, padded; the header's size field is left as it is.
    pub fn raw(mut self, mut header: Header, data: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn entry(self, mut header: Header, data: &[u8]) -> Self {
        header.set_size(data.len() as u64);
        self.raw(header, data)
    }

    pub fn with(self, name: &str, kind: EntryType, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = header(name.as_bytes(), kind);
        change(&mut header);
        self.raw(header, &[])
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.entry(header(name.as_bytes(), EntryType::Regular), data)
    }

    pub fn dir(self, name: &str) -> Self {
        self.with(name, EntryType::Directory, |_| {})
    }

    pub fn link(self, name: &str, target: &str, kind: EntryType) -> Self {
        self.with(name, kind, |h| h.as_old_mut().linkname[..target.len()].copy_from_slice(target.as_bytes()))
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.link(name, target, EntryType::Symlink)
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.link(name, target, EntryType::Link)
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let body: Vec<u8> = records.iter().flat_map(|(key, value)| record(key, value)).collect();
        self.entry(header(b"pax", EntryType::XHeader), &body)
    }

    pub fn long_name(self, name: &[u8]) -> Self {
        self.entry(header(b"././@LongLink", EntryType::GNULongName), name)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    pub fn unpack(self, form: Form) -> Outcome {
        unpack_bytes(&self.end(), form)
    }

    /// The error in both forms, or as many as this user can try.
    pub fn refused(self) -> Error {
        let bytes = self.end();
        let errors: Vec<Error> = forms().iter().map(|form| unpack_bytes(&bytes, *form).error()).collect();
        assert!(errors.iter().all(|e| e.to_string() == errors[0].to_string()));
        errors.into_iter().next().unwrap()
    }
}

/// A PAX record whose length counts itself.
pub fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    let mut record = format!("{length} {key}=").into_bytes();
    record.extend_from_slice(value);
    record.push(b'\n');
    record
}

/// The forms that this user can make.
pub fn forms() -> &'static [Form] {
    match nix::unistd::geteuid().is_root() {
        true => &[Form::Root, Form::User],
        false => &[Form::User],
    }
}

pub const OPTIONS: UnpackOptions = UnpackOptions { form: Form::User, max_bytes: 64 << 20, max_entries: 100_000 };

/// A staging directory within a directory that is watched for what does not belong there.
pub struct Outcome {
    pub result: Result<Unpacked>,
    outer: tempfile::TempDir,
}

impl Outcome {
    /// The error that it ended with.
    pub fn error(mut self) -> Error {
        let taken = Error::new(crate::error::Kind::Unknown, "take error", "");
        std::mem::replace(&mut self.result, Err(taken)).unwrap_err()
    }

    pub fn done(&self) -> &Unpacked {
        self.result.as_ref().unwrap()
    }

    pub fn failed(&self) -> bool {
        self.result.is_err()
    }

    pub fn path(&self, below: &str) -> PathBuf {
        self.outer.path().join("staging").join(FILES).join(below)
    }

    pub fn read(&self, below: &str) -> String {
        std::fs::read_to_string(self.path(below)).unwrap()
    }

    pub fn owed(&self) -> Owed {
        self.owed_by(BATCH).fold(Owed::default(), |mut all, owed| {
            all.owners.extend(owed.owners);
            all.capabilities.extend(owed.capabilities);
            all
        })
    }

    /// What is owed when so many bytes of the sidecar are read at once.
    pub fn owed_by(&self, batch: usize) -> impl Iterator<Item = Owed> {
        let staging = std::fs::File::open(self.outer.path().join("staging")).unwrap();
        let mut debts = Debts::open(staging.as_fd(), batch).unwrap();
        std::iter::from_fn(move || debts.next().unwrap())
    }

    pub fn sidecar(&self) -> Vec<String> {
        let bytes = std::fs::read(self.outer.path().join("staging").join(SIDECAR)).unwrap();
        let records = bytes.strip_suffix(b"\0").unwrap().split(|b| *b == 0);
        records.map(|r| String::from_utf8_lossy(r).into_owned()).collect()
    }
}

const CANARY: &str = "untouched";

pub fn unpack_bytes(bytes: &[u8], form: Form) -> Outcome {
    unpack_reader(bytes, Compression::None, UnpackOptions { form, ..OPTIONS })
}

/// In memory where that is possible: damaged archives alone make and remove files by the ten thousands.
fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

pub fn unpack_reader(reader: impl Read, compression: Compression, options: UnpackOptions) -> Outcome {
    let outer = scratch();
    let (staging, canary) = (outer.path().join("staging"), outer.path().join("canary"));
    std::fs::create_dir(&staging).unwrap();
    std::fs::write(&canary, CANARY).unwrap();
    let before = look(outer.path());
    let dir = std::fs::File::open(&staging).unwrap();
    let result = unpack(reader, compression, dir.as_fd(), &options, &Cancel::new());
    assert_eq!(before, look(outer.path()), "something outside of the root was touched");
    let inside: Vec<_> = std::fs::read_dir(&staging).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert!(inside.iter().all(|name| name == FILES || name == SIDECAR), "{inside:?}");
    Outcome { result, outer }
}

/// What is directly in `dir`, and all that could have been changed of the canary.
fn look(dir: &Path) -> String {
    use std::os::unix::fs::MetadataExt;
    let mut names: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    names.sort();
    let canary = dir.join("canary");
    let m = std::fs::symlink_metadata(&canary).unwrap();
    let text = std::fs::read_to_string(&canary).unwrap();
    format!("{names:?} {text} {} {:o} {} {} {}", m.nlink(), m.mode(), m.uid(), m.gid(), m.mtime_nsec())
}

impl Drop for Outcome {
    /// Unpacked modes may keep their owner from removing what is there.
    fn drop(&mut self) {
        open_up(self.outer.path());
    }
}

fn open_up(dir: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let _ = std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o700));
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            open_up(&entry.path());
        }
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}
