//! `ps` and `inspect`.

use super::{Context, health, leftovers, oom, pause, placed, wait};
use crate::api::*;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::id::{ContainerId, Name};
use crate::launch;
use crate::spec::{IdRange, Sharing};
use crate::store::containers::{self, Container, Exit};
use crate::store::liveness;

/// A container's records; an error of kind [`Kind::NotFound`] when it is gone.
pub(super) fn load(context: &Context, id: &ContainerId) -> Result<Container> {
    containers::load(&context.paths, id)?.ok_or_else(|| unknown(id.short()))
}

/// What helps who wants it to run.
pub(super) fn cure(status: Status) -> &'static str {
    match status {
        Status::Restarting => "wait until it runs again",
        _ => "start it first",
    }
}

fn unknown(container: &str) -> Error {
    Error::new(Kind::NotFound, "find container", container)
        .because("there is no such container")
        .hint("list all of them with their state: `ps -a`")
}

/// Finds a container by name, id or unique prefix of an id.
pub fn find(context: &Context, container: &str) -> Result<ContainerId> {
    if let Ok(name) = container.parse::<Name>()
        && let Some(id) = containers::owner_of(&context.paths, &name)?
    {
        return Ok(id);
    }
    let hex = !container.is_empty() && container.bytes().all(|b| b.is_ascii_hexdigit());
    let ids = if hex { containers::ids(&context.paths)? } else { Vec::new() };
    let mut found = ids.into_iter().filter(|id| id.as_str().starts_with(container));
    match (found.next(), found.next()) {
        (Some(id), None) => Ok(id),
        (Some(_), Some(_)) => Err(Error::new(Kind::InvalidArgument, "find container", container)
            .because("several ids begin with that")
            .hint("give more digits")),
        _ => Err(unknown(container)),
    }
}

/// All there is to know about one container.
pub fn inspect(context: &Context, id: &ContainerId) -> Result<ContainerInfo> {
    let container = load(context, id)?;
    leftovers::end_orphans(context, &container);
    Ok(ContainerInfo { exit: told_exit(context, &container), ..info(context, &container) })
}

/// The containers that match, newest first.
pub fn list(context: &Context, options: &ListOptions) -> Result<Vec<ContainerInfo>> {
    let filters = options.filters.iter().map(|f| Filter::parse(f)).collect::<Result<Vec<_>>>()?;
    let by_state = filters.iter().any(|f| matches!(f.key, "status" | "exited"));
    // What can't be removed now is shown.
    let _ = leftovers::sweep(context);
    let mut found = Vec::new();
    for id in containers::ids(&context.paths)? {
        // One that is removed between the listing and the look is not there, which is the truth.
        let info = match containers::load(&context.paths, &id) {
            Ok(Some(container)) => {
                leftovers::end_orphans(context, &container);
                info(context, &container)
            }
            Ok(None) => continue,
            // It hides no other, and can be found and removed.
            Err(_) if containers::unusable(&context.paths, &id).is_some() => unusable(context, &id)?,
            Err(e) => return Err(e),
        };
        let shown =
            options.all || by_state || matches!(info.status, Status::Running | Status::Paused | Status::Restarting);
        if shown && Filter::all_match(&filters, &info) {
            found.push(info);
        }
    }
    found.sort_by(|a, b| (&b.created_at, &b.id).cmp(&(&a.created_at, &a.id)));
    Ok(found)
}

/// How a container ended; `None` when it never ran or runs.
pub(super) fn exit_of(container: &Container) -> Option<ExitStatus> {
    if let Some(exit) = container.ended() {
        return Some(noted(container.record.name.as_str(), exit));
    }
    // A shim takes its container with it, so the process was killed; nobody was left to note when.
    (container.status() == Status::Dead).then(|| {
        killed(match container.damaged {
            true => "its records of the run are damaged, as by a crash of the machine",
            false => "the shim was killed, or the machine went down",
        })
    })
}

/// The end of one that nobody was left to note.
pub(super) fn killed(why: &str) -> ExitStatus {
    ExitStatus { code: 137, signal: Some(libc::SIGKILL), error: Some(why.into()), ..ExitStatus::default() }
}

/// The same with all there is to say of it.
pub(super) fn told_exit(context: &Context, container: &Container) -> Option<ExitStatus> {
    exit_of(container).map(|exit| with_log(context, container, exit))
}

/// An end with all there is to say of it.
pub(super) fn with_log(context: &Context, container: &Container, exit: ExitStatus) -> ExitStatus {
    let error = match exit.oom_killed {
        true => exit.error.map(|said| oom::with_log(context, &container.record.id, said)),
        false => exit.error,
    };
    ExitStatus { error, ..exit }
}

/// An end as it was noted.
pub(super) fn noted(name: &str, exit: &Exit) -> ExitStatus {
    ExitStatus {
        code: exit.code,
        signal: exit.signal,
        oom_killed: exit.oom_killed,
        finished_at: exit.finished_at.clone(),
        error: told_of(name, exit),
    }
}

fn told_of(name: &str, exit: &Exit) -> Option<String> {
    let what = format!("container {name}");
    let failed = exit.failed_step.map(|step| {
        let failed = launch::failure(step, exit.failed_errno.unwrap_or(0), exit.failed_on.as_bytes());
        failed.within("start container again", name).to_string()
    });
    let killed = oom::sentence(&what, exit.code, &exit.oom.unwrap_or_default());
    let log = exit.log_error.map(|n| format!("the log is incomplete: {}", std::io::Error::from_raw_os_error(n)));
    let unwritten = wait::unwritten(&what, exit.unwritten.unwrap_or(0));
    let told: Vec<String> = unwritten.into_iter().chain(failed).chain(log).chain(killed).collect();
    (!told.is_empty()).then(|| told.join("; "))
}

