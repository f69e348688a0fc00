//! What the kernel's mandatory access control takes a container's processes for.

use super::facts::{AppArmor, Facts};
use crate::error::{Error, Kind, Result};

/// The profile that root's containers have by default.
pub const DEFAULT_PROFILE: &str = "sampan-default";
/// The one that confines nothing; it is always there.
const UNCONFINED: &str = "unconfined";

/// The profile that a process is to enter; `None` where nothing is to be done. `refused` makes an error of a kind and
/// its reason.
///
/// # Errors
/// `Unsupported` where AppArmor is not enabled, `InvalidArgument` for what is no name of a profile.
pub fn apparmor(profile: &str, facts: &Facts, refused: impl Fn(Kind, &str) -> Error) -> Result<Option<String>> {
    match facts.apparmor {
        _ if profile.is_empty() => Ok(None),
        _ if !is_name(profile) => {
            Err(refused(Kind::InvalidArgument, "an AppArmor profile's name is one line, with no blanks around it"))
        }
        // What every process is where there are no profiles.
        AppArmor::Off if profile == UNCONFINED => Ok(None),
        AppArmor::Off => Err(refused(Kind::Unsupported, "AppArmor is not enabled on this machine")
            .hint("boot a kernel that has it with apparmor=1 security=apparmor, or ask for no profile")),
        AppArmor::Unprepared(_) | AppArmor::Prepared => Ok(Some(profile.to_owned())),
    }
}

/// The SELinux label that a process or its files are to have; `None` where nothing is to be done. `refused` makes an error
/// of a kind and its reason.
///
/// # Errors
/// `Unsupported` where SELinux is not enabled, `InvalidArgument` for what can't be a label.
pub fn selinux(label: &str, facts: &Facts, refused: impl Fn(Kind, &str) -> Error) -> Result<Option<String>> {
    match facts.selinux {
        _ if label.is_empty() => Ok(None),
        _ if !is_label(label) => Err(refused(Kind::InvalidArgument, "an SELinux label is user:role:type[:level]")),
        false => Err(refused(Kind::Unsupported, "SELinux is not enabled on this machine")
            .hint("boot a kernel that has it with security=selinux and load a policy, or ask for no label")),
        true => Ok(Some(label.to_owned())),
    }
}

/// A level may have more parts. The rest is the policy's to say.
fn is_label(label: &str) -> bool {
    let plain = label.chars().all(|c| c.is_ascii_graphic() && c != '"');
    plain && label.split(':').take(3).filter(|part| !part.is_empty()).count() == 3
}

/// The label as an option of a new file system of this type; those that the kernel alone fills have labels of its own.
pub fn option_of(fstype: &str, label: Option<&str>) -> Option<(String, String)> {
    let of_kernel = ["proc", "sysfs", "cgroup", "cgroup2"].contains(&fstype);
    label.filter(|_| !of_kernel).map(|label| ("context".to_owned(), label.to_owned()))
}

/// One that stands for itself in an order to the kernel.
fn is_name(profile: &str) -> bool {
    profile.trim() == profile && !profile.chars().any(char::is_control)
}

