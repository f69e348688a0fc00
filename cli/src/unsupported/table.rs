//! `docs/flags.md`, from the parser itself and the table of what it refuses: what it says is what the command does.

#![allow(clippy::disallowed_methods)]

use std::fmt::Write;

use clap::{Command, CommandFactory};

use super::FLAGS;
use crate::cli::Cli;

/// The flags of `docker run` and `docker create`, by their long names, as `docker run --help` of Docker 28 lists them.
/// Last those that it keeps and does not list.
const DOCKER: &str = "add-host annotation attach blkio-weight blkio-weight-device cap-add cap-drop cgroup-parent \
    cgroupns cidfile cpu-count cpu-percent cpu-period cpu-quota cpu-rt-period cpu-rt-runtime cpu-shares cpus \
    cpuset-cpus cpuset-mems detach detach-keys device device-cgroup-rule device-read-bps device-read-iops \
    device-write-bps device-write-iops disable-content-trust dns dns-option dns-search domainname entrypoint env \
    env-file expose gpus group-add health-cmd health-interval health-retries health-start-interval \
    health-start-period health-timeout help hostname init interactive io-maxbandwidth io-maxiops ip ip6 ipc \
    isolation label label-file link link-local-ip log-driver log-opt mac-address memory memory-reservation \
    memory-swap memory-swappiness mount name network network-alias no-healthcheck oom-kill-disable oom-score-adj \
    pid pids-limit platform privileged publish publish-all pull quiet read-only restart rm runtime security-opt \
    shm-size sig-proxy stop-signal stop-timeout storage-opt sysctl tmpfs tty ulimit use-api-socket user userns uts \
    volume volume-driver volumes-from workdir \
    dns-opt kernel-memory net net-alias";

/// Of what is supported, what depends on the host or is not all that Docker has.
const NOTES: &[(&str, &str)] = &[
    ("annotation", "kept, and shown by `inspect`; nothing here acts by one"),
    ("cap-add", "within a plain user's own user namespace when rootless"),
    ("cgroupns", "`container:NAME` for root alone"),
    ("cpu-period cpu-quota cpus cpuset-cpus cpuset-mems memory memory-reservation memory-swap pids-limit", LIMIT),
    ("cpu-shares", SHARES),
    ("device-read-bps device-read-iops device-write-bps device-write-iops", DISK),
    ("blkio-weight blkio-weight-device", WEIGHT),
    ("memory-swappiness oom-kill-disable", V1),
    ("cpu-rt-period cpu-rt-runtime", REAL_TIME),
    ("device", "`r` or `w` alone for root, by a device cgroup"),
    ("device-cgroup-rule", "for root"),
    ("hostname domainname", "not with `--uts host` or `container:NAME`, whose names are another's"),
    ("ipc", "`container:NAME` for root alone, with its `/dev/shm`; without a word as with `shareable`"),
    ("log-driver", "`local`, `json-file` and `none`; others are refused"),
    ("log-opt", "`max-size` and `max-file`"),
    ("network net", "`none`, `host` and `container:NAME`, that for root alone; others are refused"),
    ("pid", "`container:NAME` for root alone"),
    ("platform", "to choose an image; there is no emulation"),
    ("health-cmd", "a command of the shell that the image names, `/bin/sh` by default"),
    ("restart", "as long as the machine is up; not with `--rm` or `container:NAME`"),
    ("privileged", "for root with the host's devices; a plain user's gets what its user namespace gives"),
    (
        "security-opt",
        "`seccomp`, `apparmor`, `label`, `no-new-privileges` and `systempaths`; a profile or a label where the kernel has none is refused",
    ),
    ("ulimit", "not above the host's own hard limit when rootless"),
    ("user group-add", "root alone on the rung `single-id`"),
    (
        "userns",
        "`host` is that of the rung; Podman's `auto` and `auto:size=N` for root, from Linux 5.19 on, and `keep-id` for a plain user with subordinate ids",
    ),
    ("uts", "`container:NAME` for root alone"),
];

const LIMIT: &str = "where this user can make cgroups with that controller (`sampan doctor` says); elsewhere refused, \
    or left out with `--best-effort`";

