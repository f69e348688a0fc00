//! `start`: plan the launch, make the cgroups, hand all to the shim.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Context, disks, events, leftovers, scoped, selinux, subids, tree, userns};
use crate::api::*;
use crate::cancel::Cancel;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Digest};
use crate::launch::{self, Early, LaunchFds, Launched};
use crate::plan::cgroup::{self, CgroupPlan};
use crate::plan::devices::{self, Node};
use crate::plan::facts::Facts;
use crate::plan::launch::LaunchPlan;
use crate::plan::start::{self, Places};
use crate::spec::{Spec, SpecMount};
use crate::store::containers::{self, Owner, Record};
use crate::store::{events as stored, layers, liveness, volumes};

/// Starts a container.
pub fn start(context: &Context, id: &ContainerId, stdio: &Stdio, cancel: &Cancel) -> Result<()> {
    cancel.check("start container", id.short())?;
    let record = super::list::load(context, id)?.record;
    let launched =
        anew(context, &record, stdio, cancel).map_err(|e| e.within("start container", record.name.as_str()))?;
    context.shims.keep(&record, launched, stdio);
    Ok(())
}

/// Starts one that may have run before.
fn anew(context: &Context, record: &Record, stdio: &Stdio, cancel: &Cancel) -> Result<Launched> {
    let lock = context.paths.container(&record.id).lock();
    let lock = liveness::hold_after_copies(&lock, record.name.as_str(), cancel)?;
    let shim = Early::begin(context.helper(), record.spec.namespaces.has_own_net());
    liveness::settle(&lock)?;
    // Who changes its limits finds it running, or has changed them before they are read here.
    let unchanged = containers::lock(&context.paths, &record.id)?;
    // Now that nobody else can start or remove it: as it was read before it may have been started and ended since.
    let container = super::list::load(context, &record.id)?;
    leftovers::end(context, &container)?;
    events::tell_lost(context, &container);
    containers::clear_run(&context.paths, &record.id)?;
    super::create::make_volumes(context, record)?;
    let note = |found: Vec<String>| {
        containers::change_locked(&unchanged, &context.paths, &record.id, |record| {
            record.unenforced = found;
            Ok(())
        })
    };
    launch(context, &container.record, Begun { lock, shim }, stdio, Streams::Relayed, cancel, &note)
}

/// What a start begins with.
pub(super) struct Begun {
    /// The container's lock.
    pub lock: OwnedFd,
    /// The shim, on its way.
    pub shim: Early,
}

/// How the container's streams meet the descriptors in [`Stdio`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Streams {
    /// The shim copies them, and logs them: the container can't tell who listens, nor hold what isn't its own.
    Relayed,
    /// The container has the descriptors themselves, pipes that were made for it alone. Without a log or a
    /// terminal.
    Direct,
}

/// Starts a container whose lock is held, and returns the connection to its shim. `cancel` ends what may take long before
/// that is asked. `note` is told the limits that can't be enforced, when they are others than those in the record.
pub(super) fn launch(
    context: &Context,
    record: &Record,
    Begun { lock, shim }: Begun,
    stdio: &Stdio,
    streams: Streams,
    cancel: &Cancel,
    note: &dyn Fn(Vec<String>) -> Result<()>,
) -> Result<Launched> {
    subids::check(context, record)?;
    userns::ensure(context, record)?;
    tree::prepare(context, record, cancel)?;
    use_volumes(context, record, cancel)?;
    let (cgroup, mut plan) = plan(context, record)?;
    plan.supervise.direct = streams == Streams::Direct;
    if let Some(label) = &plan.mount_label {
        selinux::relabel(record, &context.paths, label)?;
    }
    let fds = LaunchFds {
        lock,
        stdin: borrowed("stdin", stdio.stdin)?,
        stdout: borrowed("stdout", stdio.stdout)?,
        stderr: borrowed("stderr", stdio.stderr)?,
    };
    if record.spec.limits.manager == CgroupManager::Systemd {
        return scoped::launch(record, &cgroup, &mut plan, fds, shim, note);
    }
    if record.spec.ids.is_some() {
        return launch_with_ids(record, &cgroup, &plan, fds, shim, note);
    }
    plan.cgroup.late = true;
    let made = RefCell::new(groups::Made::default());
    let launched = launch::launch_late(&plan, fds, shim, &|| {
        *made.borrow_mut() = groups::make(&cgroup.dirs, &cgroup.enable)?;
        note_unenforced(record, &cgroup, &made.borrow(), note)
    })?;
    made.into_inner().keep();
    Ok(launched)
}

