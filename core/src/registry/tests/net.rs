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

/// Names of this thread's own.
fn know(names: &str) {
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, names).unwrap();
    unshare(CloneFlags::CLONE_NEWNS).unwrap();
    let (none, flags) = (None::<&str>, nix::mount::MsFlags::MS_PRIVATE | nix::mount::MsFlags::MS_REC);
    nix::mount::mount(none, "/", none, flags, none).unwrap();
    nix::mount::mount(Some(&hosts), "/etc/hosts", none, nix::mount::MsFlags::MS_BIND, none).unwrap();
}

/// Fetches from the registry at `host`, which speaks without TLS.
fn fetch_plainly(host: &str, wanted: &Descriptor) -> Result<Vec<u8>> {
    let reference: Reference = format!("{host}/team/app:1").parse().unwrap();
    let options = RegistryOptions { insecure: vec![host.into()], ..RegistryOptions::default() };
    Client::new(&reference, &options, &Cancel::new()).unwrap().read(wanted, u64::MAX)
}

#[test]
fn a_name_that_leads_into_this_machine_is_followed_from_inside_alone() {
    nowhere(|| {
        know("127.0.0.1 inside.test home.test both.test\n10.8.0.1 elsewhere.test both.test\n");
        let bytes = noise(100);
        let serve = |bytes: &[u8]| {
            let bytes = bytes.to_vec();
            move |_: &Request| Answer::new(200, bytes.clone())
        };
        let port = |server: &Server| server.host.rsplit(':').next().unwrap().to_owned();
        let leads_to = |to: String| move |_: &Request| Answer::new(307, "").header("location", to.clone());
        let inside = Server::start(serve(&bytes));
        let to_inside = format!("http://inside.test:{}/cdn", port(&inside));
        let outside = Server::start_at("10.8.0.1", leads_to(to_inside.clone()));
        // The last has an address of this machine besides: that is not connected to, and makes it none of this machine.
        for host in [
            outside.host.clone(),
            format!("elsewhere.test:{}", port(&outside)),
            format!("both.test:{}", port(&outside)),
        ] {
            let error = fetch_plainly(&host, &blob(&bytes)).unwrap_err();
            assert_eq!((error.kind(), error.subject()), (Kind::Registry, to_inside[7..].trim_end_matches("/cdn")));
            assert!(error.cause().contains("leads into this machine"), "{error}");
        }
        assert!(inside.requests().is_empty());
        // A registry of this machine may, and anybody may send elsewhere.
        let home = Server::start(leads_to(to_inside));
        assert_eq!(fetch_plainly(&format!("home.test:{}", port(&home)), &blob(&bytes)).unwrap(), bytes);
        let cdn = Server::start_at("10.8.0.1", serve(&bytes));
        let home = Server::start_at("10.8.0.1", leads_to(format!("http://elsewhere.test:{}/", port(&cdn))));
        assert_eq!(fetch_plainly(&home.host, &blob(&bytes)).unwrap(), bytes);
    });
}
