//! The profile that applies when none is named: Docker's, as of `seccomp/v0.2.3` of moby/profiles.
//!
//! What is not allowed here fails with EPERM. Left out are calls that reach the kernel or the machine as a whole, those
//! that have been a way out of containers too often (io_uring, AF_ALG, AF_VSOCK, user namespaces), and old ones.

use super::{Action, Arch, Circumstances, Compare, Condition, Policy, Rule};
use crate::capability;

/// Files: content, metadata and names.
const FILES: &str = "_llseek access cachestat chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 \
    faccessat faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32 \
    fchownat fcntl fcntl64 fdatasync flock fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 \
    futimesat getcwd getdents getdents64 ioctl lchown lchown32 link linkat listmount lseek lstat lstat64 mkdir \
    mkdirat mknod mknodat name_to_handle_at newfstatat open openat openat2 pipe pipe2 pread64 preadv preadv2 \
    pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv rename renameat renameat2 rmdir sendfile \
    sendfile64 splice stat stat64 statfs statfs64 statmount statx symlink symlinkat sync sync_file_range syncfs \
    tee truncate truncate64 unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev";
/// Extended attributes.
const XATTRS: &str = "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat lgetxattr listxattr listxattrat llistxattr \
    lremovexattr lsetxattr removexattr removexattrat setxattr setxattrat";
/// Signals.
const SIGNALS: &str = "kill pause pidfd_send_signal rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn \
    rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo sigaltstack signalfd signalfd4 \
    sigprocmask sigreturn tgkill tkill";
/// Message queues, semaphores, shared memory.
const IPC: &str = "ipc mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 \
    mq_unlink msgctl msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 shmat shmctl shmdt \
    shmget";
/// Sockets; `socket` itself is judged by its family.
const SOCKETS: &str = "accept accept4 bind connect getpeername getsockname getsockopt listen recv recvfrom recvmmsg recvmmsg_time64 \
    recvmsg send sendmmsg sendmsg sendto setsockopt shutdown socketcall socketpair";
/// Who a process is; the kernel asks for the capability.
const IDENTITY: &str = "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 getgroups getgroups32 getresgid \
    getresgid32 getresuid getresuid32 getuid getuid32 setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 \
    setgroups setgroups32 setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid setreuid32 \
    setuid setuid32";
/// Waiting for events; asynchronous input and output, but not io_uring.
const EVENTS: &str = "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait \
    epoll_wait_old eventfd eventfd2 fanotify_mark inotify_add_watch inotify_init inotify_init1 inotify_rm_watch \
    io_cancel io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit poll ppoll \
    ppoll_time64 pselect6 pselect6_time64 select";
/// Memory.
const MEMORY: &str = "brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall mmap mmap2 \
    mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free pkey_mprotect process_mrelease \
    remap_file_pages";
/// Scheduling and limits.
const SCHEDULING: &str = "getcpu getpriority getrlimit getrusage ioprio_get ioprio_set prlimit64 sched_get_priority_max \
    sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
    sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam \
    sched_setscheduler sched_yield setpriority setrlimit ugetrlimit";
/// Clocks and timers.
const TIME: &str = "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres clock_getres_time64 clock_gettime clock_gettime64 \
    clock_nanosleep clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time timer_create \
    timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64 timerfd_create \
    timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 times";
/// Processes and threads.
const PROCESSES: &str = "execve execveat exit exit_group fork futex futex_requeue futex_time64 futex_wait futex_waitv futex_wake \
    get_robust_list get_thread_area getpgid getpgrp getpid getppid getrandom getsid gettid landlock_add_rule \
    landlock_create_ruleset landlock_restrict_self pidfd_open prctl restart_syscall riscv_hwprobe rseq seccomp \
    set_robust_list set_thread_area set_tid_address setpgid setsid sysinfo umask uname uretprobe vfork wait4 \
    waitid waitpid";

