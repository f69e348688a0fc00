use super::*;
use std::os::unix::fs::{PermissionsExt, symlink};

fn dir() -> tempfile::TempDir {
    // In memory where that is possible: thousands of files are made here.
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

#[test]
fn replace_leaves_the_old_or_the_new() {
    let d = dir();
    let (file, staged) = (d.path().join("f"), d.path().join("s"));
    replace(&file, &staged, b"one").unwrap();
    replace(&file, &staged, b"two").unwrap();
    assert_eq!(read_bounded(&file, 3).unwrap(), b"two");
    assert!(replace(&d.path().join("missing/f"), &staged, b"x").is_err());
    assert!(!staged.exists());
}

#[test]
fn reads_are_bounded_and_of_regular_files_only() {
    let d = dir();
    let file = d.path().join("f");
    write_new(&file, b"12345").unwrap();
    assert_eq!(write_new(&file, b"").unwrap_err().kind(), Kind::AlreadyExists);
    assert_eq!(read_bounded(&file, 4).unwrap_err().kind(), Kind::LimitExceeded);
    symlink(&file, d.path().join("l")).unwrap();
    assert!(open(&d.path().join("l")).is_err());
    nix::unistd::mkfifo(&d.path().join("p"), nix::sys::stat::Mode::S_IRUSR).unwrap();
    assert_eq!(open(&d.path().join("p")).unwrap_err().kind(), Kind::Store);
    assert_eq!(read_if_exists(&d.path().join("none"), 1).unwrap(), None);
    assert_eq!(read_if_exists(&file.join("below"), 1).unwrap(), None);
}

#[test]
fn rename_noreplace_keeps_what_is_there() {
    let d = dir();
    let (a, b) = (d.path().join("a"), d.path().join("b"));
    write_new(&a, b"a").unwrap();
    write_new(&b, b"b").unwrap();
    assert!(!rename_noreplace(&a, &b).unwrap());
    assert!(!link_noreplace(&a, &b).unwrap());
    assert_eq!(read_bounded(&b, 9).unwrap(), b"b");
    remove_file(&b).unwrap();
    assert!(link_noreplace(&a, &b).unwrap());
    assert!(!a.exists());
}

#[test]
fn rename_noreplace_keeps_a_full_directory() {
    let d = dir();
    let (a, b) = (d.path().join("a"), d.path().join("b"));
    for x in [&a, &b] {
        make_dirs(x).unwrap();
        write_new(&x.join("f"), b"").unwrap();
    }
    assert!(!rename_noreplace(&a, &b).unwrap());
    assert!(!link_noreplace(&a, &b).unwrap());
}

#[test]
fn remove_tree_spares_what_symlinks_point_to() {
    let d = dir();
    let (tree, kept) = (d.path().join("tree"), d.path().join("kept"));
    make_dirs(&tree.join("sub/empty")).unwrap();
    make_dirs(&kept).unwrap();
    write_new(&kept.join("f"), b"x").unwrap();
    symlink(&kept, tree.join("sub/link")).unwrap();
    write_new(&tree.join("sub/f"), b"x").unwrap();
    std::fs::set_permissions(tree.join("sub"), std::fs::Permissions::from_mode(0o000)).unwrap();
    remove_tree(&tree).unwrap();
    remove_tree(&tree).unwrap();
    assert!(!tree.exists() && kept.join("f").exists());
    symlink(&kept, d.path().join("link")).unwrap();
    remove_tree(&d.path().join("link")).unwrap();
    assert!(kept.join("f").exists());
}

#[test]
fn remove_tree_goes_as_deep_as_the_tree() {
    let d = dir();
    let tree = d.path().join("deep");
    make_dirs(&tree).unwrap();
    let mut at = open_dir(&tree).unwrap();
    // Far past PATH_MAX and past any limit of descriptors.
    for _ in 0..3000 {
        nix::sys::stat::mkdirat(&at, "dddd", nix::sys::stat::Mode::S_IRWXU).unwrap();
        let flags = nix::fcntl::OFlag::O_DIRECTORY | nix::fcntl::OFlag::O_CLOEXEC;
        at = nix::fcntl::openat(&at, "dddd", flags, nix::sys::stat::Mode::empty()).unwrap();
    }
    remove_tree(&tree).unwrap();
    assert_eq!(list(d.path()).unwrap().len(), 0);
}

#[test]
fn two_may_remove_one_tree() {
    let d = dir();
    for round in 0..20 {
        let tree = d.path().join(round.to_string());
        for n in 0..60 {
            let sub = tree.join(format!("{}/{}/{n}", n % 3, n % 5));
            make_dirs(&sub).unwrap();
            write_new(&sub.join("f"), b"").unwrap();
        }
        std::thread::scope(|scope| {
            let removers: Vec<_> = (0..4).map(|_| scope.spawn(|| remove_tree(&tree))).collect();
            removers.into_iter().for_each(|r| r.join().unwrap().unwrap());
        });
        assert!(!tree.exists());
    }
}

#[test]
fn sizes_add_up() {
    let d = dir();
    make_dirs(&d.path().join("a")).unwrap();
    write_new(&d.path().join("a/f"), b"12345").unwrap();
    write_new(&d.path().join("g"), b"12").unwrap();
    assert_eq!(tree_size(d.path()), 7);
    assert_eq!(tree_size(&d.path().join("g")), 2);
    assert_eq!(tree_size(&d.path().join("none")), 0);
}

/// Without SELinux its attribute is root's to set as any other.
#[test]
fn a_tree_is_relabelled_through_no_link() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (top, other) = (dir.path(), outside.path().join("file"));
    std::fs::create_dir_all(top.join("a/b")).unwrap();
    for file in [&top.join("a/b/file"), &other] {
        std::fs::write(file, "x").unwrap();
    }
    std::os::unix::fs::symlink(&other, top.join("a/link")).unwrap();
    std::os::unix::fs::symlink(outside.path(), top.join("a/dir")).unwrap();
    std::fs::hard_link(top.join("a/b/file"), top.join("same")).unwrap();
    relabel(top, "u:object_r:t:s0:c1,c2").unwrap();
    let found = |path: &Path| label(path).ok().flatten();
    for path in ["", "a", "a/b", "a/b/file", "same"] {
        assert_eq!(found(&top.join(path)).as_deref(), Some("u:object_r:t:s0:c1,c2"), "{path}");
    }
    assert_eq!((found(&other), found(outside.path())), (None, None));
    // By the link that is named itself.
    std::os::unix::fs::symlink(top, outside.path().join("named")).unwrap();
    relabel(&outside.path().join("named"), "u:object_r:t:s0").unwrap();
    assert_eq!(found(&top.join("a/b/file")).as_deref(), Some("u:object_r:t:s0"));
}

#[test]
fn a_tree_that_is_too_deep_to_be_relabelled_is_told() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("d/".repeat(200))).unwrap();
    let error = relabel(dir.path(), "u:object_r:t:s0").unwrap_err();
    assert!(error.kind() == Kind::LimitExceeded && error.to_string().contains("128"), "{error}");
}
