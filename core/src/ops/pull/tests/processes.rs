//! Pulls of several processes into one store, and of processes that are killed.

#![allow(clippy::disallowed_methods)]

use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};

use super::*;
use crate::lock::Wait;
use crate::store::{crash, gc, tests::assert_empty};

const CHILD: &str = "SAMPAN_TEST_PULL_INTO";

#[test]
fn child() {
    // Runs only as a child of the tests below: the registry's host, then the store's directory.
    let Ok(text) = std::env::var(CHILD) else { return };
    let (host, dir) = text.split_once(' ').unwrap();
    let store = Store::at(Path::new(dir));
    let reference = format!("{host}/team/app:1").parse().unwrap();
    store.pull(&Cancel::new()).run(&reference, &mut crate::Quiet).unwrap();
}

fn start(dir: &Path, server: &Server, crash_at: &str) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ops::pull::tests::processes::child", "--nocapture", "--test-threads=1"]);
    command.env(CHILD, format!("{} {}", server.host, dir.display())).env("SAMPAN_CRASH_AT", crash_at);
    command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn scratch() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The store works: the image is pulled, is there whole, and goes without a trace.
fn works(dir: &Path, server: &Server, image: &Image) {
    let store = Store::at(dir);
    gc::tidy(&store.paths, &fs::remove_tree).unwrap();
    run(&store, server).unwrap();
    for (i, (file, content)) in [("a", "gzip"), ("b", "zstd"), ("c", "plain")].into_iter().enumerate() {
        assert_eq!(store.file(&image.diff_ids[i], file), content.as_bytes());
    }
    refs::remove(&store.paths, &name(server)).unwrap();
    gc::collect(&store.paths, &|_| Ok(gc::Used::default()), &fs::remove_tree).unwrap();
    assert_empty(&store.paths);
}

#[test]
fn ten_processes_pull_one_image_and_fetch_it_once() {
    let (dir, image) = (scratch(), three_layers());
    let server = serve(&image);
    let children: Vec<_> = (0..10).map(|_| start(dir.path(), &server, "")).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    for layer in &image.layers {
        assert_eq!(server.paths().iter().filter(|p| p.ends_with(layer.as_str())).count(), 1);
    }
    works(dir.path(), &server, &image);
}

#[test]
fn a_pull_that_was_killed_after_any_step_is_made_up_for() {
    let image = three_layers();
    let server = serve(&image);
    let mut passed = 0;
    for point in crash::POINTS {
        let dir = scratch();
        let killed = start(dir.path(), &server, point).wait_with_output().unwrap().status;
        assert!(killed.success() || killed.signal() == Some(libc::SIGKILL), "{point}: {killed}");
        passed += u32::from(!killed.success());
        works(dir.path(), &server, &image);
    }
    assert!(passed >= 10, "only {passed} points lie in a pull");
}

#[test]
fn a_pull_that_was_killed_in_the_middle_of_a_layer_is_made_up_for() {
    let (dir, image) = (scratch(), three_layers());
    let (layer, mut first) = (image.layers[1].to_string(), true);
    let (blob, whole) = (image.blobs[&layer].clone(), image.clone());
    let half = Answer::hang(200, &blob[..blob.len() / 2]).header("content-length", blob.len().to_string());
    let server = Server::start(move |r| match r.path.ends_with(&layer) && std::mem::take(&mut first) {
        true => half.clone(),
        false => whole.answer(r),
    });
    let mut child = start(dir.path(), &server, "");
    // What it holds while it waits for the rest is the layer's lock: another waits for it, until it is killed.
    let paths = Store::paths_at(dir.path());
    let form = "test".parse().unwrap();
    let lock = paths.layer_lock(&form, &image.diff_ids[1]);
    let is_held =
        || lock.exists() && crate::lock::Lock::try_take(&lock, crate::lock::Mode::Exclusive).unwrap().is_none();
    while !(server.paths().iter().any(|p| p.ends_with(image.layers[1].as_str())) && is_held()) {
        std::thread::yield_now();
    }
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| stored::lock(&paths, &form, &image.diff_ids[1], Wait::FOREVER).map(drop));
        child.kill().unwrap();
        child.wait().unwrap();
        waiter.join().unwrap().unwrap();
    });
    assert!(!fs::list(&paths.tmp()).unwrap().is_empty());
    works(dir.path(), &server, &image);
}

/// What skopeo says of an image of the store's OCI layout; true also where skopeo is not installed.
fn skopeo_reads(paths: &Paths, name: &str) -> bool {
    let mut skopeo = Command::new("skopeo");
    let output = skopeo.arg("inspect").arg(format!("oci:{}:{name}", paths.root().display())).output();
    output.map_or_else(|e| e.kind() == std::io::ErrorKind::NotFound, |o| o.status.success())
}

#[test]
fn the_layout_can_be_read_while_others_pull_tag_and_remove() {
    let (dir, old, new) = (scratch(), three_layers(), Image::new(&[(Pack::Gzip, tar(&[("n", b"new")]))]));
    let store = Store::at(dir.path());
    let (first, second) = (serve(&old), serve(&new));
    let kept = name(&first).to_string();
    run(&store, &first).unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let copy = |to: &str| Ref {
                reference: to.parse().unwrap(),
                ..refs::get(&store.paths, &name(&first)).unwrap().unwrap()
            };
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                run(&store, &second).unwrap();
                refs::set(&store.paths, &copy("other:1")).unwrap();
                refs::remove(&store.paths, &name(&second)).unwrap();
                gc::collect(&store.paths, &|_| Ok(gc::Used::default()), &fs::remove_tree).unwrap();
            }
        });
        let read = (0..10).all(|_| skopeo_reads(&store.paths, &kept));
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(read);
    });
    assert!(skopeo_reads(&store.paths, "other:1") && skopeo_reads(&store.paths, "docker.io/library/other:1"));
}
