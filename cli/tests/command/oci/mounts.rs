//! Mounts with attributes taken away, with other owners, and the propagation of the root.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::{Bundle, is_root};
use crate::host::{Ended, finish};

/// What is mounted at `/at` is `kind` of the bundle's `source`.
fn bound(script: &str, options: &[&str]) -> Bundle {
    let bundle = Bundle::new(&["sh", "-c", script], |_| {});
    std::fs::create_dir_all(bundle.path("source/sub")).unwrap();
    let mount = json!({"destination": "/at", "source": bundle.path("source"), "options": options});
    bundle.change(|config| {
        config["root"]["readonly"] = json!(false);
        config["mounts"].as_array_mut().unwrap().push(mount);
    });
    bundle
}

/// Runs it where the source is read-only, and a file system below it too.
fn run_over_readonly(bundle: &Bundle) -> Ended {
    let source = bundle.path("source");
    let script = format!(
        "mount --make-rprivate / && mount --bind {source} {source} && mount -t tmpfs none {source}/sub \
         && mount -o remount,bind,ro {source}/sub && mount -o remount,bind,ro {source} && exec \"$@\""
    );
    let runtime = bundle.command(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    let mut command = Command::new("unshare");
    command.args(["-m", "sh", "-c", &script, "sh"]).arg(runtime.get_program()).args(runtime.get_args());
    finish(command)
}

#[test]
fn attributes_of_a_source_are_taken_away() {
    if !is_root() {
        return;
    }
    let script = "for at in /at /at/sub; do (: > $at/file) 2>/dev/null && echo writable || echo not; done";
    for (options, wanted) in [
        (&["rbind"][..], "not\nnot\n"),
        (&["rbind", "rw"], "writable\nnot\n"),
        (&["rbind", "rrw"], "writable\nwritable\n"),
        (&["rbind", "rro", "rrw"], "writable\nwritable\n"),
        (&["rbind", "rrw", "rro"], "not\nnot\n"),
    ] {
        let ended = run_over_readonly(&bound(script, options));
        assert_eq!((ended.code, ended.stdout.as_str()), (0, wanted), "{options:?}: {ended:?}");
    }
}

#[test]
fn words_of_attributes_are_the_kernels() {
    if !is_root() {
        return;
    }
    let script =
        "while read -r a b c d at options rest; do test $at = /at && echo $options; done < /proc/self/mountinfo; true";
    for (options, wanted) in [
        (&["bind", "nosuid", "nodev", "noexec"][..], "rw,nosuid,nodev,noexec,relatime"),
        (&["bind", "nosuid", "suid", "noatime"], "rw,noatime"),
        (&["rbind", "rnosuid", "rnoatime", "rrelatime"], "rw,nosuid,relatime"),
    ] {
        let ended = bound(script, options);
        let ended = ended.oci(&["run", "--bundle", &ended.path(""), &ended.id()]);
        assert_eq!(ended.stdout.trim(), wanted, "{options:?}: {ended:?}");
    }
}

fn with_ids(bundle: &Bundle, uid: u32, gid: u32) {
    let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
    bundle.change(|config| {
        let mount = config["mounts"].as_array_mut().unwrap().last_mut().unwrap();
        mount["uidMappings"] = map(uid);
        mount["gidMappings"] = map(gid);
    });
}

#[test]
fn a_bind_shows_files_with_other_owners() {
    let bundle = bound("stat -c %u:%g /at; (: > /at/mine); stat -c %u:%g /at/mine", &["bind", "idmap"]);
    with_ids(&bundle, 1000, 1001);
    let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    match is_root() {
        // Its root is not the owner that the mount knows.
        true => assert!(ended.stdout.starts_with("1000:1001\n"), "{ended:?}"),
        false => assert!(ended.code != 0 && ended.stderr.contains("the mount /at"), "{ended:?}"),
    }
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_bind_shows_files_as_the_containers_own() {
    if !is_root() {
        return;
    }
    let bundle = bound("stat -c %u:%g /at; : > /at/mine; stat -c %u:%g /at/mine", &["bind", "idmap"]);
    open_to_all(&bundle);
    bundle.change(in_a_user_namespace);
    let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "0:0\n0:0\n"), "{ended:?}");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(bundle.path("source/mine")).unwrap().uid(), 0);
}

