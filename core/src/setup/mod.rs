//! `setup`: what root does once on a machine so that its plain users can run containers, and takes back again.
//!
//! Each step is looked at first, and done only where something is missing. It is noted before it is done, in
//! `/etc/sampan/setup.json`: beside what it is about, so that a copy of `/etc` has both. [`Setup::remove`] takes back what is
//! noted there and nothing that anybody else has made, or has changed since. A kill at any instant leaves a file as it was
//! or as it is to be, and a note at most of something that is not there.
//!
//! It is an administrator's act on a whole machine, not a program's on its containers: it stands beside the facade as the
//! OCI runtime does, and the command alone calls it.

mod accounts;
mod apparmor;
mod delegation;
mod groups;
mod held;
mod helper;
mod host;
pub(crate) mod ids;
mod locks;
mod place;
mod profiles;
mod record;

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::Serialize;

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::lock::{Lock, Mode};
use host::Host;
use record::{Item, Record};

/// Starts a program with arguments, waits for its end, and gives what it said where it failed. The library starts none
/// itself: a program of the host's would be its child.
pub type Start<'a> = dyn Fn(&Path, &[&str]) -> std::result::Result<(), String> + 'a;

/// What is to be set up.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The machine's root directory; another than `/` is a tree that is laid out as one. Its programs are given to `start` by
    /// where they lie, and are not this machine's: who sets up another's tree starts none of them.
    pub root: PathBuf,
    /// Plain users that are given subordinate ids, and cgroups where no systemd gives them: names, or numbers.
    pub users: Vec<String>,
    /// The program that starts containers, as this machine knows it: the command itself.
    pub program: PathBuf,
    /// Where the helper is installed, for programs that name it in their engine's options.
    pub helper: Option<PathBuf>,
}

/// How a step stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is as it should be.
    Done,
    /// It would be done.
    ToDo,
    /// This machine does not need it.
    NotNeeded,
    /// It can't be done, or failed.
    Impossible,
}

/// One step, for a reader.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// What it is about.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// What is there, would be made, or keeps it from being made.
    pub detail: String,
}

/// A step, and what does it.
struct Task {
    step: Step,
    act: Option<Act>,
}

enum Act {
    Place(place::Place),
    Range(ids::Range),
    Groups(groups::Groups),
}

impl Task {
    fn new(name: impl Into<String>, state: State, detail: impl Into<String>) -> Task {
        Task { step: Step { name: name.into(), state, detail: detail.into() }, act: None }
    }

    fn to_do(name: impl Into<String>, detail: impl Into<String>, act: Act) -> Task {
        Task { act: Some(act), ..Task::new(name, State::ToDo, detail) }
    }

    fn run(self, host: &Host<'_>, record: &mut Record) -> Step {
        let done = match &self.act {
            None => return self.step,
            Some(Act::Place(place)) => place.put(host, record).map(|()| self.step.detail.clone()),
            Some(Act::Range(range)) => range.give(host, record),
            Some(Act::Groups(groups)) => groups.make(host, record).map(|()| self.step.detail.clone()),
        };
        ended(self.step, done)
    }
}

fn ended(step: Step, done: Result<String>) -> Step {
    match done {
        Ok(detail) => Step { state: State::Done, detail, ..step },
        Err(e) => Step { state: State::Impossible, detail: e.to_string(), ..step },
    }
}

impl Setup {
    /// What there is to do, without doing it.
    ///
    /// # Errors
    /// `Store` where the note of what was done can't be read, or was written by a newer version.
    pub fn plan(&self) -> Result<Vec<Step>> {
        let host = Host { root: &self.root, start: &|_, _| Ok(()) };
        let tasks = self.tasks(&host, &Record::read(&host)?)?;
        Ok(tasks.into_iter().map(|task| task.step).collect())
    }

