//! Many processes on one store.

use std::process::{Child, Command, Stdio};

use super::*;

const PROCESSES: usize = 8;
const ROUNDS: usize = 40;

#[test]
fn worker() {
    // Runs only as a child of the test below.
    let Ok(dir) = std::env::var("SAMPAN_MANY_STORE") else { return };
    let me: usize = std::env::var("SAMPAN_MANY_NUMBER").unwrap().parse().unwrap();
    let paths = store_at(Path::new(&dir));
    for round in 0..ROUNDS {
        work(&paths, me, round);
    }
}

/// Pulls, uses, untags and collects, all of three images that everyone fights over.
fn work(paths: &Paths, me: usize, round: usize) {
    let which = (me + round) % 3;
    let image = sample(&which.to_string());
    // A lease is what makes an image stay while others remove its tags.
    let mut lease = crate::store::leases::Lease::new(paths).unwrap();
    lease.hold(&image.digests()).unwrap();
    pull(paths, &image, &format!("image:{which}"));
    assert_whole(paths, &image);
    refs::set(paths, &image.reference(&format!("mine-{me}:{round}"))).unwrap();
    drop(lease);
    // By now the tag alone keeps it.
    assert_whole(paths, &image);
    refs::remove(paths, &format!("image:{which}").parse().unwrap()).unwrap();
    if round.is_multiple_of(4) {
        collect(paths);
    }
    assert_whole(paths, &image);
    refs::remove(paths, &format!("mine-{me}:{round}").parse().unwrap()).unwrap();
    let index: serde_json::Value = serde_json::from_slice(&fs::read_bounded(&paths.index(), 1 << 20).unwrap()).unwrap();
    assert!(index["manifests"].is_array());
}

fn start(dir: &Path, number: usize) -> Child {
    #[allow(clippy::disallowed_methods)]
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "store::tests::many::worker", "--test-threads=1", "--nocapture"]);
    command.env("SAMPAN_MANY_STORE", dir).env("SAMPAN_MANY_NUMBER", number.to_string());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn processes_share_a_store_without_harm() {
    let s = scratch();
    let children: Vec<Child> = (0..PROCESSES).map(|n| start(s.dir.path(), n)).collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    collect(&s.paths);
    assert_empty(&s.paths);
}

#[test]
fn a_layer_is_unpacked_once() {
    let s = scratch();
    let diff_id = digest(b"once");
    let made = std::sync::atomic::AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let _lock = layers::lock(&s.paths, &form(), &diff_id, Wait::FOREVER).unwrap();
                if layers::find(&s.paths, &form(), &diff_id).unwrap().is_none() {
                    made.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                    let staged = layers::stage(&s.paths).unwrap();
                    let layer = Layer {
                        version: layers::VERSION,
                        diff_id: diff_id.clone(),
                        bytes: 0,
                        size: 0,
                        opaque_root: false,
                        whiteouts: String::new(),
                    };
                    layers::commit(&s.paths, staged, &form(), &layer).unwrap();
                }
            });
        }
    });
    assert_eq!(made.into_inner(), 1);
}
