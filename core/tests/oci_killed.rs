//! `kill -9` of the caller, the helper and the container's first process before each of their system calls while an
//! OCI container is made, started and deleted: the next `delete` finds what is left, and nothing stays.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "common/listing.rs"]
mod listing;
#[path = "common/trace.rs"]
mod trace;

use std::os::fd::AsFd;
use std::path::Path;
use std::time::{Duration, Instant};

use listing::{Listing, remove_parent};
use sampan::oci::{CreateOptions, Runtime, Status, Streams};
use serde_json::json;
use trace::{Outcome, REFUSED, Role, begin, kill_at};

const ID: &str = "victim";

/// A bundle, a runtime, and a cgroup parent of its own.
struct Scene {
    dir: tempfile::TempDir,
    parent: String,
}

impl Drop for Scene {
    fn drop(&mut self) {
        let _ = self.runtime().delete(ID, true);
        remove_parent(&self.parent);
    }
}

impl Scene {
    fn new(name: &str) -> Scene {
        let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let scene = Scene {
            dir: tempfile::tempdir_in(base).unwrap(),
            parent: format!("sampan-test-oci-{name}-{}", std::process::id()),
        };
        let bundle = scene.dir.path().join("bundle");
        std::fs::create_dir_all(bundle.join("rootfs/bin")).unwrap();
        // By another process: a file that was open for writing in one that forks can't be executed for a while.
        let copied =
            std::process::Command::new("cp").arg("/bin/busybox").arg(bundle.join("rootfs/bin")).status().unwrap();
        assert!(copied.success(), "busybox is missing: apt install busybox-static");
        let mut config = sampan::oci::example(!nix::unistd::geteuid().is_root());
        config["process"]["terminal"] = json!(false);
        config["process"]["args"] = json!(["/bin/busybox", "sleep", "1000"]);
        config["linux"]["cgroupsPath"] = json!(format!("/{}/{ID}", scene.parent));
        std::fs::write(bundle.join("config.json"), config.to_string()).unwrap();
        // The directories that stay are there.
        scene.created();
        scene.runtime().delete(ID, true).unwrap();
        scene
    }

    fn runtime(&self) -> Runtime {
        runtime(self.dir.path())
    }

    fn created(&self) {
        create(self.dir.path()).unwrap();
    }

    fn started(&self) {
        self.created();
        self.runtime().start(ID).unwrap();
    }

    fn listing(&self) -> Listing {
        Listing::of(self.dir.path(), &self.parent)
    }

    /// Kills at every step, after each of which `prepare` comes anew; returns how many there were.
    fn kill_at_every_step(&self, operation: &str, role: Role, prepare: impl Fn(&Scene)) -> usize {
        let clean = self.listing();
        let dir = self.dir.path().display().to_string();
        let environment = [("SAMPAN_VICTIM", operation), ("SAMPAN_VICTIM_DIR", &dir)];
        for nth in 0.. {
            prepare(self);
            let outcome = kill_at("victim", &environment, role, nth);
            self.is_clean_again(&clean, &format!("{operation}: {role:?} at step {nth}: {outcome:?}"));
            if outcome == Outcome::Finished {
                return nth;
            }
        }
        unreachable!()
    }

    fn is_clean_again(&self, clean: &Listing, when: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        // What is there can be asked for, and one that never came to be needs no force.
        if let Ok(state) = self.runtime().state(ID) {
            let force = matches!(state.status, Status::Running | Status::Paused);
            while let Err(e) = self.runtime().delete(ID, force) {
                // A first process on its way out has closed its socket already, and looks as if it ran.
                let dying = e.kind() == sampan::Kind::Conflict && Instant::now() < deadline;
                assert!(dying, "{when}: {:?}: {e}", state.status);
                std::thread::yield_now();
            }
        }
        self.runtime().delete(ID, true).unwrap_or_else(|e| panic!("{when}: {e}"));
        loop {
            let now = self.listing();
            if now == *clean {
                return;
            }
            assert!(Instant::now() < deadline, "{when}: left: {now:#?}");
            std::thread::yield_now();
        }
    }
}

fn runtime(dir: &Path) -> Runtime {
    Runtime::open(Some(&dir.join("oci"))).unwrap()
}

fn create(dir: &Path) -> sampan::Result<i32> {
    let nothing = std::fs::OpenOptions::new().read(true).write(true).open("/dev/null").unwrap();
    let streams = Streams { standard: [nothing.as_fd(); 3], console: None, preserved: &[] };
    let options = CreateOptions { bundle: dir.join("bundle"), ..CreateOptions::default() };
    runtime(dir).create(ID, &options, &streams)
}

#[test]
fn victim() {
    // Runs only as a child of the tests below.
    let Ok(operation) = std::env::var("SAMPAN_VICTIM") else { return };
    let dir = std::path::PathBuf::from(std::env::var("SAMPAN_VICTIM_DIR").unwrap());
    let runtime = runtime(&dir);
    begin();
    let done = match operation.as_str() {
        "create" => create(&dir).map(drop),
        // A first process that is watched has to end.
        "create and delete" => create(&dir).and_then(|_| runtime.delete(ID, true)),
        "start" => runtime.start(ID),
        "delete" => runtime.delete(ID, true),
        other => panic!("{other}"),
    };
    if let Err(error) = done {
        eprintln!("{operation}: {error}");
        std::process::exit(REFUSED);
    }
}

#[test]
fn the_caller_is_killed_at_every_step_of_a_create() {
    let steps = Scene::new("caller").kill_at_every_step("create", Role::Host, |_| {});
    assert!(steps > 30, "only {steps} steps were seen");
}

#[test]
fn the_helper_is_killed_at_every_step_of_a_create() {
    let steps = Scene::new("helper").kill_at_every_step("create", Role::Shim, |_| {});
    assert!(steps > 5, "only {steps} steps were seen");
}

#[test]
fn the_first_process_is_killed_at_every_step_of_a_create() {
    let steps = Scene::new("init").kill_at_every_step("create and delete", Role::Init, |_| {});
    assert!(steps > 30, "only {steps} steps were seen");
}

#[test]
fn the_caller_is_killed_at_every_step_of_start_and_delete() {
    let scene = Scene::new("verbs");
    for (verb, prepare) in [("start", Scene::created as fn(&Scene)), ("delete", Scene::started)] {
        let steps = scene.kill_at_every_step(verb, Role::Host, prepare);
        assert!(steps > 10, "{verb}: only {steps} steps were seen");
    }
}