/// The text of the default profile, in AppArmor's language (apparmor.d(5)). What root in a container needs is allowed;
/// denied is what would reach the host should a mask, a read-only mount or a capability fail to hold it back: mounts, what
/// the kernel is told by /proc and /sys, and processes that are not the containers' own.
pub fn default_profile() -> String {
    format!(
        "profile {DEFAULT_PROFILE} flags=(attach_disconnected, mediate_deleted) {{
  file,
  capability,
  network,
  umount,
  signal (receive),
  signal (send) peer={DEFAULT_PROFILE},
  ptrace (readby, tracedby),
  ptrace (read, trace) peer={DEFAULT_PROFILE},

  deny mount,
  deny /proc/* wkl,
  deny /proc/kcore r,
  deny /proc/{{acpi,asound,bus,driver,fs,irq,scsi,tty}}/** wkl,
  # But for those of System V IPC and of the network, which are the container's own.
  deny /proc/sys/[^kn]*/** wkl,
  deny /proc/sys/kernel/{{[^ms]*,m[^s]*,s[^eh]*,se[^m]*}}{{,/**}} wkl,
  deny /sys/{{block,bus,class,dev,devices,firmware,hypervisor,kernel,module,power}}/** wkl,
  deny /sys/fs/{{[^c]*,c[^g]*}}/** wkl,
  deny /sys/{{firmware,kernel/security,devices/virtual/powercap}}/** r,
}}
"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(profile: &str, apparmor: AppArmor) -> Result<Option<String>> {
        let facts = Facts { apparmor, ..Facts::default() };
        apparmor_of(profile, &facts)
    }

    fn apparmor_of(profile: &str, facts: &Facts) -> Result<Option<String>> {
        apparmor(profile, facts, |kind, because| Error::new(kind, "read", "here").because(because))
    }

    #[test]
    fn a_profile_is_entered_where_there_are_any() {
        let on = || AppArmor::Unprepared(String::new());
        assert_eq!(asked("mine", on()).unwrap().as_deref(), Some("mine"));
        assert_eq!(asked("mine", AppArmor::Prepared).unwrap().as_deref(), Some("mine"));
        assert_eq!(asked("unconfined", on()).unwrap().as_deref(), Some("unconfined"));
        assert_eq!(asked("/usr/bin/a program//part", on()).unwrap().as_deref(), Some("/usr/bin/a program//part"));
        assert_eq!(asked("", on()).unwrap(), None);
    }

    #[test]
    fn without_apparmor_only_none_can_be_had() {
        let error = asked("mine", AppArmor::Off).unwrap_err();
        assert_eq!(error.kind(), Kind::Unsupported);
        assert!(error.to_string().contains("AppArmor is not enabled on this machine"), "{error}");
        assert_eq!(asked("unconfined", AppArmor::Off).unwrap(), None);
        assert_eq!(asked("", AppArmor::Off).unwrap(), None);
    }

    #[test]
    fn a_label_is_given_where_selinux_is() {
        let asked = |label: &str, selinux| {
            let facts = Facts { selinux, ..Facts::default() };
            super::selinux(label, &facts, |kind, because| Error::new(kind, "read", "here").because(because))
        };
        for label in ["u:r:t", "system_u:system_r:container_t:s0:c1,c2", "u:r:t:s0-s0:c0.c1023"] {
            assert_eq!(asked(label, true).unwrap().as_deref(), Some(label));
            assert_eq!(asked(label, false).unwrap_err().kind(), Kind::Unsupported);
        }
        assert_eq!(asked("", false).unwrap(), None);
        for label in ["mine", "u:r", "u:r:", ":r:t", "u:r:t\n", "u:r:t:s0 ", "u:r:t\"", "u:r:t:s0\",suid"] {
            assert_eq!(asked(label, true).unwrap_err().kind(), Kind::InvalidArgument, "{label:?}");
        }
    }

    #[test]
    fn what_the_kernel_fills_is_not_labelled() {
        assert_eq!(option_of("tmpfs", Some("u:r:t")), Some(("context".into(), "u:r:t".into())));
        assert_eq!(option_of("tmpfs", None), None);
        assert_eq!(option_of("proc", Some("u:r:t")), None);
    }

    #[test]
    fn what_is_no_name_is_refused_before_the_kernel_reads_it() {
        for profile in [" mine", "mine ", "mine\n", "mine\nchangeprofile other", "a\tb", "\u{1}"] {
            for apparmor in [AppArmor::Off, AppArmor::Prepared] {
                assert_eq!(asked(profile, apparmor).unwrap_err().kind(), Kind::InvalidArgument, "{profile:?}");
            }
        }
    }
}
