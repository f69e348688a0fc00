//! Other containers whose namespaces a container joins.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use super::{Context, list, wait};
use crate::api::Status;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::lock;
use crate::spec::{Labels, Spec};
use crate::store::containers::Record;
use crate::store::liveness;

/// Gives the containers that a spec names their ids, so that a later rename changes nothing. Who has no name of his own
/// is called as the one whose network or names he shares.
pub(super) fn name(context: &Context, spec: &mut Spec, own_name: bool) -> Result<()> {
    if !spec.namespaces.joined.is_empty() && context.facts()?.id_map.is_some() {
        return Err(Error::new(Kind::Unsupported, "join namespace", "")
            .because("a plain user's container has its own user namespace, whose owner alone may join the others")
            .hint("run as root, or share the host's"));
    }
    for (kind, container) in &mut spec.namespaces.joined {
        let id = list::find(context, container).map_err(|e| e.within("join namespace", container.as_str()))?;
        let other = list::load(context, &id)?.record.spec;
        if kind == "ipc" && other.namespaces.private_ipc {
            return Err(Error::new(Kind::Conflict, "join namespace", container.as_str())
                .because("its IPC namespace is its own")
                .hint("create it with --ipc shareable"));
        }
        if !own_name && (kind == "net" || kind == "uts") {
            spec.hostname = other.hostname;
        }
        *container = id.to_string();
    }
    share_labels(context, spec)
}

/// Who shares processes or System V IPC with another container has its labels, unless others were asked for, as in Docker.
fn share_labels(context: &Context, spec: &mut Spec) -> Result<()> {
    let Some(id) = ["ipc", "pid"].iter().find_map(|kind| spec.namespaces.joined.get(*kind)) else { return Ok(()) };
    if spec.selinux.parts.is_empty() && !spec.selinux.disabled {
        let other = list::load(context, &id.parse()?)?.record.spec;
        spec.selinux.disabled = other.privileged && other.selinux.parts.is_empty();
        spec.selinux = Labels { disabled: spec.selinux.disabled || other.selinux.disabled, ..other.selinux };
    }
    Ok(())
}

/// Where their namespaces are now. A process id is not used again within the milliseconds of a start.
pub(super) fn paths(context: &Context, record: &Record) -> Result<BTreeMap<String, String>> {
    let of = |(kind, id): (&String, &String)| {
        let id: ContainerId = id.parse()?;
        let pid = settled(context, &id).map_err(|e| e.within("join namespace", kind.as_str()))?;
        Ok((kind.clone(), format!("/proc/{pid}/ns/{kind}")))
    };
    record.spec.namespaces.joined.iter().map(of).collect()
}

/// The first process, once it has left what is the host's: its cgroup namespace, and then its root.
fn settled(context: &Context, id: &ContainerId) -> Result<i32> {
    let deadline = Instant::now() + liveness::PATIENCE;
    loop {
        let pid = first_process(context, id)?;
        let rooted = has_own_root(pid);
        if matches!(rooted, Ok(true)) {
            return Ok(pid);
        }
        if Instant::now() >= deadline {
            rooted?;
            return Err(Error::new(Kind::Conflict, "find container", id.short())
                .because("it has been making its root file system for too long")
                .hint("try again when it has been started"));
        }
        // It is on its way, or has ended.
        lock::rest(liveness::LOOK_AGAIN, None);
    }
}

fn has_own_root(pid: i32) -> Result<bool> {
    fs::is_same(Path::new(&format!("/proc/{pid}/root")), Path::new("/")).map(|same| !same)
}

fn first_process(context: &Context, id: &ContainerId) -> Result<i32> {
    let container = list::load(context, id)?;
    let alive = container.status() == Status::Running && wait::process(&container)?.is_some();
    container.state.as_ref().filter(|_| alive).map(|s| s.pid).ok_or_else(|| {
        Error::new(Kind::Conflict, "find container", container.record.name.as_str())
            .because(container.idle())
            .hint("start it first")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_on_the_hosts_root_has_none_of_its_own() {
        assert!(!has_own_root(std::process::id() as i32).unwrap());
        assert!(has_own_root(i32::MAX).is_err());
    }
}