/// What a capability makes harmless to allow: without it in the container the kernel would refuse most of it anyway.
const WITH_CAPABILITY: &[(&str, &str)] = &[
    ("DAC_READ_SEARCH", "open_by_handle_at"),
    (
        "SYS_ADMIN",
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie lsm_get_self_attr \
         lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount open_tree perf_event_open quotactl quotactl_fd \
         setdomainname sethostname setns syslog umount umount2 unshare",
    ),
    ("SYS_BOOT", "reboot"),
    ("SYS_CHROOT", "chroot"),
    ("SYS_MODULE", "delete_module finit_module init_module"),
    ("SYS_PACCT", "acct"),
    ("SYS_PTRACE", "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    ("SYS_RAWIO", "ioperm iopl"),
    ("SYS_TIME", "clock_settime clock_settime64 settimeofday stime"),
    ("SYS_TTY_CONFIG", "vhangup"),
    ("SYS_NICE", "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    ("SYSLOG", "syslog"),
    ("BPF", "bpf"),
    ("PERFMON", "perf_event_open"),
];

/// Tracing could step around a filter before Linux 4.8.
const TRACING: &str = "process_vm_readv process_vm_writev ptrace";
pub(super) const TRACING_SINCE: (u32, u32) = (4, 8);

const AF_ALG: u64 = 38;
const AF_VSOCK: u64 = 40;
/// `CLONE_NEW*` but for time namespaces, which clone can't make.
const NEW_NAMESPACES: u64 = 0x7e02_0000;
/// `PER_LINUX`, `PER_LINUX32`, both with `UNAME26`, and the question which it is.
const PERSONALITIES: [u64; 5] = [0, 8, 0x2_0000, 0x2_0008, 0xffff_ffff];
const EPERM: u16 = 1;
const ENOSYS: u16 = 38;

/// The policy in these circumstances.
pub fn policy(around: &Circumstances) -> Policy {
    let mut rules =
        vec![allow(&[FILES, XATTRS, SIGNALS, IPC, SOCKETS, IDENTITY, EVENTS, MEMORY, SCHEDULING, TIME, PROCESSES])];
    rules.extend(sockets());
    rules.extend(PERSONALITIES.map(|value| allow_if("personality", Compare::Equal, value)));
    rules.extend(architecture(around.arch));
    if around.kernel >= TRACING_SINCE {
        rules.push(allow(&[TRACING]));
    }
    for (name, calls) in WITH_CAPABILITY {
        if holds(around, name) {
            rules.push(allow(&[calls]));
        }
    }
    if !holds(around, "SYS_ADMIN") {
        rules.extend(threads_only());
    }
    Policy { default: Action::Errno(EPERM), arches: arches(around.arch), rules }
}

fn holds(around: &Circumstances, name: &str) -> bool {
    capability::bit(name).is_some_and(|bit| around.capabilities & bit != 0)
}

fn arches(native: Arch) -> Vec<Arch> {
    match native {
        Arch::Aarch64 => vec![Arch::Aarch64, Arch::Arm],
        _ => vec![Arch::X86_64, Arch::X86, Arch::X32],
    }
}

fn allow(groups: &[&str]) -> Rule {
    let names = groups.iter().flat_map(|group| group.split_whitespace()).map(str::to_owned).collect();
    Rule { names, action: Action::Allow, conditions: Vec::new() }
}

fn allow_if(name: &str, compare: Compare, value: u64) -> Rule {
    Rule { conditions: vec![Condition { argument: 0, compare, value }], ..allow(&[name]) }
}

/// All families but those that no namespace holds. The kernel looks at the low half of the argument alone, so that is
/// compared: Docker's rule, a plain `> 40` of all 64 bits, lets AF_ALG through with any bit of the high half set.
fn sockets() -> [Rule; 3] {
    let refuse = |family| {
        let rule = allow_if("socket", Compare::MaskedEqual(0xffff_ffff), family);
        Rule { action: Action::Errno(EPERM), ..rule }
    };
    [refuse(AF_ALG), refuse(AF_VSOCK), allow(&["socket"])]
}

fn architecture(native: Arch) -> Option<Rule> {
    match native {
        Arch::X86_64 => Some(allow(&["arch_prctl modify_ldt"])),
        Arch::Aarch64 => {
            Some(allow(&["arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"]))
        }
        _ => None,
    }
}

/// `clone` without new namespaces. The flags of `clone3` lie behind a pointer: a C library goes on to `clone`.
fn threads_only() -> [Rule; 2] {
    [
        allow_if("clone", Compare::MaskedEqual(NEW_NAMESPACES), 0),
        Rule { action: Action::Errno(ENOSYS), ..allow(&["clone3"]) },
    ]
}
