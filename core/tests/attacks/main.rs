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

use common::Host;
use sampan::{Container, RemoveOptions, Rung};

fn rung(host: &Host) -> Rung {
    host.engine.info().unwrap().rung
}

#[track_caller]
fn gone(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}
