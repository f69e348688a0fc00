//! `kill -9` after each step of the store: the next call works, and cleans.

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};

use super::*;
use crate::store::{containers, crash, volumes};

const REMOVED: &str = "b:1";

/// Passes every point.
fn everything(paths: &Paths) {
    pull(paths, &sample("kept"), "a:1");
    pull(paths, &sample("removed"), REMOVED);
    live(paths, "db");
    volumes::make(paths, &"v".parse().unwrap()).unwrap();
    volumes::unlist(paths, &"v".parse().unwrap()).unwrap();
    refs::remove(paths, &REMOVED.parse().unwrap()).unwrap();
    collect(paths);
}

/// A container is made, and removed again. Each has an id of its own, as in life.
fn live(paths: &Paths, name: &str) {
    let mut record = containers::tests::record(0, name);
    record.id = crate::id::ContainerId::from_random(crate::sys::random_bytes().unwrap());
    containers::create(paths, &record).unwrap();
    assert_eq!(containers::owner_of(paths, &record.name).unwrap(), Some(record.id.clone()));
    let trash = containers::unlist(paths, &record).unwrap().unwrap();
    fs::remove_tree(&trash).unwrap();
}

/// Removes the containers that a kill left whole, as a user would.
fn remove_containers(paths: &Paths) {
    for id in containers::ids(paths).unwrap() {
        let found = containers::load(paths, &id).unwrap().unwrap();
        containers::unlist(paths, &found.record).unwrap();
    }
}

#[test]
fn victim() {
    // Runs only as a child of the test below.
    if let Ok(dir) = std::env::var("SAMPAN_CRASH_STORE") {
        everything(&store_at(Path::new(&dir)));
    }
}

fn run_victim(dir: &Path, point: &str) -> std::process::ExitStatus {
    #[allow(clippy::disallowed_methods)]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::crashes::victim", "--test-threads=1"]);
    command.env("SAMPAN_CRASH_STORE", dir).env("SAMPAN_CRASH_AT", point);
    command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap()
}

#[test]
fn a_kill_after_any_step_leaves_a_store_that_works_and_cleans() {
    for point in crash::POINTS {
        let s = scratch();
        assert_eq!(run_victim(s.dir.path(), point).signal(), Some(libc::SIGKILL), "{point} was not passed");
        // Whatever is in view is whole.
        for r in refs::list(&s.paths).unwrap() {
            assert_whole(&s.paths, if r.reference.familiar() == REMOVED { &REMOVED_IMAGE } else { &KEPT_IMAGE });
        }
        // What is whole is removed in the usual way, whatever else is taken over by the next calls.
        remove_containers(&s.paths);
        everything(&s.paths);
        assert_whole(&s.paths, &sample("kept"));
        refs::remove(&s.paths, &"a:1".parse().unwrap()).unwrap();
        collect(&s.paths);
        assert_empty(&s.paths);
    }
}

static KEPT_IMAGE: std::sync::LazyLock<Sample> = std::sync::LazyLock::new(|| sample("kept"));
static REMOVED_IMAGE: std::sync::LazyLock<Sample> = std::sync::LazyLock::new(|| sample("removed"));

#[test]
fn unkilled_it_ends_well() {
    let s = scratch();
    assert!(run_victim(s.dir.path(), "").success());
    assert_whole(&s.paths, &sample("kept"));
}
