//! The container's first process, from the clone to the exec.

use core::ffi::CStr;

use crate::exec;
use crate::fail::{At, Fail, Outcome};
use crate::launch::word;
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::wire::{Launch, Step};

/// Everything between the clone and the exec, in the only order that works.
pub fn run(launch: &Launch<'static>, streams: [Fd; 3], sync: Fd, _cgroup: Option<Fd>) -> ! {
    let failed = match set_up(launch, streams, sync) {
        Ok(home) => exec::run(&launch.process, home),
        Err(failed) => failed,
    };
    failed.report();
    let _ = sys::send(sync, &[word::FAILED]);
    sys::exit(1)
}

fn set_up(launch: &Launch<'static>, _streams: [Fd; 3], sync: Fd) -> Outcome<&'static CStr> {
    if launch.id_map.is_some() {
        expect(sync, word::MAPPED)?;
    }
    expect(sync, word::GO)?;
    Ok(c"HOME=/")
}

/// Waits for the shim's word; a shim that has died says nothing, and then nothing is run.
fn expect(sync: Fd, wanted: u8) -> Outcome {
    let mut packet = [0];
    match sys::recv(sync, &mut packet, false) {
        Ok(1) if packet[0] == wanted => Ok(()),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}

/// Joins the namespace at a host path, after a look that it is of the wanted kind (`CLONE_NEW*`).
pub fn join(path: &'static CStr, kind: u64) -> Outcome {
    let fd = sys::openat(AT_FDCWD, path, sys::O_RDONLY, 0).at(Step::JoinNamespace, path)?;
    let joined = sys::setns(fd, kind).at(Step::JoinNamespace, path);
    let _ = sys::close(fd);
    joined
}
