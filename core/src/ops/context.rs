//! What an engine knows: its options, its paths, and what this host allows.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use super::facts;
use crate::api::{EngineOptions, Rung};
use crate::error::Result;
use crate::id::{ContainerId, Name};
use crate::launch::Launched;
use crate::paths::Paths;
use crate::plan::facts::Facts;

/// Shared by all operations of one engine.
#[derive(Debug)]
pub struct Context {
    /// As given.
    pub options: EngineOptions,
    /// Where things are.
    pub paths: Paths,
    /// Gathered on first use: most calls need none.
    facts: OnceLock<Facts>,
    /// Connections to the shims of containers with a terminal, for `resize`.
    pub(super) terminals: Mutex<HashMap<ContainerId, Launched>>,
}

impl Context {
    /// Opens the store, making it when it is missing.
    pub fn open(options: &EngineOptions) -> Result<Self> {
        let paths = Paths::new(options.root.as_deref(), options.run.as_deref())?;
        paths.make()?;
        Ok(Context { options: options.clone(), paths, facts: OnceLock::new(), terminals: Mutex::default() })
    }

    /// What this host allows.
    pub fn facts(&self) -> Result<&Facts> {
        if let Some(facts) = self.facts.get() {
            return Ok(facts);
        }
        let facts = facts::gather(self.options.rung, &self.paths)?;
        Ok(self.facts.get_or_init(|| facts))
    }

    /// The form that layers are unpacked in here: one per id map and dialect of overlay marks.
    pub fn form(&self) -> Result<Name> {
        let facts = self.facts()?;
        match facts.rung {
            Rung::Root if facts.in_user_namespace => "root-userxattr",
            Rung::Root => "root",
            Rung::SubIds => "subids",
            Rung::SingleId => "single",
        }
        .parse()
    }
}
