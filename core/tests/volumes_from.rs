//! `--volumes-from`: what two containers have in common, and who takes it along.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, command, text};
use nix::fcntl::{Flock, FlockArg};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use sampan::{Cancel, Container, Kind, Mount, MountKind, Quiet, RemoveOptions, RunOptions, Stdio};

fn named(name: &str, args: &[&str]) -> RunOptions {
    RunOptions { name: Some(name.into()), ..command(args) }
}

fn from(other: &str, options: RunOptions) -> RunOptions {
    RunOptions { volumes_from: vec![other.into()], ..options }
}

fn volume(target: &str) -> Mount {
    Mount { kind: MountKind::Volume, target: target.into(), ..Mount::default() }
}

fn created(host: &Host, options: RunOptions) -> Container {
    host.engine.create(&options, &mut Quiet, &Cancel::new()).unwrap()
}

fn volumes(host: &Host) -> usize {
    std::fs::read_dir(host.dir.path().join("root/volumes")).map_or(0, |dir| dir.count())
}

fn remove(container: &Container, volumes: bool) {
    container.remove(&RemoveOptions { force: true, volumes }).unwrap();
}

#[test]
fn volumes_and_binds_are_at_the_same_places() {
    let host = Host::new();
    let shared = host.dir.path().join("shared");
    std::fs::create_dir(&shared).unwrap();
    std::fs::write(shared.join("f"), "bound\n").unwrap();
    let bind = Mount { source: shared.display().to_string(), target: "/bound".into(), ..Mount::default() };
    let memory = Mount { kind: MountKind::Tmpfs, target: "/memory".into(), ..Mount::default() };
    let mounts = vec![volume("/data"), volume("/own"), bind, memory];
    let script = "echo one >/data/f; echo hidden >/own/f; exec sleep 1000";
    let first = host.spawn(RunOptions { mounts, ..named("first", &["sh", "-c", script]) }).unwrap();
    common::until("the first has written", || {
        let look = "cat /data/f /own/f /bound/f; ls -d /memory";
        let out = host.run(from("first", command(&["sh", "-c", look]))).unwrap();
        text(&out.stdout) == "one\nhidden\nbound\n"
    });
    let script = "cat /data/f; echo x 2>/dev/null >/data/f || echo read-only; ls /own | wc -l";
    let own = RunOptions { mounts: vec![volume("/own")], ..command(&["sh", "-c", script]) };
    assert_eq!(text(&host.run(from("first:ro", own)).unwrap().stdout), "one\nread-only\n0\n");
    // Of two that have something at the same place, the later one counts.
    let second = created(&host, RunOptions { mounts: vec![volume("/data")], ..named("second", &["true"]) });
    let both = RunOptions { volumes_from: vec!["first".into(), "second".into()], ..command(&["ls", "/data", "/own"]) };
    assert_eq!(text(&host.run(both).unwrap().stdout), "/data:\n\n/own:\nf\n");
    remove(&second, true);
    remove(&first, true);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_volume_goes_with_the_last_that_has_it() {
    let host = Host::new();
    for first_goes_first in [true, false] {
        let first = created(&host, RunOptions { mounts: vec![volume("/data")], ..named("first", &["true"]) });
        let second = created(&host, from("first", named("second", &["true"])));
        let third = created(&host, from("second", named("third", &["true"])));
        let order = if first_goes_first { [first, second, third] } else { [third, second, first] };
        for (gone, container) in order.iter().enumerate() {
            assert_eq!(volumes(&host), 1, "{gone}");
            // One that goes without its volumes is not waited for either.
            remove(container, gone != 1);
        }
        assert_eq!(host.left(), Vec::<String>::new());
    }
}

#[test]
fn a_volume_stays_when_its_first_container_removes_itself() {
    let host = Host::new();
    let mounts = vec![volume("/data")];
    let waits = named("first", &["sh", "-c", "echo one >/data/f; until [ -e /data/go ]; do sleep 0.01; done"]);
    let first = host.spawn(RunOptions { mounts, auto_remove: true, ..waits }).unwrap();
    let second = created(&host, from("first", named("second", &["cat", "/data/f"])));
    host.run(from("first", command(&["touch", "/data/go"]))).unwrap();
    first.wait(None, &Cancel::new()).unwrap();
    common::until("the first is gone", || host.engine.container("first").is_err());
    second.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(second.wait(None, &Cancel::new()).unwrap().code, 0);
    assert_eq!(volumes(&host), 1);
    remove(&second, true);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn volumes_of_nobody_are_refused() {
    let host = Host::new();
    let error = host.run(from("nobody", command(&["true"]))).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("nobody"), "{error}");
    let error = host.run(from("first:rx", command(&["true"]))).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("volumes_from"), "{error}");
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Whoever comes and goes meanwhile: the last takes it along, and is not kept from that by one that has gone.
#[test]
fn a_volume_goes_whatever_happens_at_once() {
    let host = Host::new();
    let ended = |name: &str| named(name, &["true"]);
    for round in 0..60 {
        let removes_itself = round % 2 == 1;
        let options = RunOptions { mounts: vec![volume("/data")], auto_remove: removes_itself, ..ended("first") };
        let first = created(&host, options);
        let second = created(&host, from("first", ended("second")));
        std::thread::scope(|scope| {
            scope.spawn(|| match removes_itself {
                true => first.start(&Stdio::default(), &Cancel::new()).unwrap(),
                false => remove(&first, true),
            });
            scope.spawn(|| second.start(&Stdio::default(), &Cancel::new()).unwrap());
            // There may be no first any more.
            scope.spawn(|| host.engine.create(&from("first", ended("third")), &mut Quiet, &Cancel::new()));
        });
        common::until("the first is gone", || host.engine.container("first").is_err());
        let others = ["second", "third"].map(|name| host.engine.container(name));
        std::thread::scope(|scope| others.iter().flatten().for_each(|one| drop(scope.spawn(|| remove(one, true)))));
        // What removes itself loses its name first.
        common::until(&format!("nothing is left in round {round}"), || host.left().is_empty());
    }
}

/// What is copied there first is no container's yet, so the next may empty it: who copies nothing must not write there.
#[test]
fn a_volume_filled_in_part_is_not_used_as_it_is() {
    let host = Host::new();
    let etc = |options: &[&str], script: &str| {
        let options = options.iter().map(|word| (*word).to_owned()).collect();
        let mount = Mount { source: "part".into(), options, ..volume("/etc") };
        host.run(RunOptions { mounts: vec![mount], ..command(&["sh", "-c", script]) })
    };
    let place = host.dir.path().join("root/volumes/part");
    std::fs::create_dir_all(place.join("_data")).unwrap();
    std::fs::write(place.join("_data/part of a file"), "").unwrap();
    std::fs::write(place.join("_data.filling"), "1").unwrap();
    let error = etc(&["nocopy"], "true").unwrap_err();
    assert_eq!(error.kind(), Kind::Conflict, "{error}");
    assert!(error.to_string().contains("part") && error.hint_text().is_some(), "{error}");
    assert_eq!(text(&etc(&[], "ls /etc/part* 2>/dev/null; ls /etc | grep passwd").unwrap().stdout), "passwd\n");
    assert_eq!(text(&etc(&["nocopy"], "ls /etc | grep passwd").unwrap().stdout), "passwd\n");
    // One that is used before anything was copied there is never emptied.
    std::fs::remove_dir_all(&place).unwrap();
    etc(&["nocopy"], "echo own >/etc/own").unwrap();
    assert_eq!(text(&etc(&[], "ls /etc").unwrap().stdout), "own\n");
    assert_eq!(std::fs::metadata(place.join("_data.filling")).unwrap().len(), 2);
}

/// Whoever fills it holds it, five minutes at most.
#[test]
fn a_start_that_waits_for_a_volume_to_be_filled_can_be_cancelled() {
    let host = Host::new();
    let mount = Mount { source: "slow".into(), options: vec!["nocopy".into()], ..volume("/etc") };
    let options = || RunOptions { mounts: vec![mount.clone()], ..command(&["true"]) };
    let container = created(&host, options());
    let path = host.dir.path().join("root/volumes/slow/_data.filling");
    let filling = Flock::lock(std::fs::File::create(&path).unwrap(), FlockArg::LockExclusive).unwrap();
    let cancelled = |start: &(dyn Fn(&Cancel) -> sampan::Result<()> + Sync)| {
        let cancel = Cancel::new();
        let opened = Inotify::init(InitFlags::empty()).unwrap();
        opened.add_watch(&path, AddWatchFlags::IN_OPEN).unwrap();
        std::thread::scope(|scope| {
            let start = scope.spawn(|| start(&cancel));
            opened.read_events().unwrap();
            cancel.cancel();
            let error = start.join().unwrap().unwrap_err();
            assert_eq!((error.kind(), error.hint_text()), (Kind::Cancelled, None), "{error}");
        });
    };
    cancelled(&|cancel| container.start(&Stdio::default(), cancel));
    cancelled(&|cancel| host.engine.run(&options(), &mut Quiet, cancel).map(drop));
    drop(filling);
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0);
    remove(&container, false);
    assert_eq!(host.left(), ["volumes/slow"]);
}
