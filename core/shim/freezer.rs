//! Lets the container go on that somebody has paused: on cgroup v1 what is frozen doesn't even die.

use core::ffi::CStr;

use crate::records::read_file;
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

/// Whether somebody has paused it.
pub fn is_frozen(cgroup: &Cgroup<'static>) -> bool {
    let says = |dir: &CStr, file: &[u8], words: &[&[u8]]| {
        let mut path: Text<4096> = Text::of(&[dir.to_bytes(), file]);
        let mut text = [0; 16];
        let n = read_file(path.c(), &mut text).unwrap_or(0);
        words.contains(&text[..n].trim_ascii())
    };
    let v1 = |dir| says(dir, b"/freezer.state", &[b"FROZEN", b"FREEZING"]);
    cgroup.v2.is_some_and(|dir| says(dir, b"/cgroup.freeze", &[b"1"])) || cgroup.v1.iter().any(v1)
}
