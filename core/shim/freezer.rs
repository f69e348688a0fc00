//! Lets the container go on that somebody has paused: on cgroup v1 what is frozen doesn't even die.

use crate::sys::{self, AT_FDCWD};
use crate::text::Text;
use crate::wire::Cgroup;

/// Of its v1 directories only that of the freezer has such a file.
pub fn thaw(cgroup: &Cgroup<'static>) {
    for dir in cgroup.v1.iter() {
        let mut file: Text<4096> = Text::of(&[dir.to_bytes(), b"/freezer.state"]);
        let _ = sys::put(AT_FDCWD, file.c(), b"THAWED");
    }
    if let Some(dir) = cgroup.v2 {
        let mut file: Text<4096> = Text::of(&[dir.to_bytes(), b"/cgroup.freeze"]);
        let _ = sys::put(AT_FDCWD, file.c(), b"0");
    }
}
