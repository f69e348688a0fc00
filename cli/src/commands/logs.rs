//! `logs`: what the container wrote, stream by stream.

use std::io::{self, Write};

use sampan::{Cancel, Engine, LogEntry, LogOptions, LogStream, Stream};

use crate::cli::LogsArgs;
use crate::fail::Outcome;
use crate::readers;

pub fn logs(engine: &Engine, args: &LogsArgs) -> Outcome {
    let options = LogOptions {
        follow: args.follow,
        since: args.since.clone(),
        until: args.until.clone(),
        tail: args.tail.0,
        ..Default::default()
    };
    let mut log = engine.container(&args.container)?.logs(&options)?;
    match args.follow {
        true => readers::following(|unread| show(&mut log, args.timestamps, unread)),
        false => show(&mut log, args.timestamps, &Cancel::new()),
    }
}

fn show(log: &mut LogStream, timestamps: bool, cancel: &Cancel) -> Outcome {
    let (mut stdout, mut stderr) = (io::stdout().lock(), io::stderr().lock());
    let mut begun = [false; 2];
    while let Some(entry) = log.next(cancel)? {
        let begins = !std::mem::replace(&mut begun[entry.stream as usize], !entry.data.ends_with(b"\n"));
        match entry.stream {
            Stream::Stdout => print(&mut stdout, &entry, timestamps && begins)?,
            Stream::Stderr => print(&mut stderr, &entry, timestamps && begins)?,
        }
    }
    Ok(0)
}

fn print(out: &mut impl Write, entry: &LogEntry, with_time: bool) -> io::Result<()> {
    if with_time {
        write!(out, "{} ", entry.time)?;
    }
    out.write_all(&entry.data)?;
    // A part of a line, such as a prompt, is shown without waiting for the rest.
    out.flush()
}
