//! What overlayfs would show of layers is what is in the tree that they are copied into.

use std::fs::symlink_metadata;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::EntryType;

use super::archive::*;
use crate::cancel::Cancel;
use crate::error::Kind;
use crate::layer::merge;

fn layer(out: &Outcome) -> PathBuf {
    out.done();
    out.path("").parent().unwrap().to_owned()
}

/// Layers, lowest first, as one tree.
fn merged(layers: &[&Outcome]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let into = std::fs::File::open(dir.path()).unwrap();
    let layers: Vec<PathBuf> = layers.iter().map(|out| layer(out)).collect();
    merge(&layers, into.as_fd(), &Cancel::new()).unwrap();
    dir
}

/// All below it, but `/dev`, which is always there.
fn names(dir: &Path) -> Vec<String> {
    let (mut found, mut left) = (Vec::new(), vec![dir.to_owned()]);
    while let Some(at) = left.pop() {
        for entry in std::fs::read_dir(at).unwrap().flatten() {
            if entry.file_type().unwrap().is_dir() {
                left.push(entry.path());
            }
            found.push(entry.path().strip_prefix(dir).unwrap().display().to_string());
        }
    }
    found.retain(|name| name != "dev");
    found.sort();
    found
}

fn text(dir: &tempfile::TempDir, name: &str) -> String {
    std::fs::read_to_string(dir.path().join(name)).unwrap()
}

#[test]
fn what_a_layer_hides_is_not_there() {
    for form in forms() {
        let low = Archive::new()
            .file("a", b"1")
            .file("d/x", b"")
            .file("d/y", b"")
            .file("gone/f", b"")
            .file("o/old", b"")
            .file("was_dir/in", b"")
            .file("was_file", b"")
            .file("renewed/old", b"");
        let top = Archive::new()
            .file(".wh.gone", b"")
            .file("d/.wh.x", b"")
            .file("d/.wh.never", b"")
            .file("a", b"2")
            .file("o/.wh..wh..opq", b"")
            .file("o/new", b"")
            .file("was_dir", b"file")
            .file("was_file/in", b"")
            .file(".wh.renewed", b"")
            .file("renewed/new", b"");
        let (low, top) = (low.unpack(*form), top.unpack(*form));
        let tree = merged(&[&low, &top]);
        let wanted = "a d d/y o o/new renewed renewed/new was_dir was_file was_file/in";
        assert_eq!(names(tree.path()).join(" "), wanted);
        assert_eq!((text(&tree, "a"), text(&tree, "was_dir")), ("2".into(), "file".into()));
        assert_eq!(names(merged(&[&low]).path()), names(&low.path("")), "the layer itself is as it was");
    }
}

#[test]
fn files_come_as_they_are() {
    for form in forms() {
        let low = Archive::new()
            .with("d", EntryType::Directory, |h| h.set_mode(0o2551))
            .with("d/su", EntryType::Regular, |h| h.set_mode(0o4755))
            .file("d/one", b"same")
            .hard_link("two", "d/one")
            .symlink("link", "/d/../d/one")
            .with("pipe", EntryType::Fifo, |h| h.set_mode(0o622))
            .unpack(*form);
        std::fs::File::options().write(true).open(low.path("d/one")).unwrap().set_len(1 << 22).unwrap();
        let tree = merged(&[&low]);
        for (name, mode) in [("d", 0o2551), ("d/su", 0o4755), ("pipe", 0o622)] {
            let stat = symlink_metadata(tree.path().join(name)).unwrap();
            assert_eq!((stat.mode() & 0o7777, stat.mtime()), (mode, MTIME as i64), "{name}");
        }
        let of = |name: &str| symlink_metadata(tree.path().join(name)).unwrap();
        assert_eq!((of("two").ino(), of("two").nlink()), (of("d/one").ino(), 2));
        assert_ne!(of("two").ino(), symlink_metadata(low.path("two")).unwrap().ino());
        assert!(of("two").len() == 1 << 22 && of("two").blocks() * 512 < 1 << 20, "a hole stays one");
        assert_eq!(std::fs::read_link(tree.path().join("link")).unwrap(), Path::new("/d/../d/one"));
    }
}

#[test]
fn owners_are_kept_and_devices_are_not() {
    let Some(form) = forms().iter().find(|form| form.has_owners()) else { return };
    let device = |h: &mut tar::Header| {
        h.set_device_major(1).unwrap();
        h.set_device_minor(3).unwrap();
    };
    let out = Archive::new()
        .with("f", EntryType::Regular, |h| h.set_uid(1234))
        .with("disk", EntryType::Block, device)
        .with("dev/sda", EntryType::Block, device)
        .file("dev/file", b"")
        .unpack(*form);
    let tree = merged(&[&out]);
    assert_eq!(names(tree.path()), ["f"]);
    assert_eq!(symlink_metadata(tree.path().join("f")).unwrap().uid(), 1234);
}

#[test]
fn no_link_leads_a_layer_out() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("c"), "untouched").unwrap();
    let place = outside.path().display().to_string();
    for form in forms() {
        let low = Archive::new().symlink("l", &place).symlink("m", &place).symlink("dev", &place).unpack(*form);
        let top = Archive::new().file("l/.wh.c", b"").file("l/new", b"").file("m/.wh..wh..opq", b"").unpack(*form);
        let tree = merged(&[&low, &top]);
        assert_eq!(names(tree.path()), ["l", "l/new", "m"]);
        assert!(symlink_metadata(tree.path().join("dev")).unwrap().is_dir());
        assert_eq!(names(outside.path()), ["c"]);
        assert_eq!(text(&outside, "c"), "untouched");
    }
}

#[test]
fn directories_may_be_nested_deeper_than_there_are_descriptors() {
    let deep = "d/".repeat(1500) + "f";
    let out = Archive::new().pax(&[("path", deep.as_bytes())]).file("short", b"x").unpack(forms()[0]);
    let tree = merged(&[&out]);
    assert_eq!(names(tree.path()).len(), 1501);
}

#[test]
fn a_cancelled_copy_ends() {
    let out = Archive::new().file("a", b"").unpack(forms()[0]);
    let dir = tempfile::tempdir().unwrap();
    let cancel = Cancel::new();
    cancel.cancel();
    let error = merge(&[layer(&out)], std::fs::File::open(dir.path()).unwrap().as_fd(), &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
}

/// An overlayfs, on which the store of whoever is in a container often lies, holds no 0/0 devices.
#[test]
fn it_is_so_where_whiteouts_are_attributes() {
    use std::os::unix::process::CommandExt;

    const SYS_ADMIN: u32 = 21;
    if !crate::sys::has_capability(SYS_ADMIN) || !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    for part in ["lower", "upper", "work"] {
        std::fs::create_dir(dir.path().join(part)).unwrap();
    }
    let at = |part: &str| dir.path().join(part).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={}", at("lower"), at("upper"), at("work"));
    let none = None::<&str>;
    let over = move || {
        use nix::mount::{MsFlags, mount};
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS)?;
        mount(none, "/", none, MsFlags::MS_PRIVATE | MsFlags::MS_REC, none)?;
        Ok(mount(Some("overlay"), "/dev/shm", Some("overlay"), MsFlags::empty(), Some(options.as_str()))?)
    };
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "layer::tests::merged::what_a_layer_hides_is_not_there"]).env("TMPDIR", "/dev/shm");
    // SAFETY: it makes system calls; what little it allocates the C library allows after a fork.
    unsafe { command.pre_exec(over) };
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}{}", String::from_utf8_lossy(&output.stderr));
}
