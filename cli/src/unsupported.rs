//! Docker's commands and flags that Sampan does not have yet get a sentence, not a parser's shrug.

#[cfg(test)]
mod table;

use clap::error::{ContextKind, ContextValue, ErrorKind};

use crate::fail::{Fail, Outcome};

const COMMANDS: &[&str] = &[
    "build", "builder", "buildx", "commit", "compose", "context", "diff", "export", "history", "import", "load",
    "login", "logout", "manifest", "network", "plugin", "port", "push", "save", "search", "secret", "service", "stack",
    "swarm", "trust", "volume",
];

/// Flags of `docker run` and why they are missing.
const FLAGS: &[(&[&str], &str)] = &[
    (
        &["-p", "--publish", "-P", "--publish-all", "--expose"],
        "ports come with bridged networks; `--network host` works",
    ),
    (
        &["--ip", "--ip6", "--link-local-ip", "--mac-address", "--link", "--network-alias", "--net-alias"],
        "bridged networks are not there yet",
    ),
    (&["--dns", "--dns-search", "--dns-option", "--dns-opt", "--add-host"], "bridged networks are not there yet"),
    (
        &["--gpus"],
        "it needs NVIDIA's own tools on the host; without them name each device with --device (/dev/nvidia0, /dev/dri)",
    ),
    (&["--runtime"], "containers are run by Sampan itself; an engine can have it as its runtime, see docs/oci.md"),
    (&["--volume-driver"], "volumes are directories of the store; mount what a driver would with -v"),
    (&["--kernel-memory"], "kernels since Linux 5.16 have no such limit"),
    (
        &["--isolation", "--cpu-count", "--cpu-percent", "--io-maxbandwidth", "--io-maxiops"],
        "it is for containers of Windows",
    ),
    (&["--use-api-socket"], "there is no daemon, and so no socket of one"),
    (&["--disable-content-trust"], "images are named by digest where their content must be trusted"),
    (&["--storage-opt"], "the disk space of a container is not limited by this version"),
];

/// Flags of other commands.
const OTHERS: &[(&[&str], &str)] = &[(
    &["-s", "--size"],
    "nobody counts what a container has written; `sampan exec CONTAINER du -sx /` tells what there is in all",
)];

/// Prints help and version, and turns a parser's error into one of ours.
pub fn explain(error: clap::Error) -> Outcome {
    match error.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            error.print()?;
            Ok(0)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            error.print()?;
            Ok(0)
        }
        _ => Err(Fail::usage(known(&error).unwrap_or_else(|| plain(&error)))),
    }
}

fn plain(error: &clap::Error) -> String {
    let text = error.render().to_string();
    text.strip_prefix("error: ").unwrap_or(&text).trim_end().to_owned()
}

fn known(error: &clap::Error) -> Option<String> {
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let word = string(error, ContextKind::InvalidSubcommand)?;
            COMMANDS.contains(&word).then(|| format!("`{word}` is a command of Docker's that Sampan does not have yet"))
        }
        ErrorKind::UnknownArgument => {
            let flag = string(error, ContextKind::InvalidArg)?.split('=').next()?;
            let (_, why) = FLAGS.iter().chain(OTHERS).find(|(flags, _)| flags.contains(&flag))?;
            Some(format!("{flag} is not supported yet: {why}"))
        }
        _ => None,
    }
}

fn string(error: &clap::Error, kind: ContextKind) -> Option<&str> {
    match error.get(kind)? {
        ContextValue::String(text) => Some(text),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::Parser;

    fn sentence(line: &str) -> String {
        let error = Cli::try_parse_from(line.split(' ')).unwrap_err();
        known(&error).unwrap_or_else(|| plain(&error))
    }

    #[test]
    fn docker_s_other_words_get_a_sentence() {
        assert!(sentence("sampan run -p 80:80 nginx").starts_with("-p is not supported yet"));
        assert!(sentence("sampan create --gpus=all cuda").starts_with("--gpus is not supported yet"));
        assert!(sentence("sampan ps -s").starts_with("-s is not supported yet"));
        assert!(sentence("sampan ps -a --size").starts_with("--size is not supported yet"));
        assert!(sentence("sampan diff web").contains("does not have yet"));
        assert!(sentence("sampan run --nonsense x").starts_with("unexpected argument '--nonsense'"));
    }
}
