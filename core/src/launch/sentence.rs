//! A failed step as one sentence with its kind and cure.

use super::{bounds, refusal};
use crate::error::{Error, Kind};
use crate::wire::{Step, is_no_command};

/// The error for a step of a start that nobody was left to hear of, by the record of it.
pub fn failure(step: u32, errno: i32, detail: &[u8]) -> Error {
    of(step, errno, detail)
}

/// The error for a step that the shim or the init reports.
pub(super) fn of(step: u32, errno: i32, detail: &[u8]) -> Error {
    let detail = String::from_utf8_lossy(detail).trim().to_owned();
    let Some(step) = Step::from_number(step) else {
        return with_errno(Error::new(Kind::Launch, "start container", detail), errno);
    };
    match step {
        Step::Exec => exec(errno, detail),
        Step::User | Step::Group => unknown_user(step, errno, detail),
        Step::IdMapHelper => id_map_helper(errno, detail),
        Step::Clone => refusal::namespaces(errno),
        Step::Abi => Error::new(Kind::Unsupported, "start helper", "")
            .because("the installed helper belongs to another version of the library")
            .hint("install the helper of this version, or leave the option out"),
        Step::Died => Error::new(Kind::Launch, "start container", "")
            .because("its first process was killed before the command ran")
            .hint("raise its memory limit, if that is a few hundred KiB; else somebody has killed or removed it meanwhile"),
        // Whoever was to get it has been killed.
        Step::IdMap if errno == libc::EPIPE => of(Step::Died as u32, 0, b""),
        Step::Ids if errno == libc::EINVAL => unmapped(&detail),
        Step::Join if errno == libc::ESRCH => Error::new(Kind::Conflict, step.words(), "")
            .because("it has no process: it has just ended, or waits to be started again"),
        Step::Keyring if errno == libc::EDQUOT => keys(step),
        Step::Listener if errno == libc::EAGAIN => one_more(step),
        Step::Attach if errno == libc::EINVAL => {
            Error::new(Kind::Conflict, step.words(), "").because("its streams are those of the call that runs it")
        }
        Step::Slow => Error::new(Kind::Conflict, step.words(), "").because("it was not read for too long"),
        Step::Hostile => Error::new(Kind::InvalidImage, "start container", detail)
            .because("the image has a symbolic link where a mount of the container belongs"),
        // The words of who asked for it: what is told is a path of `/proc/sys`.
        Step::Sysctl => refusal::explain(plain(step, errno, &detail.replace('/', ".")), errno),
        Step::AppArmor => apparmor(errno, &detail),
        Step::SeLinux => selinux(errno, &detail),
        Step::Rlimit => bounds::limit(refusal::explain(plain(step, errno, ""), errno), errno, &detail),
        Step::OomScore => bounds::score(refusal::explain(plain(step, errno, ""), errno), errno, &detail),
        Step::Overlay => refusal::overlay(plain(step, errno, &detail), errno, &detail),
        Step::MountSource if errno == libc::ENOENT => {
            plain(step, errno, &detail).hint("make it on this machine, or check the path")
        }
        Step::CopyUp if errno == libc::ELOOP => plain(step, errno, &detail)
            .because("the image's directories there lie more than 4096 deep, or somebody moved their copies meanwhile")
            .hint("mount the volume with nocopy, and fill it from inside"),
        Step::CopyUp if errno == libc::ETIMEDOUT => plain(step, errno, &detail)
            .because("another container has been filling the volume for five minutes, and has not come to an end")
            .hint("wait for that start or end it (ps lists it), and start this one again"),
        Step::CopyUp if errno == libc::EBUSY => plain(step, errno, &detail)
            .because("somebody else who has the volume put something in the place of what was copied")
            .hint("start it again when nobody writes to the volume"),
        Step::MountFs => refusal::explain(file_system(errno, &detail), errno),
        Step::Device if matches!(errno, libc::EPERM | libc::EACCES) => plain(step, errno, &detail)
            .hint("give this process CAP_MKNOD, and the store a file system whose devices work (not mounted nodev)"),
        Step::Hook if errno == 0 => {
            plain(step, errno, &detail).because("it failed: it ended with another status than 0, or was killed")
        }
        step => refusal::explain(plain(step, errno, &detail), errno),
    }
}

