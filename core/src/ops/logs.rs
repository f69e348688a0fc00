//! `logs`: the shim's log files, read from byte 0 or from where the caller wants.

pub(super) mod chain;
mod entry;
mod lines;

use std::collections::VecDeque;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use self::chain::Chain;
use self::entry::parse;
use self::lines::{Lines, Parts, Wanted};
use super::follow::Follow;
use super::{Context, list, wait};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::store::containers::Record;

/// Reads a log.
#[derive(Debug)]
pub struct Reader {
    files: Chain,
    /// What was read and is not given out yet.
    buffer: VecDeque<u8>,
    lines: Lines,
    /// Where parts are put together, when whole lines are wanted.
    parts: Option<Parts>,
    follow: Option<Follow>,
}

/// Opens a container's log.
pub fn open(context: &Context, id: &ContainerId, options: &LogOptions) -> Result<Reader> {
    let container = list::load(context, id)?;
    refuse_without(&container.record)?;
    let paths = context.paths.container(id);
    let follow = match options.follow && container.held {
        true => Some(Follow::log(paths.dir(), paths.lock(), wait::shim(context, id)?)),
        false => None,
    };
    let wanted = Wanted {
        since: options.since.as_deref().map(|s| time("since", s)).transpose()?,
        until: options.until.as_deref().map(|s| time("until", s)).transpose()?,
        no_stdout: options.no_stdout,
        no_stderr: options.no_stderr,
        started_at: container.state.map(|state| state.started_at),
    };
    // Empty when it was not started yet.
    let files = Chain::open(&paths.log(), container.record.spec.log_max_files)?;
    let parts = options.whole_lines.then(Parts::default);
    let mut reader = Reader { files, buffer: VecDeque::new(), lines: Lines::new(wanted), parts, follow };
    if let Some(lines) = options.tail {
        reader.seek_to_last(lines)?;
    }
    Ok(reader)
}

/// What was written last, of both streams: a few lines at most, from the file that is written.
pub(super) fn last_bytes(log: &Path) -> Result<Vec<u8>> {
    const MOST: u64 = 8 << 10;
    let mut file = fs::open(log)?;
    let size = file.metadata().context("read", log.display())?.len();
    let from = size.saturating_sub(MOST);
    file.seek(SeekFrom::Start(from)).context("read", log.display())?;
    let mut text = Vec::new();
    file.take(MOST).read_to_end(&mut text).context("read", log.display())?;
    // The first line may be the end of one.
    let lines = text.split_inclusive(|b| *b == b'\n').skip(usize::from(from > 0));
    Ok(lines.filter_map(parse).flat_map(|entry| entry.data).collect())
}

fn refuse_without(record: &Record) -> Result<()> {
    match record.options.log_driver.as_deref() {
        Some("none") => Err(Error::new(Kind::Unsupported, "read log", record.name.as_str())
            .because("it was created with the log driver `none`")
            .hint("create it with `local` or `json-file`")),
        _ => Ok(()),
    }
}

/// RFC 3339, Unix seconds with a fraction, or a span back from now, as text that sorts.
pub(super) fn time(option: &'static str, text: &str) -> Result<String> {
    let now = jiff::Timestamp::now();
    let moment = match text.parse::<f64>() {
        Ok(seconds) => jiff::Timestamp::from_nanosecond((seconds * 1e9) as i128).ok(),
        Err(_) => match text.parse::<jiff::SignedDuration>() {
            Ok(back) => now.checked_sub(back).ok(),
            Err(_) => text.parse::<jiff::Timestamp>().ok(),
        },
    };
    moment.map(|m| format!("{m:.9}")).ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "read option", option)
            .because(format!("{text:?} is not a time"))
            .hint("give RFC 3339 (2024-05-01T12:00:00Z), Unix seconds, or a span back from now (10m)")
    })
}

