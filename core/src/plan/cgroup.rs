//! Limits in, cgroup directories and file writes out.

use serde::Serialize;

use super::facts::Cgroups;
use super::launch::CgroupPlacement;
use crate::cgroup::Directory;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::spec::Limits;
use crate::store::containers;

/// What `cgroup` does before the launch, and what the shim does with the result.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupPlan {
    /// Directories to make, with their parents and their limits.
    pub dirs: Vec<Directory>,
    /// v2: controllers to enable along the way down.
    pub enable: Vec<String>,
    /// For the shim.
    pub placement: CgroupPlacement,
    /// Limits that were asked for and can't be enforced, with `best_effort`.
    pub unenforced: Vec<String>,
}

/// Controllers that every container is put in, for its limits, statistics and freezing.
const PLACED_V1: [&str; 5] = ["memory", "cpu", "cpuacct", "pids", "freezer"];
const CPU_PERIOD: &str = "100000";

/// One limit, on both versions.
struct Rule {
    option: &'static str,
    controller: &'static str,
    v1: (&'static str, String),
    v2: (&'static str, String),
    /// Nobody asked for it: not told where it can't be had.
    implied: bool,
}

fn rules(limits: &Limits) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut rule = |option, controller, v1: (&'static str, String), v2: (&'static str, String)| {
        rules.push(Rule { option, controller, v1, v2, implied: option == IMPLIED_SWAP })
    };
    if let Some(bytes) = limits.memory {
        rule("memory", "memory", ("memory.limit_in_bytes", bytes.to_string()), ("memory.max", bytes.to_string()));
    }
    if let Some((option, total)) = swap(limits) {
        // v2 counts swap alone.
        let alone = if total < 0 { "max".into() } else { (total - limits.memory.unwrap_or(0)).max(0).to_string() };
        rule(option, "memory", ("memory.memsw.limit_in_bytes", total.to_string()), ("memory.swap.max", alone));
    }
    if let Some(bytes) = limits.memory_reservation {
        let value = bytes.to_string();
        rule("memory_reservation", "memory", ("memory.soft_limit_in_bytes", value.clone()), ("memory.low", value));
    }
    if let Some(quota) = limits.cpu_quota {
        rule("cpus", "cpu", ("cpu.cfs_quota_us", quota.to_string()), ("cpu.max", format!("{quota} {CPU_PERIOD}")));
    }
    if let Some(shares) = limits.cpu_shares {
        let weight = weight(shares).to_string();
        rule("cpu_shares", "cpu", ("cpu.shares", shares.to_string()), ("cpu.weight", weight));
    }
    if let Some(list) = &limits.cpuset_cpus {
        rule("cpuset_cpus", "cpuset", ("cpuset.cpus", list.clone()), ("cpuset.cpus", list.clone()));
    }
    if let Some(most) = limits.pids {
        rule("pids_limit", "pids", ("pids.max", most.to_string()), ("pids.max", most.to_string()));
    }
    rules
}

/// v2's weight for v1's shares: the curve through both scales' least, usual and most (2, 1024 and 262144 are 1, 100
/// and 10000), as runc and crun have it since 2025. The straight line before made 39 of what is usual.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        3..=262_143 => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
        _ => 10_000,
    }
}

const IMPLIED_SWAP: &str = "memory_swap by default";

/// Memory and swap together. As in Docker, a limit of memory alone lets as much again be swapped out: without
/// it, what does not fit would be swapped without end.
fn swap(limits: &Limits) -> Option<(&'static str, i64)> {
    let twice = limits.memory.and_then(|memory| memory.checked_mul(2));
    limits.memory_swap.map(|total| ("memory_swap", total)).or(twice.map(|total| (IMPLIED_SWAP, total)))
}

impl CgroupPlan {
    /// Where the container's processes will be, controller by controller.
    pub fn groups(&self, facts: &Cgroups) -> containers::Cgroups {
        let of = |base: &String| {
            let base = format!("{}/", base.trim_end_matches('/'));
            self.placement.v1.iter().find(|dir| dir.starts_with(&base)).cloned()
        };
        let v1 = facts.v1.iter().filter_map(|(name, base)| Some((name.clone(), of(base)?))).collect();
        containers::Cgroups { v1, v2: self.placement.v2.clone() }
    }
}

