//! What every filter of a container without namespaces refuses, whatever the profile says.

use super::{Action, Circumstances, Compare, Condition, Policy, Rule};

/// All calls, as the word `unconfined` has them: what is refused in any case needs a filter.
pub const UNCONFINED: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"]
}"#;

const EPERM: Action = Action::Errno(1);
const EROFS: Action = Action::Errno(30);
const ENOSYS: Action = Action::Errno(38);

/// The policy of a container in these circumstances. Of rules with conditions the first that holds counts, and on what is
/// refused outright no other has a say.
pub fn guarded(mut policy: Policy, around: &Circumstances) -> Policy {
    if !around.without_namespaces {
        return policy;
    }
    let mut rules = in_any_case();
    if around.read_only {
        rules.extend(files_as_they_are());
    }
    if around.read_only && around.kernel < KNOWING_LENGTHS {
        rules.extend(lengths_as_they_are());
    }
    let outright: Vec<&String> = rules.iter().filter(|r| r.conditions.is_empty()).flat_map(|r| &r.names).collect();
    policy.rules.iter_mut().for_each(|rule| rule.names.retain(|name| !outright.contains(&name)));
    rules.append(&mut policy.rules);
    Policy { rules, ..policy }
}

fn refuse(action: Action, names: &str, conditions: &[Condition]) -> Rule {
    let names = names.split_whitespace().map(str::to_owned).collect();
    Rule { names, action, conditions: conditions.to_vec() }
}

/// The kernel looks at the low half of a process id alone, which is zero wherever the whole is.
fn given(argument: u8) -> Condition {
    Condition { argument, compare: Compare::NotEqual, value: 0 }
}

/// Of arguments that the kernel takes for 32 bits.
fn masked(argument: u8, mask: u64, value: u64) -> Condition {
    Condition { argument, compare: Compare::MaskedEqual(mask), value }
}

fn is(argument: u8, value: u64) -> Condition {
    masked(argument, 0xffff_ffff, value)
}

const PRIO_USER: u64 = 2;
const IOPRIO_WHO_USER: u64 = 3;
/// They make and change subvolumes of btrfs: the first two by copying the one that a directory is in, with all that is no
/// container's (`BTRFS_IOC_SNAP_CREATE`, `_V2`, `_SUBVOL_CREATE`, `_V2`, `_SUBVOL_SETFLAGS`).
const SUBVOLUMES: [u64; 5] = [0x5000_9401, 0x5000_9417, 0x5000_940e, 0x5000_9418, 0x4008_941a];

/// What is other processes', in which Landlock has no say: a process without CPU time left is killed, one with the
/// lowest priority waits. What is submitted to io_uring no filter sees. Keys are those of the host's users.
fn in_any_case() -> Vec<Rule> {
    let mut rules = vec![
        refuse(EPERM, "prlimit64", &[given(0), given(2)]),
        refuse(EPERM, "sched_setaffinity sched_setattr sched_setparam sched_setscheduler", &[given(0)]),
        refuse(EPERM, "setpriority ioprio_set", &[given(1)]),
        refuse(EPERM, "setpriority", &[is(0, PRIO_USER)]),
        refuse(EPERM, "ioprio_set", &[is(0, IOPRIO_WHO_USER)]),
        refuse(EPERM, "io_uring_setup io_uring_enter io_uring_register add_key keyctl request_key", &[]),
    ];
    rules.extend(SUBVOLUMES.map(|request| refuse(EPERM, "ioctl", &[is(1, request)])));
    rules
}

/// What changes a file without writing to it.
const ATTRIBUTES: &str = "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime utimes \
    futimesat utimensat utimensat_time64 setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr fremovexattr \
    removexattrat file_setattr";
/// Requests of file systems, by their second byte (linux/fs.h): flags, versions, projects, fs-verity.
const OF_FILES: [u64; 4] = [b'f' as u64, b'v' as u64, b'X' as u64, 0xf5];
/// Handing data to the kernel and getting none (`_IOW`), as what changes something does, but for the requests after it. What
/// goes both ways asks, as `FS_IOC_FIEMAP` and `FS_IOC_MEASURE_VERITY` do.
const GIVING: u64 = 0x4000_0000;
const BOTH_WAYS: u64 = 0xc000_0000;
/// What goes both ways and changes something, whatever its size: encryption keys (23 to 25), `EXT4_IOC_MOVE_EXT`,
/// `F2FS_IOC_DEFRAGMENT` and `_MOVE_RANGE`, `XFS_IOC_SCRUB_METADATA` and `_SWAPEXT`, `FIFREEZE`, `FITHAW`, `FITRIM`.
const EXCHANGING: [u64; 11] = [0x6617, 0x6618, 0x6619, 0x660f, 0xf508, 0xf509, 0x583c, 0x586d, 0x5877, 0x5878, 0x5879];
const FS_IOC_SET_ENCRYPTION_POLICY: u64 = 0x800c_6613;

/// As on a file system that is mounted read-only.
fn files_as_they_are() -> Vec<Rule> {
    let mut rules =
        vec![refuse(EROFS, ATTRIBUTES, &[]), refuse(EROFS, "ioctl", &[is(1, FS_IOC_SET_ENCRYPTION_POLICY)])];
    let requests = |mask, value| refuse(EROFS, "ioctl", &[masked(1, BOTH_WAYS | mask, value)]);
    rules.extend(OF_FILES.map(|kind| requests(0xff00, GIVING | kind << 8)));
    rules.extend(EXCHANGING.map(|request| requests(0xffff, BOTH_WAYS | request)));
    rules
}

/// Landlock of version 3 keeps files from being cut.
const KNOWING_LENGTHS: (u32, u32) = (6, 2);
const O_TRUNC: u64 = 0o1000;
const O_ACCMODE: u64 = 3;

/// Where a file is opened to be written to Landlock is asked, but it may be cut by one who only reads, or does neither.
/// The flags of `openat2` lie behind a pointer: who calls it goes on to `openat`.
fn lengths_as_they_are() -> Vec<Rule> {
    let cutting =
        |call, argument, access| refuse(EROFS, call, &[masked(argument, O_TRUNC | O_ACCMODE, O_TRUNC | access)]);
    let mut rules = vec![refuse(EROFS, "truncate truncate64", &[]), refuse(ENOSYS, "openat2", &[])];
    rules.extend(
        [0, O_ACCMODE].into_iter().flat_map(|access| [cutting("open", 1, access), cutting("openat", 2, access)]),
    );
    rules
}
