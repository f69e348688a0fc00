//! New volumes get what the image has at their place: all of it or nothing, whoever starts beside and whatever fails.

#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AtFlags, Flock, FlockArg, OFlag, openat};
use nix::sys::stat::{Mode, UtimensatFlags, fstatat, mkdirat, utimensat};
use nix::sys::time::TimeSpec;

use super::tests::{Box_, bind};
use crate::error::Kind;
use crate::plan::launch::{LaunchPlan, MountStep};
use crate::store::tests::disk::{on_tmpfs, resize};

const LEVELS: u32 = 1000;
/// At each level: what is read before and behind the directory that leads on, in whatever order a file system has.
const NAMES: [&str; 4] = ["a", "d", "y", "z"];

fn below(dir: &OwnedFd) -> OwnedFd {
    openat(dir, "d", OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap()
}

fn opened(dir: &Path) -> OwnedFd {
    File::open(dir).unwrap().into()
}

/// Modes and times of a directory's entries, in order of their names.
fn seen(dir: &OwnedFd) -> Vec<(u32, i64)> {
    let stat = |name| fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW).unwrap();
    NAMES.into_iter().map(stat).map(|stat| (stat.st_mode, stat.st_mtime)).collect()
}

fn volume_at(volume: String) -> impl Fn(&mut LaunchPlan) {
    move |plan| plan.mounts.push(MountStep { copy_up: true, ..bind(volume.clone(), "/data", 0) })
}

