//! Devices: which of the host's a container is given, and the rules that a device cgroup holds it to
//! (cgroup-v1/devices.rst; cgroup-v2.rst, "Device controller").
//!
//! A node that is given to be read and written is bound, and needs no rule: no other node that the container may have works.
//! Rules are there for one that is given with less, and for those that the container makes itself.

use std::collections::BTreeMap;

use super::cgroup::CgroupPlan;
use super::facts::Facts;
use super::resolve::{invalid, normal};
use crate::api::{RunOptions, Rung};
use crate::capability;
use crate::cgroup::devices::{DeviceRule, MKNOD, READ, WRITE};
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::spec::{Seccomp, Spec};

/// Reading, writing and making.
pub const ALL: u32 = MKNOD | READ | WRITE;

/// Letters of `r`, `w` and `m`, each once at the most; `None` for others and for none.
pub fn access(letters: &str) -> Option<u32> {
    let bit = |letter| match letter {
        'r' => Some(READ),
        'w' => Some(WRITE),
        'm' => Some(MKNOD),
        _ => None,
    };
    let add = |bits: u32, letter| bit(letter).filter(|bit| bits & bit == 0).map(|bit| bits | bit);
    letters.chars().try_fold(0, add).filter(|bits| *bits != 0)
}

/// What every container may use, whatever the rules: its default devices, terminals, and making (not opening) others.
pub fn always() -> impl Iterator<Item = DeviceRule> {
    const NODES: [(u32, Option<u32>); 9] = [
        (1, Some(3)),
        (1, Some(5)),
        (1, Some(7)),
        (1, Some(8)),
        (1, Some(9)),
        (5, Some(0)),
        (5, Some(1)),
        (5, Some(2)),
        (136, None),
    ];
    let make = |block| DeviceRule { allow: true, block: Some(block), major: None, minor: None, access: MKNOD };
    let node = |(major, minor)| DeviceRule { allow: true, block: Some(false), major: Some(major), minor, access: ALL };
    [make(false), make(true)].into_iter().chain(NODES.into_iter().map(node))
}

/// A rule in the words of v1's files: the file, and what is written.
pub fn v1_write(rule: &DeviceRule) -> (&'static str, String) {
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let letters = [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')];
    let access: String = letters.iter().filter(|(bit, _)| rule.access & bit != 0).map(|(_, letter)| letter).collect();
    let value = match rule.block {
        None => "a".to_owned(),
        Some(block) => {
            let kind = if block { 'b' } else { 'c' };
            format!("{kind} {}:{} {access}", number(rule.major), number(rule.minor))
        }
    };
    (if rule.allow { "devices.allow" } else { "devices.deny" }, value)
}

/// The devices that are given: a node of the host, and where it is in the container.
pub fn given(options: &RunOptions) -> Result<Vec<(String, String)>> {
    options.devices.iter().map(|text| device(text).map(|(host, inside, _)| (host, inside))).collect()
}

/// What may be done with those of them that may not be read and written, by their place in the container.
pub fn restricted(options: &RunOptions) -> Result<BTreeMap<String, String>> {
    let parsed = options.devices.iter().map(|text| device(text)).collect::<Result<Vec<_>>>()?;
    let less = |letters: &str| !(letters.contains('r') && letters.contains('w'));
    Ok(parsed.into_iter().filter(|(.., letters)| less(letters)).map(|(_, inside, letters)| (inside, letters)).collect())
}

/// `HOST[:CONTAINER[:PERMISSIONS]]`.
fn device(text: &str) -> Result<(String, String, String)> {
    let parts: Vec<&str> = text.split(':').collect();
    let permissions = |p: &str| access(p).is_some();
    let (host, inside, allowed) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, allowed] if permissions(allowed) => (host, host, allowed),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, allowed] if permissions(allowed) => (host, inside, allowed),
        _ => return Err(invalid("devices", format!("{text:?} is not HOST[:CONTAINER[:rwm]]"))),
    };
    Ok((normal("devices", host)?, normal("devices", inside)?, allowed.to_owned()))
}

