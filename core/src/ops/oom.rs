//! What to say of what the kernel killed for want of memory.

use super::{Context, logs};
use crate::id::ContainerId;
use crate::store::containers::Oom;

/// Docker's code for a container whose first process was killed, and a shell's for a child that was.
const KILLED: i32 = 137;
/// The last lines that are told, and how much of each.
const LINES: usize = 3;
const WIDTH: usize = 200;

/// A sentence on what ended with this code: what was killed, why, and the cure. `None` when nothing was.
pub(super) fn sentence(what: &str, code: i32, oom: &Oom) -> Option<String> {
    let killed = match (oom.kills, code) {
        (0, _) => return None,
        (_, KILLED) => format!("{what} was killed for memory"),
        (1, _) => format!("a process of {what} was killed for memory"),
        (n, _) => format!("{n} processes of {what} were killed for memory"),
    };
    Some(format!("{killed}: {}", reason(oom)))
}

fn reason(oom: &Oom) -> String {
    const ELSEWHERE: &str = "the host, or a cgroup above its own, ran out of memory; free memory there";
    let peak =
        if oom.peak > 0 { format!("peak {}", size(oom.peak)) } else { "its peak is not counted here".to_owned() };
    match (oom.limit, oom.hits) {
        (0, _) => format!("it has no limit ({peak}), so {ELSEWHERE}, or give it a limit (--memory)"),
        (limit, 0) => format!("it has not met its limit of {} ({peak}), so {ELSEWHERE}", size(limit)),
        (limit, hits) => format!("its limit is {} ({peak}, met {}); raise it (--memory)", size(limit), times(hits)),
    }
}

fn times(n: u64) -> String {
    if n == 1 { "once".to_owned() } else { format!("{n} times") }
}

/// In the units in which limits are given.
fn size(bytes: u64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let unit = (0..units.len()).rev().find(|unit| bytes >> (10 * unit) > 0).unwrap_or(0);
    let tenths = (u128::from(bytes) * 10) >> (10 * unit);
    match tenths % 10 {
        0 => format!("{} {}", tenths / 10, units[unit]),
        tenth => format!("{}.{tenth} {}", tenths / 10, units[unit]),
    }
}

/// The sentence with the last lines of what was written, which often tell what wanted the memory.
pub(super) fn with_lines(sentence: String, written: &[u8]) -> String {
    let text = String::from_utf8_lossy(written);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let last = &lines[lines.len().saturating_sub(LINES)..];
    let quoted: Vec<String> = last.iter().map(|line| format!("{:?}", cut(line))).collect();
    match quoted.is_empty() {
        true => sentence,
        false => format!("{sentence}; its last lines: {}", quoted.join(", ")),
    }
}

fn cut(line: &str) -> String {
    line.chars().take(WIDTH).collect()
}

/// The same from a container's log; as it is when there is none any more.
pub(super) fn with_log(context: &Context, id: &ContainerId, sentence: String) -> String {
    let written = logs::last_bytes(&context.paths.container(id).log()).unwrap_or_default();
    with_lines(sentence, &written)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn the_limit_is_told_with_the_cure() {
        let oom = Oom { kills: 1, limit: 64 * MIB, peak: 64 * MIB, hits: 12 };
        let told = sentence("container db", 137, &oom).unwrap();
        assert_eq!(
            told,
            "container db was killed for memory: its limit is 64 MiB (peak 64 MiB, met 12 times); raise it (--memory)"
        );
        let child = sentence("container db", 1, &Oom { kills: 2, hits: 1, peak: 0, ..oom }).unwrap();
        assert!(child.starts_with("2 processes of container db were killed for memory: its limit is 64 MiB (its peak is not counted here, met once)"), "{child}");
    }

    #[test]
    fn what_was_no_limits_fault_is_not_blamed_on_it() {
        let host = sentence("container db", 137, &Oom { kills: 1, limit: 0, peak: MIB, hits: 0 }).unwrap();
        assert!(host.contains("it has no limit (peak 1 MiB), so the host"), "{host}");
        let host = sentence("container db", 137, &Oom { kills: 1, limit: 64 * MIB, peak: MIB, hits: 0 }).unwrap();
        assert!(host.contains("has not met its limit of 64 MiB"), "{host}");
        assert_eq!(sentence("container db", 137, &Oom::default()), None);
    }

    #[test]
    fn lines_are_the_last_ones_and_bounded() {
        let long = "x".repeat(5000);
        let text = format!("one\ntwo\n\nthree\n  \n{long}\nb\"\x1b\nlast");
        let told = with_lines("said".into(), text.as_bytes());
        assert!(told.ends_with("x\", \"b\\\"\\u{1b}\", \"last\"") && told.len() < 300, "{told}");
        assert_eq!(with_lines("said".into(), b"\n\n"), "said");
    }

    #[test]
    fn sizes_are_in_the_units_of_limits() {
        let all = [0, 1023, 1024, 1536 * 1024, 64 * MIB, 5 << 40].map(size);
        assert_eq!(all, ["0 bytes", "1023 bytes", "1 KiB", "1.5 MiB", "64 MiB", "5 TiB"]);
    }
}
