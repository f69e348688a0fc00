//! What a pull costs, beside podman in the same run: `cargo bench -p sampan --bench pull`.
//!
//! A Debian image of one gzip layer from a loopback registry, stores on tmpfs, rounds interleaved.
//! Prints medians, the ratio and our peak memory; there is no pass or fail here. `SAMPAN_TEST_IMAGE`
//! names another image. Needs root; the first run makes the image with debootstrap.

#![allow(missing_docs, clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use sampan::{Cancel, Engine, EngineOptions, Quiet};

const ROUNDS: usize = 5;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// A registry with the image; it ends when its standard input is closed.
fn serve(dir: &Path) -> (Child, String) {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/lib/images.sh");
    let mut command = Command::new("bash");
    command.arg(script).arg("serve").arg(dir.join("registry")).arg("debian");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (child, format!("{}/debian:latest", address.trim()))
}

fn ours(dir: &Path, image: &str, keep: bool) -> f64 {
    let store = tempfile::tempdir_in(dir).unwrap();
    let at = |name: &str| Some(store.path().join(name).display().to_string());
    let options =
        EngineOptions { root: at("root"), run: at("run"), keep_blobs: Some(keep), ..EngineOptions::default() };
    let engine = Engine::open(&options).unwrap();
    // The host is looked at once an engine, not once a pull.
    engine.info().unwrap();
    let began = Instant::now();
    engine.pull(image, &Default::default(), &mut Quiet, &Cancel::new()).unwrap();
    began.elapsed().as_secs_f64()
}

fn podman(dir: &Path, image: &str) -> Option<f64> {
    let store = tempfile::tempdir_in(dir).unwrap();
    let began = Instant::now();
    let status = Command::new("podman")
        .arg("--root")
        .arg(store.path().join("root"))
        .arg("--runroot")
        .arg(store.path().join("run"))
        .args(["--storage-driver", "overlay", "pull", "-q", "--tls-verify=false", image])
        .stdout(Stdio::null())
        .status();
    let took = began.elapsed().as_secs_f64();
    status.is_ok_and(|s| s.success()).then_some(took)
}

/// Peak memory of this process in MiB.
fn peak() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<f64>().unwrap() / 1024.0
}

fn main() {
    let dir = tempfile::tempdir_in(if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" }).unwrap();
    let (mut registry, mut image) = serve(dir.path());
    if let Ok(other) = std::env::var("SAMPAN_TEST_IMAGE") {
        image = other;
    }
    let (mut kept, mut dropped, mut theirs) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        kept.push(ours(dir.path(), &image, true));
        dropped.push(ours(dir.path(), &image, false));
        theirs.extend(podman(dir.path(), &image));
    }
    let (kept, dropped) = (median(kept), median(dropped));
    println!("pull of {image}, median of {ROUNDS}; store in {}", dir.path().display());
    println!("sampan                      {kept:>7.3} s   (peak memory {:.1} MiB)", peak());
    println!("sampan, keep_blobs=false    {dropped:>7.3} s");
    match theirs.is_empty() {
        true => println!("podman pull                   missing"),
        false => {
            let theirs = median(theirs);
            println!("podman pull                 {theirs:>7.3} s   sampan takes {:.2} x its time", kept / theirs);
        }
    }
    drop(registry.stdin.take());
    let _ = registry.wait();
}
