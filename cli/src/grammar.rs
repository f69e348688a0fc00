//! The command line as Docker reads it: a flag that is a yes or a no also takes `=true` and `=false`, and of
//! a flag that is given twice the last counts.

use std::cell::Cell;
use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Arg, ArgAction, Args, Command, CommandFactory, FromArgMatches};

use crate::cli::{Cli, Global};
use crate::flags::{ExecArgs, RunArgs, truth};
use crate::late::Late;

/// Reads the words of a command line.
pub fn parse<I, T>(words: I) -> Result<Cli, clap::Error>
where
    I: IntoIterator<Item = T>,
    T: Into<OsString> + Clone,
{
    let words: Vec<OsString> = words.into_iter().map(Into::into).collect();
    let words = asking_for_help(&words).unwrap_or(words);
    READING.set(true);
    if let Some(cli) = alone(&words).and_then(|command| read(command, &words)) {
        return Ok(cli);
    }
    let mut command = with_booleans(Cli::command());
    match command.try_get_matches_from_mut(&words) {
        Ok(mut matches) => Cli::from_arg_matches_mut(&mut matches).map_err(|e| e.format(&mut command)),
        Err(error) if error.kind() == ErrorKind::DisplayHelp => Err(help(&words).unwrap_or(error)),
        Err(error) => Err(error),
    }
}

/// `help run`, as Docker has it, in the words of `run --help`.
fn asking_for_help(words: &[OsString]) -> Option<Vec<OsString>> {
    let ("help", asked) = verb(words)? else { return None };
    let front = &words[..words.len() - asked.len() - 1];
    Some([front, asked, &["--help".into()]].concat())
}

/// The grammar of one command, without that of the three dozen others, which takes as long as all else that this program
/// does by itself: for those that others wait for. What it accepts means the same in the whole; what it refuses is
/// answered by the whole.
fn alone(words: &[OsString]) -> Option<Command> {
    let grammar = match verb(words)?.0 {
        "run" => Late::<RunArgs>::augment_args(Command::new("run")),
        "exec" => Late::<ExecArgs>::augment_args(Command::new("exec")),
        _ => return None,
    };
    let whole = Command::new("sampan").disable_help_flag(true).disable_help_subcommand(true).subcommand_required(true);
    Some(with_booleans(Global::augment_args(whole).subcommand(grammar)))
}

/// The command that a line names, and what follows it. All that may stand in front of it takes a value.
fn verb(words: &[OsString]) -> Option<(&str, &[OsString])> {
    let mut rest = words.get(1..)?;
    loop {
        let (word, after) = rest.split_first()?;
        rest = match word.to_str()? {
            option if option.starts_with("--") && option.contains('=') => after,
            option if option.starts_with("--") => after.get(1..)?,
            verb => return Some((verb, after)),
        };
    }
}

/// Whether a line's helpers are to come to this process. `doctor` tells of the process that it finds, which is not to have
/// been changed for it.
pub fn starts_helpers(words: &[OsString]) -> bool {
    verb(words).is_some_and(|(verb, _)| verb != "doctor")
}

/// Whether a line starts a container, as far as a look tells, and then whether one with a network of its own.
pub fn starts_one(words: &[OsString]) -> Option<bool> {
    let rest = match verb(words)? {
        ("run", rest) => rest,
        ("container", [verb, rest @ ..]) if verb == "run" => rest,
        _ => return None,
    };
    let has = |tells: fn(&str) -> bool| rest.iter().any(|word| word.to_str().is_some_and(tells));
    let shared = has(|word| word == "host" || word.ends_with("=host") || word.contains("container:"));
    // What is begun in vain costs time.
    let may_name_an_image = rest.iter().any(|word| !word.as_encoded_bytes().starts_with(b"-"));
    (may_name_an_image && !has(|word| matches!(word, "--help" | "--dry-run"))).then_some(!shared)
}

fn read(command: Command, words: &[OsString]) -> Option<Cli> {
    let mut matches = command.try_get_matches_from(words).ok()?;
    Cli::from_arg_matches_mut(&mut matches).ok()
}

/// The help of the grammar as it is declared: `--rm` is shown as `--rm`, not as `--rm[=<BOOL>]`.
fn help(words: &[OsString]) -> Option<clap::Error> {
    READING.set(false);
    let error = Cli::command().args_override_self(true).try_get_matches_from(words).err()?;
    (error.kind() == ErrorKind::DisplayHelp).then_some(error)
}

thread_local! {
    /// Whether a line is read, or a help shown: a grammar that is built late takes no argument that could tell it.
    static READING: Cell<bool> = const { Cell::new(false) };
}

/// What a grammar that is built late becomes.
pub fn late(command: Command) -> Command {
    if READING.get() { with_booleans(command) } else { command }
}

