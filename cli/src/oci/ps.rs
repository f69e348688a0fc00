//! `ps`: a container's processes, as ps(1) shows those of the host.

use std::io::ErrorKind;
use std::process::{Command, Stdio};

use sampan::oci::Runtime;
use sampan::{Error, Kind, Result};

use super::verbs::{io, print};
use super::words::Ps;

pub fn ps(runtime: &Runtime, args: &Ps) -> Result<u8> {
    let pids = runtime.processes(&args.id)?;
    if args.format == "json" {
        return print(&serde_json::json!(pids).to_string());
    }
    let default = ["-ef".to_owned()];
    let options = if args.options.is_empty() { &default[..] } else { &args.options };
    match table(options)? {
        Some(table) => print(&of(&table, &pids)?),
        // A host without ps(1) has the numbers.
        None if args.options.is_empty() => {
            print(&["PID".to_owned()].into_iter().chain(pids.iter().map(i32::to_string)).collect::<Vec<_>>().join("\n"))
        }
        None => Err(Error::new(Kind::NotFound, "run", "ps").because("this host has no ps(1) that takes the options")),
    }
}

/// What ps(1) says; none where there is no such program.
fn table(options: &[String]) -> Result<Option<String>> {
    let said = match Command::new("ps").args(options).stdin(Stdio::null()).stderr(Stdio::inherit()).output() {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        said => said.map_err(|e| io("run", "ps", &e))?,
    };
    match said.status.success() {
        true => Ok(Some(String::from_utf8_lossy(&said.stdout).into_owned())),
        false => Err(Error::new(Kind::InvalidArgument, "run", "ps").because("it does not take these options")),
    }
}

/// The heading, and the lines of these processes.
fn of(table: &str, pids: &[i32]) -> Result<String> {
    let mut lines = table.lines();
    let heading = lines.next().unwrap_or_default();
    let column = heading.split_whitespace().position(|word| word == "PID").ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "run", "ps").because("its table has no column PID, by which lines are chosen")
    })?;
    let is_wanted = |line: &&str| {
        line.split_whitespace().nth(column).and_then(|pid| pid.parse().ok()).is_some_and(|pid| pids.contains(&pid))
    };
    Ok([heading].into_iter().chain(lines.filter(is_wanted)).collect::<Vec<_>>().join("\n"))
}
