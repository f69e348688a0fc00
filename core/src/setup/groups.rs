//! Cgroups of plain users, where there is no systemd that makes them: a directory each, theirs to make containers' in.
//! They last until the machine goes down.
//!
//! On v2 a process can be moved only within what its user may write, so that who is to have limits must start in the
//! directory's `session`; on v1 a user may move its own processes from anywhere, and containers find their place by themselves.

use std::path::Path;

use super::accounts::{self, User};
use super::host::Host;
use super::record::{Item, Record};
use super::{Act, State, Task};
use crate::cgroup::{DELEGATED, USERS, hand_down, hierarchies, inherit_cpuset, members};
use crate::error::{Context, Error, Kind, Result};
use crate::fs;

/// Those of v1 that containers are put in.
const V1: [&str; 7] = ["memory", "cpu", "cpuacct", "pids", "freezer", "cpuset", "blkio"];
/// The leaf that processes of the user's are in: a cgroup that hands controllers down holds none itself.
const SESSION: &str = "session";

/// The cgroups of one user.
pub(super) struct Groups {
    user: User,
    places: Vec<Place>,
}

/// One in one hierarchy; paths are those of the machine.
struct Place {
    top: String,
    /// v2: what is handed down.
    controllers: Vec<String>,
    is_v2: bool,
    is_cpuset: bool,
}

impl Place {
    fn users(&self) -> String {
        format!("{}/{USERS}", self.top.trim_end_matches('/'))
    }

    fn own(&self, user: &User) -> String {
        format!("{}/{}", self.users(), user.uid)
    }

    /// Those whose owner makes the subtree the user's (cgroups(7), "Cgroups delegation").
    fn owned(&self, dir: &str) -> Vec<String> {
        let files: &[&str] = match self.is_v2 {
            true => &["cgroup.procs", "cgroup.threads", "cgroup.subtree_control"],
            false => &["cgroup.procs", "tasks"],
        };
        std::iter::once(dir.to_owned()).chain(files.iter().map(|file| format!("{dir}/{file}"))).collect()
    }

    fn is_made(&self, host: &Host<'_>, user: &User) -> Result<bool> {
        let dir = self.own(user);
        for path in self.owned(&dir) {
            match fs::owner_and_mode(&host.at(&path))? {
                Some((owner, _)) if owner == user.uid => {}
                _ => return Ok(false),
            }
        }
        let down = host.kernel(&format!("{dir}/cgroup.subtree_control"));
        let handed_down = |c: &String| down.split_whitespace().any(|word| word == c);
        Ok(!self.is_v2 || (self.controllers.iter().all(handed_down) && host.has(&format!("{dir}/{SESSION}"))))
    }
}

pub(super) fn tasks(host: &Host<'_>, users: &[String]) -> Result<Vec<Task>> {
    let found = hierarchies(&host.kernel("/proc/self/mountinfo"));
    let mut tasks = Vec::new();
    for word in users {
        let Some(user) = accounts::find(host, word)?.filter(|user| user.uid != 0) else { continue };
        let name = format!("cgroups of {}", user.name);
        tasks.push(match found.mode {
            "none" => Task::new(name, State::Impossible, "no cgroups are mounted here"),
            "v2" if host.systemd_runs() => Task::new(name, State::NotNeeded, "systemd makes them at a login"),
            _ => task(host, name, Groups { user, places: places(host, &found) })?,
        });
    }
    Ok(tasks)
}

fn task(host: &Host<'_>, name: String, groups: Groups) -> Result<Task> {
    if let Some(place) = groups.places.iter().find(|place| !fs::writable(&host.at(&place.top))) {
        return Ok(Task::new(name, State::Impossible, format!("{} can't be written to", place.top)));
    }
    let detail = groups.detail();
    for place in &groups.places {
        if !place.is_made(host, &groups.user)? {
            return Ok(Task::to_do(name, detail, Act::Groups(groups)));
        }
    }
    Ok(Task::new(name, State::Done, detail))
}

fn places(host: &Host<'_>, found: &crate::cgroup::Hierarchies) -> Vec<Place> {
    if let Some(top) = &found.v2 {
        let have = host.kernel(&format!("{top}/cgroup.controllers"));
        let controllers = DELEGATED.iter().filter(|c| have.split_whitespace().any(|word| word == **c));
        let controllers = controllers.map(|c| c.to_string()).collect();
        return vec![Place { top: top.clone(), controllers, is_v2: true, is_cpuset: false }];
    }
    let mut places: Vec<Place> = Vec::new();
    for (controller, top) in found.v1.iter().filter(|(controller, _)| V1.contains(&controller.as_str())) {
        match places.iter_mut().find(|place| place.top == *top) {
            Some(place) => place.is_cpuset |= controller == "cpuset",
            None => {
                let is_cpuset = controller == "cpuset";
                places.push(Place { top: top.clone(), controllers: Vec::new(), is_v2: false, is_cpuset });
            }
        }
    }
    places
}

