//! What was done, so that it can be taken back.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::host::Host;
use super::place::Then;
use crate::error::{Error, Kind, Result};
use crate::fs;

pub(super) const DIR: &str = "/etc/sampan";
const FILE: &str = "/etc/sampan/setup.json";
const STAGED: &str = "/etc/sampan/.setup.json";
const VERSION: u32 = 1;

/// One thing that was made. Paths are those of the machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(super) enum Item {
    /// A directory, for what is in it.
    Directory { path: String },
    /// A file, and the digests of all that was ever written there: what has another one was changed by somebody else.
    File { path: String, digests: Vec<String>, then: Then },
    /// A line in `/etc/subuid` or `/etc/subgid`; `made`: there was no such file.
    Range { file: String, line: String, made: bool },
    /// A cgroup of a user's.
    Group { path: String },
}

impl Item {
    pub fn is_directory(&self) -> bool {
        matches!(self, Item::Directory { .. })
    }

    /// For a reader.
    pub fn name(&self) -> String {
        match self {
            Item::Directory { path } | Item::File { path, .. } => path.clone(),
            Item::Range { file, line, .. } => format!("{line} in {file}"),
            Item::Group { path } => format!("cgroup {path}"),
        }
    }
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    version: u32,
    items: Vec<Item>,
}

impl Record {
    /// What is noted; nothing where nothing was done.
    pub fn read(host: &Host<'_>) -> Result<Record> {
        let Some(bytes) = host.bytes(FILE)? else { return Ok(Record { version: VERSION, items: Vec::new() }) };
        let damaged = |why: String| {
            Error::new(Kind::Store, "read", FILE)
                .because(why)
                .hint("take back by hand what it names, then remove the file")
        };
        let record: Record = serde_json::from_slice(&bytes).map_err(|e| damaged(format!("it is damaged: {e}")))?;
        match record.version {
            VERSION => Ok(record),
            newer => Err(Error::new(Kind::Store, "read", FILE)
                .because(format!("it has version {newer}, and this command knows {VERSION}"))
                .hint("use the command that wrote it")),
        }
    }

    pub fn items(&self) -> &[Item] {
        &self.items
    }

    /// Notes something before it is made; what is noted already is noted once.
    pub fn note(&mut self, host: &Host<'_>, item: Item) -> Result<()> {
        if self.items.contains(&item) {
            return Ok(());
        }
        self.items.push(item);
        self.save(host)
    }

    /// Notes what is written to a file, beside what was.
    pub fn note_file(&mut self, host: &Host<'_>, path: &str, digest: &str, then: Then) -> Result<()> {
        let known = self.items.iter_mut().find_map(|item| match item {
            Item::File { path: of, digests, .. } if of == path => Some(digests),
            _ => None,
        });
        match known {
            Some(digests) if digests.iter().any(|d| d == digest) => return Ok(()),
            Some(digests) => digests.push(digest.to_owned()),
            None => self.items.push(Item::File { path: path.into(), digests: vec![digest.into()], then }),
        }
        self.save(host)
    }

    /// All that was ever written to a file; `None` where nothing was.
    pub fn digests(&self, path: &str) -> Option<&[String]> {
        self.items.iter().find_map(|item| match item {
            Item::File { path: of, digests, .. } if of == path => Some(digests.as_slice()),
            _ => None,
        })
    }

    pub fn forget(&mut self, host: &Host<'_>, item: &Item) -> Result<()> {
        self.items.retain(|noted| noted != item);
        self.save(host)
    }

    pub fn forget_file(&mut self, host: &Host<'_>, path: &str) -> Result<()> {
        self.items.retain(|item| !matches!(item, Item::File { path: of, .. } if of == path));
        self.save(host)
    }

    /// Makes the missing directories above a file, open to all for reading, each noted.
    pub fn make_parents(&mut self, host: &Host<'_>, path: &str) -> Result<()> {
        let mut missing: Vec<&Path> = Path::new(path).ancestors().skip(1).collect();
        missing.retain(|dir| !host.has(&dir.to_string_lossy()));
        for dir in missing.into_iter().rev() {
            self.make_dir(host, &dir.to_string_lossy())?;
        }
        Ok(())
    }

    /// Makes a directory, open to all for reading, and notes it where it was missing.
    pub fn make_dir(&mut self, host: &Host<'_>, path: &str) -> Result<()> {
        if host.has(path) {
            return Ok(());
        }
        self.note(host, Item::Directory { path: path.to_owned() })?;
        fs::make_dir(&host.at(path))?;
        fs::open_to_all(&host.at(path))
    }

    /// Takes back the directories that turned out to be for nothing.
    pub fn drop_empty_directories(&mut self, host: &Host<'_>) -> Result<()> {
        for item in self.items.clone().into_iter().rev().filter(Item::is_directory) {
            host.remove_empty(&item.name())?;
            if !host.has(&item.name()) {
                self.forget(host, &item)?;
            }
        }
        Ok(())
    }

    /// Nothing is left of it once nothing is noted.
    pub fn leave(&self, host: &Host<'_>) -> Result<()> {
        if self.items.is_empty() {
            fs::remove_file(&host.at(STAGED))?;
            fs::remove_file(&host.at(FILE))?;
            host.remove_empty(DIR)?;
        }
        Ok(())
    }

    fn save(&self, host: &Host<'_>) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self)
            .map_err(|e| Error::new(Kind::System, "write", FILE).because(e.to_string()))?;
        text.push('\n');
        fs::replace_durably(&host.at(FILE), &host.at(STAGED), text.as_bytes(), 0o644)
    }
}
