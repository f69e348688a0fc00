//! A command in a running container: its options and the container's own in, the plan out.

use super::facts::Facts;
use super::launch::ExecPlan;
use super::{chroot, resolve, start};
use crate::api::{ExecOptions, Rung};
use crate::error::{Error, Kind, Result};
use crate::plan::launch::Capabilities;
use crate::spec::Spec;

fn invalid(option: &str, because: &str) -> Error {
    Error::new(Kind::InvalidArgument, "read option", option).because(because)
}

/// Plans one command.
pub fn plan(spec: &Spec, facts: &Facts, options: &ExecOptions) -> Result<ExecPlan> {
    check(options)?;
    if options.privileged && facts.rung == Rung::Chroot {
        return Err(chroot::refusal("privileged", chroot::BOUNDED));
    }
    let mut process = start::process(spec, facts)?;
    process.args = options.command.clone();
    process.tty = options.tty;
    process.init = false;
    // Those of the container as it was started, which its shim knows.
    (process.apparmor, process.selinux) = (None, None);
    process.env = env(process.env, options)?;
    if let Some(user) = &options.user {
        process.user.clone_from(user);
    }
    if let Some(dir) = &options.workdir {
        process.cwd.clone_from(dir);
    }
    if options.privileged {
        let all = facts.capabilities;
        process.capabilities =
            Capabilities { bounding: all, effective: all, permitted: all, ..Capabilities::default() };
    }
    Ok(ExecPlan {
        process,
        stdin: options.interactive || options.stdin.is_some(),
        detach: options.detach,
        timeout_ms: options.timeout.map_or(Ok(0), |t| resolve::milliseconds("timeout", t).map(|ms| ms.max(1)))?,
        rows: options.rows.unwrap_or(0),
        columns: options.columns.unwrap_or(0),
        id: String::new(),
    })
}

fn check(options: &ExecOptions) -> Result<()> {
    match options.command.first() {
        None => return Err(invalid("command", "there is nothing to run")),
        Some(first) if first.is_empty() => return Err(invalid("command", "its first word is empty")),
        Some(_) => {}
    }
    if options.detach && (options.interactive || options.stdin.is_some()) {
        return Err(invalid("detach", "a detached command has no input"));
    }
    if let Some(dir) = &options.workdir {
        resolve::absolute("workdir", dir)?;
    }
    options.user.as_deref().map_or(Ok(()), user)
}

/// Who misreads a user runs as root (CVE-2026-30892): anything but `name-or-id[:name-or-id]` is refused,
/// and what only looks like a number is a name that no file has.
fn user(spec: &str) -> Result<()> {
    let part = |part: &str| !part.is_empty() && part.chars().all(|c| !c.is_whitespace() && !c.is_control() && c != ':');
    let (name, group) = spec.split_once(':').map_or((spec, None), |(name, group)| (name, Some(group)));
    match part(name) && group.is_none_or(part) {
        true => Ok(()),
        false => Err(invalid("user", "expected user[:group], each a name or a number")),
    }
}

/// The container's, and over it the caller's.
fn env(mut env: Vec<String>, options: &ExecOptions) -> Result<Vec<String>> {
    if options.tty && !env.iter().any(|e| e.starts_with("TERM=")) {
        env.push("TERM=xterm".into());
    }
    for (key, value) in &options.env {
        if key.is_empty() || key.contains('=') {
            return Err(invalid("env", "a variable's name is empty or holds a `=`"));
        }
        let head = format!("{key}=");
        env.retain(|e| !e.starts_with(&head));
        env.push(head + value);
    }
    Ok(env)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn spec() -> Spec {
        Spec {
            args: vec!["server".into()],
            env: vec!["PATH=/bin".into(), "A=1".into()],
            user: "app".into(),
            workdir: "/srv".into(),
            hostname: "box".into(),
            capabilities: 0b101,
            no_new_privs: true,
            rlimits: vec![(7, 1, 2)],
            ..Spec::default()
        }
    }

    fn planned(options: ExecOptions) -> Result<ExecPlan> {
        let facts = Facts { capabilities: 0b111, ..Facts::default() };
        plan(&spec(), &facts, &ExecOptions { command: vec!["sh".into()], ..options })
    }

    #[test]
    fn the_containers_own_hold_unless_replaced() {
        let process = planned(ExecOptions::default()).unwrap().process;
        assert_eq!((process.args, process.user.as_str(), process.cwd.as_str()), (vec!["sh".into()], "app", "/srv"));
        assert_eq!(process.env, ["PATH=/bin", "A=1", "HOSTNAME=box"]);
        assert_eq!((process.capabilities.bounding, process.no_new_privs, process.rlimits), (5, true, vec![(7, 1, 2)]));
        let env = BTreeMap::from([("A".to_string(), "2".to_string())]);
        let given = ExecOptions { env, user: Some("0:0".into()), privileged: true, tty: true, ..Default::default() };
        let process = planned(given).unwrap().process;
        assert_eq!(process.env, ["PATH=/bin", "HOSTNAME=box", "TERM=xterm", "A=2"]);
        assert_eq!((process.user.as_str(), process.capabilities.effective), ("0:0", 7));
    }

    #[test]
    fn bad_options_name_the_field() {
        let bad = |options: ExecOptions, field: &str| {
            let error = planned(options).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.to_string().contains(field), "{error}");
        };
        for user in ["", ":", "1:", ":1", "1:2:3", "a b", " 0", "0\n"] {
            bad(ExecOptions { user: Some(user.into()), ..Default::default() }, "user");
        }
        bad(ExecOptions { workdir: Some("srv".into()), ..Default::default() }, "workdir");
        bad(ExecOptions { timeout: Some(-1.0), ..Default::default() }, "timeout");
        bad(ExecOptions { detach: true, interactive: true, ..Default::default() }, "detach");
        bad(ExecOptions { env: BTreeMap::from([("A=B".into(), String::new())]), ..Default::default() }, "env");
        assert!(plan(&spec(), &Facts::default(), &ExecOptions::default()).unwrap_err().to_string().contains("command"));
    }
}
