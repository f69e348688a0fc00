//! Every limit that can be asked for, read back from the kernel; what can't be had, and what is there afterwards.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::path::{Path, PathBuf};

use common::{Host, cgroups, command, text};
use sampan::{
    Cancel, Container, CopyOptions, DeviceRate, DeviceWeight, Kind, Quiet, RemoveOptions, RunOptions, Status, Stdio,
    StopOptions, UpdateOptions,
};

fn gone(host: &Host, container: &Container) {
    let trees = trees(container.id());
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
    assert!(trees.iter().all(|dir| !dir.exists()), "{trees:?}");
}

/// The directories of this name in the cgroup trees.
fn trees(id: &str) -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|l| l.contains(" - cgroup")).filter_map(|l| l.split(' ').nth(4));
    points.map(|point| Path::new(point).join("sampan").join(id)).filter(|dir| dir.exists()).collect()
}

/// What a file of the container's cgroup of that controller, or of its v2 one, holds; `None` where there is no such file.
fn held(host: &Host, container: &Container, controller: &str, v1: &str, v2: &str) -> Option<String> {
    let state = host.dir.path().join("root/containers").join(container.id()).join("state.json");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    let path = match state["cgroups"]["v2"].as_str() {
        Some(dir) => format!("{dir}/{v2}"),
        None => format!("{}/{v1}", state["cgroups"]["v1"][controller].as_str()?),
    };
    std::fs::read_to_string(path).ok().map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// A whole disk of this machine by a node of our own, and its number; `None` where it has none.
fn disk(host: &Host) -> Option<(String, String)> {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let entry = std::fs::read_dir("/sys/block").ok()?.flatten().next()?;
    let number = std::fs::read_to_string(entry.path().join("dev")).unwrap().trim().to_owned();
    let (major, minor) = number.split_once(':').unwrap();
    let node = host.dir.path().join("disk");
    let device = makedev(major.parse().unwrap(), minor.parse().unwrap());
    mknod(&node, SFlag::S_IFBLK, Mode::from_bits_truncate(0o600), device).ok()?;
    Some((node.display().to_string(), number))
}

fn rate(path: &str, rate: u64) -> Vec<DeviceRate> {
    vec![DeviceRate { path: path.into(), rate }]
}

fn sleeping() -> RunOptions {
    command(&["sleep", "1000"])
}

#[test]
fn the_speed_of_a_disk_is_limited() {
    let host = Host::new();
    let Some((node, number)) = disk(&host).filter(|_| cgroups::has_block_io()) else { return };
    let container = host
        .spawn(RunOptions {
            device_read_bps: rate(&node, 1 << 20),
            device_write_bps: rate(&node, 2 << 20),
            device_read_iops: rate(&node, 100),
            device_write_iops: rate(&node, 4_294_967_295),
            ..sleeping()
        })
        .unwrap();
    let of = |v1: &str| held(&host, &container, "blkio", &format!("blkio.throttle.{v1}"), "io.max").unwrap();
    match of("read_bps_device") {
        v2 if v2.contains("rbps") => {
            // As many operations as can be counted are no limit.
            assert_eq!(v2, format!("{number} rbps=1048576 wbps=2097152 riops=100 wiops=max"));
        }
        v1 => {
            assert_eq!(v1, format!("{number} 1048576"));
            assert_eq!(of("write_bps_device"), format!("{number} 2097152"));
            assert_eq!(of("read_iops_device"), format!("{number} 100"));
        }
    }
    gone(&host, &container);
}

#[test]
fn weights_of_disks_are_kept_or_told() {
    let host = Host::new();
    let Some((node, number)) = disk(&host).filter(|_| cgroups::has_block_io()) else { return };
    let by_default = RunOptions { best_effort: true, blkio_weight: Some(300), ..sleeping() };
    let container = host.spawn(by_default).unwrap();
    let weight = |v2| held(&host, &container, "blkio", "blkio.bfq.weight", v2);
    let found = [weight("io.bfq.weight"), weight("io.weight")].into_iter().flatten().next();
    let unenforced = container.inspect().unwrap().unenforced;
    match &found {
        Some(value) => assert!(["300", "default 300", "default 2930"].contains(&value.as_str()), "{value}"),
        None => assert_eq!(unenforced, ["blkio_weight"]),
    }
    assert_eq!(unenforced.is_empty(), found.is_some());
    gone(&host, &container);
    let device = vec![DeviceWeight { path: node, weight: 200 }];
    let refused = host.spawn(RunOptions { blkio_weight_device: device.clone(), ..sleeping() });
    let loose = host.spawn(RunOptions { blkio_weight_device: device, best_effort: true, ..sleeping() }).unwrap();
    match refused {
        // The disk's scheduler is such a one.
        Ok(container) => {
            assert_eq!(loose.inspect().unwrap().unenforced, Vec::<String>::new());
            container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
        }
        Err(error) => {
            assert_eq!(error.kind(), Kind::UnenforceableLimit, "{error}");
            let said = error.to_string();
            assert!(said.contains(&format!("device {number} keeps no weights")) || found.is_none(), "{said}");
            assert_eq!(loose.inspect().unwrap().unenforced, ["blkio_weight_device"]);
        }
    }
    // A start looks again, and finds the same.
    let before = loose.inspect().unwrap().unenforced;
    loose.restart(&StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
    loose.update(&UpdateOptions { pids_limit: Some(50), ..Default::default() }).unwrap();
    assert_eq!(loose.inspect().unwrap().unenforced, before);
    gone(&host, &loose);
}

#[test]
fn a_disk_that_is_gone_is_told_at_the_start() {
    let host = Host::new();
    let Some((node, _)) = disk(&host).filter(|_| cgroups::has_block_io()) else { return };
    let options = RunOptions { device_read_bps: rate(&node, 1 << 20), ..sleeping() };
    let container = host.engine.create(&options, &mut Quiet, &Cancel::new()).unwrap();
    std::fs::remove_file(&node).unwrap();
    let error = container.start(&Stdio::default(), &Cancel::new()).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains(&node), "{error}");
    assert_eq!((container.inspect().unwrap().status, trees(container.id()).len()), (Status::Created, 0));
    // What needs no disk goes on without it.
    container.update(&UpdateOptions { pids_limit: Some(50), ..Default::default() }).unwrap();
    let to = host.dir.path().join("passwd").display().to_string();
    container.copy_from("/etc/passwd", &to, &CopyOptions::default(), &Cancel::new()).unwrap();
    std::fs::write(&node, "").unwrap();
    let error = container.start(&Stdio::default(), &Cancel::new()).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("no block device"), "{error}");
    gone(&host, &container);
}

