//! Limits in, cgroup directories and file writes out.

use serde::Serialize;

use super::devices;
use super::facts::Cgroups;
use super::launch::CgroupPlacement;
use super::rules::{self, Rule};
use crate::cgroup::Directory;
use crate::cgroup::devices::DeviceRule;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::spec::Limits;
use crate::store::containers;

/// `(file, value)`.
type Write = (String, String);

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
    /// Writes, and the option that each is for.
    #[serde(skip)]
    pub options: Vec<(Write, &'static str)>,
    /// Options without a write: of devices whose numbers were not needed.
    #[serde(skip)]
    pub unwritten: Vec<&'static str>,
}

/// Controllers that every container is put in, for its limits, statistics and freezing.
const PLACED_V1: [&str; 6] = ["memory", "cpu", "cpuacct", "pids", "freezer", "blkio"];
/// Where those are put to whom rules on devices apply.
const DEVICES: &str = "devices";

impl CgroupPlan {
    /// The limits that can't be enforced by a kernel that has nothing for these writes, and those that couldn't anyhow.
    pub fn unenforced(&self, lacking: &[Write]) -> Vec<String> {
        let lost =
            self.options.iter().filter(|(write, _)| lacking.contains(write)).map(|(_, option)| (*option).to_owned());
        let mut all: Vec<String> = self.unenforced.iter().cloned().chain(lost).collect();
        all.dedup();
        all
    }

    /// Forgets what is written for these options.
    pub fn without(mut self, options: &[String]) -> CgroupPlan {
        let forgotten =
            |write: &Write| self.options.iter().any(|(w, of)| w == write && options.iter().any(|o| o == of));
        self.dirs.iter_mut().for_each(|dir| dir.writes.retain(|write| !forgotten(write)));
        self
    }

    /// Rules on devices, from the first to the last; false where there is no cgroup that could hold anybody to them. Those
    /// that are not `needed` are left where the kernel refuses them.
    pub(super) fn rule_devices(
        &mut self,
        (rules, needed): (Vec<DeviceRule>, bool),
        limits: &Limits,
        id: &ContainerId,
        facts: &Cgroups,
    ) -> bool {
        match (&facts.v2, facts.v1.get(DEVICES)) {
            (Some(_), _) => {
                let dir = self.dirs.last_mut();
                dir.map(|dir| (dir.devices, dir.devices_may_lack) = (rules, !needed)).is_some()
            }
            (None, Some(base)) => {
                let path = below(base, limits, id);
                self.placement.v1.push(path.clone());
                let dir = add_dir(self, base, path);
                let write = |rule: &DeviceRule| devices::v1_write(rule);
                let writes = rules.iter().map(write).map(|(file, value)| (file.to_owned(), value)).collect();
                *if needed { &mut dir.writes } else { &mut dir.if_possible } = writes;
                true
            }
            (None, None) => false,
        }
    }

    /// Whether a device cgroup keeps the container from devices that it was not given.
    pub fn rules_devices(&self) -> bool {
        let of_v1 = |dir: &Directory| dir.writes.iter().any(|(file, _)| file.starts_with("devices."));
        self.dirs.iter().any(|dir| !dir.devices.is_empty() || of_v1(dir))
    }

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
    let rules = rules::rules(limits, &facts.block_devices)?;
    match &facts.v2 {
        Some(base) => place_v2(&mut plan, base, limits, id, &rules, facts),
        None => place_v1(&mut plan, limits, id, &rules, facts),
    }
    for rule in &rules {
        let told = rule.implied || plan.unenforced.iter().any(|option| option == rule.option);
        if !add_writes(&mut plan, rule, limits, id, facts) && !told {
            plan.unenforced.push(rule.option.to_owned());
        }
    }
    plan.dirs.iter_mut().for_each(|dir| dir.may_lack = limits.best_effort);
    match plan.unenforced.is_empty() || limits.best_effort {
        true => Ok(plan),
        false => Err(unenforceable(&rules, plan.unenforced, facts)),
    }
}

fn below(base: &str, limits: &Limits, id: &ContainerId) -> String {
    format!("{}/{}/{id}", base.trim_end_matches('/'), limits.parent.as_deref().unwrap_or("sampan"))
}

