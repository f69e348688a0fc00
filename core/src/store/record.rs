//! Records as JSON with a version.

use std::path::Path;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::fs;

/// The version that this library writes, and the newest that it reads.
pub const VERSION: u32 = 1;

/// No record of ours comes near.
const MAX: u64 = 4 << 20;

/// Reads a record; `None` when it is missing. A newer one is refused: its writer knew more than we do.
pub fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    let Some(bytes) = fs::read_if_exists(path, MAX)? else { return Ok(None) };
    check_version(path, &bytes)?;
    serde_json::from_slice(&bytes).map(Some).map_err(|e| damaged(path, &e))
}

/// A record's bytes.
pub fn encode(path: &Path, record: &impl Serialize) -> Result<Vec<u8>> {
    serde_json::to_vec(record)
        .map_err(|e| Error::new(Kind::Store, "write record", path.display().to_string()).because(e.to_string()))
}

fn check_version(path: &Path, bytes: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let found: Versioned = serde_json::from_slice(bytes).map_err(|e| damaged(path, &e))?;
    match found.version {
        1..=VERSION => Ok(()),
        newer => Err(Error::new(Kind::Store, "read record", path.display().to_string())
            .because(format!("it has version {newer}, and this Sampan reads up to {VERSION}"))
            .hint("use a newer Sampan")),
    }
}

fn damaged(path: &Path, why: &serde_json::Error) -> Error {
    Error::new(Kind::Store, "read record", path.display().to_string()).because(format!("it is damaged: {why}"))
}
