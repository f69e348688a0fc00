//! Stores at places with odd names, and on odd file systems.

use nix::libc::{MS_NODEV, MS_NOEXEC, MS_NOSUID, MS_RDONLY};

use super::{HI, bind, is_root, mount, on, own_mounts, refuses, says_hi};
use crate::common;
use crate::host::{Ended, Host, finish};

fn at(host: &Host, place: &str, args: &[&str]) -> Ended {
    let mut command = host.command(args);
    command.env("SAMPAN_ROOT", format!("{place}/root")).env("SAMPAN_RUN", format!("{place}/run"));
    finish(command)
}

#[test]
fn a_store_may_have_any_name() {
    let host = Host::empty();
    let image = common::image();
    let deep = format!("{}/x", "d".repeat(200)).repeat(6);
    for name in
        ["with space", "new\nline", "ünï", "a,b", "a:b", "a\\b", "a\\,b:c", "\\040", "quo\"te", "%s$HOME", &deep]
    {
        let place = host.path(name);
        std::fs::create_dir_all(&place).unwrap();
        let script = "cat /v/f 2>/dev/null || echo hi >/v/f && cat /v/f";
        let ended = at(&host, &place, &["run", "-q", "--rm", "-v", "kept:/v", &image, "sh", "-c", script]);
        assert!(ended.code == 0 && ended.stdout == "hi\n", "{name:?}: {ended:?}");
        let id = at(&host, &place, &["run", "-d", "--name", "c", &image, "sleep", "1000"]);
        assert_eq!(id.code, 0, "{name:?}: {id:?}");
        assert_eq!(at(&host, &place, &["exec", "c", "echo", "inside"]).stdout, "inside\n", "{name:?}");
        let removed = at(&host, &place, &["rm", "-f", "c"]);
        assert!(removed.code == 0 && at(&host, &place, &["ps", "-aq"]).stdout.is_empty(), "{name:?}: {removed:?}");
    }
}

#[test]
fn a_store_below_a_link() {
    let host = Host::new();
    let (root, link) = (host.path("root"), host.path("link"));
    std::os::unix::fs::symlink(&root, &link).unwrap();
    let mut command = host.command(&HI);
    command.env("SAMPAN_ROOT", &link);
    says_hi(&host, &finish(command), "a link to the store");
}

#[test]
fn a_store_that_nothing_is_executed_from() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = host.dir.path().to_str().unwrap().to_owned();
    let prepare = move || own_mounts().and_then(|()| bind(&dir, &dir, MS_NOEXEC | MS_NODEV | MS_NOSUID));
    says_hi(&host, &on(&host, &HI, prepare), "noexec");
}

#[test]
fn a_store_that_is_read_only() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = host.dir.path().to_str().unwrap().to_owned();
    let prepare = move || own_mounts().and_then(|()| bind(&dir, &dir, MS_RDONLY));
    refuses(&host, &on(&host, &HI, prepare.clone()), &["read-only file system", "give a root"]);
    // What is there can be looked at.
    assert_eq!(on(&host, &["images", "-q"], prepare).code, 0);
}

#[test]
fn a_store_on_overlayfs_is_refused_with_the_cure() {
    if !is_root() {
        return;
    }
    let host = Host::empty();
    let image = common::image();
    for part in ["lower", "upper", "work", "root"] {
        std::fs::create_dir(host.path(part)).unwrap();
    }
    let [lower, upper, work, root] = ["lower", "upper", "work", "root"].map(|part| host.path(part));
    let prepare = move || {
        own_mounts()?;
        mount("overlay", &root, "overlay", 0, &format!("lowerdir={lower},upperdir={upper},workdir={work}"))
    };
    let ended = on(&host, &["run", "-q", "--rm", &image, "true"], prepare.clone());
    refuses(&host, &ended, &["the store is on overlayfs", "mount a volume or a tmpfs there"]);
    let doctor = on(&host, &["doctor"], prepare);
    let cure = "can't hold another overlay\n      mount a volume or a tmpfs there, or give another root\n";
    assert!(doctor.code == 1 && doctor.stdout.contains(cure), "{doctor:?}");
}

#[test]
fn a_disk_that_is_full() {
    if !is_root() {
        return;
    }
    let image = common::image();
    // Bytes and inodes; enough for the store, for some of the image, for nearly all of it.
    for size in ["size=4k", "size=1m", "size=2200k", "nr_inodes=6", "nr_inodes=40"] {
        let host = Host::empty();
        std::fs::create_dir(host.path("root")).unwrap();
        let root = host.path("root");
        let prepare = move || own_mounts().and_then(|()| mount("tmpfs", &root, "tmpfs", 0, size));
        let ended = on(&host, &["run", "-q", "--rm", &image, "true"], prepare);
        refuses(&host, &ended, &["no space left on device", "make room on the"]);
    }
}