fn listed(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// A box whose image has files in `/data`, and an empty volume.
fn with_data(files: &[(&str, usize)]) -> Box_ {
    let b = Box_::new();
    fs::create_dir(b.path("volume")).unwrap();
    fs::create_dir_all(b.path("rootfs/data/sub")).unwrap();
    for (name, size) in files {
        fs::write(b.path(&format!("rootfs/data/{name}")), vec![b'x'; *size]).unwrap();
    }
    fs::set_permissions(b.path("rootfs/data"), fs::Permissions::from_mode(0o751)).unwrap();
    b
}

#[test]
fn a_deep_tree_comes_whole() {
    let b = with_data(&[]);
    let mut dir = opened(Path::new(&b.path("rootfs/data")));
    for level in 0..LEVELS {
        NAMES.iter().for_each(|name| mkdirat(&dir, *name, Mode::from_bits_truncate(0o711)).unwrap());
        let (upper, time) = (dir, TimeSpec::new(1_000_000 + i64::from(level), 0));
        dir = below(&upper);
        utimensat(&upper, "z", &time, &time, UtimensatFlags::NoFollowSymlink).unwrap();
    }
    let (status, _) = b.sh("exit 3", volume_at(b.path("volume")));
    assert_eq!(status, 3);
    let (mut from, mut to) = (opened(Path::new(&b.path("rootfs/data"))), opened(Path::new(&b.path("volume"))));
    for level in 0..LEVELS {
        assert_eq!(seen(&to), seen(&from), "level {level}");
        (from, to) = (below(&from), below(&to));
    }
}

#[test]
fn what_was_filled_in_part_is_filled_anew() {
    let b = with_data(&[("one", 5), ("two", 5)]);
    let volume = Path::new(&b.path("volume")).to_owned();
    // One byte: who filled it first was killed.
    fs::write(b.path("volume.filling"), "1").unwrap();
    fs::create_dir_all(volume.join("sub/of a killed one")).unwrap();
    fs::write(volume.join("one"), "x").unwrap();
    let start = || b.sh("cat /data/one", volume_at(b.path("volume")));
    assert_eq!(start(), (0, "xxxxx".into()));
    assert_eq!(listed(&volume), ["one", "sub", "two"]);
    assert_eq!(listed(&volume.join("sub")), Vec::<String>::new());
    let (meta, image) = (fs::metadata(&volume).unwrap(), fs::metadata(b.path("rootfs/data")).unwrap());
    assert_eq!((meta.mode(), meta.mtime()), (image.mode(), image.mtime()));
    // What is in one that is whole stays.
    fs::write(volume.join("one"), "own").unwrap();
    fs::remove_file(volume.join("two")).unwrap();
    assert_eq!(start(), (0, "own".into()));
    assert_eq!(listed(&volume), ["one", "sub"]);
}

#[test]
fn all_that_start_at_once_see_all_of_it() {
    let files: Vec<_> = (0..400).map(|n| format!("f{n}")).collect();
    let boxes: Vec<_> = (0..8).map(|_| with_data(&files.iter().map(|f| (f.as_str(), 9)).collect::<Vec<_>>())).collect();
    let volume = boxes[0].path("volume");
    std::thread::scope(|scope| {
        let start = |b: &Box_| b.sh("set -- /data/f*; echo $#; cat /data/f* | wc -c", volume_at(volume.clone()));
        let all: Vec<_> = boxes.iter().map(|b| scope.spawn(move || start(b))).collect();
        for one in all {
            assert_eq!(one.join().unwrap(), (0, "400\n3600\n".into()));
        }
    });
    assert_eq!(listed(Path::new(&volume)).len(), 401);
}

/// Neither bytes nor names that a disk has no room for.
#[test]
fn one_that_there_is_no_room_for_stays_empty() {
    for (tight, roomy) in [("size=64k", "size=4m"), ("nr_inodes=4", "nr_inodes=100")] {
        on_tmpfs(tight, |disk| {
            let b = with_data(&[("one", 40_000), ("three", 10), ("two", 40_000), ("zero", 0)]);
            let data = disk.join("_data");
            fs::create_dir(&data).unwrap();
            let text = data.display().to_string();
            let volume = volume_at(text.clone());
            let error = b.fails(&["true"], &volume);
            assert_eq!((error.kind(), error.exit_code()), (Kind::NoSpace, 125), "{error}");
            assert!(error.to_string().contains("/data") || error.to_string().contains(&text), "{error}");
            assert_eq!(listed(&data), Vec::<String>::new(), "{tight}");
            resize(disk, roomy);
            assert_eq!(b.sh("ls /data", volume), (0, "one\nsub\nthree\ntwo\nzero\n".into()));
        });
    }
}

/// In the place of each node that is made a link, as soon as it is there, as another container of the volume would.
fn put_links(volume: &Path, links: &Path, names: &[String], done: &AtomicBool) {
    for name in names {
        let (node, link) = (volume.join(name), links.join(name));
        while fs::symlink_metadata(&node).is_err() {
            if done.load(Ordering::Relaxed) {
                return;
            }
        }
        fs::rename(link, node).unwrap();
    }
}

#[test]
fn a_node_that_becomes_a_link_meanwhile_leads_no_mode_out() {
    let b = with_data(&[]);
    let data = Path::new(&b.path("rootfs/data")).to_owned();
    for n in 0..400 {
        let fifo = data.join(format!("n{n}"));
        nix::unistd::mkfifo(&fifo, Mode::empty()).unwrap();
        fs::set_permissions(fifo, fs::Permissions::from_mode(0o4777)).unwrap();
    }
    // In the order in which they are met.
    let names = fs::read_dir(&data).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
    let names: Vec<_> = names.filter(|name| name.starts_with('n')).collect();
    let victim = b.path("victim");
    fs::write(&victim, "").unwrap();
    fs::set_permissions(&victim, fs::Permissions::from_mode(0o600)).unwrap();
    for round in 0..20 {
        let (volume, links) = (b.path(&format!("volume{round}")), b.path(&format!("links{round}")));
        [&volume, &links].into_iter().for_each(|dir| fs::create_dir(dir).unwrap());
        names.iter().for_each(|name| symlink(&victim, Path::new(&links).join(name)).unwrap());
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| put_links(Path::new(&volume), Path::new(&links), &names, &done));
            let ended = b.try_sh("true", volume_at(volume.clone()));
            done.store(true, Ordering::Relaxed);
            if let Err(error) = ended {
                assert_eq!(error.exit_code(), 125, "{error}");
            }
        });
        assert_eq!(fs::metadata(&victim).unwrap().mode() & 0o7777, 0o600, "round {round}");
    }
}

