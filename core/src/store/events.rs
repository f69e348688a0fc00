//! What happens in the store, a line of JSON an event, appended by whoever does it and read by any process.
//!
//! Each machine that shares the store has a file of its own: appends of one kernel are whole and in order, those of two
//! over a network file system are not. A full file gets the number 1 and another is begun. Nothing fails for want of an
//! event: where none can be written it is lost.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use crate::api::EngineEvent;
use crate::error::{Context, Result};
use crate::fs;
use crate::lock::{Lock, Mode};
use crate::paths::Paths;
use crate::store::containers::Record;
use crate::sys;
use crate::wire::{EVENT_SUBJECT, EVENTS_FULL as FULL, EVENTS_MOST as MOST};

/// How many files there are: the one that is written, and the full one before it.
pub const FILES: u32 = 2;
/// What a line begins with; in no text inside of one, where quotes are escaped.
const BEGIN: &[u8] = b"{\"time\":\"";

/// The file that this machine's processes write.
pub fn file(paths: &Paths) -> PathBuf {
    let machine = sys::machine_id();
    let plain = !machine.is_empty() && machine.len() <= 64 && machine.bytes().all(|b| b.is_ascii_alphanumeric());
    paths.events().join(if plain { machine.as_str() } else { "local" })
}

/// What an event is about: the members that all of its events share, open at the end for further attributes.
pub fn subject(kind: &str, id: &str, attributes: &[(&str, &str)]) -> String {
    let mut text = format!("\"kind\":{},\"id\":{},\"attributes\":{{", quoted(kind), quoted(id));
    for (n, (name, value)) in attributes.iter().enumerate() {
        let attribute = format!("{}{}:{}", if n == 0 { "" } else { "," }, quoted(name), quoted(value));
        if text.len() + attribute.len() <= EVENT_SUBJECT || n == 0 {
            text.push_str(&attribute);
        }
    }
    text
}

/// A container with its image, name and labels, as Docker's events have them.
pub fn of_container(record: &Record) -> String {
    let mut attributes = vec![("image", record.image.as_str()), ("name", record.name.as_str())];
    attributes.extend(record.spec.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())));
    subject("container", record.id.as_str(), &attributes)
}

fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Writes an event into a file. What keeps it from being written is nobody's failure.
pub fn tell(file: &Path, subject: &str, action: &str, attributes: &[(&str, &str)]) {
    let mut line = format!("{{\"time\":\"{:.9}\",\"action\":{},{subject}", jiff::Timestamp::now(), quoted(action));
    for (name, value) in attributes {
        line.push_str(&format!(",{}:{}", quoted(name), quoted(value)));
    }
    line.push_str("}}\n");
    let _ = append(file, line.as_bytes());
}

fn append(path: &Path, line: &[u8]) -> Result<()> {
    // Whoever puts the file aside holds it alone for an instant, unless he was stopped in it.
    const TRIES: u32 = 3;
    for _ in 0..TRIES {
        if let Some(lock) = Lock::try_open(fs::open_append(path)?, path, Mode::Shared)? {
            let size = write(lock.file(), path, line)?;
            drop(lock);
            return if size >= FULL { put_aside(path) } else { Ok(()) };
        }
    }
    write(&fs::open_append(path)?, path, line).map(drop)
}

/// One write, which the kernel does whole or, where room ends, in part. Returns the size from then on.
fn write(mut file: &fs::File, path: &Path, line: &[u8]) -> Result<u64> {
    let size = file.metadata().context("look at", path.display())?.len() + line.len() as u64;
    // Beyond the process's limit of file sizes a write would be a signal to the process.
    if size <= MOST.min(sys::most_bytes_of_a_file()) {
        file.write(line).context("write", path.display())?;
    }
    Ok(size)
}

/// Gives a full file its number. Only who holds it alone, in its place, may: so it is done once.
fn put_aside(path: &Path) -> Result<()> {
    let Some(lock) = Lock::try_open(fs::open_append(path)?, path, Mode::Exclusive)? else { return Ok(()) };
    if lock.file().metadata().context("look at", path.display())?.len() < FULL {
        return Ok(());
    }
    let mut first = path.to_owned().into_os_string();
    first.push(".1");
    fs::rename(path, Path::new(&first))
}

/// The event in a line; `None` for what is none. Of a write that was cut, the next line lies behind it.
pub fn parse(line: &[u8]) -> Option<EngineEvent> {
    let begin = line.windows(BEGIN.len()).rposition(|w| w == BEGIN)?;
    serde_json::from_slice(&line[begin..]).ok()
}

