//! What a run costs, beside the floor and the peers, in one go: `cargo bench -p sampan --bench containers`.
//!
//! Prints medians and ratios; there is no pass or fail here. Everything is on tmpfs. Peers that can't be
//! run are named. Needs root, a C compiler, and busybox. With SAMPAN_BENCH_CLI=PATH the command is timed too.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::path::Path;
use std::process::{Command, Stdio as Process};
use std::time::{Duration, Instant};

use common::{Host, command};
use sampan::{Cancel, ExecOptions, RemoveOptions};

const GROUPS: [&str; 5] = ["memory", "cpu", "cpuacct", "pids", "freezer"];

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Median milliseconds of `turn`, with a pause before each.
fn timed(count: usize, gap: Duration, mut turn: impl FnMut()) -> f64 {
    let one = |_| {
        std::thread::sleep(gap);
        let began = Instant::now();
        turn();
        began.elapsed().as_secs_f64() * 1e3
    };
    median((0..count).map(one).collect())
}

fn shell(line: &str) -> bool {
    Command::new("sh")
        .args(["-c", line])
        .stdout(Process::null())
        .stderr(Process::null())
        .status()
        .is_ok_and(|s| s.success())
}

fn floor(dir: &Path, count: usize, gap: Duration) -> Option<f64> {
    let (program, lower, base) = (dir.join("floor"), dir.join("lower"), dir.join("turns"));
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/floor.c");
    if !program.exists() && !shell(&format!("cc -O2 -static -o {} {source}", program.display())) {
        return None;
    }
    shell(&format!(
        "mkdir -p {0}/bin {0}/etc {1} && cp $(command -v busybox) {0}/bin/true",
        lower.display(),
        base.display()
    ));
    let groups = GROUPS.map(|g| format!("/sys/fs/cgroup/{g}"));
    let groups = groups.iter().filter(|g| Path::new(g).is_dir());
    let output = Command::new(program)
        .args([&lower, &base])
        .args([count.to_string(), gap.as_millis().to_string()])
        .args(groups)
        .output()
        .ok()?;
    let times: Vec<f64> = String::from_utf8_lossy(&output.stdout).lines().filter_map(|l| l.parse().ok()).collect();
    (!times.is_empty()).then(|| median(times))
}

fn row(name: &str, ms: Option<f64>, floor: f64) {
    match ms {
        Some(ms) => println!("{name:<44} {ms:>9.2} ms   {:>6.2} x floor", ms / floor),
        None => println!("{name:<44}   not installed, or does not run here"),
    }
}

fn crun_bundle(dir: &Path) -> Option<String> {
    let bundle = dir.join("bundle");
    let ready = shell(&format!(
        "mkdir -p {0}/rootfs/bin && cp $(command -v busybox) {0}/rootfs/bin/true && cd {0} && rm -f config.json && crun spec && \
         sed -i 's/\"terminal\": true/\"terminal\": false/; s/\"sh\"/\"\\/bin\\/true\"/' config.json && \
         sed -i '/\"rlimits\"/,/\\]/d' config.json",
        bundle.display()
    ));
    ready.then(|| format!("cd {} && crun run bench-$$", bundle.display()))
}

fn runs(host: &Host, dir: &Path, count: usize, gap: Duration) {
    println!("\nrun of `true`, removed after, network none; {} ms between; median of {count}; tmpfs", gap.as_millis());
    let Some(floor) = floor(dir, count, gap) else { return println!("no C compiler: no floor, no ratios") };
    row("floor (raw system calls)", Some(floor), floor);
    let options = command(&["true"]);
    row("sampan, in-process (Rust)", Some(timed(count, gap, || drop(host.run(options.clone()).unwrap()))), floor);
    if let Ok(program) = std::env::var("SAMPAN_BENCH_CLI") {
        let root = host.dir.path().display();
        let line = format!("{program} --root {root}/root run --rm --network none {} true", common::image());
        row("sampan, the command", shell(&line).then(|| timed(count, gap, || assert!(shell(&line)))), floor);
    }
    let crun = crun_bundle(dir);
    row(
        "crun run, a bare bundle",
        crun.filter(|c| shell(c)).map(|c| timed(count.min(15), gap, || assert!(shell(&c)))),
        floor,
    );
    row("podman run --rm --network none", podman(host).map(|c| timed(5, gap, || assert!(shell(&c)))), floor);
}