const SHARES: &str = "less than 2 is 2, more than 262144 is that; where this user can make cgroups with that controller \
    (`sampan doctor` says); elsewhere refused, or left out with `--best-effort`";

const DISK: &str = "of a whole disk, where this user can make cgroups with the controller `io` or `blkio`; elsewhere \
    refused, or left out with `--best-effort`";

const WEIGHT: &str = "where this user can make cgroups with the controller `io` or `blkio`, and the kernel's I/O \
    scheduler keeps weights (`bfq`, or `io.weight` of cgroup v2); elsewhere refused, or left out with `--best-effort`";

const V1: &str = "on cgroup v1; v2 has no such setting, so it is refused there, or left out with `--best-effort`";

const REAL_TIME: &str = "on cgroup v1, where the kernel has it and the cgroup above (`sampan`, or `--cgroup-parent`) was \
    given as much; elsewhere refused, or left out with `--best-effort`";

const HEAD: &str = "\
# Docker's flags

What `sampan run` and `sampan create` make of each flag of `docker run` (Docker 28). A flag that is not supported ends the
command with 125 and the sentence given here, before anything is made. A test of the command writes this table from its
own parser; `SAMPAN_UPDATE=1 cargo test -p sampan-cli docker_s_flags` renews it.

| flag | `run` | `create` | |
|---|---|---|---|
";

/// The flag as it is written, and whether the command takes it.
fn found(command: &Command, name: &str) -> Option<String> {
    let takes = |arg: &&clap::Arg| {
        arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|aliases| aliases.contains(&name))
    };
    let arg = command.get_arguments().find(takes)?;
    let short = arg.get_short().map(|letter| format!("`-{letter}` ")).unwrap_or_default();
    Some(format!("{short}`--{name}`"))
}

/// The flag as it is written with its short form, and why it is refused.
fn refused(name: &str) -> Option<(String, &'static str)> {
    let long = format!("--{name}");
    let (flags, why) = FLAGS.iter().find(|(flags, _)| flags.contains(&long.as_str()))?;
    let at = flags.iter().position(|flag| *flag == long)?;
    let short = at.checked_sub(1).map(|before| flags[before]).filter(|flag| !flag.starts_with("--"));
    Some((short.map(|s| format!("`{s}` ")).unwrap_or_default() + &format!("`{long}`"), why))
}

fn note(name: &str) -> &'static str {
    NOTES.iter().find(|(names, _)| names.split(' ').any(|n| n == name)).map_or("", |(_, note)| note)
}

fn row(run: &Command, create: &Command, name: &str) -> String {
    let yes = |supported: bool| if supported { "yes" } else { "no" };
    match (found(run, name), refused(name)) {
        (Some(_), Some(_)) => panic!("--{name} is taken, and in the table of what is refused"),
        (Some(flag), _) => format!("| {flag} | yes | {} | {} |", yes(found(create, name).is_some()), note(name)),
        (None, Some((flag, why))) => format!("| {flag} | refused | refused | {why} |"),
        (None, None) => panic!("--{name} is a flag of Docker's that is neither taken nor refused by a sentence"),
    }
}

#[test]
fn docker_s_flags_are_as_documented() {
    let mut cli = Cli::command();
    // The flags of a command are only read when it is asked for.
    cli.build();
    let of = |name: &str| cli.find_subcommand(name).unwrap();
    let mut text = HEAD.to_owned();
    for name in DOCKER.split_whitespace() {
        writeln!(text, "{}", row(of("run"), of("create"), name)).unwrap();
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/flags.md");
    if std::env::var_os("SAMPAN_UPDATE").is_some() {
        std::fs::write(path, &text).unwrap();
    }
    let written = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        written == text,
        "docs/flags.md says another thing: SAMPAN_UPDATE=1 cargo test -p sampan-cli docker_s_flags"
    );
}

/// A sentence for a flag that Docker does not have would never be read.
#[test]
fn what_is_refused_is_docker_s() {
    let names: Vec<&str> = DOCKER.split_whitespace().collect();
    for flag in FLAGS.iter().flat_map(|(flags, _)| *flags) {
        assert!(flag.strip_prefix("--").is_none_or(|name| names.contains(&name)), "{flag}");
    }
}
