//! `doctor`: what this host allows, found out by doing, with the cure for what it does not.

use super::{Context, chroot, facts, probe};
use crate::api::*;
use crate::error::{Error, Result};
use crate::plan::confined::profiles;
use crate::plan::facts::{AppArmor, Contexts, SeLinux};
use crate::sys;

const NFS: i64 = 0x6969;
const OVERLAYFS: i64 = 0x794c_7630;
const TMPFS: i64 = 0x0102_1994;

/// Looks at everything that has been seen to go wrong, and runs the self-test.
pub fn doctor(context: &Context) -> Result<DoctorReport> {
    let mut checks = vec![
        kernel(),
        ids(),
        cgroups(),
        run_dir(),
        store(context),
        host_process(),
        memfd(),
        apparmor(context),
        selinux(),
        landlock(context),
    ];
    let (rung, reason, test) = match self_test(context) {
        Ok((rung, reason, millis)) => (rung, reason, Ok(millis)),
        Err(e) => (Rung::default(), e.to_string(), Err(e)),
    };
    checks.push(match &test {
        Ok(millis) => check("self-test", CheckStatus::Ok, format!("a container ran in {millis:.1} ms"), None),
        Err(e) => failed("self-test", e),
    });
    let ok = test.is_ok();
    Ok(DoctorReport { ok, rung, reason, checks, self_test_ms: test.ok() })
}

fn self_test(context: &Context) -> Result<(Rung, String, f64)> {
    let facts = context.facts()?;
    let took = probe::self_test(&context.paths, facts, &context.helper())?;
    Ok((facts.rung, context.rung_reason()?.to_owned(), took.as_secs_f64() * 1e3))
}

fn check(name: &str, status: CheckStatus, detail: impl Into<String>, hint: Option<&str>) -> Check {
    Check { name: name.into(), status, detail: detail.into(), hint: hint.map(str::to_owned) }
}

fn failed(name: &str, error: &Error) -> Check {
    let said = error.to_string();
    let hint = error.hint_text().unwrap_or_default();
    let detail = said.strip_suffix(hint).and_then(|s| s.strip_suffix("; ")).unwrap_or(&said);
    check(name, CheckStatus::Fail, detail, error.hint_text())
}

fn kernel() -> Check {
    let release = sys::kernel_release();
    // mount_setattr is the youngest system call that nothing stands in for.
    match sys::kernel_at_least(5, 12) {
        true => check("kernel", CheckStatus::Ok, release, None),
        false => check("kernel", CheckStatus::Fail, release, Some("containers need Linux 5.12 or newer")),
    }
}

fn ids() -> Check {
    if facts::is_mighty() {
        return check("user ids", CheckStatus::Ok, "root: every id can be had", None);
    }
    match facts::subids() {
        Ok(map) => check("user ids", CheckStatus::Ok, format!("{} subordinate ids", map.uids[1].length), None),
        Err(e) => Check { status: CheckStatus::Warn, ..failed("user ids", &e) },
    }
}

fn cgroups() -> Check {
    let found = match crate::cgroup::detect() {
        Ok(found) => found,
        Err(e) => return failed("cgroup", &e),
    };
    if !found.v2_crowded.is_empty() {
        return crowded(&found);
    }
    let names: Vec<&str> = found.v1.keys().chain(&found.v2_controllers).map(String::as_str).collect();
    match found.v1.is_empty() && found.v2.is_none() {
        false => check(
            "cgroup",
            CheckStatus::Ok,
            format!("{}: {}", found.mode, names.join(" ")),
            withheld(&found).as_deref(),
        ),
        true => check(
            "cgroup",
            CheckStatus::Warn,
            format!("{}: none is writable, so memory, cpu and pids limits can't be enforced", found.mode),
            Some(&no_cgroup()),
        ),
    }
}

/// What root could give this user besides.
fn withheld(found: &crate::cgroup::Found) -> Option<String> {
    let names = crate::cgroup::withheld(found).ok().filter(|names| !names.is_empty())?.join(", ");
    Some(format!("for limits by {names} too, have root run: sampan setup --user {}", nix::unistd::geteuid()))
}

/// Root that has none is in a container.
fn no_cgroup() -> String {
    match nix::unistd::geteuid() {
        root if root.is_root() => "mount them so that they can be written to (docker run --privileged)".into(),
        user => format!(
            "have root run: sampan setup --user {user}; or run in a systemd user session on cgroup v2 (loginctl enable-linger), or as root"
        ),
    }
}

fn crowded(found: &crate::cgroup::Found) -> Check {
    let place = found.v2.as_deref().unwrap_or_default();
    check(
        "cgroup",
        CheckStatus::Warn,
        format!("{}: processes are in {place} itself, so {} can't be had", found.mode, found.v2_crowded.join(", ")),
        Some("move them into a cgroup below it: mkdir leaf, then write each of its cgroup.procs to leaf/cgroup.procs"),
    )
}