/// The kernel does not say which of the words it does not take.
fn file_system(errno: i32, target: &str) -> Error {
    let error = plain(Step::MountFs, errno, target);
    match errno {
        libc::ENODEV => error.because("this kernel has no file system of that type").hint("check the mount's type"),
        libc::EINVAL => error.hint("check the mount's options: the kernel does not take one of them"),
        _ => error,
    }
}

fn plain(step: Step, errno: i32, detail: &str) -> Error {
    with_errno(Error::new(kind(step, errno), step.words(), detail), errno)
}

/// The kernel does not say which.
fn unmapped(user: &str) -> Error {
    let subject = if user.is_empty() { "root" } else { user };
    with_errno(Error::new(Kind::Launch, Step::Ids.words(), subject), libc::EINVAL)
        .because("the container's user namespace does not have its id, or not one of its groups")
        .hint("choose smaller ids, or give the container more of them (/etc/subuid, /etc/subgid, --userns auto:size=N)")
}

/// Each container has a session keyring of its own, which counts as a key of the user's.
fn keys(step: Step) -> Error {
    Error::new(Kind::LimitExceeded, step.words(), "")
        .because("this user has as many keys as it may, and each container takes one")
        .hint("raise sysctl kernel.keys.maxkeys (kernel.keys.root_maxkeys for root)")
}

/// `pids.max` and `RLIMIT_NPROC` count threads.
fn one_more(step: Step) -> Error {
    Error::new(Kind::LimitExceeded, step.words(), "")
        .because("a thread tells the listener, and the limits leave no room for it beside the first process")
        .hint("allow one more by linux.resources.pids.limit, or by RLIMIT_NPROC")
}

/// The policy says which labels there are, and who may give them (selinux(8)).
fn selinux(errno: i32, label: &str) -> Error {
    let error = |kind| Error::new(kind, Step::SeLinux.words(), format!("{label:?}"));
    match errno {
        libc::EINVAL => error(Kind::InvalidArgument)
            .because("the policy of this machine has no such label")
            .hint("name a user, role, type and level that it has (seinfo lists them)"),
        libc::EACCES | libc::EPERM => error(Kind::PermissionDenied)
            .because("the policy does not let this process give it")
            .hint("run it under a label that may (unconfined_t), or ask for another (audit2why tells what was denied)"),
        _ => plain(Step::SeLinux, errno, &format!("{label:?}")),
    }
}

/// The kernel looks a profile up by its name (apparmor(7)).
fn apparmor(errno: i32, profile: &str) -> Error {
    let error = plain(Step::AppArmor, errno, &format!("{profile:?}"));
    match errno {
        // Not of the file that is written to, which was there to be opened.
        libc::ENOENT => Error::new(Kind::NotFound, Step::AppArmor.words(), format!("{profile:?}"))
            .because("it is not loaded")
            .hint("load it (apparmor_parser --replace FILE), or ask for another (aa-status lists those that are)"),
        libc::EACCES | libc::EPERM => error
            .with_kind(Kind::PermissionDenied)
            .because("the profile that this process runs under does not let it")
            .hint("run it unconfined, or give its profile the rule change_profile"),
        _ => error,
    }
}

fn with_errno(error: Error, errno: i32) -> Error {
    if errno == 0 { error } else { error.with_errno(errno) }
}

/// What the caller named himself keeps the errno's kind; the rest is the container's set-up.
fn kind(step: Step, errno: i32) -> Kind {
    match step {
        Step::MountSource | Step::Owners | Step::Remove | Step::Program | Step::JoinNamespace => {
            Kind::from_errno(errno)
        }
        _ if matches!(errno, libc::ENOSPC | libc::EDQUOT) => Kind::NoSpace,
        // Mounts of a container's own are made with options that the kernel takes.
        Step::Sysctl | Step::MountFs if errno == libc::EINVAL => Kind::InvalidArgument,
        Step::Sysctl | Step::Rlimit | Step::Cwd => Kind::from_errno(errno),
        _ => Kind::Launch,
    }
}