fn place_v2(plan: &mut CgroupPlan, base: &str, limits: &Limits, id: &ContainerId, rules: &[Rule], facts: &Cgroups) {
    let dir = below(base, limits, id);
    let wanted = ["memory", "cpu", "pids", "io"].into_iter().chain(rules.iter().map(Rule::controller_v2));
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
    let wanted = PLACED_V1.into_iter().chain(rules.iter().map(|r| r.controller));
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
fn add_writes(plan: &mut CgroupPlan, rule: &Rule, limits: &Limits, id: &ContainerId, facts: &Cgroups) -> bool {
    let v2 = facts.v2.as_ref().filter(|_| plan.enable.iter().any(|c| c == rule.controller_v2()));
    let (base, writes) = match (v2, &rule.v2, facts.v1.get(rule.controller)) {
        (Some(base), Some(writes), _) => (base, writes),
        (None, _, Some(base)) if facts.v2.is_none() => (base, &rule.v1),
        _ => return false,
    };
    let path = below(base, limits, id);
    let Some(dir) = plan.dirs.iter_mut().find(|d| d.path == path) else { return false };
    if writes.is_empty() {
        plan.unwritten.push(rule.option);
    }
    let writes = writes.iter().map(|(file, value)| ((*file).to_owned(), value.clone()));
    plan.options.extend(writes.clone().map(|write| (write, rule.option)));
    let to = if rule.implied { &mut dir.if_possible } else { &mut dir.writes };
    to.extend(writes);
    true
}

fn unenforceable(rules: &[Rule], options: Vec<String>, facts: &Cgroups) -> Error {
    let unknown = |option: &&String| facts.mode == "v2" && rules.iter().any(|r| r.option == **option && r.v2.is_none());
    let unknown: Vec<&str> = options.iter().filter(unknown).map(String::as_str).collect();
    if !unknown.is_empty() {
        return Error::new(Kind::UnenforceableLimit, "plan limits", unknown.join(", "))
            .because("this host's cgroups are those of version 2, which have no such setting")
            .hint("leave it out, or set best_effort to go on without");
    }
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
    use crate::spec::{DeviceLimit, OfDevice};

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

    /// Every limit there is, but for those of one version alone.
    fn every_limit() -> Limits {
        let device = |of, value| DeviceLimit { path: "/dev/sda".into(), of, value };
        let devices =
            [OfDevice::Weight, OfDevice::ReadBps, OfDevice::WriteBps, OfDevice::ReadIops, OfDevice::WriteIops];
        Limits {
            memory: Some(64 << 20),
            memory_reservation: Some(32 << 20),
            quota: Some(5000),
            period: Some(10_000),
            cpuset_cpus: Some("0".into()),
            cpuset_mems: Some("0".into()),
            pids: Some(32),
            blkio_weight: Some(300),
            devices: devices.into_iter().zip(100..).map(|(of, value)| device(of, value)).collect(),
            ..Limits::default()
        }
    }

    fn every_controller(mode: &str) -> Cgroups {
        let v1 = ["memory", "cpu", "cpuacct", "pids", "freezer", "cpuset", "blkio"];
        let block_devices = [("/dev/sda".to_string(), (8, 0))].into();
        let facts = Cgroups { mode: mode.into(), block_devices, ..Cgroups::default() };
        match mode {
            "v2" => Cgroups {
                v2: Some("/cg".into()),
                v2_controllers: ["memory", "cpu", "pids", "io", "cpuset"].map(String::from).to_vec(),
                ..facts
            },
            _ => Cgroups { v1: v1.map(|c| (c.to_string(), format!("/cg/{c}"))).into(), ..facts },
        }
    }

    #[test]
    fn every_limit_is_written_on_v1() {
        let only_v1 = Limits {
            swappiness: Some(0),
            oom_kill_disable: true,
            rt_runtime: Some(1000),
            rt_period: Some(20_000),
            ..every_limit()
        };
        insta::assert_json_snapshot!(plan(&only_v1, &id(), &every_controller("v1")).unwrap());
    }

    #[test]
    fn every_limit_is_written_on_v2() {
        insta::assert_json_snapshot!(plan(&every_limit(), &id(), &every_controller("v2")).unwrap());
    }

    #[test]
    fn what_v2_has_no_setting_for_is_refused_or_told() {
        let asked = Limits {
            swappiness: Some(0),
            oom_kill_disable: true,
            rt_runtime: Some(1000),
            pids: Some(9),
            ..Limits::default()
        };
        let facts = every_controller("v2");
        let error = plan(&asked, &id(), &facts).unwrap_err();
        let said = error.to_string();
        assert_eq!(error.kind(), Kind::UnenforceableLimit);
        assert!(said.contains("memory_swappiness, oom_kill_disable, cpu_rt_runtime: "), "{said}");
        assert!(said.contains("version 2, which have no such setting"), "{said}");
        let loose = plan(&Limits { best_effort: true, ..asked }, &id(), &facts).unwrap();
        assert_eq!(loose.unenforced, ["memory_swappiness", "oom_kill_disable", "cpu_rt_runtime"]);
        assert_eq!(loose.dirs[0].writes, [("pids.max".to_string(), "9".to_string())]);
    }

    #[test]
    fn without_numbers_devices_are_planned_but_not_written() {
        let facts = Cgroups { block_devices: [].into(), ..every_controller("v2") };
        let limits = Limits { devices: every_limit().devices, ..Limits::default() };
        let planned = plan(&limits, &id(), &facts).unwrap();
        assert!(planned.unenforced.is_empty() && planned.dirs[0].writes.is_empty());
        let none = Cgroups { v2_controllers: vec!["memory".into()], ..facts };
        let loose = plan(&Limits { best_effort: true, ..limits }, &id(), &none).unwrap();
        let options =
            ["blkio_weight_device", "device_read_bps", "device_write_bps", "device_read_iops", "device_write_iops"];
        assert_eq!(loose.unenforced, options);
    }

    #[test]
    fn what_the_kernel_lacks_is_told_by_its_option() {
        let facts = Cgroups { v1: [("blkio".into(), "/cg".into())].into(), ..Cgroups::default() };
        let limits = Limits { blkio_weight: Some(300), best_effort: true, ..Limits::default() };
        let plan = plan(&limits, &id(), &facts).unwrap();
        assert!(plan.dirs[0].may_lack && !plan.dirs[0].writes.is_empty());
        assert_eq!(plan.unenforced(&[("blkio.weight".into(), "300".into())]), ["blkio_weight"]);
        assert!(plan.unenforced(&[]).is_empty());
        assert!(plan.without(&["blkio_weight".into()]).dirs[0].writes.is_empty());
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
