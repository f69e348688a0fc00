//! `cp`: files into a container and out of it, whether it runs or not, and single files opened.
//!
//! What is done inside is asked of a helper that has entered the container's files, name by name, and comes back as
//! descriptors; nothing of the container's is resolved, executed or loaded out here.

#![allow(clippy::disallowed_methods)]

mod archive;
mod inside;
mod kernel;
mod outside;
mod rules;
mod tree;
mod unpack;

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use self::archive::TarSink;
use self::inside::{Inside, InsideSink};
use self::outside::{Outside, OutsideSink};
use self::rules::{Name, Place};
use self::tree::{Found, Sink, Tree};
use super::{Context, leftovers, list, start, wait};
use crate::api::{CopyOptions, PathStat, Rung, Status};
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::launch::files::{self, Files};
use crate::lock;
use crate::plan::launch::{LaunchPlan, MountSource};
use crate::store::containers::{Container, Record};
use crate::store::liveness;

/// What an error says was done.
const COPY: &str = "copy";

/// Copies what is at `path` in the container to `dest` here, by the rules of `docker cp`.
pub fn from(
    context: &Context,
    id: &ContainerId,
    (path, dest): (&str, &str),
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    apart(|| {
        let mut inside = Inside::new(enter(context, id, cancel)?);
        let source = source(&mut inside, path, options.follow_link)?;
        let place = rules::place(&mut Outside, dest)?;
        let sink = |dir| OutsideSink::new(dir, options.archive, cancel);
        transfer(&mut inside, source, Name::of(path), place, dest, sink, cancel)
    })
    .map_err(sorted)
}

/// Copies what is at `src` here to `path` in the container, by the rules of `docker cp`.
pub fn to(
    context: &Context,
    id: &ContainerId,
    (src, path): (&str, &str),
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    apart(|| {
        let source = source(&mut Outside, src, options.follow_link)?;
        let mut inside = Inside::new(enter(context, id, cancel)?);
        let place = rules::place(&mut inside, path)?;
        let sink = |dir| InsideSink::new(&inside, dir, options.archive, cancel);
        transfer(&mut Outside, source, Name::of(src), place, path, sink, cancel)
    })
    .map_err(|e| explained(context, id, e))
}

/// Writes a tar archive of what is at `path` in the container.
pub fn get_archive(
    context: &Context,
    id: &ContainerId,
    path: &str,
    to: BorrowedFd<'_>,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<()> {
    apart(|| {
        let mut inside = Inside::new(enter(context, id, cancel)?);
        let source = source(&mut inside, path, options.follow_link)?;
        let mut sink = TarSink::new(to, cancel);
        match Name::of(path) {
            Name::Whole(name) => tree::copy(&mut inside, source, &name, &mut sink, cancel)?,
            Name::Contents => tree::copy(&mut inside, source, b".", &mut sink, cancel)?,
        }
        sink.finish()
    })
    .map_err(sorted)
}

/// Unpacks a tar archive, compressed or not, into the directory at `path` in the container.
pub fn put_archive(
    context: &Context,
    id: &ContainerId,
    path: &str,
    from: BorrowedFd<'_>,
    cancel: &Cancel,
) -> Result<()> {
    apart(|| {
        let mut inside = Inside::new(enter(context, id, cancel)?);
        match rules::place(&mut inside, path)? {
            Place::Directory(dir) => unpack::unpack(&inside, dir, from, cancel),
            Place::Named { existing: true, .. } => Err(not_a_directory(path)),
            Place::Named { .. } => Err(Error::errno_in(libc::ENOENT, COPY, path)),
        }
    })
    .map_err(|e| explained(context, id, e))
}

/// Opens a regular file in the container, in a mode as of `fopen(3)`.
pub fn open(context: &Context, id: &ContainerId, path: &str, mode: &str, cancel: &Cancel) -> Result<File> {
    let flags = rules::open_flags(mode)?;
    let mut inside = Inside::new(enter(context, id, cancel)?);
    inside.open(path, flags).map_err(|e| explained(context, id, e))
}

/// What is at a path in the container.
pub fn path_stat(
    context: &Context,
    id: &ContainerId,
    path: &str,
    options: &CopyOptions,
    cancel: &Cancel,
) -> Result<PathStat> {
    let mut inside = Inside::new(enter(context, id, cancel)?);
    let item = source(&mut inside, path, options.follow_link).map_err(sorted)?.item;
    let (seconds, nanoseconds) = item.mtime;
    let time = jiff::Timestamp::new(seconds, nanoseconds as i32).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    Ok(PathStat {
        name: match Name::of(path) {
            Name::Whole(name) => text(&name),
            Name::Contents => ".".to_owned(),
        },
        size: item.size,
        mode: item.mode,
        mtime: time.to_string(),
        link_target: (!item.link.is_empty()).then(|| text(&item.link)),
    })
}

