//! Whether this user can make control groups here, asked of the kernel and not of the library: a test that tolerates
//! a refusal shows by it that the refusal is right.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// Whether memory, processes and CPU time of containers can be limited.
pub fn can_limit() -> bool {
    match mounted() {
        Mounted::V1(trees) => ["memory.limit_in_bytes", "pids.max", "cpu.cfs_quota_us"]
            .iter()
            .all(|file| trees.iter().any(|tree| has_below(tree, &[file]))),
        Mounted::V2(top) => own_and_above(&top).iter().any(|dir| {
            // What the library does first; refused where processes sit in that very cgroup.
            let _ = std::fs::write(dir.join("cgroup.subtree_control"), "+memory +pids +cpu");
            has_below(dir, &["memory.max", "pids.max", "cpu.max"])
        }),
        Mounted::None => false,
    }
}

/// Whether containers can be frozen.
pub fn can_pause() -> bool {
    match mounted() {
        Mounted::V1(trees) => trees.iter().any(|tree| has_below(tree, &["freezer.state"])),
        Mounted::V2(top) => own_and_above(&top).iter().any(|dir| has_below(dir, &["cgroup.freeze"])),
        Mounted::None => false,
    }
}

/// Whether a container's use of disks can be limited, and is counted.
pub fn has_block_io() -> bool {
    match mounted() {
        Mounted::V1(trees) => trees.iter().any(|tree| has_below(tree, &["blkio.throttle.read_bps_device"])),
        Mounted::V2(top) => own_and_above(&top).iter().any(|dir| {
            let _ = std::fs::write(dir.join("cgroup.subtree_control"), "+io");
            has_below(dir, &["io.max"])
        }),
        Mounted::None => false,
    }
}

enum Mounted {
    /// The tops of the hierarchies; there may be a cgroup2 beside them, without controllers.
    V1(Vec<PathBuf>),
    V2(PathBuf),
    None,
}

fn mounted() -> Mounted {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let of = |fstype: &str| -> Vec<&str> { mounts.lines().filter(|l| l.contains(&format!(" - {fstype} "))).collect() };
    let points = |lines: Vec<&str>| -> Vec<PathBuf> {
        lines.iter().filter_map(|line| line.split(' ').nth(4)).map(PathBuf::from).collect()
    };
    let v1 = of("cgroup");
    let is_memory = |line: &&str| line.rsplit([' ', ',']).any(|word| word == "memory");
    match (v1.iter().any(is_memory), points(of("cgroup2")).into_iter().next()) {
        (true, _) => Mounted::V1(points(v1)),
        (false, Some(top)) => Mounted::V2(top),
        (false, None) => Mounted::None,
    }
}

/// The cgroup that we are in and those above it.
fn own_and_above(top: &Path) -> Vec<PathBuf> {
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    top.join(own).ancestors().map(Path::to_owned).take_while(|dir| dir.starts_with(top)).collect()
}

/// Whether a cgroup can be made there, and has these files.
fn has_below(dir: &Path, files: &[&str]) -> bool {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let probe = dir.join(format!("sampan-test-probe-{}-{number}", std::process::id()));
    if std::fs::create_dir(&probe).is_err() {
        return false;
    }
    let has = files.iter().all(|file| probe.join(file).exists());
    std::fs::remove_dir(&probe).unwrap();
    has
}