    /// Does what is missing. A step that fails is undone and does not keep the others from their turn.
    ///
    /// # Errors
    /// As [`Setup::plan`]; `Conflict` where another one is at work; what the system says where the note can't be written.
    pub fn apply(&self, start: &Start<'_>) -> Result<Vec<Step>> {
        let host = Host { root: &self.root, start };
        let record = Record::read(&host)?;
        let tasks = self.tasks(&host, &record)?;
        if tasks.iter().all(|task| task.act.is_none()) && ids::gone(&host, &record)?.is_empty() {
            return Ok(tasks.into_iter().map(|task| task.step).collect());
        }
        let _lock = lock(&host)?;
        let mut record = Record::read(&host)?;
        ids::gone(&host, &record)?.iter().try_for_each(|item| record.forget(&host, item))?;
        let tasks = self.tasks(&host, &record)?;
        let steps = tasks.into_iter().map(|task| task.run(&host, &mut record)).collect();
        record.leave(&host)?;
        Ok(steps)
    }

    fn tasks(&self, host: &Host<'_>, record: &Record) -> Result<Vec<Task>> {
        let mut tasks = Vec::new();
        let programs = [Some(&self.program), self.helper.as_ref()];
        tasks.extend(self.helper.iter().map(|path| helper::task(host, record, path)).collect::<Result<Vec<_>>>()?);
        for program in programs.into_iter().flatten() {
            tasks.push(apparmor::task(host, record, program)?);
        }
        tasks.extend(ids::tasks(host, &self.users)?);
        tasks.push(delegation::task(host, record)?);
        tasks.extend(groups::tasks(host, &self.users)?);
        Ok(tasks)
    }

    /// What [`Setup::remove`] would take back.
    ///
    /// # Errors
    /// As [`Setup::plan`].
    pub fn planned_removal(&self) -> Result<Vec<Step>> {
        let host = Host { root: &self.root, start: &|_, _| Ok(()) };
        let record = Record::read(&host)?;
        let steps = record.items().iter().rev().filter(|item| !item.is_directory());
        Ok(steps.map(|item| Step { name: item.name(), state: State::ToDo, detail: "is taken back".into() }).collect())
    }

    /// Takes back what was done, the last thing first. What can't be taken back stays noted.
    ///
    /// # Errors
    /// As [`Setup::apply`].
    pub fn remove(&self, start: &Start<'_>) -> Result<Vec<Step>> {
        let host = Host { root: &self.root, start };
        // Where it is empty, a removal was killed on its last steps.
        if !host.has(record::DIR) {
            return Ok(Vec::new());
        }
        let _lock = lock(&host)?;
        let mut record = Record::read(&host)?;
        let mut steps = Vec::new();
        for item in record.items().to_vec().into_iter().rev() {
            let taken = take_back(&host, &item);
            if taken.state != State::Impossible {
                record.forget(&host, &item)?;
            }
            steps.extend((!item.is_directory()).then_some(taken));
        }
        record.leave(&host)?;
        Ok(steps)
    }
}

fn take_back(host: &Host<'_>, item: &Item) -> Step {
    let done = match item {
        Item::Directory { path } => host.remove_empty(path).map(|()| "taken back"),
        Item::File { path, digests, then } => place::take_back(host, path, digests, *then),
        Item::Range { file, line, made } => ids::take_back(host, file, line, *made),
        Item::Group { path } => groups::take_back(host, path).map(|()| "taken back"),
    };
    match done {
        Ok(detail) => Step { name: item.name(), state: State::Done, detail: detail.into() },
        Err(e) => Step { name: item.name(), state: State::Impossible, detail: e.to_string() },
    }
}

/// One at a time; the directory of the note is locked, since a lock file would be left behind.
fn lock(host: &Host<'_>) -> Result<Lock> {
    let dir = host.at(record::DIR);
    let deadline = Instant::now() + PATIENCE;
    loop {
        if fs::make_dir(&dir)? {
            fs::open_to_all(&dir)?;
        }
        if let Some(lock) = Lock::try_open(fs::open_dir(&dir)?.into(), &dir, Mode::Exclusive)? {
            return Ok(lock);
        }
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::Conflict, "set up", dir.display().to_string())
                .because("another setup is at work")
                .hint("wait for its end"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// One that has little to do is waited for.
const PATIENCE: Duration = Duration::from_secs(1);
