//! `exec`: a further process in a container.

use std::os::fd::AsFd;

use oci_spec::runtime::{Capabilities, Capability, LinuxCapabilities, Process, Spec};

use super::doors::{self, Way};
use super::start::wrong_stage;
use super::state::{self, Record, Status};
use super::{ExecOptions, Runtime, Streams, listener, process, scope};
use crate::error::{Error, Kind, Result};
use crate::launch::bundle::{self, BundleFds, EnterPlan};
use crate::ops;
use crate::plan::oci;

impl Runtime {
    /// Runs a further process in a container; returns its number once it runs.
    ///
    /// # Errors
    /// `Conflict` when the container is stopped or paused; `CommandNotFound` and the like.
    pub fn exec(&self, id: &str, options: &ExecOptions, streams: &Streams<'_>) -> Result<i32> {
        let dir = self.known(id)?;
        let record = Record::read(&dir)?;
        let inside = match (record.status(&dir)?, record.process()?) {
            (Status::Created | Status::Running, Some(inside)) => inside,
            (Status::Paused, Some(inside)) if options.ignore_paused => inside,
            (other, _) => return Err(wrong_stage("exec in container", id, other)),
        };
        let config = state::config(&dir)?;
        let wanted = wanted(options, &config)?;
        process::check_console(wanted.terminal(), streams)?;
        let way = doors::way(&dir, record.pid)?;
        let plan = plan(&record, &way, &wanted, &config)?;
        let listener = listener::connection(&config)?;
        let fds = BundleFds {
            streams: streams.standard,
            console: streams.console,
            preserved: streams.preserved,
            listener: listener.as_ref().map(AsFd::as_fd),
            doors: &way.doors,
        };
        let pid = bundle::enter(&plan, &fds, inside.as_fd(), &self.helper, &|pid| scope::enter(&record, pid))?;
        process::write_pid(options.pid_file.as_deref(), pid).inspect_err(|_| process::kill_and_wait(pid))?;
        Ok(pid)
    }
}

fn plan(record: &Record, way: &Way, wanted: &Process, config: &Spec) -> Result<EnterPlan> {
    let facts = ops::facts::of_host()?;
    let mut dirs: Vec<String> =
        record.cgroups.iter().filter(|(name, _)| !name.is_empty()).map(|(_, dir)| dir.clone()).collect();
    dirs.dedup();
    let v2 = record.cgroups.iter().find(|(name, _)| name.is_empty());
    Ok(EnterPlan {
        root: (!oci::has_own_mounts(config)).then(|| format!("/proc/{}/root", record.pid)),
        mapped: way.mapped,
        namespaces: way.namespaces,
        v1: dirs,
        v2: v2.filter(|_| record.scope.is_none()).map(|(_, dir)| dir.clone()),
        awaited: record.scope.is_some(),
        process: oci::process(wanted, config, &facts)?,
        console: oci::console(wanted),
        tuning: tuning(record, wanted, config)?,
    })
}

fn tuning(record: &Record, wanted: &Process, config: &Spec) -> Result<oci::Tuning> {
    let bundle = record.bundle.to_string_lossy();
    let subject = oci::Subject { id: &record.id, bundle: &bundle, status: "running", init: Some(record.pid) };
    oci::tuning(wanted, config, &subject)
}

fn wanted(options: &ExecOptions, config: &Spec) -> Result<Process> {
    if options.process.is_none() && options.args.is_empty() {
        return Err(Error::new(Kind::InvalidArgument, "read option", "command")
            .because("it is missing")
            .hint("name the command behind the container's id"));
    }
    let own = config.process().clone().unwrap_or_default();
    let mut process: Process = match &options.process {
        Some(text) => state::process(text.as_bytes())?,
        None => Process::clone(&own),
    };
    if process.capabilities().is_none() {
        process.set_capabilities(own.capabilities().clone());
    }
    if options.process.is_none() {
        process.set_terminal(Some(options.tty.unwrap_or(false)));
    }
    if !options.args.is_empty() {
        process.set_args(Some(options.args.clone()));
    }
    if let Some(cwd) = &options.cwd {
        process.set_cwd(cwd.into());
    }
    if options.apparmor.is_some() {
        process.set_apparmor_profile(options.apparmor.clone());
    }
    if options.selinux.is_some() {
        process.set_selinux_label(options.selinux.clone());
    }
    process.set_env(Some(process.env().iter().flatten().chain(&options.env).cloned().collect()));
    options.user.as_deref().map_or(Ok(()), |user| set_user(&mut process, user))?;
    extend(&mut process, options)?;
    Ok(process)
}

/// With what it has besides.
fn extend(process: &mut Process, options: &ExecOptions) -> Result<()> {
    if options.no_new_privileges {
        process.set_no_new_privileges(Some(true));
    }
    let mut user = process.user().clone();
    let groups = user.additional_gids().iter().flatten().chain(&options.groups).copied().collect();
    user.set_additional_gids(Some(groups));
    process.set_user(user);
    let names = options.capabilities.iter().map(|name| capability(name)).collect::<Result<Vec<_>>>()?;
    if !names.is_empty() {
        process.set_capabilities(Some(with(process.capabilities().clone(), &names)));
    }
    Ok(())
}

fn capability(name: &str) -> Result<Capability> {
    let unknown = || {
        Error::new(Kind::InvalidArgument, "read option", "cap")
            .because(format!("{name:?} is no capability; give a name like CAP_CHOWN"))
    };
    crate::capability::bit(name).ok_or_else(unknown)?;
    serde_json::from_value(name.to_ascii_uppercase().into()).map_err(|_| unknown())
}

/// Those that there are by default are the reader's, not ours.
fn no_capabilities() -> LinuxCapabilities {
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(None).set_effective(None).set_permitted(None).set_inheritable(None).set_ambient(None);
    sets
}

/// As by runc: not in the inheritable set, from which files' capabilities would gain them (CVE-2022-29162).
fn with(sets: Option<LinuxCapabilities>, names: &[Capability]) -> LinuxCapabilities {
    let mut sets = sets.unwrap_or_else(no_capabilities);
    let more = |set: &Option<Capabilities>| Some(set.iter().flatten().chain(names).copied().collect());
    sets.set_bounding(more(sets.bounding()));
    sets.set_effective(more(sets.effective()));
    sets.set_permitted(more(sets.permitted()));
    sets
}

/// Strictly `uid[:gid]`: what is no number must not become one (CVE-2026-30892).
fn set_user(process: &mut Process, text: &str) -> Result<()> {
    let number = |part: &str| match part.bytes().all(|b| b.is_ascii_digit()) {
        true => part.parse::<u32>().ok(),
        false => None,
    };
    let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
    let (Some(uid), Some(gid)) = (number(uid), gid.map_or(Some(0), number)) else {
        return Err(
            Error::new(Kind::InvalidArgument, "read option", "user").because(format!("{text:?} is not uid[:gid]"))
        );
    };
    let mut user = process.user().clone();
    user.set_uid(uid);
    user.set_gid(gid);
    process.set_user(user);
    Ok(())
}
