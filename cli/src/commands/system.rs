//! The engine as a whole: version, info, doctor, gc.

use sampan::{CheckStatus, DoctorReport, Engine, PruneReport};
use serde_json::json;

use super::{confirmed, container};
use crate::cli::{ForceArg, FormatArg};
use crate::fail::{Fail, Outcome, complain};
use crate::output::{self, human};

pub fn version(format: &FormatArg) -> Outcome {
    match &format.format {
        None => output::line(format_args!("sampan {}", Engine::version()))?,
        Some(format) => output::record(format, &json!({ "version": Engine::version() }))?,
    }
    Ok(0)
}

pub fn info(engine: &Engine, format: &FormatArg) -> Outcome {
    let info = engine.info()?;
    if let Some(format) = &format.format {
        output::record(format, &info)?;
        return Ok(0);
    }
    for (name, value) in [
        ("Version", info.version.as_str()),
        ("Store", &info.root),
        ("Run directory", &info.run),
        ("Rung", info.rung.word()),
        ("Cgroups", &info.cgroup),
        ("Kernel", &info.kernel),
        ("Containers", &info.containers.to_string()),
        ("Images", &info.images.to_string()),
    ] {
        output::line(format_args!("{name}: {value}"))?;
    }
    Ok(0)
}

pub fn doctor(engine: &Engine, format: &FormatArg) -> Outcome {
    let report = engine.doctor()?;
    match &format.format {
        None => print_report(&report)?,
        Some(format) => output::record(format, &report)?,
    }
    Ok(u8::from(!report.ok))
}

fn print_report(report: &DoctorReport) -> Result<(), Fail> {
    for check in &report.checks {
        let mark = match check.status {
            CheckStatus::Ok => "ok  ",
            CheckStatus::Warn => "warn",
            CheckStatus::Fail => "FAIL",
        };
        output::line(format_args!("{mark}  {}: {}", check.name, check.detail))?;
        check.hint.iter().try_for_each(|hint| output::line(format_args!("      {hint}")))?;
    }
    let why = if report.reason.is_empty() { String::new() } else { format!(": {}", report.reason) };
    match report.ok {
        true => output::line(format_args!("\ncontainers can run; rung `{}`{why}", report.rung.word())),
        // None was found, so none is named.
        false => output::line(format_args!("\ncontainers can't run{why}")),
    }
}

pub fn gc(engine: &Engine) -> Outcome {
    reclaimed(&engine.gc()?)?;
    Ok(0)
}

fn reclaimed(report: &PruneReport) -> Result<(), Fail> {
    report.removed.iter().try_for_each(output::line)?;
    report.unread.iter().for_each(|why| complain(format_args!("no image's content was removed: {why}")));
    output::line(format_args!("Total reclaimed space: {}", human::size(report.bytes)))
}

pub fn prune(engine: &Engine, args: &ForceArg) -> Outcome {
    if confirmed(args.force, "every container that does not run, and data that nothing uses")? {
        container::remove_stopped(engine)?;
        gc(engine)?;
    }
    Ok(0)
}