/// A node whose disk is gone, or never was: the number is that of no disk.
#[test]
fn a_node_without_a_disk_is_told_and_nothing_is_left() {
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    let host = Host::new();
    let node = host.dir.path().join("no-disk");
    let made = mknod(&node, SFlag::S_IFBLK, Mode::from_bits_truncate(0o600), makedev(4095, 77));
    if made.is_err() || !cgroups::has_block_io() {
        return;
    }
    let node = node.display().to_string();
    for best_effort in [false, true] {
        let error = host.run(RunOptions { device_read_bps: rate(&node, 1), best_effort, ..sleeping() }).unwrap_err();
        let said = error.to_string();
        assert!(error.kind() == Kind::InvalidArgument && said.contains("4095:77") && said.contains("gone"), "{said}");
        assert_eq!(host.left(), Vec::<String>::new());
    }
}

#[test]
fn processors_are_limited_in_the_kernel_s_words_before_and_after_changes() {
    if !cgroups::can_limit() {
        return;
    }
    let host = Host::new();
    let quota = RunOptions { cpu_quota: Some(5000), cpu_period: Some(10_000), ..sleeping() };
    let container = host.spawn(quota).unwrap();
    let time = || {
        let of = |v1| held(&host, &container, "cpu", v1, "cpu.max").unwrap();
        let (quota, period) = (of("cpu.cfs_quota_us"), of("cpu.cfs_period_us"));
        if quota.contains(' ') { quota } else { format!("{quota} {period}").replace("-1 ", "max ") }
    };
    assert_eq!(time(), "5000 10000");
    let error = container.update(&UpdateOptions { cpus: Some(1.0), ..Default::default() }).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("cpus"), "{error}");
    container.update(&UpdateOptions { cpu_quota: Some(40_000), ..Default::default() }).unwrap();
    assert_eq!(time(), "40000 10000");
    container.restart(&StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
    assert_eq!(time(), "40000 10000");
    container.stop(&StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
    container.update(&UpdateOptions { cpu_period: Some(20_000), ..Default::default() }).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(time(), "40000 20000");
    container.update(&UpdateOptions { cpu_quota: Some(-1), cpu_period: Some(0), ..Default::default() }).unwrap();
    assert_eq!(time(), "max 100000");
    container.update(&UpdateOptions { cpus: Some(0.5), ..Default::default() }).unwrap();
    assert_eq!(time(), "50000 100000");
    assert_eq!(container.inspect().unwrap().options.cpu_quota, Some(-1));
    gone(&host, &container);
}

#[test]
fn nodes_of_memory_are_the_host_s() {
    if !cgroups::can_limit() {
        return;
    }
    let host = Host::new();
    let container = host.spawn(RunOptions { cpuset_mems: Some("0".into()), ..sleeping() }).unwrap();
    assert_eq!(held(&host, &container, "cpuset", "cpuset.mems", "cpuset.mems").as_deref(), Some("0"));
    container.update(&UpdateOptions { cpuset_cpus: Some("0".into()), ..Default::default() }).unwrap();
    assert_eq!(held(&host, &container, "cpuset", "cpuset.cpus", "cpuset.cpus").as_deref(), Some("0"));
    let error = container.update(&UpdateOptions { cpuset_mems: Some("999".into()), ..Default::default() }).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("999"), "{error}");
    assert_eq!(held(&host, &container, "cpuset", "cpuset.mems", "cpuset.mems").as_deref(), Some("0"));
    gone(&host, &container);
}

