//! Files into containers and out of them, for real, with containers that do what they can against it.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
mod held;

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use common::{Host, command, text};
use nix::sys::stat::Mode;
use sampan::{Cancel, Container, CopyOptions, ExecOptions, Kind, Mount, MountKind, Quiet, RemoveOptions, RunOptions};

fn sleeper(host: &Host) -> Container {
    host.spawn(command(&["sleep", "1000"])).unwrap()
}

fn created(host: &Host, options: &RunOptions) -> Container {
    host.engine.create(options, &mut Quiet, &Cancel::new()).unwrap()
}

/// One that runs, or one that has never run.
fn either(host: &Host, runs: bool) -> Container {
    if runs { sleeper(host) } else { created(host, &command(&["true"])) }
}

fn sh(container: &Container, script: &str) -> String {
    let words = ["sh", "-c", script].map(str::to_owned).to_vec();
    let options = ExecOptions { command: words, ..ExecOptions::default() };
    let ended = container.exec(&options, &Cancel::new()).unwrap();
    assert_eq!(ended.code, 0, "{script}: {}", text(&ended.stderr));
    text(&ended.stdout)
}

fn gone(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

/// A path in the host's directory of this test.
fn at(host: &Host, name: &str) -> String {
    host.dir.path().join(name).display().to_string()
}

fn into(container: &Container, src: &str, path: &str) -> sampan::Result<()> {
    container.copy_to(src, path, &CopyOptions::default(), &Cancel::new())
}

fn out(container: &Container, path: &str, dest: &str) -> sampan::Result<()> {
    container.copy_from(path, dest, &CopyOptions::default(), &Cancel::new())
}

fn read(container: &Container, path: &str) -> String {
    let mut all = String::new();
    container.open(path, "r", &Cancel::new()).unwrap().read_to_string(&mut all).unwrap();
    all
}

/// A tree with a file, an executable, a directory, a link and two names of one file.
fn tree(host: &Host) -> String {
    let dir = at(host, "tree");
    fs::create_dir_all(format!("{dir}/sub/deep")).unwrap();
    fs::write(format!("{dir}/file"), "one").unwrap();
    fs::write(format!("{dir}/sub/run"), "#!/bin/sh\n").unwrap();
    fs::set_permissions(format!("{dir}/sub/run"), fs::Permissions::from_mode(0o750)).unwrap();
    symlink("../file", format!("{dir}/sub/link")).unwrap();
    fs::hard_link(format!("{dir}/file"), format!("{dir}/sub/again")).unwrap();
    dir
}

#[test]
fn a_tree_goes_in_and_comes_out_as_it_was() {
    let host = Host::new();
    let dir = tree(&host);
    for runs in [true, false] {
        let container = either(&host, runs);
        into(&container, &dir, "/tmp").unwrap();
        into(&container, &format!("{dir}/."), "/tmp/tree/sub").unwrap();
        out(&container, "/tmp/tree", &at(&host, "back")).unwrap();
        let back = Path::new(&at(&host, "back")).to_owned();
        assert_eq!(fs::read_to_string(back.join("file")).unwrap(), "one");
        assert_eq!(fs::read_link(back.join("sub/link")).unwrap(), Path::new("../file"));
        let run = fs::metadata(back.join("sub/run")).unwrap();
        assert_eq!(run.mode() & 0o7777, 0o750);
        assert_eq!(run.mtime(), fs::metadata(format!("{dir}/sub/run")).unwrap().mtime());
        let (one, again) = (fs::metadata(back.join("file")).unwrap(), fs::metadata(back.join("sub/again")).unwrap());
        assert_eq!(one.ino(), again.ino(), "it is one file still");
        assert_eq!(fs::read_to_string(back.join("sub/file")).unwrap(), "one");
        fs::remove_dir_all(&back).unwrap();
        gone(&host, &container);
    }
}

/// Their size is nothing, or a page, whatever there is to read.
#[test]
fn the_kernel_s_files_are_what_is_read() {
    let host = Host::new();
    let container = sleeper(&host);
    for path in ["/proc/version", "/proc/1/cmdline", "/sys/devices/system/cpu/online"] {
        out(&container, path, &at(&host, "made")).unwrap();
        let seen = sh(&container, &format!("cat {path}"));
        assert_eq!(fs::read_to_string(at(&host, "made")).unwrap(), seen, "{path}");
        let mut archive = tempfile::tempfile().unwrap();
        container.get_archive(path, archive.as_fd(), &CopyOptions::default(), &Cancel::new()).unwrap();
        archive.seek(SeekFrom::Start(0)).unwrap();
        let mut archive = tar::Archive::new(archive);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut told = String::new();
        entry.read_to_string(&mut told).unwrap();
        assert_eq!(told, seen, "{path}");
    }
    into(&container, "/proc/version", "/tmp/version").unwrap();
    assert_eq!(sh(&container, "cat /tmp/version"), fs::read_to_string("/proc/version").unwrap());
    gone(&host, &container);
}

#[test]
fn the_rules_are_docker_s() {
    let host = Host::new();
    let (dir, container) = (tree(&host), sleeper(&host));
    let (file, kind) = (format!("{dir}/file"), |result: sampan::Result<()>| result.unwrap_err().kind());
    // A file: to a new name, onto a file, into a directory, and not where none is.
    into(&container, &file, "/tmp/new").unwrap();
    fs::write(&file, "two").unwrap();
    into(&container, &file, "/tmp/new").unwrap();
    into(&container, &file, "/tmp").unwrap();
    assert_eq!(sh(&container, "cat /tmp/new /tmp/file"), "twotwo");
    assert_eq!(kind(into(&container, &file, "/tmp/none/")), Kind::NotFound);
    assert_eq!(kind(into(&container, &file, "/none/new")), Kind::NotFound);
    assert_eq!(kind(into(&container, &file, "/tmp/new/")), Kind::InvalidArgument);
    assert_eq!(kind(into(&container, &at(&host, "nothing"), "/tmp")), Kind::NotFound);
    assert_eq!(kind(out(&container, "/nothing", &at(&host, "x"))), Kind::NotFound);
    // A directory: to a new name, into a directory, its contents, and not onto a file.
    into(&container, &dir, "/tmp/made").unwrap();
    into(&container, &dir, "/tmp/made").unwrap();
    into(&container, &format!("{dir}/."), "/tmp/made/sub").unwrap();
    assert_eq!(sh(&container, "cd /tmp/made; cat file tree/file sub/file sub/sub/again"), "twotwotwotwo");
    assert_eq!(kind(into(&container, &dir, "/tmp/new")), Kind::InvalidArgument);
    // Not one in the other's place.
    sh(&container, "mkdir /tmp/other; touch /tmp/other/tree; mkdir -p /tmp/third/file");
    assert_eq!(kind(into(&container, &dir, "/tmp/other")), Kind::InvalidArgument);
    assert_eq!(kind(into(&container, &file, "/tmp/third")), Kind::InvalidArgument);
    // A link of the destination is followed within the container, one that leads nowhere too.
    sh(&container, "mkdir /tmp/real; ln -s /tmp/real /tmp/way; ln -s /tmp/real/later /tmp/nowhere");
    into(&container, &file, "/tmp/way").unwrap();
    into(&container, &file, "/tmp/nowhere").unwrap();
    assert_eq!(sh(&container, "cat /tmp/real/file /tmp/real/later"), "twotwo");
    // The source's own is copied as a link, or what it leads to.
    out(&container, "/tmp/nowhere", &at(&host, "link")).unwrap();
    assert_eq!(fs::read_link(at(&host, "link")).unwrap(), Path::new("/tmp/real/later"));
    let follow = CopyOptions { follow_link: true, ..CopyOptions::default() };
    container.copy_from("/tmp/nowhere", &at(&host, "followed"), &follow, &Cancel::new()).unwrap();
    assert_eq!(fs::read_to_string(at(&host, "followed")).unwrap(), "two");
    gone(&host, &container);
}

#[test]
fn owners_are_root_s_or_kept() {
    let host = Host::new();
    let container = sleeper(&host);
    sh(&container, "mkdir /tmp/d; echo x >/tmp/d/f; chown 5:6 /tmp/d/f 2>/dev/null || true; chmod 4755 /tmp/d/f");
    let owned = sh(&container, "stat -c %u:%g /tmp/d/f");
    out(&container, "/tmp/d", &at(&host, "plain")).unwrap();
    let plain = fs::metadata(at(&host, "plain/f")).unwrap();
    assert_eq!((plain.uid(), plain.mode() & 0o7777), (nix::unistd::geteuid().as_raw(), 0o755));
    let archive = CopyOptions { archive: true, ..CopyOptions::default() };
    container.copy_from("/tmp/d", &at(&host, "kept"), &archive, &Cancel::new()).unwrap();
    if nix::unistd::geteuid().is_root() {
        let kept = fs::metadata(at(&host, "kept/f")).unwrap();
        assert_eq!((kept.uid(), kept.gid(), kept.mode() & 0o7777), (5, 6, 0o4755));
        into(&container, &at(&host, "kept"), "/tmp/rooted").unwrap();
        container.copy_to(&at(&host, "kept"), "/tmp/back", &archive, &Cancel::new()).unwrap();
        assert_eq!(sh(&container, "stat -c %u:%g:%a /tmp/back/f"), format!("{}:4755\n", owned.trim()));
        assert_eq!(sh(&container, "stat -c %u:%g:%a /tmp/rooted/f"), "0:0:755\n");
    }
    gone(&host, &container);
}

/// A memory file system, a volume and a directory of the host, and what is read-only says so.
#[test]
fn what_is_mounted_is_seen() {
    let host = Host::new();
    fs::create_dir(at(&host, "bound")).unwrap();
    let mount = |kind, source: &str, target: &str, read_only| Mount {
        kind,
        source: source.to_owned(),
        target: target.to_owned(),
        read_only,
        ..Mount::default()
    };
    let mounts = vec![
        mount(MountKind::Tmpfs, "", "/mem", false),
        mount(MountKind::Volume, "data", "/vol", false),
        mount(MountKind::Bind, &at(&host, "bound"), "/bound", false),
        mount(MountKind::Bind, &at(&host, "bound"), "/kept", true),
    ];
    let options = RunOptions { mounts, read_only: true, ..command(&["sleep", "1000"]) };
    let file = at(&host, "word");
    fs::write(&file, "word").unwrap();
    let running = host.spawn(options.clone()).unwrap();
    for place in ["/mem", "/vol", "/bound"] {
        into(&running, &file, place).unwrap();
        assert_eq!(read(&running, &format!("{place}/word")), "word");
        assert_eq!(sh(&running, &format!("cat {place}/word")), "word");
    }
    assert_eq!(fs::read_to_string(at(&host, "bound/word")).unwrap(), "word");
    for place in ["/kept/x", "/x"] {
        let error = into(&running, &file, place).unwrap_err();
        assert_eq!(error.kind(), Kind::PermissionDenied, "{error}");
        assert!(error.to_string().contains("read-only"), "{error}");
    }
    running.remove(&RemoveOptions { force: true, volumes: false }).unwrap();
    // The volume's again, of one that has never run.
    let waiting = created(&host, &options);
    assert_eq!((read(&waiting, "/vol/word"), read(&waiting, "/bound/word")), ("word".into(), "word".into()));
    assert_eq!(into(&waiting, &file, "/x").unwrap_err().kind(), Kind::PermissionDenied);
    into(&waiting, &file, "/vol/late").unwrap();
    waiting.start(&Default::default(), &Cancel::new()).unwrap();
    assert_eq!(sh(&waiting, "cat /vol/late"), "word");
    waiting.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

#[test]
fn one_that_does_not_run_keeps_what_it_is_given() {
    let host = Host::new();
    let container = created(&host, &command(&["cat", "/etc/given"]));
    let mut file = container.open("/etc/given", "w", &Cancel::new()).unwrap();
    file.write_all(b"before").unwrap();
    drop(file);
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(&at(&host, "root")), "nothing is mounted here");
    container.start(&Default::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0);
    let mut file = container.open("/etc/given", "r+", &Cancel::new()).unwrap();
    file.seek(SeekFrom::Start(3)).unwrap();
    file.write_all(b"ind").unwrap();
    assert_eq!(read(&container, "/etc/given"), "behind".replace("beh", "bef"));
    gone(&host, &container);
}

#[test]
fn files_are_opened_in_every_mode() {
    let host = Host::new();
    let container = sleeper(&host);
    let open = |path: &str, mode: &str| container.open(path, mode, &Cancel::new());
    let kind = |path: &str, mode: &str| open(path, mode).unwrap_err().kind();
    open("/tmp/f", "x").unwrap().write_all(b"one").unwrap();
    assert_eq!(kind("/tmp/f", "x"), Kind::AlreadyExists);
    open("/tmp/f", "a").unwrap().write_all(b"two").unwrap();
    assert_eq!(sh(&container, "cat /tmp/f; stat -c %a:%u /tmp/f"), "onetwo644:0\n");
    open("/tmp/f", "w").unwrap();
    assert_eq!(read(&container, "/tmp/f"), "");
    assert_eq!(kind("/tmp/none", "r"), Kind::NotFound);
    assert_eq!(kind("/tmp", "r"), Kind::InvalidArgument);
    assert_eq!(kind("/tmp/f", "q"), Kind::InvalidArgument);
    // Through links that lead nowhere yet, and round and round.
    sh(&container, "mkdir /tmp/d; ln -s d/second /tmp/first; ln -s /tmp/made /tmp/d/second; ln -s round /tmp/round");
    open("/tmp/first", "w").unwrap().write_all(b"far").unwrap();
    assert_eq!(read(&container, "/tmp/made"), "far");
    assert_eq!(kind("/tmp/round", "w"), Kind::InvalidArgument);
    sh(&container, "rm /tmp/made");
    assert_eq!(kind("/tmp/first", "x"), Kind::AlreadyExists);
    // A handle outlives the container.
    let mut kept = open("/tmp/f", "w+").unwrap();
    gone(&host, &container);
    kept.write_all(b"still").unwrap();
    kept.rewind().unwrap();
    let mut all = String::new();
    kept.read_to_string(&mut all).unwrap();
    assert_eq!(all, "still");
}

/// Where the kernel tells of itself there is a directory with nothing in it, unless it is asked for.
#[test]
fn all_of_one_that_runs_is_copied() {
    let host = Host::new();
    let container = sleeper(&host);
    sh(&container, "echo one > /root/f");
    out(&container, "/", &at(&host, "all")).unwrap();
    assert_eq!(fs::read_to_string(at(&host, "all/root/f")).unwrap(), "one\n");
    for name in ["proc", "sys"] {
        assert_eq!(fs::read_dir(at(&host, &format!("all/{name}"))).unwrap().count(), 0, "{name}");
    }
    let mut all = File::create(at(&host, "all.tar")).unwrap();
    container.get_archive("/", all.as_fd(), &CopyOptions::default(), &Cancel::new()).unwrap();
    all = File::open(at(&host, "all.tar")).unwrap();
    let names: Vec<_> = tar::Archive::new(all).entries().unwrap().map(|e| text(&e.unwrap().path_bytes())).collect();
    assert!(names.iter().any(|name| name.ends_with("root/f")), "{names:?}");
    assert!(!names.iter().any(|name| name.contains("proc/self")), "{names:?}");
    out(&container, "/proc/sys/kernel/random", &at(&host, "random")).unwrap();
    assert!(Path::new(&at(&host, "random/boot_id")).exists());
    gone(&host, &container);
}

/// Neither a pipe nor a device is ever opened, and neither is in the way.
#[test]
fn pipes_and_devices_are_never_opened() {
    let host = Host::new();
    let container = sleeper(&host);
    sh(&container, "mkdir /tmp/d; mkfifo /tmp/d/pipe; echo x >/tmp/d/file");
    for path in ["/tmp/d/pipe", "/dev/null", "/dev/tty"] {
        let error = container.open(path, "r", &Cancel::new()).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    }
    out(&container, "/tmp/d", &at(&host, "d")).unwrap();
    assert_eq!(fs::read_to_string(at(&host, "d/file")).unwrap(), "x\n");
    out(&container, "/dev", &at(&host, "dev")).unwrap();
    assert!(!Path::new(&at(&host, "dev/null")).exists(), "no device is made");
    nix::unistd::mkfifo(at(&host, "d/own").as_str(), Mode::S_IRWXU).unwrap();
    into(&container, &at(&host, "d"), "/tmp/back").unwrap();
    assert_eq!(sh(&container, "test -p /tmp/back/own && test -p /tmp/back/pipe && cat /tmp/back/file"), "x\n");
    gone(&host, &container);
}

/// A link that leads out of the container leads to the container's own file of that name (CVE-2018-15664), also one that
/// comes and goes while it is looked at.
#[test]
fn no_link_of_a_container_leads_out_of_it() {
    let host = Host::new();
    let secret = at(&host, "secret");
    fs::create_dir(&secret).unwrap();
    fs::write(format!("{secret}/word"), "the host's").unwrap();
    let container = sleeper(&host);
    let script = format!("mkdir -p {secret} /tmp/own; echo inside >{secret}/word; echo own >/tmp/own/word");
    sh(&container, &script);
    sh(&container, &format!("ln -s {secret} /tmp/way; ln -s ../../../../../../../../../..{secret} /tmp/up"));
    for way in ["/tmp/way", "/tmp/up"] {
        assert_eq!(read(&container, &format!("{way}/word")), "inside\n");
        out(&container, &format!("{way}/word"), &at(&host, "got")).unwrap();
        assert_eq!(fs::read_to_string(at(&host, "got")).unwrap(), "inside\n");
        into(&container, &at(&host, "got"), &format!("{way}/new")).unwrap();
        assert!(!Path::new(&format!("{secret}/new")).exists());
    }
    let swap = format!("while :; do ln -sfn {secret} /tmp/turn; ln -sfn /tmp/own /tmp/turn; done");
    let words = ["sh", "-c", &swap].map(str::to_owned).to_vec();
    let options = ExecOptions { command: words, detach: true, ..ExecOptions::default() };
    let swapping = container.exec_start(&options, &Cancel::new()).unwrap();
    let given = at(&host, "given");
    fs::write(&given, "given").unwrap();
    for round in 0..200 {
        // It may be away just then.
        match out(&container, "/tmp/turn/word", &at(&host, "got")) {
            Ok(()) => {
                let got = fs::read_to_string(at(&host, "got")).unwrap();
                assert!(["inside\n", "own\n"].contains(&got.as_str()), "{got}");
            }
            Err(e) => assert_eq!(e.kind(), Kind::NotFound, "{e}"),
        }
        let _ = into(&container, &given, &format!("/tmp/turn/{round}"));
    }
    swapping.kill("KILL").unwrap();
    let names: Vec<_> = fs::read_dir(&secret).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["word"]);
    assert_eq!(fs::read_to_string(format!("{secret}/word")).unwrap(), "the host's");
    gone(&host, &container);
}

