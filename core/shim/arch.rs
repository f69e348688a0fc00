//! What depends on the processor: the entry point, the system call instruction and the numbers.

#[cfg(target_arch = "x86_64")]
mod this {
    use core::arch::{asm, global_asm};

    // The kernel enters with argc at the stack's top and rbp undefined; Rust wants an aligned stack.
    global_asm!(
        ".globl _start",
        "_start:",
        "xor %ebp, %ebp",
        "mov %rsp, %rdi",
        "and $-16, %rsp",
        "call {main}",
        "ud2",
        main = sym crate::entry::main,
        options(att_syntax)
    );

    /// A system call; a result in `-4095..0` is a negated errno.
    ///
    /// # Safety
    /// The arguments must be what the call with this number expects.
    #[inline(always)]
    pub unsafe fn syscall(n: usize, a: [usize; 6]) -> isize {
        let result: isize;
        asm!("syscall", inlateout("rax") n as isize => result,
            in("rdi") a[0], in("rsi") a[1], in("rdx") a[2], in("r10") a[3], in("r8") a[4], in("r9") a[5],
            lateout("rcx") _, lateout("r11") _, options(nostack));
        result
    }

    /// A clone with these flags, which runs `enter` on a stack of its own; as [`syscall`] in the one that makes it.
    ///
    /// # Safety
    /// The stack ends at `stack`, which is a multiple of 16, and belongs to the new one alone; `enter` never returns, and
    /// may be given `what`.
    pub unsafe fn clone_onto(flags: u64, stack: *mut u8, enter: usize, what: usize) -> isize {
        let result: isize;
        asm!("syscall", "test rax, rax", "jnz 2f", "xor ebp, ebp", "mov rdi, r12", "call r13", "ud2", "2:",
            inlateout("rax") nr::CLONE as isize => result, in("rdi") flags, in("rsi") stack, in("rdx") 0usize, in("r10") 0usize,
            in("r8") 0usize, in("r12") what, in("r13") enter, lateout("rcx") _, lateout("r11") _);
        result
    }

    /// Ends the process by a signal.
    pub fn trap() -> ! {
        // SAFETY: nothing comes after it.
        unsafe { asm!("ud2", options(noreturn)) }
    }

    /// The numbers, which differ between processors below 424.
    pub mod nr {
        crate::arch::numbers! {
            READ 0 WRITE 1 CLOSE 3 FSTAT 5 LSEEK 8 MMAP 9 MUNMAP 11 RT_SIGACTION 13 RT_SIGPROCMASK 14 IOCTL 16 WRITEV 20 MADVISE 28 PREAD64 17 PWRITE64 18
            GETPID 39 SENDTO 44 RECVFROM 45 SOCKET 41 SENDMSG 46 RECVMSG 47 SHUTDOWN 48 BIND 49 LISTEN 50 SOCKETPAIR 53 SETSOCKOPT 54 GETSOCKOPT 55
            CLONE 56 FORK 57 EXECVE 59 EXIT 60 WAIT4 61 KILL 62 FCNTL 72 FLOCK 73 FSYNC 74 FTRUNCATE 77 GETCWD 79
            CHDIR 80 FCHDIR 81 FCHMOD 91 FCHOWN 93 UMASK 95 GETUID 102 GETGID 104 SETPGID 109 GETPPID 110 SETSID 112 SETGROUPS 116
            SETRESUID 117 SETRESGID 119 CAPGET 125 CAPSET 126 PERSONALITY 135 SCHED_SETSCHEDULER 144 SCHED_GETSCHEDULER 145 FSTATFS 138 PIVOT_ROOT 155 PRCTL 157 CHROOT 161
            MOUNT 165 UMOUNT2 166 SETHOSTNAME 170 SETDOMAINNAME 171 LISTXATTR 194 LLISTXATTR 195 FLISTXATTR 196 GETDENTS64 217
            CLOCK_GETTIME 228 EXIT_GROUP 231 WAITID 247 KEYCTL 250 OPENAT 257 MKDIRAT 258 MKNODAT 259 FCHOWNAT 260
            NEWFSTATAT 262 UNLINKAT 263 LINKAT 265 SYMLINKAT 266 READLINKAT 267 FCHMODAT 268 PPOLL 271 UNSHARE 272
            UTIMENSAT 280 FALLOCATE 285 TIMERFD_CREATE 283 TIMERFD_SETTIME 286 ACCEPT4 288 SIGNALFD4 289 EVENTFD2 290 EPOLL_CREATE1 291
            DUP3 292 PIPE2 293 PRLIMIT64 302 SETNS 308 RENAMEAT2 316 SECCOMP 317 GETRANDOM 318 MEMFD_CREATE 319 EXECVEAT 322 COPY_FILE_RANGE 326 STATX 332
            SPLICE 275 SENDFILE 40 FGETXATTR 193 LGETXATTR 192 LSETXATTR 189 FSETXATTR 190 SCHED_SETAFFINITY 203 IOPRIO_SET 251 SCHED_SETATTR 314 EPOLL_CTL 233 EPOLL_PWAIT 281 KCMP 312 SET_MEMPOLICY 238
        }
    }
}

#[cfg(target_arch = "aarch64")]
mod this {
    use core::arch::{asm, global_asm};

    global_asm!(
        ".globl _start",
        "_start:",
        "mov x29, #0",
        "mov x30, #0",
        "mov x0, sp",
        "and sp, x0, #-16",
        "bl {main}",
        "brk #1",
        main = sym crate::entry::main,
    );