fn in_the_hosts_user_namespace(config: &mut Value) {
    let linux = config["linux"].as_object_mut().unwrap();
    linux["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "user");
    linux.remove("uidMappings");
    linux.remove("gidMappings");
}

/// With all ids but the host's own.
pub fn in_a_user_namespace(config: &mut Value) {
    if is_root() {
        let map = json!([{"containerID": 0, "hostID": 100_000, "size": 65536}]);
        config["linux"]["namespaces"].as_array_mut().unwrap().push(json!({"type": "user"}));
        config["linux"]["uidMappings"] = map.clone();
        config["linux"]["gidMappings"] = map;
    }
}

/// The root of a user namespace has to get to it, and make what mounts go onto.
pub fn open_to_all(bundle: &Bundle) {
    use std::os::unix::fs::PermissionsExt;
    for (name, mode) in [("", 0o755), ("rootfs", 0o777)] {
        std::fs::set_permissions(bundle.path(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
}

/// Where no node can be made the host's is bound, and what it was bound on stays in the root.
#[test]
fn a_root_whose_devices_were_bound_is_used_again() {
    let bundle =
        Bundle::new(&["sh", "-c", "echo x > /dev/null && echo $(stat -c %t:%T /dev/null /dev/zero)"], |config| {
            in_a_user_namespace(config);
            config["root"]["readonly"] = json!(false);
            config["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] == "/proc");
        });
    open_to_all(&bundle);
    for time in ["first", "second", "by root"] {
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, "1:3 1:5\n"), "{time}: {ended:?}");
        if time == "second" && is_root() {
            bundle.change(in_the_hosts_user_namespace);
        }
    }
}

#[test]
fn the_root_has_the_propagation_that_is_asked_for() {
    for (word, wanted) in [("private", ""), ("rshared", "shared:"), ("unbindable", "unbindable")] {
        let bundle = Bundle::new(&["cat", "/proc/self/mountinfo"], |config| {
            config["linux"]["rootfsPropagation"] = json!(word);
        });
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        let root = ended.stdout.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
        let told: Vec<&str> = root.split(' ').skip(6).take_while(|field| *field != "-").collect();
        let right = told.iter().all(|field| field.starts_with(wanted)) && told.is_empty() == wanted.is_empty();
        assert!(right, "{word}: {root}: {ended:?}");
    }
}

#[test]
fn a_new_tmpfs_begins_with_what_the_image_has_there() {
    let script = "cat /data/file; stat -c %a /data; (echo new > /data/file) 2>/dev/null && cat /data/file; true";
    for (options, wanted) in [
        (json!(["tmpcopyup"]), "old\n750\nnew\n"),
        (json!(["tmpcopyup", "mode=1777"]), "old\n1777\nnew\n"),
        (json!(["tmpcopyup", "ro"]), "old\n750\n"),
    ] {
        let bundle = Bundle::new(&["sh", "-c", script], |config| {
            let mount = json!({"destination": "/data", "type": "tmpfs", "source": "tmpfs", "options": options});
            config["mounts"].as_array_mut().unwrap().push(mount);
        });
        std::fs::create_dir(bundle.path("rootfs/data")).unwrap();
        std::fs::write(bundle.path("rootfs/data/file"), "old\n").unwrap();
        assert!(Command::new("chmod").arg("750").arg(bundle.path("rootfs/data")).status().unwrap().success());
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, wanted), "{options}: {ended:?}");
        assert_eq!(std::fs::read_to_string(bundle.path("rootfs/data/file")).unwrap(), "old\n");
    }
}
