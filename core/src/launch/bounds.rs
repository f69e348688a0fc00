//! What is beyond a bound of the process that starts a container, and only CAP_SYS_RESOURCE gives.

use std::str::FromStr;

use super::refusal;
use crate::error::{Error, Kind};
use crate::plan::names;
use crate::wire::Step;

/// `RLIMIT_NOFILE`, which the kernel bounds for everybody.
const NOFILE: u64 = 7;

/// A hard limit above the one there is (getrlimit(2)); `detail` has its number, what was asked for and what there is.
pub(super) fn limit(error: Error, errno: i32, detail: &str) -> Error {
    match (errno, &numbers(detail)[..]) {
        (libc::EPERM, &[resource, asked, now]) => beyond(resource, asked, now),
        _ => error,
    }
}

fn beyond(resource: u64, asked: u64, now: u64) -> Error {
    let most = refusal::number("fs/nr_open").and_then(|most| u64::try_from(most).ok());
    let subject = format!("{}={}", names::rlimit_name(resource), amount(asked));
    let error = Error::new(Kind::PermissionDenied, Step::Rlimit.words(), subject).with_errno(libc::EPERM);
    match most.filter(|most| resource == NOFILE && asked > *most) {
        Some(most) => error
            .because(format!("the kernel gives nobody more than {most}, its sysctl fs.nr_open"))
            .hint("ask for no more than that (--ulimit, process.rlimits), or raise the sysctl"),
        None => error
            .because(format!(
                "{} is the hard limit of who starts it, and only CAP_SYS_RESOURCE goes beyond",
                amount(now)
            ))
            .hint(
                "ask for no more than that (--ulimit, process.rlimits), or start it where more is allowed (ulimit -H)",
            ),
    }
}

fn numbers<T: FromStr>(detail: &str) -> Vec<T> {
    detail.split_whitespace().filter_map(|word| word.parse().ok()).collect()
}

/// A score below the one there is (proc_pid_oom_score_adj(5)); `detail` has what was asked for and what there is.
pub(super) fn score(error: Error, errno: i32, detail: &str) -> Error {
    let (libc::EACCES | libc::EPERM, &[asked, now]) = (errno, &numbers::<i32>(detail)[..]) else { return error };
    Error::new(Kind::PermissionDenied, Step::OomScore.words(), asked.to_string())
        .with_errno(errno)
        .because(format!("{now} is the score of who starts it, and only CAP_SYS_RESOURCE goes below"))
        .hint("ask for no less than that (--oom-score-adj, process.oomScoreAdj), or start it as root of the host")
}

fn amount(limit: u64) -> String {
    if limit == u64::MAX { "unlimited".to_owned() } else { limit.to_string() }
}

#[cfg(test)]
mod tests {
    use super::super::sentence::failure;
    use super::*;

    fn told(step: Step, errno: i32, detail: &str) -> (Kind, String) {
        let error = failure(step as u32, errno, detail.as_bytes());
        assert!(error.hint_text().is_some(), "{error}");
        (error.kind(), error.to_string())
    }

    #[test]
    fn option_and_bound_are_named() {
        let (kind, said) = told(Step::Rlimit, libc::EPERM, "7 700 512");
        assert!(
            kind == Kind::PermissionDenied && said.starts_with("set the resource limit nofile=700: 512 is"),
            "{said}"
        );
        assert!(said.contains("only CAP_SYS_RESOURCE"), "{said}");
        let (_, said) = told(Step::Rlimit, libc::EPERM, &format!("8 {} 65536", u64::MAX));
        assert!(said.contains("memlock=unlimited: 65536 is"), "{said}");
        let (_, said) = told(Step::Rlimit, libc::EPERM, &format!("7 {} 512", 1u64 << 40));
        assert!(said.contains("fs.nr_open") && !said.contains("CAP_SYS"), "{said}");
        let (kind, said) = told(Step::OomScore, libc::EACCES, "-500 0\n");
        assert!(kind == Kind::PermissionDenied && said.starts_with("set the out-of-memory score -500: "), "{said}");
        assert!(said.contains("0 is the score of who starts it, and only CAP_SYS_RESOURCE"), "{said}");
    }

    /// As the step before a command of `exec` does, which tells no more than that.
    #[test]
    fn without_them_the_step_is() {
        assert!(failure(Step::Rlimit as u32, libc::EPERM, b"").to_string().starts_with("set the resource limit"));
        let said = failure(Step::OomScore as u32, libc::EACCES, b"").to_string();
        assert!(said.starts_with("set the out-of-memory score"), "{said}");
    }
}