/// Those that it doesn't fill.
fn use_volumes(context: &Context, record: &Record, cancel: &Cancel) -> Result<()> {
    let no_copy = |mount: &&SpecMount| mount.is_volume() && mount.mount.options.iter().any(|word| word == "nocopy");
    for mount in record.spec.mounts.iter().filter(no_copy) {
        volumes::use_as_it_is(&context.paths, &mount.mount.source.parse()?, cancel)?;
    }
    Ok(())
}

/// As [`launch`], with the cgroups there before the shim is asked: it opens them as the host's root for a namespace whose own
/// may not, and the kernel looks them up by the rights of that one (cgroup2's mount in a cgroup namespace).
fn launch_with_ids(
    record: &Record,
    cgroup: &CgroupPlan,
    plan: &LaunchPlan,
    fds: LaunchFds<'_>,
    shim: Early,
    note: &dyn Fn(Vec<String>) -> Result<()>,
) -> Result<Launched> {
    let made = groups::make(&cgroup.dirs, &cgroup.enable)?;
    groups::open_to_all(&cgroup.dirs)?;
    note_unenforced(record, cgroup, &made, note)?;
    let launched = launch::launch(plan, fds, shim)?;
    made.keep();
    Ok(launched)
}

/// Tells of the limits that can't be enforced, when they are others than those in the record.
pub(super) fn note_unenforced(
    record: &Record,
    cgroup: &CgroupPlan,
    made: &groups::Made<'_>,
    note: &dyn Fn(Vec<String>) -> Result<()>,
) -> Result<()> {
    let unenforced = cgroup.unenforced(&made.lacking);
    if unenforced == record.unenforced { Ok(()) } else { note(unenforced) }
}

/// What a start of this container does.
pub(super) fn plan(context: &Context, record: &Record) -> Result<(CgroupPlan, LaunchPlan)> {
    // Before what is the same on every rung.
    let facts = context.facts_of(record.rung)?.clone();
    let facts = &Facts {
        cgroups: scoped::cgroups(context, &record.id, &record.spec.limits)?,
        apparmor: context.apparmor(record.rung)?,
        ..facts
    };
    if facts.rung != record.rung {
        return Err(Error::new(Kind::Conflict, "start container", record.name.as_str())
            .because(format!("it was created on rung {:?} and this is {:?}", record.rung.word(), facts.rung.word()))
            .hint(format!(
                "create it again here, or give the rung (--rung {}) where this machine still has it",
                record.rung.word()
            )));
    }
    let groups = disks::numbered(&facts.cgroups, &record.spec.limits)?;
    let mut cgroup = cgroup::plan(&record.spec.limits, &record.id, &groups)?;
    devices::hold(&mut cgroup, &record.spec, &nodes(&record.spec, facts), &record.id, facts)?;
    let mut spec = record.spec.clone();
    if spec.privileged {
        spec.devices.extend(nodes_of_host(&spec.devices));
    }
    let plan = start::plan(&spec, facts, &cgroup, &places(context, record)?)?;
    Ok((cgroup, plan))
}

/// What a start of this container makes of files; it may have been stopped with the containers whose namespaces it joins,
/// and its disks may be gone.
pub(super) fn plan_files(context: &Context, record: &Record) -> Result<LaunchPlan> {
    let mut alone = record.clone();
    alone.spec.namespaces.joined.clear();
    alone.spec.limits.devices.clear();
    // Nothing of it is limited there, so that nobody has to be asked.
    (alone.spec.limits.manager, alone.spec.limits.best_effort) = (CgroupManager::Cgroupfs, true);
    plan(context, &alone).map(|(_, plan)| plan)
}

/// The devices that it is given, with those below directories; what is not there will be told of when it is mounted.
fn nodes(spec: &Spec, facts: &Facts) -> Vec<Node> {
    let one = |inside: &str, path: &Path| {
        let (block, number) = fs::device_number(path)?;
        Some(Node { inside: inside.to_owned(), block, number })
    };
    let of = |(host, inside): &(String, String)| match one(inside, Path::new(host)) {
        Some(node) => vec![node],
        None => {
            let below = fs::device_nodes(Path::new(host), &|_| false);
            below.iter().filter_map(|path| one(inside, Path::new(path))).collect()
        }
    };
    if devices::are_ruled(spec, facts) { spec.devices.iter().flat_map(of).collect() } else { Vec::new() }
}

