//! Ranges of subordinate ids, in `/etc/subuid` and `/etc/subgid`.
//!
//! They are written here and not by `usermod`: it wants the range from its caller, who would have to choose it before
//! `usermod` takes its locks, and it takes one that overlaps another's. Under the same locks the next free place is chosen
//! and written here in one go, which also works where there is no `usermod`.

use std::path::Path;

use super::accounts::{self, User, number, setting};
use super::held;
use super::host::Host;
use super::locks::AccountsLock;
use super::record::{Item, Record};
use super::{Act, Start, State, Task};
use crate::error::{Error, Kind, Result};
use crate::fs;

/// Where new ranges may lie and how long they are, as useradd(8) has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rule {
    least: u64,
    most: u64,
    count: u64,
}

/// A range to be given.
pub(super) struct Range {
    file: &'static str,
    user: User,
    rule: Rule,
}

/// A file, how `/etc/login.defs` names what belongs to it, and its text with the ranges that are to be given.
struct Planned {
    file: &'static str,
    key: &'static str,
    text: String,
    accounts: Vec<u64>,
}

/// Whose ids are whose, by `/etc/subuid` or `/etc/subgid` and what belongs to it. Of ids in a row the first, and the one after
/// the last.
pub struct Known {
    /// Those set aside, and for whom.
    pub given: Vec<(String, (u64, u64))>,
    /// Those of accounts, users' groups without a name among them.
    pub accounts: Vec<(u64, u64)>,
    /// Those that processes in user namespaces have.
    pub used: Vec<(u64, u64)>,
    /// Where users' ranges come from, if that is not the file: what is given there is not known here.
    pub elsewhere: Option<String>,
    /// The file's last line has no end: what is appended to it would be a part of it.
    pub unended: bool,
}

/// Looks at the machine.
pub fn known(file: &str) -> Result<Known> {
    let none: &Start<'_> = &|_, _| Err("nothing is started for a look".to_owned());
    let host = &Host { root: Path::new("/"), start: none };
    let text = host.text(file)?;
    Ok(Known {
        given: ranges(&text)
            .map(|(owner, start, count)| (owner.to_owned(), (start, start.saturating_add(count))))
            .collect(),
        accounts: accounts_of(host, file)?.into_iter().map(|id| (id, id.saturating_add(1))).collect(),
        used: used(file)?,
        elsewhere: elsewhere(&host.text("/etc/nsswitch.conf")?).map(str::to_owned),
        unended: !text.is_empty() && !text.ends_with('\n'),
    })
}

/// The ids that processes in user namespaces have.
pub fn used(file: &str) -> Result<Vec<(u64, u64)>> {
    let none: &Start<'_> = &|_, _| Err("nothing is started for a look".to_owned());
    held::all(&Host { root: Path::new("/"), start: none }, file).map(|all| all.into_iter().collect())
}

/// Each user's user ids and group ids.
pub(super) fn tasks(host: &Host<'_>, users: &[String]) -> Result<Vec<Task>> {
    if users.is_empty() {
        return Ok(Vec::new());
    }
    let mut tasks = vec![helpers(host)];
    let planned =
        |file, key| Ok::<_, Error>(Planned { file, key, text: host.text(file)?, accounts: accounts_of(host, file)? });
    let mut files = [planned("/etc/subuid", "SUB_UID")?, planned("/etc/subgid", "SUB_GID")?];
    for word in users {
        match accounts::find(host, word)? {
            None => tasks.push(Task::new(format!("ids of {word}"), State::Impossible, UNKNOWN)),
            Some(user) if user.uid == 0 => {
                tasks.push(Task::new("ids of root", State::NotNeeded, "root has every id"));
            }
            Some(user) => {
                for file in &mut files {
                    tasks.push(task(host, file, user.clone())?);
                }
            }
        }
    }
    Ok(tasks)
}

const UNKNOWN: &str = "there is no such user in /etc/passwd; name one from elsewhere by its number";

/// Without them a range is of no use to a plain user.
fn helpers(host: &Host<'_>) -> Task {
    match ["newuidmap", "newgidmap"].iter().all(|name| host.program(name).is_some()) {
        true => Task::new("newuidmap", State::Done, "is installed"),
        false => Task::new(
            "newuidmap",
            State::Impossible,
            "is not installed, so ranges of ids can't be used; apt install uidmap, or dnf install shadow-utils",
        ),
    }
}

