//! `top`: a container's processes, seen from outside by their namespace or, where it has none of its own, by
//! their cgroup.

use std::path::Path;

use super::{Context, leftovers, list, placed, wait};
use crate::api::{ProcessInfo, Rung, Status};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::store::containers::Container;

const MOST: u64 = 1 << 20;

/// Lists a container's processes, the oldest first.
pub fn top(context: &Context, id: &ContainerId) -> Result<Vec<ProcessInfo>> {
    let container = list::load(context, id)?;
    let running = container.state.as_ref().filter(|_| container.status() == Status::Running);
    let (Some(state), Some(init)) = (running, wait::process(&container)?) else { return Err(not_running(&container)) };
    let boot = boot_time();
    let pids = pids(context, &container, state.pid)?;
    // As long as it lives, its number was not another's when its namespace was looked up.
    if !init.signal(0)? {
        return Err(not_running(&container));
    }
    // One that has ended between the listing and the look is not there, which is the truth.
    let mut found: Vec<ProcessInfo> = pids.into_iter().filter_map(|pid| process(pid, boot)).collect();
    found.sort_by_key(|p| p.pid);
    Ok(found)
}

fn not_running(container: &Container) -> Error {
    Error::new(Kind::Conflict, "list processes", container.record.name.as_str()).because(container.idle())
}

fn pids(context: &Context, container: &Container, init: i32) -> Result<Vec<i32>> {
    let namespace = |pid: i32| fs::read_link(Path::new(&format!("/proc/{pid}/ns/pid"))).ok().flatten();
    let theirs = namespace(init);
    let joined = container.record.spec.namespaces.joined.contains_key("pid");
    if !joined && theirs.is_some() && theirs != namespace(std::process::id() as i32) {
        return Ok(all()?.into_iter().filter(|pid| namespace(*pid) == theirs).collect());
    }
    if container.record.rung == Rung::Chroot {
        let tree = fs::identity(&context.paths.container(&container.record.id).tree()).ok();
        return Ok(all()?.into_iter().filter(|pid| leftovers::is_in(tree.as_deref(), *pid)).collect());
    }
    match placed::directories(&placed::of(context, container)?).first() {
        Some(dir) => Ok(crate::cgroup::members(dir)),
        None => Err(Error::new(Kind::Unsupported, "list processes", container.record.name.as_str())
            .because("it shares its process ids with others and has no cgroup to tell its own by")),
    }
}

fn all() -> Result<Vec<i32>> {
    Ok(fs::list(Path::new("/proc"))?.iter().filter_map(|name| name.to_str()?.parse().ok()).collect())
}

fn read(pid: i32, file: &str) -> Option<String> {
    let bytes = fs::read_bounded(Path::new(&format!("/proc/{pid}/{file}")), MOST).ok()?;
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn process(pid: i32, boot: i64) -> Option<ProcessInfo> {
    let (stat, status) = (read(pid, "stat")?, read(pid, "status")?);
    let (name, fields) = parse_stat(&stat)?;
    // Numbered as in proc(5), where the state is field 3.
    let number = |n: usize| fields.get(n - 3).and_then(|f| f.parse::<i64>().ok()).unwrap_or(0);
    let ticks = ticks_per_second();
    let began = jiff::Timestamp::from_second(boot + number(22) / ticks).ok()?;
    let arguments = read(pid, "cmdline")?.trim_end_matches('\0').replace('\0', " ");
    let uid = status.lines().find_map(|l| l.strip_prefix("Uid:")?.split_whitespace().next()?.parse().ok())?;
    let pages = read(pid, "statm")?.split_whitespace().nth(1)?.parse::<u64>().ok()?;
    Some(ProcessInfo {
        pid,
        ppid: number(4) as i32,
        uid,
        state: fields[0].to_owned(),
        tty: terminal(number(7) as u32),
        started_at: began.to_string(),
        cpu_seconds: (number(14) + number(15)) as f64 / ticks as f64,
        memory: pages * page_size(),
        command: if arguments.is_empty() { format!("[{name}]") } else { arguments },
    })
}

/// The name, and the fields behind it; the name may hold spaces and parentheses.
fn parse_stat(stat: &str) -> Option<(&str, Vec<&str>)> {
    let (head, tail) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = tail.split_ascii_whitespace().collect();
    (fields.len() > 20).then_some((head.split_once('(')?.1, fields))
}

/// Unix 98 terminals have the major numbers 136 to 143 (devices.txt of Linux).
fn terminal(device: u32) -> String {
    let (major, minor) = ((device >> 8) & 0xfff, (device & 0xff) | ((device >> 12) & 0xfff00));
    match major {
        0 => "?".to_owned(),
        136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
        4 => format!("tty{minor}"),
        _ => format!("{major}:{minor}"),
    }
}

fn boot_time() -> i64 {
    let stat = fs::read_bounded(Path::new("/proc/stat"), MOST).unwrap_or_default();
    let stat = String::from_utf8_lossy(&stat).into_owned();
    stat.lines().find_map(|l| l.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0)
}

fn ticks_per_second() -> i64 {
    // SAFETY: asks for a number by a number.
    unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1)
}

fn page_size() -> u64 {
    // SAFETY: as above.
    unsafe { libc::sysconf(libc::_SC_PAGESIZE) }.max(1) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_told_as_the_kernel_tells_it() {
        let me = process(std::process::id() as i32, boot_time()).unwrap();
        assert_eq!(me.uid, nix::unistd::getuid().as_raw());
        assert_eq!(me.ppid, nix::unistd::getppid().as_raw());
        assert!(me.memory > 4096 && me.command.contains("sampan"), "{me:?}");
        assert!(process(0, 0).is_none());
    }

    #[test]
    fn names_and_terminals_are_read() {
        let fields: Vec<String> = (3..=40).map(|n| n.to_string()).collect();
        let stat = format!("7 (a) b (c) {}", fields.join(" "));
        assert_eq!(
            parse_stat(&stat).map(|(name, fields)| (name.to_owned(), fields[0].to_owned())),
            Some(("a) b (c".into(), "3".into()))
        );
        assert_eq!(parse_stat("7 (x) S"), None);
        assert_eq!((terminal(0).as_str(), terminal(0x8803).as_str(), terminal(0x401).as_str()), ("?", "pts/3", "tty1"));
    }
}
