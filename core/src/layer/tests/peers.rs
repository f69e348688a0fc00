//! The same archives by GNU tar and Python's `tarfile`: as writers of what we read, GNU tar also as the
//! extractor we are compared with. Skipped where they aren't installed.

use std::collections::BTreeMap;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use super::archive::*;
use crate::layer::Form;

/// All that can be told of the files below: type and mode, owner, time, size, link target, content.
fn tell(root: &Path) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    tell_into(root, root, &mut all);
    all
}

fn tell_into(root: &Path, dir: &Path, all: &mut BTreeMap<String, String>) {
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        let (path, m) = (entry.path(), entry.metadata().unwrap());
        let content = match m.file_type() {
            t if t.is_symlink() => format!("{:?}", std::fs::read_link(&path).unwrap()),
            t if t.is_file() => format!("{:?} {}", std::fs::read(&path).unwrap(), m.nlink()),
            t if t.is_char_device() => m.rdev().to_string(),
            _ => String::new(),
        };
        let told = format!("{:o} {}:{} {}.{} {content}", m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
        all.insert(path.strip_prefix(root).unwrap().to_string_lossy().into_owned(), told);
        if m.is_dir() {
            tell_into(root, &path, all);
        }
    }
}

/// A tree with a bit of everything that this user can make.
fn tree(root: &Path) {
    std::fs::create_dir_all(root.join("d/e/empty")).unwrap();
    std::fs::write(root.join("d/f"), "text").unwrap();
    std::fs::write(root.join("d/ü \n\\odd"), "odd").unwrap();
    std::fs::hard_link(root.join("d/f"), root.join("d/e/f2")).unwrap();
    symlink("../d/f", root.join("d/e/s")).unwrap();
    let long = root.join("l".repeat(150));
    std::fs::create_dir(&long).unwrap();
    std::fs::write(long.join("m".repeat(150)), vec![9; 70_000]).unwrap();
    let holes = std::fs::File::create(root.join("holes")).unwrap();
    for offset in [0u64, 100_000, 500_000, 900_000, 1_300_000, 1_700_000] {
        std::os::unix::fs::FileExt::write_all_at(&holes, b"data", offset).unwrap();
    }
    holes.set_len(2_000_000).unwrap();
    nix::unistd::mkfifo(&root.join("fifo"), nix::sys::stat::Mode::from_bits_truncate(0o600)).unwrap();
    for (path, mode) in [("d/f", 0o4751), ("d/e", 0o1777), ("d", 0o2750)] {
        std::fs::set_permissions(root.join(path), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    if nix::unistd::geteuid().is_root() {
        std::os::unix::fs::lchown(root.join("d/e/s"), Some(1000), Some(50)).unwrap();
        std::os::unix::fs::chown(root.join("holes"), Some(70_000), Some(3)).unwrap();
    }
}

fn run(program: &str, arguments: &[&str]) -> Option<()> {
    let done = Command::new(program).args(arguments).output().ok()?;
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
    Some(())
}

/// Unpacks `archive` as GNU tar does, and compares all.
fn compare(archive: &Path, form: Form, what: &str) {
    let ours = unpack_bytes(&std::fs::read(archive).unwrap(), form);
    ours.done();
    let theirs = tempfile::tempdir().unwrap();
    let (archive, into) = (archive.to_str().unwrap(), theirs.path().to_str().unwrap());
    run("tar", &["-xpf", archive, "-C", into, "--numeric-owner", "--delay-directory-restore"]).unwrap();
    let (ours, theirs) = (tell(&ours.path("")), tell(theirs.path()));
    assert_eq!(ours.keys().collect::<Vec<_>>(), theirs.keys().collect::<Vec<_>>(), "{what}");
    for (path, told) in &ours {
        assert!(*told == theirs[path], "{what}: {path}: {:.120} | {:.120}", told, theirs[path]);
    }
}

fn form() -> Form {
    forms()[0]
}

#[test]
fn as_gnu_tar_in_all_its_formats() {
    let dir = tempfile::tempdir().unwrap();
    let (root, archive) = (dir.path().join("root"), dir.path().join("a.tar"));
    tree(&root);
    let formats: [&[&str]; 6] = [
        &["--format=gnu"],
        &["--format=gnu", "--sparse"],
        &["--format=posix"],
        &["--format=posix", "--sparse", "--sparse-version=1.0"],
        &["--format=posix", "--sparse", "--sparse-version=0.1"],
        &["--format=posix", "--sparse", "--sparse-version=0.0"],
    ];
    for format in formats {
        let (file, root) = (archive.to_str().unwrap(), root.to_str().unwrap());
        let arguments = [&["-cf", file, "-C", root, "--numeric-owner"], format, &["."]].concat();
        if run("tar", &arguments).is_none() {
            return;
        }
        compare(&archive, form(), &format.join(" "));
    }
}

#[test]
fn what_python_writes() {
    let dir = tempfile::tempdir().unwrap();
    let (root, archive) = (dir.path().join("root"), dir.path().join("a.tar"));
    tree(&root);
    for format in ["GNU_FORMAT", "PAX_FORMAT"] {
        let script = format!(
            "import sys, tarfile\nwith tarfile.open(sys.argv[1], 'w', format=tarfile.{format}) as t: t.add(sys.argv[2], '.')"
        );
        if run("python3", &["-c", &script, archive.to_str().unwrap(), root.to_str().unwrap()]).is_none() {
            return;
        }
        // GNU tar and Python agree on all but fractions of seconds, which only PAX has.
        compare(&archive, form(), format);
    }
}
