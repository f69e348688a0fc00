//! Options and image in, the resolved container out: Docker's rules, checked and written down once.

use crate::api::{ImageInfo, Mount, MountKind, RunOptions};
use crate::error::{Error, Kind, Result};
use crate::id::{ContainerId, Name};
use crate::spec::{Labels, Sharing, Spec, SpecMount};
use crate::wire;

use super::{devices, identity, labels, life, limits, logging, mounts, names, security, sharing, sysctl};

const DEFAULT_SHM: u64 = 64 << 20;

/// Who shares processes or System V IPC with the host has its label too, unless another was asked for, as in Docker.
fn selinux(labels: Labels, namespaces: &Sharing, id: &ContainerId) -> Labels {
    let of_host = (namespaces.host_pid || namespaces.host_ipc) && labels.parts.is_empty();
    Labels { disabled: labels.disabled || of_host, categories: labels::categories(id), ..labels }
}

pub(super) fn invalid(option: &str, because: impl Into<String>) -> Error {
    Error::new(Kind::InvalidArgument, "read option", option).because(because)
}

/// Resolves a container from what was asked for and what its image says. `others` are mounts of other containers.
pub fn resolve(options: &RunOptions, image: &ImageInfo, id: &ContainerId, others: &[SpecMount]) -> Result<Spec> {
    let mounts = resolve_mounts(options, image, id, others)?;
    let security = security::read(options)?;
    identity::check_annotations(options)?;
    let namespaces = sharing::namespaces(options)?;
    let selinux = selinux(security.selinux, &namespaces, id);
    let logging = logging::read(options)?;
    Ok(Spec {
        args: args(options, image)?,
        env: env(options, image)?,
        workdir: workdir(options, image)?,
        user: user(options, image)?,
        groups: options.group_add.iter().map(|g| no_nul("group_add", g).map(|()| g.clone())).collect::<Result<_>>()?,
        hostname: identity::hostname(options, id)?,
        domainname: identity::domainname(options)?,
        labels: labels(options, image)?,
        mounts,
        namespaces,
        ids: None,
        limits: limits::limits(options)?,
        capabilities: names::capabilities(&options.cap_add, &options.cap_drop, options.privileged)?,
        privileged: options.privileged,
        read_only: options.read_only,
        bare_system_paths: security.bare_system_paths,
        no_new_privs: security.no_new_privs,
        seccomp: security.seccomp,
        apparmor: security.apparmor,
        selinux,
        rlimits: options.ulimits.iter().map(rlimit).collect::<Result<_>>()?,
        devices: devices::given(options)?,
        device_access: devices::restricted(options)?,
        device_rules: devices::asked(options)?,
        init: options.init,
        sysctls: sysctls(options)?,
        shm_size: shm_size(options)?,
        oom_score_adj: oom_score_adj(options)?,
        tty: options.tty,
        interactive: options.interactive,
        stop_signal: names::signal(first(&options.stop_signal, &image.stop_signal).unwrap_or("SIGTERM"))?,
        stop_timeout_ms: milliseconds("stop_timeout", options.stop_timeout.unwrap_or(10.0))?,
        auto_remove: options.auto_remove,
        tie: options.tie,
        log: logging.log,
        log_json: logging.json,
        log_max_size: logging.max_size,
        log_max_files: logging.max_files,
        restart: life::restart(options)?,
        health: life::health(options, image)?,
    })
}

fn first<'a>(a: &'a Option<String>, b: &'a Option<String>) -> Option<&'a str> {
    a.as_deref().or(b.as_deref()).filter(|s| !s.is_empty())
}

/// A span in seconds as milliseconds; what can't be waited for is refused.
pub fn milliseconds(option: &str, seconds: f64) -> Result<u64> {
    match seconds.is_finite() && (0.0..=1e10).contains(&seconds) {
        true => Ok((seconds * 1000.0).ceil() as u64),
        false => Err(invalid(option, format!("{seconds} is not a number of seconds from 0 up"))),
    }
}

