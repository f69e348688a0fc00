//! An OCI configuration and the host's facts in, the plan of a container out (runtime-spec 1.3, config.md and
//! config-linux.md). What this runtime can't do is refused by the field's name, never left out.

mod devices;
#[cfg(test)]
mod fields_tests;
mod groups;
mod hooks;
mod listener;
mod memory;
mod mounts;
mod namespaces;
mod netdev;
mod place;
mod private;
mod process;
mod resources;
mod scope;
#[cfg(test)]
mod tests;
mod tuning;

use std::path::{Component, Path};

use oci_spec::runtime::Spec;
use serde::Serialize;

use namespaces::Chosen;

pub use groups::{Groups, groups};
pub use hooks::{Hook, poststart, poststop};
pub use listener::{Subject, path as listener_path};
pub use place::has_own_mounts;
pub use process::{console, process, tuning};
pub use resources::{Write as ResourceWrite, writes as resource_writes};
pub use scope::{Systemd, properties as unit_properties};
pub use tuning::{Scheduler, Tuning};

use super::facts::Facts;
use super::labels;
use super::launch::{LaunchPlan, Namespace, Rootfs, RootfsKind};
use crate::error::{Error, Kind, Result};

/// A container by the OCI's rules.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct BundlePlan {
    /// As for any container; of `supervise` nothing is used.
    pub launch: LaunchPlan,
    /// Run outside when all mounts stand.
    pub prestart: Vec<Hook>,
    /// Run outside after those.
    pub create_runtime: Vec<Hook>,
    /// Run in the container's namespaces then.
    pub create_container: Vec<Hook>,
    /// Run inside when it is started.
    pub start_container: Vec<Hook>,
    /// The state for hooks: before the status, between it and the pid, after that.
    pub state: (String, String, String),
    /// Device nodes to make.
    pub devices: Vec<Device>,
    /// Propagation of the root mount, `MS_*`; 0 for none.
    pub propagation: u64,
    /// Argument of `personality(2)`.
    pub personality: Option<u64>,
    /// Rows and columns of the terminal.
    pub console: Option<(u32, u32)>,
    /// Of the process.
    pub tuning: Tuning,
    /// A user namespace to join.
    pub user: Option<String>,
    /// Time namespace.
    pub time: Namespace,
    /// Mount namespace that its processes are in.
    pub mount: Namespace,
    /// Its clocks, as `/proc/PID/timens_offsets` takes them.
    pub time_offsets: String,
    /// Network devices to move: name here, name there.
    pub net_devices: Vec<(String, String)>,
}

/// A device node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Device {
    /// Where in the container.
    pub path: String,
    /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, and the permissions.
    pub mode: u32,
    /// Major and minor number.
    pub number: (u32, u32),
    /// Owner and group, as ids of the container.
    pub owner: (u32, u32),
}

/// What the plan depends on besides the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The container's id.
    pub id: &'a str,
    /// The bundle, absolute.
    pub bundle: &'a str,
    /// What the host allows.
    pub facts: &'a Facts,
    /// Its control groups.
    pub groups: &'a Groups,
}

/// An error about one field of the configuration.
fn field(kind: Kind, name: impl Into<String>, because: impl Into<String>) -> Error {
    Error::new(kind, "read config.json", name).because(because)
}

fn invalid(name: impl Into<String>, because: impl Into<String>) -> Error {
    field(Kind::InvalidArgument, name, because)
}

fn unsupported(name: impl Into<String>, because: impl Into<String>) -> Error {
    field(Kind::Unsupported, name, because)
}

