//! `as WORD... -- COMMAND...`: runs a command as somebody else would: as a user (`user=ID`), as a subreaper,
//! in a cgroup namespace of its own (`cgroupns`), or on a kernel that lacks system calls (`without=NUMBER`: they give ENOSYS; `refusing=NUMBER`: EPERM).

use std::ffi::{c_int, c_ulong, c_void};
use std::os::unix::process::CommandExt;

unsafe extern "C" {
    fn prctl(option: c_int, ...) -> c_int;
    fn unshare(flags: c_int) -> c_int;
}

#[repr(C)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

#[repr(C)]
struct Program {
    length: u16,
    instructions: *const Instruction,
}

const ENOSYS: u32 = 38;
const EPERM: u32 = 1;

fn main() {
    let all: Vec<String> = std::env::args().skip(1).collect();
    let at = all.iter().position(|w| w == "--").expect("as WORD... -- COMMAND...");
    let mut command = std::process::Command::new(&all[at + 1]);
    for word in &all[..at] {
        match word.split_once('=') {
            None if word == "subreaper" => call(36, 1),
            // SAFETY: a number goes in and out.
            None if word == "cgroupns" => assert_eq!(unsafe { unshare(0x0200_0000) }, 0, "unshare"),
            Some(("user", id)) => _ = command.uid(id.parse().expect("an id")).gid(id.parse().expect("an id")),
            Some(("without", number)) => refuse(number.parse().expect("a number"), ENOSYS),
            Some(("refusing", number)) => refuse(number.parse().expect("a number"), EPERM),
            _ => panic!("what is {word}?"),
        }
    }
    let error = command.args(&all[at + 2..]).exec();
    panic!("{}: {error}", all[at + 1]);
}

fn call(option: c_int, argument: c_ulong) {
    // SAFETY: options that take numbers only.
    assert_eq!(unsafe { prctl(option, argument, 0 as c_ulong, 0 as c_ulong, 0 as c_ulong) }, 0, "prctl {option}");
}

/// A seccomp filter that answers one system call with an errno.
fn refuse(number: u32, errno: u32) {
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const RETURN: u16 = 0x06;
    let instructions = [
        Instruction { code: LOAD, if_true: 0, if_false: 0, value: 0 },
        Instruction { code: EQUAL, if_true: 0, if_false: 1, value: number },
        Instruction { code: RETURN, if_true: 0, if_false: 0, value: 0x0005_0000 | errno },
        Instruction { code: RETURN, if_true: 0, if_false: 0, value: 0x7fff_0000 },
    ];
    let program = Program { length: instructions.len() as u16, instructions: instructions.as_ptr() };
    // SAFETY: the program outlives the call, which copies it.
    let done = unsafe { prctl(22, 2 as c_ulong, (&raw const program).cast::<c_void>()) };
    assert_eq!(done, 0, "a seccomp filter needs root or no_new_privs");
}
