//! What every filter of a container without namespaces refuses, whatever the profile says.

use super::{Action, Circumstances, Compare, Condition, Policy, Rule};

/// All calls, as the word `unconfined` has them: what is refused in any case needs a filter.
pub const UNCONFINED: &str = r#"{
    "defaultAction": "SCMP_ACT_ALLOW",
    "architectures": ["SCMP_ARCH_X86", "SCMP_ARCH_X32", "SCMP_ARCH_ARM"]
}"#;

const EPERM: u16 = 1;

/// The policy of a container in these circumstances. Of rules with conditions the first that holds counts.
pub fn guarded(mut policy: Policy, around: &Circumstances) -> Policy {
    if around.without_namespaces {
        policy.rules.insert(0, limits_of_others());
    }
    policy
}

/// A process with no CPU time left is killed, and Landlock has no say in limits. The kernel looks at the low half of a
/// process id alone, which is zero wherever the whole is.
fn limits_of_others() -> Rule {
    let given = |argument| Condition { argument, compare: Compare::NotEqual, value: 0 };
    Rule { names: vec!["prlimit64".into()], action: Action::Errno(EPERM), conditions: vec![given(0), given(2)] }
}
