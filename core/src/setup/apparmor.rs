//! An AppArmor profile, where the kernel gives user namespaces only to programs that have one for it (Ubuntu since 23.10).
//!
//! It says `unconfined` and nothing else than `userns`, as those of the distribution's own for such programs: what a
//! container may do is held by the container.

use std::path::Path;

use super::host::Host;
use super::place::{Found, Place, Then, taken};
use super::profiles::{self, Profile};
use super::record::Record;
use super::{Act, State, Task};
use crate::error::Result;
use crate::fs;

const SWITCH: &str = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns";
const DIR: &str = "/etc/apparmor.d";
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";

pub(super) fn task(host: &Host<'_>, record: &Record, program: &Path) -> Result<Task> {
    let program = program.to_string_lossy().into_owned();
    let name = format!("AppArmor profile for {program}");
    let task = |state, detail: &str| Ok(Task::new(&name, state, detail));
    if host.kernel(SWITCH).trim() != "1" {
        return task(State::NotNeeded, "this kernel does not keep user namespaces for programs with a profile");
    }
    let place = place(&program);
    let found = place.look(host, record)?;
    if let Some((state, said)) = given_by_others(host, &place, found, &program)? {
        return task(state, &said);
    }
    if let Some(why) = impossible(host, &program)? {
        return task(State::Impossible, &why);
    }
    let detail = format!("{} gives it user namespaces", place.path);
    match found {
        Found::Same if is_loaded(host, &profile_name(&program)) => task(State::Done, &detail),
        Found::Others => task(State::Impossible, &taken(&place.path).to_string()),
        Found::Changed => task(State::Done, &format!("{}, as somebody has changed it", place.path)),
        _ => Ok(Task::to_do(&name, detail, Act::Place(place))),
    }
}

fn impossible(host: &Host<'_>, program: &str) -> Result<Option<String>> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    if !program.starts_with('/') || !program.chars().all(plain) {
        return Ok(Some("its path has characters that mean something else in a profile; install it elsewhere".into()));
    }
    if let Some(why) = host.replaceable(program)? {
        return Ok(Some(why));
    }
    Ok(match (host.program("apparmor_parser"), host.has("/etc/apparmor.d/abi/4.0")) {
        (None, _) => Some("apparmor_parser is not installed, which loads it; apt install apparmor".into()),
        (_, false) => Some("AppArmor here is older than 4.0, and knows no rule for user namespaces".into()),
        _ => None,
    })
}

/// Where there are several, each is named for its program.
fn place(program: &str) -> Place {
    let name = profile_name(program);
    let text = format!(
        "# Lets this program make user namespaces, and confines it in nothing. Written by `sampan setup`, taken back by\n\
         # `sampan setup --remove`; what is to be added goes into local/{name}.\n\
         abi <abi/4.0>,\n\
         include <tunables/global>\n\
         \n\
         profile {name} {program} flags=(unconfined) {{\n\
         \x20 userns,\n\
         \n\
         \x20 include if exists <local/{name}>\n\
         }}\n"
    );
    Place { path: format!("{DIR}/{name}"), bytes: text.into_bytes(), mode: 0o644, then: Then::Profile }
}

fn profile_name(program: &str) -> String {
    format!("sampan{}", program.replace('/', "."))
}

/// Whether the kernel has a profile of this name. Where it can't be asked, it is taken to have it.
pub(super) fn is_loaded(host: &Host<'_>, name: &str) -> bool {
    match host.bytes(LOADED) {
        Ok(Some(list)) => String::from_utf8_lossy(&list).lines().any(|line| line.split(" (").next() == Some(name)),
        _ => true,
    }
}

/// What a profile for this program in a file that is not ours makes of the step: the distribution's, or the administrator's.
/// One of ours beside it would leave the kernel with two, of which it takes none.
fn given_by_others(host: &Host<'_>, place: &Place, found: Found, program: &str) -> Result<Option<(State, String)>> {
    let is_ours = matches!(found, Found::Same | Found::Older | Found::Changed);
    for name in fs::list(&host.at(DIR))? {
        let path = format!("{DIR}/{}", name.to_string_lossy());
        if (is_ours && path == place.path) || !fs::is_regular(&host.at(&path)) {
            continue;
        }
        if let Some(profile) = profiles::attached(&host.kernel(&path), program).first() {
            return Ok(Some(judged(host, &path, profile)));
        }
    }
    Ok(None)
}

fn judged(host: &Host<'_>, path: &str, profile: &Profile) -> (State, String) {
    let name = &profile.name;
    match profile.gives_userns {
        false => (
            State::Impossible,
            format!(
                "{path} has the profile {name} for it, which gives no user namespaces; add `userns,` to it and load it"
            ),
        ),
        true if !is_loaded(host, name) => {
            (State::Impossible, format!("the profile {name} for it in {path} is not loaded; apparmor_parser -r {path}"))
        }
        true => (State::Done, format!("is in {path}")),
    }
}
