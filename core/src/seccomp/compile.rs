//! From a policy to a program: per architecture a binary tree over ranges of numbers that are treated alike.

use super::arch::{ARM_OWN, X32_BIT};
use super::assemble::{ARCH, Backwards, Instruction, NUMBER, Way, code, plain};
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
    let mut program = Backwards::default();
    let mut way = Way::Return(Action::KillProcess.value());
    for audit in audits(policy).into_iter().rev() {
        let calls = tree(&ranges(policy, audit), &mut program);
        program.lead(calls);
        program.put(plain(code::LOAD, NUMBER));
        way = program.branch(code::EQUAL, audit, Way::To(program.len()), way);
    }
    program.lead(way);
    program.put(plain(code::LOAD, ARCH));
    if program.len() > MOST {
        return Err(Error::new(Kind::InvalidArgument, "compile", "seccomp profile")
            .because(format!("it needs {} instructions and the kernel takes {MOST}", program.len()))
            .hint("use fewer conditions on arguments"));
    }
    let mut filter = Vec::with_capacity(8 * program.len());
    program.into_forwards().for_each(|instruction| filter.extend(bytes(instruction)));
    Ok(filter)
}

fn bytes(i: Instruction) -> [u8; 8] {
    let ([c0, c1], [k0, k1, k2, k3]) = (i.code.to_ne_bytes(), i.k.to_ne_bytes());
    [c0, c1, i.jt, i.jf, k0, k1, k2, k3]
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
    let known = calls.partition_point(|(number, _)| number & !X32_BIT < ARM_OWN);
    let newest = known.checked_sub(1).map(|last| calls[last].0);
    let unknown = unknown(policy.default, newest.is_none());
    let mut next = base;
    for rules in calls.chunk_by(|a, b| a.0 == b.0) {
        let number = rules[0].0;
        ranges.push((next, Verdict::Always(policy.default)));
        if newest.is_some_and(|newest| newest < number) {
            ranges.push((next, Verdict::Always(unknown)));
        }
        ranges.push((number, verdict(rules, policy.default)));
        next = number + 1;
    }
    ranges.push((next, Verdict::Always(unknown)));
}

/// The calls that rules name, by number, and of one number in the order of the rules.
fn by_number(policy: &Policy, arch: Arch) -> Vec<(u32, &Rule)> {
    let of_rule = |rule| move |name: &String| arch.number(name).map(|number| (number, rule));
    let mut calls: Vec<(u32, &Rule)> =
        policy.rules.iter().flat_map(|rule| rule.names.iter().filter_map(of_rule(rule))).collect();
    calls.sort_by_key(|(number, _)| *number);
    calls
}

fn verdict<'a>(rules: &[(u32, &'a Rule)], default: Action) -> Verdict<'a> {
    // Nearly all calls.
    if let [(_, rule)] = rules
        && rule.conditions.is_empty()
    {
        return Verdict::Always(rule.action);
    }
    let rules: Vec<&Rule> = rules.iter().map(|(_, rule)| *rule).collect();
    let tried = Policy::rules_on(&rules);
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

fn tree(ranges: &[(u32, Verdict<'_>)], program: &mut Backwards) -> Way {
    match ranges {
        [] => Way::Return(Action::KillProcess.value()),
        [(_, verdict)] => judge(verdict, program),
        _ => {
            let (low, high) = ranges.split_at(ranges.len() / 2);
            let low = tree(low, program);
            let above = tree(high, program);
            program.branch(code::GREATER_OR_EQUAL, high[0].0, above, low)
        }
    }
}

fn judge(verdict: &Verdict<'_>, program: &mut Backwards) -> Way {
    match verdict {
        Verdict::Always(action) => Way::Return(action.value()),
        Verdict::Tried(rules, otherwise) => {
            program.lead(Way::Return(otherwise.value()));
            rules.iter().rev().for_each(|rule| attempt(rule, program));
            Way::To(program.len())
        }
    }
}

/// Returns the rule's action when all its conditions hold; else goes on behind it.
fn attempt(rule: &Rule, program: &mut Backwards) {
    let behind = program.len();
    program.put(plain(code::RETURN, rule.action.value()));
    for one in rule.conditions.iter().rev() {
        let steps = condition::code(one, program.len() - behind);
        steps.into_iter().rev().for_each(|step| program.put(step));
    }
}