impl Groups {
    fn detail(&self) -> String {
        const UNTIL: &str = "until the machine goes down";
        let names: Vec<&str> = self.places.iter().filter_map(|place| place.top.rsplit('/').next()).collect();
        match self.places.first() {
            Some(place) if place.is_v2 => format!(
                "{own}, {UNTIL}; what root starts there, or moves there, has limits: echo PID >{own}/{SESSION}/cgroup.procs",
                own = place.own(&self.user)
            ),
            _ => format!("{USERS}/{}, {UNTIL}, in {}", self.user.uid, names.join(" ")),
        }
    }

    /// Makes them; where one fails, those of this call are taken back.
    pub fn make(&self, host: &Host<'_>, record: &mut Record) -> Result<()> {
        let before = record.items().to_vec();
        let done = self.places.iter().try_for_each(|place| self.make_one(host, record, place));
        done.map_err(|e| match self.undo(host, record, &before) {
            Ok(()) => e,
            Err(left) => e.leaving(left.to_string()),
        })
    }

    fn make_one(&self, host: &Host<'_>, record: &mut Record, place: &Place) -> Result<()> {
        hand_down(&host.at(&place.top), &place.controllers)?;
        record.make_dir(host, &place.users())?;
        self.ready(host, place, &place.users())?;
        let own = place.own(&self.user);
        record.note(host, Item::Group { path: own.clone() })?;
        make_dir(host, &own)?;
        self.ready(host, place, &own)?;
        let session = format!("{own}/{SESSION}");
        if place.is_v2 {
            make_dir(host, &session)?;
            self.own(host, place, &session)?;
        }
        self.own(host, place, &own)
    }

    /// What a cgroup needs before there are any below it.
    fn ready(&self, host: &Host<'_>, place: &Place, dir: &str) -> Result<()> {
        match place.is_cpuset {
            true => inherit_cpuset(&host.at(dir)),
            false => hand_down(&host.at(dir), &place.controllers),
        }
    }

    fn own(&self, host: &Host<'_>, place: &Place, dir: &str) -> Result<()> {
        let user = nix::unistd::Uid::from_raw(self.user.uid);
        let group = self.user.gid.map(nix::unistd::Gid::from_raw);
        for path in place.owned(dir) {
            let path = host.at(&path);
            nix::unistd::chown(&path, Some(user), group).context("give to the user", path.display())?;
        }
        Ok(())
    }

    fn undo(&self, host: &Host<'_>, record: &mut Record, before: &[Item]) -> Result<()> {
        let new: Vec<Item> = record.items().iter().filter(|item| !before.contains(item)).cloned().collect();
        for item in new {
            if let Item::Group { path } = &item {
                take_back(host, path)?;
                record.forget(host, &item)?;
            }
        }
        record.drop_empty_directories(host)
    }
}

fn make_dir(host: &Host<'_>, path: &str) -> Result<()> {
    fs::make_dir(&host.at(path))?;
    fs::open_to_all(&host.at(path))
}

/// Removes a user's cgroup with the empty ones that containers have left in it; all of it or nothing.
pub(super) fn take_back(host: &Host<'_>, path: &str) -> Result<()> {
    let dir = host.at(path);
    let mut all = fs::directories_below(&dir);
    all.push(dir);
    match all.iter().find(|dir| !members(dir).is_empty()) {
        Some(busy) => return Err(in_use(busy)),
        None => all.iter().try_for_each(|dir| remove(dir))?,
    }
    // Nobody else has such a name, whoever's note it is that has it.
    match path.rsplit_once('/') {
        Some((users, _)) => host.remove_empty(users),
        None => Ok(()),
    }
}

fn in_use(dir: &Path) -> Error {
    Error::new(Kind::Conflict, "remove cgroup", dir.display().to_string())
        .because("processes run in it")
        .hint("end them, and call again")
}

/// A process may have come meanwhile.
fn remove(dir: &Path) -> Result<()> {
    fs::remove_dir(dir).map(drop).map_err(|e| if e.errno() == Some(libc::EBUSY) { in_use(dir) } else { e })
}