/// How many of its processes the kernel has killed for want of memory in its last run.
fn oom_kills(context: &Context, container: &Container) -> Option<u64> {
    match container.ended() {
        Some(exit) => exit.oom.map(|oom| oom.kills).or((!exit.oom_killed).then_some(0)),
        None if container.status() == Status::Running => groups::oom_kills(&placed::counters(context, container).ok()?),
        None => None,
    }
}

/// What there is to tell of a container whose record can't be used.
fn unusable(context: &Context, id: &ContainerId) -> Result<ContainerInfo> {
    let name = containers::claimed_name(&context.paths, id)?;
    let name = name.map_or_else(String::new, |n| n.to_string());
    let held = liveness::is_held(&context.paths.container(id).lock())?;
    let status = if held { Status::Running } else { Status::Dead };
    let known = containers::core(&context.paths, id)?.map(|core| ContainerInfo {
        image: core.image,
        image_id: core.image_id.to_string(),
        created_at: core.created_at,
        ..ContainerInfo::default()
    });
    Ok(ContainerInfo { id: id.to_string(), name, status, ..known.unwrap_or_default() })
}

fn words(map: &[IdRange]) -> Vec<String> {
    map.iter().map(|range| format!("{}:{}:{}", range.inside, range.outside, range.length)).collect()
}

fn info(context: &Context, container: &Container) -> ContainerInfo {
    let Container { record, state, .. } = container;
    let spec = &record.spec;
    let running = state.as_ref().filter(|_| container.status() == Status::Running);
    let status = pause::status(context, container);
    ContainerInfo {
        id: record.id.to_string(),
        name: record.name.to_string(),
        image: record.image.clone(),
        image_id: record.image_id.to_string(),
        command: spec.args.clone(),
        status,
        pid: running.map(|s| s.pid),
        shim_pid: running.map(|s| s.shim_pid),
        created_at: record.created_at.clone(),
        started_at: state.as_ref().map(|s| s.started_at.clone()),
        exit: exit_of(container),
        oom_kills: oom_kills(context, container),
        health: health::of(context, container),
        restart_count: state.as_ref().map_or(0, |s| s.restart_count + u32::from(s.restarting)),
        labels: spec.labels.clone(),
        env: spec.env.clone(),
        workdir: spec.workdir.clone(),
        user: spec.user.clone(),
        hostname: spec.hostname.clone(),
        network: network(&spec.namespaces),
        mounts: spec.mounts.iter().map(|m| m.mount.clone()).collect(),
        stop_signal: spec.stop_signal.to_string(),
        rung: record.rung,
        unenforced: record.unenforced.clone(),
        log_path: context.paths.container(&record.id).log().display().to_string(),
        options: record.options.clone(),
        uid_map: spec.ids.iter().flat_map(|ids| words(&ids.uids)).collect(),
        gid_map: spec.ids.iter().flat_map(|ids| words(&ids.gids)).collect(),
    }
}

fn network(sharing: &Sharing) -> String {
    match sharing.joined.get("net") {
        Some(id) => format!("container:{id}"),
        None => if sharing.host_net { "host" } else { "none" }.to_owned(),
    }
}

/// `key=value` of `ps --filter`.
struct Filter<'a> {
    key: &'a str,
    value: &'a str,
}

impl<'a> Filter<'a> {
    const KEYS: [&'static str; 6] = ["id", "name", "label", "status", "ancestor", "exited"];

    fn parse(text: &'a str) -> Result<Self> {
        let refused = |because: String| {
            Err(Error::new(Kind::InvalidArgument, "read filter", format!("{text:?}")).because(because))
        };
        match text.split_once('=') {
            Some(("status", word)) if word.parse::<Status>().is_err() => refused(format!("{word:?} is not a status")),
            Some(("exited", code)) if code.parse::<i32>().is_err() => refused(format!("{code:?} is not an exit code")),
            Some((key, value)) if Self::KEYS.contains(&key) => Ok(Filter { key, value }),
            _ => refused(format!("a filter is key=value with a key of: {}", Self::KEYS.join(" "))),
        }
    }

    /// Those of one key are alternatives, except labels: a container must have all of them, as in Docker.
    fn all_match(filters: &[Filter<'_>], info: &ContainerInfo) -> bool {
        filters.iter().all(|f| match f.key {
            "label" => f.matches(info),
            key => filters.iter().filter(|g| g.key == key).any(|g| g.matches(info)),
        })
    }

    fn matches(&self, info: &ContainerInfo) -> bool {
        match self.key {
            "id" => info.id.starts_with(self.value),
            "name" => info.name.contains(self.value),
            "label" => match self.value.split_once('=') {
                Some((key, value)) => info.labels.get(key).is_some_and(|v| v == value),
                None => info.labels.contains_key(self.value),
            },
            "status" => info.status.word() == self.value,
            "ancestor" => {
                info.image == self.value || info.image_id.trim_start_matches("sha256:").starts_with(self.value)
            }
            "exited" => info.exit.as_ref().is_some_and(|e| e.code.to_string() == self.value),
            _ => false,
        }
    }
}