/// On a thread of its own, which handles no signal of the host's: a pipe that nobody reads and a file beyond the limit are
/// errors then.
fn apart<T: Send>(work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    thread::scope(|scope| {
        let quiet = || {
            let _ = SigSet::all().thread_block();
            work()
        };
        let worker = thread::Builder::new().name("sampan-copy".into()).spawn_scoped(scope, quiet);
        let worker = worker.context("start a thread to copy", "")?;
        worker.join().unwrap_or_else(|_| Err(Error::new(Kind::Panic, COPY, "")))
    })
}

// ── Entering ─────────────────────────────────────────────────────────────────────────────────────

/// The container's files: by its first process when it runs, else as a start would make them.
fn enter(context: &Context, id: &ContainerId, cancel: &Cancel) -> Result<Files> {
    // Others copy too, and each holds one that doesn't run for as long.
    let deadline = Instant::now() + liveness::PATIENCE;
    loop {
        cancel.check(COPY, id.short())?;
        let container = list::load(context, id)?;
        let name = container.record.name.as_str();
        match try_enter(context, &container, cancel).map_err(|e| e.within("enter container", name))? {
            Err(_) if Instant::now() < deadline => lock::rest(liveness::LOOK_AGAIN, Some(cancel)),
            entered => return entered.map_err(|e| e.within("enter container", name)),
        }
    }
}

/// The inner error is of what passes: others start it, remove it or copy its files just now.
fn try_enter(context: &Context, container: &Container, cancel: &Cancel) -> Result<Result<Files>> {
    let record = &container.record;
    if container.status() == Status::Running
        && let Some(process) = wait::process(container)?
    {
        if record.rung == Rung::Chroot {
            return files::enter_tree(&files_of(context, record)?, &context.helper(), cancel).map(Ok);
        }
        let first = container.state.as_ref().map(|state| state.pid);
        let mapped = record.spec.ids.is_some() || context.facts()?.id_map.is_some();
        match files::enter(process.as_fd(), mapped, &context.helper(), cancel) {
            Err(_) if process.wait(Some(Duration::ZERO), cancel)? => {}
            // What still runs has had its number all along.
            Err(e)
                if e.errno() == Some(libc::EPERM)
                    && is_closed(record, first)
                    && !process.wait(Some(Duration::ZERO), cancel)? =>
            {
                return Err(closed(e));
            }
            // It is on its way from the host's files to its own, and into it no plain user may look then.
            Err(e) if matches!(e.errno(), Some(libc::EAGAIN | libc::EPERM)) => return Ok(Err(e)),
            entered => return entered.map(Ok),
        }
    }
    match liveness::hold_files(&context.paths.container(&record.id).lock(), record.name.as_str()) {
        Ok(lock) => enter_stopped(context, &record.id, lock.as_fd(), cancel).map(Ok),
        Err(e) if e.kind() == Kind::Conflict => Ok(Err(e)),
        Err(e) => Err(e),
    }
}

/// Whether the first process is an init that its user can't enter, ever: one from a file that the container may write to.
/// The first process of a container with `init` is ours to its end, and none but itself may give it another name: this one
/// tells that it is past what it does as the shim's child. Of any other the name says nothing.
fn is_closed(record: &Record, first: Option<i32>) -> bool {
    let comm = first.filter(|_| record.spec.init).map(|pid| format!("/proc/{pid}/comm"));
    comm.is_some_and(|comm| fs::read_bounded(Path::new(&comm), 64).is_ok_and(|name| name == b"sampan-init\n"))
}

fn closed(error: Error) -> Error {
    error
        .because("its init was executed from a file that it could write to, so that no plain user may enter it")
        .hint("copy when it is stopped, create it without `init`, or allow memory files (sysctl vm.memfd_noexec=1)")
}

fn enter_stopped(context: &Context, id: &ContainerId, lock: BorrowedFd<'_>, cancel: &Cancel) -> Result<Files> {
    let container = list::load(context, id)?;
    // What a killed shim has left running works on the same files. One that rests has left nothing.
    if !container.held {
        leftovers::end(context, &container)?;
    }
    let record = container.record;
    super::create::make_volumes(context, &record)?;
    super::tree::prepare(context, &record, cancel)?;
    files::enter_stopped(&files_of(context, &record)?, lock, &context.helper(), cancel)
}

fn files_of(context: &Context, record: &Record) -> Result<LaunchPlan> {
    let mut plan = start::plan_files(context, record)?;
    keep_files(&mut plan);
    Ok(plan)
}

