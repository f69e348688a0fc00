//! What the kernel's mandatory access control takes a container's processes for.

use super::facts::{AppArmor, Contexts, Facts, SeLinux};
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::spec::{Labels, Spec};

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
        SeLinux::Off => Err(no_selinux(refused)),
        SeLinux::Unprepared(_) | SeLinux::Prepared(_) => Ok(Some(label.to_owned())),
    }
}

fn no_selinux(refused: impl Fn(Kind, &str) -> Error) -> Error {
    refused(Kind::Unsupported, "SELinux is not enabled on this machine")
        .hint("boot a kernel that has it with security=selinux and load a policy, or ask for no label")
}

/// The labels of a container's processes and of its files; `None` where it has none of its own.
///
/// # Errors
/// `Unsupported` for labels that were asked for where SELinux is not enabled, or where the policy knows of no containers.
pub fn of_container(spec: &Spec, facts: &Facts) -> Result<Option<Contexts>> {
    let asked = !spec.selinux.parts.is_empty();
    let refused = |kind, because: &str| Error::new(kind, "read option", "security_opt").because(because);
    match &facts.selinux {
        _ if spec.selinux.disabled || (spec.privileged && !asked) => Ok(None),
        SeLinux::Off if asked => Err(no_selinux(refused)),
        SeLinux::Unprepared(why) if asked => Err(refused(Kind::Unsupported, why)),
        SeLinux::Off | SeLinux::Unprepared(_) => Ok(None),
        SeLinux::Prepared(base) => Ok(Some(labelled(base, &spec.selinux))),
    }
}

/// As Docker has it: user and level are those of the files too, whose type has a word of its own.
fn labelled(base: &Contexts, labels: &Labels) -> Contexts {
    let last = |word: &str| labels.parts.iter().rev().find(|(key, _)| key == word).map(|(_, value)| value.as_str());
    let label = |base: &str, role: Option<&str>, kind: Option<&str>| {
        let own: Vec<&str> = base.splitn(4, ':').collect();
        let part = |at: usize, asked: Option<&str>| asked.or(own.get(at).copied()).unwrap_or_default().to_owned();
        let named = [part(0, last("user")), part(1, role), part(2, kind)].join(":");
        match (last("level"), own.get(3)) {
            (Some(level), _) => format!("{named}:{level}"),
            // A policy without levels has no categories either.
            (None, None) => named,
            (None, Some(level)) => format!("{named}:{}", with_categories(level, labels.categories)),
        }
    };
    Contexts {
        process: label(&base.process, last("role"), last("type")),
        file: label(&base.file, None, last("filetype")),
    }
}

/// A level's sensitivity, with two categories that few containers have both of.
fn with_categories(level: &str, (one, other): (u16, u16)) -> String {
    let sensitivity = level.split([':', '-']).next().unwrap_or(level);
    format!("{sensitivity}:c{},c{}", one.min(other), one.max(other))
}

/// Two different categories of the 1024 that policies have, by a container's id, which is random.
pub fn categories(id: &ContainerId) -> (u16, u16) {
    const COUNT: u16 = 1024;
    let number = |at: usize| u16::from_str_radix(&id.as_str()[at..at + 4], 16).unwrap_or_default();
    let one = number(0) % COUNT;
    // A step of at least one and less than all of them.
    (one, (one + 1 + number(4) % (COUNT - 1)) % COUNT)
}

/// The label that files have which several containers share: that of files, without anybody's categories.
pub fn shared(file: &str) -> String {
    let parts: Vec<&str> = file.splitn(4, ':').collect();
    match parts[..] {
        [user, role, kind, level] => {
            format!("{user}:{role}:{kind}:{}", level.split([':', '-']).next().unwrap_or(level))
        }
        _ => file.to_owned(),
    }
}

