use super::super::{Condition, arch::X32_BIT, compile, default, default_filter};
use super::{Action, Arch, Call, Compare, DOCKERS, Policy, Rule, Words, around, machine};
use crate::capability;

fn rule(name: &str, action: Action, conditions: Vec<Condition>) -> Rule {
    Rule { names: vec![name.into()], action, conditions }
}

fn verdict(policy: &Policy, arch: Arch, number: u32, args: [u64; 6]) -> u32 {
    machine::run(&compile(policy).unwrap(), &Call { audit: arch.audit(), number, args })
}

/// Every number of every architecture, with every argument that could tell.
fn hold_against_words(policy: &Policy) -> usize {
    let program = compile(policy).unwrap();
    let mut compared = 0;
    for arch in &policy.arches {
        let words = Words::of(policy, *arch);
        let base = if *arch == Arch::X32 { X32_BIT } else { 0 };
        for number in base..=words.newest().min(base + 600) {
            for args in words.telling_arguments(number) {
                let call = Call { audit: arch.audit(), number, args };
                assert_eq!(machine::run(&program, &call), words.verdict(&call).value(), "{arch:?} {call:?}");
                compared += 1;
            }
        }
    }
    compared
}

#[test]
fn the_default_profile_does_what_it_says() {
    for arch in [Arch::X86_64, Arch::Aarch64] {
        for capabilities in [0, DOCKERS, capability::ALL] {
            assert!(hold_against_words(&default::policy(&around(arch, capabilities))) > 1000);
        }
    }
}

/// `SAMPAN_UPDATE=1` writes them anew.
#[allow(clippy::disallowed_methods)] // A file of the sources, not of the library.
#[test]
fn the_prepared_programs_are_those_that_would_be_compiled() {
    let update = std::env::var_os("SAMPAN_UPDATE").is_some();
    for (arch, file) in [(Arch::X86_64, "x86_64"), (Arch::Aarch64, "aarch64")] {
        let compiled = compile(&default::policy(&around(arch, DOCKERS))).unwrap();
        let path = format!("{}/src/seccomp/prepared/{file}.bpf", env!("CARGO_MANIFEST_DIR"));
        match update {
            true => std::fs::write(path, &compiled).unwrap(),
            false => {
                let prepared = default_filter(&around(arch, DOCKERS)).unwrap();
                assert!(*prepared == compiled, "prepared/{file}.bpf is out of date: SAMPAN_UPDATE=1 writes it");
            }
        }
    }
}

#[test]
fn every_comparison_with_all_64_bits() {
    let value = 0x0000_0003_8000_0001;
    let all = [
        Compare::NotEqual,
        Compare::Less,
        Compare::LessOrEqual,
        Compare::Equal,
        Compare::GreaterOrEqual,
        Compare::Greater,
        Compare::MaskedEqual(0x0000_000f_f000_000f),
    ];
    for (argument, compare) in (0..6).flat_map(|argument| all.map(|compare| (argument, compare))) {
        let conditions = vec![Condition { argument, compare, value }];
        let rules = vec![rule("write", Action::Trap, conditions), rule("close", Action::Allow, vec![])];
        hold_against_words(&Policy { default: Action::Errno(1), arches: vec![Arch::X86_64], rules });
    }
}

#[test]
fn conditions_are_all_needed_and_rules_are_tried_in_order() {
    let equal = |argument, value| Condition { argument, compare: Compare::Equal, value };
    let rules = vec![
        rule("write", Action::Allow, vec![]),
        rule("write", Action::Errno(5), vec![equal(0, 1), equal(2, 7)]),
        rule("write", Action::KillProcess, vec![equal(0, 1)]),
    ];
    let policy = Policy { default: Action::Trap, arches: vec![Arch::X86_64], rules };
    let write = |args| verdict(&policy, Arch::X86_64, 1, args);
    assert_eq!(write([1, 0, 7, 0, 0, 0]), Action::Errno(5).value());
    assert_eq!(write([1, 0, 8, 0, 0, 0]), Action::KillProcess.value());
    assert_eq!(write([2, 0, 7, 0, 0, 0]), Action::Allow.value());
    assert_eq!(verdict(&policy, Arch::X86_64, 0, [0; 6]), Action::Trap.value());
}

