//! Landlock: what a process without namespaces of its own is kept to (landlock(7)).
//!
//! Two layers. The shim's keeps signals, and sockets by abstract names, among the container's processes, commands that
//! come later too. That of each process of the container keeps it to the tree, and takes mounts and the tracing of others
//! from it.

use core::ffi::CStr;
use core::ptr::null;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_FDCWD, Fd, syscall};
use crate::wire::Step;

const EXECUTE: u64 = 1;
const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const MAKE_CHAR: u64 = 1 << 6;
const MAKE_BLOCK: u64 = 1 << 11;
const REFER: u64 = 1 << 13;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;

/// `LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET` and `LANDLOCK_SCOPE_SIGNAL`.
const SCOPES: u64 = 3;
/// The version that knows them.
const WITH_SCOPES: u32 = 6;

/// `struct landlock_ruleset_attr`; older kernels take it as long as what they don't know is zero.
#[repr(C)]
struct Ruleset {
    fs: u64,
    net: u64,
    scoped: u64,
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct PathBeneath {
    allowed: u64,
    parent: Fd,
}

/// What is done with files, as far as this version can keep from it.
fn handled(version: u32) -> u64 {
    let known = match version {
        0 | 1 => 13,
        2 => 14,
        3 | 4 => 15,
        _ => 16,
    };
    (1 << known) - 1
}

/// Keeps this process, and all that it makes, from signalling others and from their abstract sockets, where the kernel can.
pub fn keep_within() -> Outcome {
    if version().step(Step::Landlock)? < WITH_SCOPES {
        return Ok(());
    }
    // Every layer keeps files from other directories that doesn't say they may go there.
    let ruleset = create(&Ruleset { fs: REFER, net: 0, scoped: SCOPES }).step(Step::Landlock)?;
    allow(ruleset, c"/", REFER)?;
    restrict(ruleset).step(Step::Landlock)
}

/// Keeps this process to the files below its root, for reading alone where that was asked for: then what is written to
/// devices and in memory is still written.
pub fn confine(read_only: bool) -> Outcome {
    let all = handled(version().step(Step::Landlock)?);
    let ruleset = create(&Ruleset { fs: all, net: 0, scoped: 0 }).step(Step::Landlock)?;
    let own = all & !(MAKE_CHAR | MAKE_BLOCK);
    match read_only {
        false => allow(ruleset, c"/", own)?,
        true => {
            allow(ruleset, c"/", EXECUTE | READ_FILE | READ_DIR)?;
            allow(ruleset, c"/dev", all & (READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | IOCTL_DEV))?;
            allow(ruleset, c"/dev/shm", own & !EXECUTE)?;
        }
    }
    restrict(ruleset).step(Step::Landlock)
}

fn version() -> sys::Result<u32> {
    const CREATE_RULESET_VERSION: u32 = 1;
    syscall!(LANDLOCK_CREATE_RULESET, null::<u8>(), 0, CREATE_RULESET_VERSION).map(|version| version as u32)
}

fn create(ruleset: &Ruleset) -> sys::Result<Fd> {
    syscall!(LANDLOCK_CREATE_RULESET, &raw const *ruleset, size_of::<Ruleset>(), 0).map(|fd| fd as Fd)
}

fn allow(ruleset: Fd, path: &'static CStr, allowed: u64) -> Outcome {
    const RULE_PATH_BENEATH: u32 = 1;
    // A link of the container's would lead the rule to the whole tree at most, but would not be what is meant.
    let flags = sys::O_PATH | sys::O_DIRECTORY | sys::O_NOFOLLOW;
    let parent = sys::openat(AT_FDCWD, path, flags, 0).at(Step::Landlock, path)?;
    let rule = PathBeneath { allowed, parent };
    let added = syscall!(LANDLOCK_ADD_RULE, ruleset, RULE_PATH_BENEATH, &raw const rule, 0);
    let _ = sys::close(parent);
    added.map(drop).at(Step::Landlock, path)
}

/// A process without CAP_SYS_ADMIN may only when an exec gives it no new privileges.
fn restrict(ruleset: Fd) -> sys::Result {
    sys::prctl(sys::PR_SET_NO_NEW_PRIVS, 1, 0)?;
    let restricted = syscall!(LANDLOCK_RESTRICT_SELF, ruleset, 0);
    let _ = sys::close(ruleset);
    restricted.map(drop)
}
