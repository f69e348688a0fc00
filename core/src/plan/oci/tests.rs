use oci_spec::runtime::Spec;
use serde_json::{Value, json};

use super::{BundlePlan, Groups, Request, groups, plan};
use crate::error::{Kind, Result};
use crate::plan::facts::{AppArmor, Cgroups, Facts, SeLinux};
use crate::plan::launch::MountSource;

fn facts(mode: &str) -> Facts {
    let v1 = ["memory", "cpu", "cpuacct", "pids", "freezer", "devices", "cpuset", "blkio"];
    let cgroups = match mode {
        "v2" => Cgroups {
            mode: "v2".into(),
            v2: Some("/cg".into()),
            v2_controllers: vec!["memory".into()],
            ..Cgroups::default()
        },
        _ => Cgroups {
            mode: "v1".into(),
            v1: v1.map(|c| (c.to_owned(), format!("/cg/{c}"))).into(),
            ..Cgroups::default()
        },
    };
    Facts { cgroups, kernel: (6, 1), capabilities: u64::MAX, ..Facts::default() }
}

fn base() -> Value {
    json!({
        "ociVersion": "1.3.0",
        "process": {"user": {"uid": 1, "gid": 2, "additionalGids": [3]}, "args": ["sh"], "cwd": "/", "env": ["A=b"]},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "network", "path": "/proc/1/ns/net"}]},
    })
}

/// The base with some members in the place of its own.
fn with(changes: Value) -> Value {
    let mut whole = base();
    merge(&mut whole, changes);
    whole
}

fn merge(into: &mut Value, changes: Value) {
    match (into, changes) {
        (Value::Object(into), Value::Object(changes)) => {
            changes.into_iter().for_each(|(key, value)| merge(into.entry(key).or_insert(Value::Null), value));
        }
        (into, changes) => *into = changes,
    }
}

fn grouped(config: Value, mode: &str) -> Result<Groups> {
    groups(&serde_json::from_value::<Spec>(config).unwrap(), "one", &facts(mode), None)
}

fn planned(config: Value) -> Result<BundlePlan> {
    let spec: Spec = serde_json::from_value(config).unwrap();
    let facts = facts("v1");
    let groups = groups(&spec, "one", &facts, None)?;
    plan(&spec, &Request { id: "one", bundle: "/bundle", facts: &facts, groups: &groups })
}

#[test]
fn the_example_configuration() {
    insta::assert_json_snapshot!(planned(crate::oci::example(false)).unwrap());
}