fn run_dir() -> Check {
    let root = nix::unistd::geteuid().is_root();
    match std::env::var_os("XDG_RUNTIME_DIR") {
        _ if root => check("run directory", CheckStatus::Ok, "/run/sampan", None),
        Some(dir) => check("run directory", CheckStatus::Ok, dir.to_string_lossy(), None),
        None => check(
            "run directory",
            CheckStatus::Warn,
            "XDG_RUNTIME_DIR is not set, so a directory in /tmp is used",
            Some("log in through a session (loginctl enable-linger USER), or set XDG_RUNTIME_DIR"),
        ),
    }
}

fn store(context: &Context) -> Check {
    let root = context.paths.root();
    let place = root.display().to_string();
    let warn = |what: &str, hint| check("store", CheckStatus::Warn, format!("{place}: {what}"), Some(hint));
    match sys::fs_type(root) {
        Ok(NFS) => warn("on NFS, where an overlay can't keep what a container writes", "give a root on a local disk"),
        Ok(OVERLAYFS) => warn(
            "on overlayfs, which can't hold another overlay",
            "mount a volume or a tmpfs there, or give another root",
        ),
        Ok(TMPFS) if !sys::kernel_at_least(6, 6) => {
            warn("on tmpfs, which keeps no user.* attributes before Linux 6.6", "give a root on a disk")
        }
        Ok(_) => check("store", CheckStatus::Ok, place, None),
        Err(e) => failed("store", &Error::errno_in(e as i32, "look at store", place)),
    }
}

/// Shims that lose their parent come to PID 1 or to a subreaper; when that is this process, it gets a
/// SIGCHLD for each, which nothing can prevent.
fn host_process() -> Check {
    let mut subreaper: libc::c_int = 0;
    // SAFETY: the kernel writes one int through the pointer, which outlives the call.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &mut subreaper) };
    let what = match (std::process::id(), subreaper) {
        (1, _) => "this process is PID 1",
        (_, 0) => return check("host process", CheckStatus::Ok, "neither PID 1 nor a subreaper", None),
        _ => "this process is a subreaper",
    };
    let hint = "run it below an init (docker run --init, tini), or expect SIGCHLD of containers' shims";
    check("host process", CheckStatus::Warn, format!("{what}, so containers' shims become its children"), Some(hint))
}

fn apparmor(context: &Context) -> Check {
    let found =
        context.facts().and_then(|facts| context.apparmor(facts.rung)).unwrap_or_else(|_| super::apparmor::found());
    match found {
        AppArmor::Off => check("AppArmor", CheckStatus::Ok, "not enabled, so there are no profiles to enter", None),
        AppArmor::Prepared => {
            check("AppArmor", CheckStatus::Ok, format!("containers are confined by {}", profiles().names()[0]), None)
        }
        AppArmor::Unprepared(why) => {
            let status = if facts::is_mighty() { CheckStatus::Warn } else { CheckStatus::Ok };
            check("AppArmor", status, format!("containers that name no profile run unconfined: {why}"), None)
        }
    }
}

fn selinux() -> Check {
    match super::selinux::found() {
        SeLinux::Off => check("SELinux", CheckStatus::Ok, "not enabled, so nothing has labels", None),
        SeLinux::Prepared(Contexts { process, .. }) => {
            check("SELinux", CheckStatus::Ok, format!("containers are {process} with categories of their own"), None)
        }
        SeLinux::Unprepared(why) => check(
            "SELinux",
            CheckStatus::Warn,
            format!("containers have the label of whoever starts them: {why}"),
            None,
        ),
    }
}

/// What there is where no namespaces are, and what it is worth.
fn landlock(context: &Context) -> Check {
    let version = match sys::landlock_version() {
        Ok(version) => version,
        lacking => return check("Landlock", CheckStatus::Ok, chroot::lacking(lacking), None),
    };
    let signals = match version {
        chroot::WITH_SCOPES.. => "",
        _ => ", signals reach the host's processes (before Linux 6.12)",
    };
    if context.options.rung == Some(Rung::Chroot) {
        return check("Landlock", CheckStatus::Warn, format!("version {version}: {WORTH}{signals}"), Some(BETTER));
    }
    let asked = match chroot::check() {
        Ok(()) => "the rung `chroot` can be asked for (--rung chroot), which is not a security boundary",
        Err(_) => "not used: the rung `chroot`, which is not a security boundary, takes root with CAP_SYS_CHROOT",
    };
    check("Landlock", CheckStatus::Ok, format!("version {version}: {asked}"), None)
}

const WORTH: &str = "on the rung `chroot` a container is not held by a security boundary: it shares the host's network, \
    process ids, IPC and names, and has no /proc and no mounts";
const BETTER: &str = "leave the rung to be chosen where user namespaces are allowed";

fn memfd() -> Check {
    let path = std::path::Path::new("/proc/sys/vm/memfd_noexec");
    match crate::fs::read_bounded(path, 16).unwrap_or_default().trim_ascii() {
        b"2" => check(
            "helper",
            CheckStatus::Warn,
            "vm.memfd_noexec=2: memory files can't be executed, so a temporary file is used",
            Some("sysctl vm.memfd_noexec=1"),
        ),
        _ => check("helper", CheckStatus::Ok, "executed from a sealed memory file", None),
    }
}
