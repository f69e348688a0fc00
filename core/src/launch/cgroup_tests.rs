//! What the shim does with the cgroups it was given: on either version, where they can be had.

#![allow(clippy::disallowed_methods)]

use std::fs;
use std::path::{Path, PathBuf};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::supervise_tests::Place;
use super::{Early, HelperSource, LaunchFds, Launched, launch_late};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::plan::launch::{LaunchPlan, Namespace};

/// The tops of the hierarchies that are mounted: of v1 those with a controller, of v2 the one.
fn tops(fstype: &str) -> Vec<PathBuf> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let lines = mounts.lines().filter(|line| line.contains(&format!(" - {fstype} ")) && !line.contains("name="));
    lines.filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
}

/// A cgroup of our own with this file in one of these hierarchies; for root there is one where a hierarchy has it.
fn cgroup(tops: &[PathBuf], file: &str, name: &str) -> Option<PathBuf> {
    let made = tops.iter().find_map(|top| {
        let path = top.join(format!("sampan-test-{}-{name}", std::process::id()));
        fs::create_dir(&path).ok()?;
        let usable = path.join(file).exists();
        if !usable {
            fs::remove_dir(&path).unwrap();
        }
        usable.then_some(path)
    });
    let root = nix::unistd::geteuid().is_root();
    assert!(made.is_some() || !root || !tops.iter().any(|top| offers(top, file)), "no cgroup with {file} in {tops:?}");
    made
}

