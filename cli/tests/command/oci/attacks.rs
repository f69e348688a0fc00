//! Bundles whose files attack who mounts them, and calls that attack the runtime by their words. `docs/security.md` says
//! which rule each of them is to break.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use nix::mount::MsFlags;
use serde_json::{Value, json};

use super::mounts::{in_a_user_namespace, open_to_all};
use super::{Bundle, is_root};

/// Without its own file system on /dev: the bundle's own directory is there.
fn bare(args: &[&str], script: impl FnOnce(&Path)) -> Bundle {
    let bundle = Bundle::new(args, |config| {
        let mounts = config["mounts"].as_array_mut().unwrap();
        mounts.retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    let root = PathBuf::from(bundle.path("rootfs"));
    fs::create_dir_all(root.join("dev")).unwrap();
    script(&root);
    bundle
}

fn treasure(bundle: &Bundle) -> PathBuf {
    let path = PathBuf::from(bundle.path("treasure"));
    fs::write(&path, "untouched").unwrap();
    path
}

#[track_caller]
fn is_refused(bundle: &Bundle, treasure: &Path, what: &str) {
    let before = fs::metadata(treasure).unwrap();
    let ended = bundle.create();
    let why = ["symbolic link", "make the device", "nothing may be mounted over /proc", "already exists", "is a file"];
    assert!(ended.code == 1 && why.iter().any(|why| ended.stdout.contains(why)), "{what}: {ended:?}");
    assert_eq!(fs::read(treasure).unwrap(), b"untouched", "{what}");
    assert_eq!(fs::metadata(treasure).unwrap().permissions(), before.permissions(), "{what}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "{what}");
}

/// CVE-2025-31133: masking and devices by a /dev/null that is a link.
#[test]
fn a_dev_null_of_the_image_s_own_is_refused() {
    // Nothing but what is put there is wrong with it.
    let honest = bare(&["true"], |_| {});
    assert_eq!(honest.create().code, 0, "{}", honest.output());
    for node in ["null", "zero", "tty"] {
        let bundle = bare(&["true"], |_| {});
        let (treasure, at) = (treasure(&bundle), PathBuf::from(bundle.path("rootfs/dev")).join(node));
        for target in [treasure.to_str().unwrap(), "../proc/sys/kernel/core_pattern", "/proc/self/fd/8", "nowhere"] {
            symlink(target, &at).unwrap();
            is_refused(&bundle, &treasure, &format!("{node} -> {target}"));
            fs::remove_file(&at).unwrap();
        }
        fs::write(&at, "a file").unwrap();
        is_refused(&bundle, &treasure, "a file");
        fs::remove_file(&at).unwrap();
        if is_root() {
            let other = nix::sys::stat::makedev(1, 11);
            let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
            nix::sys::stat::mknod(&at, nix::sys::stat::SFlag::S_IFCHR, mode, other).unwrap();
            is_refused(&bundle, &treasure, "another device");
        }
    }
}

/// CVE-2026-41579, CVE-2026-47766.
#[test]
fn a_dev_or_proc_of_the_image_s_that_is_a_link_is_refused() {
    for (name, with_mounts) in [("dev", false), ("dev", true), ("proc", true), ("sys", true)] {
        let make = |root: &Path| {
            let _ = fs::remove_dir(root.join(name));
            fs::create_dir_all(root.join("../outside")).unwrap();
            symlink(root.join("../outside").canonicalize().unwrap(), root.join(name)).unwrap();
        };
        let bundle = match with_mounts {
            false => bare(&["true"], make),
            true => {
                let bundle = Bundle::new(&["true"], |_| {});
                make(Path::new(&bundle.path("rootfs")));
                bundle
            }
        };
        let treasure = treasure(&bundle);
        is_refused(&bundle, &treasure, name);
        assert_eq!(fs::read_dir(bundle.path("outside")).unwrap().count(), 0, "{name}");
    }
}

/// CVE-2025-52565: the terminal is bound on a /dev/console that leads elsewhere, or taken out of somebody else's devpts.
#[test]
fn a_console_is_bound_on_no_link() {
    if !is_root() {
        return;
    }
    for (name, target) in [
        ("console", "TREASURE"),
        ("console", "../proc/sys/kernel/core_pattern"),
        ("pts", "/dev/pts"),
        ("pts", "TREASURE"),
    ] {
        let bundle = bare(&["true"], |_| {});
        let treasure = treasure(&bundle);
        let link = target.replace("TREASURE", treasure.to_str().unwrap());
        symlink(&link, Path::new(&bundle.path("rootfs/dev")).join(name)).unwrap();
        bundle.change(|config| {
            config["process"]["terminal"] = json!(true);
            if name == "console" {
                let devpts = json!({"destination": "/dev/pts", "type": "devpts", "source": "devpts",
                    "options": ["newinstance", "ptmxmode=0666"]});
                config["mounts"].as_array_mut().unwrap().push(devpts);
            }
        });
        let socket = bundle.path("console.sock");
        let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let ended = bundle.oci(&["create", "--bundle", &bundle.path(""), "--console-socket", &socket, &bundle.id()]);
        assert_eq!(ended.code, 1, "{name} -> {link}: {ended:?}");
        assert_eq!(fs::read(&treasure).unwrap(), b"untouched");
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    }
}

/// CVE-2019-16884, CVE-2019-19921, CVE-2025-52881.
#[test]
fn nothing_is_mounted_over_proc() {
    for (target, kind, source) in [
        ("/proc", "bind", "fake"),
        ("/proc", "tmpfs", "tmpfs"),
        ("/proc/self/attr", "bind", "fake"),
        ("/proc/sys", "tmpfs", "tmpfs"),
        ("/proc/../proc/sys", "tmpfs", "tmpfs"),
        ("proc/./self", "bind", "fake"),
        ("/etc/link/sys", "bind", "fake"),
        ("/etc/../proc/sys", "bind", "fake"),
    ] {
        let bundle = Bundle::new(&["true"], |_| {});
        let treasure = treasure(&bundle);
        let (fake, etc) = (PathBuf::from(bundle.path("fake")), PathBuf::from(bundle.path("rootfs/etc")));
        fs::create_dir_all(fake.join("sys/net/ipv4")).unwrap();
        fs::create_dir_all(&etc).unwrap();
        symlink("/proc", etc.join("link")).unwrap();
        let source = if source == "fake" { fake.display().to_string() } else { source.to_owned() };
        bundle.change(|config| {
            let over = json!({"destination": target, "type": kind, "source": source, "options": if kind == "bind" { json!(["rbind"]) } else { json!([]) }});
            config["mounts"].as_array_mut().unwrap().push(over);
        });
        is_refused(&bundle, &treasure, target);
    }
}

/// CVE-2026-30892, CVE-2022-29162.
#[test]
fn who_enters_is_who_was_meant_and_inherits_nothing() {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    for user in [
        "",
        " 0",
        "0 ",
        "+0",
        "-0",
        "-1",
        "0x0",
        "1e3",
        "4294967295",
        "4294967296",
        "1:2:3",
        "0:",
        ":0",
        "root",
        "0:+0",
        "0:-1",
    ] {
        let ended = bundle.oci(&["exec", "--user", user, &bundle.id(), "id", "-u"]);
        assert!(ended.code != 0 && ended.stdout.is_empty(), "{user:?}: {ended:?}");
    }
    let status = bundle.ok(&["exec", &bundle.id(), "cat", "/proc/self/status"]);
    assert!(status.contains("CapInh:\t0000000000000000\n"), "{status}");
    let status = bundle.oci(&["exec", "--cap", "CAP_NET_ADMIN", &bundle.id(), "cat", "/proc/self/status"]);
    assert!(status.code != 0 || status.stdout.contains("CapInh:\t0000000000000000\n"), "{status:?}");
}

/// CVE-2024-21626.
#[test]
fn no_working_directory_leads_out() {
    let links = (3..24).map(|n| format!("/proc/self/fd/{n}")).chain([
        "/proc/self/cwd".into(),
        "/proc/1/root".into(),
        "/link".into(),
    ]);
    let running = Bundle::new(&["sleep", "1000"], |_| {});
    assert_eq!(running.create().code, 0, "{}", running.output());
    running.ok(&["start", &running.id()]);
    for link in links {
        let bundle = Bundle::new(&["cat", "etc/machine-id"], |config| config["process"]["cwd"] = json!(link));
        symlink("/proc/self/fd/7", bundle.path("rootfs/link")).unwrap();
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert!(ended.code != 0 && ended.stdout.is_empty(), "{link}: {ended:?}");
        let _ = symlink("/proc/self/fd/7", running.path("rootfs/link"));
        let ended = running.oci(&["exec", "--cwd", &link, &running.id(), "cat", "etc/machine-id"]);
        assert!(ended.code != 0 && ended.stdout.is_empty(), "exec {link}: {ended:?}");
    }
}

/// CVE-2022-0492, CVE-2023-25809.
#[test]
fn cgroups_without_a_namespace_are_read_only_where_that_was_asked() {
    let attack = "cd /sys/fs/cgroup 2>/dev/null || exit 0; for f in release_agent */release_agent cgroup.procs */cgroup.procs */*/tasks; do \
                  [ -e $f ] && (: >>$f) 2>/dev/null && echo can write $f; done; true";
    for own in [true, false] {
        let bundle = Bundle::new(&["sh", "-c", attack], |config| {
            if !own {
                let namespaces = config["linux"]["namespaces"].as_array_mut().unwrap();
                namespaces.retain(|namespace| namespace["type"] != "cgroup");
            }
        });
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, ""), "{own}: {ended:?}");
    }
}

/// Ids and paths that climb.
#[test]
fn nothing_is_found_above_the_runtime_s_root() {
    let bundle = Bundle::new(&["true"], |_| {});
    for id in ["..", ".", "../x", "a/../../x", "/etc", "", "a b", "a\nb", "-x"] {
        for verb in
            [&["create", "--bundle", &bundle.path("")][..], &["state"], &["start"], &["delete", "--force"], &["kill"]]
        {
            let ended = bundle.oci(&[verb, &["--", id]].concat());
            assert!(ended.code != 0 || verb[0] == "delete", "{verb:?} {id:?}: {ended:?}");
        }
    }
    for path in ["../up", "/a/../../up", "..", "a//b"] {
        let climbing = Bundle::new(&["true"], |config| config["linux"]["cgroupsPath"] = json!(path));
        assert_eq!(climbing.create().code, 1, "{path}");
        assert_eq!(climbing.left(), Vec::<PathBuf>::new());
    }
    let mut names = String::new();
    fs::File::open("/proc/self/cgroup").unwrap().read_to_string(&mut names).unwrap();
    assert!(!Path::new(&bundle.path("x")).exists() && !names.contains("up"));
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

/// A directory that something is mounted in, one that is mounted read-only, and one that is neither.
fn host_s_mounts(bundle: &Bundle) -> Mounted {
    let path = |name: &str| PathBuf::from(bundle.path(name));
    for name in ["h", "h/secret", "closed", "open"] {
        fs::create_dir(path(name)).unwrap();
        fs::set_permissions(path(name), fs::Permissions::from_mode(0o777)).unwrap();
    }
    fs::write(path("h/secret/s"), "hidden").unwrap();
    let mut mounted = Mounted(Vec::new());
    mounted.add(Path::new("none"), &path("h/secret"), Some("tmpfs"), MsFlags::empty());
    mounted.add(&path("closed"), &path("closed"), None, MsFlags::MS_BIND);
    let closed = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mounted.add(Path::new("none"), &path("closed"), None, closed);
    mounted
}

/// What is mounted for a container in a user namespace stays as it is, whatever it may there; as the other way round would
/// be seen: what it has mounted itself it takes away.
#[test]
fn the_host_s_mounts_are_not_a_container_s_to_undo() {
    if !is_root() {
        return;
    }
    let attack = "umount /h/secret; umount -l /h/secret; cat /h/secret/s && echo uncovered
        mount -t tmpfs none /m && umount /m && echo own
        mount -o bind /h /m; cat /m/secret/s && echo uncovered elsewhere; umount /m
        for d in closed open; do
            mount -o remount,bind,rw /$d; mount -o remount,rw /$d; echo >/$d/f && echo written $d
            mount -o bind /$d /m; mount -o remount,bind,rw /m; echo >/m/f && echo written elsewhere $d; umount /m
        done
        mount -o remount,bind,ro,suid,dev /open && echo changed; echo done";
    let script = format!(
        "exec 2>/dev/null; mount() {{ busybox mount \"$@\"; }}; umount() {{ busybox umount \"$@\"; }}; {attack}"
    );
    let all = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE", "CAP_SYS_CHROOT", "CAP_SETUID", "CAP_SETGID"];
    let bundle = Bundle::new(&["sh", "-c", &format!("{script}; exec busybox sleep 1000")], in_a_user_namespace);
    let mounted = host_s_mounts(&bundle);
    let mighty = |config: &mut Value| {
        for kind in ["bounding", "effective", "permitted"] {
            config["process"]["capabilities"][kind] = json!(all);
        }
        for (name, options) in
            [("h", &["rbind"][..]), ("closed", &["rbind"]), ("open", &["bind", "ro", "nosuid", "nodev"])]
        {
            let mount = json!({"destination": format!("/{name}"), "source": bundle.path(name), "options": options});
            config["mounts"].as_array_mut().unwrap().push(mount);
        }
    };
    bundle.change(mighty);
    fs::create_dir(bundle.path("rootfs/m")).unwrap();
    open_to_all(&bundle);
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    crate::common::until("its end", || bundle.output().contains("done"));
    assert_eq!(bundle.output(), "own\ndone\n");
    // In the namespace that it has made, too.
    let pid = bundle.state()["pid"].as_i64().unwrap();
    let second = Bundle::new(&["sh", "-c", &script], |config| {
        let user = json!({"type": "user", "path": format!("/proc/{pid}/ns/user")});
        config["linux"]["namespaces"].as_array_mut().unwrap().push(user);
        mighty(config);
    });
    fs::create_dir(second.path("rootfs/m")).unwrap();
    open_to_all(&second);
    let ended = second.oci(&["run", "--bundle", &second.path(""), &second.id()]);
    assert_eq!(ended.stdout, "own\ndone\n", "{ended:?}");
    bundle.ok(&["delete", "--force", &bundle.id()]);
    for name in ["closed", "open"] {
        assert_eq!(fs::read_dir(bundle.path(name)).unwrap().count(), 0, "{name}");
    }
    drop(mounted);
}