/// What a container gives is not followed here either.
#[test]
fn a_copy_follows_no_link_that_it_has_made() {
    let host = Host::new();
    let (container, outside) = (sleeper(&host), at(&host, "outside"));
    fs::create_dir(&outside).unwrap();
    sh(&container, &format!("mkdir -p /tmp/a /tmp/b/x; ln -s {outside} /tmp/a/x; echo bad >/tmp/b/x/f"));
    out(&container, "/tmp/a/.", &at(&host, "dest/")).unwrap();
    // The link is there now, where the other one has a directory.
    let error = out(&container, "/tmp/b/.", &at(&host, "dest")).unwrap_err();
    assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    sh(&container, &format!("ln -s {outside}/made /tmp/f; rm -r /tmp/b; mkdir /tmp/b; echo new >/tmp/b/f"));
    out(&container, "/tmp/f", &at(&host, "dest")).unwrap();
    out(&container, "/tmp/b/f", &at(&host, "dest")).unwrap();
    assert_eq!(fs::read_to_string(at(&host, "dest/f")).unwrap(), "new\n");
    assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
    gone(&host, &container);
}

fn archive(entries: &[(&str, tar::EntryType, &str)]) -> Vec<u8> {
    let mut all = Vec::new();
    for (path, kind, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        let raw = header.as_old_mut();
        raw.name[..path.len()].copy_from_slice(path.as_bytes());
        let is_file = *kind == tar::EntryType::Regular;
        if !is_file {
            raw.linkname[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_size(if is_file { text.len() as u64 } else { 0 });
        header.set_cksum();
        all.extend_from_slice(header.as_bytes());
        if is_file {
            all.extend_from_slice(text.as_bytes());
            all.resize(all.len().next_multiple_of(512), 0);
        }
    }
    all.resize(all.len() + 1024, 0);
    all
}

fn put(host: &Host, container: &Container, path: &str, bytes: &[u8]) -> sampan::Result<()> {
    fs::write(at(host, "archive"), bytes).unwrap();
    container.put_archive(path, File::open(at(host, "archive")).unwrap().as_fd(), &Cancel::new())
}

#[test]
fn a_hostile_archive_stays_where_it_is_put() {
    use tar::EntryType::{Block, Link, Regular, Symlink};
    let host = Host::new();
    let container = sleeper(&host);
    sh(&container, "mkdir /tmp/in /tmp/out; echo safe >/tmp/out/f");
    let hostile: &[&[(&str, tar::EntryType, &str)]] = &[
        &[("../out/f", Regular, "bad")],
        &[("a/../../out/f", Regular, "bad")],
        &[("h", Link, "../out/f")],
        &[("way", Symlink, "/tmp/out"), ("h", Link, "way/f")],
        &[("h", Link, "nothing")],
    ];
    for entries in hostile {
        assert!(put(&host, &container, "/tmp/in", &archive(entries)).is_err(), "{entries:?}");
    }
    assert_eq!(put(&host, &container, "/tmp/in", b"no archive at all").unwrap_err().kind(), Kind::InvalidArgument);
    let cut = &archive(&[("f", Regular, "content")])[..600];
    assert_eq!(put(&host, &container, "/tmp/in", cut).unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(put(&host, &container, "/tmp/none", &archive(&[])).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(put(&host, &container, "/tmp/out/f", &archive(&[])).unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(sh(&container, "cat /tmp/out/f; stat -c %h /tmp/out/f; ls /tmp/out"), "safe\n1\nf\n");
    // Absolute names are below the directory, missing parents are made, devices are left out, the last of a name stays.
    let entries = [("/abs/f", Regular, "1"), ("disk", Block, ""), ("abs/f", Regular, "2"), ("abs/g", Link, "abs/f")];
    put(&host, &container, "/tmp/in", &archive(&entries)).unwrap();
    assert_eq!(
        sh(&container, "cd /tmp/in; cat abs/f abs/g; stat -c %h:%Y abs/f; ls -d disk 2>/dev/null || true"),
        "222:1000000\n"
    );
    gone(&host, &container);
}

/// Long names, many links, holes, attributes: what an archive carries out it carries in again.
#[test]
fn an_archive_comes_back_as_it_went() {
    let host = Host::new();
    let (one, two) = (sleeper(&host), created(&host, &command(&["true"])));
    let long = "n".repeat(120);
    let script = format!(
        "mkdir -p /tmp/d/{long}/{long}; echo x >/tmp/d/{long}/{long}/f; ln /tmp/d/{long}/{long}/f /tmp/d/g; \
         ln -s {long}/{long} /tmp/d/l; mkfifo /tmp/d/p; truncate -s 3M /tmp/d/hole; printf end >>/tmp/d/hole"
    );
    sh(&one, &script);
    let file = File::create(at(&host, "out.tar")).unwrap();
    one.get_archive("/tmp/d", file.as_fd(), &CopyOptions::default(), &Cancel::new()).unwrap();
    let stat = one.path_stat("/tmp/d", &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!((stat.name.as_str(), stat.mode & 0o170_000), ("d", 0o040_000));
    let mut listing = tar::Archive::new(File::open(at(&host, "out.tar")).unwrap());
    let names: Vec<String> =
        listing.entries().unwrap().map(|e| e.unwrap().path().unwrap().display().to_string()).collect();
    assert!(names.contains(&"d/".to_owned()) && names.contains(&format!("d/{long}/{long}/f")), "{names:?}");
    two.put_archive("/", File::open(at(&host, "out.tar")).unwrap().as_fd(), &Cancel::new()).unwrap();
    two.start(&Default::default(), &Cancel::new()).unwrap();
    two.wait(None, &Cancel::new()).unwrap();
    assert_eq!(read(&two, "/d/g"), "x\n");
    assert_eq!(read(&two, "/d/l/f"), "x\n");
    out(&two, "/d", &at(&host, "d")).unwrap();
    assert_eq!(fs::metadata(at(&host, "d/g")).unwrap().nlink(), 2);
    assert_eq!(fs::metadata(at(&host, "d/hole")).unwrap().len(), 3 * (1 << 20) + 3);
    for container in [one, two] {
        container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    }
}

#[test]
fn holes_stay_holes_and_attributes_go_along() {
    let host = Host::new();
    let container = sleeper(&host);
    let big = File::create(at(&host, "big")).unwrap();
    big.set_len(1 << 40).unwrap();
    nix::sys::uio::pwrite(&big, b"middle", 1 << 30).unwrap();
    let name = c"user.sampan";
    let path = std::ffi::CString::new(at(&host, "big")).unwrap();
    // SAFETY: both strings end with NUL and the value is three bytes long.
    let set = unsafe { nix::libc::setxattr(path.as_ptr(), name.as_ptr(), b"yes".as_ptr().cast(), 3, 0) } == 0;
    into(&container, &at(&host, "big"), "/tmp/big").unwrap();
    out(&container, "/tmp/big", &at(&host, "back")).unwrap();
    let back = File::open(at(&host, "back")).unwrap();
    let mut middle = [0; 6];
    nix::sys::uio::pread(&back, &mut middle, 1 << 30).unwrap();
    let stat = back.metadata().unwrap();
    assert_eq!((stat.len(), &middle), (1 << 40, b"middle"));
    assert!(stat.blocks() < 1 << 14, "{} blocks", stat.blocks());
    let mut value = [0u8; 8];
    let path = std::ffi::CString::new(at(&host, "back")).unwrap();
    // SAFETY: both strings end with NUL and the buffer is that long.
    let n = unsafe { nix::libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), 8) };
    // Where the host's file system has such, so has the container's; with a plain user's overlay its own are hidden.
    assert!(!set || n == 3 || !nix::unistd::geteuid().is_root(), "{n}");
    gone(&host, &container);
}

/// A file that grows all the time is copied as long as it was when it was looked at.
#[test]
fn a_file_that_grows_has_an_end() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "while :; do echo more; done >/tmp/f"])).unwrap();
    common::until("output", || {
        container.open("/tmp/f", "r", &Cancel::new()).is_ok_and(|f| f.metadata().unwrap().len() > 0)
    });
    for _ in 0..5 {
        out(&container, "/tmp/f", &at(&host, "f")).unwrap();
        let file = File::create(at(&host, "f.tar")).unwrap();
        container.get_archive("/tmp/f", file.as_fd(), &CopyOptions::default(), &Cancel::new()).unwrap();
        let mut archive = tar::Archive::new(File::open(at(&host, "f.tar")).unwrap());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        let mut all = Vec::new();
        entry.read_to_end(&mut all).unwrap();
        assert_eq!(all.len() as u64, entry.size());
    }
    gone(&host, &container);
}