/// Plans the cgroups of one container.
pub fn plan(limits: &Limits, id: &ContainerId, facts: &Cgroups) -> Result<CgroupPlan> {
    let mut plan = CgroupPlan::default();
    let rules = rules(limits);
    match &facts.v2 {
        Some(base) => place_v2(&mut plan, base, limits, id, &rules, facts),
        None => place_v1(&mut plan, limits, id, &rules, facts),
    }
    for rule in &rules {
        if !add_write(&mut plan, rule, limits, id, facts) && !rule.implied {
            plan.unenforced.push(rule.option.to_owned());
        }
    }
    match plan.unenforced.is_empty() || limits.best_effort {
        true => Ok(plan),
        false => Err(unenforceable(&plan.unenforced, facts)),
    }
}

fn below(base: &str, limits: &Limits, id: &ContainerId) -> String {
    format!("{}/{}/{id}", base.trim_end_matches('/'), limits.parent.as_deref().unwrap_or("sampan"))
}

fn place_v2(plan: &mut CgroupPlan, base: &str, limits: &Limits, id: &ContainerId, rules: &[Rule], facts: &Cgroups) {
    let dir = below(base, limits, id);
    let wanted = ["memory", "cpu", "pids", "io"].into_iter().chain(rules.iter().map(|r| r.controller));
    for controller in wanted.filter(|c| facts.v2_controllers.iter().any(|have| have == c)) {
        if !plan.enable.iter().any(|e| e == controller) {
            plan.enable.push(controller.to_owned());
        }
    }
    plan.placement.v2 = Some(dir.clone());
    if plan.enable.iter().any(|c| c == "memory") {
        plan.placement.oom = Some(format!("{dir}/memory.events"));
    }
    add_dir(plan, base, dir);
}

fn place_v1(plan: &mut CgroupPlan, limits: &Limits, id: &ContainerId, rules: &[Rule], facts: &Cgroups) {
    let wanted = PLACED_V1.into_iter().chain(rules.iter().map(|r| r.controller).filter(|c| *c == "cpuset"));
    for controller in wanted {
        let Some(base) = facts.v1.get(controller) else { continue };
        let dir = below(base, limits, id);
        // cpu and cpuacct are one directory on most systems.
        if plan.placement.v1.contains(&dir) {
            continue;
        }
        if controller == "memory" {
            plan.placement.oom = Some(format!("{dir}/memory.oom_control"));
        }
        plan.placement.v1.push(dir.clone());
        add_dir(plan, base, dir).inherits_cpuset = controller == "cpuset";
    }
}

fn add_dir<'a>(plan: &'a mut CgroupPlan, base: &str, path: String) -> &'a mut Directory {
    plan.placement.remove.push(path.clone());
    plan.dirs.push(Directory { path, base: base.trim_end_matches('/').to_owned(), ..Directory::default() });
    plan.dirs.last_mut().expect("one was just pushed")
}

/// False when no cgroup can enforce the rule.
fn add_write(plan: &mut CgroupPlan, rule: &Rule, limits: &Limits, id: &ContainerId, facts: &Cgroups) -> bool {
    let v2 = facts.v2.as_ref().filter(|_| plan.enable.iter().any(|c| c == rule.controller));
    let (base, (file, value)) = match (v2, facts.v1.get(rule.controller)) {
        (Some(base), _) => (base, &rule.v2),
        (None, Some(base)) if facts.v2.is_none() => (base, &rule.v1),
        _ => return false,
    };
    let path = below(base, limits, id);
    let Some(dir) = plan.dirs.iter_mut().find(|d| d.path == path) else { return false };
    if *file == "cpu.cfs_quota_us" {
        dir.writes.push(("cpu.cfs_period_us".into(), CPU_PERIOD.into()));
    }
    let writes = if rule.implied { &mut dir.if_possible } else { &mut dir.writes };
    writes.push((file.to_string(), value.clone()));
    true
}