/// An entrypoint that is given clears the image's command; `[""]` clears the entrypoint too.
fn args(options: &RunOptions, image: &ImageInfo) -> Result<Vec<String>> {
    let (entrypoint, default) = match &options.entrypoint {
        Some(given) if given.iter().all(String::is_empty) => (&[][..], &[][..]),
        Some(given) => (&given[..], &[][..]),
        None => (&image.entrypoint[..], &image.command[..]),
    };
    let command = if options.command.is_empty() { default } else { &options.command[..] };
    let args: Vec<String> = [entrypoint, command].concat();
    match args.first().is_some_and(|a| !a.is_empty()) {
        true => args.iter().try_for_each(|a| no_nul("command", a)).map(|()| args),
        false => Err(invalid("command", format!("none was given and the image {} has none", options.image))
            .hint("name a command after the image")),
    }
}

pub(super) fn no_nul(option: &str, text: &str) -> Result<()> {
    match text.contains('\0') {
        true => Err(invalid(option, format!("{text:?} contains a NUL byte"))),
        false => Ok(()),
    }
}

fn env(options: &RunOptions, image: &ImageInfo) -> Result<Vec<String>> {
    let mut env: Vec<String> = image.env.iter().filter(|e| is_assignment(e)).cloned().collect();
    if !env.iter().any(|e| e.starts_with("PATH=")) {
        env.insert(0, format!("PATH={}", wire::SEARCH_PATH));
    }
    if options.tty && !env.iter().any(|e| e.starts_with("TERM=")) {
        env.push("TERM=xterm".into());
    }
    for (key, value) in &options.env {
        if key.is_empty() || key.contains('=') {
            return Err(invalid("env", format!("{key:?} is not the name of a variable")));
        }
        no_nul("env", key).and_then(|()| no_nul("env", value))?;
        let prefix = format!("{key}=");
        env.retain(|e| !e.starts_with(&prefix));
        env.push(format!("{prefix}{value}"));
    }
    Ok(env)
}

/// An image may hold entries without a name or a `=`; a process can't be given those.
fn is_assignment(entry: &str) -> bool {
    !entry.contains('\0') && entry.find('=').is_some_and(|at| at > 0)
}

fn workdir(options: &RunOptions, image: &ImageInfo) -> Result<String> {
    let given = options.workdir.as_deref().unwrap_or(&image.workdir);
    let dir = if given.is_empty() { "/" } else { given };
    absolute("workdir", dir).map(|()| dir.to_owned())
}

pub(super) fn absolute(option: &str, path: &str) -> Result<()> {
    no_nul(option, path)?;
    match path.starts_with('/') {
        true => Ok(()),
        false => Err(invalid(option, format!("{path:?} is not an absolute path in the container"))),
    }
}

fn user(options: &RunOptions, image: &ImageInfo) -> Result<String> {
    let user = options.user.as_ref().unwrap_or(&image.user);
    no_nul("user", user).map(|()| user.clone())
}

fn labels(options: &RunOptions, image: &ImageInfo) -> Result<std::collections::BTreeMap<String, String>> {
    match options.labels.contains_key("") {
        true => Err(invalid("labels", "a label has a name").hint("write it as NAME=VALUE")),
        false => Ok(image.labels.clone().into_iter().chain(options.labels.clone()).collect()),
    }
}

fn shm_size(options: &RunOptions) -> Result<u64> {
    match options.shm_size.unwrap_or(DEFAULT_SHM) {
        size if size > i64::MAX as u64 => Err(invalid("shm_size", "it is more than any machine has")),
        size => Ok(size),
    }
}

fn rlimit(limit: &crate::api::Ulimit) -> Result<(u32, u64, u64)> {
    let value = |v: i64| match v {
        -1 => Ok(libc::RLIM_INFINITY),
        0.. => Ok(v as u64),
        _ => Err(invalid("ulimit", format!("{v} is neither a limit nor -1"))),
    };
    let (number, soft, hard) = (names::rlimit(&limit.name)?, value(limit.soft)?, value(limit.hard)?);
    match soft <= hard {
        true => Ok((number, soft, hard)),
        false => Err(invalid("ulimit", format!("{}: the soft limit is above the hard one", limit.name))),
    }
}

