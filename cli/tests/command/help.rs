//! Help and completion scripts.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::host::{finish, sampan};

const HELP: &str = include_str!("help.txt");
const SNAPSHOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/command/help.txt");

/// All commands that have help of their own.
const COMMANDS: &[&str] = &[
    "",
    "run",
    "create",
    "exec",
    "pause",
    "unpause",
    "top",
    "stats",
    "update",
    "start",
    "attach",
    "cp",
    "stop",
    "restart",
    "kill",
    "wait",
    "rm",
    "rename",
    "ps",
    "logs",
    "inspect",
    "events",
    "images",
    "pull",
    "rmi",
    "tag",
    "info",
    "version",
    "doctor",
    "setup",
    "gc",
    "completion",
    "oci",
    "container",
    "image",
    "system",
];

fn help(command: &str) -> String {
    let words: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
    let mut command = sampan(&words);
    command.env_remove("SAMPAN_ROOT").env_remove("SAMPAN_RUN").env("COLUMNS", "100");
    let ended = finish(command);
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""));
    ended.stdout
}

/// What a person reads is looked at when it changes: `SAMPAN_UPDATE_HELP=1 cargo test -p sampan-cli --test command help`.
#[test]
fn help_is_as_it_was_seen() {
    let all: String =
        COMMANDS.iter().map(|c| format!("$ sampan {c} --help\n{}\n", help(c)).replace("  --help", " --help")).collect();
    if std::env::var_os("SAMPAN_UPDATE_HELP").is_some() {
        return std::fs::write(SNAPSHOT, &all).unwrap();
    }
    let differs = all.lines().zip(HELP.lines()).find(|(now, then)| now != then);
    assert!(all == HELP, "help has changed: {differs:?}; look at it and update the snapshot as said above this test");
}

#[test]
fn every_command_has_its_help_seen() {
    let top = help("");
    let listed = top.lines().skip_while(|l| *l != "Commands:").skip(1).take_while(|l| !l.is_empty());
    for name in listed.map(|line| line.split_whitespace().next().unwrap()) {
        assert!(COMMANDS.contains(&name), "`{name}` is missing in the list of this test");
    }
}

#[test]
fn no_word_at_all_gets_the_help_too() {
    let ended = finish(sampan::<&str>(&[]));
    assert!(ended.stdout.contains("Usage: sampan") || ended.stderr.contains("Usage: sampan"), "{ended:?}");
}

/// Gives a script to a shell that reads it from its standard input.
fn shell(command: &[&str], script: &str) -> (bool, String) {
    let mut shell = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{}: {e}: apt-get install {}", command[0], command[0]));
    shell.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = shell.wait_with_output().unwrap();
    (output.status.success(), crate::common::text(&output.stdout) + &crate::common::text(&output.stderr))
}

#[test]
fn completion_scripts_are_what_their_shells_read() {
    let script = |shell: &str| finish(sampan(&["completion", shell])).stdout;
    for (name, check) in [("bash", &["bash", "-n"][..]), ("zsh", &["zsh", "-n"]), ("fish", &["fish", "-n"])] {
        let (fine, said) = shell(check, &script(name));
        assert!(fine && said.is_empty(), "{name}: {said}");
    }
    let ask = "COMP_WORDS=(sampan ru); COMP_CWORD=1; _sampan sampan ru sampan; printf '%s\\n' \"${COMPREPLY[@]}\"\n";
    assert_eq!(shell(&["bash"], &(script("bash") + ask)).1, "run\n");
    let (_, flags) = shell(&["fish", "--no-config"], &(script("fish") + "complete -C 'sampan run --cap-'\n"));
    assert!(flags.contains("--cap-add") && flags.contains("--cap-drop"), "{flags}");
}