fn unenforceable(options: &[String], facts: &Cgroups) -> Error {
    let error = Error::new(Kind::UnenforceableLimit, "plan limits", options.join(", "));
    if !facts.v2_crowded.is_empty() {
        return error
            .because(format!(
                "processes are in {} itself, so it can't hand {} down (no internal process rule)",
                facts.v2.as_deref().unwrap_or_default(),
                facts.v2_crowded.join(", ")
            ))
            .hint("move them into a cgroup below it first, or set best_effort to go on without");
    }
    let hint = match facts.mode.as_str() {
        "v2" => {
            "have the controllers delegated to this user (a systemd user session does it, or `sampan setup` by root), or set best_effort"
        }
        _ => "run as root, or have root run `sampan setup --user` for this user, or set best_effort to go on without",
    };
    error.because("this host gives no writable cgroup with the controller that enforces it").hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id() -> ContainerId {
        ContainerId::from_random([0xaa; 32])
    }

    fn limits() -> Limits {
        Limits { memory: Some(64 << 20), cpu_quota: Some(50_000), pids: Some(32), ..Limits::default() }
    }

    #[test]
    fn v1_places_and_limits_each_hierarchy() {
        let v1 = ["memory", "cpu", "cpuacct", "pids", "freezer"].map(|c| (c.to_string(), format!("/cg/{c}")));
        let facts = Cgroups { mode: "hybrid".into(), v1: v1.into(), ..Cgroups::default() };
        insta::assert_json_snapshot!(plan(&limits(), &id(), &facts).unwrap());
    }

    #[test]
    fn v2_enables_controllers_and_counts_swap_alone() {
        let controllers = ["memory", "cpu", "pids", "hugetlb"].map(String::from).to_vec();
        let facts =
            Cgroups { mode: "v2".into(), v2: Some("/cg".into()), v2_controllers: controllers, ..Cgroups::default() };
        let limits = Limits { memory_swap: Some(96 << 20), cpu_shares: Some(1024), ..limits() };
        insta::assert_json_snapshot!(plan(&limits, &id(), &facts).unwrap());
    }

    #[test]
    fn shares_become_weights_as_in_runc() {
        let pairs =
            [(0, 1), (2, 1), (3, 2), (10, 4), (100, 17), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000)];
        for (shares, expected) in pairs {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    #[test]
    fn controllers_are_told_by_their_directories() {
        let v1 = [
            ("cpu", "/cg/cpu,cpuacct"),
            ("cpuacct", "/cg/cpu,cpuacct"),
            ("cpuset", "/cg/cpuset"),
            ("memory", "/cg/memory/"),
        ];
        let v1 = v1.map(|(c, base)| (c.to_string(), base.to_string())).into();
        let facts = Cgroups { mode: "hybrid".into(), v1, ..Cgroups::default() };
        let groups = plan(&Limits::default(), &id(), &facts).unwrap().groups(&facts);
        let told: Vec<(&str, &str)> = groups.v1.iter().map(|(c, dir)| (c.as_str(), dir.as_str())).collect();
        let dir = |base: &str| format!("{base}/sampan/{}", id());
        let expected =
            [("cpu", dir("/cg/cpu,cpuacct")), ("cpuacct", dir("/cg/cpu,cpuacct")), ("memory", dir("/cg/memory"))];
        assert!(told.iter().copied().eq(expected.iter().map(|(c, dir)| (*c, dir.as_str()))), "{told:?}");
    }

    #[test]
    fn swap_is_as_much_again_unless_it_is_said() {
        let facts = Cgroups { v2: Some("/cg".into()), v2_controllers: vec!["memory".into()], ..Cgroups::default() };
        let planned = |memory, memory_swap| {
            let limits = Limits { memory, memory_swap, ..Limits::default() };
            let dir = plan(&limits, &id(), &facts).unwrap().dirs.remove(0);
            let swap = |writes: Vec<(String, String)>| writes.into_iter().find(|w| w.0 == "memory.swap.max");
            (swap(dir.writes).map(|w| w.1), swap(dir.if_possible).map(|w| w.1))
        };
        let mib = |n: i64| Some(n << 20);
        assert_eq!(planned(mib(64), None), (None, Some((64 << 20).to_string())));
        assert_eq!(planned(mib(64), mib(96)), (Some((32 << 20).to_string()), None));
        assert_eq!(planned(mib(64), Some(-1)), (Some("max".into()), None));
        assert_eq!(planned(Some(i64::MAX), None), (None, None));
        assert_eq!(planned(None, None), (None, None));
    }

    #[test]
    fn a_crowded_cgroup_is_told() {
        let facts = Cgroups {
            mode: "v2".into(),
            v2: Some("/cg".into()),
            v2_controllers: vec!["pids".into()],
            v2_crowded: vec!["memory".into(), "cpu".into()],
            ..Cgroups::default()
        };
        let error = plan(&limits(), &id(), &facts).unwrap_err();
        assert!(
            error.to_string().contains("processes are in /cg itself, so it can't hand memory, cpu down"),
            "{error}"
        );
        assert_eq!(plan(&Limits { pids: Some(9), ..Limits::default() }, &id(), &facts).unwrap().enable, ["pids"]);
    }

    #[test]
    fn what_cannot_be_enforced_is_an_error_or_is_listed() {
        let facts = Cgroups { mode: "v1".into(), ..Cgroups::default() };
        let error = plan(&limits(), &id(), &facts).unwrap_err();
        assert_eq!(error.kind(), Kind::UnenforceableLimit);
        let loose = plan(&Limits { best_effort: true, ..limits() }, &id(), &facts).unwrap();
        assert_eq!(loose.unenforced, ["memory", "cpus", "pids_limit"]);
        assert!(loose.dirs.is_empty());
    }
}
