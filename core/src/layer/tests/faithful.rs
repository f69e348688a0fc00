//! What an archive says is what is there.

use std::fs::symlink_metadata;
use std::os::unix::fs::MetadataExt;

use tar::EntryType;

use super::archive::*;
use crate::layer::owners::BATCH;
use crate::layer::{Form, Whiteouts};

fn mode(out: &Outcome, below: &str) -> u32 {
    symlink_metadata(out.path(below)).unwrap().mode() & 0o7777
}

fn is_whiteout(out: &Outcome, below: &str) -> bool {
    symlink_metadata(out.path(below)).is_ok_and(|m| m.mode() & libc::S_IFMT == libc::S_IFCHR && m.rdev() == 0)
}

fn opaque(out: &Outcome, below: &str, form: Form) -> bool {
    let name = if form == Form::Root { "trusted.overlay.opaque" } else { "user.overlay.opaque" };
    xattr(out, below, name).as_deref() == Some(b"y")
}

pub fn xattr(out: &Outcome, below: &str, name: &str) -> Option<Vec<u8>> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(out.path(below).as_os_str().as_bytes()).unwrap();
    let name = std::ffi::CString::new(name).unwrap();
    let mut value = vec![0; 256];
    // SAFETY: both strings end with NUL and the buffer is as long as told.
    let n = unsafe { libc::lgetxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    usize::try_from(n).ok().map(|n| value[..n].to_vec())
}

#[test]
fn modes_come_out_whatever_the_umask_and_times_after_the_children() {
    for form in forms() {
        let out = Archive::new()
            .with("d", EntryType::Directory, |h| h.set_mode(0o2577))
            .with("d/e", EntryType::Directory, |h| h.set_mode(0o1777))
            .with("d/e/f", EntryType::Regular, |h| h.set_mode(0o666))
            .with("d/su", EntryType::Regular, |h| h.set_mode(0o4755))
            .with("d/none", EntryType::Regular, |h| h.set_mode(0))
            .with("d/p", EntryType::Fifo, |h| h.set_mode(0o622))
            .file("implied/by/this", b"")
            .unpack(*form);
        out.done();
        let modes = [("d", 0o2577), ("d/e", 0o1777), ("d/e/f", 0o666), ("d/su", 0o4755), ("d/none", 0), ("d/p", 0o622)];
        for (path, expected) in modes {
            let mtime = symlink_metadata(out.path(path)).unwrap().mtime();
            assert_eq!((mode(&out, path), mtime), (expected, MTIME as i64), "{path}");
        }
        for implied in ["", "implied", "implied/by"] {
            assert_eq!(mode(&out, implied), 0o755, "{implied}");
        }
    }
}

#[test]
fn links_are_links() {
    let out = Archive::new()
        .file("a", b"text")
        .hard_link("b", "./a")
        .symlink("s", "/nowhere/../a")
        .hard_link("s2", "s")
        .unpack(Form::User);
    out.done();
    assert_eq!(symlink_metadata(out.path("a")).unwrap().ino(), symlink_metadata(out.path("b")).unwrap().ino());
    for link in ["s", "s2"] {
        assert_eq!(std::fs::read_link(out.path(link)).unwrap().to_str(), Some("/nowhere/../a"));
    }
}

#[test]
fn paths_go_through_the_layers_own_symlinks() {
    let out = Archive::new()
        .dir("usr")
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/../../usr/lib")
        .symlink("dangling", "made/for/it")
        .file("lib/x", b"1")
        .file("abs/sub/y", b"2")
        .hard_link("z", "lib/x")
        .file("dangling/w", b"3")
        .file("lib/.wh.gone", b"")
        .unpack(Form::User);
    out.done();
    let read = ["usr/lib/x", "usr/lib/sub/y", "z", "made/for/it/w"].map(|p| out.read(p));
    assert_eq!(read, ["1", "2", "1", "3"]);
    assert!(out.sidecar().contains(&"w usr/lib/gone".into()));
}

#[test]
fn the_last_entry_of_a_name_wins() {
    let out = Archive::new()
        .file("f", b"old")
        .file("f", b"new")
        .dir("d")
        .file("d/inside", b"")
        .file("d", b"now a file")
        .file("g", b"")
        .dir("g")
        .file("g/in", b"")
        .symlink("l", "g")
        .dir("l")
        .file("l/x", b"not in g")
        .dir("same")
        .file("same/kept", b"")
        .with("same", EntryType::Directory, |h| h.set_mode(0o700))
        .unpack(Form::User);
    out.done();
    assert_eq!((out.read("f").as_str(), out.read("d").as_str()), ("new", "now a file"));
    assert!(out.path("g/in").exists() && out.path("l/x").exists() && !out.path("g/x").exists());
    assert!(out.path("same/kept").exists());
    assert_eq!(mode(&out, "same"), 0o700);
}

