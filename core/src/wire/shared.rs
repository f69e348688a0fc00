//! What host and shim must do alike though neither tells the other.

/// A container's lock: who holds the first of these bytes runs it, or starts or removes it; who holds all that follow
/// keeps others from its files. A shim holds both but while it rests, where it leaves the files to copies.
pub const LOCK_RUNS: i64 = 0;
pub const LOCK_FILES: i64 = 1;

/// Bytes after which a file of events is full.
pub const EVENTS_FULL: u64 = 1 << 20;
/// The most bytes that one may have where it can't be put aside.
pub const EVENTS_MOST: u64 = 8 << 20;
/// Bytes of an event's subject beyond which labels are left out of it, so that every line is one small write.
pub const EVENT_SUBJECT: usize = 3 << 10;

/// Where commands are looked for when nothing else is said.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What a shell says of a command that is not there, of one that can't be executed, and of what failed before.
pub const NOT_FOUND: i32 = 127;
pub const NOT_EXECUTABLE: i32 = 126;
pub const NOT_STARTED: i32 = 128;

/// How something ended, as a shell gives it: 128 and the signal's number.
pub fn shell_code(code: i32, signal: i32) -> i32 {
    if signal != 0 { 128 + signal } else { code }
}

/// Whether an exec that failed so is of a command that is not there; else it can't be executed.
pub fn is_no_command(errno: i32) -> bool {
    const ENOENT: i32 = 2;
    const ENOTDIR: i32 = 20;
    matches!(errno, ENOENT | ENOTDIR)
}
