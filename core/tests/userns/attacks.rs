//! What is tried from inside, by who may do all that its user namespace gives.

use super::*;

/// A device node among the image's files stays shut, whatever the container does to its mounts.
#[test]
fn no_device_of_the_image_works() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let script = "mount -o remount,bind,dev / 2>/dev/null && echo changed; (: >/kmsg) 2>/dev/null && echo opened; \
                  mknod /own c 1 11 2>/dev/null && echo made; (: </dev/null) && echo null";
    let options = RunOptions {
        cap_add: vec!["ALL".into()],
        security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()],
        ..sh(script)
    };
    let container = create(&host, &options);
    // As a layer's would be by its mapped mount: the container's root owns it.
    let upper = host.dir.path().join("root/containers").join(container.id()).join("upper/kmsg");
    let number = nix::sys::stat::makedev(1, 11);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&upper, nix::sys::stat::SFlag::S_IFCHR, mode, number).unwrap();
    std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(0o666)).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0);
    assert_eq!(log(&container), "null\n");
    remove(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// What can be given to a container of this kind.
fn all_powerful(script: &str) -> RunOptions {
    RunOptions {
        cap_add: vec!["ALL".into()],
        security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into(), "systempaths=unconfined".into()],
        ..sh(&format!("exec 2>/dev/null\n{script}"))
    }
}

/// Mounts of this machine, until the end of a test.
struct Mounted(Vec<PathBuf>);

impl Mounted {
    fn add(&mut self, source: &Path, target: &Path, kind: Option<&str>, flags: MsFlags) {
        nix::mount::mount(Some(source), target, kind, flags, None::<&str>).unwrap();
        if !flags.contains(MsFlags::MS_REMOUNT) {
            self.0.push(target.into());
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.0.iter().rev().for_each(|path| nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).unwrap());
    }
}

fn at(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount { source: source.display().to_string(), target: target.into(), read_only, ..Mount::default() }
}

