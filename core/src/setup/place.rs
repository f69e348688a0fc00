//! A file of ours in one of the machine's directories.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::host::Host;
use super::record::Record;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::Digest;

/// Who has to hear of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Then {
    /// Nobody.
    Nothing,
    /// The kernel: it is an AppArmor profile.
    Profile,
    /// systemd: it is a part of a unit.
    Unit,
}

impl Then {
    fn placed(self, host: &Host<'_>, path: &str) -> Result<()> {
        match self {
            Then::Nothing => Ok(()),
            Then::Profile => host.run("apparmor_parser", &["-r", &host.at(path).to_string_lossy()]),
            Then::Unit => self.reload(host),
        }
    }

    /// The profile's name is in its file, so the kernel is told before it goes. One that is not loaded can't be unloaded.
    fn before_removal(self, host: &Host<'_>, path: &str) -> Result<()> {
        match self {
            Then::Profile if super::apparmor::is_loaded(host, path.rsplit('/').next().unwrap_or_default()) => {
                host.run("apparmor_parser", &["-R", &host.at(path).to_string_lossy()])
            }
            _ => Ok(()),
        }
    }

    fn reload(self, host: &Host<'_>) -> Result<()> {
        match self == Then::Unit && host.systemd_runs() {
            true => host.run("systemctl", &["daemon-reload"]),
            false => Ok(()),
        }
    }
}

/// What is at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Nothing.
    Nothing,
    /// What belongs there, whoever has put it there.
    Same,
    /// What an older version of this command has put there.
    Older,
    /// What was put there by this command, changed by somebody.
    Changed,
    /// Something else.
    Others,
}

pub(super) struct Place {
    pub path: String,
    pub bytes: Vec<u8>,
    pub mode: u32,
    pub then: Then,
}

fn digest(bytes: &[u8]) -> String {
    Digest::from_sha256(Sha256::digest(bytes).into()).to_string()
}

/// Where it is written first; no tool that reads all of a directory takes such a name.
fn staged(host: &Host<'_>, path: &str) -> PathBuf {
    let (dir, name) = path.rsplit_once('/').unwrap_or_default();
    host.at(&format!("{dir}/.{name}.sampan"))
}

impl Place {
    pub fn look(&self, host: &Host<'_>, record: &Record) -> Result<Found> {
        let Some(bytes) = host.bytes(&self.path)? else { return Ok(Found::Nothing) };
        Ok(match record.digests(&self.path) {
            _ if bytes == self.bytes => Found::Same,
            Some(ours) if ours.contains(&digest(&bytes)) => Found::Older,
            Some(_) => Found::Changed,
            None => Found::Others,
        })
    }

    /// Puts it in place; where who has to hear of it refuses, all is as it was. What is there already is told alone: unless it
    /// is noted it is somebody else's, and stays so.
    pub fn put(&self, host: &Host<'_>, record: &mut Record) -> Result<()> {
        let (old, noted) = (host.bytes(&self.path)?, record.clone());
        if old.as_ref() == Some(&self.bytes) {
            return self.then.placed(host, &self.path);
        }
        record.make_parents(host, &self.path)?;
        record.note_file(host, &self.path, &digest(&self.bytes), self.then)?;
        let done = self.write(host, &self.bytes).and_then(|()| self.then.placed(host, &self.path));
        done.map_err(|e| match self.undo(host, record, old.as_deref(), &noted) {
            Ok(()) => e,
            Err(left) => e.leaving(left.to_string()),
        })
    }

    fn write(&self, host: &Host<'_>, bytes: &[u8]) -> Result<()> {
        fs::replace_durably(&host.at(&self.path), &staged(host, &self.path), bytes, self.mode)
    }

    fn undo(&self, host: &Host<'_>, record: &mut Record, old: Option<&[u8]>, noted: &Record) -> Result<()> {
        match old {
            Some(bytes) => self.write(host, bytes)?,
            None => fs::remove_durably(&host.at(&self.path))?,
        }
        if noted.digests(&self.path).is_none() {
            record.forget_file(host, &self.path)?;
        }
        record.drop_empty_directories(host)
    }
}

/// Removes what is still as it was written.
pub(super) fn take_back(host: &Host<'_>, path: &str, digests: &[String], then: Then) -> Result<&'static str> {
    fs::remove_file(&staged(host, path))?;
    let Some(bytes) = host.bytes(path)? else {
        // Also where it was removed and who has to hear of that could not.
        return then.reload(host).map(|()| "gone already");
    };
    if !digests.contains(&digest(&bytes)) {
        return Ok("left, since somebody has changed it");
    }
    then.before_removal(host, path)?;
    fs::remove_durably(&host.at(path))?;
    then.reload(host)?;
    Ok("taken back")
}

/// What is said where a place is taken.
pub(super) fn taken(path: &str) -> Error {
    Error::new(Kind::Conflict, "write", path)
        .because("it is there with another content, and not this command's")
        .hint("see what it is for, and move it away")
}
