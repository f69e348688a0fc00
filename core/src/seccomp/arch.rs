//! Architectures of system calls: how the kernel names them, and the numbers of their calls.

/// One table of system calls. x32 shares the kernel's name with x86-64 and sets bit 30 of the number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Arch {
    /// x86-64.
    X86_64,
    /// x86-64 with 32-bit pointers.
    X32,
    /// i386 and later.
    X86,
    /// 64-bit Arm.
    Aarch64,
    /// 32-bit Arm, EABI.
    Arm,
}

/// Set in each number of an x32 call.
pub const X32_BIT: u32 = 0x4000_0000;

/// Calls that x32 has under numbers of its own, from 512 on, in order (arch/x86/entry/syscalls/syscall_64.tbl).
const X32_OWN: [&str; 36] = [
    "rt_sigaction",
    "rt_sigreturn",
    "ioctl",
    "readv",
    "writev",
    "recvfrom",
    "sendmsg",
    "recvmsg",
    "execve",
    "ptrace",
    "rt_sigpending",
    "rt_sigtimedwait",
    "rt_sigqueueinfo",
    "sigaltstack",
    "timer_create",
    "mq_notify",
    "kexec_load",
    "waitid",
    "set_robust_list",
    "get_robust_list",
    "vmsplice",
    "move_pages",
    "preadv",
    "pwritev",
    "rt_tgsigqueueinfo",
    "recvmmsg",
    "sendmmsg",
    "process_vm_readv",
    "process_vm_writev",
    "setsockopt",
    "getsockopt",
    "io_setup",
    "io_submit",
    "execveat",
    "preadv2",
    "pwritev2",
];

/// Calls of x86-64 that x32 does not have at all.
const NOT_IN_X32: [&str; 11] = [
    "uselib",
    "_sysctl",
    "create_module",
    "get_kernel_syms",
    "query_module",
    "nfsservctl",
    "set_thread_area",
    "get_thread_area",
    "epoll_ctl_old",
    "epoll_wait_old",
    "vserver",
];

/// Names that profiles use and the table does not have; Arm's own calls (arch/arm/include/uapi/asm/unistd.h).
const ALSO: &[(Arch, &str, u32)] = &[
    (Arch::Aarch64, "newfstatat", 79),
    (Arch::Arm, "sync_file_range2", 341),
    (Arch::Arm, "breakpoint", ARM_OWN + 1),
    (Arch::Arm, "cacheflush", ARM_OWN + 2),
    (Arch::Arm, "usr26", ARM_OWN + 3),
    (Arch::Arm, "usr32", ARM_OWN + 4),
    (Arch::Arm, "set_tls", ARM_OWN + 5),
    (Arch::Arm, "get_tls", ARM_OWN + 6),
];

/// Calls of 32-bit Arm alone begin here, far beyond those of Linux.
pub const ARM_OWN: u32 = 0xf_0000;

/// Finds a call by name. The numbers are sorted by name when this is compiled: to sort them at each start of a
/// process would cost more than all searches, and names would be pointers to be relocated.
macro_rules! sorted_calls {
    ($arch:ident, $name:expr) => {{
        use syscalls::$arch::Sysno;
        const fn name_of(number: u32) -> &'static str {
            match Sysno::new(number as usize) {
                Some(call) => call.name(),
                None => "",
            }
        }
        // The table's own steps end one before the last.
        const fn following(call: Sysno) -> Option<Sysno> {
            match call.next() {
                None if call.id() != Sysno::last().id() => Some(Sysno::last()),
                next => next,
            }
        }
        const COUNT: usize = {
            let (mut count, mut call) = (0, Some(Sysno::first()));
            while let Some(this) = call {
                (count, call) = (count + 1, following(this));
            }
            count
        };
        static SORTED: [u32; COUNT] = {
            let (mut numbers, mut at, mut call) = ([0; COUNT], 0, Some(Sysno::first()));
            while let Some(this) = call {
                numbers[at] = this.id() as u32;
                (at, call) = (at + 1, following(this));
            }
            let mut gap = COUNT / 2;
            while gap > 0 {
                let mut end = gap;
                while end < COUNT {
                    let mut at = end;
                    while at >= gap && is_before(name_of(numbers[at]), name_of(numbers[at - gap])) {
                        (numbers[at], numbers[at - gap]) = (numbers[at - gap], numbers[at]);
                        at -= gap;
                    }
                    end += 1;
                }
                gap /= 2;
            }
            numbers
        };
        SORTED.binary_search_by(|number| name_of(*number).cmp($name)).ok().map(|at| SORTED[at])
    }};
}

impl Arch {
    /// The one that this library was compiled for.
    pub const NATIVE: Arch = if cfg!(target_arch = "aarch64") { Arch::Aarch64 } else { Arch::X86_64 };

    const ALL: [Arch; 5] = [Arch::X86_64, Arch::X32, Arch::X86, Arch::Aarch64, Arch::Arm];

    /// Its name in the OCI runtime specification.
    pub fn oci_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "SCMP_ARCH_X86_64",
            Arch::X32 => "SCMP_ARCH_X32",
            Arch::X86 => "SCMP_ARCH_X86",
            Arch::Aarch64 => "SCMP_ARCH_AARCH64",
            Arch::Arm => "SCMP_ARCH_ARM",
        }
    }

    /// Its name in the conditions of a Docker profile, which are Go's.
    pub fn go_name(self) -> &'static str {
        match self {
            Arch::X86_64 => "amd64",
            Arch::X32 => "x32",
            Arch::X86 => "x86",
            Arch::Aarch64 => "arm64",
            Arch::Arm => "arm",
        }
    }

    /// The one with this OCI name; `None` for those that no machine of ours can run.
    pub fn from_oci(name: &str) -> Option<Arch> {
        Arch::ALL.into_iter().find(|arch| arch.oci_name() == name)
    }

    /// `AUDIT_ARCH_*` of linux/audit.h.
    pub fn audit(self) -> u32 {
        match self {
            Arch::X86_64 | Arch::X32 => 0xc000_003e,
            Arch::X86 => 0x4000_0003,
            Arch::Aarch64 => 0xc000_00b7,
            Arch::Arm => 0x4000_0028,
        }
    }

    /// The number of the call with this name, if the architecture has it.
    pub fn number(self, name: &str) -> Option<u32> {
        let listed = match self {
            Arch::X86_64 => sorted_calls!(x86_64, name),
            Arch::X32 => return x32_number(name),
            Arch::X86 => sorted_calls!(x86, name),
            Arch::Aarch64 => sorted_calls!(aarch64, name),
            Arch::Arm => sorted_calls!(arm, name),
        };
        listed
            .or_else(|| ALSO.iter().find(|(arch, also, _)| *arch == self && *also == name).map(|(.., number)| *number))
    }
}

fn x32_number(name: &str) -> Option<u32> {
    let own = X32_OWN.iter().position(|own| *own == name).map(|at| 512 + at as u32);
    let shared = || Arch::X86_64.number(name).filter(|_| !NOT_IN_X32.contains(&name));
    own.or_else(shared).map(|number| number | X32_BIT)
}

/// `a < b`, which strings can't be asked while compiling.
const fn is_before(a: &str, b: &str) -> bool {
    let (a, b, mut at) = (a.as_bytes(), b.as_bytes(), 0);
    while at < a.len() && at < b.len() && a[at] == b[at] {
        at += 1;
    }
    at < b.len() && (at == a.len() || a[at] < b[at])
}
