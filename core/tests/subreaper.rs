//! A host that orphans come back to, as they do to PID 1. In a process of its own: the attribute is a process's.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, until};
use sampan::CheckStatus;

/// The children of this process that have ended and were not waited for, by name.
fn zombies() -> Vec<String> {
    let own = std::process::id().to_string();
    let stats =
        std::fs::read_dir("/proc").unwrap().filter_map(|e| std::fs::read_to_string(e.ok()?.path().join("stat")).ok());
    let zombie = |stat: String| {
        // proc(5): `pid (name) state ppid …`.
        let (left, right) = stat.rsplit_once(") ")?;
        let mut fields = right.split(' ');
        let is_ours = fields.next() == Some("Z") && fields.next() == Some(&own);
        is_ours.then(|| left.split_once('(').map(|(_, name)| name.to_owned()))?
    };
    stats.filter_map(zombie).collect()
}

#[test]
fn shims_that_come_back_are_reaped_and_the_hosts_own_children_are_left_to_it() {
    // SAFETY: numbers only.
    assert_eq!(unsafe { nix::libc::prctl(nix::libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }, 0);
    let host = Host::new();
    let mut own = std::process::Command::new("sh").args(["-c", "exit 9"]).spawn().unwrap();
    // Many threads start at once, and none may forget its own.
    std::thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| (0..3).for_each(|_| drop(host.sh("true"))));
        }
    });
    // Each call reaps what has ended before it. On a busy machine several shims may still be ending, so that it takes
    // a few more calls; if nobody reaped, there would be one zombie more with each.
    until("a call that leaves but the last shims", || {
        host.sh("true");
        zombies().iter().filter(|name| *name == "sampan-shim").count() <= 2
    });
    assert_eq!(own.wait().unwrap().code(), Some(9));
    let report = host.engine.doctor().unwrap();
    let check = report.checks.iter().find(|c| c.name == "host process").unwrap();
    assert!(check.status == CheckStatus::Warn && check.detail.contains("subreaper"), "{check:?}");
}
