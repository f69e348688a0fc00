//! What follows a container's end, and how its health is found out.

use super::resolve::{invalid, milliseconds};
use super::sharing;
use crate::api::{Healthcheck, ImageInfo, RunOptions};
use crate::error::{Error, Kind, Result};
use crate::spec::{Health, Restart};
use crate::wire;

/// The policy that the options name, by Docker's words.
pub fn restart(options: &RunOptions) -> Result<Restart> {
    let policy = options.restart.as_deref().map_or(Ok(Restart::No), policy)?;
    if policy != Restart::No {
        joins_none(options)?;
    }
    match options.auto_remove && policy != Restart::No {
        true => Err(invalid("restart", "a container that is removed when it has ended can't be started again")
            .hint("leave auto_remove (--rm) out, or the restart policy")),
        false => Ok(policy),
    }
}

/// Its shim knows a namespace of another container by that one's process, which may be gone at the next start.
fn joins_none(options: &RunOptions) -> Result<()> {
    let Some(kind) = sharing::namespaces(options)?.joined.into_keys().next() else { return Ok(()) };
    let kind = if kind == "net" { "network".to_owned() } else { kind };
    Err(Error::new(Kind::Unsupported, "read option", "restart")
        .because(format!("its {kind} namespace is another container's, and may be gone when it is to be started again"))
        .hint("give it a namespace of its own or the host's, or leave the restart policy out"))
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

/// Docker's defaults, in milliseconds.
const INTERVAL: u64 = 30_000;
const TIMEOUT: u64 = 30_000;
const START_INTERVAL: u64 = 5_000;
const RETRIES: u32 = 3;

/// The health check: the image's, with what the options say in its place.
pub fn health(options: &RunOptions, image: &ImageInfo) -> Result<Option<Health>> {
    let spans =
        [options.health_interval, options.health_timeout, options.health_start_period, options.health_start_interval];
    let given = options.health_cmd.is_some() || options.health_retries.is_some() || spans.iter().any(Option::is_some);
    if options.no_healthcheck {
        return match given {
            true => Err(invalid("no_healthcheck", "it contradicts the other options for the health check")),
            false => Ok(None),
        };
    }
    let of_image = image.healthcheck.clone().unwrap_or_default();
    let args = match options.health_cmd.as_deref().filter(|text| !text.is_empty()) {
        Some(text) => words(&["CMD-SHELL".to_owned(), text.to_owned()], &image.shell),
        None => words(&of_image.test, &image.shell),
    };
    if args.is_empty() {
        return match given {
            true => Err(invalid("health_cmd", "there is no command to check its health with, of the image neither")),
            false => Ok(None),
        };
    }
    super::resolve::no_nul("health_cmd", &args.concat())?;
    timed(options, &of_image, args).map(Some)
}

fn timed(options: &RunOptions, image: &Healthcheck, args: Vec<String>) -> Result<Health> {
    // Zero stands for the default, as in Docker.
    let span = |name: &str, given: Option<f64>, image: f64, default: u64| match given.unwrap_or(image) {
        0.0 => Ok(default),
        seconds => milliseconds(name, seconds).map(|ms| ms.max(1)),
    };
    Ok(Health {
        args,
        interval_ms: span("health_interval", options.health_interval, image.interval, INTERVAL)?,
        timeout_ms: span("health_timeout", options.health_timeout, image.timeout, TIMEOUT)?,
        start_period_ms: span("health_start_period", options.health_start_period, image.start_period, 0)?,
        start_interval_ms: span(
            "health_start_interval",
            options.health_start_interval,
            image.start_interval,
            START_INTERVAL,
        )?,
        retries: match options.health_retries.unwrap_or(image.retries) {
            0 => RETRIES,
            n => n,
        },
    })
}

/// A test in Docker's form as arguments; none where there is nothing to run.
fn words(test: &[String], shell: &[String]) -> Vec<String> {
    let shell: Vec<String> = if shell.is_empty() { vec!["/bin/sh".into(), "-c".into()] } else { shell.to_vec() };
    match test.split_first() {
        Some((kind, command)) if kind == "CMD" => command.to_vec(),
        Some((kind, command)) if kind == "CMD-SHELL" && !command.is_empty() => {
            shell.into_iter().chain([command.join(" ")]).collect()
        }
        _ => Vec::new(),
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

    #[test]
    fn what_joins_another_container_is_not_started_again() {
        let of = || Some("container:web".to_owned());
        let restarts = |options: RunOptions| restart(&RunOptions { restart: Some("on-failure".into()), ..options });
        for (options, word) in [
            (RunOptions { network: of(), ..Default::default() }, "network"),
            (RunOptions { pid: of(), ..Default::default() }, "pid"),
            (RunOptions { ipc: of(), ..Default::default() }, "ipc"),
            (RunOptions { uts: of(), ..Default::default() }, "uts"),
            (RunOptions { cgroupns: of(), ..Default::default() }, "cgroup"),
        ] {
            assert_eq!(restart(&options).unwrap(), Restart::No);
            let error = restarts(options).unwrap_err();
            let text = error.to_string();
            assert!(error.kind() == Kind::Unsupported && text.contains(&format!("{word} namespace")), "{text}");
        }
        assert!(restarts(RunOptions { network: Some("host".into()), ..Default::default() }).is_ok());
    }

    fn image(test: &[&str]) -> ImageInfo {
        let test = test.iter().map(|word| word.to_string()).collect();
        let healthcheck = Some(Healthcheck { test, interval: 2.5, retries: 7, ..Default::default() });
        ImageInfo { healthcheck, ..Default::default() }
    }

    #[test]
    fn the_images_check_holds_unless_replaced() {
        let of_image = health(&RunOptions::default(), &image(&["CMD", "check", "it"])).unwrap().unwrap();
        assert_eq!(
            (of_image.args, of_image.interval_ms, of_image.timeout_ms),
            (vec!["check".into(), "it".into()], 2500, 30_000)
        );
        assert_eq!((of_image.start_period_ms, of_image.start_interval_ms, of_image.retries), (0, 5000, 7));
        let options = RunOptions {
            health_cmd: Some("a && b".into()),
            health_interval: Some(0.05),
            health_retries: Some(1),
            ..Default::default()
        };
        let given = health(&options, &image(&["CMD", "check"])).unwrap().unwrap();
        assert_eq!((given.args.join("|").as_str(), given.interval_ms, given.retries), ("/bin/sh|-c|a && b", 50, 1));
        let shell = ImageInfo { shell: vec!["/ash".into()], ..image(&["CMD-SHELL", "x y"]) };
        assert_eq!(health(&RunOptions::default(), &shell).unwrap().unwrap().args, ["/ash", "x y"]);
        for none in [&["NONE"][..], &[], &["CMD"], &["OTHER", "x"]] {
            assert_eq!(health(&RunOptions::default(), &image(none)).unwrap(), None);
        }
        let off = RunOptions { no_healthcheck: true, ..Default::default() };
        assert_eq!(health(&off, &image(&["CMD", "check"])).unwrap(), None);
    }

    #[test]
    fn options_that_check_nothing_are_refused() {
        let bad = |options: RunOptions, image: &ImageInfo, field: &str| {
            let error = health(&options, image).unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        };
        bad(RunOptions { health_retries: Some(1), ..Default::default() }, &ImageInfo::default(), "health_cmd");
        let both = RunOptions { no_healthcheck: true, health_cmd: Some("x".into()), ..Default::default() };
        bad(both, &ImageInfo::default(), "no_healthcheck");
        bad(RunOptions { health_timeout: Some(-1.0), ..Default::default() }, &image(&["CMD", "x"]), "health_timeout");
    }
}
