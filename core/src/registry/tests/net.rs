//! Networks that lead nowhere: in a network namespace of one thread's own, which only root can make.

#![allow(clippy::disallowed_methods)]

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::*;

/// Runs `test` where `10.9.0.0/24` swallows everything, `127.0.0.0/8` is there, and nothing else is.
fn nowhere(test: impl FnOnce() + Send) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let ended = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).unwrap();
            // What comes in by the loopback device and is not for this machine is dropped.
            for words in ["link set lo up", "addr add 10.8.0.1/32 dev lo", "route add 10.9.0.0/24 dev lo"] {
                let done = Command::new("ip").args(words.split(' ')).output();
                let done = done.expect("ip is missing: apt install iproute2");
                assert!(done.status.success(), "{words}: {}", String::from_utf8_lossy(&done.stderr));
            }
            test();
        });
        thread.join()
    });
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn resolve_at(host: &str, connect_timeout: Duration, cancel: &Cancel) -> Error {
    let reference: Reference = format!("{host}/a").parse().unwrap();
    let options = RegistryOptions { connect_timeout, ..RegistryOptions::default() };
    Client::new(&reference, &options, cancel).unwrap().resolve(&Platform::host()).unwrap_err()
}

#[test]
fn a_registry_that_swallows_everything_ends_in_time_and_by_cancel() {
    nowhere(|| {
        let error = resolve_at("10.9.0.2:5000", Duration::from_millis(50), &Cancel::new());
        assert_eq!(error.kind(), Kind::Network);
        assert_eq!(error.to_string(), "reach registry 10.9.0.2:5000: no connection in the time allowed");
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let asked = scope.spawn(|| resolve_at("10.9.0.2:5000", Duration::from_secs(3600), &cancel));
            // State 02: its SYN is out, and nothing will come back.
            let begun = || {
                let table =
                    crate::fs::read_bounded(std::path::Path::new("/proc/thread-self/net/tcp"), 1 << 20).unwrap();
                String::from_utf8(table).unwrap().lines().any(|l| l.split_whitespace().nth(3) == Some("02"))
            };
            while !begun() {
                std::thread::yield_now();
            }
            cancel.cancel();
            assert_eq!(asked.join().unwrap().kind(), Kind::Cancelled);
        });
    });
}

#[test]
fn no_route_and_no_name_server_are_told() {
    nowhere(|| {
        let error = resolve_at("10.10.0.1:5000", Duration::from_secs(60), &Cancel::new());
        assert_eq!(
            error.to_string(),
            "reach registry 10.10.0.1:5000: no route to it; check the registry's name and the network"
        );
        let error = resolve_at("registry.invalid", Duration::from_secs(60), &Cancel::new());
        assert_eq!((error.kind(), error.subject()), (Kind::Network, "registry.invalid"));
        assert!(error.cause().contains("name") && error.hint_text().is_some(), "{error}");
    });
}
