//! What a filter is to do, as the OCI runtime specification says it (config-linux.md, "Seccomp").

use serde::{Deserialize, Serialize};

use super::Arch;

/// A whole filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// For calls that no rule matches.
    pub default: Action,
    /// Whose calls are judged; a call of any other architecture kills the process. The native one is always among them.
    pub arches: Vec<Arch>,
    /// Rules; among those that match a call, the first with conditions goes before those without.
    pub rules: Vec<Rule>,
}

/// What is done with some calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Names of calls. One that an architecture does not have is skipped there.
    pub names: Vec<String>,
    /// What is done.
    pub action: Action,
    /// All of these must hold.
    pub conditions: Vec<Condition>,
}

/// What the kernel does with a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// The process dies by SIGSYS.
    KillProcess,
    /// The thread dies by SIGSYS.
    KillThread,
    /// The thread gets SIGSYS.
    Trap,
    /// The call fails with this errno.
    Errno(u16),
    /// A listener decides.
    Notify,
    /// A tracer is told, with this number.
    Trace(u16),
    /// The call is made and logged.
    Log,
    /// The call is made.
    Allow,
}

impl Action {
    /// `SECCOMP_RET_*` with its data (linux/seccomp.h).
    pub fn value(self) -> u32 {
        match self {
            Action::KillProcess => 0x8000_0000,
            Action::KillThread => 0,
            Action::Trap => 0x0003_0000,
            Action::Errno(number) => 0x0005_0000 | u32::from(number),
            Action::Notify => 0x7fc0_0000,
            Action::Trace(number) => 0x7ff0_0000 | u32::from(number),
            Action::Log => 0x7ffc_0000,
            Action::Allow => 0x7fff_0000,
        }
    }
}

/// A comparison of one argument, all 64 bits of it, unsigned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Which argument, from 0 to 5.
    pub argument: u8,
    /// How it is compared.
    pub compare: Compare,
    /// With what.
    pub value: u64,
}

/// How an argument is compared with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `==`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
    /// `==` once the argument has been masked with this.
    MaskedEqual(u64),
}

impl Policy {
    /// The rules on one call, in the order in which they are tried: those with conditions first, as a rule without
    /// would leave them nothing. Ends with the first rule without conditions.
    pub fn rules_on<'a>(rules: &[&'a Rule]) -> Vec<&'a Rule> {
        let (mut tried, always): (Vec<&Rule>, Vec<&Rule>) = rules.iter().partition(|rule| !rule.conditions.is_empty());
        tried.extend(always.first());
        tried
    }
}
