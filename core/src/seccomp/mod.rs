//! System call filters: from a profile to the program that the kernel runs at each call.
//!
//! `profile` reads Docker's form and `default` holds the one that applies when none is named; both give a
//! [`Policy`], which is also what the OCI configuration says. `compile` turns it into classic BPF: per architecture a
//! binary tree over ranges of numbers, so that a call costs some eight comparisons whatever it is. Pure: the
//! shim loads the result.

mod arch;
mod assemble;
mod cache;
mod compile;
mod condition;
mod default;
mod guard;
mod policy;
mod profile;
#[cfg(test)]
mod tests;

pub use arch::Arch;
pub use cache::{default_filter, filter_of};
pub use compile::{Filter, compile};
pub use guard::UNCONFINED;
pub use policy::{Action, Compare, Condition, Policy, Rule};
pub use profile::{Circumstances, read};
