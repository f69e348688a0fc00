//! `top` and `stats`: what running containers do.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use jiff::Timestamp;
use sampan::{Container, ContainerStats, Engine, Kind, ListOptions, ProcessInfo};
use serde_json::json;

use crate::cli::{ListArgs, StatsArgs, TopArgs};
use crate::fail::Outcome;
use crate::output::{self, Column, Row, human};

const PROCESS: &[Column] = &[
    ("UID", "UID"),
    ("PID", "PID"),
    ("PPID", "PPID"),
    ("C", "C"),
    ("STIME", "STIME"),
    ("TTY", "TTY"),
    ("TIME", "TIME"),
    ("CMD", "CMD"),
];

const USAGE: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("NAME", "Name"),
    ("CPU %", "CPUPerc"),
    ("MEM USAGE / LIMIT", "MemUsage"),
    ("MEM %", "MemPerc"),
    ("NET I/O", "NetIO"),
    ("BLOCK I/O", "BlockIO"),
    ("PIDS", "PIDs"),
];

fn format(format: &Option<String>) -> ListArgs {
    ListArgs { quiet: false, no_trunc: false, format: format.clone() }
}

pub fn top(engine: &Engine, args: &TopArgs) -> Outcome {
    let rows: Vec<Row> = engine.container(&args.container)?.top()?.iter().map(process).collect();
    output::list(&format(&args.format), PROCESS, &rows)?;
    Ok(0)
}

fn process(p: &ProcessInfo) -> Row {
    let age = p.started_at.parse().map_or(0.0, |began: Timestamp| seconds(began, Timestamp::now()));
    let share = if age > 0.0 { p.cpu_seconds / age * 100.0 } else { 0.0 };
    let whole = p.cpu_seconds as u64;
    row(&json!({
        "UID": p.uid,
        "PID": p.pid,
        "PPID": p.ppid,
        "C": share as u64,
        "STIME": p.started_at.get(11..16).unwrap_or_default(),
        "TTY": p.tty,
        "TIME": format!("{:02}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
        "CMD": p.command,
        "State": p.state,
        "RSS": p.memory,
    }))
}

fn row(value: &serde_json::Value) -> Row {
    value.as_object().cloned().unwrap_or_default()
}

fn seconds(from: Timestamp, to: Timestamp) -> f64 {
    (to.as_nanosecond() - from.as_nanosecond()) as f64 / 1e9
}

pub fn stats(engine: &Engine, args: &StatsArgs) -> Outcome {
    let live = !args.no_stream && args.format.is_none() && std::io::stdout().is_terminal();
    loop {
        let containers = chosen(engine, args)?;
        let before: Vec<_> = containers.iter().map(Container::stats).collect();
        // As Docker: a share is that of one second.
        std::thread::sleep(Duration::from_secs(1));
        let mut rows = Vec::new();
        for (container, before) in containers.iter().zip(before) {
            match (before, container.stats()) {
                (Ok(before), Ok(after)) => rows.push(usage(&before, &after, args.no_trunc)),
                (Err(error), _) | (_, Err(error)) if is_idle(&error, args) => {
                    rows.push(idle(container, args.no_trunc)?);
                }
                // One that goes meanwhile is in the way only when it was asked for.
                (Err(error), _) | (_, Err(error)) if !args.containers.is_empty() => return Err(error.into()),
                _ => {}
            }
        }
        if live {
            write!(std::io::stdout(), "\x1b[2J\x1b[H")?;
        }
        output::list(&format(&args.format), USAGE, &rows)?;
        if args.no_stream {
            return Ok(0);
        }
    }
}

/// One that was asked for and does not run uses nothing, as with Docker.
fn is_idle(error: &sampan::Error, args: &StatsArgs) -> bool {
    error.kind() == Kind::Conflict && !args.containers.is_empty()
}

fn idle(container: &Container, whole: bool) -> sampan::Result<Row> {
    let info = container.inspect()?;
    let none = Some(0);
    let stats = ContainerStats {
        id: info.id,
        name: info.name,
        memory: none,
        pids: none,
        block_read: none,
        block_written: none,
        network_received: none,
        network_sent: none,
        ..ContainerStats::default()
    };
    let mut row = usage(&stats, &stats, whole);
    row.insert("CPUPerc".to_owned(), json!(percent(Some(0.0))));
    Ok(row)
}

fn chosen(engine: &Engine, args: &StatsArgs) -> sampan::Result<Vec<Container>> {
    match args.containers.is_empty() {
        false => args.containers.iter().map(|name| engine.container(name)).collect(),
        true => {
            let running = engine.containers(&ListOptions::default())?;
            Ok(running.iter().filter_map(|info| engine.container(&info.id).ok()).collect())
        }
    }
}

fn usage(before: &ContainerStats, after: &ContainerStats, whole: bool) -> Row {
    let pair = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => format!("{} / {}", human::size(a), human::size(b)),
        _ => "-- / --".to_owned(),
    };
    let memory = after.memory.map(|bytes| bytes as f64 / after.memory_limit.max(1) as f64 * 100.0);
    row(&json!({
        "ID": if whole { &after.id } else { human::short(&after.id) },
        "Name": after.name,
        "CPUPerc": percent(share(before, after)),
        "MemUsage": match after.memory {
            Some(bytes) => format!("{} / {}", binary(bytes), binary(after.memory_limit)),
            None => "-- / --".to_owned(),
        },
        "MemPerc": percent(memory),
        "NetIO": pair(after.network_received, after.network_sent),
        "BlockIO": pair(after.block_read, after.block_written),
        "PIDs": after.pids.map_or("--".to_owned(), |n| n.to_string()),
    }))
}

fn percent(value: Option<f64>) -> String {
    value.map_or("--".to_owned(), |value| format!("{value:.2}%"))
}

/// 100 is one processor, as with Docker.
fn share(before: &ContainerStats, after: &ContainerStats) -> Option<f64> {
    let used = after.cpu_nanoseconds?.saturating_sub(before.cpu_nanoseconds?);
    let span = seconds(before.time.parse().ok()?, after.time.parse().ok()?);
    (span > 0.0).then(|| used as f64 / 1e9 / span * 100.0)
}

/// Docker prints memory, and only that, in binary units: `1.5MiB`.
fn binary(bytes: u64) -> String {
    let units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let (mut value, mut unit) = (bytes as f64, 0);
    while value >= 1024.0 && unit + 1 < units.len() {
        value /= 1024.0;
        unit += 1;
    }
    let text = format!("{value:.2}");
    let text = if unit == 0 { bytes.to_string() } else { text.trim_end_matches('0').trim_end_matches('.').to_owned() };
    format!("{text}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_docker_s() {
        let at = |time: &str, cpu| ContainerStats {
            time: time.into(),
            cpu_nanoseconds: Some(cpu),
            ..ContainerStats::default()
        };
        let before = at("2024-01-01T00:00:00Z", 0);
        assert_eq!(share(&before, &at("2024-01-01T00:00:02Z", 3_000_000_000)), Some(150.0));
        assert_eq!(share(&before, &before), None);
        assert_eq!(percent(Some(1.234)), "1.23%");
        assert_eq!((binary(1023).as_str(), binary(1536 * 1024).as_str()), ("1023B", "1.5MiB"));
    }
}
