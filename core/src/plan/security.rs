//! Security options in Docker's words, and the filter of system calls that follows from them.

use std::sync::Arc;

use super::facts::{AppArmor, Facts};
use super::resolve::invalid;
use super::{confined, labels};
use crate::api::{RunOptions, Rung};
use crate::error::{Error, Kind, Result};
use crate::seccomp::{self, Arch, Circumstances, Filter};
use crate::spec::{Labels, Seccomp, Spec};

/// What the security options ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// Nothing masked, nothing read-only.
    pub bare_system_paths: bool,
    /// The filter of system calls.
    pub seccomp: Seccomp,
    /// The AppArmor profile; `None` for the default.
    pub apparmor: Option<String>,
    /// SELinux labels.
    pub selinux: Labels,
}

/// Reads the options; a later one goes before an earlier one. A privileged container has no filter, as in Docker.
pub fn read(options: &RunOptions) -> Result<Security> {
    let seccomp = if options.privileged { Seccomp::Unconfined } else { Seccomp::Default };
    let start = Security { seccomp, ..Security::default() };
    options.security_opt.iter().try_fold(start, |security, option| {
        match option.split_once(['=', ':']).unwrap_or((option, "true")) {
            ("no-new-privileges", "true") => Ok(Security { no_new_privs: true, ..security }),
            ("no-new-privileges", "false") => Ok(Security { no_new_privs: false, ..security }),
            ("systempaths", "unconfined") => Ok(Security { bare_system_paths: true, ..security }),
            ("seccomp", "") => Err(invalid("security_opt", format!("{option:?} names no profile"))),
            ("seccomp", profile) => Ok(Security { seccomp: profile_of(profile), ..security }),
            ("apparmor", "" | "true") => Err(invalid("security_opt", format!("{option:?} names no profile"))),
            ("apparmor", profile) => Ok(Security { apparmor: Some(profile.to_owned()), ..security }),
            ("label", words) => Ok(Security { selinux: labels::option(security.selinux, words)?, ..security }),
            _ => Err(Error::new(Kind::Unsupported, "read option", "security_opt")
                .because(format!("{option:?} can't be enforced by this version"))
                .hint("use no-new-privileges, seccomp=PROFILE, seccomp=unconfined, systempaths=unconfined, apparmor=PROFILE, apparmor=unconfined, label=disable or label=PART:VALUE")),
        }
    })
}

fn profile_of(word: &str) -> Seccomp {
    match word {
        "unconfined" => Seccomp::Unconfined,
        "builtin" | "default" => Seccomp::Default,
        text => Seccomp::Profile(text.to_owned()),
    }
}

/// The path of a profile that a security option names; `None` for a word or the text of a profile itself.
pub fn profile_path(option: &str) -> Option<&str> {
    let (key, value) = option.split_once(['=', ':'])?;
    let named = key == "seccomp" && !matches!(value, "unconfined" | "builtin" | "default");
    (named && !value.is_empty() && !value.trim_start().starts_with('{')).then_some(value)
}

/// The program that filters the container's system calls; `None` when it may make all. One without namespaces never may.
///
/// # Errors
/// `InvalidArgument` for a profile that is none.
pub fn filter(spec: &Spec, facts: &Facts) -> Result<Option<Arc<Filter>>> {
    let capabilities = spec.capabilities & facts.capabilities;
    let without_namespaces = facts.rung == Rung::Chroot;
    let (arch, kernel, read_only) = (Arch::NATIVE, facts.kernel, without_namespaces && spec.read_only);
    let around = Circumstances { arch, capabilities, kernel, without_namespaces, read_only };
    match &spec.seccomp {
        Seccomp::Unconfined if without_namespaces => seccomp::filter_of(seccomp::UNCONFINED, &around).map(Some),
        Seccomp::Unconfined => Ok(None),
        Seccomp::Default => seccomp::default_filter(&around).map(Some),
        Seccomp::Profile(text) => seccomp::filter_of(text, &around).map(Some),
    }
}

