//! A seccomp filter that answers to some system calls with an errno, as that of a container engine does.

use std::io::Result;

use nix::libc::{self, sock_filter};

use super::check;

const LOAD: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
const EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
const ANY_BIT: u16 = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
const FIRST_ARGUMENT: u32 = 16;

fn step(code: u16, jt: u8, jf: u8, k: u32) -> sock_filter {
    sock_filter { code, jt, jf, k }
}

fn answer(errno: i32) -> sock_filter {
    step(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32)
}

/// Refuses these system calls.
pub fn refusing(calls: &[i64], errno: i32) -> impl FnMut() -> Result<()> + Send + Sync + use<> {
    let mut program = vec![step(LOAD, 0, 0, 0)];
    for call in calls {
        program.extend([step(EQUAL, 0, 1, *call as u32), answer(errno)]);
    }
    program.push(step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW));
    move || install(&program)
}

/// Refuses new user namespaces in every way: clone3, which can't be looked into, is hidden.
pub fn without_namespaces(errno: i32) -> impl FnMut() -> Result<()> + Send + Sync {
    let any = (libc::CLONE_NEWUSER | libc::CLONE_NEWNS | libc::CLONE_NEWPID) as u32;
    let program = vec![
        step(LOAD, 0, 0, 0),
        step(EQUAL, 0, 1, libc::SYS_clone3 as u32),
        answer(libc::ENOSYS),
        step(EQUAL, 0, 1, libc::SYS_unshare as u32),
        answer(errno),
        step(EQUAL, 0, 3, libc::SYS_clone as u32),
        step(LOAD, 0, 0, FIRST_ARGUMENT),
        step(ANY_BIT, 0, 1, any),
        answer(errno),
        step(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    move || install(&program)
}

fn install(program: &[sock_filter]) -> Result<()> {
    let program = libc::sock_fprog { len: program.len() as u16, filter: program.as_ptr().cast_mut() };
    // SAFETY: the program outlives the call, and the kernel only reads it. A plain user may set none without
    // no_new_privs; root is left without, to be refused by the filter alone.
    unsafe {
        if libc::geteuid() != 0 {
            check(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))?;
        }
        check(libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const program) as i32).map(drop)
    }
}