/// Bytes that a pipe holds.
fn unread(pipe: &impl AsFd) -> libc::c_int {
    use std::os::fd::AsRawFd;
    let mut bytes = 0;
    // SAFETY: the descriptor is open, and the kernel writes one int.
    assert_eq!(unsafe { libc::ioctl(pipe.as_fd().as_raw_fd(), libc::FIONREAD, &mut bytes) }, 0);
    bytes
}

#[test]
fn many_at_once_and_one_that_is_cancelled() {
    let host = Host::new();
    let dir = tree(&host);
    for runs in [true, false] {
        let container = either(&host, runs);
        std::thread::scope(|scope| {
            for n in 0..8 {
                let (container, dir) = (&container, &dir);
                scope.spawn(move || into(container, dir, &format!("/tmp/{n}")).unwrap());
            }
        });
        for n in 0..8 {
            assert_eq!(read(&container, &format!("/tmp/{n}/sub/again")), "one");
        }
        let cancelled = Cancel::new();
        cancelled.cancel();
        let error = container.copy_to(&dir, "/tmp/late", &CopyOptions::default(), &cancelled).unwrap_err();
        assert_eq!(error.kind(), Kind::Cancelled);
        // A pipe that nobody reads and one that nobody writes keep nobody either.
        let (read_end, write_end) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let (begun, keep) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        nix::unistd::write(&keep, b"x").unwrap();
        let cancel = Cancel::new();
        std::thread::scope(|scope| {
            let out =
                scope.spawn(|| container.get_archive("/bin", write_end.as_fd(), &CopyOptions::default(), &cancel));
            let (container, cancel, source) = (&container, &cancel, begun.as_fd());
            let put = scope.spawn(move || container.put_archive("/tmp", source, cancel));
            // By then it waits for more; of one that doesn't run only one is copied at a time.
            if runs {
                common::until("the first byte is read", || unread(&begun) == 0);
            }
            cancel.cancel();
            assert_eq!(out.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
            assert_eq!(put.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
        });
        drop(read_end);
        gone(&host, &container);
    }
}
