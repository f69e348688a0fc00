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

/// Who has his own id has his name, as in Podman: a line in the container's files, unless the image has it.
#[test]
fn a_user_is_called_as_he_is() {
    let host = Host::new();
    if !has_subids(&host) {
        return;
    }
    let own = nix::unistd::User::from_uid(nix::unistd::geteuid()).unwrap().unwrap();
    let group = nix::unistd::Group::from_gid(own.gid).unwrap().unwrap().name;
    let (name, uid, gid) = (&own.name, own.uid, own.gid);
    let look = "id -un; id -gn; echo $HOME ~; tail -n 1 /etc/passwd | cut -d: -f 1,3,4,6-; tail -n 1 /etc/group";
    let expected = |home: &str| {
        format!("{name}\n{group}\n{home} {home}\n{name}:{uid}:{gid}:{home}:/bin/sh\n{group}:x:{gid}:{name}\n")
    };
    assert_eq!(said(&host, keeping(&["sh", "-c", look])), expected("/"));
    let closed = RunOptions { read_only: true, workdir: Some("/tmp".into()), ..keeping(&["sh", "-c", look]) };
    assert_eq!(said(&host, closed), expected("/tmp"));
    let home = own.dir.display().to_string();
    let volume = Mount { kind: MountKind::Volume, source: "home".into(), target: home.clone(), ..Mount::default() };
    let at_home = RunOptions { mounts: vec![volume], user: Some(name.clone()), ..keeping(&["sh", "-c", look]) };
    assert_eq!(said(&host, at_home), expected(&home));
    // Once, however often it is started; and the files are as any, to be put in the place of each other.
    let change = format!("{look}; sed -i s/{name}/{name}/ /etc/passwd; grep -c ^{name}: /etc/passwd");
    let container = create(&host, &RunOptions { user: Some("0".into()), ..keeping(&["sh", "-c", &change]) });
    for _ in 0..2 {
        container.start(&Stdio::default(), &Cancel::new()).unwrap();
        assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0);
    }
    assert_eq!(log(&container).matches("\n1\n").count(), 2, "{}", log(&container));
    remove(&container);
    // The image is as it was.
    assert_eq!(said(&host, command(&["grep", "-c", name, "/etc/passwd"])), "0\n");
}

/// What stands in the place of the files is written to by nobody: links, pipes, and what is mounted there.
#[test]
fn a_name_goes_into_no_file_of_others() {
    let host = Host::new();
    if !has_subids(&host) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let shared = dir.path().join("passwd");
    std::fs::write(&shared, "other:x:7:7::/:/bin/sh\n").unwrap();
    std::fs::set_permissions(&shared, std::fs::Permissions::from_mode(0o666)).unwrap();
    let before = std::fs::read(&shared).unwrap();
    let mount = |target: &str, source: &Path| Mount {
        source: source.display().to_string(),
        target: target.into(),
        ..Mount::default()
    };
    let look = "id -u; echo $HOME";
    let expected = format!("{}\n/\n", nix::unistd::geteuid());
    let over = RunOptions { mounts: vec![mount("/etc/passwd", &shared)], ..keeping(&["sh", "-c", look]) };
    assert_eq!(said(&host, over), expected);
    let over = RunOptions { mounts: vec![mount("/etc", dir.path())], ..keeping(&["sh", "-c", look]) };
    assert_eq!(said(&host, over), expected);
    for put in [
        "ln -s /host/passwd /etc/passwd",
        "ln -s ../../host/passwd /etc/passwd",
        "mkfifo /etc/passwd",
        "mkdir /etc/passwd",
        "mv /etc /own; ln -s /host /etc",
        "ln -s /dev/full /etc/passwd",
        "true",
    ] {
        let script =
            format!("[ -e /once ] && exec grep . /once; {look} >/once; chmod 666 /once; rm /etc/passwd; {put}");
        let options = RunOptions {
            mounts: vec![mount("/host", dir.path())],
            user: Some("0".into()),
            ..keeping(&["sh", "-c", &script])
        };
        let container = create(&host, &options);
        for _ in 0..2 {
            container.start(&Stdio::default(), &Cancel::new()).unwrap();
            assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0, "{put}: {}", log(&container));
        }
        remove(&container);
        assert_eq!(std::fs::read(&shared).unwrap(), before, "{put}");
        assert_eq!(
            std::fs::read_dir(dir.path()).unwrap().map(|e| e.unwrap().file_name()).filter(|n| n == "group").count(),
            0
        );
    }
}
