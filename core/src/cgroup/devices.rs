//! Device rules on cgroup v2: a program that the kernel asks at each open and each mknod (cgroup-v2.rst, "Device
//! controller"; Linux 4.15). v1 has files for them.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use serde::Serialize;

use crate::error::{Context, Result};
use crate::fs;

/// Asked for by `mknod(2)`.
pub const MKNOD: u32 = 1;
/// Asked for by opening to read.
pub const READ: u32 = 2;
/// Asked for by opening to write.
pub const WRITE: u32 = 4;

/// One rule; of those that match what is asked, or a part of it, the last counts for that. `None` is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct DeviceRule {
    /// Allow or deny.
    pub allow: bool,
    /// Block (true) or character device.
    pub block: Option<bool>,
    /// Major number.
    pub major: Option<u32>,
    /// Minor number.
    pub minor: Option<u32>,
    /// [`MKNOD`], [`READ`] and [`WRITE`].
    pub access: u32,
}

/// `struct bpf_insn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
struct Instruction {
    code: u8,
    /// Destination in the low half, source in the high one.
    registers: u8,
    offset: i16,
    immediate: i32,
}

const LOAD: u8 = 0x61;
const MOVE: u8 = 0xb4;
const MOVE_REGISTER: u8 = 0xbc;
const SHIFT_RIGHT: u8 = 0x74;
const AND: u8 = 0x54;
const SKIP_IF_EQUAL: u8 = 0x15;
const SKIP_UNLESS_EQUAL: u8 = 0x55;
const EXIT: u8 = 0x95;

// Registers: the verdict, the context and then a scratch, what is asked, the kind, the numbers.
const VERDICT: u8 = 0;
const SCRATCH: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;

fn on(code: u8, register: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: register, offset: 0, immediate }
}

/// Reads `struct bpf_cgroup_dev_ctx`, tries the rules from the last to the first, and allows what none matches.
fn program(rules: &[DeviceRule]) -> Vec<Instruction> {
    let field = |register, offset| Instruction { code: LOAD, registers: register | SCRATCH << 4, offset, immediate: 0 };
    let copy = Instruction { code: MOVE_REGISTER, registers: ACCESS | KIND << 4, offset: 0, immediate: 0 };
    // The kind is in the low half of the first word, what is asked in the high one.
    let mut all = vec![field(KIND, 0), field(MAJOR, 4), field(MINOR, 8), copy];
    all.extend([on(SHIFT_RIGHT, ACCESS, 16), on(AND, KIND, 0xffff)]);
    rules.iter().rev().for_each(|rule| all.extend(attempt(rule)));
    all.extend([on(MOVE, VERDICT, 1), on(EXIT, 0, 0)]);
    all
}

/// Ends with the rule's verdict, or goes on behind it. Reading, writing and making are ruled each for itself, as if they were
/// asked for one after the other: v1 adds up what rules of one number allow.
fn attempt(rule: &DeviceRule) -> Vec<Instruction> {
    const BLOCK: i32 = 1;
    const CHARACTER: i32 = 2;
    let mut steps = Vec::new();
    if let Some(block) = rule.block {
        steps.push(on(SKIP_UNLESS_EQUAL, KIND, if block { BLOCK } else { CHARACTER }));
    }
    steps.extend(rule.major.map(|number| on(SKIP_UNLESS_EQUAL, MAJOR, number as i32)));
    steps.extend(rule.minor.map(|number| on(SKIP_UNLESS_EQUAL, MINOR, number as i32)));
    match rule.allow {
        // What it allows is asked no more; the rest is for the rules before it.
        true => steps.extend([on(AND, ACCESS, !rule.access as i32), on(SKIP_UNLESS_EQUAL, ACCESS, 0)]),
        // To be denied any of it is enough.
        false => {
            steps.push(Instruction { code: MOVE_REGISTER, registers: SCRATCH | ACCESS << 4, offset: 0, immediate: 0 });
            steps.extend([on(AND, SCRATCH, rule.access as i32), on(SKIP_IF_EQUAL, SCRATCH, 0)]);
        }
    }
    steps.extend([on(MOVE, VERDICT, i32::from(rule.allow)), on(EXIT, 0, 0)]);
    let count = steps.len();
    for (at, step) in steps.iter_mut().enumerate().filter(|(_, s)| [SKIP_IF_EQUAL, SKIP_UNLESS_EQUAL].contains(&s.code))
    {
        step.offset = (count - 1 - at) as i16;
    }
    steps
}

