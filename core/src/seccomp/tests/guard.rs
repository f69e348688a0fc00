//! What containers without namespaces are refused by every number that a call has, whatever their profile says.

use super::super::{Circumstances, Filter, UNCONFINED, default_filter, filter_of};
use super::{Action, Arch, Call, DOCKERS, around, machine};
use std::sync::Arc;

const EPERM: u32 = 0x5_0001;
const EROFS: u32 = 0x5_001e;
const ENOSYS: u32 = 0x5_0026;
const ALLOW: u32 = 0x7fff_0000;

const ARCHES: [Arch; 5] = [Arch::X86_64, Arch::X32, Arch::X86, Arch::Aarch64, Arch::Arm];

/// A profile that allows this call expressly, by a condition as well.
fn expressly(call: &str) -> String {
    format!(
        r#"{{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"],
            "syscalls": [{{"names": ["{call}"], "action": "SCMP_ACT_ALLOW", "args": [{{"index": 2, "value": 7, "op": "SCMP_CMP_NE"}}]}},
                         {{"names": ["{call}"], "action": "SCMP_ACT_ALLOW"}}]}}"#
    )
}

fn bare(arch: Arch, read_only: bool, kernel: (u32, u32)) -> Circumstances {
    let native = if matches!(arch, Arch::Aarch64 | Arch::Arm) { Arch::Aarch64 } else { Arch::X86_64 };
    Circumstances { without_namespaces: true, read_only, kernel, ..around(native, DOCKERS) }
}

struct Guarded {
    read_only: bool,
    kernel: (u32, u32),
}

const WRITABLE: Guarded = Guarded { read_only: false, kernel: (6, 8) };
const READ_ONLY: Guarded = Guarded { read_only: true, kernel: (6, 8) };
/// Before Landlock knew of lengths.
const OLD: Guarded = Guarded { read_only: true, kernel: (6, 1) };

impl Guarded {
    /// What becomes of a call with these arguments, on each architecture that has it, by profiles that allow it.
    fn came(&self, call: &str, args: [u64; 6]) -> Vec<u32> {
        let has = |arch: &Arch| arch.number(call).map(|number| (*arch, number));
        let all: Vec<u32> = ARCHES
            .iter()
            .filter_map(has)
            .flat_map(|(arch, number)| {
                let around = bare(arch, self.read_only, self.kernel);
                let allowing = [UNCONFINED, &expressly(call)].map(|profile| filter_of(profile, &around).unwrap());
                let judge =
                    move |filter: &Arc<Filter>| machine::run(filter, &Call { audit: arch.audit(), number, args });
                allowing.iter().map(judge).collect::<Vec<_>>()
            })
            .collect();
        assert!(!all.is_empty(), "{call}");
        all
    }

    #[track_caller]
    fn gives(&self, verdict: u32, call: &str, args: [u64; 6]) {
        let came = self.came(call, args);
        assert!(came.iter().all(|one| *one == verdict), "{call} {args:x?}: {came:x?}");
    }
}

#[test]
fn other_processes_keep_their_limits_and_their_turns() {
    for (pid, new) in [(7, 4096), (7, 1 << 32), (u64::MAX, 1), (1 << 32 | 7, 1)] {
        WRITABLE.gives(EPERM, "prlimit64", [pid, 0, new, 0, 0, 0]);
    }
    for (pid, new) in [(0, 4096), (7, 0), (0, 0)] {
        WRITABLE.gives(ALLOW, "prlimit64", [pid, 0, new, 0, 0, 0]);
    }
    for call in ["sched_setaffinity", "sched_setattr", "sched_setparam", "sched_setscheduler"] {
        WRITABLE.gives(EPERM, call, [7, 0, 1, 0, 0, 0]);
        WRITABLE.gives(ALLOW, call, [0, 7, 1, 0, 0, 0]);
    }
    // Of a process, of a group, and of a user, who may be nought too.
    for (call, process, user) in [("setpriority", 0, 2), ("ioprio_set", 1, 3)] {
        for which in [process, process + 1, user, user | 1 << 32] {
            WRITABLE.gives(EPERM, call, [which, 7, 5, 0, 0, 0]);
        }
        WRITABLE.gives(EPERM, call, [user, 0, 5, 0, 0, 0]);
        WRITABLE.gives(EPERM, call, [user | 1 << 40, 0, 5, 0, 0, 0]);
        WRITABLE.gives(ALLOW, call, [process, 0, 5, 0, 0, 0]);
        WRITABLE.gives(ALLOW, call, [process + 1, 0, 5, 0, 0, 0]);
    }
}