/// Whether what is made there has the file: v1 has it at the top too, v2 names what it hands down.
fn offers(top: &Path, file: &str) -> bool {
    let handed_down = fs::read_to_string(top.join("cgroup.subtree_control")).unwrap_or_default();
    let handed_down = handed_down.split_whitespace().any(|controller| file.starts_with(&format!("{controller}.")));
    crate::fs::writable(top) && (top.join(file).exists() || handed_down)
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

fn in_v1(plan: LaunchPlan, cgroup: &Path) -> LaunchPlan {
    let mut plan = plan;
    plan.cgroup.v1 = vec![text(cgroup)];
    plan.cgroup.remove = vec![text(cgroup)];
    plan
}

fn in_v2(plan: LaunchPlan, cgroup: &Path) -> LaunchPlan {
    let mut plan = plan;
    plan.cgroup.v2 = Some(text(cgroup));
    plan.cgroup.remove = vec![text(cgroup)];
    plan
}

/// What outlives the first process, in the namespace of the host's process ids.
fn leaves_one_behind(place: &Place) -> LaunchPlan {
    let mut plan = place.plan("/bin/busybox setsid /bin/busybox sleep 1000 & exit 0");
    plan.namespaces.pid = Namespace::Host;
    plan
}

#[test]
fn v1_cgroups_are_removed_with_what_was_made_and_left_in_them() {
    let Some(cgroup) = cgroup(&tops("cgroup"), "tasks", "v1") else { return };
    let place = Place::new();
    fs::create_dir_all(cgroup.join("made/inside")).unwrap();
    place.run(&in_v1(leaves_one_behind(&place), &cgroup));
    assert!(!cgroup.exists());
}

#[test]
fn a_v2_cgroup_is_removed_with_what_was_made_and_left_in_it() {
    let Some(cgroup) = cgroup(&tops("cgroup2"), "cgroup.procs", "v2") else { return };
    let place = Place::new();
    fs::create_dir_all(cgroup.join("made/inside")).unwrap();
    place.run(&in_v2(leaves_one_behind(&place), &cgroup));
    assert!(!cgroup.exists());
}

/// Takes more memory than it may have.
const GREEDY: &str = "x=0123456789; while :; do x=$x$x; done";

fn is_told(place: &Place, plan: &LaunchPlan, cgroup: &Path) {
    let exit = place.run(plan);
    assert_eq!((exit["signal"].as_i64(), exit["oom_killed"].as_bool()), (Some(9), Some(true)));
    let oom = |member: &str| exit["oom"][member].as_u64().unwrap();
    assert_eq!((oom("kills"), oom("limit")), (1, 8 << 20));
    // Where the kernel counts it, which of v2 is 5.19 and later.
    assert!(oom("hits") > 0 && [0, 8 << 20].contains(&oom("peak")), "{exit}");
    assert!(!cgroup.exists());
}

#[test]
fn death_for_want_of_memory_is_told_on_v1() {
    let Some(cgroup) = cgroup(&tops("cgroup"), "memory.limit_in_bytes", "memory") else { return };
    let place = Place::new();
    fs::write(cgroup.join("memory.limit_in_bytes"), "8M").unwrap();
    let mut plan = in_v1(place.plan(GREEDY), &cgroup);
    plan.cgroup.oom = Some(text(&cgroup.join("memory.oom_control")));
    is_told(&place, &plan, &cgroup);
}

#[test]
fn death_for_want_of_memory_is_told_on_v2() {
    let tops = tops("cgroup2");
    for top in &tops {
        // Refused where processes sit in that very cgroup, and where v1 has the controller.
        let _ = fs::write(top.join("cgroup.subtree_control"), "+memory");
    }
    let Some(cgroup) = cgroup(&tops, "memory.max", "v2-memory") else { return };
    let place = Place::new();
    fs::write(cgroup.join("memory.max"), "8M").unwrap();
    // Not in a kernel that doesn't account for swap.
    let _ = fs::write(cgroup.join("memory.swap.max"), "0");
    let mut plan = in_v2(place.plan(GREEDY), &cgroup);
    plan.cgroup.oom = Some(text(&cgroup.join("memory.events")));
    is_told(&place, &plan, &cgroup);
}

fn start_late(place: &Place, plan: &LaunchPlan, make: &dyn Fn() -> Result<()>) -> Result<Launched> {
    let lock = fs::File::create(place.path("lock")).unwrap().into();
    let fds = LaunchFds { lock, stdin: None, stdout: None, stderr: None };
    launch_late(plan, fds, Early::begin(HelperSource::default(), true), make)
}

/// A cgroup that can be made, and a plan for who is to be in it.
fn to_be_made(fstype: &str, file: &str, name: &str) -> Option<(Place, LaunchPlan, PathBuf)> {
    let cgroup = cgroup(&tops(fstype), file, name)?;
    fs::remove_dir(&cgroup).unwrap();
    let place = Place::new();
    let sleeping = place.plan("exec /bin/busybox sleep 1000");
    let mut plan = if fstype == "cgroup" { in_v1(sleeping, &cgroup) } else { in_v2(sleeping, &cgroup) };
    plan.cgroup.late = true;
    Some((place, plan, cgroup))
}

#[test]
fn a_container_is_in_cgroups_that_were_made_while_its_init_was() {
    for (fstype, file) in [("cgroup", "tasks"), ("cgroup2", "cgroup.procs")] {
        let Some((place, plan, cgroup)) = to_be_made(fstype, file, "late") else { continue };
        let make = || crate::fs::make_dir(&cgroup).map(drop);
        let launched = start_late(&place, &plan, &make).unwrap();
        let inside = fs::read_to_string(cgroup.join(file)).unwrap();
        assert!(inside.lines().any(|pid| pid == launched.init_pid.to_string()), "{fstype}: {inside}");
        kill(Pid::from_raw(launched.init_pid), Signal::SIGKILL).unwrap();
        launched.wait_gone(&Cancel::new(), None).unwrap();
        assert!(!cgroup.exists());
    }
}

#[test]
fn cgroups_that_cannot_be_made_leave_nothing_running() {
    for (fstype, file) in [("cgroup", "tasks"), ("cgroup2", "cgroup.procs")] {
        let Some((place, plan, cgroup)) = to_be_made(fstype, file, "refused") else { continue };
        let refuse = || Err(Error::new(Kind::UnenforceableLimit, "limit", "memory"));
        let error = start_late(&place, &plan, &refuse).unwrap_err();
        assert_eq!(error.kind(), Kind::UnenforceableLimit);
        assert!(!place.path("c/state.json").exists() && !cgroup.exists());
    }
}

#[test]
fn a_shim_that_fails_meanwhile_is_heard() {
    let Some((place, mut plan, cgroup)) = to_be_made("cgroup", "tasks", "meanwhile") else { return };
    plan.supervise.log = text(&place.path("nowhere/log"));
    let make = || crate::fs::make_dir(&cgroup).map(drop);
    let error = start_late(&place, &plan, &make).unwrap_err();
    fs::remove_dir(&cgroup).unwrap();
    assert!(error.to_string().contains("nowhere/log"), "{error}");
}