/// Checks the rules that are asked for.
pub fn asked(options: &RunOptions) -> Result<Vec<String>> {
    options.device_cgroup_rules.iter().map(|text| rule(text).map(|_| text.clone())).collect()
}

/// `c 42:* rwm`; `a` is both kinds.
fn rule(text: &str) -> Result<Vec<DeviceRule>> {
    let words: Vec<&str> = text.split(' ').collect();
    let numbers = |word: &str| word.split_once(':').map(|(major, minor)| (number(major), number(minor)));
    let parsed = match words[..] {
        [kind, at, letters] => kinds(kind).zip(numbers(at)).zip(access(letters)),
        _ => None,
    };
    match parsed {
        Some(((kinds, (Some(major), Some(minor))), access)) => Ok(kinds
            .iter()
            .map(|block| DeviceRule { allow: true, block: Some(*block), major, minor, access })
            .collect()),
        _ => Err(invalid("device_cgroup_rules", format!("{text:?} is not a rule such as 'c 42:* rwm'"))
            .hint("a, b or c, MAJOR:MINOR with * for any, then some of r, w and m, with one blank between")),
    }
}

/// Of block devices: yes, no, or both.
fn kinds(word: &str) -> Option<&'static [bool]> {
    match word {
        "b" => Some(&[true]),
        "c" => Some(&[false]),
        "a" => Some(&[false, true]),
        _ => None,
    }
}

/// A number, or any.
fn number(word: &str) -> Option<Option<u32>> {
    match word {
        "*" => Some(None),
        _ => word.bytes().all(|b| b.is_ascii_digit()).then(|| word.parse().ok()).flatten().map(Some),
    }
}

/// A device of the host that a container is given, by its number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it, or the directory that it is below, is in the container.
    pub inside: String,
    /// Block or character device.
    pub block: bool,
    /// Major and minor number.
    pub number: (u32, u32),
}

/// Whether a device cgroup is wanted. A privileged container may use everything, whatever was asked for, as in Docker.
pub fn are_ruled(spec: &Spec, facts: &Facts) -> bool {
    are_needed(spec, facts) || (!spec.privileged && could_be_opened(spec, facts))
}

/// And whether nothing is started without.
fn are_needed(spec: &Spec, facts: &Facts) -> bool {
    !spec.privileged && (are_asked(spec) || could_open(spec, facts))
}

fn are_asked(spec: &Spec) -> bool {
    !(spec.device_access.is_empty() && spec.device_rules.is_empty())
}

/// Who may mount can take `nodev` off a mount again (`MS_REMOUNT | MS_BIND`, mount(2)); within a user namespace that made
/// the mount's file system, no node works whatever the mount says. What has ids of its own has mounts that root has made
/// outside, and which are locked by nothing but its lack of capabilities.
fn could_open(spec: &Spec, facts: &Facts) -> bool {
    let mounts = capability::bit("SYS_ADMIN").unwrap_or(0);
    (spec.capabilities & mounts != 0 || spec.ids.is_some()) && is_hosts_root(facts)
}

/// What it runs itself may not mount; a command of `exec --privileged` may, unless the built-in filter is around it. It is
/// held where that can be had, as in Docker.
fn could_be_opened(spec: &Spec, facts: &Facts) -> bool {
    spec.seccomp != Seccomp::Default && is_hosts_root(facts)
}

fn is_hosts_root(facts: &Facts) -> bool {
    facts.rung == Rung::Root && !facts.in_user_namespace
}

fn rules(spec: &Spec, nodes: &[Node]) -> Result<Vec<DeviceRule>> {
    let nothing = DeviceRule { allow: false, block: None, major: None, minor: None, access: ALL };
    let of = |node: &Node| DeviceRule {
        allow: true,
        block: Some(node.block),
        major: Some(node.number.0),
        minor: Some(node.number.1),
        access: spec.device_access.get(&node.inside).and_then(|letters| access(letters)).unwrap_or(ALL),
    };
    let asked: Vec<Vec<DeviceRule>> = spec.device_rules.iter().map(|text| rule(text)).collect::<Result<_>>()?;
    let given = nodes.iter().map(of);
    Ok(std::iter::once(nothing).chain(given).chain(asked.into_iter().flatten()).chain(always()).collect())
}

