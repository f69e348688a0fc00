//! What an engine knows: its options, its paths, and what this host allows.

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::OnceLock;

use super::apparmor::Watched;
use super::facts;
use super::leftovers;
use super::probe::Found;
use super::shims::Shims;
use super::subids;
use crate::api::{EngineOptions, Rung};
use crate::error::{Error, Result};
use crate::id::Name;
use crate::launch::HelperSource;
use crate::paths::Paths;
use crate::plan::facts::{AppArmor, Facts};
use crate::store::{events, gc};

/// Shared by all operations of one engine.
#[derive(Debug)]
pub struct Context {
    /// As given.
    pub options: EngineOptions,
    /// Where things are.
    pub paths: Paths,
    /// Gathered on first use: most calls need none.
    facts: OnceLock<Found>,
    /// What only root needs who starts containers, where the kernel has it.
    profiles: Watched,
    /// Of a rung that is another's choice: that of a container which was created so.
    named: OnceLock<Found>,
    /// What only the process that started a container knows of it.
    pub(super) shims: Shims,
    /// Where its events are written.
    pub(super) events: PathBuf,
}

/// What the caller leaves open the environment says, as to the command: both are to find the same containers.
fn with_environment(given: &EngineOptions) -> Result<EngineOptions> {
    let word = |name| std::env::var(name).ok().filter(|word| !word.is_empty());
    Ok(EngineOptions {
        root: given.root.clone().or_else(|| word("SAMPAN_ROOT")),
        run: given.run.clone().or_else(|| word("SAMPAN_RUN")),
        rung: given.rung.map_or_else(|| chosen("SAMPAN_RUNG", word("SAMPAN_RUNG")), |rung| Ok(Some(rung)))?,
        cgroup_manager: given.cgroup_manager.map_or_else(
            || chosen("SAMPAN_CGROUP_MANAGER", word("SAMPAN_CGROUP_MANAGER")),
            |manager| Ok(Some(manager)),
        )?,
        ..given.clone()
    })
}

fn chosen<T: FromStr<Err = Error>>(name: &'static str, word: Option<String>) -> Result<Option<T>> {
    word.map(|word| word.parse::<T>().map_err(|e| e.within("read environment variable", name))).transpose()
}

impl Context {
    /// Opens the store, making it when it is missing.
    pub fn open(options: &EngineOptions) -> Result<Self> {
        let options = &with_environment(options)?;
        let paths = Paths::new(options.root.as_deref(), options.run.as_deref())?;
        let paths = paths.with_below(&options.additional_stores)?;
        paths.make()?;
        // What killed processes left; what only a user namespace can delete is left to `gc`.
        let _ = gc::tidy(&paths, &crate::fs::remove_tree);
        let events = events::file(&paths);
        let (facts, named) = (OnceLock::new(), OnceLock::new());
        let (profiles, shims) = (Watched::default(), Shims::default());
        let context = Context { options: options.clone(), paths, facts, named, profiles, shims, events };
        // Nor is a container that can't be removed now a reason not to open.
        let _ = leftovers::sweep(&context);
        Ok(context)
    }

    /// What this host allows.
    pub fn facts(&self) -> Result<&Facts> {
        if let Some(found) = self.facts.get() {
            return Ok(&found.facts);
        }
        let found = facts::gather(self.options.rung, &self.paths, &self.helper())?;
        Ok(&self.facts.get_or_init(|| found).facts)
    }

    /// AppArmor as it is now, with the default profiles for root's containers. They may be taken away at any time, which
    /// is looked for at each start, where the kernel has any.
    pub fn apparmor(&self, rung: Rung) -> Result<AppArmor> {
        let facts = self.facts_of(rung)?;
        match &facts.apparmor {
            AppArmor::Unprepared(_) if facts.rung == Rung::Root => Ok(self.profiles.prepared(&self.helper())),
            found => Ok(found.clone()),
        }
    }

    /// The same for containers of this rung: what is had by name alone was named when they were created.
    pub fn facts_of(&self, rung: Rung) -> Result<&Facts> {
        if rung != Rung::Chroot || self.options.rung == Some(rung) {
            return self.facts();
        }
        if let Some(found) = self.named.get() {
            return Ok(&found.facts);
        }
        let found = facts::gather(Some(rung), &self.paths, &self.helper())?;
        Ok(&self.named.get_or_init(|| found).facts)
    }

    /// Of what this host allows, what is the same on every rung.
    pub fn host(&self) -> Result<&Facts> {
        self.named.get().map_or_else(|| self.facts(), |found| Ok(&found.facts))
    }

    /// Why not a better rung.
    pub fn rung_reason(&self) -> Result<&str> {
        self.facts()?;
        Ok(self.facts.get().map_or("", |found| &found.reason))
    }

    /// Where the shim is executed from.
    pub fn helper(&self) -> HelperSource {
        HelperSource { installed: self.options.helper.as_ref().map(Into::into), temp_dir: Some(self.paths.tmp()) }
    }

    /// The form that layers are unpacked in here: one per id map and dialect of overlay marks.
    pub fn form(&self) -> Result<Name> {
        let facts = self.facts()?;
        match (facts.rung, &facts.id_map) {
            (Rung::SubIds, Some(map)) => subids::form(&self.paths, map),
            (Rung::Root | Rung::Chroot, _) if !facts.in_user_namespace => "root".parse(),
            (Rung::SingleId, _) => "single".parse(),
            _ => "nested".parse(),
        }
    }
}