fn podman(host: &Host) -> Option<String> {
    let root = host.dir.path().join("podman");
    let global = format!("podman --root {0}/root --runroot {0}/run --cgroup-manager cgroupfs", root.display());
    let image = common::image();
    shell(&format!("{global} pull --tls-verify=false {image}")).then_some(())?;
    // Limits that a host without CAP_SYS_RESOURCE can set.
    let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
    let line = format!("{global} run --rm --network none {limits} {image} true");
    shell(&line).then_some(line)
}

fn execs(host: &Host, dir: &Path, count: usize) {
    println!("\nexec of `true` in a running container; median of {count}");
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    let options = ExecOptions { command: vec!["true".into()], ..ExecOptions::default() };
    let exec = || assert_eq!(container.exec(&options, &Cancel::new()).unwrap().code, 0);
    plain_row("sampan, in-process (Rust)", Some(timed(count, Duration::from_millis(20), exec)));
    plain_row("sampan, in-process, back to back", Some(timed(count, Duration::ZERO, exec)));
    let crun = crun_bundle(dir).map(|run| run.replace("crun run bench-$$", ""));
    let crun = crun.filter(|cd| {
        shell(&format!("{cd} sed -i 's:\"/bin/true\":\"/bin/sleep\",\"1000\":; s/\"true\"/\"sleep\"/' config.json && cp rootfs/bin/true rootfs/bin/sleep && crun run -d bench-exec"))
    });
    let turn = || assert!(shell("crun exec bench-exec /bin/true"));
    plain_row("crun exec", crun.is_some().then(|| timed(count.min(15), Duration::ZERO, turn)));
    shell("crun delete -f bench-exec");
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

fn plain_row(name: &str, ms: Option<f64>) {
    match ms {
        Some(ms) => println!("{name:<44} {ms:>9.2} ms"),
        None => println!("{name:<44}   not installed, or does not run here"),
    }
}

fn burst(host: &Host) {
    let began = Instant::now();
    let containers: Vec<_> = std::thread::scope(|scope| {
        let one = || scope.spawn(|| host.spawn(command(&["sleep", "1000"])).unwrap());
        let started: Vec<_> = (0..30).map(|_| one()).collect();
        started.into_iter().map(|s| s.join().unwrap()).collect()
    });
    let rate = 30.0 / began.elapsed().as_secs_f64();
    println!("\n30 detached containers, started in parallel from one process: {rate:.0}/s");
    let pss: Vec<f64> = containers.iter().filter_map(|c| pss_kib(c.inspect().ok()?.shim_pid?)).collect();
    println!("memory of ours a running container (PSS of its shim): {:.0} KiB", median(pss));
    for container in containers {
        container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    }
}

fn pss_kib(pid: i32) -> Option<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|l| l.strip_prefix("Pss:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}

/// In a mount namespace of our own: what podman mounts goes with it, and a hybrid host can be shown
/// without its cgroup2, which crun refuses when it has controllers.
fn apart() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("needs root");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    if Path::new("/sys/fs/cgroup/unified").is_dir() {
        let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
    }
}

fn main() {
    apart();
    let host = Host::new();
    let dir = tempfile::tempdir_in(host.dir.path()).unwrap();
    host.engine.pull(&common::image(), &Default::default(), &mut sampan::Quiet, &Cancel::new()).unwrap();
    runs(&host, dir.path(), 41, Duration::from_millis(120));
    runs(&host, dir.path(), 101, Duration::ZERO);
    execs(&host, dir.path(), 101);
    burst(&host);
}