/// Of the volume that [`with_data`] makes.
fn state(b: &Box_) -> File {
    File::options().read(true).write(true).create(true).truncate(false).open(b.path("volume.filling")).unwrap()
}

fn held(file: File) -> Flock<File> {
    Flock::lock(file, FlockArg::LockExclusive).map_err(|(_, e)| e).unwrap()
}

/// Until as many processes wait for the lock of a file as have it open: they look again and again.
fn await_opened(file: &Path, by: usize) {
    let of = |process: fs::DirEntry| fs::read_dir(process.path().join("fd")).into_iter().flatten().flatten();
    let opens = || {
        let links = fs::read_dir("/proc").unwrap().flatten().flat_map(of);
        links.filter(|link| fs::read_link(link.path()).is_ok_and(|to| to == file)).count()
    };
    while opens() < by {
        std::thread::yield_now();
    }
}

/// Who waits for the volume finds that another has filled it, and has emptied it and put its own there meanwhile.
#[test]
fn what_a_container_has_put_there_stays() {
    let b = with_data(&[("one", 5)]);
    let volume = Path::new(&b.path("volume")).to_owned();
    let lock = held(state(&b));
    lock.set_len(1).unwrap();
    std::thread::scope(|scope| {
        let second = scope.spawn(|| b.sh("ls /data", volume_at(b.path("volume"))));
        await_opened(Path::new(&b.path("volume.filling")), 2);
        fs::write(volume.join("own"), "").unwrap();
        lock.set_len(2).unwrap();
        drop(lock);
        assert_eq!(second.join().unwrap(), (0, "own\n".into()));
    });
    assert_eq!(listed(&volume), ["own"]);
}

/// An older version noted nothing, and containers can put anything into a volume.
#[test]
fn a_volume_s_files_tell_nothing_of_its_state() {
    let b = with_data(&[("one", 5)]);
    let volume = Path::new(&b.path("volume")).to_owned();
    fs::write(volume.join(".sampan-filling"), "").unwrap();
    let foreign = held(File::open(volume.join(".sampan-filling")).unwrap());
    let inside = held(File::open(&volume).unwrap());
    assert_eq!(b.sh("ls -A /data", volume_at(b.path("volume"))), (0, ".sampan-filling\n".into()));
    drop((foreign, inside));
    assert_eq!(state(&b).metadata().unwrap().len(), 2);
}

/// Once containers have it, a copy that fails removes nothing: what is there may be theirs.
#[test]
fn one_that_was_used_is_not_emptied_after_a_failure() {
    on_tmpfs("size=64k", |disk| {
        let b = with_data(&[("one", 40_000), ("two", 40_000)]);
        let text = disk.join("_data").display().to_string();
        fs::create_dir(&text).unwrap();
        fs::write(disk.join("_data.filling"), "22").unwrap();
        assert_eq!(b.fails(&["true"], volume_at(text.clone())).kind(), Kind::NoSpace);
        assert_ne!(listed(Path::new(&text)), Vec::<String>::new());
    });
}

/// What could not be noted at its end would be told as the end of a container that was killed.
#[test]
fn none_is_started_whose_end_there_is_no_room_to_note() {
    on_tmpfs("size=16k", |disk| {
        let (b, dir) = (Box_::new(), disk.display().to_string());
        let with_room = |pages: usize| {
            let _ = fs::remove_file(disk.join("exit.json"));
            fs::write(disk.join("filler"), vec![b'x'; (4 - pages) * 4096]).unwrap();
            |plan: &mut LaunchPlan| plan.supervise.dir = dir.clone()
        };
        for pages in [0, 1] {
            let error = b.fails(&["true"], with_room(pages));
            assert_eq!(error.kind(), Kind::NoSpace, "{error}");
            assert_eq!(listed(disk), ["filler"]);
        }
        let (status, _) = b.sh("exit 3", with_room(2));
        assert_eq!(status, 3);
        let exit: serde_json::Value = serde_json::from_slice(&fs::read(disk.join("exit.json")).unwrap()).unwrap();
        assert_eq!(exit["code"], 3);
    });
}
