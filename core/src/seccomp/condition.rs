//! Comparisons of 64-bit arguments on a machine with a 32-bit accumulator: the high half decides, then the low one.

use super::assemble::{Instruction, argument, code, plain};
use super::{Compare, Condition};

/// Where a step goes when its comparison holds, or does not.
#[derive(Clone, Copy)]
enum To {
    /// On to the next step.
    Next,
    /// The condition holds.
    Holds,
    /// It does not.
    Fails,
}

/// One step of a condition.
enum Step {
    Do(u16, u32),
    Jump(u16, u32, To, To),
}

/// The code of a condition: falls out at its end when it holds, and skips `beyond` more when it fails.
pub fn code(condition: &Condition, beyond: usize) -> Vec<Instruction> {
    let steps = steps(condition);
    let count = steps.len();
    let place = |(at, step): (usize, Step)| {
        let skip = |to| match to {
            To::Next => 0,
            To::Holds => count - 1 - at,
            To::Fails => count - 1 - at + beyond,
        };
        match step {
            Step::Do(code, k) => plain(code, k),
            // A call has six arguments: conditions on one call are far from 255 instructions.
            Step::Jump(code, k, yes, no) => Instruction { code, jt: skip(yes) as u8, jf: skip(no) as u8, k },
        }
    };
    steps.into_iter().enumerate().map(place).collect()
}

fn steps(condition: &Condition) -> Vec<Step> {
    use code::{EQUAL, GREATER, GREATER_OR_EQUAL};
    let at = argument(condition.argument);
    let value = condition.value;
    match condition.compare {
        Compare::Equal => equal(at, value, To::Next, To::Fails),
        Compare::NotEqual => equal(at, value, To::Fails, To::Holds),
        Compare::Greater => ordered(at, value, GREATER, To::Holds, To::Fails),
        Compare::LessOrEqual => ordered(at, value, GREATER, To::Fails, To::Holds),
        Compare::GreaterOrEqual => ordered(at, value, GREATER_OR_EQUAL, To::Holds, To::Fails),
        Compare::Less => ordered(at, value, GREATER_OR_EQUAL, To::Fails, To::Holds),
        Compare::MaskedEqual(mask) => vec![
            Step::Do(code::LOAD, at + 4),
            Step::Do(code::AND, (mask >> 32) as u32),
            Step::Jump(EQUAL, (value >> 32) as u32, To::Next, To::Fails),
            Step::Do(code::LOAD, at),
            Step::Do(code::AND, mask as u32),
            Step::Jump(EQUAL, value as u32, To::Next, To::Fails),
        ],
    }
}

fn equal(at: u32, value: u64, same: To, other: To) -> Vec<Step> {
    vec![
        Step::Do(code::LOAD, at + 4),
        Step::Jump(code::EQUAL, (value >> 32) as u32, To::Next, other),
        Step::Do(code::LOAD, at),
        Step::Jump(code::EQUAL, value as u32, same, other),
    ]
}

/// `above` is where a higher argument leads, `below` a lower one; `low` compares the low halves of equal high ones.
fn ordered(at: u32, value: u64, low: u16, above: To, below: To) -> Vec<Step> {
    let high = (value >> 32) as u32;
    vec![
        Step::Do(code::LOAD, at + 4),
        Step::Jump(code::GREATER, high, above, To::Next),
        Step::Jump(code::EQUAL, high, To::Next, below),
        Step::Do(code::LOAD, at),
        Step::Jump(low, value as u32, above, below),
    ]
}
