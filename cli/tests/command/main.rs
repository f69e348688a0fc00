//! The real `sampan` command, run as a person at a shell runs it, on a store of its own.

#![allow(missing_docs, clippy::disallowed_methods)]

mod attach;
#[path = "../../../core/tests/common/mod.rs"]
mod common;
mod cp;
mod cures;
mod errors;
mod events;
mod exec;
mod faults;
mod help;
mod host;
mod hosts;
mod images;
mod life;
mod lists;
mod logs;
mod oci;
mod orphans;
mod readers;
mod run;
mod setup;
mod signals;
mod terminal;
mod watch;
