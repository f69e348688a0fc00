//! The cgroups of containers: where their start put them. Who asks later may be in another cgroup, or see other mounts,
//! and would work out others.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::Context;
use crate::cgroup::{self as groups, Counters};
use crate::error::Result;
use crate::fs;
use crate::id::ContainerId;
use crate::plan::cgroup;
use crate::plan::facts;
use crate::spec::Limits;
use crate::store::containers::{Cgroups, Container};

/// The cgroups that a container is in, or was in last.
pub(super) fn of(context: &Context, container: &Container) -> Result<Cgroups> {
    match container.state.as_ref().and_then(|state| state.cgroups.clone()) {
        Some(known) => Ok(known),
        None => planned(context, container),
    }
}

/// Where what it uses is counted.
pub(super) fn counters(context: &Context, container: &Container) -> Result<Counters> {
    let groups = of(context, container)?;
    let v1 = |controller: &str| groups.v1.get(controller).map(PathBuf::from);
    Ok(Counters {
        cpuacct: v1("cpuacct"),
        memory: v1("memory"),
        pids: v1("pids"),
        blkio: v1("blkio"),
        v2: groups.v2.as_ref().map(PathBuf::from),
    })
}

/// What a start by this process would choose.
fn planned(context: &Context, container: &Container) -> Result<Cgroups> {
    let (record, facts) = (&container.record, &context.facts_of(container.record.rung)?.cgroups);
    // Whatever could not be enforced made no cgroup either.
    let limits = Limits { best_effort: true, ..record.spec.limits.clone() };
    Ok(cgroup::plan(&limits, &record.id, facts)?.groups(facts))
}

/// Those of a container of which no more is known than its id.
pub(super) fn usual(context: &Context, id: &ContainerId) -> Result<Cgroups> {
    let facts = &context.facts()?.cgroups;
    Ok(cgroup::plan(&Limits { best_effort: true, ..Limits::default() }, id, facts)?.groups(facts))
}

/// Its directories, each once.
pub(super) fn directories(groups: &Cgroups) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> = groups.v1.values().chain(&groups.v2).map(PathBuf::from).collect();
    all.sort();
    all.dedup();
    all
}

/// The host's cgroups as a plan must know them to come to the directories that a running container is in.
pub(super) fn facts(context: &Context, container: &Container) -> Result<facts::Cgroups> {
    let (groups, here) = (of(context, container)?, &context.facts_of(container.record.rung)?.cgroups);
    let limits = &container.record.spec.limits;
    let tail = format!("/{}/{}", limits.parent.as_deref().unwrap_or("sampan"), container.record.id);
    let base = |dir: &String| dir.strip_suffix(&tail).map(str::to_owned);
    let known: BTreeMap<String, String> =
        groups.v1.iter().filter_map(|(c, dir)| Some((c.clone(), base(dir)?))).collect();
    match groups.v2.as_ref().and_then(base) {
        Some(v2) => Ok(facts::Cgroups {
            v2: Some(v2),
            v2_controllers: controllers(Path::new(&groups.v2.unwrap_or_default())),
            v2_crowded: Vec::new(),
            ..here.clone()
        }),
        // Controllers that it is not in are told by the host: a limit of theirs is refused for that.
        None => Ok(facts::Cgroups { v1: here.v1.clone().into_iter().chain(known).collect(), v2: None, ..here.clone() }),
    }
}

/// The same with those controllers, too, that could be handed down to it now.
pub(super) fn with_more(facts: facts::Cgroups) -> facts::Cgroups {
    let Some(base) = &facts.v2 else { return facts };
    let (more, v2_crowded) = groups::controllers(Path::new(base));
    let v2_controllers = facts.v2_controllers.iter().cloned().chain(more).collect();
    facts::Cgroups { v2_controllers, v2_crowded, ..facts }
}

fn controllers(dir: &Path) -> Vec<String> {
    let text = fs::read_bounded(&dir.join("cgroup.controllers"), 4096).unwrap_or_default();
    String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect()
}
