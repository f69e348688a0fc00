//! The same rules compiled by libseccomp must give the same verdicts. It is loaded when the test runs, not linked.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::io::{Read, Seek};
use std::mem::transmute;
use std::os::fd::{AsRawFd, RawFd};

use super::super::{arch::X32_BIT, compile, default};
use super::{Action, Arch, Call, Compare, DOCKERS, Policy, Rule, Words, around, machine};
use crate::capability;

#[repr(C)]
struct Comparison {
    argument: u32,
    operator: u32,
    first: u64,
    second: u64,
}

type Context = *mut c_void;
type Init = unsafe extern "C" fn(u32) -> Context;
type Release = unsafe extern "C" fn(Context);
type ArchAdd = unsafe extern "C" fn(Context, u32) -> c_int;
type Resolve = unsafe extern "C" fn(*const c_char) -> c_int;
type ResolveIn = unsafe extern "C" fn(u32, *const c_char) -> c_int;
type RuleAdd = unsafe extern "C" fn(Context, u32, c_int, u32, *const Comparison) -> c_int;
type Export = unsafe extern "C" fn(Context, RawFd) -> c_int;

/// The functions of seccomp.h that are used.
struct Libseccomp {
    init: Init,
    release: Release,
    arch_add: ArchAdd,
    resolve: Resolve,
    resolve_in: ResolveIn,
    rule_add: RuleAdd,
    export: Export,
}

impl Libseccomp {
    fn open() -> Libseccomp {
        // SAFETY: a plain dlopen of a system library, and functions of the types that seccomp.h declares.
        unsafe {
            let library = libc::dlopen(c"libseccomp.so.2".as_ptr(), libc::RTLD_NOW);
            assert!(!library.is_null(), "libseccomp.so.2 is not there: apt install libseccomp2");
            let find = |name: &CStr| {
                let found = libc::dlsym(library, name.as_ptr());
                assert!(!found.is_null(), "libseccomp has no {name:?}");
                found
            };
            Libseccomp {
                init: transmute::<Context, Init>(find(c"seccomp_init")),
                release: transmute::<Context, Release>(find(c"seccomp_release")),
                arch_add: transmute::<Context, ArchAdd>(find(c"seccomp_arch_add")),
                resolve: transmute::<Context, Resolve>(find(c"seccomp_syscall_resolve_name")),
                resolve_in: transmute::<Context, ResolveIn>(find(c"seccomp_syscall_resolve_name_arch")),
                rule_add: transmute::<Context, RuleAdd>(find(c"seccomp_rule_add_array")),
                export: transmute::<Context, Export>(find(c"seccomp_export_bpf")),
            }
        }
    }

    /// Its number for a call; `None` for one that it does not know there.
    fn number(&self, arch: Arch, name: &str) -> Option<u32> {
        let name = CString::new(name).unwrap();
        // SAFETY: a token of seccomp.h and a string.
        u32::try_from(unsafe { (self.resolve_in)(token(arch), name.as_ptr()) }).ok()
    }

    /// Numbers to compare: up to the newest call that it knows, but for those that only we know.
    fn calls(&self, policy: &Policy, arch: Arch) -> Vec<u32> {
        let names = || policy.rules.iter().flat_map(|rule| &rule.names);
        let ours_only: Vec<u32> =
            names().filter(|name| self.number(arch, name).is_none()).filter_map(|name| arch.number(name)).collect();
        let newest = names().filter_map(|name| self.number(arch, name)).filter(|number| number & !X32_BIT < 1000).max();
        let base = if arch == Arch::X32 { X32_BIT } else { 0 };
        (base..=newest.unwrap_or(base)).filter(|number| !ours_only.contains(number)).collect()
    }

    /// The native architecture is the policy's first.
    fn compile(&self, policy: &Policy) -> Vec<u8> {
        // SAFETY: an action of seccomp.h.
        let context = unsafe { (self.init)(policy.default.value()) };
        assert!(!context.is_null());
        for arch in &policy.arches[1..] {
            // SAFETY: the context lives until it is released below.
            assert_eq!(unsafe { (self.arch_add)(context, token(*arch)) }, 0);
        }
        for (rule, name) in policy.rules.iter().flat_map(|rule| rule.names.iter().map(move |name| (rule, name))) {
            self.add(context, rule, name);
        }
        let program = self.exported(context);
        // SAFETY: it is not used again.
        unsafe { (self.release)(context) };
        program
    }

