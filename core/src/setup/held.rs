//! Who has ids of a range now: what a process is made of it, and what it gives those in its user namespace.

use std::collections::BTreeSet;
use std::ops::Range;

use super::host::Host;
use crate::error::Result;
use crate::fs;

/// Of user ids or of group ids: the lines of `/proc/PID/status` that have some, and the file with the map of its namespace.
struct Kind {
    lines: &'static [&'static str],
    map: &'static str,
}

const USERS: Kind = Kind { lines: &["Uid:"], map: "uid_map" };
const GROUPS: Kind = Kind { lines: &["Gid:", "Groups:"], map: "gid_map" };

/// The number of one that has some of a file's ids; `None` where nobody has.
pub(super) fn by(host: &Host<'_>, file: &str, ids: &Range<u64>) -> Result<Option<u32>> {
    let kind = if file == "/etc/subgid" { GROUPS } else { USERS };
    let ours = host.kernel(&format!("/proc/self/{}", kind.map));
    let names = fs::list(&host.at("/proc"))?;
    let mut processes = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    Ok(processes.find(|process| {
        let [map, status] = [kind.map, "status"].map(|name| host.kernel(&format!("/proc/{process}/{name}")));
        // That of the machine's own namespace has every id, and gives nobody any.
        !has_ended(&status) && ((map != ours && gives(&map, ids)) || has(&status, &kind, ids))
    }))
}

/// What processes are given by namespaces other than ours, from `start` to before `end`. Ids that are the same inside and
/// outside are nobody's own.
pub(super) fn all(host: &Host<'_>, file: &str) -> Result<BTreeSet<(u64, u64)>> {
    let map = if file == "/etc/subgid" { GROUPS.map } else { USERS.map };
    let ours = host.kernel(&format!("/proc/self/{map}"));
    let names = fs::list(&host.at("/proc"))?;
    let processes = names.iter().filter_map(|name| name.to_str()?.parse::<u32>().ok());
    let maps: BTreeSet<String> = processes.map(|process| host.kernel(&format!("/proc/{process}/{map}"))).collect();
    let given = |line: &str| match numbers(line).collect::<Vec<_>>()[..] {
        [inside, outside, count] if inside != outside => Some((outside, outside.saturating_add(count))),
        _ => None,
    };
    Ok(maps.iter().filter(|map| **map != ours).flat_map(|map| map.lines().filter_map(given)).collect())
}

/// Only its parent has not asked for it yet.
fn has_ended(status: &str) -> bool {
    status.lines().any(|line| line.starts_with("State:\tZ") || line.starts_with("State:\tX"))
}

fn has(status: &str, kind: &Kind, ids: &Range<u64>) -> bool {
    let mut lines = status.lines().filter(|line| kind.lines.iter().any(|start| line.starts_with(start)));
    lines.any(|line| numbers(line).any(|id| ids.contains(&id)))
}

/// Each line has the first id inside, the first outside, and how many (user_namespaces(7)).
fn gives(map: &str, ids: &Range<u64>) -> bool {
    map.lines().any(|line| match numbers(line).collect::<Vec<_>>()[..] {
        [_, outside, count] => outside < ids.end && ids.start < outside.saturating_add(count),
        _ => false,
    })
}

fn numbers(line: &str) -> impl Iterator<Item = u64> {
    line.split_whitespace().filter_map(|word| word.parse().ok())
}
