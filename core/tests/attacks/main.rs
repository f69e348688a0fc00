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

use common::{Host, gone, sleeper};
use sampan::Rung;

fn rung(host: &Host) -> Rung {
    host.engine.info().unwrap().rung
}
