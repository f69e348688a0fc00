//! Control groups from inside (CVE-2022-0492, CVE-2023-25809).

use super::common::{Host, command, text};
use super::{gone, sleeper};
use sampan::{Cancel, ExecOptions, RunOptions};

/// Everything in the mounted trees that can be written, and what could be made there. What is no cgroup is a tmpfs that
/// holds their mount points.
const ATTACK: &str = r#"
    cd /sys/fs/cgroup 2>/dev/null || exit 0
    find . -type f | while read file; do (: >>$file) 2>/dev/null && echo can write $file; done
    for dir in . ./*; do [ -e $dir/cgroup.procs ] && mkdir $dir/made 2>/dev/null && echo can make $dir/made; done
    for dir in . ./*; do mount -o remount,rw $dir 2>/dev/null && echo can remount $dir; done
    mkdir /tmp/group; for kind in cgroup cgroup2; do mount -t $kind none /tmp/group 2>/dev/null && echo can mount $kind; done
    find . -name release_agent | while read file; do echo /evil >$file && echo agent; done 2>/dev/null
    true"#;

#[test]
fn no_cgroup_is_written_to_from_inside() {
    let host = Host::new();
    // Root, a user namespace's root, and either without a namespace of cgroups, where the mounts show more.
    for cgroupns in [None, Some("host".to_owned())] {
        let options = RunOptions { cgroupns: cgroupns.clone(), ..command(&["sh", "-c", ATTACK]) };
        let output = host.run(options).unwrap();
        assert_eq!(
            (text(&output.stdout).as_str(), output.exit.code),
            ("", 0),
            "{cgroupns:?}: {}",
            text(&output.stderr)
        );
        let sleeper = host.spawn(RunOptions { cgroupns: cgroupns.clone(), ..sleeper() }).unwrap();
        let command = ["sh", "-c", ATTACK].map(str::to_owned).to_vec();
        let output = sleeper.exec(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new()).unwrap();
        assert_eq!((text(&output.stdout).as_str(), output.code), ("", 0), "{cgroupns:?}: {}", text(&output.stderr));
        gone(&host, &sleeper);
    }
}