/// Holds a cgroup to the rules. They are asked besides those of the cgroups above it. With `may_lack` nothing is done, and
/// nothing said, where the kernel has no such rules or this process no right to give any.
///
/// # Errors
/// `PermissionDenied` for a plain user.
pub fn attach(dir: &Path, rules: &[DeviceRule], may_lack: bool) -> Result<()> {
    let group = fs::open_dir(dir)?;
    match load(&program(rules)).and_then(|program| attach_to(&group, &program)) {
        Err(errno) if may_lack && LACKING.contains(&errno) => Ok(()),
        done => done.context("hold to device rules", dir.display()),
    }
}

/// No `bpf`, no programs for devices; no right to them or, before Linux 5.11, to the memory that they take.
const LACKING: [Errno; 4] = [Errno::ENOSYS, Errno::EINVAL, Errno::EPERM, Errno::EACCES];

fn load(instructions: &[Instruction]) -> nix::Result<OwnedFd> {
    const PROG_LOAD: i32 = 5;
    const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    /// The head of `union bpf_attr` for this command; the kernel takes the rest for zero.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
        rest: [u64; 4],
    }
    let licence: &CStr = c"Apache-2.0";
    let load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count: instructions.len() as u32,
        instructions: instructions.as_ptr() as u64,
        license: licence.as_ptr() as u64,
        rest: [0; 4],
    };
    // SAFETY: the struct is the head of the union, and what it points to outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    // SAFETY: the call made it, and nobody else knows it.
    Errno::result(fd).map(|fd| unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

fn attach_to(group: &OwnedFd, program: &OwnedFd) -> nix::Result<()> {
    const PROG_ATTACH: i32 = 8;
    const CGROUP_DEVICE: u32 = 6;
    const ALLOW_MULTI: u32 = 2;
    // `target_fd attach_bpf_fd attach_type attach_flags replace_bpf_fd`.
    let attach = [group.as_raw_fd() as u32, program.as_raw_fd() as u32, CGROUP_DEVICE, ALLOW_MULTI, 0];
    // SAFETY: the array is the head of the union.
    let done = unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, attach.as_ptr(), size_of_val(&attach)) };
    Errno::result(done).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As the kernel runs it: kind and what is asked, major, minor.
    fn verdict(rules: &[DeviceRule], kind: u32, access: u32, major: u32, minor: u32) -> bool {
        let program = program(rules);
        let context = [access << 16 | kind, major, minor];
        let (mut registers, mut at) = ([0u32; 6], 0usize);
        loop {
            let i = program[at];
            let (to, from) = (usize::from(i.registers & 15), usize::from(i.registers >> 4));
            at += 1;
            match i.code {
                LOAD => registers[to] = context[i.offset as usize / 4],
                MOVE => registers[to] = i.immediate as u32,
                MOVE_REGISTER => registers[to] = registers[from],
                SHIFT_RIGHT => registers[to] >>= i.immediate,
                AND => registers[to] &= i.immediate as u32,
                SKIP_IF_EQUAL if registers[to] == i.immediate as u32 => at += i.offset as usize,
                SKIP_UNLESS_EQUAL if registers[to] != i.immediate as u32 => at += i.offset as usize,
                SKIP_IF_EQUAL | SKIP_UNLESS_EQUAL => {}
                EXIT => return registers[0] == 1,
                other => panic!("code {other:#x}"),
            }
        }
    }

    fn rule(allow: bool, block: Option<bool>, major: Option<u32>, minor: Option<u32>, access: u32) -> DeviceRule {
        DeviceRule { allow, block, major, minor, access }
    }

    #[test]
    fn the_last_rule_that_matches_counts() {
        let all = READ | WRITE | MKNOD;
        let rules = [
            rule(false, None, None, None, all),
            rule(true, Some(false), Some(1), Some(3), all),
            rule(true, Some(true), Some(8), None, READ),
            rule(false, Some(true), Some(8), Some(1), READ),
        ];
        let (block, character) = (1, 2);
        assert!(verdict(&rules, character, READ | WRITE, 1, 3));
        assert!(!verdict(&rules, block, READ, 1, 3));
        assert!(!verdict(&rules, character, READ, 1, 4));
        assert!(verdict(&rules, block, READ, 8, 2));
        assert!(!verdict(&rules, block, READ | WRITE, 8, 2));
        assert!(!verdict(&rules, block, READ, 8, 1));
        assert!(verdict(&[], character, READ, 9, 9));
    }

    #[test]
    fn what_is_asked_at_once_may_be_allowed_one_by_one() {
        let all = READ | WRITE | MKNOD;
        let nothing = rule(false, None, None, None, all);
        let of_42 = |allow, minor, access| rule(allow, Some(false), Some(42), minor, access);
        let asked = |rules: &[DeviceRule], access| verdict(rules, 2, access, 42, 7);
        let apart = [nothing, of_42(true, None, READ), rule(true, None, Some(9), None, all), of_42(true, None, WRITE)];
        assert!(asked(&apart, READ | WRITE) && asked(&apart, READ) && !asked(&apart, all));
        // What was denied in between stays so, for whom it was denied.
        let denied = [nothing, of_42(true, None, READ), of_42(false, Some(7), READ), of_42(true, None, WRITE)];
        assert!(!asked(&denied, READ | WRITE) && asked(&denied, WRITE) && verdict(&denied, 2, READ | WRITE, 42, 8));
        let again = [&denied[..], &[of_42(true, Some(7), READ)]].concat();
        assert!(asked(&again, READ | WRITE));
        let last = [&apart[..], &[of_42(false, None, WRITE)]].concat();
        assert!(!asked(&last, READ | WRITE) && asked(&last, READ));
    }

    /// Any cgroup2 will do, also one without controllers beside those of v1, and one that is mounted nowhere yet.
    #[allow(clippy::disallowed_methods)]
    #[test]
    fn the_kernel_takes_it_and_holds_to_it() {
        // A plain user can neither make a cgroup there nor load programs.
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        // Mounted in a namespace of one thread's own; the directory is removed where nothing is mounted on it.
        let top = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                mount_cgroup2(top.path());
                holds(&top.path().join(format!("sampan-test-devices-{}", std::process::id())));
            });
        });
    }

    /// No cgroup is another fault than no programs.
    #[test]
    fn what_is_lacking_is_passed_over_and_nothing_else() {
        let plain = tempfile::tempdir().unwrap();
        let lacking = load(&program(&[])).is_err();
        assert_eq!(attach(plain.path(), &[], true).is_ok(), lacking);
        assert!(attach(plain.path(), &[], false).is_err());
    }

    fn mount_cgroup2(top: &Path) {
        use nix::mount::{MsFlags, mount};
        const NONE: Option<&str> = None;
        nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).unwrap();
        mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
        mount(Some("cgroup2"), top, Some("cgroup2"), MsFlags::empty(), NONE).unwrap();
    }

    #[allow(clippy::disallowed_methods)]
    fn holds(dir: &Path) {
        std::fs::create_dir(dir).unwrap();
        let [zero, full] =
            [5, 7].map(|minor| move |allow, access| rule(allow, Some(false), Some(1), Some(minor), access));
        let both = [full(false, READ | WRITE), full(true, READ), full(true, WRITE)];
        let attached = attach(dir, &[&both[..], &[zero(false, READ)]].concat(), false);
        let script = format!(
            "echo 0 > {}/cgroup.procs; (: < /dev/null) && echo null; (: < /dev/zero) || echo refused; \
             (: <> /dev/full) && echo both",
            dir.display()
        );
        let output = std::process::Command::new("sh").args(["-c", &script]).output().unwrap();
        let gone = std::fs::remove_dir(dir);
        attached.unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "null\nrefused\nboth\n");
        gone.unwrap();
    }
}
