//! The self-test: a container from nothing but the shim's own program. What a host allows is found out by
//! doing it, not by reading sysctls.

use std::path::Path;
use std::time::{Duration, Instant};

use super::capture::Ends;
use crate::api::{Rung, Tie};
use crate::cancel::Cancel;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch::{self, Early, HelperSource, LaunchFds};
use crate::paths::Paths;
use crate::plan::facts::Facts;
use crate::plan::start::{self, Places};
use crate::plan::{cgroup, names};
use crate::spec::Spec;
use crate::store::liveness;
use crate::store::tmp::Temp;
use crate::{fs, sys};

/// Runs the self-test with these facts, and tells how long it took from start to removal.
pub fn self_test(paths: &Paths, facts: &Facts, helper: &HelperSource) -> Result<Duration> {
    let random = sys::random_bytes().map_err(|e| Error::errno_in(e as i32, "make id", ""))?;
    let id = ContainerId::from_random(random);
    let temp = Temp::dir(paths)?;
    let done = prepare(temp.path()).and_then(|()| run(temp.path(), &id, paths, facts, helper));
    done.map_err(|e| e.within("run self-test", facts.rung.word()))
}

fn prepare(dir: &Path) -> Result<()> {
    for part in ["lower", "upper", "work", "tree/dev"] {
        fs::make_dirs(&dir.join(part))?;
    }
    // Where there is no overlay of it, the tree is all.
    ["lower", "tree"]
        .iter()
        .try_for_each(|of| fs::write_executable(&dir.join(of).join("selftest"), launch::shim_image()))
}

fn spec() -> Result<Spec> {
    Ok(Spec {
        args: vec!["/selftest".into()],
        workdir: "/".into(),
        hostname: "self-test".into(),
        capabilities: names::capabilities(&[], &[], false)?,
        shm_size: 1 << 20,
        stop_signal: libc::SIGKILL,
        auto_remove: true,
        tie: Tie::Host,
        ..Spec::default()
    })
}

fn run(dir: &Path, id: &ContainerId, paths: &Paths, facts: &Facts, helper: &HelperSource) -> Result<Duration> {
    let spec = spec()?;
    let groups_plan = cgroup::plan(&spec.limits, id, &facts.cgroups)?;
    let text = |path: &Path| path.display().to_string();
    let places = Places {
        dir: text(dir),
        attach_at: text(paths.run()),
        lower: vec![text(&dir.join("lower"))],
        volumes: text(&paths.volumes()),
        trash: text(&paths.tmp().join(format!("trash-{id}"))),
        name_claim: String::new(),
        joined: Default::default(),
        ..Places::default()
    };
    let plan = start::plan(&spec, facts, &groups_plan, &places)?;
    let lock = liveness::hold(&dir.join("lock"), "self-test")?;
    let began = Instant::now();
    let made = groups::make(&groups_plan.dirs, &groups_plan.enable)?;
    let (output, write) =
        nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| Error::errno_in(e as i32, "make pipe", ""))?;
    let fds = LaunchFds { lock, stdin: None, stdout: Some(std::os::fd::AsFd::as_fd(&write)), stderr: None };
    let launched = launch::launch(&plan, fds, Early::begin(helper.clone(), true))?;
    made.keep();
    drop(write);
    let mut ends = Ends { stdin: None, stdout: Some(output), stderr: None };
    let (stdout, _) = super::capture::pump(&mut ends, &[], None, &Cancel::new())?;
    let exit = launched.wait_exit(&Cancel::new(), None)?;
    launched.wait_gone(&Cancel::new(), None)?;
    match (exit.status(), stdout.as_slice()) {
        (0, b"ok\n") => Ok(began.elapsed()),
        (status, said) => Err(Error::new(Kind::Launch, "run self-test", facts.rung.word())
            .because(format!("it ended with status {status} and said {:?}", String::from_utf8_lossy(said)))),
    }
}

/// What was found about the rungs, best first.
#[derive(Debug)]
pub struct Found {
    /// The facts that work.
    pub facts: Facts,
    /// Why the better rungs don't.
    pub reason: String,
}

