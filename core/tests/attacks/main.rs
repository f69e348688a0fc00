//! Attacks that container runtimes have fallen to, made for real and from where they come from: inside the container,
//! or out of its image. `docs/security.md` says which rule each of them is to break.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;

mod capabilities;
mod cgroups;
mod image;
mod process;
mod races;
mod users;
mod workdir;

use common::{Host, command};
use sampan::{Container, RemoveOptions, RunOptions, Rung, Tie};

fn rung(host: &Host) -> Rung {
    host.engine.info().unwrap().rung
}

/// Stays in the background, and not longer than its test, however that ends.
fn sleeper() -> RunOptions {
    RunOptions { tie: Tie::Host, ..command(&["sleep", "1000"]) }
}

#[track_caller]
fn gone(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}
