//! What a run costs, beside the floor and the peers, in one go: `cargo bench -p sampan --bench containers`.
//!
//! Prints medians and ratios; there is no pass or fail here. Everything is on tmpfs. Peers that can't be
//! run are named. Needs root, a C compiler, and busybox. SAMPAN_BENCH_CLI=PATH times the command too,
//! SAMPAN_BENCH_LIB=PATH the C library, SAMPAN_BENCH_PYTHON=PATH the package of that interpreter.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../tests/common/mod.rs"]
mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio as Process};
use std::time::{Duration, Instant};

use common::{Host, command};
use sampan::{Cancel, ExecOptions, RemoveOptions};

const GROUPS: [&str; 5] = ["memory", "cpu", "cpuacct", "pids", "freezer"];

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Milliseconds that it took.
fn timed(turn: impl FnOnce()) -> f64 {
    let began = Instant::now();
    turn();
    began.elapsed().as_secs_f64() * 1e3
}

/// Median milliseconds of `turn`, with a pause before each.
fn repeated(count: usize, gap: Duration, turn: impl Fn()) -> f64 {
    let one = |_| {
        std::thread::sleep(gap);
        timed(&turn)
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

/// Takes one turn and tells its milliseconds.
type Turn<'a> = Box<dyn FnMut() -> f64 + 'a>;

/// A program that takes a turn for each line and answers with its milliseconds; it ends with its input.
struct Partner {
    child: Child,
    answers: BufReader<ChildStdout>,
}

impl Partner {
    fn start(command: &mut Command) -> Option<Partner> {
        let mut child = command.stdin(Process::piped()).stdout(Process::piped()).spawn().ok()?;
        let answers = BufReader::new(child.stdout.take()?);
        let mut partner = Partner { child, answers };
        // The first turn makes what the later ones find.
        partner.turn().is_some().then_some(partner)
    }

    fn turn(&mut self) -> Option<f64> {
        writeln!(self.child.stdin.as_mut()?).ok()?;
        let mut answer = String::new();
        self.answers.read_line(&mut answer).ok()?;
        answer.trim().parse().ok()
    }
}

impl Drop for Partner {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

fn compile(dir: &Path, name: &str, flags: &str) -> Option<std::path::PathBuf> {
    let (program, source) = (dir.join(name), format!("{}/benches/{name}.c", env!("CARGO_MANIFEST_DIR")));
    (program.exists() || shell(&format!("cc -O2 -o {} {source} {flags}", program.display()))).then_some(program)
}

/// The floor; with `more`, and with what every runtime does beyond it.
fn floor(dir: &Path, more: bool) -> Option<Partner> {
    let program = compile(dir, "floor", "-static")?;
    let (lower, base) = (dir.join("lower"), dir.join("turns"));
    shell(&format!(
        "mkdir -p {0}/bin {0}/etc {1} && cp $(command -v busybox) {0}/bin/true",
        lower.display(),
        base.display()
    ));
    let groups = GROUPS.map(|g| format!("/sys/fs/cgroup/{g}"));
    let groups = groups.iter().filter(|g| Path::new(g).is_dir());
    let more = more.then_some("--more");
    Partner::start(Command::new(program).args(more).args([&lower, &base]).args(groups))
}

/// Who takes part, with how many turns of theirs go on one of the peers'.
struct Race<'a>(Vec<(&'static str, usize, Option<Turn<'a>>, Vec<f64>)>);

impl<'a> Race<'a> {
    fn enter(&mut self, name: &'static str, every: usize, turn: Option<impl FnMut() -> f64 + 'a>) {
        self.0.push((name, every, turn.map(|t| Box::new(t) as Turn), Vec::new()));
    }

    fn partner(&mut self, name: &'static str, partner: Option<Partner>) {
        self.enter(name, 1, partner.map(|mut p| move || p.turn().expect(name)));
    }

    fn line(&mut self, name: &'static str, every: usize, line: Option<String>) {
        self.enter(name, every, line.map(|l| move || timed(|| assert!(shell(&l), "{l}"))));
    }

    /// Turn about, so that all see the same load; a pause before each.
    fn run(&mut self, count: usize, gap: Duration) {
        for round in 0..count {
            for (_, every, turn, times) in &mut self.0 {
                if let Some(turn) = turn.as_mut().filter(|_| round % *every == 0) {
                    std::thread::sleep(gap);
                    times.push(turn());
                }
            }
        }
    }

    fn print(mut self) {
        let floor = median(self.0[0].3.clone());
        for (name, _, turn, times) in self.0.drain(..) {
            match turn.is_some() {
                true => {
                    let (least, middle) = (times.iter().copied().fold(f64::MAX, f64::min), median(times));
                    println!("{name:<48} {middle:>8.2} ms {:>7.2} x floor   (least {least:.2})", middle / floor);
                }
                false => println!("{name:<48}   not asked for, not installed, or does not run here"),
            }
        }
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
    ready.then(|| format!("cd {} && exec crun run bench-$$", bundle.display()))
}

fn runs(host: &Host, dir: &Path, count: usize, gap: Duration) {
    println!("\nrun of `true`, removed after, network none; {} ms between; median of {count}; tmpfs", gap.as_millis());
    let Some(floor_partner) = floor(dir, false) else { return println!("no C compiler: no floor, no ratios") };
    let options = command(&["true"]);
    let mut race = Race(Vec::new());
    race.partner("floor (raw system calls)", Some(floor_partner));
    race.partner("floor and loopback, capabilities, keyring", floor(dir, true));
    race.enter("sampan, in-process (Rust)", 1, Some(|| timed(|| drop(host.run(options.clone()).unwrap()))));
    race.partner("sampan, in-process (C, by dlopen)", c(host, dir));
    race.partner("sampan, in-process (Python)", python(host));
    let program = std::env::var("SAMPAN_BENCH_CLI").ok();
    let root = host.dir.path().display();
    let line = |p| format!("exec {p} --root {root}/root run --rm --network none {} true", common::image());
    race.line("sampan, the command", 1, program.map(line).filter(|l| shell(l)));
    race.line("crun run, a bare bundle", 3, crun_bundle(dir).filter(|c| shell(c)));
    race.line("podman run --rm --network none", 10, podman(host));
    race.run(count, gap);
    race.print();
}

/// `SAMPAN_BENCH_LIB` is a libsampan.so.
fn c(host: &Host, dir: &Path) -> Option<Partner> {
    let library = std::env::var("SAMPAN_BENCH_LIB").ok()?;
    let include = concat!(env!("CARGO_MANIFEST_DIR"), "/../include");
    let program = compile(dir, "turns", &format!("-I{include} -ldl"))?;
    Partner::start(Command::new(program).arg(library).arg(host.dir.path().join("root")).arg(common::image()))
}

/// `SAMPAN_BENCH_PYTHON` is an interpreter that has the package.
fn python(host: &Host) -> Option<Partner> {
    let interpreter = std::env::var("SAMPAN_BENCH_PYTHON").ok()?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/turns.py");
    Partner::start(Command::new(interpreter).arg(script).arg(host.dir.path().join("root")).arg(common::image()))
}

fn podman(host: &Host) -> Option<String> {
    let root = host.dir.path().join("podman");
    let global = format!("podman --root {0}/root --runroot {0}/run --cgroup-manager cgroupfs", root.display());
    let image = common::image();
    shell(&format!("{global} pull --tls-verify=false {image}")).then_some(())?;
    // Limits that a host without CAP_SYS_RESOURCE can set.
    let limits = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024";
    let line = format!("exec {global} run --rm --network none {limits} {image} true");
    shell(&line).then_some(line)
}

fn execs(host: &Host, dir: &Path, count: usize) {
    println!("\nexec of `true` in a running container; median of {count}");
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    let options = ExecOptions { command: vec!["true".into()], ..ExecOptions::default() };
    let exec = || assert_eq!(container.exec(&options, &Cancel::new()).unwrap().code, 0);
    plain_row("sampan, in-process (Rust)", Some(repeated(count, Duration::from_millis(20), exec)));
    plain_row("sampan, in-process, back to back", Some(repeated(count, Duration::ZERO, exec)));
    let crun = crun_bundle(dir).map(|run| run.replace("exec crun run bench-$$", ""));
    let crun = crun.filter(|cd| {
        shell(&format!("{cd} sed -i 's:\"/bin/true\":\"/bin/sleep\",\"1000\":; s/\"true\"/\"sleep\"/' config.json && cp rootfs/bin/true rootfs/bin/sleep && crun run -d bench-exec"))
    });
    let turn = || assert!(shell("crun exec bench-exec /bin/true"));
    plain_row("crun exec", crun.is_some().then(|| repeated(count.min(15), Duration::ZERO, turn)));
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
