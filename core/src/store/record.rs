//! Records as JSON with a version.

use std::path::Path;

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::sparsely;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::Digest;

/// The version that this library writes where an older one may use the record without knowing all of it, and the newest that
/// it reads but for [`MAPPED`]. What is read of a newer one by [`read_known_part`] means the same in all versions.
pub const VERSION: u32 = 1;

/// That of a container with ids of its own, which who does not know of them would run as the host's root.
pub const MAPPED: u32 = 2;

/// None is written that is longer: it could not be read again. What a process may get as arguments and environment,
/// twice and in JSON, fits.
const MAX: u64 = 16 << 20;

/// Why a record that is there can't be used.
pub enum Fault {
    /// Its writer knew more than we do.
    Newer(Error),
    /// It says nothing.
    Damaged(Error),
    /// It could not be read.
    Unread(Error),
}

impl Fault {
    fn error(self) -> Error {
        match self {
            Fault::Newer(e) | Fault::Damaged(e) | Fault::Unread(e) => e,
        }
    }
}

/// Reads a record; `None` when it is missing. A newer one is refused: its writer knew more than we do.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    try_read(path).map_err(Fault::error)
}

/// As [`read`], for lists: one that is damaged or newer is passed over, or it would hide all others.
pub fn read_if_usable<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match try_read(path) {
        Err(Fault::Damaged(_) | Fault::Newer(_)) => Ok(None),
        done => done.map_err(Fault::error),
    }
}

/// As [`read_if_usable`], and of a newer one what we know of it.
pub fn read_known_part<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match try_read(path) {
        Err(Fault::Newer(_)) => parsed(path),
        Err(Fault::Damaged(_)) => Ok(None),
        done => done.map_err(Fault::error),
    }
}

fn parsed<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    Ok(fs::read_if_exists(path, MAX)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// All digests that a newer record names, for whatever it needs them.
pub fn digests(path: &Path) -> Result<Vec<Digest>> {
    Ok(parsed(path)?.map(digests_in).unwrap_or_default())
}

/// All digests that a document names.
pub fn digests_in(document: Value) -> Vec<Digest> {
    let (mut found, mut left) = (Vec::new(), vec![document]);
    while let Some(value) = left.pop() {
        match value {
            Value::String(text) => found.extend(text.parse::<Digest>().ok()),
            Value::Array(all) => left.extend(all),
            Value::Object(all) => left.extend(all.into_iter().map(|(_, value)| value)),
            _ => {}
        }
    }
    found
}

/// As [`read`], and `damaged` becomes true where one was passed over.
pub fn read_noting_damage<T: DeserializeOwned>(path: &Path, damaged: &mut bool) -> Result<Option<T>> {
    match try_read(path) {
        Err(Fault::Damaged(_)) => {
            *damaged = true;
            Ok(None)
        }
        done => done.map_err(Fault::error),
    }
}

/// What could be read, and why the rest could not.
pub fn sorted_out<T>(records: impl Iterator<Item = Result<Option<T>>>) -> (Vec<T>, Vec<Error>) {
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for record in records {
        match record {
            Ok(record) => read.extend(record),
            Err(e) => unread.push(e),
        }
    }
    (read, unread)
}

/// Why a record can't be used; `None` for one that can, or that is missing.
pub fn fault<T: DeserializeOwned>(path: &Path) -> Option<Fault> {
    try_read::<T>(path).err()
}

/// Whether a record is there and its writer knew more than we do.
pub fn is_newer<T: DeserializeOwned>(path: &Path) -> bool {
    matches!(fault::<T>(path), Some(Fault::Newer(_)))
}

/// Whether a record is there and says nothing.
pub fn is_damaged<T: DeserializeOwned>(path: &Path) -> bool {
    matches!(fault::<T>(path), Some(Fault::Damaged(_)))
}

fn try_read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, Fault> {
    let read = fs::read_if_exists(path, MAX).map_err(|e| match e.kind() {
        Kind::Store | Kind::LimitExceeded => Fault::Damaged(e),
        _ => Fault::Unread(e),
    });
    let Some(bytes) = read? else { return Ok(None) };
    check_version(path, &bytes)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| unreadable(path, &e))
}

/// A record's bytes.
pub fn encode(path: &Path, record: &impl Serialize) -> Result<Vec<u8>> {
    let failed = |kind| Error::new(kind, "write record", path.display().to_string());
    match sparsely(|| serde_json::to_vec(record)).map_err(|e| failed(Kind::Store).because(e.to_string()))? {
        bytes if bytes.len() as u64 > MAX => Err(failed(Kind::LimitExceeded)
            .because(format!("it would have {} bytes, and {MAX} are the most", bytes.len()))
            .hint("give fewer or shorter arguments, variables and labels")),
        bytes => Ok(bytes),
    }
}

fn check_version(path: &Path, bytes: &[u8]) -> Result<(), Fault> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
        #[serde(default)]
        spec: Mapped,
    }
    #[derive(Default, Deserialize)]
    struct Mapped {
        #[serde(default)]
        ids: Option<IgnoredAny>,
    }
    let found: Versioned = serde_json::from_slice(bytes).map_err(|e| damaged(path, &e))?;
    match found.version {
        1..=VERSION => Ok(()),
        MAPPED if found.spec.ids.is_some() => Ok(()),
        version => Err(newer(path, format!("it has version {version}, and this Sampan reads up to {VERSION}"))),
    }
}

/// A word that is well-formed and not known is of a later version, and no damage.
fn unreadable(path: &Path, why: &serde_json::Error) -> Fault {
    let text = why.to_string();
    match text.starts_with("unknown field") || text.starts_with("unknown variant") {
        true => newer(path, format!("this Sampan does not know all of it: {text}")),
        false => damaged(path, why),
    }
}

fn newer(path: &Path, why: String) -> Fault {
    Fault::Newer(
        Error::new(Kind::Store, "read record", path.display().to_string()).because(why).hint("use a newer Sampan"),
    )
}

fn damaged(path: &Path, why: &serde_json::Error) -> Fault {
    Fault::Damaged(
        Error::new(Kind::Store, "read record", path.display().to_string())
            .because(format!("it is damaged: {why}"))
            .hint("remove what it stands for by its name, and make it again"),
    )
}
