//! SELinux as it is on this machine.

use std::path::Path;

use crate::{fs, sys};

/// What `statfs(2)` calls its file system.
const MAGIC: i64 = 0xf97c_ff8c;

/// Whether it is there, and has a policy: before one is loaded there is one label, which is the kernel's.
pub fn is_enabled() -> bool {
    let label = || fs::read_bounded(Path::new("/proc/self/attr/current"), 4096).unwrap_or_default();
    sys::fs_type(Path::new("/sys/fs/selinux")) == Ok(MAGIC) && label().trim_ascii_end() != b"kernel\0"
}
