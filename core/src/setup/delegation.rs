//! Cgroups for the sessions of all users, where systemd makes them: it hands down cpu, memory and pids at most unless it is
//! told.

use super::host::Host;
use super::place::{Found, Place, Then, taken};
use super::record::Record;
use super::{Act, State, Task};
use crate::cgroup::{DELEGATED, hierarchies};
use crate::error::Result;
use crate::fs;

const NAME: &str = "cgroup controllers for users by systemd";
/// A name of our own: `delegate.conf`, which most manuals use, is whoever's who has followed them, and settings add up.
const PATH: &str = "/etc/systemd/system/user@.service.d/sampan-delegate.conf";
/// Where drop-ins of a template unit are (systemd.unit(5)).
const UNITS: [&str; 4] =
    ["/etc/systemd/system", "/run/systemd/system", "/usr/local/lib/systemd/system", "/usr/lib/systemd/system"];

pub(super) fn task(host: &Host<'_>, record: &Record) -> Result<Task> {
    let task = |state, detail: &str| Ok(Task::new(NAME, state, detail));
    if !host.systemd_runs() && !["/usr/lib", "/lib"].iter().any(|lib| host.has(&format!("{lib}/systemd/systemd"))) {
        return task(State::NotNeeded, "there is no systemd here");
    }
    let mode = hierarchies(&host.kernel("/proc/self/mountinfo")).mode;
    if !["v2", "none"].contains(&mode) {
        return task(
            State::NotNeeded,
            &format!("the controllers are on cgroup {mode}, where systemd gives users none"),
        );
    }
    if let Some(other) = given_by_others(host)? {
        return task(State::Done, &format!("{} are handed down by {other}", DELEGATED.join(" ")));
    }
    let detail = format!("{PATH} hands down {}; it holds from a user's next login on", DELEGATED.join(" "));
    let place = place();
    match place.look(host, record)? {
        Found::Same => task(State::Done, &detail),
        Found::Changed => task(State::Done, &format!("{PATH}, as somebody has changed it")),
        Found::Others => task(State::Impossible, &taken(PATH).to_string()),
        Found::Nothing | Found::Older => Ok(Task::to_do(NAME, detail, Act::Place(place))),
    }
}

fn place() -> Place {
    let text = format!(
        "# Written by `sampan setup`, taken back by `sampan setup --remove`.\n[Service]\nDelegate={}\n",
        DELEGATED.join(" ")
    );
    Place { path: PATH.into(), bytes: text.into_bytes(), mode: 0o644, then: Then::Unit }
}

/// A drop-in that hands down all of them already.
fn given_by_others(host: &Host<'_>) -> Result<Option<String>> {
    for dir in UNITS.map(|units| format!("{units}/user@.service.d")) {
        for name in fs::list(&host.at(&dir))? {
            let path = format!("{dir}/{}", name.to_string_lossy());
            if path.ends_with(".conf") && path != PATH && hands_down_all(&host.kernel(&path)) {
                return Ok(Some(path));
            }
        }
    }
    Ok(None)
}

/// Settings add up, an empty one takes back those before, and `yes` stands for every controller (systemd.resource-control(5)).
fn hands_down_all(unit: &str) -> bool {
    let mut given: Vec<&str> = Vec::new();
    for value in unit.lines().filter_map(|line| line.trim().strip_prefix("Delegate=")) {
        match value.trim() {
            "" | "no" | "false" | "off" | "0" => given.clear(),
            "yes" | "true" | "on" | "1" => given.extend(DELEGATED),
            list => given.extend(list.split_whitespace()),
        }
    }
    DELEGATED.iter().all(|controller| given.contains(controller))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_handed_down_adds_up() {
        for (text, all) in [
            ("[Service]\nDelegate=yes\n", true),
            ("[Service]\nDelegate=memory pids\nDelegate=cpu cpuset io\n", true),
            ("[Service]\nDelegate=yes\nDelegate=\n", false),
            ("[Service]\nDelegate=memory pids\n", false),
            ("[Service]\n#Delegate=yes\n", false),
        ] {
            assert_eq!(hands_down_all(text), all, "{text}");
        }
        assert!(hands_down_all(&String::from_utf8(place().bytes).unwrap()));
    }
}
