//! `logs`: what the container wrote, stream by stream.

use std::io::{self, Write};

use sampan::{Cancel, Engine, LogEntry, LogOptions, Stream};

use crate::cli::LogsArgs;
use crate::fail::Outcome;

pub fn logs(engine: &Engine, args: &LogsArgs) -> Outcome {
    let options = LogOptions {
        follow: args.follow,
        since: args.since.clone(),
        until: args.until.clone(),
        tail: args.tail.0,
        ..Default::default()
    };
    let mut log = engine.container(&args.container)?.logs(&options)?;
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    while let Some(entry) = log.next(&Cancel::new())? {
        match entry.stream {
            Stream::Stdout => print(&mut stdout, &entry, args.timestamps)?,
            Stream::Stderr => print(&mut stderr, &entry, args.timestamps)?,
        }
    }
    Ok(0)
}

fn print(out: &mut impl Write, entry: &LogEntry, timestamps: bool) -> io::Result<()> {
    if timestamps {
        write!(out, "{} ", entry.time)?;
    }
    out.write_all(&entry.data)?;
    // A part of a line, such as a prompt, is shown without waiting for the rest.
    out.flush()
}