#[test]
fn whiteouts_become_what_overlayfs_reads() {
    for form in forms() {
        let out = Archive::new()
            .dir("d")
            .file("d/.wh.gone", b"")
            .file("deep/in/.wh..wh..opq", b"")
            .file(".wh..wh.plnk", b"")
            .file(".wh..wh.orph/x", b"")
            .unpack(*form);
        assert_eq!((out.done().whiteouts, out.done().opaque_root), (Whiteouts::Native, false));
        assert!(is_whiteout(&out, "d/gone"));
        assert!(opaque(&out, "deep/in", *form) && !opaque(&out, "deep", *form));
        let there: Vec<_> = std::fs::read_dir(out.path("")).unwrap().collect();
        assert_eq!(there.len(), 2, "{there:?}");
        assert!(out.sidecar().contains(&"w d/gone".into()) && out.sidecar().contains(&"q deep/in".into()));
    }
}

#[test]
fn whiteouts_hide_only_what_is_below_in_whatever_order() {
    for form in forms() {
        let out = Archive::new()
            .file("f", b"mine")
            .file(".wh.f", b"")
            .file(".wh.g", b"")
            .file("g", b"mine")
            .dir("d")
            .file("d/x", b"")
            .file(".wh.d", b"")
            .file(".wh.e", b"")
            .dir("e")
            .file(".wh.i", b"")
            .file("i/j", b"")
            .file("o/x", b"")
            .file("o/.wh..wh..opq", b"")
            .file("o/.wh..wh..opq", b"")
            .file("o/y", b"")
            .file(".wh.twice", b"")
            .file(".wh.twice", b"")
            .unpack(*form);
        out.done();
        assert_eq!((out.read("f"), out.read("g")), ("mine".into(), "mine".into()));
        for dir in ["d", "e", "i", "o"] {
            assert!(opaque(&out, dir, *form), "{dir}");
        }
        for file in ["d/x", "i/j", "o/x", "o/y"] {
            assert!(out.path(file).exists(), "{file}");
        }
        assert!(is_whiteout(&out, "twice"));
    }
}

#[test]
fn an_opaque_root_is_told() {
    let out = Archive::new().file(".wh..wh..opq", b"").file("f", b"").unpack(Form::User);
    assert!(out.done().opaque_root && out.sidecar().contains(&"q ".into()));
}

#[test]
fn what_a_plain_user_cant_make_is_in_the_sidecar() {
    let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\n";
    let out = Archive::new()
        .with("d", EntryType::Directory, |h| h.set_gid(43))
        .with("d/f", EntryType::Regular, |h| {
            h.set_uid(1000);
            h.set_mode(0o4711);
        })
        .with("d/null", EntryType::Char, |h| {
            h.set_device_major(1).unwrap();
            h.set_device_minor(3).unwrap();
        })
        .pax(&[("SCHILY.xattr.security.capability", caps), ("SCHILY.xattr.user.x", b"1\n2")])
        .file("ping", b"elf")
        .file("ours", b"")
        .file("d/f", b"replaced")
        .unpack(Form::User);
    out.done();
    assert_eq!(
        out.sidecar(),
        [
            "sampan-layer 1",
            "o 0 43 40755 d",
            "o 1000 0 104711 d/f",
            "d c 1 3 0 0 20644 d/null",
            "c 010000020020000000000000000000000000000a ping",
            "o 0 0 100644 d/f",
        ]
    );
    assert_eq!(out.owed().capabilities, [(b"ping".to_vec(), caps.to_vec())]);
    assert!(!out.path("d/null").exists());
    assert_eq!(xattr(&out, "ping", "user.x").as_deref(), Some(&b"1\n2"[..]));
    assert_eq!(mode(&out, "ping"), 0o644);
}