/// Plans a container.
///
/// # Errors
/// `InvalidArgument` and `Unsupported`, with the field.
pub fn plan(spec: &Spec, request: &Request<'_>) -> Result<BundlePlan> {
    version(spec)?;
    let linux = spec.linux().clone().unwrap_or_default();
    refuse(&linux)?;
    let Chosen { namespaces, user, time, mount } = namespaces::read(&linux)?;
    place::check(spec, &mount)?;
    private::check_names(spec, &namespaces)?;
    let sysctls = private::sysctls(&linux, &namespaces)?;
    let net_devices = netdev::read(&linux, &namespaces)?;
    let process = process(required(spec)?, spec, request.facts)?;
    let hooks = hooks::read(spec)?;
    let own_dev = mounts::has_own_dev(spec);
    Ok(BundlePlan {
        launch: LaunchPlan {
            hostname: spec.hostname().clone(),
            domainname: spec.domainname().clone(),
            id_map: namespaces::id_map(&linux, &namespaces, user.is_some())?,
            namespaces,
            cgroup: request.groups.placement.clone(),
            rootfs: rootfs(spec, request.bundle)?,
            mounts: mounts::read(spec, request)?,
            symlinks: if own_dev { super::mounts::symlinks() } else { Vec::new() },
            masked_paths: linux.masked_paths().clone().unwrap_or_default(),
            readonly_paths: linux.readonly_paths().clone().unwrap_or_default(),
            sysctls,
            mount_label: mount_label(&linux, request.facts)?,
            process,
            ..LaunchPlan::default()
        },
        state: hooks::state(spec, request),
        prestart: hooks.prestart,
        create_runtime: hooks.create_runtime,
        create_container: hooks.create_container,
        start_container: hooks.start_container,
        devices: if own_dev { devices::read(&linux)? } else { Vec::new() },
        propagation: propagation(&linux)?,
        personality: personality(&linux)?,
        console: process::console(required(spec)?),
        tuning: first_tuning(spec, request)?,
        time_offsets: namespaces::time_offsets(&linux, &time)?,
        user,
        time,
        mount,
        net_devices,
    })
}

fn mount_label(linux: &oci_spec::runtime::Linux, facts: &Facts) -> Result<Option<String>> {
    let label = linux.mount_label().as_deref().unwrap_or_default();
    labels::selinux(label, facts, |kind, because| field(kind, "linux.mountLabel", because))
}

/// The first process's own; the CPUs that are named are those of further ones.
fn first_tuning(spec: &Spec, request: &Request<'_>) -> Result<Tuning> {
    let process = required(spec)?;
    process.exec_cpu_affinity().as_ref().map(tuning::affinity).transpose()?;
    let subject = Subject { id: request.id, bundle: request.bundle, status: "created", init: None };
    Ok(Tuning { told: listener::told(spec, &subject), memory: memory::policy(spec)?, ..tuning::read(process)? })
}

fn version(spec: &Spec) -> Result<()> {
    match spec.version().split('.').next() {
        Some("1") => Ok(()),
        _ => Err(invalid("ociVersion", format!("{:?} is not a version 1 of the specification", spec.version()))),
    }
}

fn required(spec: &Spec) -> Result<&oci_spec::runtime::Process> {
    spec.process().as_ref().ok_or_else(|| invalid("process", "it is missing, so there is nothing to start"))
}

fn refuse(linux: &oci_spec::runtime::Linux) -> Result<()> {
    match linux.intel_rdt() {
        Some(_) => Err(unsupported("linux.intelRdt", "this runtime does not manage cache allocation")),
        None => Ok(()),
    }
}

fn rootfs(spec: &Spec, bundle: &str) -> Result<Rootfs> {
    let root = spec.root().as_ref().ok_or_else(|| invalid("root", "it is missing"))?;
    let path = root.path().to_str().ok_or_else(|| invalid("root.path", "it is not UTF-8"))?;
    if Path::new(path).components().eq([Component::RootDir]) {
        return Err(invalid("root.path", "the host's own root can't be a container's"));
    }
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{bundle}/{path}") };
    Ok(Rootfs {
        attach_at: path.clone(),
        kind: RootfsKind::Directory { path },
        readonly: root.readonly().unwrap_or(false),
        nodev: false,
        shifted: false,
        nested: false,
    })
}

fn propagation(linux: &oci_spec::runtime::Linux) -> Result<u64> {
    let Some(word) = linux.rootfs_propagation().as_deref().filter(|word| !word.is_empty()) else { return Ok(0) };
    mounts::propagation(word).ok_or_else(|| invalid("linux.rootfsPropagation", format!("{word:?} is none")))
}

fn personality(linux: &oci_spec::runtime::Linux) -> Result<Option<u64>> {
    use oci_spec::runtime::LinuxPersonalityDomain;
    let Some(persona) = linux.personality() else { return Ok(None) };
    if persona.flags().as_ref().is_some_and(|flags| !flags.is_empty()) {
        return Err(unsupported("linux.personality.flags", "the specification has none"));
    }
    Ok(Some(match persona.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }))
}