/// Of a start, what is files of somebody's: the root, volumes and the host's paths, but not what is a device or the
/// kernel's own.
fn keep_files(plan: &mut LaunchPlan) {
    let own = |path: &str| {
        ["/dev", "/proc", "/sys"]
            .iter()
            .any(|dir| path.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    plan.mounts.retain(|m| matches!(m.source, MountSource::Bind { .. }) && !own(&m.target));
    plan.symlinks.clear();
    plan.masked_paths.clear();
    plan.readonly_paths.clear();
}

// ── Rules ────────────────────────────────────────────────────────────────────────────────────────

fn source(tree: &mut dyn Tree, path: &str, follow: bool) -> Result<Found> {
    if path.is_empty() {
        return Err(Error::new(Kind::InvalidArgument, COPY, "").because("the source path is empty"));
    }
    // A path that must be a directory leads through a last link.
    let follow = follow || rules::asserts_directory(path);
    tree.find(path.as_bytes(), follow)?.ok_or_else(|| Error::errno_in(libc::ENOENT, COPY, path))
}

/// Puts a source where the rules say.
fn transfer<S: Sink>(
    tree: &mut dyn Tree,
    source: Found,
    name: Name,
    place: Place,
    dest: &str,
    sink: impl FnOnce(std::os::fd::OwnedFd) -> S,
    cancel: &Cancel,
) -> Result<()> {
    let is_dir = source.item.is_dir();
    match (place, name) {
        (Place::Directory(dir), Name::Contents) if is_dir => tree::copy_contents(tree, source, &mut sink(dir), cancel),
        (Place::Directory(dir), Name::Whole(name)) => tree::copy(tree, source, &name, &mut sink(dir), cancel),
        (Place::Named { existing: true, .. }, _) if is_dir => {
            Err(Error::new(Kind::InvalidArgument, COPY, dest).because("a directory can't be copied onto a file"))
        }
        (Place::Named { existing: true, .. }, _) if rules::asserts_directory(dest) => Err(not_a_directory(dest)),
        (Place::Named { existing: false, .. }, _) if !is_dir && rules::asserts_directory(dest) => {
            Err(Error::errno_in(libc::ENOENT, COPY, dest).hint("make the directory first"))
        }
        (Place::Named { parent, name, .. }, _) => tree::copy(tree, source, &name, &mut sink(parent), cancel),
        // Only a directory's path ends so.
        (Place::Directory(_), Name::Contents) => Err(not_a_directory(dest)),
    }
}

fn not_a_directory(path: &str) -> Error {
    Error::errno_in(libc::ENOTDIR, COPY, path).with_kind(Kind::InvalidArgument)
}

/// A path that leads through a file, or round and round, is the caller's mistake.
fn sorted(error: Error) -> Error {
    match error.errno() {
        Some(libc::ENOTDIR | libc::EISDIR | libc::ELOOP) => error.with_kind(Kind::InvalidArgument),
        _ => error,
    }
}

/// A refusal of a read-only file system in the words of who made it so.
fn explained(context: &Context, id: &ContainerId, error: Error) -> Error {
    let error = sorted(error);
    let record = list::load(context, id).map(|c| c.record);
    let read_only = record.as_ref().is_ok_and(|record| record.spec.read_only);
    // What no mount keeps from being written, Landlock does, which has another word for it.
    let by_landlock = read_only && record.is_ok_and(|record| record.rung == Rung::Chroot);
    match error.errno() {
        Some(libc::EROFS) => {}
        Some(libc::EACCES) if by_landlock => {}
        _ => return error,
    }
    match read_only {
        true => error
            .because("the container's root file system is marked read-only")
            .hint("copy to a volume or a tmpfs of it, or create it without `--read-only`"),
        false => error.because("it is mounted read-only"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};

    use super::*;
    use crate::store::containers;

    /// Any process may call itself so; of ours is only that of a container with `init`.
    #[test]
    fn a_command_with_the_name_of_our_init_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let named = dir.path().join("sampan-init");
        std::os::unix::fs::symlink("/bin/cat", &named).unwrap();
        let mut command = Command::new(&named);
        let mut command = command.arg0("cat").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        // It answers, and so has its name.
        command.stdin.as_ref().unwrap().write_all(b"x").unwrap();
        command.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let mut record = containers::tests::record(1, "c");
        let told = [false, true].map(|init| {
            record.spec.init = init;
            is_closed(&record, Some(command.id() as i32))
        });
        drop(command.stdin.take());
        command.wait().unwrap();
        assert_eq!(told, [false, true]);
    }
}