/// Only what belongs to a namespace of the container may be set: the rest is the host's.
fn sysctls(options: &RunOptions) -> Result<std::collections::BTreeMap<String, String>> {
    let sharing = sharing::namespaces(options)?;
    for (key, value) in &options.sysctls {
        no_nul("sysctl", key).and_then(|()| no_nul("sysctl", value))?;
        if value.is_empty() {
            return Err(invalid("sysctl", format!("{key} has no value")));
        }
        let own = !key.contains('/')
            && match sysctl::namespace(key) {
                Some(sysctl::Of::Net) => !sharing.host_net && !sharing.joined.contains_key("net"),
                Some(sysctl::Of::Ipc) => sharing.has_own_ipc(),
                // Its names have options of their own.
                Some(sysctl::Of::Uts) | None => false,
            };
        if !own {
            return Err(invalid("sysctl", format!("{key:?} does not belong to a namespace of the container")));
        }
    }
    Ok(options.sysctls.clone())
}

fn oom_score_adj(options: &RunOptions) -> Result<Option<i32>> {
    match options.oom_score_adj {
        Some(n) if !(-1000..=1000).contains(&n) => {
            Err(invalid("oom_score_adj", format!("{n} is not within -1000 and 1000")))
        }
        other => Ok(other),
    }
}

/// The caller's mounts; where they leave a gap those of other containers, of which a later one goes before an earlier one;
/// and then a new volume for each of the image's.
fn resolve_mounts(
    options: &RunOptions,
    image: &ImageInfo,
    id: &ContainerId,
    others: &[SpecMount],
) -> Result<Vec<SpecMount>> {
    let mut mounts: Vec<SpecMount> = Vec::new();
    let is_taken = |mounts: &[SpecMount], target: &str| mounts.iter().any(|m| m.mount.target == target);
    for mount in &options.mounts {
        let target = normal("mount", &mount.target)?;
        if is_taken(&mounts, &target) {
            return Err(invalid("mount", format!("{target} is the target of two mounts")));
        }
        mounts.push(one_mount(Mount { target, ..mount.clone() }, id, mounts.len())?);
    }
    for other in others.iter().rev() {
        if !is_taken(&mounts, &other.mount.target) {
            mounts.push(other.clone());
        }
    }
    for wanted in &image.volumes {
        let target = normal("mount", wanted)?;
        if !is_taken(&mounts, &target) {
            mounts.push(one_mount(Mount { kind: MountKind::Volume, target, ..Mount::default() }, id, mounts.len())?);
        }
    }
    // Parents before children, whatever the order they were given in.
    mounts.sort_by(|a, b| a.mount.target.cmp(&b.mount.target));
    Ok(mounts)
}

fn one_mount(mut mount: Mount, id: &ContainerId, index: usize) -> Result<SpecMount> {
    mount.options.iter().chain([&mount.source]).try_for_each(|text| no_nul("mount", text))?;
    mounts::check(&mount)?;
    let anonymous = mount.kind == MountKind::Volume && mount.source.is_empty();
    match mount.kind {
        MountKind::Bind if !mount.source.starts_with('/') => {
            return Err(invalid("mount", format!("{:?} is not an absolute path of the host", mount.source)));
        }
        MountKind::Volume if anonymous => mount.source = format!("{}{index:04x}", &id.as_str()[..60]),
        MountKind::Volume => drop(mount.source.parse::<Name>().map_err(|e| e.within("read option", "volume"))?),
        MountKind::Tmpfs if !mount.source.is_empty() => {
            return Err(invalid("mount", format!("a tmpfs has no source, and {:?} was given", mount.source)));
        }
        _ => {}
    }
    Ok(SpecMount { mount, anonymous, from: String::new() })
}

