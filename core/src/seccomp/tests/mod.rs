//! Programs are run by a machine of our own and held against the policy's words, and against libseccomp.

mod against_libseccomp;
mod guard;
mod machine;
mod programs;
mod reading;

use std::collections::BTreeMap;

use super::arch::{ARM_OWN, X32_BIT};
use super::cache::DOCKERS;
use super::{Action, Arch, Circumstances, Compare, Condition, Policy, Rule};
use machine::Call;

fn around(arch: Arch, capabilities: u64) -> Circumstances {
    Circumstances { arch, capabilities, kernel: (6, 1), without_namespaces: false, read_only: false }
}

/// What a policy says in words about the calls of one architecture, without any cleverness.
struct Words<'a> {
    default: Action,
    by_number: BTreeMap<u32, Vec<&'a Rule>>,
}

impl Words<'_> {
    fn of(policy: &Policy, arch: Arch) -> Words<'_> {
        let mut by_number: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
        for (rule, name) in policy.rules.iter().flat_map(|rule| rule.names.iter().map(move |name| (rule, name))) {
            if let Some(number) = arch.number(name) {
                by_number.entry(number).or_default().push(rule);
            }
        }
        Words { default: policy.default, by_number }
    }

    /// The newest call that the policy knows.
    fn newest(&self) -> u32 {
        self.by_number.keys().rev().copied().find(|number| number & !X32_BIT < ARM_OWN).unwrap_or(0)
    }

    fn verdict(&self, call: &Call) -> Action {
        let rules = self.by_number.get(&call.number).map_or(&[][..], Vec::as_slice);
        Policy::rules_on(rules).into_iter().find(|rule| holds(rule, call)).map_or(self.default, |rule| rule.action)
    }

    /// Arguments around each value that the rules on this call compare with.
    fn telling_arguments(&self, number: u32) -> Vec<[u64; 6]> {
        let rules = self.by_number.get(&number).into_iter().flatten();
        let mut all = vec![[0; 6], [u64::MAX; 6]];
        all.extend(rules.flat_map(|rule| &rule.conditions).flat_map(around_value));
        all
    }
}

fn holds(rule: &Rule, call: &Call) -> bool {
    rule.conditions.iter().all(|condition| {
        let (argument, value) = (call.args[usize::from(condition.argument)], condition.value);
        match condition.compare {
            Compare::NotEqual => argument != value,
            Compare::Less => argument < value,
            Compare::LessOrEqual => argument <= value,
            Compare::Equal => argument == value,
            Compare::GreaterOrEqual => argument >= value,
            Compare::Greater => argument > value,
            Compare::MaskedEqual(mask) => argument & mask == value,
        }
    })
}

fn around_value(condition: &Condition) -> Vec<[u64; 6]> {
    let value = condition.value;
    let mask = if let Compare::MaskedEqual(mask) = condition.compare { mask } else { 0 };
    let bases = [value, mask, mask ^ value, value | 1 << 32, value << 32];
    let near = bases.into_iter().flat_map(|base| [base.wrapping_sub(1), base, base.wrapping_add(1)]);
    let place = |near| {
        let mut args = [0; 6];
        args[usize::from(condition.argument)] = near;
        args
    };
    near.map(place).collect()
}