#[test]
fn a_call_of_another_architecture_kills() {
    let policy = Policy {
        default: Action::Allow,
        arches: vec![Arch::X86_64],
        rules: vec![rule("write", Action::Errno(1), vec![])],
    };
    for (arch, number) in [(Arch::X86, 4), (Arch::X86_64, X32_BIT | 1), (Arch::X86_64, u32::MAX), (Arch::Aarch64, 64)] {
        assert_eq!(verdict(&policy, arch, number, [0; 6]), Action::KillProcess.value(), "{arch:?} {number:#x}");
    }
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let policy = default::policy(&around(Arch::X86_64, DOCKERS));
    let newest = Arch::X86_64.number("removexattrat").unwrap();
    assert_eq!(verdict(&policy, Arch::X86_64, newest, [0; 6]), Action::Allow.value());
    assert_eq!(verdict(&policy, Arch::X86_64, newest + 1, [0; 6]), Action::Errno(38).value());
    let nothing = Policy { default: Action::Errno(1), arches: vec![Arch::X86_64], rules: vec![] };
    assert_eq!(verdict(&nothing, Arch::X86_64, 0, [0; 6]), Action::Errno(1).value());
}

#[test]
fn what_the_kernel_would_not_take_is_refused_before() {
    let rules = (0..1000)
        .map(|value| rule("write", Action::Allow, vec![Condition { argument: 0, compare: Compare::Equal, value }]));
    let policy = Policy { default: Action::Trap, arches: vec![Arch::X86_64], rules: rules.collect() };
    let error = compile(&policy).unwrap_err();
    assert!(error.to_string().contains("4096"), "{error}");
}

#[test]
fn far_jumps_arrive() {
    let forty = |name| {
        let one = move |value| Condition { argument: 0, compare: Compare::Equal, value };
        (0..40).map(move |value| rule(name, Action::Errno(7), vec![one(value)]))
    };
    let rules = ["read", "open", "fstat", "lseek", "mmap", "brk"].into_iter().flat_map(forty).collect();
    hold_against_words(&Policy { default: Action::Allow, arches: vec![Arch::X86_64, Arch::X86], rules });
}

#[test]
fn x32_has_numbers_of_its_own() {
    assert_eq!(Arch::X32.number("write"), Some(X32_BIT | 1));
    assert_eq!(Arch::X32.number("execve"), Some(X32_BIT | 520));
    assert_eq!(Arch::X32.number("pwritev2"), Some(X32_BIT | 547));
    assert_eq!(Arch::X32.number("uselib"), None);
}

#[test]
fn sockets_of_the_kernel_itself_stay_shut_whatever_the_high_half_is() {
    let policy = default::policy(&around(Arch::X86_64, DOCKERS));
    let socket = |family| verdict(&policy, Arch::X86_64, 41, [family, 0, 0, 0, 0, 0]);
    for family in [38, 40, 38 | 1 << 32, 40 | 1 << 63] {
        assert_eq!(socket(family), Action::Errno(1).value(), "{family:#x}");
    }
    for family in [0, 1, 2, 10, 16, 17, 37, 39, 41, 45, 2 | 1 << 32] {
        assert_eq!(socket(family), Action::Allow.value(), "{family:#x}");
    }
}

#[test]
fn calls_of_arm_alone_do_not_make_others_known() {
    let policy = default::policy(&around(Arch::Aarch64, DOCKERS));
    let breakpoint = Arch::Arm.number("breakpoint").unwrap();
    assert_eq!(verdict(&policy, Arch::Arm, breakpoint, [0; 6]), Action::Allow.value());
    assert_eq!(verdict(&policy, Arch::Arm, breakpoint - 1, [0; 6]), Action::Errno(38).value());
    assert_eq!(verdict(&policy, Arch::Arm, 600, [0; 6]), Action::Errno(38).value());
}