#[test]
fn what_no_filter_sees_and_what_no_namespace_parts_is_refused() {
    for call in ["io_uring_setup", "io_uring_enter", "io_uring_register", "add_key", "keyctl", "request_key"] {
        WRITABLE.gives(EPERM, call, [0; 6]);
    }
    for subvolume in [0x5000_9401, 0x5000_940e, 0x5000_9417, 0x5000_9418, 0x4008_941a, 0x5000_9417 | 1 << 32] {
        WRITABLE.gives(EPERM, "ioctl", [3, subvolume, 0, 0, 0, 0]);
    }
    WRITABLE.gives(ALLOW, "ioctl", [3, 0x5401, 0, 0, 0, 0]);
    WRITABLE.gives(ALLOW, "ioctl", [3, 0x4004_9409, 4, 0, 0, 0]);
}

#[test]
fn files_keep_what_landlock_does_not_hold() {
    let calls = "chmod fchmod fchmodat fchmodat2 chown chown32 fchown fchown32 fchownat lchown lchown32 utime utimes \
        futimesat utimensat utimensat_time64 setxattr lsetxattr fsetxattr setxattrat removexattr lremovexattr \
        fremovexattr removexattrat file_setattr";
    for call in calls.split_whitespace() {
        READ_ONLY.gives(EROFS, call, [3, 0, 7, 0, 0, 0]);
        WRITABLE.gives(ALLOW, call, [3, 0, 7, 0, 0, 0]);
    }
    for attributes in
        [0x4008_6602, 0x4004_6602, 0x401c_5820, 0x4008_7602, 0x4080_6685, 0x800c_6613, 0x4008_6602 | 1 << 32]
    {
        READ_ONLY.gives(EROFS, "ioctl", [3, attributes, 0, 0, 0, 0]);
        WRITABLE.gives(ALLOW, "ioctl", [3, attributes, 0, 0, 0, 0]);
    }
    // Both ways: `FIFREEZE`, `FITRIM`, keys, extents that move.
    for changing in [0xc004_5877, 0xc018_5879, 0xc050_6617, 0xc040_6618, 0xc040_6619, 0xc028_660f] {
        READ_ONLY.gives(EROFS, "ioctl", [3, changing, 0, 0, 0, 0]);
        WRITABLE.gives(ALLOW, "ioctl", [3, changing, 0, 0, 0, 0]);
    }
    // `FS_IOC_FIEMAP`, `FS_IOC_MEASURE_VERITY`, `FS_IOC_GET_ENCRYPTION_POLICY_EX`, `_KEY_STATUS`, `FS_IOC_GETFSMAP`.
    for asked in [0xc020_660b, 0xc004_6686, 0xc009_6616, 0xc080_661a, 0xc0c0_583b] {
        READ_ONLY.gives(ALLOW, "ioctl", [3, asked, 0, 0, 0, 0]);
    }
    for asked in [0x8008_6601, 0x801c_581f, 0x5401, 0x541b, 0x4004_9409] {
        READ_ONLY.gives(ALLOW, "ioctl", [3, asked, 0, 0, 0, 0]);
    }
}

#[test]
fn files_keep_their_length_where_landlock_does_not_hold_it() {
    const TRUNCATE: u64 = 0o1000;
    let opened = |guarded: &Guarded, verdict, flags| {
        guarded.gives(verdict, "open", [1, flags, 0, 0, 0, 0]);
        guarded.gives(verdict, "openat", [1, 1, flags, 0, 0, 0]);
    };
    // For reading, and for neither reading nor writing; for writing Landlock is asked.
    for flags in [TRUNCATE, TRUNCATE | 3, TRUNCATE | 0o100, TRUNCATE | 1 << 32] {
        opened(&OLD, EROFS, flags);
        opened(&READ_ONLY, ALLOW, flags);
    }
    for flags in [0, 3, 0o100, TRUNCATE | 1, TRUNCATE | 2, TRUNCATE | 0o101] {
        opened(&OLD, ALLOW, flags);
    }
    for (call, verdict) in [("truncate", EROFS), ("truncate64", EROFS), ("openat2", ENOSYS)] {
        OLD.gives(verdict, call, [0; 6]);
        READ_ONLY.gives(ALLOW, call, [0; 6]);
    }
    OLD.gives(ALLOW, "ftruncate", [0; 6]);
}

#[test]
fn the_default_profile_is_guarded_too() {
    let came = |read_only, call, args| {
        let filter = default_filter(&bare(Arch::X86_64, read_only, (6, 8))).unwrap();
        machine::run(&filter, &Call { audit: Arch::X86_64.audit(), number: Arch::X86_64.number(call).unwrap(), args })
    };
    assert_eq!(came(false, "prlimit64", [7, 0, 1, 0, 0, 0]), EPERM);
    assert_eq!(came(false, "setpriority", [0, 7, 1, 0, 0, 0]), EPERM);
    assert_eq!((came(false, "chmod", [0; 6]), came(true, "chmod", [0; 6])), (ALLOW, EROFS));
    assert_eq!(came(true, "openat", [0; 6]), Action::Allow.value());
}
