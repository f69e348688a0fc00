//! Images and volumes that put something of their own where the container's own file systems belong (CVE-2019-16884,
//! CVE-2019-19921, CVE-2025-31133, CVE-2025-52565, CVE-2025-52881, CVE-2026-41579, CVE-2026-47766).

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::common::{Host, command, text};
use sampan::{Kind, Mount, RunOptions};

/// The image's files as they lie in the store: what is changed there is as if it had come so.
fn unpacked(host: &Host) -> PathBuf {
    host.sh("true");
    let mut layers = Vec::new();
    for form in fs::read_dir(host.dir.path().join("root/layers")).unwrap() {
        for layer in fs::read_dir(form.unwrap().path()).unwrap() {
            layers.push(layer.unwrap().path().join("fs"));
        }
    }
    assert_eq!(layers.len(), 1);
    layers.remove(0)
}

fn replace(path: &Path, with: impl FnOnce(&Path)) {
    match path.symlink_metadata() {
        Ok(found) if found.is_dir() => fs::remove_dir_all(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
    with(path);
}

fn link_to(target: &str) -> impl FnOnce(&Path) {
    move |path| std::os::unix::fs::symlink(target, path).unwrap()
}

/// All that is below a directory, with what it says.
fn listing(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut all: Vec<(PathBuf, Vec<u8>)> = Vec::new();
    for entry in fs::read_dir(dir).unwrap().flatten() {
        match entry.file_type().unwrap().is_dir() {
            true => {
                all.push((entry.path(), Vec::new()));
                all.extend(listing(&entry.path()));
            }
            false => all.push((entry.path(), fs::read(entry.path()).unwrap_or_default())),
        }
    }
    all.sort();
    all
}

/// A directory of the host that nothing may reach.
fn treasure(host: &Host) -> PathBuf {
    let treasure = host.dir.path().join("treasure");
    fs::create_dir_all(treasure.join("sys/kernel")).unwrap();
    for file in ["null", "kcore", "hosts", "sys/kernel/core_pattern"] {
        fs::write(treasure.join(file), "untouched").unwrap();
    }
    treasure
}

#[test]
fn an_image_does_not_choose_where_dev_proc_and_sys_are() {
    let host = Host::new();
    let (root, treasure) = (unpacked(&host), treasure(&host));
    let before = listing(&treasure);
    let outside = treasure.to_str().unwrap();
    for name in ["dev", "proc", "sys"] {
        for target in [outside, ".", "tmp", "/tmp", "/proc", "proc/self/cwd", "nowhere", "/", "../../../../../..", name]
        {
            replace(&root.join(name), link_to(target));
            let error = host.run(command(&["true"])).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (Kind::InvalidImage, 125), "{name} -> {target}: {error}");
            assert!(error.to_string().contains("symbolic link"), "{name} -> {target}: {error}");
            assert_eq!(host.left(), Vec::<String>::new());
        }
        replace(&root.join(name), |path| fs::write(path, "a file").unwrap());
        assert_eq!(host.run(command(&["true"])).unwrap_err().exit_code(), 125, "{name} is a file");
        replace(&root.join(name), |path| fs::create_dir(path).unwrap());
    }
    assert_eq!(listing(&treasure), before);
    assert_eq!(host.sh("echo fine").exit.code, 0);
}

/// What lies in the image's /dev and /proc is out of sight; what masks is the host's /dev/null and nothing of the image's.
#[test]
fn an_image_does_not_choose_what_masks() {
    let host = Host::new();
    let (root, treasure) = (unpacked(&host), treasure(&host));
    let before = listing(&treasure);
    for node in
        ["dev/null", "dev/console", "dev/ptmx", "dev/pts", "dev/shm", "dev/mqueue", "dev/fd", "proc/kcore", "proc/sys"]
    {
        replace(&root.join(node), link_to(treasure.join("null").to_str().unwrap()));
    }
    let script = "stat -c '%t %T' /dev/null /proc/keys /dev/console; wc -c </proc/keys; echo x >/proc/keys; \
                  echo x >/dev/null; stat -f -c %T /proc /dev/pts; (: >/proc/sys/kernel/core_pattern) 2>/dev/null || echo kept";
    let output = host.run(RunOptions { tty: true, ..command(&["sh", "-c", script]) }).unwrap();
    assert_eq!(text(&output.stdout).replace('\r', ""), "1 3\n1 3\n88 0\n0\nproc\ndevpts\nkept\n");
    assert_eq!(listing(&treasure), before);
}

/// Files that are mounted by name follow links of the image, but only inside of it.
#[test]
fn an_image_does_not_lead_the_hosts_files_away() {
    let host = Host::new();
    let (root, treasure) = (unpacked(&host), treasure(&host));
    let before = listing(&treasure);
    let hosts = treasure.join("hosts");
    for target in [
        hosts.to_str().unwrap(),
        "../../../../etc/passwd",
        "/proc/1/root/etc/hosts",
        "/proc/self/fd/7",
        "/dev/null",
        "hosts",
    ] {
        for name in ["hosts", "hostname", "resolv.conf"] {
            replace(&root.join("etc").join(name), link_to(target));
            match host.run(command(&["cat", "/etc/passwd"])) {
                Ok(output) => assert!(output.exit.code == 0, "{target}"),
                Err(error) => assert_eq!(error.exit_code(), 125, "{target}: {error}"),
            }
            replace(&root.join("etc").join(name), |_| {});
        }
    }
    assert_eq!(listing(&treasure), before);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// A /proc of a volume's would be believed by whoever reads or writes it in the container.
#[test]
fn nobody_mounts_over_proc() {
    let host = Host::new();
    let treasure = treasure(&host);
    let before = listing(&treasure);
    let bind =
        |target: &str| Mount { source: treasure.display().to_string(), target: target.into(), ..Mount::default() };
    for target in
        ["/proc", "/proc/", "/proc/self/attr", "/proc/sys", "/proc/sys/net/ipv4", "/proc/1/fd", "//proc/./sys"]
    {
        for kind in [sampan::MountKind::Bind, sampan::MountKind::Tmpfs, sampan::MountKind::Volume] {
            let source = if kind == sampan::MountKind::Bind { treasure.display().to_string() } else { String::new() };
            let sysctls = BTreeMap::from([("net.ipv4.ip_forward".to_owned(), "1".to_owned())]);
            let options =
                RunOptions { mounts: vec![Mount { kind, source, ..bind(target) }], sysctls, ..command(&["true"]) };
            let error = host.run(options).unwrap_err();
            assert_eq!((error.kind(), error.exit_code()), (Kind::InvalidArgument, 125), "{target}: {error}");
            assert!(error.to_string().contains("/proc"), "{target}: {error}");
        }
    }
    assert_eq!(listing(&treasure), before);
    assert_eq!(host.left(), Vec::<String>::new());
    // What monitors of resources put there, and no more.
    let given = Mount { source: treasure.join("null").display().to_string(), ..bind("/proc/cpuinfo") };
    let output = host.run(RunOptions { mounts: vec![given], ..command(&["cat", "/proc/cpuinfo"]) }).unwrap();
    assert_eq!(text(&output.stdout), "untouched");
}