/// A target without doubled or trailing slashes and without `.` and `..`.
pub(super) fn normal(option: &'static str, target: &str) -> Result<String> {
    absolute(option, target)?;
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => return Err(invalid(option, format!("{target:?} climbs with '..'"))),
            part => parts.push(part),
        }
    }
    match parts.is_empty() {
        true => Err(invalid(option, "the root of the container can't be a mount's target")),
        false => Ok(format!("/{}", parts.join("/"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn image() -> ImageInfo {
        ImageInfo {
            env: vec!["PATH=/bin".into(), "A=1".into(), "junk".into(), "=x".into()],
            entrypoint: vec!["/entry".into()],
            command: vec!["serve".into()],
            volumes: vec!["/data".into(), "/cache/".into()],
            user: "app".into(),
            workdir: "/srv".into(),
            stop_signal: Some("SIGQUIT".into()),
            ..ImageInfo::default()
        }
    }

    fn resolved(options: RunOptions) -> Result<Spec> {
        resolve(&options, &image(), &ContainerId::from_random([1; 32]), &[])
    }

    fn words(list: &[&str]) -> Vec<String> {
        list.iter().map(|s| s.to_string()).collect()
    }

    #[test]
    fn entrypoint_and_command_as_docker_joins_them() {
        let with = |entrypoint: Option<&[&str]>, command: &[&str]| {
            resolved(RunOptions { entrypoint: entrypoint.map(words), command: words(command), ..Default::default() })
                .map(|s| s.args.join(" "))
        };
        assert_eq!(with(None, &[]).unwrap(), "/entry serve");
        assert_eq!(with(None, &["x"]).unwrap(), "/entry x");
        assert_eq!(with(Some(&["/e"]), &[]).unwrap(), "/e");
        assert_eq!(with(Some(&[""]), &["x"]).unwrap(), "x");
        assert!(with(Some(&[""]), &[]).unwrap_err().to_string().contains("none was given"));
    }

    #[test]
    fn environment_is_the_images_then_the_callers() {
        let env = BTreeMap::from([("A".to_string(), "2".to_string()), ("B".to_string(), "".to_string())]);
        let spec = resolved(RunOptions { env, tty: true, ..Default::default() }).unwrap();
        assert_eq!(spec.env, ["PATH=/bin", "TERM=xterm", "A=2", "B="]);
    }

    #[test]
    fn image_volumes_fill_the_gaps() {
        let bind = Mount { source: "/srv".into(), target: "/data//x/..y/".into(), ..Default::default() };
        let data = Mount { source: "/srv".into(), target: "/data/".into(), ..Default::default() };
        let spec = resolved(RunOptions { mounts: vec![bind, data], ..Default::default() }).unwrap();
        let targets: Vec<&str> = spec.mounts.iter().map(|m| m.mount.target.as_str()).collect();
        assert_eq!(targets, ["/cache", "/data", "/data/x/..y"]);
        assert!(spec.mounts[0].anonymous && spec.mounts[0].mount.source.len() == 64);
        assert!(!spec.mounts[1].anonymous);
    }

    #[test]
    fn bad_options_name_the_field() {
        let bad = |options: RunOptions, field: &str| {
            let e = resolved(options).unwrap_err();
            assert!(e.to_string().contains(field), "{e} does not name {field}");
        };
        let mount = |target: &str| vec![Mount { source: "/x".into(), target: target.into(), ..Default::default() }];
        bad(RunOptions { workdir: Some("x".into()), ..Default::default() }, "workdir");
        bad(RunOptions { mounts: mount("/a/../b"), ..Default::default() }, "mount");
        bad(RunOptions { mounts: mount("/"), ..Default::default() }, "mount");
        bad(RunOptions { memory: Some(1), ..Default::default() }, "memory");
        bad(RunOptions { memory_swap: Some(64 << 20), ..Default::default() }, "memory_swap");
        bad(RunOptions { cpus: Some(f64::NAN), ..Default::default() }, "cpus");
        bad(RunOptions { network: Some("web".into()), ..Default::default() }, "network");
        bad(RunOptions { cgroup_parent: Some("../x".into()), ..Default::default() }, "cgroup_parent");
        bad(RunOptions { stop_timeout: Some(-1.0), ..Default::default() }, "stop_timeout");
        bad(
            RunOptions { sysctls: BTreeMap::from([("kernel.panic".into(), "1".into())]), ..Default::default() },
            "sysctl",
        );
        bad(RunOptions { env: BTreeMap::from([("A\0".into(), "1".into())]), ..Default::default() }, "env");
        bad(RunOptions { hostname: Some("a b".into()), ..Default::default() }, "hostname");
    }

    #[test]
    fn the_images_words_hold_unless_replaced() {
        let spec = resolved(RunOptions::default()).unwrap();
        assert_eq!((spec.user.as_str(), spec.workdir.as_str(), spec.stop_signal), ("app", "/srv", 3));
        let spec = resolved(RunOptions { user: Some("0".into()), cpus: Some(1.5), ..Default::default() }).unwrap();
        assert_eq!((spec.user.as_str(), spec.limits.cpu_quota), ("0", Some(150_000)));
    }
}
