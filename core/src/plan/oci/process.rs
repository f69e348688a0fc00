//! The process.

use std::sync::Arc;

use oci_spec::runtime::{LinuxCapabilities, LinuxNamespaceType, Process as OciProcess, Spec};

use super::listener::{self, Subject};
use super::tuning::{self, Tuning};
use super::{field, invalid, memory, place};
use crate::capability;
use crate::error::Result;
use crate::plan::facts::Facts;
use crate::plan::launch::{Capabilities, Process};
use crate::plan::{labels, names};
use crate::seccomp::{self, Arch, Circumstances, Filter};

/// Reads one, of the configuration or of an exec; the filter is the container's.
///
/// # Errors
/// `InvalidArgument` and `Unsupported`, with the field.
pub fn process(process: &OciProcess, spec: &Spec, facts: &Facts) -> Result<Process> {
    let capabilities = capabilities(process.capabilities(), grantable(spec, facts))?;
    Ok(Process {
        init: false,
        args: args(process)?,
        env: env(process)?,
        cwd: cwd(process)?,
        user: user(process)?,
        groups: process.user().additional_gids().iter().flatten().map(u32::to_string).collect(),
        umask: process.user().umask().unwrap_or(0o022),
        tty: process.terminal().unwrap_or(false),
        no_new_privs: process.no_new_privileges().unwrap_or(false),
        rlimits: rlimits(process)?,
        oom_score_adj: oom_score_adj(process)?,
        seccomp: filter(spec, capabilities.bounding, facts)?,
        seccomp_flags: flags(spec)?,
        apparmor: apparmor(process, spec, facts)?,
        selinux: selinux(process, spec, facts)?,
        capabilities,
    })
}

/// Its own, or that of the container.
fn selinux(process: &OciProcess, spec: &Spec, facts: &Facts) -> Result<Option<String>> {
    let named = |process: &OciProcess| process.selinux_label().clone().filter(|label| !label.is_empty());
    let label = named(process).or_else(|| spec.process().as_ref().and_then(named)).unwrap_or_default();
    labels::selinux(&label, facts, |kind, because| field(kind, "process.selinuxLabel", because))
}

/// The same.
fn apparmor(process: &OciProcess, spec: &Spec, facts: &Facts) -> Result<Option<String>> {
    let named = |process: &OciProcess| process.apparmor_profile().clone().filter(|profile| !profile.is_empty());
    let profile = named(process).or_else(|| spec.process().as_ref().and_then(named)).unwrap_or_default();
    place::check_profile(spec, &profile)?;
    labels::apparmor(&profile, facts, |kind, because| field(kind, "process.apparmorProfile", because))
}

fn args(process: &OciProcess) -> Result<Vec<String>> {
    let args = process.args().clone().unwrap_or_default();
    match args.first() {
        Some(_) => Ok(args),
        None => Err(invalid("process.args", "it is empty")),
    }
}

fn env(process: &OciProcess) -> Result<Vec<String>> {
    let env = process.env().clone().unwrap_or_default();
    match env.iter().find(|entry| !entry.contains('=')) {
        None => Ok(env),
        Some(entry) => Err(invalid("process.env", format!("{entry:?} is not of the form NAME=value"))),
    }
}

fn cwd(process: &OciProcess) -> Result<String> {
    match process.cwd().to_str() {
        Some(cwd) if cwd.starts_with('/') => Ok(cwd.to_owned()),
        _ => Err(invalid("process.cwd", "it is not an absolute path")),
    }
}

/// What this process lacks can't be given on, which is no reason to fail (config.md, "Linux Process"). In a new user
/// namespace there are all.
fn grantable(spec: &Spec, facts: &Facts) -> u64 {
    let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let mapped = namespaces.into_iter().flatten().any(|namespace| namespace.typ() == LinuxNamespaceType::User);
    if mapped { capability::ALL } else { facts.capabilities }
}

