//! Lines of a log whose parts were noted one by one: a program that pauses within one is not kept waiting.

use crate::api::{LogEntry, Stream};

/// A longer line is given out in pieces.
const LONGEST: usize = 1 << 20;

/// Of either stream, the line that was begun last and has no end yet.
pub(super) type Begun = [Option<Line>; 2];

/// A line without an end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Line {
    taken: bool,
    of_last_run: bool,
}

/// Which lines are given out. Times compare as text: RFC 3339 in UTC with nine digits sorts by time.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    pub since: Option<String>,
    pub until: Option<String>,
    pub no_stdout: bool,
    pub no_stderr: bool,
    /// When the last run began: what it writes is not the rest of an earlier one's line.
    pub started_at: Option<String>,
}

/// How far a log has been read.
#[derive(Debug)]
pub(super) struct Lines {
    wanted: Wanted,
    pub begun: Begun,
    /// A line was begun that is later than the last one wanted.
    pub past: bool,
}

impl Lines {
    pub fn new(wanted: Wanted) -> Lines {
        Lines { wanted, begun: Begun::default(), past: false }
    }

    /// Whether an entry, the next of all, is given out: all parts of a line are, or none.
    pub fn takes(&mut self, entry: &LogEntry) -> bool {
        let begun = &mut self.begun[entry.stream as usize];
        let of_last_run = self.wanted.is_of_last_run(entry);
        // What is read may be shown as one line, but what is not must not take a later run's first along.
        let rest = begun.filter(|line| line.taken || line.of_last_run == of_last_run);
        let line = rest.unwrap_or_else(|| Line { taken: self.wanted.takes(entry), of_last_run });
        self.past |= rest.is_none() && self.wanted.is_past(entry);
        *begun = (!entry.data.ends_with(b"\n")).then_some(line);
        line.taken
    }

    /// Whether none that is wanted follows.
    pub fn are_over(&self) -> bool {
        self.past && !self.begun.iter().flatten().any(|line| line.taken)
    }

    /// Begins where these lines were begun, of which the rest is not wanted.
    pub fn go_on(&mut self, begun: Begun) {
        self.begun = begun.map(|line| line.map(|line| Line { taken: false, ..line }));
        self.past = false;
    }
}

impl Wanted {
    fn takes(&self, entry: &LogEntry) -> bool {
        let stream = match entry.stream {
            Stream::Stdout => !self.no_stdout,
            Stream::Stderr => !self.no_stderr,
        };
        stream && self.since.as_ref().is_none_or(|since| entry.time >= *since) && !self.is_past(entry)
    }

    fn is_past(&self, entry: &LogEntry) -> bool {
        self.until.as_ref().is_some_and(|until| entry.time >= *until)
    }

    fn is_of_last_run(&self, entry: &LogEntry) -> bool {
        self.started_at.as_ref().is_some_and(|started| entry.time >= *started)
    }
}

/// Parts of lines, put together.
#[derive(Debug, Default)]
pub(super) struct Parts([Option<LogEntry>; 2]);

impl Parts {
    /// The line, when this is its end or it is long enough. It has the time of its beginning.
    pub fn add(&mut self, entry: LogEntry) -> Option<LogEntry> {
        let held = &mut self.0[entry.stream as usize];
        let line = match held.take() {
            Some(mut line) => {
                line.data.extend_from_slice(&entry.data);
                line
            }
            None => entry,
        };
        if line.data.ends_with(b"\n") || line.data.len() >= LONGEST {
            return Some(line);
        }
        *held = Some(line);
        None
    }

    /// The one that was begun first.
    pub fn first(&mut self) -> Option<LogEntry> {
        let later = matches!(&self.0, [Some(stdout), Some(stderr)] if stderr.time < stdout.time);
        let [stdout, stderr] = &mut self.0;
        if later { stderr.take() } else { stdout.take().or_else(|| stderr.take()) }
    }
}
