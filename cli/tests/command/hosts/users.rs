//! Plain users, and roots that are not much more: sandboxes that take namespaces, ids or /proc from them.

use std::io::Result;
use std::os::fd::AsRawFd;
use std::process::Command;

use nix::libc;

use super::sandbox::without_namespaces;
use super::{
    HI, as_user, change_user, check, is_root, left_nothing, mount, on, own_mounts, prepared, refuses, says_hi,
};
use crate::common;
use crate::host::{Ended, Host, finish};

const UID: u32 = 61_235;

/// A store of a user without subordinate ids, with the image.
fn host_of_user() -> Host {
    let host = Host::empty();
    std::os::unix::fs::chown(host.dir.path(), Some(UID), Some(UID)).unwrap();
    let image = common::image();
    for args in [&["pull", "-q", &image][..], &["tag", &image, "box"]] {
        let ended = run(&host, args, || Ok(()));
        assert_eq!(ended.code, 0, "{ended:?}");
    }
    host
}

fn run(host: &Host, args: &[&str], prepare: impl FnMut() -> Result<()> + Send + Sync + 'static) -> Ended {
    let (command, _program) = as_user(host, UID, args);
    finish(prepared(command, prepare))
}

#[test]
fn one_id_is_enough() {
    if !is_root() {
        return;
    }
    let host = host_of_user();
    says_hi(&host, &run(&host, &HI, || Ok(())), "a plain user");
    let doctor = run(&host, &["doctor"], || Ok(()));
    assert!(doctor.code == 0 && doctor.stdout.contains("rung `single-id`"), "{doctor:?}");
    assert!(doctor.stdout.contains("usermod --add-subuids"), "{doctor:?}");
    let forced = run(&host, &["--rung", "root", "run", "--rm", "box", "true"], || Ok(()));
    refuses(&host, &forced, &["this process is not root", "leave the rung to be chosen"]);
    // newuidmap, which is set-user-id, would be of no use then.
    let no_new_privileges = || {
        // SAFETY: integers.
        check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) }).map(drop)
    };
    says_hi(&host, &run(&host, &HI, no_new_privileges), "no new privileges");
}

#[test]
fn without_user_namespaces_the_cure_is_told() {
    if !is_root() {
        return;
    }
    let host = host_of_user();
    // That a rung was found before must not hide that there is none here.
    says_hi(&host, &run(&host, &HI, || Ok(())), "a plain user");
    let forbidden = run(&host, &HI, without_namespaces(libc::EPERM));
    refuses(&host, &forbidden, &["a seccomp filter around this process refuses unshare", "seccomp=unconfined"]);
    let none_left = run(&host, &HI, no_more_namespaces);
    refuses(&host, &none_left, &["this user may have no more namespaces", "user.max_user_namespaces"]);
    for prepare in [no_more_namespaces as fn() -> Result<()>, || without_namespaces(libc::EPERM)()] {
        let doctor = run(&host, &["doctor"], prepare);
        assert!(doctor.code == 1 && doctor.stdout.contains("containers can't run: choose rung"), "{doctor:?}");
        left_nothing(&host, "doctor");
    }
}

/// A user namespace in which there can be no further ones, and in which the user is who he was.
fn no_more_namespaces() -> Result<()> {
    // SAFETY: an integer.
    check(unsafe { libc::unshare(libc::CLONE_NEWUSER) })?;
    std::fs::write("/proc/self/setgroups", "deny")?;
    std::fs::write("/proc/self/uid_map", format!("{UID} {UID} 1"))?;
    std::fs::write("/proc/self/gid_map", format!("{UID} {UID} 1"))?;
    std::fs::write("/proc/sys/user/max_user_namespaces", "0")
}

/// As in a pod: a part of /proc is covered, so the kernel gives no fresh one.
#[test]
fn a_masked_proc_is_shared_with_the_container() {
    if !is_root() {
        return;
    }
    let host = host_of_user();
    says_hi(&host, &run(&host, &HI, || Ok(())), "a plain user");
    let masked = |args: &[&str]| {
        let (command, _program) = as_user(&host, UID, args);
        // The mask is put on before the user is changed: the closures run in the order of their being given.
        finish(masking(command))
    };
    says_hi(&host, &masked(&HI), "a masked /proc");
    let doctor = masked(&["doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("rung `single-id`"), "{doctor:?}");
    assert_eq!(masked(&["run", "-d", "--name", "c", "box", "sleep", "1000"]).code, 0);
    assert_eq!(masked(&["exec", "c", "echo", "inside"]).stdout, "inside\n");
    assert_eq!(masked(&["rm", "-f", "c"]).code, 0);
    left_nothing(&host, "a masked /proc");
}

fn masking(user: Command) -> Command {
    let mut command = Command::new(user.get_program());
    command.args(user.get_args()).env_clear().current_dir("/");
    command.envs(user.get_envs().filter_map(|(k, v)| Some((k, v?))));
    let mask = || own_mounts().and_then(|()| mount("tmpfs", "/proc/fs", "tmpfs", libc::MS_RDONLY, ""));
    prepared(prepared(command, mask), || super::change_user(UID))
}

/// The root of a container without CAP_SYS_ADMIN that may make user namespaces.
#[test]
fn a_root_of_little_power_climbs_like_a_plain_user() {
    if !is_root() {
        return;
    }
    let host = Host::empty();
    let image = common::image();
    let poor = || drop_capability(21);
    let ended = on(&host, &["run", "-q", "--rm", &image, "echo", "hi"], poor);
    says_hi(&host, &ended, "without CAP_SYS_ADMIN");
    let doctor = on(&host, &["doctor"], poor);
    assert!(doctor.code == 0 && doctor.stdout.contains("rung `s"), "{doctor:?}");
    let host = Host::new();
    for (number, name) in [(12, "NET_ADMIN"), (18, "SYS_CHROOT"), (8, "SETPCAP")] {
        let ended = on(&host, &HI, move || drop_capability(number));
        refuses(&host, &ended, &[&format!("this process is root without {name}"), "--cap-add"]);
    }
}

/// For good: an exec by root gives what the bounding set has.
fn drop_capability(number: u32) -> Result<()> {
    // SAFETY: integers.
    check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }).map(drop)
}

/// Where memory files are not executed, what accompanies a command is executed from a file of the user's own.
#[test]
fn a_plain_user_enters_beside_an_init_from_a_file() {
    if !is_root() || !std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        return;
    }
    let host = host_of_user();
    let script = "sampan=/proc/self/fd/9
        $sampan run -d --init --name one box sleep 1000 >/dev/null && $sampan exec one echo hi;
            $sampan cp one:/etc/passwd - | tar -t; $sampan rm -f one";
    let (user, program) = as_user(&host, UID, &[]);
    let mut command = Command::new("/bin/sh");
    command.args(["-c", script]).env_clear().current_dir("/");
    command.envs(user.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let ended = finish(prepared(command, move || {
        super::mounts::no_memory_files()?;
        // SAFETY: integers.
        check(unsafe { libc::dup2(program.as_raw_fd(), 9) })?;
        change_user(UID)
    }));
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "hi\npasswd\none\n"), "{ended:?}");
    left_nothing(&host, "an init from a file");
}