    /// A system call; a result in `-4095..0` is a negated errno.
    ///
    /// # Safety
    /// The arguments must be what the call with this number expects.
    #[inline(always)]
    pub unsafe fn syscall(n: usize, a: [usize; 6]) -> isize {
        let result: isize;
        asm!("svc #0", in("x8") n, inlateout("x0") a[0] as isize => result,
            in("x1") a[1], in("x2") a[2], in("x3") a[3], in("x4") a[4], in("x5") a[5], options(nostack));
        result
    }

    /// A clone with these flags, which runs `enter` on a stack of its own; as [`syscall`] in the one that makes it.
    ///
    /// # Safety
    /// The stack ends at `stack`, which is a multiple of 16, and belongs to the new one alone; `enter` never returns, and
    /// may be given `what`.
    pub unsafe fn clone_onto(flags: u64, stack: *mut u8, enter: usize, what: usize) -> isize {
        let result: isize;
        asm!("svc #0", "cbnz x0, 2f", "mov x29, xzr", "mov x30, xzr", "mov x0, x9", "blr x10", "brk #1", "2:",
            in("x8") nr::CLONE, inlateout("x0") flags as isize => result, in("x1") stack, in("x2") 0usize, in("x3") 0usize,
            in("x4") 0usize, in("x9") what, in("x10") enter);
        result
    }

    /// Ends the process by a signal.
    pub fn trap() -> ! {
        // SAFETY: nothing comes after it.
        unsafe { asm!("brk #1", options(noreturn)) }
    }

    /// The numbers, which differ between processors below 424.
    pub mod nr {
        crate::arch::numbers! {
            LISTXATTR 11 LLISTXATTR 12 FLISTXATTR 13 GETCWD 17 EVENTFD2 19 EPOLL_CREATE1 20 DUP3 24 FCNTL 25 IOCTL 29
            FLOCK 32 MKNODAT 33 MKDIRAT 34 UNLINKAT 35 SYMLINKAT 36 LINKAT 37 UMOUNT2 39 MOUNT 40 PIVOT_ROOT 41
            FSTATFS 44 FTRUNCATE 46 FALLOCATE 47 CHDIR 49 FCHDIR 50 CHROOT 51 FCHMOD 52 FCHMODAT 53 FCHOWNAT 54 FCHOWN 55
            OPENAT 56 CLOSE 57 PIPE2 59 GETDENTS64 61 LSEEK 62 READ 63 WRITE 64 WRITEV 66 MADVISE 233 PREAD64 67 PWRITE64 68 PPOLL 73
            SIGNALFD4 74 READLINKAT 78 NEWFSTATAT 79 FSTAT 80 FSYNC 82 TIMERFD_CREATE 85 TIMERFD_SETTIME 86
            UTIMENSAT 88 CAPGET 90 CAPSET 91 PERSONALITY 92 EXIT 93 EXIT_GROUP 94 WAITID 95 UNSHARE 97 CLOCK_GETTIME 113
            KILL 129 RT_SIGACTION 134 RT_SIGPROCMASK 135 SETRESUID 147 SETRESGID 149 SETPGID 154 SETSID 157 SETGROUPS 159
            SETHOSTNAME 161 SETDOMAINNAME 162 UMASK 166 PRCTL 167 GETPID 172 GETPPID 173 GETUID 174 GETGID 176 SOCKET 198 SOCKETPAIR 199
            BIND 200 LISTEN 201 SENDTO 206 RECVFROM 207 SETSOCKOPT 208 GETSOCKOPT 209 SHUTDOWN 210 SENDMSG 211 RECVMSG 212
            MUNMAP 215 KEYCTL 219 CLONE 220 EXECVE 221 MMAP 222 ACCEPT4 242 WAIT4 260 PRLIMIT64 261 SETNS 268
            RENAMEAT2 276 SECCOMP 277 GETRANDOM 278 MEMFD_CREATE 279 EXECVEAT 281 COPY_FILE_RANGE 285 STATX 291
            SPLICE 76 SENDFILE 71 FGETXATTR 10 LGETXATTR 9 LSETXATTR 6 FSETXATTR 7 SCHED_SETSCHEDULER 119 SCHED_GETSCHEDULER 120 SCHED_SETAFFINITY 122 IOPRIO_SET 30 SCHED_SETATTR 274 EPOLL_CTL 21 EPOLL_PWAIT 22 KCMP 272 SET_MEMPOLICY 237
        }
    }
}

/// Declares system call numbers.
macro_rules! numbers {
    ($($name:ident $number:literal)+) => {
        $(#[allow(dead_code, missing_docs)] pub const $name: usize = $number;)+
        // From here on all processors agree.
        crate::arch::common_numbers! {
            PIDFD_SEND_SIGNAL 424 OPEN_TREE 428 MOVE_MOUNT 429 FSOPEN 430 FSCONFIG 431 FSMOUNT 432 FSPICK 433 PIDFD_OPEN 434
            CLONE3 435 CLOSE_RANGE 436 OPENAT2 437 PIDFD_GETFD 438 FACCESSAT2 439 MOUNT_SETATTR 442 LANDLOCK_CREATE_RULESET 444
            LANDLOCK_ADD_RULE 445 LANDLOCK_RESTRICT_SELF 446 FCHMODAT2 452
        }
    };
}
macro_rules! common_numbers {
    ($($name:ident $number:literal)+) => { $(#[allow(dead_code, missing_docs)] pub const $name: usize = $number;)+ };
}
pub use this::{clone_onto, nr, syscall, trap};
pub(crate) use {common_numbers, numbers};