#[test]
fn what_can_not_be_done_is_refused_by_its_field() {
    let refused = |changes: Value, kind: Kind, field: &str| {
        let error = planned(with(changes)).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(field), "{error}");
    };
    let (invalid, unsupported) = (Kind::InvalidArgument, Kind::Unsupported);
    refused(json!({"ociVersion": "2.0.0"}), invalid, "ociVersion");
    refused(json!({"process": {"args": []}}), invalid, "process.args");
    refused(json!({"process": {"cwd": "relative"}}), invalid, "process.cwd");
    refused(json!({"process": {"env": ["novalue"]}}), invalid, "novalue");
    refused(json!({"process": {"oomScoreAdj": 2000}}), invalid, "process.oomScoreAdj");
    refused(json!({"process": {"apparmorProfile": "mine"}}), unsupported, "process.apparmorProfile");
    refused(json!({"process": {"apparmorProfile": "mine\nother"}}), invalid, "process.apparmorProfile");
    refused(json!({"process": {"selinuxLabel": "u:r:t"}}), unsupported, "process.selinuxLabel");
    refused(json!({"process": {"selinuxLabel": "mine"}}), invalid, "process.selinuxLabel");
    refused(json!({"linux": {"mountLabel": "u:r:t"}}), unsupported, "linux.mountLabel");
    let map = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    for mount in [json!([]), json!([{"type": "mount", "path": "/mnt"}])] {
        let more = |one: Value| Value::Array(mount.as_array().unwrap().iter().cloned().chain([one]).collect());
        let new = json!({"namespaces": more(json!({"type": "user"})), "uidMappings": map, "gidMappings": map});
        refused(json!({ "linux": new }), unsupported, "linux.namespaces");
        let joined = json!({"namespaces": more(json!({"type": "user", "path": "/user"}))});
        refused(json!({ "linux": joined }), unsupported, "linux.namespaces");
        let shared = json!({"namespaces": mount, "rootfsPropagation": "shared"});
        refused(json!({ "linux": shared }), unsupported, "linux.rootfsPropagation");
        let confined = json!({"linux": {"namespaces": mount}, "process": {"apparmorProfile": "mine"}});
        refused(confined, unsupported, "process.apparmorProfile: \"mine\" would let nothing");
        let hooks = json!({"createContainer": [{"path": "/bin/true"}]});
        let hooked = planned(with(json!({"linux": {"namespaces": mount}, "hooks": hooks})));
        assert_eq!(hooked.is_err(), mount != json!([]), "{hooked:?}");
        let private = json!({"namespaces": mount, "rootfsPropagation": "rprivate"});
        assert_ne!(planned(with(json!({ "linux": private }))).unwrap().mount, crate::plan::launch::Namespace::New);
    }
    refused(json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}, {"type": "pid"}]}}), invalid, "twice");
    refused(json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "user"}]}}), invalid, "linux.uidMappings");
    refused(json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "ipc", "path": "ns"}]}}), invalid, "ipc");
    refused(json!({"linux": {"intelRdt": {}}}), unsupported, "linux.intelRdt");
    refused(json!({"hostname": "mine"}), invalid, "hostname");
    refused(
        json!({"linux": {"uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}}),
        invalid,
        "linux.uidMappings",
    );
    for key in ["vm.swappiness", "kernel.shmmax", "fs/mqueue/msg_max", "kernel.hostname", "net/../vm/swappiness"] {
        let named = format!("linux.sysctl.{key}");
        refused(json!({"linux": {"sysctl": { (key): "1" }}}), invalid, &named);
    }
    refused(json!({"linux": {"rootfsPropagation": "sideways"}}), invalid, "linux.rootfsPropagation");
    refused(json!({"linux": {"cgroupsPath": "/a/../../b"}}), invalid, "linux.cgroupsPath");
    let devices = |devices: Value| json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "network"}], "netDevices": devices}});
    refused(devices(json!({"eth0": {"name": "a/b"}})), invalid, "linux.netDevices.eth0");
    refused(devices(json!({"eth0": {}, "eth1": {"name": "eth0"}})), invalid, "linux.netDevices.eth1");
    refused(
        json!({"linux": {"namespaces": [{"type": "mount"}], "netDevices": {"eth0": {}}}}),
        invalid,
        "linux.netDevices",
    );
    refused(
        json!({"linux": {"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "one"}}}),
        invalid,
        "linux.memoryPolicy.nodes",
    );
    let seccomp = |changes: Value| {
        let mut whole = json!({"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/listener"});
        merge(&mut whole, changes);
        json!({"linux": {"seccomp": whole}})
    };
    let flags = json!({"flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]});
    refused(seccomp(flags), invalid, "linux.seccomp.flags");
    refused(seccomp(json!({"defaultAction": "SCMP_ACT_NOTIFY"})), invalid, "linux.seccomp.defaultAction");
    let notify = json!([{"names": ["mkdir"], "action": "SCMP_ACT_NOTIFY"}]);
    refused(seccomp(json!({"listenerPath": "", "syscalls": notify})), invalid, "linux.seccomp.listenerPath");
    let time = json!({"namespaces": [{"type": "mount"}, {"type": "time"}], "timeOffsets": {"realtime": {"secs": 1}}});
    refused(json!({"linux": time}), invalid, "linux.timeOffsets.realtime");
    refused(json!({"linux": {"timeOffsets": {"boottime": {"secs": 1}}}}), invalid, "linux.timeOffsets");
    let mount = |members: Value| {
        let mut whole = json!({"destination": "/a", "source": "/b"});
        merge(&mut whole, members);
        json!({"mounts": [whole]})
    };
    let map = json!([{"containerID": 0, "hostID": 1, "size": 1}]);
    refused(mount(json!({"options": ["bind", "tmpcopyup"]})), invalid, "mounts[0].options");
    refused(mount(json!({"options": ["bind", "sync"]})), unsupported, "mounts[0].options[1]");
    refused(mount(json!({"options": ["bind", "idmap"]})), invalid, "mounts[0].options");
    refused(mount(json!({"options": ["bind"], "uidMappings": map})), invalid, "mounts[0].uidMappings");
    let tmpfs = json!({"type": "tmpfs", "uidMappings": map, "gidMappings": map});
    refused(mount(tmpfs), unsupported, "mounts[0].uidMappings");
    let scheduler = |members: Value| json!({"process": {"scheduler": members}});
    refused(scheduler(json!({"policy": "SCHED_ISO"})), unsupported, "process.scheduler.policy");
    refused(scheduler(json!({"policy": "SCHED_OTHER", "nice": 20})), invalid, "process.scheduler.nice");
    refused(scheduler(json!({"policy": "SCHED_OTHER", "priority": 1})), invalid, "process.scheduler.priority");
    refused(scheduler(json!({"policy": "SCHED_RR", "runtime": 1})), invalid, "process.scheduler.runtime");
    let priority = json!({"process": {"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}});
    refused(priority, invalid, "process.ioPriority.priority");
    let cpus = json!({"process": {"execCPUAffinity": {"final": "3-1"}}});
    refused(cpus, invalid, "process.execCPUAffinity.final");
    refused(json!({"linux": {"resources": {"unified": {"memory.high": "1"}}}}), invalid, "linux.resources.unified");
    refused(json!({"mounts": [{"destination": "/a", "type": "bind"}]}), invalid, "mounts[0].source");
    refused(json!({"hooks": {"poststop": [{"path": "relative"}]}}), invalid, "hooks.poststop[0].path");
}

#[test]
fn what_this_process_lacks_is_not_given_on() {
    let (most, kill) = (["CAP_KILL", "CAP_SYS_ADMIN"], ["CAP_KILL"]);
    let sets = json!({"process": {"capabilities": {"bounding": most, "effective": kill, "permitted": kill}}});
    let spec: Spec = serde_json::from_value(with(sets)).unwrap();
    let (kill, few) = (1 << 5, Facts { capabilities: 1 << 5, ..facts("v1") });
    let given = |facts: &Facts| super::process(spec.process().as_ref().unwrap(), &spec, facts).unwrap().capabilities;
    assert_eq!((given(&few).bounding, given(&few).effective), (kill, kill));
    assert_eq!(given(&facts("v1")).bounding, kill | 1 << 21);
}

#[test]
fn what_docker_writes_as_0_is_not_asked_for() {
    let resources = json!({"linux": {"resources": {
        "memory": {"limit": 0, "swap": 0, "swappiness": 0}, "blockIO": {"weight": 0},
        "cpu": {"shares": 0, "quota": 0, "period": 0, "cpus": "0"}}}});
    let writes = grouped(with(resources), "v1").unwrap().dirs.into_iter().flat_map(|dir| dir.writes);
    let mut files: Vec<String> = writes.map(|(file, _)| file).collect();
    files.sort_unstable();
    assert_eq!(files, ["cpuset.cpus", "memory.swappiness"]);
}

#[test]
fn words_of_mounts() {
    let mount = |kind: &str, options: Value| {
        let mounts = json!([{"destination": "/m", "type": kind, "source": "src", "options": options}]);
        planned(with(json!({ "mounts": mounts }))).unwrap().launch.mounts.remove(0)
    };
    let bind = mount("bind", json!(["rbind", "rro", "nosuid", "rslave"]));
    assert_eq!((bind.attributes, bind.below, bind.propagation), (2, (1, 0), libc::MS_SLAVE));
    let tmpfs = mount("tmpfs", json!(["ro", "noexec", "size=1m", "mode=700"]));
    assert_eq!((tmpfs.attributes, tmpfs.below), (9, (0, 0)));
    assert_eq!(format!("{:?}", tmpfs.source).matches("size").count(), 1);
}

#[test]
fn the_hosts_dev_is_left_as_it_is() {
    let dev = |kind: &str, options: Value| {
        let mounts = json!([{"destination": "/dev", "type": kind, "source": "/dev", "options": options}]);
        planned(with(json!({ "mounts": mounts }))).unwrap().devices.len()
    };
    assert_eq!((dev("tmpfs", json!([])), dev("bind", json!(["rbind"])), dev("none", json!(["rbind"]))), (6, 0, 0));
}

#[test]
fn limits_in_the_words_of_either_version() {
    let resources = json!({"linux": {"resources": {
        "memory": {"limit": 100, "swap": 150, "reservation": 50},
        "cpu": {"shares": 1024, "quota": 5000, "period": 10000, "cpus": "0"},
        "pids": {"limit": -1},
        "blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 9}]},
        "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 10, "access": "rw"}]}}});
    let writes = |mode| {
        let groups = grouped(with(resources.clone()), mode).unwrap();
        groups
            .dirs
            .into_iter()
            .flat_map(|dir| dir.writes)
            .map(|(file, value)| format!("{file} {value}"))
            .collect::<Vec<_>>()
    };
    let rules = grouped(with(resources.clone()), "v2").unwrap().dirs.remove(0).devices;
    assert_eq!((rules.len(), rules[0].allow, rules[0].block, rules[1].major), (13, false, None, Some(10)));
    insta::assert_json_snapshot!([("v1", writes("v1")), ("v2", writes("v2"))]);
}

#[test]
fn flags_of_a_filter_are_the_kernels() {
    let flags = ["SECCOMP_FILTER_FLAG_TSYNC", "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW"];
    let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "flags": flags});
    assert_eq!(planned(with(json!({"linux": {"seccomp": seccomp}}))).unwrap().launch.process.seccomp_flags, 6);
}

#[test]
fn ambient_capabilities_are_inheritable_and_permitted_ones() {
    let sets = |sets: Value| planned(with(json!({"process": {"capabilities": sets}})));
    let of = |value| sets(value).unwrap().launch.process.capabilities;
    let some = json!(["CAP_CHOWN", "CAP_KILL"]);
    let given = of(json!({"permitted": some, "ambient": some}));
    assert_eq!((given.permitted, given.ambient, given.inheritable), (0x21, 0, 0));
    assert_eq!(of(json!({"permitted": ["CAP_KILL"], "inheritable": some, "ambient": some})).ambient, 0x20);
    let told = sets(json!({"permitted": ["CAP_KILL"], "effective": some})).unwrap_err().to_string();
    assert!(told.contains("process.capabilities.effective: CAP_CHOWN"), "{told}");
}

#[test]
fn values_that_can_not_be_are_told_before_anything_is_made() {
    for (changes, field) in [
        (json!({"process": {"user": {"uid": u32::MAX}}}), "process.user.uid"),
        (json!({"hooks": {"poststop": [{"path": "/a", "timeout": 0}]}}), "hooks.poststop[0].timeout"),
        (json!({"mounts": [{"destination": "/a/..", "type": "tmpfs"}]}), "mounts[0].destination"),
    ] {
        let told = planned(with(changes)).unwrap_err().to_string();
        assert!(told.contains(field), "{field}: {told}");
    }
}

#[test]
fn of_words_of_a_mount_that_contradict_each_other_the_last_holds() {
    let step = |options: &[&str]| {
        let mount = json!({"destination": "/a", "source": "/b", "options": options});
        planned(with(json!({"mounts": [mount]}))).unwrap().launch.mounts.remove(0)
    };
    let plain = step(&["bind", "ro", "nosuid", "rw"]);
    assert_eq!((plain.attributes, plain.cleared, plain.below), (2, 1, (0, 0)));
    let below = step(&["rbind", "rrw", "rnoexec", "rro", "rexec", "rnoatime"]);
    assert_eq!((below.attributes, below.cleared, below.below), (0, 0, (1 | 0x10, 8 | 0x70)));
    // A new one has nothing that could be taken away.
    let mount = json!({"destination": "/a", "type": "tmpfs", "options": ["rw", "noexec"]});
    let new = planned(with(json!({"mounts": [mount]}))).unwrap().launch.mounts.remove(0);
    assert_eq!((new.attributes, new.cleared), (8, 0));
}

#[test]
fn a_destination_is_where_its_words_lead() {
    let at = |destination: &str| {
        let mount = json!({"destination": destination, "source": "/b", "options": ["bind"]});
        planned(with(json!({"mounts": [mount]}))).map(|plan| plan.launch.mounts[0].target.clone())
    };
    assert_eq!(at("/a//b/./c/../").unwrap(), "/a/b");
    assert_eq!(at("a/../../../b").unwrap(), "/b");
    for over in ["/dev/../proc/self", "proc/./sys", "/../proc//1/.."] {
        assert!(at(over).unwrap_err().to_string().contains("over /proc"), "{over}");
    }
}

#[test]
fn labels_are_those_of_the_process_and_of_what_is_mounted_for_it() {
    let config = with(json!({
        "process": {"apparmorProfile": "mine", "selinuxLabel": "u:r:box_t:s0:c1,c2"},
        "mounts": [
            {"destination": "/proc", "type": "proc"}, {"destination": "/tmp", "type": "tmpfs", "options": ["size=1m"]},
            {"destination": "/dev/mqueue", "type": "mqueue"}, {"destination": "/sys/fs/cgroup", "type": "cgroup"},
        ],
        "linux": {"mountLabel": "u:r:file_t:s0:c1,c2"},
    }));
    let spec: Spec = serde_json::from_value(config).unwrap();
    let facts = Facts { apparmor: AppArmor::Prepared, selinux: SeLinux::Unprepared(String::new()), ..facts("v1") };
    let groups = groups(&spec, "one", &facts, None).unwrap();
    let plan = plan(&spec, &Request { id: "one", bundle: "/bundle", facts: &facts, groups: &groups }).unwrap().launch;
    let process = (plan.process.apparmor.as_deref(), plan.process.selinux.as_deref());
    assert_eq!(process, (Some("mine"), Some("u:r:box_t:s0:c1,c2")));
    assert_eq!(plan.mount_label.as_deref(), Some("u:r:file_t:s0:c1,c2"));
    let mut named = Vec::new();
    for mount in &plan.mounts {
        let MountSource::Fs { options, .. } = &mount.source else { continue };
        let label = options.iter().find(|(key, _)| key == "context").map(|(_, label)| label.as_str());
        named.push((mount.target.as_str(), label));
    }
    let label = Some("u:r:file_t:s0:c1,c2");
    assert_eq!(named, [("/proc", None), ("/tmp", label), ("/dev/mqueue", label), ("/sys/fs/cgroup", label)]);
}