/// Puts what a container may do with devices into the plan of its cgroups. `nodes` are those that it is given.
///
/// # Errors
/// `Unsupported` where there is no device cgroup to be had: access that was not given is not left to chance.
pub fn hold(plan: &mut CgroupPlan, spec: &Spec, nodes: &[Node], id: &ContainerId, facts: &Facts) -> Result<()> {
    if !are_ruled(spec, facts) {
        return Ok(());
    }
    let (rules, needed) = (rules(spec, nodes)?, are_needed(spec, facts));
    match is_hosts_root(facts) && plan.rule_devices((rules, needed), &spec.limits, id, &facts.cgroups) {
        true => Ok(()),
        false if !needed => Ok(()),
        false if spec.ids.is_some() && !are_asked(spec) => Err(Error::new(Kind::Unsupported, "rule devices", "userns")
            .because("a container with ids of its own is held to its devices by a device cgroup, and there is none to be had")
            .hint("mount the controller `devices`, or give --userns host")),
        false if !are_asked(spec) => Err(Error::new(Kind::Unsupported, "rule devices", spec.hostname.clone())
            .because("who has SYS_ADMIN can open every device but for a device cgroup, and there is none to be had")
            .hint("mount the controller `devices`, or run it privileged")),
        false => Err(Error::new(Kind::Unsupported, "rule devices", spec.hostname.clone())
            .because("what may be done with a device is ruled by a device cgroup, which the host's root alone can make")
            .hint("run as root, or give the device to be read and written")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::facts::Cgroups;

    #[test]
    fn devices_in_dockers_words() {
        let read = |text: &str| device(text).ok();
        let given = |a: &str, b: &str, c: &str| Some((a.to_owned(), b.to_owned(), c.to_owned()));
        assert_eq!(read("/dev/fuse"), given("/dev/fuse", "/dev/fuse", "rwm"));
        assert_eq!(read("/dev/fuse:rm"), given("/dev/fuse", "/dev/fuse", "rm"));
        assert_eq!(read("/dev/sdc:/dev/disk"), given("/dev/sdc", "/dev/disk", "rwm"));
        assert_eq!(read("/dev/sdc:/dev/disk:r"), given("/dev/sdc", "/dev/disk", "r"));
        for bad in ["", "fuse", "/dev/../etc", "/dev/sdc:/dev/disk:rr", "/dev/sdc:/dev/disk:x", "/a:/b:", "/a:/b:rw:c"]
        {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn rules_in_dockers_words() {
        let one = |text: &str| rule(text).unwrap().iter().map(|r| v1_write(r).1).collect::<Vec<_>>();
        assert_eq!(one("c 42:* mr"), ["c 42:* rm"]);
        assert_eq!(one("a *:* rwm"), ["c *:* rwm", "b *:* rwm"]);
        for bad in ["", "c", "c 1:3", "c 1 r", "d 1:3 r", "c 1:3 x", "c 1:3 rr", "c  1:3 r", "c -1:3 r", "c +1:3 r"] {
            assert!(rule(bad).unwrap_err().to_string().contains("device_cgroup_rules"), "{bad:?}");
        }
    }

    fn spec() -> Spec {
        let options = RunOptions {
            devices: vec!["/dev/sda:/dev/disk:r".into(), "/dev/fuse".into()],
            device_cgroup_rules: vec!["c 42:* rwm".into()],
            ..RunOptions::default()
        };
        Spec {
            devices: given(&options).unwrap(),
            device_access: restricted(&options).unwrap(),
            device_rules: asked(&options).unwrap(),
            ..Spec::default()
        }
    }

    fn held(spec: &Spec, facts: &Facts) -> Result<CgroupPlan> {
        let id = ContainerId::from_random([0xaa; 32]);
        let nodes = [
            Node { inside: "/dev/disk".into(), block: true, number: (8, 0) },
            Node { inside: "/dev/fuse".into(), block: false, number: (10, 229) },
        ];
        let mut plan = crate::plan::cgroup::plan(&spec.limits, &id, &facts.cgroups).unwrap();
        hold(&mut plan, spec, &nodes, &id, facts).map(|()| plan)
    }

    #[test]
    fn a_cgroup_of_the_first_version_is_written() {
        let v1 = ["pids", "devices"].map(|name| (name.to_owned(), format!("/cg/{name}"))).into();
        let facts = Facts { cgroups: Cgroups { v1, mode: "v1".into(), ..Cgroups::default() }, ..Facts::default() };
        insta::assert_json_snapshot!(held(&spec(), &facts).unwrap());
        // Who asks for nothing of the kind is in no such cgroup.
        assert!(!held(&Spec::default(), &facts).unwrap().placement.v1.iter().any(|dir| dir.contains("devices")));
        let mighty = Spec { privileged: true, ..spec() };
        assert!(!held(&mighty, &facts).unwrap().rules_devices());
    }

    #[test]
    fn a_cgroup_of_the_second_version_has_rules() {
        let cgroups = Cgroups { v2: Some("/cg".into()), mode: "v2".into(), ..Cgroups::default() };
        let plan = held(&spec(), &Facts { cgroups, ..Facts::default() }).unwrap();
        let words: Vec<String> = plan.dirs[0].devices.iter().take(4).map(|rule| v1_write(rule).1).collect();
        assert_eq!(words, ["a", "b 8:0 r", "c 10:229 rwm", "c 42:* rwm"]);
        assert!(plan.rules_devices() && !plan.dirs[0].devices[0].allow);
    }

    #[test]
    fn who_may_mount_is_held_to_its_devices() {
        let v1 = ["pids", "devices"].map(|name| (name.to_owned(), format!("/cg/{name}"))).into();
        let facts = Facts { cgroups: Cgroups { v1, mode: "v1".into(), ..Cgroups::default() }, ..Facts::default() };
        let mounts = Spec { capabilities: capability::bit("SYS_ADMIN").unwrap(), ..Spec::default() };
        assert!(held(&mounts, &facts).unwrap().rules_devices());
        assert!(!held(&Spec { privileged: true, ..mounts.clone() }, &facts).unwrap().rules_devices());
        assert_eq!(held(&mounts, &Facts::default()).unwrap_err().kind(), Kind::Unsupported);
        let own = Spec { ids: Some(crate::spec::Ids::default()), ..Spec::default() };
        assert!(held(&own, &facts).unwrap().rules_devices());
        let refused = held(&own, &Facts::default()).unwrap_err();
        assert!(refused.kind() == Kind::Unsupported && refused.to_string().contains("userns"), "{refused}");
        // Another's command could: it is held to them where that can be had.
        let unfiltered = Spec { seccomp: Seccomp::Unconfined, ..Spec::default() };
        let rules = held(&unfiltered, &facts).unwrap().dirs.pop().unwrap();
        assert!(rules.writes.is_empty() && rules.if_possible.len() > 9, "{rules:?}");
        assert!(held(&unfiltered, &Facts::default()).unwrap().dirs.is_empty());
        // Its namespace can't.
        let inside = Facts { rung: Rung::SubIds, ..Facts::default() };
        assert!(held(&mounts, &inside).is_ok());
    }

    #[test]
    fn without_a_device_cgroup_less_is_refused() {
        let cgroups = Cgroups { v2: Some("/cg".into()), mode: "v2".into(), ..Cgroups::default() };
        for facts in [
            Facts { rung: Rung::SubIds, cgroups: cgroups.clone(), ..Facts::default() },
            Facts { in_user_namespace: true, cgroups, ..Facts::default() },
            Facts::default(),
        ] {
            assert_eq!(held(&spec(), &facts).unwrap_err().kind(), Kind::Unsupported);
            let whole = Spec { device_access: BTreeMap::new(), device_rules: Vec::new(), ..spec() };
            assert!(held(&whole, &facts).is_ok());
        }
    }
}