/// cgroup v1's own: on v2 each is refused, or listed.
#[test]
fn what_only_v1_has() {
    if !cgroups::can_limit() {
        return;
    }
    let host = Host::new();
    let v1_only =
        RunOptions { memory: Some(64 << 20), memory_swappiness: Some(7), oom_kill_disable: true, ..sleeping() };
    if host.engine.info().unwrap().cgroup == "v2" {
        let error = host.spawn(v1_only.clone()).unwrap_err();
        assert_eq!((error.kind(), error.subject()), (Kind::UnenforceableLimit, "memory_swappiness, oom_kill_disable"));
        assert!(error.to_string().contains("version 2, which have no such setting"), "{error}");
        assert_eq!(host.left(), Vec::<String>::new());
        let loose = host.spawn(RunOptions { best_effort: true, ..v1_only }).unwrap();
        assert_eq!(loose.inspect().unwrap().unenforced, ["memory_swappiness", "oom_kill_disable"]);
        return gone(&host, &loose);
    }
    let container = host.spawn(v1_only).unwrap();
    assert_eq!(held(&host, &container, "memory", "memory.swappiness", "").as_deref(), Some("7"));
    let control = held(&host, &container, "memory", "memory.oom_control", "").unwrap();
    assert!(control.starts_with("oom_kill_disable 1 "), "{control}");
    gone(&host, &container);
}

#[test]
fn what_waits_for_memory_can_be_removed() {
    let host = Host::new();
    if !cgroups::can_limit() || host.engine.info().unwrap().cgroup == "v2" {
        return;
    }
    let waiting = RunOptions {
        memory: Some(16 << 20),
        memory_swap: Some(16 << 20),
        oom_kill_disable: true,
        // Memory that it touches itself: of a system call that wants some, the kernel makes an error.
        ..command(&["sh", "-c", "x=x; while true; do x=$x$x; done"])
    };
    let container = host.spawn(waiting).unwrap();
    let control = || held(&host, &container, "memory", "memory.oom_control", "").unwrap();
    common::until("the end of its memory", || control().contains("under_oom 1"));
    assert_eq!(container.inspect().unwrap().status, Status::Running);
    assert_eq!(container.inspect().unwrap().oom_kills, Some(0));
    // More memory lets it go on, or it ends as any other.
    container
        .update(&UpdateOptions { memory: Some(32 << 20), memory_swap: Some(32 << 20), ..Default::default() })
        .unwrap();
    container.stop(&StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
    assert!(!container.inspect().unwrap().exit.unwrap().oom_killed);
    gone(&host, &container);
}

/// The cgroup above must have as much, which is its owner's to say.
#[test]
fn time_for_real_time_schedulers_is_given_where_the_parent_has_it() {
    let parent = Path::new("/sys/fs/cgroup/cpu").join(format!("sampan-test-rt-{}", std::process::id()));
    if !cgroups::can_limit() || !Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
        return;
    }
    let host = Host::new();
    let real_time = RunOptions {
        cpu_rt_runtime: Some(1000),
        cpu_rt_period: Some(500_000),
        cgroup_parent: Some(parent.file_name().unwrap().to_str().unwrap().into()),
        ..sleeping()
    };
    std::fs::create_dir(&parent).unwrap();
    let error = host.spawn(real_time.clone()).unwrap_err();
    assert!(error.kind() == Kind::UnenforceableLimit && error.to_string().contains("cgroup above"), "{error}");
    assert_eq!(host.left(), Vec::<String>::new());
    let loose = host.spawn(RunOptions { best_effort: true, ..real_time.clone() }).unwrap();
    assert_eq!(loose.inspect().unwrap().unenforced, ["cpu_rt_runtime"]);
    loose.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    std::fs::write(parent.join("cpu.rt_runtime_us"), "10000").unwrap();
    let container = host.spawn(real_time).unwrap();
    let of = |file| held(&host, &container, "cpu", file, "").unwrap();
    assert_eq!((of("cpu.rt_runtime_us"), of("cpu.rt_period_us")), ("1000".into(), "500000".into()));
    let update = |runtime, period| {
        let options =
            UpdateOptions { cpu_rt_runtime: Some(runtime), cpu_rt_period: Some(period), ..Default::default() };
        container.update(&options).map(|()| (of("cpu.rt_runtime_us"), of("cpu.rt_period_us")))
    };
    // Up and down: each value is held against the other.
    assert_eq!(update(2000, 1_000_000).unwrap(), ("2000".into(), "1000000".into()));
    assert_eq!(update(100, 100_000).unwrap(), ("100".into(), "100000".into()));
    assert_eq!(update(900_000, 1_000_000).unwrap_err().kind(), Kind::UnenforceableLimit);
    assert_eq!((of("cpu.rt_runtime_us"), of("cpu.rt_period_us")), ("100".into(), "100000".into()));
    assert_eq!(update(0, 0).unwrap(), ("0".into(), "1000000".into()));
    gone(&host, &container);
    remove_parents(parent.file_name().unwrap().to_str().unwrap());
}

