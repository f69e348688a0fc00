//! Hostile archives: nothing outside the root is touched (every unpacking here checks that), nothing
//! panics, and what can't be meant well is an error that names the entry.

use std::fs::symlink_metadata;
use std::os::unix::fs::MetadataExt;

use tar::EntryType;

use super::archive::*;
use super::faithful::xattr;
use crate::error::Kind;
use crate::layer::{Compression, Form, UnpackOptions};

fn invalid(archive: Archive, words: &str) {
    let error = archive.refused();
    assert_eq!(error.kind(), Kind::InvalidImage, "{error}");
    assert!(error.to_string().contains(words), "{error}: expected {words:?}");
}

fn pax_file(records: &[(&str, &[u8])]) -> Archive {
    Archive::new().pax(records).file("x", b"")
}

#[test]
fn names_that_leave_the_root() {
    for name in ["../canary", "a/../../canary", "..", "d/..", "/../canary", "./../../canary"] {
        invalid(Archive::new().dir("d").file(name, b"evil"), "'..'");
        invalid(Archive::new().dir(name), "'..'");
        invalid(Archive::new().symlink(name, "x"), "'..'");
        invalid(Archive::new().file("f", b"").hard_link("h", name), "'..'");
        invalid(pax_file(&[("path", name.as_bytes())]), "'..'");
        invalid(Archive::new().long_name(name.as_bytes()).file("x", b""), "'..'");
    }
    invalid(pax_file(&[("path", b"a\0/../../canary")]), "NUL");
    invalid(pax_file(&[("linkpath", b"a\0b")]), "NUL");
}

#[test]
fn absolute_names_are_taken_below_the_root() {
    let out = Archive::new().file("/etc/passwd", b"mine").file("//x", b"").unpack(Form::User);
    assert_eq!(out.read("etc/passwd"), "mine");
    assert!(out.path("x").exists());
}

#[test]
fn over_long_names() {
    let part = "x".repeat(256);
    invalid(pax_file(&[("path", part.as_bytes())]), "255 bytes");
    invalid(pax_file(&[("path", "xy/".repeat(2000).as_bytes())]), "4095 bytes");
    let target = "t".repeat(5000);
    let error = Archive::new().pax(&[("linkpath", target.as_bytes())]).symlink("s", "x").refused();
    assert_eq!(error.kind(), Kind::InvalidImage, "{error}");
}

#[test]
fn symlinks_out_of_the_root_lead_nowhere() {
    for target in ["..", "../..", "/..", "/", "../../../../../..", "/tmp/../.."] {
        // Within the root, each of them is the root.
        let out = Archive::new().symlink("out", target).file("out/canary", b"evil").unpack(Form::User);
        match target {
            "/tmp/../.." => assert!(out.path("canary").exists() && out.path("tmp").is_dir()),
            _ => assert!(out.path("canary").exists(), "{target}"),
        }
    }
    for target in ["../canary", "../../staging/../canary"] {
        let out = Archive::new().symlink("l", target).file("l", b"evil").unpack(Form::User);
        assert_eq!(out.read("l"), "evil");
        assert!(symlink_metadata(out.path("l")).unwrap().is_file(), "replaced, not followed");
    }
}

