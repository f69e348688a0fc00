//! Many containers at once, from several threads: all run, all can be told apart, and nothing is left of them.

#![allow(clippy::disallowed_methods)]

mod common;
#[path = "common/listing.rs"]
mod listing;

use std::collections::BTreeSet;

use common::{Host, command};
use listing::{Standing, remove_parent};
use sampan::{Cancel, Container, ListOptions, RemoveOptions, RunOptions, Status, StopOptions};

const PARENT: &str = "sampan-test-many";

/// `SAMPAN_TEST_MANY` asks for more.
fn count() -> usize {
    std::env::var("SAMPAN_TEST_MANY").map_or(200, |n| n.parse().unwrap())
}

fn in_threads<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    const THREADS: usize = 8;
    let work = &work;
    std::thread::scope(|scope| {
        let share = |first| move || (first..count).step_by(THREADS).map(work).collect::<Vec<T>>();
        let all: Vec<_> = (0..THREADS).map(|first| scope.spawn(share(first))).collect();
        all.into_iter().flat_map(|t| t.join().unwrap()).collect()
    })
}

#[test]
fn many_run_at_once_and_leave_nothing() {
    let (host, count) = (Host::new(), count());
    host.engine.pull(&common::image(), &Default::default(), &mut sampan::Quiet, &Cancel::new()).unwrap();
    let options = RunOptions {
        cgroup_parent: Some(PARENT.into()),
        pids_limit: Some(100),
        // A first process that handles no signal is only ended by this one.
        stop_signal: Some("KILL".into()),
        ..command(&["sleep", "1000"])
    };
    // What the first one makes for all others stays.
    drop(host.run(command(&["true"])).unwrap());
    let before = Standing::of(host.dir.path(), PARENT);
    let containers: Vec<Container> = in_threads(count, |_| host.spawn(options.clone()).unwrap());

    let running = host.engine.containers(&ListOptions::default()).unwrap();
    assert_eq!(running.len(), count);
    assert!(running.iter().all(|c| c.status == Status::Running));
    let pids: BTreeSet<i32> = running.iter().filter_map(|c| c.pid).collect();
    assert_eq!(pids.len(), count);

    in_threads(count, |i| containers[i].stop(&StopOptions::default(), &Cancel::new()).unwrap());
    assert!(host.engine.containers(&ListOptions::default()).unwrap().is_empty());
    in_threads(count, |i| containers[i].remove(&RemoveOptions::default()).unwrap());
    drop(containers);
    assert_eq!(Standing::of(host.dir.path(), PARENT), before);
    remove_parent(PARENT);
}
