//! Capabilities of processes by name and number.

/// Capabilities by number, as of `linux/capability.h`.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Every capability that this version knows, bit n for capability n.
pub const ALL: u64 = (1 << NAMES.len()) - 1;

/// All names, without `CAP_`.
pub fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter()
}

/// The bit of a capability, named with or without `CAP_`, in any case.
pub fn bit(name: &str) -> Option<u64> {
    let bare = match name.get(..4) {
        Some(prefix) if prefix.eq_ignore_ascii_case("CAP_") => &name[4..],
        _ => name,
    };
    NAMES.iter().position(|known| known.eq_ignore_ascii_case(bare)).map(|number| 1 << number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_any_form() {
        assert_eq!([bit("CAP_CHOWN"), bit("chown"), bit("cap_sys_admin")], [Some(1), Some(1), Some(1 << 21)]);
        assert_eq!([bit("CAP_"), bit("CAP_FLY"), bit("")], [None; 3]);
    }
}