fn capabilities(sets: &Option<LinuxCapabilities>, grantable: u64) -> Result<Capabilities> {
    let Some(sets) = sets else { return Ok(Capabilities::default()) };
    let bits = |set: &Option<oci_spec::runtime::Capabilities>| {
        // Names that this version does not know are skipped with the rest of what a kernel may lack (config.md).
        set.iter().flatten().filter_map(|name| capability::bit(&name.to_string())).fold(0, |bits, bit| bits | bit)
            & grantable
    };
    let (permitted, inheritable) = (bits(sets.permitted()), bits(sets.inheritable()));
    Ok(Capabilities {
        bounding: bits(sets.bounding()),
        effective: within(bits(sets.effective()), permitted)?,
        permitted,
        inheritable,
        // The kernel keeps one there only as long as it is in those two, so that others can't be granted.
        ambient: bits(sets.ambient()) & permitted & inheritable,
    })
}

fn within(effective: u64, permitted: u64) -> Result<u64> {
    let beyond = |name: &&str| capability::bit(name).is_some_and(|bit| effective & !permitted & bit != 0);
    match capability::names().find(beyond) {
        None => Ok(effective),
        Some(name) => Err(invalid(
            "process.capabilities.effective",
            format!("CAP_{name} is not in process.capabilities.permitted"),
        )),
    }
}

/// The highest number means none to the kernel (setresuid(2)).
fn user(process: &OciProcess) -> Result<String> {
    let user = process.user();
    for (name, id) in [("uid", user.uid()), ("gid", user.gid())] {
        if id == u32::MAX {
            return Err(invalid(format!("process.user.{name}"), format!("{id} is nobody's; ids end one below")));
        }
    }
    Ok(format!("{}:{}", user.uid(), user.gid()))
}

fn rlimits(process: &OciProcess) -> Result<Vec<(u32, u64, u64)>> {
    let mut limits: Vec<(u32, u64, u64)> = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        let number = names::rlimit(&limit.typ().to_string())?;
        if limits.iter().any(|(known, ..)| *known == number) {
            return Err(invalid("process.rlimits", format!("{} is there twice", limit.typ())));
        }
        limits.push((number, limit.soft(), limit.hard()));
    }
    Ok(limits)
}

fn oom_score_adj(process: &OciProcess) -> Result<Option<i32>> {
    match process.oom_score_adj() {
        Some(score) if !(-1000..=1000).contains(&score) => {
            Err(invalid("process.oomScoreAdj", format!("{score} is not from -1000 to 1000")))
        }
        score => Ok(score),
    }
}

fn flags(spec: &Spec) -> Result<u32> {
    let seccomp = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    seccomp.map_or(Ok(0), listener::flags)
}

/// What a further process begins with besides.
///
/// # Errors
/// `InvalidArgument` and `Unsupported`, with the field.
pub fn tuning(process: &OciProcess, spec: &Spec, subject: &Subject<'_>) -> Result<Tuning> {
    let of = |process: &OciProcess| process.exec_cpu_affinity().clone();
    let affinity = of(process).or_else(|| spec.process().as_ref().and_then(of));
    Ok(Tuning {
        affinity: affinity.as_ref().map(tuning::affinity).transpose()?.unwrap_or_default(),
        told: listener::told(spec, subject),
        memory: memory::policy(spec)?,
        ..tuning::read(process)?
    })
}

/// The configuration's form is a part of Docker's.
fn filter(spec: &Spec, capabilities: u64, facts: &Facts) -> Result<Option<Arc<Filter>>> {
    let Some(profile) = spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref()) else { return Ok(None) };
    let text = serde_json::to_string(profile).map_err(|e| invalid("linux.seccomp", e.to_string()))?;
    listener::check(profile)?;
    listener::path(spec)?;
    let (arch, kernel) = (Arch::NATIVE, facts.kernel);
    let around = Circumstances { arch, capabilities, kernel, without_namespaces: false, read_only: false };
    seccomp::filter_of(&text, &around).map(Some)
}

/// Rows and columns of the terminal, where they are told.
pub fn console(process: &OciProcess) -> Option<(u32, u32)> {
    let size = process.console_size()?;
    let rows = u32::try_from(size.height()).ok().filter(|rows| *rows > 0)?;
    Some((rows, u32::try_from(size.width()).ok().filter(|columns| *columns > 0)?))
}
