//! What an engine's options leave open, the environment says, as to the command.

#![allow(missing_docs, clippy::disallowed_methods)]

use std::path::Path;
use std::process::Command;

use sampan::{Engine, EngineOptions};

/// Runs only as a child of the test below.
#[test]
fn teller() {
    let Ok(given) = std::env::var("SAMPAN_TEST_GIVEN") else { return };
    let root = (!given.is_empty()).then_some(given);
    match Engine::open(&EngineOptions { root, ..EngineOptions::default() }).and_then(|engine| engine.info()) {
        Ok(info) => println!("\n{} {} {}", info.root, info.run, info.rung.word()),
        Err(error) => println!("\n{error}"),
    }
}

fn told(dir: &Path, given: &str, rung: &str) -> String {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "teller", "--nocapture"])
        .env("SAMPAN_TEST_GIVEN", given)
        .env("SAMPAN_ROOT", dir.join("named"))
        .env("SAMPAN_RUN", dir.join("run"))
        .env("SAMPAN_RUNG", rung)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_environment_says_what_is_left_open_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let named = told(dir.path(), "", "single-id");
    assert!(named.contains(&format!("{} {} single-id", at("named"), at("run"))), "{named}");
    let given = told(dir.path(), &at("given"), "");
    assert!(given.contains(&format!("{} {} ", at("given"), at("run"))), "{given}");
    let wrong = told(dir.path(), "", "best");
    assert!(wrong.contains("SAMPAN_RUNG") && wrong.contains("best"), "{wrong}");
}