fn exec(errno: i32, command: String) -> Error {
    match is_no_command(errno) {
        true => Error::new(Kind::CommandNotFound, "run command", format!("{command:?}"))
            .because("not found in the container")
            .with_errno(errno)
            .hint("check its name and the container's PATH; for a script or binary that exists, its interpreter is missing"),
        false => {
            let error = Error::new(Kind::CommandNotExecutable, "run command", format!("{command:?}"));
            let error = error.because("can't be executed").with_errno(errno);
            match cure_of_exec(errno) {
                Some(cure) => error.hint(cure),
                None => error,
            }
        }
    }
}

fn cure_of_exec(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EACCES => Some(
            "it is a directory, or has no mode to execute: name a program, or set its mode in the image (chmod +x)",
        ),
        libc::ENOEXEC => {
            Some("a script begins with #! and its interpreter; a binary must be of this machine's architecture")
        }
        libc::E2BIG => Some("shorten its arguments and its environment"),
        _ => None,
    }
}

fn unknown_user(step: Step, errno: i32, user: String) -> Error {
    let (what, file) = match step {
        Step::User => ("find user", "/etc/passwd"),
        _ => ("find group", "/etc/group"),
    };
    match errno {
        libc::ENOENT => Error::new(Kind::UnknownUser, what, format!("{user:?}"))
            .because(format!("the container's {file} has no such entry"))
            .hint("use a numeric id, which needs no entry"),
        _ => with_errno(Error::new(Kind::UnknownUser, what, format!("{user:?}")), errno),
    }
}

fn id_map_helper(errno: i32, said: String) -> Error {
    match errno {
        libc::ENOENT => Error::new(Kind::NotFound, "run", said)
            .with_errno(errno)
            .hint("install it (package uidmap or shadow-utils), or run with the single-id map"),
        _ => with_errno(Error::new(Kind::PermissionDenied, "write the id map", "").because(said), errno)
            .hint("check this user's ranges in /etc/subuid and /etc/subgid"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_can_t_be_run_says_what_would_help() {
        let cures = [
            (libc::ENOENT, Kind::CommandNotFound, "PATH"),
            (libc::EACCES, Kind::CommandNotExecutable, "chmod +x"),
            (libc::ENOEXEC, Kind::CommandNotExecutable, "#!"),
            (libc::E2BIG, Kind::CommandNotExecutable, "shorten"),
        ];
        for (errno, kind, cure) in cures {
            let error = of(Step::Exec as u32, errno, b"/etc");
            assert_eq!(error.kind(), kind);
            assert!(error.hint_text().is_some_and(|hint| hint.contains(cure)), "{error}");
        }
    }

    #[test]
    fn a_source_that_is_missing_is_looked_for_on_this_machine() {
        let error = of(Step::MountSource as u32, libc::ENOENT, b"/none");
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(
            error.to_string().starts_with("open the mount source /none: ") && error.hint_text().is_some(),
            "{error}"
        );
    }

    #[test]
    fn a_profile_that_is_not_loaded_is_named() {
        let error = of(Step::AppArmor as u32, libc::ENOENT, b"mine");
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().starts_with("enter the AppArmor profile \"mine\": it is not loaded"), "{error}");
        let error = of(Step::AppArmor as u32, libc::EACCES, b"mine");
        assert!(error.kind() == Kind::PermissionDenied && error.hint_text().is_some(), "{error}");
    }

    #[test]
    fn a_label_that_can_not_be_had_is_named() {
        for (errno, kind) in [(libc::EINVAL, Kind::InvalidArgument), (libc::EACCES, Kind::PermissionDenied)] {
            let error = of(Step::SeLinux as u32, errno, b"u:r:t");
            assert!(error.kind() == kind && error.hint_text().is_some(), "{error}");
            assert!(error.to_string().starts_with("take on the SELinux label \"u:r:t\": the policy"), "{error}");
        }
    }

    #[test]
    fn keys_that_are_used_up_name_their_limit() {
        let error = of(Step::Keyring as u32, libc::EDQUOT, b"");
        assert_eq!(error.kind(), Kind::LimitExceeded);
        assert!(error.to_string().contains("as many keys"), "{error}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("kernel.keys.maxkeys")));
        assert_ne!(of(Step::Keyring as u32, libc::ENOMEM, b"").kind(), Kind::LimitExceeded);
    }
}
