//! `setup`: what root does once for the plain users of a machine.

use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::geteuid;
use sampan::setup::{Setup, State, Step};

use crate::cli::SetupArgs;
use crate::fail::{Fail, Outcome};
use crate::output;

pub fn setup(args: &SetupArgs) -> Outcome {
    if !args.dry_run && !geteuid().is_root() {
        return Err(Fail::new(
            1,
            "setup changes this machine, which is root's to do; sudo sampan setup, or see --dry-run",
        ));
    }
    let setup = Setup {
        root: "/".into(),
        users: args.user.clone(),
        program: std::env::current_exe()?,
        helper: args.helper.clone(),
    };
    let steps = match (args.remove, args.dry_run) {
        (false, false) => setup.apply(&start),
        (false, true) => setup.plan(),
        (true, false) => setup.remove(&start),
        (true, true) => setup.planned_removal(),
    }?;
    print(args, &steps)?;
    Ok(u8::from(steps.iter().any(|step| step.state == State::Impossible)))
}

/// Nothing of what it says is wanted unless it fails; then one line of it.
fn start(program: &Path, arguments: &[&str]) -> Result<(), String> {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LC_ALL", "C");
    let output = command.output().map_err(|e| e.to_string())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    Err(format!("{} ({})", line.trim_end_matches('.'), output.status))
}

fn print(args: &SetupArgs, steps: &[Step]) -> Result<(), Fail> {
    if let Some(format) = &args.format {
        return steps.iter().try_for_each(|step| output::record(format, step));
    }
    if steps.is_empty() {
        return output::line("nothing was done here that could be taken back");
    }
    steps.iter().try_for_each(|step| {
        let word = match step.state {
            State::Done => "done",
            State::ToDo => "to do",
            State::NotNeeded => "not needed",
            State::Impossible => "can't",
        };
        output::line(format_args!("{word:<10}  {}: {}", step.name, step.detail))
    })
}