fn task(host: &Host<'_>, planned: &mut Planned, user: User) -> Result<Task> {
    let Planned { file, key, text, accounts } = planned;
    let name = format!("{file} for {}", user.name);
    let impossible = |why: String| Ok(Task::new(&name, State::Impossible, why));
    if let Some((_, start, count)) = ranges(text).find(|(owner, ..)| is_of(owner, &user)) {
        return Ok(Task::new(&name, State::Done, ids(start, count)));
    }
    if let Some(source) = elsewhere(&host.text("/etc/nsswitch.conf")?) {
        return impossible(format!("/etc/nsswitch.conf has ranges come from {source}: have them given there"));
    }
    let rule = rule(&host.text("/etc/login.defs")?, key);
    if rule.count == 0 {
        return impossible(format!("{key}_COUNT is 0 in /etc/login.defs, by which users are given none"));
    }
    let Some(start) = free(text, accounts, rule) else { return impossible(full(file, rule).to_string()) };
    *text = format!("{text}\n{}:{start}:{}", user.name, rule.count);
    Ok(Task::to_do(&name, ids(start, rule.count), Act::Range(Range { file, user, rule })))
}

fn ids(start: u64, count: u64) -> String {
    format!("{count} ids from {start} on")
}

fn rule(login_defs: &str, key: &str) -> Rule {
    let number = |what: &str, usual| setting(login_defs, &format!("{key}_{what}")).unwrap_or(usual);
    Rule { least: number("MIN", 100_000), most: number("MAX", 600_100_000), count: number("COUNT", 65_536) }
}

/// Another source than the files (nsswitch.conf(5), `subid`).
fn elsewhere(nsswitch: &str) -> Option<&str> {
    let line = nsswitch.lines().find_map(|line| line.trim().strip_prefix("subid:"))?;
    line.split_whitespace().next().filter(|source| *source != "files")
}

/// `(owner, start, count)` of each line (subuid(5)).
fn ranges(text: &str) -> impl Iterator<Item = (&str, u64, u64)> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let (owner, start, count) = (fields.next()?, number(fields.next()?)?, number(fields.next()?)?);
        (fields.next().is_none() && count > 0).then_some((owner, start, count))
    })
}

fn is_of(owner: &str, user: &User) -> bool {
    owner == user.name || owner == user.uid.to_string()
}

/// The ids that are somebody's own: who had one of them as a subordinate id would be that user. Those that come from
/// elsewhere than the machine's files are not known here, as they are not to `useradd`.
fn accounts_of(host: &Host<'_>, file: &str) -> Result<Vec<u64>> {
    let source = if file == "/etc/subgid" { "/etc/group" } else { "/etc/passwd" };
    let mut ids: Vec<u64> = accounts::ids(&host.text(source)?).collect();
    if file == "/etc/subgid" {
        // A user's group need not have a name.
        ids.extend(accounts::primary_groups(&host.text("/etc/passwd")?));
    }
    Ok(ids)
}

/// The first place that is long enough, whoever has what is around it.
fn free(text: &str, accounts: &[u64], rule: Rule) -> Option<u64> {
    let given = ranges(text).map(|(_, start, count)| (start, start.saturating_add(count)));
    let mut taken: Vec<(u64, u64)> = given.chain(accounts.iter().map(|id| (*id, id.saturating_add(1)))).collect();
    taken.sort_unstable();
    let mut place = rule.least;
    for (start, end) in taken {
        if start >= place.saturating_add(rule.count) {
            break;
        }
        place = place.max(end);
    }
    let last = place.checked_add(rule.count)? - 1;
    // The greatest number is no id: it stands for none.
    (last <= rule.most && last < u64::from(u32::MAX)).then_some(place)
}

fn full(file: &str, rule: Rule) -> Error {
    Error::new(Kind::LimitExceeded, "choose ids", file)
        .because(format!("no {} ids are free from {} to {}", rule.count, rule.least, rule.most))
        .hint("raise SUB_UID_MAX and SUB_GID_MAX in /etc/login.defs")
}

impl Range {
    /// Chooses the range and writes it, under the locks of the files of accounts; gives what was chosen.
    pub fn give(&self, host: &Host<'_>, record: &mut Record) -> Result<String> {
        let _lock = AccountsLock::take(host, self.file)?;
        let old = host.bytes(self.file)?;
        let text = String::from_utf8_lossy(old.as_deref().unwrap_or_default()).into_owned();
        if let Some((_, start, count)) = ranges(&text).find(|(owner, ..)| is_of(owner, &self.user)) {
            return Ok(ids(start, count));
        }
        let start = free(&text, &accounts_of(host, self.file)?, self.rule).ok_or_else(|| full(self.file, self.rule))?;
        let line = format!("{}:{start}:{}", self.user.name, self.rule.count);
        self.write(host, record, old, line)?;
        Ok(ids(start, self.rule.count))
    }

    fn write(&self, host: &Host<'_>, record: &mut Record, old: Option<Vec<u8>>, line: String) -> Result<()> {
        let item = Item::Range { file: self.file.into(), line: line.clone(), made: old.is_none() };
        record.note(host, item.clone())?;
        let done = write(host, self.file, &with(&old.unwrap_or_default(), &line));
        done.map_err(|e| match record.forget(host, &item) {
            Ok(()) => e,
            Err(left) => e.leaving(left.to_string()),
        })
    }
}