/// Nor is there a way to the host's ids, namespaces or devices for who may do all that its user namespace gives. Each
/// attempt is one that works where that namespace is not in its way.
#[test]
fn all_its_capabilities_are_those_of_its_namespace() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut mounted = Mounted(Vec::new());
    for name in ["net", "user", "uts"] {
        std::fs::write(dir.path().join(name), "").unwrap();
        let own = PathBuf::from(format!("/proc/self/ns/{name}"));
        mounted.add(&own, &dir.path().join(name), None, MsFlags::MS_BIND);
    }
    for (name, minor) in [("mem", 1), ("kmsg", 11)] {
        let (path, mode) = (dir.path().join(name), nix::sys::stat::Mode::from_bits_truncate(0o666));
        nix::sys::stat::mknod(&path, nix::sys::stat::SFlag::S_IFCHR, mode, nix::sys::stat::makedev(1, minor)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let script = "chown 70000 / && echo unmapped
        unshare -U sleep 1000 & n=$!
        until [ \"$(readlink /proc/$n/ns/user)\" != \"$(readlink /proc/self/ns/user)\" ]; do :; done
        echo '0 70000 1' >/proc/$n/uid_map && echo mapped
        echo '0 7 1' >/proc/$n/uid_map || echo not even its own
        kill $n
        echo 1 >/proc/sys/kernel/sysrq && echo sysrq
        nsenter --net=/proc/1/ns/net true || echo can not even join its own
        for n in net user uts; do nsenter --$n=/h/$n true && echo joined $n; done
        mount -o remount,bind,dev /h; for n in mem kmsg; do (: </h/$n) && echo read $n; (: >/h/$n) && echo opened $n; done
        mknod /mem c 1 1 && echo made; mount -t devtmpfs none /mnt && echo devices
        mount -t proc proc /mnt; for p in /proc /mnt; do
            [ ! -e $p/sysrq-trigger ] || (echo h >$p/sysrq-trigger) && [ -e $p/sysrq-trigger ] && echo triggered $p
        done
        echo done";
    let options = RunOptions { mounts: vec![at(dir.path(), "/h", false)], ..all_powerful(script) };
    assert_eq!(said(&host, options), "done\n");
    assert_eq!(host.left(), Vec::<String>::new());
}

/// What the host has mounted over something stays there, and what it has read-only stays so.
#[test]
fn the_host_s_mounts_are_not_its_to_undo() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["h", "h/secret", "closed", "open"] {
        std::fs::create_dir(path(name)).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::fs::write(path("h/secret/s"), "hidden").unwrap();
    let mut mounted = Mounted(Vec::new());
    mounted.add(Path::new("none"), &path("h/secret"), Some("tmpfs"), MsFlags::empty());
    mounted.add(&path("closed"), &path("closed"), None, MsFlags::MS_BIND);
    let closed = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mounted.add(Path::new("none"), &path("closed"), None, closed);
    let attack = "umount /h/secret; umount -l /h/secret; cat /h/secret/s && echo uncovered
        mkdir /m; mount -o bind /h /m; cat /m/secret/s && echo uncovered elsewhere; umount /m
        for d in closed open volume; do
            mount -o remount,bind,rw /$d; mount -o remount,rw /$d; touch /$d/f && echo written $d
            mount -o bind /$d /m; mount -o remount,bind,rw /m; touch /m/f && echo written elsewhere $d; umount /m
            mount -o remount,bind,ro,suid,dev /$d && echo changed $d
        done";
    let inner = attack.replace('\'', "");
    let script = format!(
        "{attack}\nunshare -m sh -c '{inner}'\nunshare -U -r -m sh -c '{inner}'\nls /volume | grep -x passwd; echo done"
    );
    let volume = Mount {
        kind: MountKind::Volume,
        source: "own".into(),
        target: "/volume".into(),
        read_only: true,
        ..Mount::default()
    };
    let first = RunOptions {
        mounts: vec![Mount { target: "/etc".into(), ..volume.clone() }],
        ..sh("(echo x >/etc/f) 2>/dev/null; ls /etc | grep -x passwd")
    };
    assert_eq!(said(&host, first), "passwd\n");
    let mounts = vec![
        at(&path("h"), "/h", false),
        at(&path("closed"), "/closed", false),
        at(&path("open"), "/open", true),
        volume,
    ];
    let options = RunOptions { mounts, ..all_powerful(&script) };
    assert_eq!(said(&host, options), "passwd\ndone\n");
    for name in ["closed", "open"] {
        assert_eq!(std::fs::read_dir(path(name)).unwrap().count(), 0, "{name}");
    }
    drop(mounted);
    assert_eq!(host.left(), ["volumes/own"]);
}

/// A plain user's `:ro` holds too for who may mount, whatever else that one does; and nothing that he may is missing.
#[test]
fn what_a_plain_user_has_read_only_stays_so() {
    let host = Host::new();
    let rung = host.engine.info().unwrap().rung;
    if !matches!(rung, sampan::Rung::SubIds | sampan::Rung::SingleId) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["", "closed", "open"] {
        if !name.is_empty() {
            std::fs::create_dir(path(name)).unwrap();
        }
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    let volume = Mount {
        kind: MountKind::Volume,
        source: "own".into(),
        target: "/etc".into(),
        read_only: true,
        ..Mount::default()
    };
    let attack = "for d in closed etc; do
            mount -o remount,bind,rw /$d; mount -o remount,rw /$d; touch /$d/f && echo written $d
            mount -o bind /$d /m; mount -o remount,bind,rw /m; touch /m/f && echo written elsewhere $d; umount /m
            mount -o remount,bind,ro,suid,dev /$d && echo changed $d
        done";
    let able = "mkdir /m; mount -t tmpfs none /m && umount /m && echo tmpfs; mount -t proc proc /m && umount /m && echo proc
        mount -t mqueue none /m && umount /m && echo mqueue
        hostname other && hostname; ip link set lo down && ip link set lo up && echo net
        touch /open/by-root && chown 0:0 /open/by-root && echo open; ls /etc | grep -x passwd; echo $(cat /proc/1/comm)";
    let had = "tmpfs\nproc\nmqueue\nother\nnet\nopen\npasswd\nsh\n";
    let inner = attack.replace('\'', "");
    let script = format!("{able}\n{attack}\nunshare -m sh -c '{inner}'\nunshare -U -r -m sh -c '{inner}'\necho done");
    let mounts = vec![at(&path("closed"), "/closed", true), at(&path("open"), "/open", false), volume];
    let all = RunOptions { mounts, userns: None, ..all_powerful(&script) };
    let privileged = RunOptions { privileged: true, cap_add: Vec::new(), security_opt: Vec::new(), ..all.clone() };
    let mut tried = vec![all.clone(), privileged];
    if rung == sampan::Rung::SubIds {
        tried.push(RunOptions { userns: Some("keep-id".into()), user: Some("0".into()), ..all.clone() });
    }
    for options in tried {
        assert_eq!(said(&host, options.clone()), format!("{had}done\n"), "{:?}", options.userns);
        assert_eq!(std::fs::read_dir(path("closed")).unwrap().count(), 0);
    }
    // What is done with a container else.
    let script =
        format!("exec 2>/dev/null; {attack}; id -u; echo x >>/n; [ $(wc -l </n) -ge 2 ] || exit 1; exec sleep 1000");
    let options = RunOptions {
        command: ["sh", "-c", &script].map(str::to_owned).to_vec(),
        restart: Some("on-failure".into()),
        ..all
    };
    let container = create(&host, &options);
    let from = host.dir.path().join("c");
    std::fs::write(&from, "copied").unwrap();
    let from = from.display().to_string();
    container.copy_to(&from, "/one", &CopyOptions::default(), &Cancel::new()).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    until("the second run", || log(&container) == "0\n0\n");
    container.copy_to(&from, "/two", &CopyOptions::default(), &Cancel::new()).unwrap();
    let look = format!("cat /one /two; stat -c %u /one /two; mkdir /m; {attack}; echo out >/dev/stdout");
    assert_eq!(exec(&container, &format!("exec 2>/dev/null; {look}")), "copiedcopied0\n0\nout\n");
    let text = std::fs::read_to_string(format!("/proc/{}/uid_map", container.inspect().unwrap().pid.unwrap())).unwrap();
    // Outside its root is the user still.
    let own = nix::unistd::geteuid().to_string();
    assert!(text.lines().next().unwrap().split_whitespace().eq(["0", &own, "1"]), "{text}");
    remove(&container);
    assert_eq!(std::fs::read_dir(path("closed")).unwrap().count(), 0);
    assert_eq!(host.left(), ["volumes/own"]);
}
