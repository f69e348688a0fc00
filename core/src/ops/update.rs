//! `update`: other limits and another restart policy for a container, running or not.

use super::{Context, events, list, placed, scoped};
use crate::api::{RunOptions, UpdateOptions};
use crate::cancel::Cancel;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch;
use crate::plan::{cgroup, life, limits};
use crate::spec::{Limits, Restart};
use crate::store::containers;

/// Changes limits and restart policy, in the kernel when it runs and in its record.
pub fn update(context: &Context, id: &ContainerId, options: &UpdateOptions) -> Result<()> {
    // Before the record is held: a name that is none is told as such.
    list::load(context, id)?;
    containers::change(&context.paths, id, |record| {
        let mut wanted = record.options.clone();
        merge(&mut wanted, options);
        let (limits, restart) = (limits::limits(&wanted)?, life::restart(&wanted)?);
        let limits = Limits { manager: record.spec.limits.manager, ..limits };
        let unenforced = apply(context, id, &limits).map_err(|e| e.within("update container", record.name.as_str()))?;
        if options.restart.is_some() {
            tell(context, id, restart).map_err(|e| e.within("update container", record.name.as_str()))?;
        }
        (record.options, record.spec.limits, record.unenforced) = (wanted, limits, unenforced);
        record.spec.restart = restart;
        events::tell(context, record, "update", &[]);
        Ok(())
    })
}

/// Tells the shim, where there is one, what follows the container's end.
fn tell(context: &Context, id: &ContainerId, restart: Restart) -> Result<()> {
    if !list::load(context, id)?.is_alive() {
        return Ok(());
    }
    match launch::set_restart(context.paths.container(id).dir(), life::rule(restart), &Cancel::new(), None) {
        // It has ended meanwhile, and its record tells the next start.
        Err(e) if e.kind() == Kind::Conflict && !list::load(context, id)?.is_alive() => Ok(()),
        told => told,
    }
}

/// Gives a container that runs these limits; returns those that can't be enforced.
fn apply(context: &Context, id: &ContainerId, limits: &Limits) -> Result<Vec<String>> {
    let container = list::load(context, id)?;
    if !container.held {
        return Ok(cgroup::plan(limits, id, &scoped::cgroups(context, id, limits)?)?.unenforced);
    }
    if !container.is_alive() {
        return Err(Error::new(Kind::Conflict, "set limits", "")
            .because("it is being started, or is just ending")
            .hint("try again"));
    }
    let facts = placed::facts(context, &container)?;
    let old = cgroup::plan(&Limits { best_effort: true, ..container.record.spec.limits.clone() }, id, &facts)?;
    let new = cgroup::plan(limits, id, &placed::with_more(facts))?;
    if new.dirs.iter().any(|dir| old.dirs.iter().all(|had| had.path != dir.path)) {
        return Err(Error::new(Kind::Unsupported, "set limits", "")
            .because("it runs outside of the cgroup that this limit needs")
            .hint("stop it first"));
    }
    groups::enable(&new.dirs, &new.enable)?;
    // What the kernel lacked then is tried again, or it would count as being in force.
    let lost = &container.record.unenforced;
    let lacking = groups::change(&old.without(lost).dirs, &new.dirs)?;
    // Limits of devices are not changed: what was found at the start holds.
    let still = lost.iter().filter(|option| new.unwritten.contains(&option.as_str())).cloned();
    Ok(new.unenforced(&lacking).into_iter().chain(still).collect())
}

/// A field of these, where the update names it.
macro_rules! merge {
    ($options:ident, $update:ident: $($field:ident)+) => {
        // Without `..`, so that none is forgotten.
        let UpdateOptions { $($field),+ } = $update.clone();
        $($options.$field = $field.or_else(|| $options.$field.take());)+
    };
}

fn merge(options: &mut RunOptions, update: &UpdateOptions) {
    merge!(options, update: memory memory_swap memory_reservation cpus cpu_shares cpuset_cpus pids_limit restart cpu_quota
        cpu_period cpuset_mems cpu_rt_runtime cpu_rt_period blkio_weight);
}
