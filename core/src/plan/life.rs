//! What follows a container's end.

use super::resolve::invalid;
use crate::api::RunOptions;
use crate::error::Result;
use crate::spec::Restart;
use crate::wire;

/// The policy that the options name, by Docker's words.
pub fn restart(options: &RunOptions) -> Result<Restart> {
    let policy = options.restart.as_deref().map_or(Ok(Restart::No), policy)?;
    match options.auto_remove && policy != Restart::No {
        true => Err(invalid("restart", "a container that is removed when it has ended can't be started again")
            .hint("leave auto_remove (--rm) out, or the restart policy")),
        false => Ok(policy),
    }
}

/// `no`, `on-failure[:MAX]`, `always`, `unless-stopped`; empty is `no`.
pub fn policy(text: &str) -> Result<Restart> {
    let (word, most) = text.split_once(':').map_or((text, None), |(word, most)| (word, Some(most)));
    match (word, most) {
        ("" | "no", None) => Ok(Restart::No),
        ("always", None) => Ok(Restart::Always),
        ("unless-stopped", None) => Ok(Restart::UnlessStopped),
        ("on-failure", None) => Ok(Restart::OnFailure { most: 0 }),
        ("on-failure", Some(most)) => match most.parse() {
            Ok(most) => Ok(Restart::OnFailure { most }),
            Err(_) => Err(invalid("restart", format!("{most:?} is not a number of starts"))),
        },
        ("no" | "always" | "unless-stopped", Some(_)) => {
            Err(invalid("restart", format!("{word:?} takes no number; only on-failure has a limit")))
        }
        _ => Err(invalid("restart", format!("{text:?} is none of: no on-failure[:MAX] always unless-stopped"))),
    }
}

/// The same, as the shim has to know it: it lives no longer than the machine is up, and a stop by hand ends it.
pub fn rule(policy: Restart) -> wire::Restart {
    match policy {
        Restart::No => wire::Restart::No,
        Restart::OnFailure { most } => wire::Restart::OnFailure(most),
        Restart::Always | Restart::UnlessStopped => wire::Restart::Always,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_docker_s_words() {
        for (text, wanted) in [
            ("", Restart::No),
            ("no", Restart::No),
            ("always", Restart::Always),
            ("unless-stopped", Restart::UnlessStopped),
            ("on-failure", Restart::OnFailure { most: 0 }),
            ("on-failure:3", Restart::OnFailure { most: 3 }),
        ] {
            assert_eq!(policy(text).unwrap(), wanted, "{text}");
        }
        for (text, why) in [
            ("always:3", "takes no number"),
            ("on-failure:", "not a number"),
            ("on-failure:-1", "not a number"),
            ("sometimes", "none of"),
            ("Always", "none of"),
        ] {
            let error = policy(text).unwrap_err().to_string();
            assert!(error.contains(why) && error.contains("restart"), "{error}");
        }
    }

    #[test]
    fn what_is_removed_is_not_started_again() {
        let with = |policy: &str| RunOptions { restart: Some(policy.into()), auto_remove: true, ..Default::default() };
        assert_eq!(restart(&with("no")).unwrap(), Restart::No);
        assert!(restart(&with("always")).unwrap_err().to_string().contains("started again"));
    }
}