/// The AppArmor profile that the container enters; `None` where it stays with that of whoever starts it, as a privileged
/// one does unless it was given one. The word for the default is the one that this container would have.
///
/// # Errors
/// `Unsupported` where AppArmor is not enabled, `InvalidArgument` for what is no name of a profile.
pub fn apparmor(spec: &Spec, facts: &Facts) -> Result<Option<String>> {
    let refused = |kind, because: &str| Error::new(kind, "read option", "security_opt").because(because);
    let default = confined::profiles().of(&spec.namespaces);
    match spec.apparmor.as_deref() {
        Some(confined::DEFAULT) => labels::apparmor(default, facts, refused),
        Some(profile) => labels::apparmor(profile, facts, refused),
        None if spec.privileged || facts.apparmor != AppArmor::Prepared => Ok(None),
        None => Ok(Some(default.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Sharing;

    fn security(options: &[&str], privileged: bool) -> Security {
        let security_opt = options.iter().map(|option| option.to_string()).collect();
        read(&RunOptions { security_opt, privileged, ..RunOptions::default() }).unwrap()
    }

    #[test]
    fn docker_words() {
        assert_eq!(security(&[], false), Security::default());
        assert!(security(&["no-new-privileges"], false).no_new_privs);
        assert!(!security(&["no-new-privileges:true", "no-new-privileges=false"], false).no_new_privs);
        assert_eq!(security(&["seccomp=unconfined"], false).seccomp, Seccomp::Unconfined);
        assert_eq!(security(&["seccomp:{}"], false).seccomp, Seccomp::Profile("{}".into()));
        assert_eq!(security(&[], true).seccomp, Seccomp::Unconfined);
        assert_eq!(security(&["seccomp=builtin"], true).seccomp, Seccomp::Default);
    }

    #[test]
    fn what_can_not_be_enforced_is_refused() {
        for option in ["apparmor", "apparmor=", "label=mine", "label=type:", "other"] {
            let options = RunOptions { security_opt: vec![option.into()], ..RunOptions::default() };
            assert!(read(&options).unwrap_err().to_string().contains(option), "{option}");
        }
    }

    #[test]
    fn the_default_profile_is_for_those_that_name_none() {
        let entered = |options: &[&str], privileged, facts: &Facts| {
            let asked = security(options, privileged);
            apparmor(&Spec { apparmor: asked.apparmor, privileged, ..Spec::default() }, facts).unwrap()
        };
        let ready = Facts { apparmor: AppArmor::Prepared, ..Facts::default() };
        let bare = Facts { apparmor: AppArmor::Unprepared("why".into()), ..Facts::default() };
        let default = confined::profiles().of(&Sharing::default());
        assert_eq!(entered(&[], false, &ready).as_deref(), Some(default));
        assert_eq!(entered(&[], true, &ready), None);
        assert_eq!(entered(&[], false, &bare), None);
        assert_eq!(entered(&[], false, &Facts::default()), None);
        for facts in [&ready, &bare] {
            assert_eq!(entered(&["apparmor=sampan-default"], true, facts).as_deref(), Some(default));
            assert_eq!(entered(&["apparmor=mine"], true, facts).as_deref(), Some("mine"));
            assert_eq!(entered(&["apparmor:one", "apparmor=unconfined"], false, facts).as_deref(), Some("unconfined"));
        }
        let spec = Spec { apparmor: Some("mine".into()), ..Spec::default() };
        let error = apparmor(&spec, &Facts::default()).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("security_opt"), "{error}");
    }

    #[test]
    fn a_path_is_told_from_a_profile() {
        assert_eq!(profile_path("seccomp=/etc/mine.json"), Some("/etc/mine.json"));
        assert_eq!(profile_path("seccomp={\"defaultAction\": 1}"), None);
        assert_eq!(profile_path("seccomp=unconfined"), None);
        assert_eq!(profile_path("no-new-privileges"), None);
    }

    #[test]
    fn a_filter_fits_what_the_container_may() {
        let facts = Facts { capabilities: u64::MAX, kernel: (6, 1), ..Facts::default() };
        let plain = filter(&Spec::default(), &facts).unwrap().unwrap();
        let mighty = Spec { capabilities: u64::MAX, ..Spec::default() };
        assert_ne!(plain, filter(&mighty, &facts).unwrap().unwrap());
        assert_eq!(filter(&Spec { seccomp: Seccomp::Unconfined, ..mighty }, &facts).unwrap(), None);
    }

    #[test]
    fn without_namespaces_there_is_always_a_filter() {
        let facts = Facts { kernel: (6, 1), rung: Rung::Chroot, ..Facts::default() };
        let profile = Seccomp::Profile("{\"defaultAction\": \"SCMP_ACT_ALLOW\"}".into());
        for seccomp in [Seccomp::Default, Seccomp::Unconfined, profile] {
            let spec = Spec { seccomp, ..Spec::default() };
            let with = filter(&spec, &Facts { rung: Rung::Root, ..facts.clone() }).unwrap();
            let without = filter(&spec, &facts).unwrap();
            assert!(without.is_some() && without != with, "{:?}", spec.seccomp);
            let read_only = Spec { read_only: true, ..spec };
            assert_ne!(filter(&read_only, &facts).unwrap(), without);
            assert_eq!(filter(&read_only, &Facts { rung: Rung::Root, ..facts.clone() }).unwrap(), with);
        }
    }
}