fn with_booleans(command: Command) -> Command {
    let command = command.args_override_self(true).mut_args(boolean);
    command.mut_subcommands(with_booleans)
}

fn boolean(arg: Arg) -> Arg {
    match arg.get_action() {
        ArgAction::SetTrue => arg
            .action(ArgAction::Set)
            .num_args(0..=1)
            .require_equals(true)
            .default_value("false")
            .default_missing_value("true")
            .value_name("BOOL")
            .value_parser(truth),
        _ => arg,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command as Verb;
    use crate::flags::RunArgs;
    use crate::late::Late;

    fn run(line: &str) -> Late<RunArgs> {
        match parse(line.split(' ')).unwrap().command {
            Verb::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_grammar_holds() {
        with_booleans(Cli::command()).debug_assert();
    }

    #[test]
    fn a_boolean_takes_a_value() {
        let of = |line: &str| run(line).create.options().unwrap();
        assert!(of("sampan run --rm=true x").auto_remove && of("sampan run --rm=1 x").auto_remove);
        assert!(!of("sampan run --rm=false x").auto_remove && !of("sampan run --read-only=F x").read_only);
        assert!(of("sampan run -it x").tty && run("sampan run -it x").create.interactive());
        assert!(!run("sampan run -d=false x").detach && run("sampan run -dt=true x").detach);
        // What follows the image is the command's.
        assert_eq!(of("sampan run --rm x --rm=maybe").command, ["--rm=maybe"]);
        let error = parse("sampan run --rm=maybe x".split(' ')).unwrap_err().to_string();
        assert!(error.contains("'maybe'") && error.contains("expected true or false"), "{error}");
    }

    #[test]
    fn a_look_tells_what_starts_a_container() {
        let look = |line: &str| starts_one(&line.split(' ').map(OsString::from).collect::<Vec<_>>());
        assert_eq!(look("sampan run --rm x"), Some(true));
        assert_eq!(look("sampan --root /r --rung=root container run x"), Some(true));
        for shared in ["--network host", "--net=host", "--network container:a"] {
            assert_eq!(look(&format!("sampan run {shared} x")), Some(false));
        }
        for other in ["sampan", "sampan --root", "sampan --root run ps", "sampan exec a run", "sampan run --help"] {
            assert_eq!(look(other), None, "{other}");
        }
        // Without an image nothing is started.
        for refused in ["sampan run", "sampan run -h", "sampan run --bad", "sampan container run --rm --bad=x -i"] {
            assert_eq!(look(refused), None, "{refused}");
        }
    }

    #[test]
    fn what_is_read_alone_is_what_the_whole_reads() {
        let words = |line: &str| line.split(' ').map(OsString::from).collect::<Vec<_>>();
        READING.set(true);
        let line = words("sampan --root /r run -it --rm --memory 1g -e A=1 --network none x sh -c true");
        let alone = alone(&line).and_then(|command| read(command, &line)).unwrap();
        let mut whole = with_booleans(Cli::command()).try_get_matches_from(&line).unwrap();
        let whole = Cli::from_arg_matches_mut(&mut whole).unwrap();
        assert_eq!(format!("{alone:?}"), format!("{whole:?}"));
        for refused in ["sampan run", "sampan run --no-such x", "sampan --version run x", "sampan run --help"] {
            let line = words(refused);
            assert!(super::alone(&line).and_then(|command| read(command, &line)).is_none(), "{refused}");
        }
    }

    #[test]
    fn the_last_of_a_repeated_flag_counts() {
        assert_eq!(run("sampan run --name a --name b x").create.options().unwrap().name.as_deref(), Some("b"));
        assert!(!run("sampan run --rm --rm=false x").create.options().unwrap().auto_remove);
        assert_eq!(run("sampan run -e A=1 -e B=2 x").create.options().unwrap().env.len(), 2);
    }

    #[test]
    fn help_is_a_command_too() {
        let told = |line: &str| parse(line.split(' ')).unwrap_err().to_string();
        for verb in ["run", "container ls", "--root /r ps"] {
            assert_eq!(told(&format!("sampan help {verb}")), told(&format!("sampan {verb} --help")));
        }
        assert_eq!(told("sampan help"), told("sampan --help"));
        assert!(told("sampan help nonsense").contains("nonsense"));
        assert!(parse(["sampan", "run", "help"]).is_ok());
    }

    #[test]
    fn help_shows_no_value_of_a_boolean() {
        for line in ["sampan run --rm --help", "sampan ps --help"] {
            let help = parse(line.split(' ')).unwrap_err().to_string();
            assert!(help.contains("Usage: sampan") && !help.contains("--rm[") && !help.contains("--all["), "{help}");
        }
    }
}
