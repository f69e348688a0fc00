use super::super::{default, filter_of, read};
use super::{Action, Arch, Compare, DOCKERS, around};
use crate::capability;

fn policy(json: &str) -> super::Policy {
    read(json, &around(Arch::X86_64, DOCKERS)).unwrap()
}

fn refused(json: &str) -> String {
    read(json, &around(Arch::X86_64, DOCKERS)).unwrap_err().to_string()
}

#[test]
fn parts_depend_on_capabilities_architecture_and_kernel() {
    let json = r#"{"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 13, "syscalls": [
        {"names": ["a"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN"]}},
        {"names": ["b"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}},
        {"names": ["c"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_CHOWN", "CAP_SYS_ADMIN"]}},
        {"names": ["d"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64", "amd64"]}},
        {"names": ["e"], "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"names": ["f"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.1"}},
        {"names": ["g"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "6.2"}},
        {"name": "h", "action": "SCMP_ACT_LOG"}]}"#;
    let policy = policy(json);
    let names: Vec<&str> = policy.rules.iter().flat_map(|rule| &rule.names).map(String::as_str).collect();
    assert_eq!((policy.default, names), (Action::Errno(13), vec!["a", "d", "f", "h"]));
}

#[test]
fn architectures_in_either_form() {
    let map = r#"{"defaultAction": "SCMP_ACT_KILL", "archMap": [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]}]}"#;
    assert_eq!(policy(map).arches, [Arch::X86_64, Arch::X86]);
    let list = r#"{"defaultAction": "SCMP_ACT_KILL", "architectures": ["SCMP_ARCH_X32", "SCMP_ARCH_X86_64", "SCMP_ARCH_PPC64"]}"#;
    assert_eq!(policy(list).arches, [Arch::X86_64, Arch::X32]);
}

#[test]
fn an_argument_compared_twice_gives_alternatives() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["write"], "action": "SCMP_ACT_ERRNO",
        "args": [{"index": 0, "value": 1, "op": "SCMP_CMP_EQ"}, {"index": 0, "value": 255, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}]}]}"#;
    let rules = policy(json).rules;
    assert_eq!(rules.iter().map(|rule| rule.conditions.len()).collect::<Vec<_>>(), [1, 1]);
    assert_eq!((rules[1].conditions[0].compare, rules[1].conditions[0].value), (Compare::MaskedEqual(255), 3));
}

#[test]
fn what_is_no_profile_is_named() {
    assert!(refused("{").contains("profile"));
    assert!(refused(r#"{"defaultAction": "SCMP_ACT_SMILE"}"#).contains("SCMP_ACT_SMILE"));
    let call = |rest: &str| {
        refused(&format!(
            r#"{{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{{"action": "SCMP_ACT_ERRNO", {rest}}}]}}"#
        ))
    };
    assert!(call(r#""names": []"#).contains("syscalls[0]"));
    assert!(call(r#""names": ["a"], "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]"#).contains("0 to 5"));
    assert!(call(r#""names": ["a"], "args": [{"index": 0, "value": 0, "op": "EQ"}]"#).contains("\"EQ\""));
    assert!(call(r#""names": ["a"], "includes": {"caps": ["CAP_FLY"]}"#).contains("CAP_FLY"));
    assert!(call(r#""names": ["a"], "includes": {"minKernel": "new"}"#).contains("\"new\""));
    let both = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#;
    assert!(refused(both).contains("not both"));
}

#[test]
fn a_program_is_compiled_once() {
    let json = r#"{"defaultAction": "SCMP_ACT_ALLOW"}"#;
    let first = filter_of(json, &around(Arch::X86_64, 1)).unwrap();
    assert!(std::sync::Arc::ptr_eq(&first, &filter_of(json, &around(Arch::X86_64, 1)).unwrap()));
    assert!(!std::sync::Arc::ptr_eq(&first, &filter_of(json, &around(Arch::X86_64, 2)).unwrap()));
}

/// A name that no architecture knows would be a slip of the pen.
#[test]
fn every_name_of_the_default_profile_is_a_call() {
    let elsewhere = ["riscv_hwprobe", "epoll_ctl_old", "epoll_wait_old", "fstatat64", "uretprobe", "futex_time64"];
    for arch in [Arch::X86_64, Arch::Aarch64] {
        let policy = default::policy(&around(arch, capability::ALL));
        for name in policy.rules.iter().flat_map(|rule| &rule.names) {
            let known = [Arch::X86_64, Arch::X86, Arch::Aarch64, Arch::Arm].iter().any(|a| a.number(name).is_some());
            assert!(known || elsewhere.contains(&name.as_str()), "{name}");
        }
    }
}
