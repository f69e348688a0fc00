//! As the root of a user namespace with many ids: in a child of this test, made as only root can make one.

use std::io::{Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::sched::{CloneFlags, unshare};
use tar::EntryType;

use super::archive::*;
use super::faithful::xattr;
use crate::error::Kind;
use crate::layer::Form;

const CHILD: &str = "SAMPAN_TEST_NESTED";
/// Root stays itself, so that it can still read this program; all others are far away.
const MAP: &str = "0 0 1\n1 200000 999\n";

#[test]
fn child() {
    // Runs only as a child of the test below.
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let caps = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
    let out = Archive::new()
        .with("d", EntryType::Directory, |h| h.set_gid(43))
        .with("d/f", EntryType::Regular, |h| {
            h.set_uid(33);
            h.set_mode(0o4711);
        })
        .with("d/null", EntryType::Char, |h| {
            h.set_device_major(1).unwrap();
            h.set_device_minor(3).unwrap();
        })
        .symlink("s", "d")
        .pax(&[("SCHILY.xattr.security.capability", caps)])
        .file("ping", b"elf")
        .file("d/.wh.gone", b"")
        .file("o/.wh..wh..opq", b"")
        .unpack(Form::NestedRoot);
    out.done();
    let owner =
        |p: &str| std::fs::symlink_metadata(out.path(p)).map(|m| (m.uid(), m.gid(), m.mode() & 0o7777)).unwrap();
    assert_eq!([owner("d"), owner("d/f")], [(0, 43, 0o755), (33, 0, 0o4711)]);
    assert_eq!(xattr(&out, "ping", "security.capability").as_deref(), Some(&caps[..]));
    assert_eq!(xattr(&out, "o", "user.overlay.opaque").as_deref(), Some(&b"y"[..]));
    assert_eq!(std::fs::symlink_metadata(out.path("d/gone")).unwrap().rdev(), 0);
    assert_eq!(out.sidecar(), ["sampan-layer 1", "d c 1 3 0 0 20644 d/null", "w d/gone", "q o"]);
    let beyond = Archive::new().with("f", EntryType::Regular, |h| h.set_uid(1000)).unpack(Form::NestedRoot).error();
    assert_eq!(beyond.errno(), Some(libc::EINVAL));
    assert!(beyond.kind() != Kind::InvalidImage && beyond.to_string().contains("beyond the id map"), "{beyond}");
    println!("<nested>");
}

fn pipe() -> (std::fs::File, OwnedFd) {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    (read.into(), write)
}

#[test]
fn owners_and_capabilities_hold_within_a_user_namespace() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let ((mut made, tell), (wait, mapped)) = (pipe(), pipe());
    let (tell, wait) = (tell.as_raw_fd(), wait.into_raw_fd());
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "layer::tests::nested::child", "--nocapture", "--test-threads=1"]).env(CHILD, "1");
    let enter = move || {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        let pid = std::process::id().to_ne_bytes();
        // SAFETY: both descriptors were made above and stay open in this process until it executes.
        let ok = unsafe {
            libc::write(tell, pid.as_ptr().cast(), 4) == 4 && libc::read(wait, [0u8; 1].as_mut_ptr().cast(), 1) == 1
        };
        if ok { Ok(()) } else { Err(std::io::Error::last_os_error()) }
    };
    // SAFETY: it makes three system calls and allocates nothing.
    unsafe { command.pre_exec(enter) };
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut pid = [0; 4];
            made.read_exact(&mut pid).unwrap();
            for file in ["uid_map", "gid_map"] {
                std::fs::write(format!("/proc/{}/{file}", u32::from_ne_bytes(pid)), MAP).unwrap();
            }
            std::fs::File::from(mapped).write_all(b"x").unwrap();
        });
        command.output()
    });
    // SAFETY: ours since it was taken from its owner above.
    drop(unsafe { OwnedFd::from_raw_fd(wait) });
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && text.contains("<nested>"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}