/// Reads a label option of Docker's: `disable`, or a part and its value.
pub fn option(labels: Labels, option: &str) -> Result<Labels> {
    const PARTS: [&str; 5] = ["user", "role", "type", "level", "filetype"];
    let wrong = |because: String| Err(super::resolve::invalid("security_opt", because));
    match option.split_once(':') {
        None if option == "disable" => Ok(Labels { disabled: true, ..labels }),
        Some((part, value)) if PARTS.contains(&part) => match is_part(value) {
            true => Ok(Labels { parts: [labels.parts, vec![(part.into(), value.into())]].concat(), ..labels }),
            false => wrong(format!("\"label={option}\": {value:?} can't be the {part} of a label")),
        },
        _ => wrong(format!("\"label={option}\" is none of label=disable, user:, role:, type:, level: and filetype:")),
    }
}

fn is_part(value: &str) -> bool {
    !value.is_empty() && value.chars().all(|c| c.is_ascii_graphic() && c != '"')
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
        let asked = |label: &str, on: bool| {
            let selinux = if on { SeLinux::Unprepared(String::new()) } else { SeLinux::Off };
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

    fn contexts() -> Contexts {
        Contexts {
            process: "system_u:system_r:container_t:s0".into(),
            file: "system_u:object_r:container_file_t:s0".into(),
        }
    }

    fn container(options: &[&str], privileged: bool, selinux: SeLinux) -> Result<Option<(String, String)>> {
        let labels =
            options.iter().try_fold(Labels { categories: (700, 3), ..Labels::default() }, |l, o| option(l, o))?;
        let spec = Spec { selinux: labels, privileged, ..Spec::default() };
        let facts = Facts { selinux, ..Facts::default() };
        of_container(&spec, &facts).map(|labels| labels.map(|labels| (labels.process, labels.file)))
    }

    #[test]
    fn a_container_has_two_categories_of_its_own() {
        let on = || SeLinux::Prepared(contexts());
        let pair = |process: &str, file: &str| Some((process.to_owned(), file.to_owned()));
        assert_eq!(
            container(&[], false, on()).unwrap(),
            pair("system_u:system_r:container_t:s0:c3,c700", "system_u:object_r:container_file_t:s0:c3,c700")
        );
        assert_eq!(container(&[], true, on()).unwrap(), None);
        assert_eq!(container(&["disable"], false, on()).unwrap(), None);
        assert_eq!(
            container(&["user:u", "role:r", "type:t", "level:s0:c1", "filetype:f"], true, on()).unwrap(),
            pair("u:r:t:s0:c1", "u:object_r:f:s0:c1")
        );
        assert_eq!(
            container(&["type:a", "type:b"], false, on()).unwrap(),
            pair("system_u:system_r:b:s0:c3,c700", "system_u:object_r:container_file_t:s0:c3,c700")
        );
        let without_levels = SeLinux::Prepared(Contexts { process: "u:r:t".into(), file: "u:object_r:f".into() });
        assert_eq!(container(&[], false, without_levels).unwrap(), pair("u:r:t", "u:object_r:f"));
    }

    #[test]
    fn labels_that_were_asked_for_are_not_left_out() {
        for selinux in [SeLinux::Off, SeLinux::Unprepared("there are none".into())] {
            assert_eq!(container(&[], false, selinux.clone()).unwrap(), None);
            assert_eq!(container(&["disable"], false, selinux.clone()).unwrap(), None);
            assert_eq!(container(&["type:t"], false, selinux).unwrap_err().kind(), Kind::Unsupported);
        }
        for bad in ["", "type", "type:", "type:a b", "type:\"", "color:red", "disable:", "nested"] {
            assert_eq!(option(Labels::default(), bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn categories_are_two_of_those_that_there_are() {
        for byte in 0..=255u8 {
            let mut random = [byte; 32];
            random[3] = byte.wrapping_mul(7);
            let (one, other) = categories(&ContainerId::from_random(random));
            assert!(one != other && one < 1024 && other < 1024, "{byte}: {one} {other}");
        }
        assert_eq!(shared("u:object_r:f:s0:c1,c2"), "u:object_r:f:s0");
        assert_eq!(shared("u:object_r:f"), "u:object_r:f");
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
