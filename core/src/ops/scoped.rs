//! Containers in a scope of systemd's: where their limits are enforced for a plain user, to whom nothing else hands down
//! controllers.
//!
//! systemd makes the scope around the shim, which no user could move there by itself. It is delegated: below it all is as
//! for any container, the shim in a cgroup beside that of the container.

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::start::note_unenforced;
use super::{Context, facts};
use crate::api::CgroupManager;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::launch::{self, Early, LaunchFds, Launched};
use crate::lock;
use crate::plan::cgroup::CgroupPlan;
use crate::plan::facts::Cgroups;
use crate::plan::launch::LaunchPlan;
use crate::spec::Limits;
use crate::store::containers::Record;
use crate::store::liveness;
use crate::systemd::{self, Manager, Property, Starting, Value, Whose};

/// The manager that this process asks: the machine's as its root, a user's own otherwise, also as the root of a user
/// namespace.
pub fn whose() -> Whose {
    match nix::unistd::geteuid().is_root() && facts::is_initial_user_namespace() {
        true => Whose::System,
        false => Whose::User,
    }
}

/// The host's cgroups as a plan for this container has to know them.
pub(super) fn cgroups(context: &Context, id: &ContainerId, limits: &Limits) -> Result<Cgroups> {
    let here = context.host()?.cgroups.clone();
    match limits.manager {
        CgroupManager::Cgroupfs => Ok(here),
        CgroupManager::Systemd => below_scope(here, id, limits),
    }
}

fn below_scope(here: Cgroups, id: &ContainerId, limits: &Limits) -> Result<Cgroups> {
    let (Some(top), "v2") = (&here.top, here.mode.as_str()) else {
        return Err(Error::new(Kind::Unsupported, "read option", "cgroup_manager")
            .because("systemd is asked for cgroups of version 2 alone")
            .hint("leave it at cgroupfs"));
    };
    let own = format!("{top}{}", Manager::connect(whose())?.about()?.cgroup);
    let slice = slice(limits);
    let below = systemd::slice_path(&slice).ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "read option", "cgroup_parent")
            .because(format!("{slice:?} is not the name of a slice of systemd's"))
    })?;
    let controllers = fs::read_bounded(&Path::new(&own).join("cgroup.controllers"), 4096)?;
    let controllers = String::from_utf8_lossy(&controllers).split_whitespace().map(str::to_owned).collect();
    let scope = format!("{own}{below}/{}", unit(id));
    Ok(Cgroups { v2: Some(scope), v2_controllers: controllers, v2_crowded: Vec::new(), ..here })
}

fn unit(id: &ContainerId) -> String {
    format!("sampan-{id}.scope")
}

fn slice(limits: &Limits) -> String {
    limits.parent.clone().unwrap_or_else(|| {
        match whose() {
            Whose::System => "machine.slice",
            Whose::User => "user.slice",
        }
        .into()
    })
}

/// Starts a container whose plan was made for a scope; what fails leaves none.
pub(super) fn launch(
    record: &Record,
    cgroup: &CgroupPlan,
    plan: &mut LaunchPlan,
    fds: LaunchFds<'_>,
    shim: Early,
    note: &dyn Fn(Vec<String>) -> Result<()>,
) -> Result<Launched> {
    plan.cgroup.awaited = true;
    let starting = Starting::new(whose(), &unit(&record.id));
    let made = RefCell::new(groups::Made::default());
    let launched = launch::launch_placed(plan, fds, shim, &|shim| {
        start_scope(&starting, &properties(record), cgroup, shim)?;
        move_aside(cgroup, shim)?;
        *made.borrow_mut() = groups::make(&cgroup.dirs, &cgroup.enable)?;
        note_unenforced(record, cgroup, &made.borrow(), note)
    })?;
    made.into_inner().keep();
    starting.keep();
    Ok(launched)
}

/// Its last one may be on its way out still: nobody is in that any more. With processes in it, it is that of a container which
/// runs from a store that this one is a copy of, or the other way round.
fn start_scope(starting: &Starting, properties: &[Property], cgroup: &CgroupPlan, shim: i32) -> Result<()> {
    match starting.start(properties, shim) {
        Err(error) if error.kind() == Kind::AlreadyExists => {
            cgroup.dirs.first().map_or(Ok(()), |dir| until_left(Path::new(&dir.base)))?;
            starting.stop()?;
            starting.start(properties, shim)
        }
        other => other,
    }
}

/// What has ended is a while in being taken apart.
fn until_left(scope: &Path) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(2);
    let deadline = Instant::now() + PATIENCE;
    loop {
        match groups::refuse_occupied(scope) {
            Err(_) if Instant::now() < deadline => lock::rest(liveness::LOOK_AGAIN, None),
            done => return done,
        }
    }
}

fn properties(record: &Record) -> Vec<Property> {
    let text = |name: &str, text: String| (name.to_owned(), Value::Text(text));
    vec![
        text("Description", format!("sampan container {}", record.name.as_str())),
        text("Slice", slice(&record.spec.limits)),
        text("CollectMode", "inactive-or-failed".into()),
        ("Delegate".into(), Value::Bool(true)),
    ]
}

/// Where processes are, no controllers can be handed down (cgroup-v2.rst, "No Internal Process Constraint").
fn move_aside(cgroup: &CgroupPlan, shim: i32) -> Result<()> {
    let Some(scope) = cgroup.dirs.first().map(|dir| PathBuf::from(&dir.base)) else { return Ok(()) };
    let aside = scope.join("shim");
    fs::make_dir(&aside)?;
    fs::write_kernel(&aside.join("cgroup.procs"), &shim.to_string())
}