#[test]
fn owners_to_give_are_those_of_files_that_are_there() {
    let (file, dir) = (EntryType::Regular, EntryType::Directory);
    let archive = Archive::new()
        .with("./", dir, |h| h.set_uid(4))
        .dir("real")
        .with("real/f", file, |h| h.set_uid(5))
        .symlink("l", "real")
        .with("l/through", file, |h| h.set_uid(6))
        .with("gone", dir, |h| h.set_uid(7))
        .with("gone/f", file, |h| h.set_uid(7))
        .symlink("gone", "real")
        .with("linked", file, |h| h.set_uid(8))
        .file("roots", b"")
        .hard_link("linked", "roots");
    let out = archive.unpack(Form::User);
    out.done();
    let owners = out.owed().owners.into_iter().map(|o| (String::from_utf8(o.path).unwrap(), o.uid)).collect::<Vec<_>>();
    assert_eq!(owners, [(".".into(), 4), ("real/f".into(), 5), ("real/through".into(), 6)]);
    // Read some at a time, what is given last is the same, and root's files are root's again.
    let mut given = std::collections::BTreeMap::new();
    let batches: Vec<_> = out.owed_by(1).collect();
    assert!(batches.len() > 3);
    batches.into_iter().flat_map(|b| b.owners).for_each(|o| {
        given.insert(String::from_utf8(o.path).unwrap(), o.uid);
    });
    assert_eq!((given["gone"], given["linked"]), (0, 0));
    given.retain(|_, uid| *uid != 0);
    assert_eq!(given.into_iter().collect::<Vec<_>>(), owners);
}

/// The kernel takes capabilities from a file that is given an owner, by whichever of its names.
#[test]
fn capabilities_are_owed_after_all_owners() {
    let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\n";
    let empowered = [("SCHILY.xattr.security.capability", &caps[..])];
    let out = Archive::new()
        .pax(&empowered)
        .file("replaced", b"with")
        .file("replaced", b"without")
        .pax(&empowered)
        .file("ping", b"elf")
        .hard_link("pong", "ping")
        .unpack(Form::User);
    out.done();
    assert_eq!(out.sidecar().last().unwrap(), "o 0 0 100644 pong");
    for batch in [1, BATCH] {
        let batches: Vec<_> = out.owed_by(batch).collect();
        let (last, before) = batches.split_last().unwrap();
        assert!(before.iter().all(|owed| owed.capabilities.is_empty()));
        assert_eq!(last.capabilities, [(b"ping".to_vec(), caps.to_vec())]);
        assert!(batch > 1 || before.iter().any(|owed| owed.owners.iter().any(|o| o.path == b"pong")));
    }
}

#[test]
fn root_makes_it_all() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let out = Archive::new()
        .with("d", EntryType::Directory, |h| h.set_gid(43))
        .with("d/f", EntryType::Regular, |h| {
            h.set_uid(1000);
            h.set_mode(0o4711);
        })
        .with("d/null", EntryType::Char, |h| {
            h.set_device_major(1).unwrap();
            h.set_device_minor(3).unwrap();
        })
        .with("s", EntryType::Symlink, |h| {
            h.set_link_name("f").unwrap();
            h.set_gid(7);
        })
        .pax(&[("SCHILY.xattr.security.capability", caps)])
        .with("ping", EntryType::Regular, |h| h.set_uid(5))
        .unpack(Form::Root);
    out.done();
    let owner = |p: &str| symlink_metadata(out.path(p)).map(|m| (m.uid(), m.gid())).unwrap();
    assert_eq!([owner("d"), owner("d/f"), owner("s"), owner("ping")], [(0, 43), (1000, 0), (0, 7), (5, 0)]);
    assert_eq!(mode(&out, "d/f"), 0o4711);
    assert_eq!(xattr(&out, "ping", "security.capability").as_deref(), Some(&caps[..]));
    assert_eq!(symlink_metadata(out.path("d/null")).unwrap().rdev(), libc::makedev(1, 3));
    assert_eq!(out.sidecar(), ["sampan-layer 1"]);
}

#[test]
fn long_names_of_both_kinds() {
    let long = format!("{}/{}", "d".repeat(200), "f".repeat(200));
    let out = Archive::new()
        .pax(&[("path", format!("pax/{long}").as_bytes()), ("mtime", b"-1.5")])
        .file("short", b"1")
        .long_name(format!("gnu/{long}\0").as_bytes())
        .file("short", b"2")
        .entry(header(b"", EntryType::GNULongLink), long.as_bytes())
        .symlink("s", "x")
        .unpack(Form::User);
    out.done();
    assert_eq!((out.read(&format!("pax/{long}")), out.read(&format!("gnu/{long}"))), ("1".into(), "2".into()));
    let meta = symlink_metadata(out.path(&format!("pax/{long}"))).unwrap();
    assert_eq!((meta.mtime(), meta.mtime_nsec()), (-2, 500_000_000));
    assert_eq!(std::fs::read_link(out.path("s")).unwrap().to_str(), Some(long.as_str()));
}
