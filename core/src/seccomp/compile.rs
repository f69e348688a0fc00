//! From a policy to a program: per architecture a binary tree over ranges of numbers that are treated alike.

use std::collections::BTreeMap;

use super::arch::{ARM_OWN, X32_BIT};
use super::assemble::{ARCH, Instruction, NUMBER, branch, code, plain};
use super::{Action, Arch, Policy, Rule, condition};
use crate::error::{Error, Kind, Result};

/// The most instructions that the kernel takes (`BPF_MAXINSNS`).
const MOST: usize = 4096;
const ENOSYS: u16 = 38;

/// A program for the kernel: an array of `struct sock_filter`.
pub type Filter = Vec<u8>;

/// Numbers from the first on, up to the next range, are treated alike.
type Ranges<'a> = Vec<(u32, Verdict<'a>)>;

/// What is done with a call.
#[derive(Clone, PartialEq, Eq)]
enum Verdict<'a> {
    Always(Action),
    /// The first rule whose conditions hold; else the action.
    Tried(Vec<&'a Rule>, Action),
}

/// Compiles a policy.
///
/// A call newer than all that the policy names fails with ENOSYS where the default is an error, as in runc: a C
/// library then falls back to an older call, which it would not do on EPERM.
///
/// # Errors
/// `InvalidArgument` when the program is longer than the kernel takes.
pub fn compile(policy: &Policy) -> Result<Filter> {
    let mut program = vec![plain(code::RETURN, Action::KillProcess.value())];
    for audit in audits(policy).into_iter().rev() {
        let mut judge = vec![plain(code::LOAD, NUMBER)];
        judge.extend(tree(&ranges(policy, audit)));
        program = branch(code::EQUAL, audit, judge, program);
    }
    program.insert(0, plain(code::LOAD, ARCH));
    if program.len() > MOST {
        return Err(Error::new(Kind::InvalidArgument, "compile", "seccomp profile")
            .because(format!("it needs {} instructions and the kernel takes {MOST}", program.len()))
            .hint("use fewer conditions on arguments"));
    }
    Ok(program.into_iter().flat_map(bytes).collect())
}

fn bytes(i: Instruction) -> impl Iterator<Item = u8> {
    let [c0, c1] = i.code.to_ne_bytes();
    [c0, c1, i.jt, i.jf].into_iter().chain(i.k.to_ne_bytes())
}

/// The kernel's names of the architectures, in order.
fn audits(policy: &Policy) -> Vec<u32> {
    let mut audits: Vec<u32> = Vec::new();
    for arch in &policy.arches {
        if !audits.contains(&arch.audit()) {
            audits.push(arch.audit());
        }
    }
    audits
}

/// All numbers, in ranges, for the architectures of one name.
fn ranges(policy: &Policy, audit: u32) -> Ranges<'_> {
    let mut ranges = Vec::new();
    let members = |x32| policy.arches.iter().find(move |arch| arch.audit() == audit && (**arch == Arch::X32) == x32);
    match members(false) {
        Some(arch) => add_calls(policy, *arch, 0, &mut ranges),
        None => ranges.push((0, Verdict::Always(Action::KillProcess))),
    }
    match members(true) {
        Some(arch) => add_calls(policy, *arch, X32_BIT, &mut ranges),
        None if audit == Arch::X32.audit() => ranges.push((X32_BIT, Verdict::Always(Action::KillProcess))),
        None => {}
    }
    without_empty(ranges)
}

/// Of ranges that begin alike the last counts; neighbours that are treated alike are one.
fn without_empty(ranges: Ranges<'_>) -> Ranges<'_> {
    let mut kept: Ranges<'_> = Vec::with_capacity(ranges.len());
    for range in ranges {
        kept.pop_if(|before| before.0 == range.0);
        if kept.last().is_none_or(|before| before.1 != range.1) {
            kept.push(range);
        }
    }
    kept
}

/// The calls of an architecture whose numbers begin with `base`.
fn add_calls<'a>(policy: &'a Policy, arch: Arch, base: u32, ranges: &mut Ranges<'a>) {
    let calls = by_number(policy, arch);
    let newest = calls.keys().rev().find(|number| **number & !X32_BIT < ARM_OWN);
    let unknown = unknown(policy.default, newest.is_none());
    let mut next = base;
    for (number, rules) in &calls {
        ranges.push((next, Verdict::Always(policy.default)));
        if newest.is_some_and(|newest| newest < number) {
            ranges.push((next, Verdict::Always(unknown)));
        }
        ranges.push((*number, verdict(rules, policy.default)));
        next = number + 1;
    }
    ranges.push((next, Verdict::Always(unknown)));
}

fn by_number(policy: &Policy, arch: Arch) -> BTreeMap<u32, Vec<&Rule>> {
    let mut calls: BTreeMap<u32, Vec<&Rule>> = BTreeMap::new();
    for rule in &policy.rules {
        for number in rule.names.iter().filter_map(|name| arch.number(name)) {
            calls.entry(number).or_default().push(rule);
        }
    }
    calls
}

fn verdict<'a>(rules: &[&'a Rule], default: Action) -> Verdict<'a> {
    let tried = Policy::rules_on(rules);
    match tried.split_last() {
        Some((last, [])) if last.conditions.is_empty() => Verdict::Always(last.action),
        Some((last, before)) if last.conditions.is_empty() => Verdict::Tried(before.to_vec(), last.action),
        _ => Verdict::Tried(tried, default),
    }
}

/// For calls beyond those that the policy could know; one that names none has no say in what it knows.
fn unknown(default: Action, nothing_named: bool) -> Action {
    match default {
        Action::Errno(_) if !nothing_named => Action::Errno(ENOSYS),
        other => other,
    }
}

fn tree(ranges: &[(u32, Verdict<'_>)]) -> Vec<Instruction> {
    match ranges {
        [] => Vec::new(),
        [(_, verdict)] => judge(verdict),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            branch(code::GREATER_OR_EQUAL, high[0].0, tree(high), tree(low))
        }
    }
}

fn judge(verdict: &Verdict<'_>) -> Vec<Instruction> {
    match verdict {
        Verdict::Always(action) => vec![plain(code::RETURN, action.value())],
        Verdict::Tried(rules, otherwise) => {
            let mut program: Vec<Instruction> = rules.iter().flat_map(|rule| attempt(rule)).collect();
            program.push(plain(code::RETURN, otherwise.value()));
            program
        }
    }
}

/// Returns the rule's action when all its conditions hold; else falls out at the end.
fn attempt(rule: &Rule) -> Vec<Instruction> {
    let mut program = vec![plain(code::RETURN, rule.action.value())];
    for one in rule.conditions.iter().rev() {
        let mut longer = condition::code(one, program.len());
        longer.extend(program);
        program = longer;
    }
    program
}