/// Tries the rungs of a plain user, each with a fresh `/proc` and then with the host's.
pub fn climb(candidates: Vec<Result<Facts>>, paths: &Paths, helper: &HelperSource) -> Result<Found> {
    let mut reasons = Vec::new();
    for candidate in candidates {
        match candidate.and_then(|facts| try_rung(facts, paths, helper)) {
            Ok(facts) => return Ok(Found { facts, reason: reasons.join("; ") }),
            Err(e) => reasons.push(e.to_string()),
        }
    }
    let error = Error::new(Kind::Unsupported, "choose rung", "")
        .because(format!("no rung of the rootless ladder works here: {}", reasons.join("; ")));
    Err(match nix::unistd::geteuid().is_root() {
        true => error.hint(match super::chroot::check() {
            Ok(()) => CURE_OF_ROOT_WITH_CHROOT,
            Err(_) => CURE_OF_ROOT,
        }),
        // It has been told of the rung that came furthest.
        false if reasons.iter().any(|reason| reason.contains(launch::APPARMOR_CURE)) => error,
        false => error.hint("allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces), or run as root"),
    })
}

const CURE_OF_ROOT: &str = "give this process CAP_SYS_ADMIN (docker run --privileged), or allow it user namespaces";
const CURE_OF_ROOT_WITH_CHROOT: &str = "give this process CAP_SYS_ADMIN (docker run --privileged), or allow it user namespaces; \
    what there is without, and is not a security boundary, has to be asked for: --rung chroot";

fn try_rung(mut facts: Facts, paths: &Paths, helper: &HelperSource) -> Result<Facts> {
    let first = match self_test(paths, &facts, helper) {
        Ok(_) => return Ok(facts),
        Err(e) => e,
    };
    facts.fresh_proc = false;
    match self_test(paths, &facts, helper) {
        Ok(_) => Ok(facts),
        // The first failure names the cause; the second only says that it was not `/proc`.
        Err(_) => Err(first),
    }
}

/// What a found rung holds for: this boot, these namespaces, these restrictions, these ranges of ids. The same user may
/// come from a pod whose `/proc` is masked, or from a service that may gain no privileges; or may be given ids.
pub fn sandbox() -> String {
    let namespace = |kind: &str| {
        let link = nix::fcntl::readlink(Path::new(&format!("/proc/self/ns/{kind}")));
        link.unwrap_or_default().to_string_lossy().into_owned()
    };
    let status = fs::read_bounded(Path::new("/proc/self/status"), 1 << 16).unwrap_or_default();
    let status = String::from_utf8_lossy(&status);
    let word = |key: &str| status.lines().find_map(|l| l.strip_prefix(key)).unwrap_or_default().trim();
    let restrictions = ["NoNewPrivs:", "Seccomp_filters:", "CapEff:"].map(word);
    let ranges = ["/etc/subuid", "/etc/subgid"].map(|file| fs::version(Path::new(file)));
    let namespaces = ["mnt", "user"].map(namespace);
    [&[sys::boot_id()][..], &namespaces, &restrictions.map(str::to_owned), &ranges].concat().join(",")
}

/// The rung's word and whether `/proc` can be fresh, as kept for the rest of the boot.
pub fn remember(facts: &Facts, sandbox: &str) -> String {
    format!("{sandbox} {} {}\n", facts.rung.word(), facts.fresh_proc)
}

/// The reverse of [`remember`]; `None` when it is of another sandbox.
pub fn recall(text: &str, sandbox: &str) -> Option<(Rung, bool)> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let [of, rung, fresh] = fields[..] else { return None };
    (of == sandbox && !of.is_empty()).then_some((rung.parse().ok()?, fresh.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rung_is_remembered_for_the_boot() {
        let facts = Facts { rung: Rung::SubIds, fresh_proc: false, ..Facts::default() };
        let text = remember(&facts, "b1");
        assert_eq!(recall(&text, "b1"), Some((Rung::SubIds, false)));
        assert_eq!(recall(&text, "b2"), None);
        assert_eq!(recall("junk", "b1"), None);
        assert!(!sandbox().contains(char::is_whitespace));
    }
}
