//! Capabilities that outlive what they were given for (CVE-2022-29162), and namespaces that give new ones.

use super::common::{Host, command, text};
use super::gone;
use sampan::{Cancel, ExecOptions, RunOptions};

const SETS: &str = "grep -E '^Cap(Inh|Amb)' /proc/self/status | tr -d '\\t'";
const NONE: &str = "CapInh:0000000000000000\nCapAmb:0000000000000000\n";

#[test]
fn no_capability_is_inheritable_whoever_gives_it() {
    let host = Host::new();
    for (privileged, cap_add) in [(false, vec![]), (true, vec![]), (false, vec!["ALL".to_owned()])] {
        let options = RunOptions { privileged, cap_add, ..command(&["sh", "-c", SETS]) };
        assert_eq!(text(&host.run(options.clone()).unwrap().stdout), NONE);
        let container = host
            .spawn(RunOptions { tie: sampan::Tie::Host, command: vec!["sleep".into(), "1000".into()], ..options })
            .unwrap();
        for privileged in [false, true] {
            let command = ["sh", "-c", SETS].map(str::to_owned).to_vec();
            let exec = ExecOptions { command, privileged, ..ExecOptions::default() };
            assert_eq!(text(&container.exec(&exec, &Cancel::new()).unwrap().stdout), NONE);
        }
        gone(&host, &container);
    }
}

/// Whoever may mount can take `nodev` off; then the nodes of the image's and of its own making would be the host's.
#[test]
fn who_may_mount_opens_no_device_of_the_host_s() {
    let host = Host::new();
    if host.engine.info().unwrap().rung != sampan::Rung::Root {
        return;
    }
    // The memory, a disk, the terminal of the machine: made, and none can be opened; what each container has, can.
    let script = "mount -o remount,bind,dev / || exit 9
        mknod /k c 1 11 && mknod /b b 7 0 && mknod /t c 4 64 || exit 8
        for node in /k /b /t; do (: <$node) 2>/dev/null && echo opened $node; done
        : </dev/zero && echo zero";
    let options = RunOptions { cap_add: vec!["SYS_ADMIN".into()], ..command(&["sh", "-c", script]) };
    let output = host.run(options).unwrap();
    assert_eq!((output.exit.code, text(&output.stdout)), (0, "zero\n".into()), "{}", text(&output.stderr));
}

/// A privileged command is held by its container's filter, which was made for one that may not mount, and by its device
/// cgroup where it may or there is no such filter.
#[test]
fn nor_does_a_privileged_command() {
    let host = Host::new();
    if host.engine.info().unwrap().rung != sampan::Rung::Root {
        return;
    }
    let script = "mknod /k c 1 11; mknod /b b 7 0; mknod /t c 4 64
        mount -o remount,bind,dev /; mount -t tmpfs -o dev tmpfs /mnt && cp -a /k /b /t /mnt
        mount -o remount,bind,dev /dev; cp -a /k /b /t /dev
        for node in /k /b /t /mnt/* /dev/k /dev/b /dev/t; do (: <$node) && echo opened $node; done
        : </dev/zero && echo zero";
    let unfiltered = || vec!["seccomp=unconfined".to_owned()];
    for (cap_add, security_opt) in [(vec![], vec![]), (vec!["SYS_ADMIN".into()], vec![]), (vec![], unfiltered())] {
        let container = host.spawn(RunOptions { cap_add, security_opt, ..command(&["sleep", "1000"]) }).unwrap();
        let command = ["sh", "-c", script].map(str::to_owned).into();
        let options = ExecOptions { command, privileged: true, ..ExecOptions::default() };
        let output = container.exec(&options, &Cancel::new()).unwrap();
        assert_eq!(text(&output.stdout), "zero\n", "{}", text(&output.stderr));
    }
}

/// The way by which CVE-2022-0492 and many since begin.
#[test]
fn no_namespace_with_all_capabilities_is_made_inside() {
    let host = Host::new();
    for way in ["-U", "-Ur", "-UrmC", "-Urn", "-m", "-C", "-n", "-p"] {
        let output = host.sh(&format!("unshare {way} true 2>/dev/null && echo made"));
        assert_eq!(text(&output.stdout), "", "{way}");
    }
}