    fn add(&self, context: Context, rule: &Rule, name: &str) {
        let conditions: Vec<Comparison> = rule.conditions.iter().map(comparison).collect();
        let text = CString::new(name).unwrap();
        // SAFETY: a string.
        let number = unsafe { (self.resolve)(text.as_ptr()) };
        if number == UNKNOWN {
            return;
        }
        let count = conditions.len() as u32;
        // SAFETY: the context is alive and the comparisons are as many as said.
        let added = unsafe { (self.rule_add)(context, rule.action.value(), number, count, conditions.as_ptr()) };
        assert_eq!(added, 0, "{name}");
    }

    fn exported(&self, context: Context) -> Vec<u8> {
        let mut file = tempfile::tempfile().unwrap();
        // SAFETY: the context is alive.
        assert_eq!(unsafe { (self.export)(context, file.as_raw_fd()) }, 0);
        let mut program = Vec::new();
        file.rewind().unwrap();
        file.read_to_end(&mut program).unwrap();
        program
    }
}

/// `__NR_SCMP_ERROR`.
const UNKNOWN: c_int = -1;

/// `SCMP_ARCH_*` of seccomp.h.
fn token(arch: Arch) -> u32 {
    if arch == Arch::X32 { 0x4000_003e } else { arch.audit() }
}

fn comparison(condition: &super::super::Condition) -> Comparison {
    let (operator, first, second) = match condition.compare {
        Compare::NotEqual => (1, condition.value, 0),
        Compare::Less => (2, condition.value, 0),
        Compare::LessOrEqual => (3, condition.value, 0),
        Compare::Equal => (4, condition.value, 0),
        Compare::GreaterOrEqual => (5, condition.value, 0),
        Compare::Greater => (6, condition.value, 0),
        Compare::MaskedEqual(mask) => (7, mask, condition.value),
    };
    Comparison { argument: u32::from(condition.argument), operator, first, second }
}

/// Every number up to the newest that both know, with every argument that could tell.
fn hold_against(library: &Libseccomp, policy: &Policy) -> usize {
    let (ours, theirs) = (compile(policy).unwrap(), library.compile(policy));
    let mut compared = 0;
    for arch in &policy.arches {
        let words = Words::of(policy, *arch);
        for call in library.calls(policy, *arch).into_iter().flat_map(|number| calls(*arch, number, &words)) {
            assert_eq!(machine::run(&ours, &call), machine::run(&theirs, &call), "{arch:?} {call:?}");
            compared += 1;
        }
    }
    compared
}

fn calls(arch: Arch, number: u32, words: &Words) -> Vec<Call> {
    // On a 32-bit machine no argument has a high half; libseccomp takes x32 for one.
    let mask = if matches!(arch, Arch::X86 | Arch::X32 | Arch::Arm) { 0xffff_ffff } else { u64::MAX };
    let args = words.telling_arguments(number).into_iter().map(|args| args.map(|arg| arg & mask));
    args.map(|args| Call { audit: arch.audit(), number, args }).collect()
}

#[test]
fn numbers_are_the_same() {
    let library = Libseccomp::open();
    let names: Vec<String> =
        default::policy(&around(Arch::X86_64, capability::ALL)).rules.into_iter().flat_map(|rule| rule.names).collect();
    let mut compared = 0;
    for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm] {
        for name in &names {
            if let Some(theirs) = library.number(arch, name) {
                assert_eq!(arch.number(name), Some(theirs), "{arch:?} {name}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1500, "{compared}");
}

#[test]
fn the_default_profile_gives_the_same_verdicts() {
    let library = Libseccomp::open();
    for capabilities in [0, DOCKERS, capability::ALL] {
        let mut policy = default::policy(&around(Arch::NATIVE, capabilities));
        // It takes no rule whose action is the default; those on `socket` have a test of their own.
        policy.rules.retain(|rule| rule.names != ["socket"]);
        assert!(hold_against(&library, &policy) > 1000);
    }
}

#[test]
fn every_action_and_comparison_gives_the_same_verdicts() {
    let library = Libseccomp::open();
    let actions =
        [Action::KillProcess, Action::KillThread, Action::Trap, Action::Errno(5), Action::Trace(9), Action::Log];
    let comparisons = [
        Compare::NotEqual,
        Compare::Less,
        Compare::LessOrEqual,
        Compare::Equal,
        Compare::GreaterOrEqual,
        Compare::Greater,
        Compare::MaskedEqual(0xf0_0000_00ff),
    ];
    for (action, compare) in actions.into_iter().flat_map(|action| comparisons.map(|compare| (action, compare))) {
        let condition = super::super::Condition { argument: 1, compare, value: 0x30_0000_0007 };
        let rules = vec![Rule { names: vec!["ioctl".into(), "write".into()], action, conditions: vec![condition] }];
        hold_against(&library, &Policy { default: Action::Allow, arches: vec![Arch::NATIVE], rules });
    }
}
