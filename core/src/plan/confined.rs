//! The AppArmor profiles that root's containers have by default, in AppArmor's language (apparmor.d(5)).
//!
//! What root in a container needs is allowed; denied is what would reach the host should a mask, a read-only mount or a
//! capability fail to hold it back: mounts, what the kernel is told by /proc and /sys, and processes that are not the
//! containers' own. Their names end with a digest of their text: versions of this library that have another one don't take
//! each other's from containers that run, and what is loaded by a name is what it stands for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::spec::Sharing;

/// What all of their names begin with, and the word for the one that a container would have by default.
pub const DEFAULT: &str = "sampan-default";

/// Both, with their text.
pub struct Profiles {
    /// Of a container whose network and IPC are its own, which it may tune.
    own: String,
    /// Of one that shares any of the two.
    shared: String,
    /// What the compiler reads.
    pub text: String,
}

static PROFILES: LazyLock<Profiles> = LazyLock::new(|| {
    let digest = Sha256::digest(text(DEFAULT, DEFAULT));
    let digest: String = digest[..4].iter().map(|byte| format!("{byte:02x}")).collect();
    let (own, shared) = (format!("{DEFAULT}-{digest}"), format!("{DEFAULT}-{digest}-shared"));
    Profiles { text: text(&own, &shared), own, shared }
});

/// Those of this version.
pub fn profiles() -> &'static Profiles {
    &PROFILES
}

impl Profiles {
    /// Each by its name.
    pub fn names(&self) -> [&str; 2] {
        [&self.own, &self.shared]
    }

    /// That of a container by what it shares.
    pub fn of(&self, namespaces: &Sharing) -> &str {
        let owns = namespaces.has_own_net() && namespaces.has_own_ipc();
        if owns { &self.own } else { &self.shared }
    }
}

fn text(own: &str, shared: &str) -> String {
    let not_ipc = others(&["msg*", "sem*", "shm*"], "");
    let tunes = format!("  deny /proc/sys/{}/** wkl,\n", others(&["kernel", "net"], ""))
        + &format!("  deny /proc/sys/kernel/{not_ipc}{{,/**}} wkl,\n");
    profile(own, &tunes) + &profile(shared, "  deny /proc/sys/** wkl,\n")
}

fn profile(name: &str, rules: &str) -> String {
    // Of processes there is a directory each, whose name is a number.
    let (not_process, not_fs, not_cgroup) = (others(&["sys"], "0-9"), others(&["fs"], ""), others(&["cgroup"], ""));
    format!(
        "profile {name} flags=(attach_disconnected, mediate_deleted) {{
  file,
  capability,
  network,
  umount,
  signal (receive),
  signal (send) peer={DEFAULT}-*,
  ptrace (readby, tracedby),
  ptrace (read, trace) peer={DEFAULT}-*,

  deny mount,
  deny network alg,
  deny /proc/* wkl,
  deny /proc/kcore r,
  deny /proc/{not_process}/** wkl,
  deny /proc/[0-9]*[^0-9/]*/** wkl,
{rules}  deny /sys/{not_fs}/** wkl,
  deny /sys/fs/{not_cgroup}/** wkl,
  deny /sys/{{firmware,kernel/security,devices/virtual/powercap}}/** r,
}}
"
    )
}

/// A pattern of all names but these, of which one that ends with `*` stands for all that begin so; nor does one begin with
/// a character of the class `first`. The language has no word for that: at each letter of a name it names what differs.
fn others(names: &[&str], first: &str) -> String {
    let begins: BTreeSet<&str> = names.iter().flat_map(|name| beginnings(name)).collect();
    let all = begins.iter().flat_map(|begin| {
        let next: String = begins.iter().filter_map(|longer| one_more(begin, longer)).collect();
        let class = if begin.is_empty() { next + first } else { next };
        let differs = match names.contains(&&*format!("{begin}*")) {
            true => None,
            false => Some(format!("{begin}[^{class}/]*")),
        };
        let ends = !begin.is_empty() && !names.contains(begin) && differs.is_some();
        differs.into_iter().chain(ends.then(|| (*begin).to_owned()))
    });
    format!("{{{}}}", all.collect::<Vec<_>>().join(","))
}

/// From none of its letters to all of them.
fn beginnings(name: &str) -> impl Iterator<Item = &str> {
    let letters = name.trim_end_matches('*');
    (0..=letters.len()).map(move |end| &letters[..end])
}

fn one_more(begin: &str, longer: &str) -> Option<char> {
    let mut rest = longer.strip_prefix(begin)?.chars();
    rest.next().filter(|_| rest.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether an alternative of the pattern matches: letters, classes that are denied, and a `*` at the end.
    fn matches(pattern: &str, name: &str) -> bool {
        pattern.trim_matches(['{', '}']).split(',').any(|one| match one.split_once("[^") {
            None => one == name,
            Some((begin, rest)) => {
                let class = rest.strip_suffix("]*").unwrap().replace("0-9", "0123456789");
                let next = name.strip_prefix(begin).and_then(|rest| rest.chars().next());
                next.is_some_and(|next| !class.contains(next))
            }
        })
    }

    #[test]
    fn all_other_names_are_matched() {
        let tuned = others(&["kernel", "net"], "");
        for name in ["kernel", "net"] {
            assert!(!matches(&tuned, name), "{name}");
        }
        for name in ["k", "kerne", "kernels", "kernal", "n", "ne", "nets", "vm", "fs", "7"] {
            assert!(matches(&tuned, name), "{name}");
        }
        let ipc = others(&["msg*", "sem*", "shm*"], "");
        for name in ["msg_next_id", "msgmax", "sem", "sem_next_id", "shmmni", "shm_rmid_forced"] {
            assert!(!matches(&ipc, name), "{name}");
        }
        for name in ["core_pattern", "modprobe", "ms", "s", "se", "sh", "sysrq", "sched_domain", "shutdown", "seccomp"]
        {
            assert!(matches(&ipc, name), "{name}");
        }
        let not_process = others(&["sys"], "0-9");
        for name in ["1", "4194304", "12x", "sys"] {
            assert!(!matches(&not_process, name), "{name}");
        }
        for name in ["sy", "sysvipc", "s", "acpi", "pressure", "driver"] {
            assert!(matches(&not_process, name), "{name}");
        }
    }

    #[test]
    fn a_name_stands_for_a_text() {
        let profiles = profiles();
        for name in profiles.names() {
            assert!(profiles.text.contains(&format!("profile {name} flags=")), "{}", profiles.text);
        }
        insta::assert_snapshot!(profiles.text);
    }

    #[test]
    fn who_shares_network_or_ipc_tunes_neither() {
        let joined = |kind: &str| Sharing { joined: [(kind.to_owned(), "x".to_owned())].into(), ..Sharing::default() };
        let of = |sharing: Sharing| profiles().of(&sharing).ends_with("-shared");
        assert!(!of(Sharing::default()) && !of(joined("pid")));
        assert!(!of(Sharing { host_pid: true, host_uts: true, ..Sharing::default() }));
        for sharing in [
            Sharing { host_net: true, ..Sharing::default() },
            Sharing { host_ipc: true, ..Sharing::default() },
            joined("net"),
            joined("ipc"),
        ] {
            assert!(of(sharing));
        }
    }
}
