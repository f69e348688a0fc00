//! A plain user's container in which he has his own id.

use super::*;

fn keeping(args: &[&str]) -> RunOptions {
    RunOptions { userns: Some("keep-id".into()), ..command(args) }
}

/// Whether this is a plain user with more than one id.
fn has_subids(host: &Host) -> bool {
    host.engine.info().unwrap().rung == sampan::Rung::SubIds
}

#[test]
fn a_plain_users_own_ids_are_kept() {
    let host = Host::new();
    if !has_subids(&host) {
        let error = host.run(keeping(&["true"])).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("keep-id"), "{error}");
        // Before an image is asked for.
        let other = RunOptions { image: "127.0.0.1:1/none".into(), ..keeping(&["true"]) };
        let error = host.run(other).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("keep-id"), "{error}");
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let shared = tempfile::tempdir().unwrap();
    std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(shared.path().join("mine"), "mine").unwrap();
    let mount = Mount { source: shared.path().display().to_string(), target: "/host".into(), ..Mount::default() };
    let volume = Mount { kind: MountKind::Volume, source: "v".into(), target: "/etc".into(), ..Mount::default() };
    let script = "id -u; id -g; stat -c %u:%g / /bin/busybox /etc/passwd /host/mine; touch /host/made; \
                  touch /f 2>/dev/null || echo closed; echo out >/dev/stdout; echo x >/dev/null; hostname";
    let options = RunOptions {
        mounts: vec![mount.clone(), volume],
        hostname: Some("box".into()),
        init: true,
        ..keeping(&["sh", "-c", script])
    };
    let expected = format!("{uid}\n{gid}\n0:0\n0:0\n0:0\n{uid}:{gid}\nclosed\nout\nbox\n");
    assert_eq!(said(&host, options.clone()), expected);
    assert_eq!(std::fs::metadata(shared.path().join("made")).unwrap().uid(), uid);
    assert_eq!(said(&host, options), expected);
    // Its root is nobody's, and has the image's files.
    let root = RunOptions {
        user: Some("0".into()),
        mounts: vec![mount],
        tty: true,
        ..keeping(&["sh", "-c", "touch /f /host/roots; chown 7:7 /f; stat -c %u:%g /f; tty; stat -c %u $(tty)"])
    };
    assert_eq!(said(&host, root), "7:7\r\n/dev/pts/0\r\n0\r\n");
    let made = std::fs::metadata(shared.path().join("roots")).unwrap().uid();
    assert!(made != uid && made > 65_535, "{made}");
    // Others of the same image have what they had.
    assert_eq!(said(&host, command(&["stat", "-c", "%u", "/bin/busybox"])), "0\n");
    let left: Vec<String> = host.left().into_iter().filter(|path| path != "volumes/v").collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_a_container_of_kept_ids_does_else() {
    let host = Host::new();
    if !has_subids(&host) {
        return;
    }
    let uid = nix::unistd::geteuid().as_raw();
    let options = RunOptions {
        health_cmd: Some(format!("[ $(id -u) = {uid} ]")),
        health_interval: Some(0.02),
        restart: Some("on-failure".into()),
        ..keeping(&["sh", "-c", "echo x >>/tmp/n; [ $(wc -l </tmp/n) -ge 2 ] || exit 1; cat /one; exec sleep 1000"])
    };
    let container = create(&host, &options);
    let from = host.dir.path().join("f");
    std::fs::write(&from, "copied\n").unwrap();
    let from = from.display().to_string();
    container.copy_to(&from, "/one", &CopyOptions::default(), &Cancel::new()).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    until("the second run", || {
        let info = container.inspect().unwrap();
        info.status == Status::Running && info.restart_count == 1
    });
    until("health", || container.inspect().unwrap().health.is_some_and(|h| h.status == HealthStatus::Healthy));
    container.copy_to(&from, "/two", &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(exec(&container, "id -u; cat /two; echo out >/dev/stdout"), format!("{uid}\ncopied\nout\n"));
    assert_eq!(log(&container), "copied\n");
    // What `inspect` says is what the kernel has.
    let info = container.inspect().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{}/uid_map", info.pid.unwrap())).unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(":");
    assert_eq!(text.lines().map(words).collect::<Vec<_>>(), info.uid_map);
    assert!(info.uid_map.contains(&format!("{uid}:{uid}:1")), "{:?}", info.uid_map);
    remove(&container);
    let own_end = RunOptions { auto_remove: true, tie: Tie::Host, ..keeping(&["sleep", "1000"]) };
    let brief = host.spawn(own_end).unwrap();
    brief.kill("KILL").unwrap();
    until("its removal", || host.left().is_empty());
}

#[test]
fn what_a_run_would_do_is_told_before_its_layers_are_there() {
    let host = Host::new();
    if !has_subids(&host) {
        return;
    }
    host.engine.pull(&image(), &sampan::PullOptions::default(), &mut Quiet, &Cancel::new()).unwrap();
    let planned = || {
        let plan = host.engine.plan(&keeping(&["id", "-u"])).unwrap();
        serde_json::from_str::<serde_json::Value>(&plan).unwrap()["launch"]["rootfs"]["kind"]["Overlay"]["lower"]
            .clone()
    };
    let before = planned();
    assert!(before.to_string().contains("/keep-"), "{before}");
    assert_eq!(host.left(), Vec::<String>::new());
    assert_eq!(said(&host, keeping(&["id", "-u"])), format!("{}\n", nix::unistd::geteuid()));
    assert_eq!(planned(), before);
}

/// As in Podman: where the image has nothing, a new volume is the process's; where it has something, it is as that.
#[test]
fn a_new_volume_is_the_users() {
    let host = Host::new();
    if !has_subids(&host) {
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    let volume = |source: &str, target: &str| Mount {
        kind: MountKind::Volume,
        source: source.into(),
        target: target.into(),
        ..Mount::default()
    };
    let mounts = vec![volume("v", "/srv/a/data"), volume("", "/data"), volume("e", "/etc")];
    let look = "stat -c %u:%g:%a /srv/a /srv/a/data /data /etc";
    let options = RunOptions { mounts, ..keeping(&["sh", "-c", look]) };
    let expected = format!("0:0:755\n{uid}:{gid}:755\n{uid}:{gid}:755\n0:0:755\n");
    let container = create(&host, &options);
    // Still so at the next start, which finds the mount points made.
    for starts in 1..3 {
        container.start(&Stdio::default(), &Cancel::new()).unwrap();
        container.wait(None, &Cancel::new()).unwrap();
        assert_eq!(log(&container), expected.repeat(starts));
    }
    let written =
        RunOptions { command: ["touch", "/srv/a/data/f", "/data/f"].map(str::to_owned).to_vec(), ..options.clone() };
    assert_eq!(said(&host, written), "");
    assert_eq!(said(&host, options.clone()), expected);
    for (user, owner) in [("7:8", "7:8"), ("7", "7:0"), ("0", "0:0")] {
        let mut others = RunOptions { user: Some(user.into()), ..options.clone() };
        others.mounts[0].source = format!("of-{user}").replace(':', "-");
        assert_eq!(said(&host, others), format!("0:0:755\n{owner}:755\n{owner}:755\n0:0:755\n"));
    }
    remove(&container);
}
