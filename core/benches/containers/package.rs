//! What is shipped: how large it is and how fast it is there.

use std::path::PathBuf;
use std::process::Command;

use super::peers::{Peers, given};
use super::race::{Race, Wanted, median, target, timed};
use super::{machine, race};

const MIB: f64 = 1e6;

/// Sizes of the files that variables name.
pub fn sizes() {
    println!("\nsizes of what is shipped, in millions of bytes");
    let rows = [
        ("libsampan.so, stripped", "SAMPAN_BENCH_LIB", 5.0),
        ("wheel", "SAMPAN_BENCH_WHEEL", 3.0),
        ("npm tarball", "SAMPAN_BENCH_NPM", f64::INFINITY),
        ("the command", "SAMPAN_BENCH_CLI", f64::INFINITY),
    ];
    for (what, variable, most) in rows {
        match (given(variable).map(|path| machine::size(&PathBuf::from(path)) / MIB), most.is_finite()) {
            (Ok(size), true) => target(what, size, "MB", Wanted::AtMost(most)),
            (Ok(size), false) => println!("  {what:<58} {size:>8.2} MB"),
            (Err(why), _) => println!("  {what:<58} not measured: {why}"),
        }
    }
}

/// `--version`, and `import sampan` in a fresh interpreter, without the interpreter's own start.
pub fn beginnings(peers: &Peers<'_>) {
    println!("\nbeginnings");
    let mut race = Race::default();
    race.enter(
        "sampan --version",
        given("SAMPAN_BENCH_CLI").and_then(|program| {
            let mut command = Command::new(program);
            command.arg("--version");
            race::process(command)
        }),
    );
    race.enter("import sampan", given("SAMPAN_BENCH_PYTHON").and_then(import));
    let results = race.run(31, std::time::Duration::from_millis(20));
    target("sampan --version", results.median("sampan --version"), "ms", Wanted::AtMost(3.0));
    target("import sampan", results.median("import sampan"), "ms", Wanted::AtMost(15.0));
    println!(
        "  {:<58} {:>8.3} ms",
        "seccomp: the default profile compiled (first plan, less later ones)",
        compile(peers)
    );
}

fn import(interpreter: String) -> race::Entry<'static> {
    const SCRIPT: &str = "import time; a = time.perf_counter(); import sampan; print((time.perf_counter() - a) * 1e3)";
    let turn = move || {
        let output = Command::new(&interpreter).args(["-c", SCRIPT]).output();
        output.ok().and_then(|o| String::from_utf8_lossy(&o.stdout).trim().parse::<f64>().ok())
    };
    match turn() {
        Some(_) => Ok(Box::new(move || turn().unwrap_or(f64::NAN))),
        None => Err("it has no package sampan".to_owned()),
    }
}

/// Compiled programs are kept by the capabilities that they depend on, so each turn has others.
fn compile(peers: &Peers<'_>) -> f64 {
    const SOME: [&str; 6] = ["CHOWN", "FOWNER", "KILL", "SETGID", "SETUID", "MKNOD"];
    let plan = |dropped: usize| {
        let cap_drop = (0..SOME.len()).filter(|bit| dropped >> bit & 1 == 1).map(|bit| SOME[bit].to_owned()).collect();
        let options = sampan::RunOptions { cap_drop, ..peers.options.clone() };
        timed(|| drop(peers.host.engine.plan(&options).unwrap()))
    };
    let first = median(&(1..48).map(plan).collect::<Vec<_>>());
    first - median(&(1..48).map(|_| plan(48)).collect::<Vec<_>>())
}