impl Reader {
    /// The next entry.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<LogEntry>> {
        loop {
            cancel.check("read log", "")?;
            match self.at_hand() {
                None if !self.lines.are_over() => {}
                None => return Ok(self.unfinished()),
                found => return Ok(found),
            }
            // Asked before the read: what an ended container wrote is all there by then.
            let ended = self.follow.as_ref().is_none_or(|f| !f.is_alive());
            if self.fill()? {
                continue;
            }
            match &self.follow {
                Some(_) if self.files.extend()? => {}
                // The rest of the last line may never come.
                Some(follow) if !ended && !self.lines.past => follow.wait(None, cancel)?,
                _ => return Ok(self.unfinished()),
            }
        }
    }

    /// The next entry and what is at hand behind it, `most` in all.
    pub fn next_batch(&mut self, most: usize, cancel: &Cancel) -> Result<Vec<LogEntry>> {
        let mut entries = Vec::from_iter(self.next(cancel)?);
        while !entries.is_empty()
            && entries.len() < most
            && let Some(entry) = self.at_hand()
        {
            entries.push(entry);
        }
        Ok(entries)
    }

    /// The next entry that was read already.
    fn at_hand(&mut self) -> Option<LogEntry> {
        while !self.lines.are_over()
            && let Some(line) = self.take_line()
        {
            let entry = parse(&line).filter(|entry| self.lines.takes(entry));
            if let Some(entry) = entry.and_then(|entry| self.join(entry)) {
                return Some(entry);
            }
        }
        None
    }

    fn join(&mut self, entry: LogEntry) -> Option<LogEntry> {
        match &mut self.parts {
            Some(parts) => parts.add(entry),
            None => Some(entry),
        }
    }

    /// A line without an end, once there is no more to come.
    fn unfinished(&mut self) -> Option<LogEntry> {
        self.parts.as_mut().and_then(Parts::first)
    }

    fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.buffer.iter().position(|b| *b == b'\n')?;
        Some(self.buffer.drain(..=end).collect())
    }

    fn fill(&mut self) -> Result<bool> {
        let mut chunk = [0; 32 << 10];
        let n = self.files.read(&mut chunk)?;
        self.buffer.extend(&chunk[..n]);
        Ok(n > 0)
    }

    /// Moves to the beginning of the last so many whole lines among those wanted.
    fn seek_to_last(&mut self, lines: u64) -> Result<()> {
        let start = self.start_of_last(lines)?;
        self.buffer.clear();
        match start {
            Some(((file, byte), begun)) => {
                self.lines.go_on(begun);
                self.files.seek(file, byte)
            }
            None => {
                self.lines.go_on(self.lines.begun);
                Ok(())
            }
        }
    }

    /// Which file, where in it, and which lines were begun there; `None` for the end of all.
    fn start_of_last(&mut self, lines: u64) -> Result<Option<((usize, u64), lines::Begun)>> {
        let mut starts = VecDeque::new();
        let mut at = (self.files.current(), 0);
        loop {
            while let Some(line) = self.take_line() {
                let begun = self.lines.begun;
                if let Some(entry) = parse(&line)
                    && self.lines.takes(&entry)
                    && begun[entry.stream as usize].is_none()
                {
                    starts.push_back((at, begun));
                }
                at.1 += line.len() as u64;
                if starts.len() as u64 > lines {
                    starts.pop_front();
                }
            }
            if !self.fill()? {
                return Ok(starts.pop_front());
            }
            // What is noted at once doesn't reach over the end of a file.
            if self.files.current() != at.0 {
                at = (self.files.current(), 0);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    const LOG: &str = "\
2024-05-01T00:00:00.000000001Z stdout F one
2024-05-01T00:00:01.000000000Z stderr F oops
2024-05-01T00:00:02.000000000Z stdout P tw
2024-05-01T00:00:02.000000001Z stdout F o
2024-05-01T00:00:03.000000000Z stdout P no end
";

    fn reader(wanted: Wanted, tail: Option<u64>) -> Reader {
        reader_of(LOG, wanted, tail, None)
    }

    fn reader_of(log: &str, wanted: Wanted, tail: Option<u64>, parts: Option<Parts>) -> Reader {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(log.as_bytes()).unwrap();
        file.rewind().unwrap();
        let (files, lines) = (Chain::of(vec![file]), Lines::new(wanted));
        let mut reader = Reader { files, buffer: VecDeque::new(), lines, parts, follow: None };
        if let Some(lines) = tail {
            reader.seek_to_last(lines).unwrap();
        }
        reader
    }

    fn text(mut reader: Reader) -> String {
        let mut all = Vec::new();
        while let Some(entry) = reader.next(&Cancel::new()).unwrap() {
            all.extend(entry.data);
        }
        String::from_utf8(all).unwrap()
    }

    #[test]
    fn lines_come_as_they_were_written() {
        assert_eq!(text(reader(Wanted::default(), None)), "one\noops\ntwo\nno end");
        assert_eq!(text(reader(Wanted { no_stderr: true, ..Wanted::default() }, None)), "one\ntwo\nno end");
    }

    #[test]
    fn a_batch_is_what_is_at_hand() {
        let mut reader = reader(Wanted::default(), None);
        let mut batch = |most| reader.next_batch(most, &Cancel::new()).unwrap().len();
        assert_eq!((batch(2), batch(99), batch(99)), (2, 3, 0));
    }

    #[test]
    fn tail_counts_whole_lines_of_the_wanted_streams() {
        assert_eq!(text(reader(Wanted::default(), Some(2))), "two\nno end");
        assert_eq!(text(reader(Wanted { no_stdout: true, ..Wanted::default() }, Some(5))), "oops\n");
        assert_eq!(text(reader(Wanted::default(), Some(0))), "");
        assert_eq!(text(reader(Wanted::default(), Some(99))), "one\noops\ntwo\nno end");
    }

    #[test]
    fn since_and_until_cut_by_time() {
        let since = Some(time("since", "2024-05-01T00:00:01Z").unwrap());
        let until = Some(time("until", "2024-05-01T00:00:02Z").unwrap());
        let wanted = Wanted { since, until, ..Wanted::default() };
        assert_eq!(text(reader(wanted, None)), "oops\n");
    }

    /// Two lines of two streams, each in parts.
    const PARTS: &str = "\
2024-05-01T00:00:00.000000000Z stdout P Rea
2024-05-01T00:00:01.000000000Z stderr P o
2024-05-01T00:00:02.000000000Z stdout F dy
2024-05-01T00:00:03.000000000Z stderr F ops
2024-05-01T00:00:04.000000000Z stdout P no
2024-05-01T00:00:05.000000000Z stdout P  end
";

    fn lines_of(wanted: Wanted, tail: Option<u64>) -> Vec<String> {
        let mut reader = reader_of(PARTS, wanted, tail, Some(Parts::default()));
        let next = || reader.next(&Cancel::new()).unwrap();
        let line = |entry: LogEntry| format!("{} {}", &entry.time[17..19], String::from_utf8(entry.data).unwrap());
        std::iter::from_fn(next).map(line).collect()
    }

    #[test]
    fn parts_come_together_to_lines_with_the_time_of_their_beginning() {
        assert_eq!(lines_of(Wanted::default(), None), ["00 Ready\n", "01 oops\n", "04 no end"]);
        assert_eq!(text(reader_of(PARTS, Wanted::default(), None, None)), "Reaody\nops\nno end");
    }

    #[test]
    fn lines_are_counted_and_not_parts() {
        assert_eq!(lines_of(Wanted::default(), Some(1)), ["04 no end"]);
        assert_eq!(lines_of(Wanted::default(), Some(2)), ["01 oops\n", "04 no end"]);
        assert_eq!(lines_of(Wanted { no_stderr: true, ..Wanted::default() }, Some(2)), ["00 Ready\n", "04 no end"]);
        let at = |seconds: &str| Some(time("since", &format!("2024-05-01T00:00:{seconds}Z")).unwrap());
        assert_eq!(lines_of(Wanted { since: at("01"), ..Wanted::default() }, None), ["01 oops\n", "04 no end"]);
        let until = || Wanted { until: at("00.5"), ..Wanted::default() };
        assert_eq!(
            (lines_of(until(), None), lines_of(until(), Some(1))),
            (vec!["00 Ready\n".into()], vec!["00 Ready\n".into()])
        );
    }

    #[test]
    fn what_a_later_run_writes_is_not_the_rest_of_a_line() {
        let since = Some(time("since", "2024-05-01T00:00:02Z").unwrap());
        let wanted = || Wanted { since: since.clone(), ..Wanted::default() };
        assert_eq!(lines_of(wanted(), None), ["04 no end"]);
        let started_at = Some("2024-05-01T00:00:01.500000000Z".to_owned());
        assert_eq!(lines_of(Wanted { started_at, ..wanted() }, None), ["02 dy\n", "03 ops\n", "04 no end"]);
    }

    #[test]
    fn a_line_without_end_comes_in_pieces_of_a_bounded_size() {
        let part = format!("2024-05-01T00:00:00.000000000Z stdout P {}\n", "x".repeat(16 << 10));
        let mut reader = reader_of(&part.repeat(100), Wanted::default(), None, Some(Parts::default()));
        let sizes = std::iter::from_fn(|| reader.next(&Cancel::new()).unwrap()).map(|entry| entry.data.len());
        assert_eq!(sizes.collect::<Vec<_>>(), [1 << 20, (100 << 14) - (1 << 20)]);
    }

    #[test]
    fn times_are_read_as_docker_reads_them() {
        assert_eq!(time("since", "0").unwrap(), "1970-01-01T00:00:00.000000000Z");
        assert_eq!(time("since", "1.5").unwrap(), "1970-01-01T00:00:01.500000000Z");
        assert!(time("since", "10m").unwrap() < format!("{:.9}", jiff::Timestamp::now()));
        assert_eq!(time("since", "soon").unwrap_err().kind(), Kind::InvalidArgument);
    }
}