#[test]
fn the_real_outside_by_absolute_symlink() {
    let outside = tempfile::tempdir().unwrap();
    let target = outside.path().to_str().unwrap().to_owned();
    std::fs::write(outside.path().join("victim"), "safe").unwrap();
    let before = symlink_metadata(outside.path()).unwrap();
    for form in forms() {
        let out = Archive::new()
            .symlink("out", &target)
            .file("out/victim", b"evil")
            .dir("out/made")
            .file("out/.wh.victim", b"")
            .file("out/.wh..wh..opq", b"")
            .with("out", EntryType::Symlink, |h| {
                h.set_link_name(&target).unwrap();
                h.set_uid(12345);
                h.set_mode(0o777);
            })
            .unpack(*form);
        out.done();
    }
    let after = symlink_metadata(outside.path()).unwrap();
    assert_eq!((before.mode(), before.uid(), before.mtime()), (after.mode(), after.uid(), after.mtime()));
    assert_eq!(std::fs::read_to_string(outside.path().join("victim")).unwrap(), "safe");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[test]
fn symlink_loops_and_files_as_directories() {
    invalid(Archive::new().symlink("a", "b").symlink("b", "a").file("a/x", b""), "too many symlinks");
    invalid(Archive::new().symlink("a", "a").file("a/x", b""), "too many symlinks");
    invalid(Archive::new().file("f", b"").file("f/x", b""), "no directory");
    invalid(Archive::new().with("p", EntryType::Fifo, |_| {}).file("p/x", b""), "no directory");
}

#[test]
fn the_root_stays_a_directory() {
    for name in ["/", "/.", ".", "./", "//"] {
        invalid(Archive::new().symlink(name, "/etc"), "root");
        invalid(Archive::new().file(name, b"x"), "root");
        invalid(Archive::new().file("f", b"").hard_link(name, "f"), "root");
        invalid(Archive::new().with(name, EntryType::Fifo, |_| {}), "root");
    }
}

#[test]
fn hard_links_out_of_the_layer() {
    invalid(Archive::new().hard_link("h", "/etc/passwd-none"), "not in this layer");
    invalid(Archive::new().hard_link("h", "missing/dir/f"), "not in this layer");
    invalid(Archive::new().file(".wh.f", b"").hard_link("h", "f"), "not in this layer");
    invalid(Archive::new().symlink("out", "..").hard_link("h", "out/canary"), "not in this layer");
    invalid(Archive::new().symlink("out", "/").hard_link("h", "out/../canary"), "'..'");
    invalid(Archive::new().dir("d").hard_link("h", "d"), "to a directory");
    invalid(Archive::new().hard_link("h", "/"), "to the root");
    invalid(Archive::new().file("f", b"").hard_link("f", "./f"), "to itself");
}

#[test]
fn a_hard_link_to_a_symlink_is_that_symlink() {
    for form in forms() {
        let out = Archive::new()
            .symlink("s", "../canary")
            .hard_link("h", "s")
            .with("h", EntryType::Regular, |h| h.set_mode(0o777))
            .unpack(*form);
        out.done();
        assert!(symlink_metadata(out.path("h")).unwrap().is_file());
        assert!(symlink_metadata(out.path("s")).unwrap().is_symlink());
    }
}

#[test]
fn a_directory_entry_on_a_symlink_changes_not_what_it_leads_to() {
    for form in forms() {
        let out = Archive::new()
            .with("real", EntryType::Directory, |h| h.set_mode(0o700))
            .symlink("l", "real")
            .with("l", EntryType::Directory, |h| {
                h.set_mode(0o777);
                h.set_uid(9);
            })
            .unpack(*form);
        out.done();
        assert_eq!(symlink_metadata(out.path("real")).unwrap().mode() & 0o777, 0o700);
        assert!(symlink_metadata(out.path("l")).unwrap().is_dir());
    }
}

#[test]
fn a_directory_replaced_by_a_symlink_hands_nothing_on() {
    // The directory's mode and time are applied at the end, when its name leads elsewhere.
    for form in forms() {
        let out = Archive::new()
            .with("real", EntryType::Directory, |h| h.set_mode(0o700))
            .with("d", EntryType::Directory, |h| h.set_mode(0o777))
            .with("d/sub", EntryType::Directory, |h| h.set_mode(0o777))
            .symlink("d", "real")
            .unpack(*form);
        out.done();
        assert_eq!(symlink_metadata(out.path("real")).unwrap().mode() & 0o777, 0o700);
        let out = Archive::new().dir("d").file("d/f", b"").symlink("d", "..").file("d/canary", b"x").unpack(*form);
        assert!(out.path("canary").exists());
    }
}

#[test]
fn whiteouts_of_nothing_sensible() {
    for name in [".wh.", ".wh..", ".wh...", "d/.wh.", "d/.wh..", "d/.wh..."] {
        invalid(Archive::new().dir("d").file(name, b""), "names no file");
    }
    invalid(Archive::new().file(".wh.d/f", b""), "whiteout is used as a directory");
    invalid(Archive::new().symlink("s", "/etc").hard_link("h", "s/.wh.x"), "not in this layer");
}

#[test]
fn overlays_own_devices_and_attributes() {
    let device = |h: &mut tar::Header| {
        h.set_device_major(0).unwrap();
        h.set_device_minor(0).unwrap();
    };
    invalid(Archive::new().with("c", EntryType::Char, device), "0/0 device");
    let names = [
        "trusted.overlay.opaque",
        "user.overlay.opaque",
        "user.overlay.redirect",
        "trusted.overlay.redirect",
        "user.overlay.metacopy",
        "security.selinux",
        "trusted.x",
        "system.posix_acl_access",
    ];
    for form in forms() {
        let keys: Vec<_> = names.iter().map(|n| format!("SCHILY.xattr.{n}")).collect();
        let records: Vec<(&str, &[u8])> = keys.iter().map(|k| (k.as_str(), &b"y"[..])).collect();
        let out = Archive::new().pax(&records).dir("d").pax(&records).file("f", b"").unpack(*form);
        out.done();
        for (path, name) in names.iter().flat_map(|n| [("d", n), ("f", n)]) {
            assert_eq!(xattr(&out, path, name).filter(|v| v == b"y"), None, "{path} {name}");
        }
    }
}

#[test]
fn pax_size_rules_over_the_headers() {
    // The header says 0, PAX says 1536: what a careless reader takes for an entry is data (CVE-2025-62518).
    let inner = Archive::new().file("smuggled", b"evil").0;
    let outer = |size: u64| {
        let mut h = header(b"outer", EntryType::Regular);
        h.set_size(size);
        Archive::new().pax(&[("size", inner.len().to_string().as_bytes())]).raw(h, &inner).file("after", b"").end()
    };
    for size in [0, 512, 1 << 33] {
        let out = unpack_bytes(&outer(size), Form::User);
        assert_eq!(out.done().entries, 2);
        assert!(!out.path("smuggled").exists() && out.path("after").exists());
        assert_eq!(symlink_metadata(out.path("outer")).unwrap().len(), inner.len() as u64);
    }
}

#[test]
fn sizes_in_entries_without_data_are_ignored() {
    for kind in [EntryType::Directory, EntryType::Symlink, EntryType::Link, EntryType::Fifo] {
        let out = Archive::new()
            .file("t", b"")
            .with("x", kind, |h| {
                h.set_size(4096);
                h.set_link_name("t").unwrap();
            })
            .file("after", b"1")
            .unpack(Form::User);
        assert_eq!((out.done().entries, out.read("after")), (3, "1".into()), "{kind:?}");
    }
}

#[test]
fn sizes_that_cannot_be() {
    let negative = |h: &mut tar::Header| h.as_old_mut().size = [0xff; 12];
    invalid(Archive::new().with("f", EntryType::Regular, negative), "negative");
    invalid(Archive::new().with("f", EntryType::XHeader, negative), "negative");
    invalid(pax_file(&[("size", b"-1")]), "negative");
    invalid(pax_file(&[("size", b"18446744073709551615")]), "negative");
    invalid(pax_file(&[("size", b"9223372036854775807")]), "ends within");
    invalid(Archive::new().with("f", EntryType::Regular, |h| h.set_size(1 << 40)), "ends within");
    invalid(Archive::new().with("f", EntryType::XHeader, |h| h.set_size(1 << 40)), "1 MiB");
    invalid(Archive::new().with("f", EntryType::GNULongName, |h| h.set_size((1 << 20) + 1)), "1 MiB");
    invalid(pax_file(&[("uid", b"-1")]), "owner");
    invalid(pax_file(&[("gid", b"4294967295")]), "owner");
    invalid(Archive::new().with("f", EntryType::new(b'?'), |_| {}), "unknown type");
}

#[test]
fn giant_headers_within_the_bound_pass() {
    let comment = vec![b'c'; 1_000_000];
    let out = Archive::new().pax(&[("comment", &comment)]).file("f", b"").unpack(Form::User);
    assert_eq!(out.done().entries, 1);
}

#[test]
fn global_headers_change_nothing() {
    let body = record("size", b"512");
    let out = Archive::new().entry(header(b"g", EntryType::XGlobalHeader), &body).file("f", b"").unpack(Form::User);
    assert_eq!(symlink_metadata(out.path("f")).unwrap().len(), 0);
}

#[test]
fn sparse_maps_are_bounded_before_they_are_allocated() {
    let map = |size: &'static [u8]| {
        [("GNU.sparse.major", &b"1"[..]), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", size)]
    };
    let data = |text: &[u8]| {
        let mut data = text.to_vec();
        data.resize(512, 0);
        data
    };
    let sparse = |size, text: &[u8]| Archive::new().pax(&map(size)).file("s", &data(text));
    invalid(sparse(b"10", b"4000000000\n"), "65536 stretches");
    invalid(sparse(b"10", b"99999999999999999999999999\n"), "malformed");
    invalid(sparse(b"10", b"1\n"), "malformed");
    invalid(sparse(b"10", b"1\n5\n"), "malformed");
    invalid(sparse(b"10", b"1\n5\n9\n"), "does not fit");
    let error = sparse(b"9000000000000000000", b"0\n").refused();
    assert_eq!(error.kind(), Kind::LimitExceeded, "{error}");
    let mut endless = header(b"s", EntryType::GNUSparse);
    endless.as_gnu_mut().unwrap().isextended[0] = 1;
    endless.as_gnu_mut().unwrap().set_real_size(10);
    let mut blocks = Archive::new().raw(endless, &[]);
    let mut block = [b'1'; 512];
    block[504] = 1;
    (0..4000).for_each(|_| blocks.0.extend_from_slice(&block));
    let error = blocks.refused();
    assert_eq!(error.kind(), Kind::InvalidImage, "{error}");
}

#[test]
fn deep_trees() {
    let deep = "d/".repeat(2000);
    let out = Archive::new()
        .pax(&[("path", format!("{deep}f").as_bytes())])
        .file("x", b"")
        .pax(&[("path", format!("{deep}g").as_bytes())])
        .file("x", b"")
        .unpack(Form::User);
    assert!(out.done().size_on_disk >= 2000 * 4096);
}

#[test]
fn no_links_lead_deeper_than_a_path_can_name() {
    let (down, long) = ("x/".repeat(2000), format!("{}f", "y/".repeat(60)));
    let begun = || Archive::new().symlink("a", "x").pax(&[("linkpath", down.as_bytes())]).symlink("b", "x");
    let below = |path: &str| format!("b/{path}");
    invalid(begun().file(&below(&long), b""), "4095 bytes");
    invalid(begun().dir(&below(&"d".repeat(98))), "4095 bytes");
    invalid(begun().pax(&[("path", format!("b/{down}").as_bytes())]).dir("x"), "4095 bytes");
    // A chain of links, each of which leads on from where the one before led to.
    let chain = begun().pax(&[("linkpath", format!("b/{}", "x/".repeat(1000)).as_bytes())]).symlink("c", "x");
    invalid(chain.file("c/f", b""), "4095 bytes");
    // What goes down and up again makes as many as it likes of one name.
    let turning = |links: usize| {
        (0..links).fold(Archive::new(), |archive, n| {
            let turns = (0..500).map(|turn| format!("{turn:x}/../")).collect::<String>();
            let on = if n > 0 { format!("../l{}", n - 1) } else { String::new() };
            let target = format!("d{n}/{turns}{on}");
            archive.pax(&[("linkpath", target.as_bytes())]).symlink(&format!("l{n}"), "x")
        })
    };
    invalid(turning(20).file("l19/f", b""), "4096 missing");
}

#[test]
fn directories_that_are_implied_count() {
    let unpack = |max_entries| {
        let archive = Archive::new().file(&format!("{}f", "d/".repeat(40)), b"").end();
        unpack_reader(&archive[..], Compression::None, UnpackOptions { max_entries, ..OPTIONS })
    };
    assert_eq!(unpack(40).error().kind(), Kind::LimitExceeded);
    let out = unpack(41);
    assert_eq!((out.done().entries, out.done().implied), (1, 40));
}

#[test]
fn a_deep_tree_that_is_replaced_takes_few_descriptors() {
    let deep = "d/".repeat(2000);
    for form in forms() {
        let begun = Archive::new().pax(&[("path", format!("{deep}f").as_bytes())]).file("x", b"");
        assert_eq!(begun.file("d", b"new").unpack(*form).read("d"), "new");
    }
}

#[test]
fn many_entries_take_little_time_and_are_all_there() {
    let archive = (0..20_000).fold(Archive::new(), |a, i| a.file(&format!("d{}/f{i}", i % 7), b"x"));
    let out = archive.unpack(Form::User);
    let count = |d: usize| std::fs::read_dir(out.path(&format!("d{d}"))).unwrap().count();
    assert_eq!((out.done().entries, (0..7).map(count).sum::<usize>()), (20_000, 20_000));
}

#[test]
fn two_unpacks_at_once_do_not_meet() {
    let archive =
        |i: usize| (0..300).fold(Archive::new(), |a, n| a.file(&format!("f{n}"), i.to_string().as_bytes())).end();
    std::thread::scope(|scope| {
        for i in 0..4 {
            scope.spawn(move || {
                let out = unpack_bytes(&archive(i), Form::User);
                out.done();
                assert!((0..300).all(|n| out.read(&format!("f{n}")) == i.to_string()));
            });
        }
    });
}

#[test]
fn the_process_keeps_its_umask_and_directory() {
    let status = || {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        status.lines().find(|l| l.starts_with("Umask:")).unwrap().to_owned()
    };
    let (umask, cwd) = (status(), std::env::current_dir().unwrap());
    Archive::new().file("f", b"").unpack(Form::User).done();
    assert_eq!((umask, cwd), (status(), std::env::current_dir().unwrap()));
}
