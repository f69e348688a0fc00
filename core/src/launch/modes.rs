//! What the shim does besides containers, over the same path: programs of the host, and files of other ids.

use std::os::fd::BorrowedFd;
use std::time::Instant;

use super::encode::{self, Writer};
use super::helper::HelperSource;
use super::spawn;
use super::status::{Answer, Exit};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::plan::launch::IdMap;
use crate::wire::{self, fd};

/// A program of the host: newuidmap, a credential helper, a network helper.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HostProgram {
    /// Absolute path.
    pub path: String,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
}

/// Runs a program to its end, or kills it at the deadline; the host sees no SIGCHLD. Streams that are `None` are
/// `/dev/null`.
pub fn run_program(
    program: &HostProgram,
    streams: [Option<BorrowedFd<'_>>; 3],
    helper: &HelperSource,
    cancel: &Cancel,
    deadline: Option<Instant>,
) -> Result<Exit> {
    let mut w = Writer::default();
    w.text(&program.path);
    w.texts(&program.args);
    w.texts(&program.env);
    let passed: Vec<_> = [fd::STDIN, fd::STDOUT, fd::STDERR]
        .into_iter()
        .zip(streams)
        .filter_map(|(to, from)| Some((to, from?)))
        .collect();
    finish(wire::Kind::Program, w.finish()?, &passed, helper, cancel, deadline)
}

/// Of whom and to whom: user and group each.
pub type Move = ((u32, u32), (u32, u32));

/// Gives files below `root` their owners (`(path, uid, gid)` with ids of the namespace) and then their
/// `security.capability`, in a user namespace; then what is of one user and group of the whole tree's goes to another.
pub fn apply_owners(
    id_map: Option<&IdMap>,
    root: &str,
    owners: &[(Vec<u8>, u32, u32)],
    capabilities: &[(Vec<u8>, Vec<u8>)],
    moves: &[Move],
    helper: &HelperSource,
) -> Result<()> {
    let mut w = Writer::default();
    w.option(&id_map, |w, map| encode::id_map(w, map));
    w.text(root);
    w.list(owners, |w, (path, uid, gid)| {
        w.path(path);
        w.u32(*uid);
        w.u32(*gid);
    });
    w.list(capabilities, |w, (path, value)| {
        w.path(path);
        w.raw(value);
    });
    w.list(moves, |w, (from, to)| [from.0, from.1, to.0, to.1].into_iter().for_each(|id| w.u32(id)));
    finish(wire::Kind::ApplyOwners, w.finish()?, &[], helper, &Cancel::new(), None).and_then(success)
}

/// Deletes directory trees, in a user namespace where files belong to its ids. Missing ones are no error.
pub fn remove_trees(id_map: Option<&IdMap>, paths: &[String], helper: &HelperSource) -> Result<()> {
    let mut w = Writer::default();
    w.option(&id_map, |w, map| encode::id_map(w, map));
    w.texts(paths);
    finish(wire::Kind::RemoveTrees, w.finish()?, &[], helper, &Cancel::new(), None).and_then(success)
}

fn finish(
    kind: wire::Kind,
    body: Vec<u8>,
    passed: &[(i32, BorrowedFd<'_>)],
    helper: &HelperSource,
    cancel: &Cancel,
    deadline: Option<Instant>,
) -> Result<Exit> {
    let shim = spawn::spawn(kind, body, passed, helper)?;
    // What is not waited for any longer must not go on: a program dies with the shim that runs it.
    match shim.next(cancel, deadline).inspect_err(|_| shim.kill())? {
        Answer::Exited(exit) => Ok(exit),
        Answer::Ready { .. } | Answer::Born(_) => {
            Err(Error::new(Kind::Launch, "run helper", "").because("it answered out of turn"))
        }
    }
}

fn success(exit: Exit) -> Result<()> {
    match exit.status() {
        0 => Ok(()),
        n => Err(Error::new(Kind::Launch, "run helper", "").because(format!("it ended with status {n}"))),
    }
}