/// Removes the files of machines that have written none for a month: pods come with a new identity each time.
pub fn forget_old(paths: &Paths) -> Result<()> {
    const MONTH: std::time::Duration = std::time::Duration::from_secs(30 * 24 * 3600);
    let own = file(paths);
    for name in fs::list(&paths.events())? {
        let path = paths.events().join(name);
        let of_ours = path.with_extension("") == own;
        let written =
            fs::open(&path)?.metadata().and_then(|data| data.modified()).context("look at", path.display())?;
        if !of_ours && written.elapsed().is_ok_and(|age| age > MONTH) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place(tempfile::TempDir);

    impl Place {
        fn new() -> Place {
            Place(tempfile::tempdir().unwrap())
        }

        fn path(&self) -> PathBuf {
            self.0.path().join("events")
        }

        fn lines(&self, name: &str) -> Vec<EngineEvent> {
            let text = fs::read_if_exists(&self.0.path().join(name), 16 << 20).unwrap().unwrap_or_default();
            text.split_inclusive(|b| *b == b'\n').filter_map(parse).collect()
        }
    }

    fn line(id: &str, padding: usize) -> Vec<u8> {
        let subject = subject("container", id, &[("name", &"x".repeat(padding))]);
        format!("{{\"time\":\"t\",\"action\":\"start\",{subject}}}}}\n").into_bytes()
    }

    #[test]
    fn what_is_told_is_read() {
        let place = Place::new();
        append(&place.path(), &line("a\"\\\n{\"time\":\"", 0)).unwrap();
        let read = place.lines("events");
        assert_eq!((read[0].id.as_str(), read[0].action.as_str()), ("a\"\\\n{\"time\":\"", "start"));
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(place.path().metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_torn_line_spoils_none_after_it() {
        let place = Place::new();
        let whole = line("a", 100);
        for length in 0..whole.len() {
            let _ = fs::remove_file(&place.path());
            append(&place.path(), &whole[..length]).unwrap();
            append(&place.path(), &line("b", 0)).unwrap();
            let ids: Vec<String> = place.lines("events").into_iter().map(|e| e.id).collect();
            assert_eq!(ids, ["b"], "cut at {length}");
        }
    }

    #[test]
    fn a_full_file_is_put_aside_once_and_nothing_is_lost_by_many_writers() {
        let place = Place::new();
        let each = line("a", 1000).len();
        let (writers, rounds) = (8, FULL as usize * 3 / 2 / each / 8);
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let path = place.path();
                scope.spawn(move || {
                    (0..rounds).for_each(|round| append(&path, &line(&format!("{writer}-{round}"), 1000)).unwrap());
                });
            }
        });
        let (old, new) = (place.lines("events.1"), place.lines("events"));
        assert_eq!(old.len() + new.len(), writers * rounds);
        assert!(!new.is_empty() && fs::file_size(&place.0.path().join("events.1")).unwrap() >= Some(FULL));
    }

    #[test]
    fn one_who_is_stopped_while_he_puts_it_aside_holds_nobody_up() {
        let place = Place::new();
        append(&place.path(), &line("a", 0)).unwrap();
        let held = Lock::try_open(fs::open_append(&place.path()).unwrap(), &place.path(), Mode::Exclusive);
        append(&place.path(), &line("b", 0)).unwrap();
        assert_eq!(place.lines("events").len(), 2);
        drop(held);
    }

    #[test]
    fn labels_that_are_too_long_are_left_out() {
        let long = "x".repeat(4000);
        let told = subject("container", "a", &[("name", "n"), ("long", &long), ("short", "s")]);
        assert!(told.len() < EVENT_SUBJECT && told.ends_with("\"name\":\"n\",\"short\":\"s\""), "{told}");
    }

    #[test]
    fn a_place_that_takes_nothing_is_no_failure() {
        let dir = tempfile::tempdir().unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
        tell(&file(&paths), &subject("image", "i", &[("name", "n")]), "tag", &[]);
        paths.make().unwrap();
        tell(&file(&paths), &subject("image", "i", &[("name", "n")]), "tag", &[]);
        assert_eq!(fs::list(&paths.events()).unwrap().len(), 1);
    }

    #[test]
    fn a_file_that_grew_where_it_could_not_be_put_aside_takes_no_more() {
        let place = Place::new();
        fs::open_append(&place.path()).unwrap().set_len(MOST).unwrap();
        let held = Lock::try_open(fs::open_append(&place.path()).unwrap(), &place.path(), Mode::Exclusive).unwrap();
        append(&place.path(), &line("a", 0)).unwrap();
        assert_eq!(fs::file_size(&place.path()).unwrap(), Some(MOST));
        drop(held);
        // Lost, and room made for the next.
        append(&place.path(), &line("b", 0)).unwrap();
        append(&place.path(), &line("c", 0)).unwrap();
        assert_eq!(place.lines("events")[0].id, "c");
    }

    /// Not a test but what the next one starts in a process of its own.
    #[test]
    fn teller() {
        let Some(path) = std::env::var_os("SAMPAN_EVENTS_TELLER") else { return };
        use nix::sys::resource::{Resource, setrlimit};
        setrlimit(Resource::RLIMIT_FSIZE, 1000, 1000).unwrap();
        append(Path::new(&path), &line("a", 600)).unwrap();
    }

    #[test]
    #[allow(clippy::disallowed_methods)]
    fn a_limit_of_file_sizes_does_not_end_the_process() {
        let place = Place::new();
        let mut command = std::process::Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "store::events::tests::teller", "--test-threads=1"]);
        command.env("SAMPAN_EVENTS_TELLER", place.path());
        for _ in 0..2 {
            assert!(command.output().unwrap().status.success());
        }
        assert_eq!(place.lines("events").len(), 1);
    }

    #[test]
    fn files_of_machines_that_are_gone_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
        paths.make().unwrap();
        let own = file(&paths);
        for path in [own.clone(), own.with_extension("1"), paths.events().join("gone"), paths.events().join("new")] {
            fs::write_new(&path, b"").unwrap();
            let age = std::time::Duration::from_secs(if path.ends_with("new") { 60 } else { 40 * 24 * 3600 });
            fs::open_append(&path).unwrap().set_modified(std::time::SystemTime::now() - age).unwrap();
        }
        forget_old(&paths).unwrap();
        let mut left: Vec<PathBuf> = [own.clone(), own.with_extension("1"), paths.events().join("new")].into();
        left.sort();
        let listed = fs::list(&paths.events()).unwrap();
        assert_eq!(listed.iter().map(|name| paths.events().join(name)).collect::<Vec<_>>(), left);
    }
}
