//! `cp`, in both directions and as archives.

use std::fs;

use crate::host::Host;

#[test]
fn files_go_in_and_come_out() {
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir(at("site")).unwrap();
    fs::write(at("site/index"), "hello").unwrap();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    host.ok(&["create", "--name", "waits", "box", "cat", "/site/index"]);
    for name in ["c", "waits"] {
        assert_eq!(host.ok(&["cp", &at("site"), &format!("{name}:/")]), "");
        host.ok(&["container", "cp", "-q", &format!("{name}:/site/index"), &at("back")]);
        assert_eq!(fs::read_to_string(at("back")).unwrap(), "hello");
        fs::remove_file(at("back")).unwrap();
    }
    assert_eq!(host.ok(&["start", "-a", "waits"]), "hello");
    let none = host.run(&["cp", "c:/none", &at("x")]);
    assert_eq!(none.code, 1);
    assert!(none.stderr.contains("/none: no such file or directory"), "{none:?}");
    for wrong in [["c:/a", "c:/b"], ["/a", "/b"], ["-", "-"]] {
        assert_ne!(host.run(&["cp", wrong[0], wrong[1]]).code, 0, "{wrong:?}");
    }
}

#[test]
fn archives_go_through_the_standard_streams() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sh", "-c", "mkdir /d; echo inside >/d/f; sleep 1000"]);
    host.ok(&["exec", "c", "sh", "-c", "until [ -s /d/f ]; do :; done"]);
    host.ok(&["run", "-d", "--name", "other", "box", "sleep", "1000"]);
    let archive = host.command(&["cp", "c:/d", "-"]).output().unwrap();
    assert!(archive.status.success() && archive.stdout.len() > 1024, "{archive:?}");
    let put = host.feed(&["cp", "-", "other:/tmp"], &archive.stdout);
    assert_eq!((put.code, put.stderr.as_str()), (0, ""));
    assert_eq!(host.ok(&["exec", "other", "cat", "/tmp/d/f"]), "inside");
    let onto = host.feed(&["cp", "-", "other:/tmp/d/f"], &archive.stdout);
    assert!(onto.code == 1 && onto.stderr.contains("not a directory"), "{onto:?}");
}