/// All of the host's devices, as they are now, but for those that a container has of its own or that were given another
/// place.
fn nodes_of_host(given: &[(String, String)]) -> Vec<(String, String)> {
    const OWN: [&str; 15] = [
        "null", "zero", "full", "random", "urandom", "tty", "console", "ptmx", "pts", "shm", "mqueue", "fd", "core",
        "lxc", ".udev",
    ];
    let own = |path: &str| OWN.iter().any(|name| path.strip_prefix("/dev/") == Some(name));
    let mut nodes = fs::device_nodes(Path::new("/dev"), &|path| own(path));
    nodes.retain(|path| given.iter().all(|(_, inside)| inside != path));
    nodes.into_iter().map(|path| (path.clone(), path)).collect()
}

fn places(context: &Context, record: &Record) -> Result<Places> {
    let paths = &context.paths;
    let text = |path: PathBuf| path.display().to_string();
    let dir = paths.container(&record.id).dir().to_owned();
    // One that is only planned has no directory.
    let place = match fs::identity(&dir) {
        Err(e) if e.kind() == Kind::NotFound => None,
        own => Some(own?),
    };
    Ok(Places {
        dir: text(dir),
        attach_at: attach_at(context, record),
        lower: lower(context, record, place.is_none())?,
        place: place.unwrap_or_default(),
        volumes: text(paths.volumes()),
        trash: text(paths.tmp().join(format!("trash-{}", record.id))),
        name_claim: text(paths.name(&record.name)),
        ids_claim: userns::path(record).map(text),
        events: text(context.events.clone()),
        event_subject: stored::of_container(record),
        joined: super::joined::paths(context, record)?,
        account: userns::account(record),
        owner: (record.spec.tie == Tie::Host).then(owner).flatten(),
        patient: record.options.stop_timeout.is_some(),
    })
}

fn owner() -> Option<String> {
    Owner::own().map(|owner| serde_json::json!(owner).to_string())
}

/// Where the root is attached first: where the container's own root can go.
fn attach_at(context: &Context, record: &Record) -> String {
    const OPEN: [&str; 4] = ["/mnt", "/media", "/tmp", "/sys"];
    let open = || OPEN.into_iter().find(|dir| fs::exists(Path::new(dir)).unwrap_or(false)).unwrap_or("/sys");
    match record.spec.ids {
        Some(_) if record.rung == Rung::Root => open().to_owned(),
        _ => context.paths.run().display().to_string(),
    }
}

/// The layers' directories, topmost first, down to one that hides all below it: overlayfs ignores that
/// mark on a layer's own root.
fn lower(context: &Context, record: &Record, planned: bool) -> Result<Vec<String>> {
    // Those that only a run unpacks, since their form is not that of the rung, are told as they will be.
    let to_come = planned && record.form != context.form()?;
    let mut dirs = Vec::with_capacity(record.layers.len());
    for (below, diff_id) in record.layers.iter().enumerate().rev() {
        let dir = match layers::find(&context.paths, &record.form, diff_id)? {
            None if to_come => context.paths.layer(&record.form, diff_id).join("fs"),
            found => layer(diff_id, found)?,
        };
        dirs.push(dir.display().to_string());
        let hides = below > 0 && layers::read(&context.paths, &record.form, diff_id)?.is_some_and(|l| l.opaque_root);
        if hides {
            break;
        }
    }
    Ok(dirs)
}

fn layer(diff_id: &Digest, found: Option<PathBuf>) -> Result<PathBuf> {
    match found {
        Some(dir) => Ok(dir.join("fs")),
        None => Err(Error::new(Kind::Store, "find layer", diff_id.as_str())
            .because("it is not in the store any more")
            .hint("pull the image again")),
    }
}

fn borrowed(what: &'static str, fd: Option<i32>) -> Result<Option<BorrowedFd<'static>>> {
    let Some(fd) = fd else { return Ok(None) };
    // SAFETY: only asks about a number; any number is allowed.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(Error::new(Kind::InvalidArgument, "read option", what)
            .because(format!("{fd} is not an open file descriptor")));
    }
    // SAFETY: it is open, and the caller has promised in `Stdio` to keep it so during the call.
    Ok(Some(unsafe { BorrowedFd::borrow_raw(fd) }))
}

/// Sets the size of a container's terminal.
pub fn resize(context: &Context, id: &ContainerId, rows: u32, columns: u32) -> Result<()> {
    let size = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    launch::resize(context.paths.container(id).dir(), size(rows), size(columns)).map_err(|e| match e.errno() {
        Some(libc::ENOTTY) => Error::new(Kind::Conflict, "resize terminal", id.short())
            .because("it has no terminal")
            .hint("create it with `tty`"),
        _ => e.within("resize terminal", id.short()),
    })
}