fn remove_parents(name: &str) {
    for tree in std::fs::read_dir("/sys/fs/cgroup").unwrap().flatten() {
        let _ = std::fs::remove_dir(tree.path().join(name));
    }
}

#[test]
fn more_than_the_cgroup_above_has_is_told() {
    let parent = Path::new("/sys/fs/cgroup/cpu").join(format!("sampan-test-less-{}", std::process::id()));
    if !cgroups::can_limit() || !Path::new("/sys/fs/cgroup/cpu/cpu.shares").exists() {
        return;
    }
    let host = Host::new();
    std::fs::create_dir(&parent).unwrap();
    std::fs::write(parent.join("cpu.cfs_quota_us"), "20000").unwrap();
    let name = parent.file_name().unwrap().to_str().unwrap();
    let with = |quota| RunOptions { cpu_quota: Some(quota), cgroup_parent: Some(name.into()), ..sleeping() };
    let error = host.spawn(with(50_000)).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("the cgroup above"), "{error}");
    assert_eq!(host.left(), Vec::<String>::new());
    let container = host.spawn(with(10_000)).unwrap();
    let error = container.update(&UpdateOptions { cpu_quota: Some(50_000), ..Default::default() }).unwrap_err();
    assert!(error.to_string().contains("the cgroup above"), "{error}");
    assert_eq!(held(&host, &container, "cpu", "cpu.cfs_quota_us", "").as_deref(), Some("10000"));
    gone(&host, &container);
    remove_parents(name);
}

#[test]
fn what_is_read_and_written_is_counted() {
    if !cgroups::has_block_io() {
        return;
    }
    // A file system of a disk's, which a temporary one is not.
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let host = Host::new();
    let mount =
        sampan::Mount { source: dir.path().display().to_string(), target: "/data".into(), ..sampan::Mount::default() };
    let script = "dd if=/dev/zero of=/data/f bs=64k count=16 conv=fsync 2>/dev/null; echo done; sleep 1000";
    let container = host.spawn(RunOptions { mounts: vec![mount], ..command(&["sh", "-c", script]) }).unwrap();
    let log = || container.logs(&Default::default()).unwrap().next(&Cancel::new()).unwrap().map(|e| text(&e.data));
    common::until("its end", || log().is_some());
    let stats = container.stats().unwrap();
    assert!(stats.block_read.is_some() && stats.block_written.is_some(), "{stats:?}");
    // A file system without a disk of its own, in memory or above another, may count elsewhere.
    let device = std::os::unix::fs::MetadataExt::dev(&dir.path().metadata().unwrap());
    assert!(libc::major(device) == 0 || stats.block_written >= Some(1 << 20), "{stats:?}");
    gone(&host, &container);
}
