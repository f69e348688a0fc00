//! Many containers at once: how fast they start, what they cost, and that nothing is left of them.

use std::time::Instant;

use sampan::{Cancel, Container, ListOptions, RemoveOptions, StopOptions};

use super::common::{Host, command};
use super::listing::{Standing, remove_parent};
use super::race::{Wanted, median, target};

/// Cgroups of the containers go below one of their own, so that others are not counted.
const PARENT: &str = "sampan-bench";

/// Starts so many containers from `threads` threads, looks at them, removes them, looks again.
pub fn burst(host: &Host, count: usize, threads: usize, rate: f64) {
    println!("\n{count} detached containers at once, started and removed by {threads} threads of one process");
    let before = Standing::of(host.dir.path(), PARENT);
    let free = available_kib();
    let began = Instant::now();
    let containers = in_threads(threads, count, |_| host.spawn(options()).unwrap());
    let started = began.elapsed().as_secs_f64();
    let running = host.engine.containers(&ListOptions::default()).unwrap().len();
    target("running at once", running as f64, "", Wanted::AtLeast(count as f64));
    target("started a second", count as f64 / started, "/s", Wanted::AtLeast(rate));
    // One in ten, since to look at one takes as long as to start it.
    let pss: Vec<f64> =
        containers.iter().step_by(count.div_ceil(100)).filter_map(|c| pss_kib(c.inspect().ok()?.shim_pid?)).collect();
    target("memory of ours a container (PSS of its shim)", median(&pss), "KiB", Wanted::AtMost(200.0));
    println!(
        "  memory of the machine a container, with the kernel's: {:.0} KiB",
        (free - available_kib()) / count as f64
    );
    let by_all = |what: &str, act: &(dyn Fn(&Container) + Sync)| {
        let began = Instant::now();
        in_threads(threads, count, |i| act(&containers[i]));
        println!("  {what} a second: {:.0}", count as f64 / began.elapsed().as_secs_f64());
    };
    by_all("stopped", &|c| c.stop(&StopOptions::default(), &Cancel::new()).unwrap());
    by_all("removed", &|c| c.remove(&RemoveOptions { force: false, volumes: true }).unwrap());
    drop(containers);
    assert_eq!(Standing::of(host.dir.path(), PARENT), before, "the containers have left something");
    remove_parent(PARENT);
    println!("  left of them: no process, mount, cgroup, file, lock or descriptor");
}

fn options() -> sampan::RunOptions {
    sampan::RunOptions {
        cgroup_parent: Some(PARENT.into()),
        pids_limit: Some(100),
        memory: Some(256 << 20),
        // A first process that handles no signal is only ended by this one.
        stop_signal: Some("KILL".into()),
        ..command(&["sleep", "1000"])
    }
}

/// Work by number, dealt out to threads.
fn in_threads<T: Send>(threads: usize, count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let share = |first| move || (first..count).step_by(threads).map(work).collect::<Vec<T>>();
        let all: Vec<_> = (0..threads).map(|first| scope.spawn(share(first))).collect();
        all.into_iter().flat_map(|t| t.join().unwrap()).collect()
    })
}

fn available_kib() -> f64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|l| l.strip_prefix("MemAvailable:")).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or(f64::NAN)
}

fn pss_kib(pid: i32) -> Option<f64> {
    let rollup = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    rollup.lines().find_map(|l| l.strip_prefix("Pss:"))?.trim().strip_suffix(" kB")?.trim().parse().ok()
}