/// Beside it as `usermod` has it, so that what a kill has left is overwritten by whoever comes next.
fn write(host: &Host<'_>, file: &str, bytes: &[u8]) -> Result<()> {
    fs::replace_durably(&host.at(file), &host.at(&format!("{file}+")), bytes, 0o644)
}

/// A last line that has no end keeps none, so that all can be as it was.
fn with(text: &[u8], line: &str) -> Vec<u8> {
    match text.is_empty() || text.ends_with(b"\n") {
        true => [text, line.as_bytes(), b"\n"].concat(),
        false => [text, b"\n", line.as_bytes()].concat(),
    }
}

/// The reverse of [`with`]; `None` when the line is not there.
fn without(text: &[u8], line: &str) -> Option<Vec<u8>> {
    let mut lines: Vec<&[u8]> = text.split_inclusive(|byte| *byte == b'\n').collect();
    let at = lines.iter().rposition(|have| have.strip_suffix(b"\n").unwrap_or(have) == line.as_bytes())?;
    let had_an_end = lines.remove(at).ends_with(b"\n");
    let mut rest = lines.concat();
    if !had_an_end {
        rest.pop();
    }
    Some(rest)
}

/// What is noted and no longer there: who writes the same line after that has given it, as a `useradd` after a `userdel`.
pub(super) fn gone(host: &Host<'_>, record: &Record) -> Result<Vec<Item>> {
    let mut gone = Vec::new();
    for item in record.items() {
        if let Item::Range { file, line, .. } = item
            && without(&host.bytes(file)?.unwrap_or_default(), line).is_none()
        {
            gone.push(item.clone());
        }
    }
    Ok(gone)
}

/// Removes the line that was written, and the file where there was none.
pub(super) fn take_back(host: &Host<'_>, file: &str, line: &str, made: bool) -> Result<&'static str> {
    let _lock = AccountsLock::take(host, file)?;
    let text = host.bytes(file)?.unwrap_or_default();
    let Some(rest) = without(&text, line) else { return Ok("gone already") };
    is_free(host, file, line)?;
    match made && rest.is_empty() {
        true => fs::remove_durably(&host.at(file))?,
        false => write(host, file, &rest)?,
    }
    Ok("taken back")
}

/// Whoever is given the ids next would have what those processes make.
fn is_free(host: &Host<'_>, file: &str, line: &str) -> Result<()> {
    for (_, start, count) in ranges(line) {
        if let Some(process) = held::by(host, file, &(start..start.saturating_add(count)))? {
            return Err(Error::new(Kind::Conflict, "take back ids", format!("{line} in {file}"))
                .because(format!("process {process} has ids of it"))
                .hint("end the user's containers, and call again"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: Rule = Rule { least: 100_000, most: 600_100_000, count: 65_536 };

    #[test]
    fn the_next_free_place_is_the_first_that_is_long_enough() {
        assert_eq!(free("", &[], RULE), Some(100_000));
        assert_eq!(free("a:100000:65536\n", &[], RULE), Some(165_536));
        // Not sorted, with a gap that is too short and one that is not.
        let text = "c:400000:65536\na:100000:65536\n# b\nb:200000:65536\nbad:x:y\nnone:100000:0\n";
        assert_eq!(free(text, &[], RULE), Some(265_536));
        assert_eq!(free("a:90000:20000\n", &[], RULE), Some(110_000));
        assert_eq!(free("a:1:4294967295\n", &[], RULE), None);
        assert_eq!(free("a:1:18446744073709551615\n", &[], RULE), None);
        assert_eq!(free("a:100000:65536\n", &[], Rule { most: 200_000, ..RULE }), None);
    }

    #[test]
    fn a_line_goes_in_and_out_byte_for_byte() {
        for text in [&b""[..], b"a:1:2\n", b"a:1:2", b"\xff\xfe\n# x\n\na:1:2\n"] {
            let more = with(text, "b:3:4");
            assert_eq!(without(&more, "b:3:4").as_deref(), Some(text));
            assert_eq!(without(text, "b:3:4"), None);
        }
        assert_eq!(without(b"b:3:4\nb:3:45\n", "b:3:4").as_deref(), Some(&b"b:3:45\n"[..]));
    }

    #[test]
    fn settings_are_login_defs() {
        assert_eq!(rule("", "SUB_UID"), RULE);
        let text = "SUB_GID_MIN 200000\nSUB_GID_COUNT 1000\n";
        assert_eq!(rule(text, "SUB_GID"), Rule { least: 200_000, count: 1000, ..RULE });
        assert_eq!(elsewhere("passwd: files\nsubid: sss\n"), Some("sss"));
        assert_eq!(elsewhere("subid:  files\n"), None);
    }
}
