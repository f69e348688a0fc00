//! What `/proc` tells of a process.

use super::host::read_small;

/// When a process started, in clock ticks since boot: with the boot id and the pid it names a process
/// for good. `None` when there is no such process (a zombie still counts).
pub fn start_time(pid: i32) -> Option<u64> {
    parse_start(&read_small(&format!("/proc/{pid}/stat")).ok()?)
}

/// Field 22. The command (field 2) may hold spaces and parentheses, so count from the last `)`.
fn parse_start(stat: &str) -> Option<u64> {
    stat.rsplit_once(')')?.1.split_ascii_whitespace().nth(19)?.parse().ok()
}

/// Whether a process has ended and only waits to be reaped; one that is gone has not.
pub fn is_zombie(pid: i32) -> bool {
    let stat = read_small(&format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
}

/// Whether this process has a capability, by its number, in effect.
pub fn has_capability(number: u32) -> bool {
    const VERSION_3: u32 = 0x2008_0522;
    let mut header = [VERSION_3, 0];
    // Effective, permitted, inheritable: of the lower 32 and of the upper.
    let mut data = [0u32; 6];
    // SAFETY: the kernel reads two words and writes six, which is what there is.
    let done = unsafe { libc::syscall(libc::SYS_capget, header.as_mut_ptr(), data.as_mut_ptr()) };
    done == 0 && data[if number < 32 { 0 } else { 3 }] & (1 << (number % 32)) != 0
}

/// What this thread sees of files, and of what `/proc` tells of processes, as a user and a group; its own again behind it.
/// Root alone can be another, and whoever else looks remains who it is.
pub fn as_user<T>(uid: u32, gid: u32, look: impl FnOnce() -> T) -> T {
    use nix::unistd::{Gid, Uid, setfsgid, setfsuid};
    struct Back(Uid, Gid);
    impl Drop for Back {
        fn drop(&mut self) {
            setfsuid(self.0);
            setfsgid(self.1);
        }
    }
    let group = setfsgid(Gid::from_raw(gid));
    let _back = Back(setfsuid(Uid::from_raw(uid)), group);
    look()
}

/// This process's limit of file sizes: a write beyond it is answered by a signal that ends the process.
pub fn most_bytes_of_a_file() -> u64 {
    use nix::sys::resource::{Resource, getrlimit};
    #[allow(clippy::useless_conversion)] // its width differs between architectures
    getrlimit(Resource::RLIMIT_FSIZE).map_or(u64::MAX, |(soft, _)| soft.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_command_does_not_shift_the_fields() {
        let fields: Vec<String> = (3..=52).map(|n| n.to_string()).collect();
        let stat = format!("7 (a) R 1 (b) {}", fields.join(" "));
        assert_eq!(parse_start(&stat), Some(22));
        assert_eq!(parse_start("7 (x"), None);
    }

    #[test]
    fn capabilities_are_those_of_proc() {
        let status = read_small("/proc/thread-self/status").unwrap();
        let hex = status.lines().find_map(|l| l.strip_prefix("CapEff:")).unwrap();
        let effective = u64::from_str_radix(hex.trim(), 16).unwrap();
        for number in 0..64 {
            assert_eq!(has_capability(number), effective & (1 << number) != 0, "{number}");
        }
    }

    #[test]
    fn own_start_time_is_known_and_pid_zero_is_nobody() {
        assert!(start_time(std::process::id() as i32).is_some());
        assert_eq!(start_time(0), None);
    }
}
