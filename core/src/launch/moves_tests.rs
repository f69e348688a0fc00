//! What is one user's goes to another in trees that are deeper than there are descriptors.

use std::fs::File;
use std::os::fd::OwnedFd;

use nix::fcntl::{AtFlags, OFlag, openat};
use nix::sys::stat::{Mode, fstatat, mkdirat};

use super::supervise_tests::many_ids;
use super::{HelperSource, apply_owners, remove_trees};

const LEVELS: u32 = 1500;
/// At each level: what is read before and behind the directory that leads on, in whatever order a file system has.
const NAMES: [&str; 4] = ["a", "d", "y", "z"];

fn below(dir: &OwnedFd) -> OwnedFd {
    openat(dir, "d", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
}

#[test]
fn all_of_a_deep_tree_moves() {
    let Some(map) = many_ids() else { return };
    // In memory where there is room: a disk takes its time for so many directories.
    let memory = std::path::Path::new("/dev/shm");
    let temp = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap();
    let mode = Mode::from_bits_truncate(0o755);
    let root = || OwnedFd::from(File::open(temp.path()).unwrap());
    let mut dir = root();
    for _ in 0..LEVELS {
        NAMES.iter().for_each(|name| mkdirat(&dir, *name, mode).unwrap());
        dir = below(&dir);
    }
    let (path, helper) = (temp.path().to_str().unwrap(), HelperSource::default());
    apply_owners(Some(&map), path, &[], &[], &[((0, 0), (33, 34))], &helper).unwrap();
    let expected = (map.uids[1].outside + 32, map.gids[1].outside + 33);
    dir = root();
    for level in 0..LEVELS {
        for name in NAMES {
            let stat = fstatat(&dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).unwrap();
            assert_eq!((stat.st_uid, stat.st_gid), expected, "{name} at level {level}");
        }
        dir = below(&dir);
    }
    let left = NAMES.map(|name| format!("{path}/{name}"));
    remove_trees(Some(&map), &left, &helper).unwrap();
}
