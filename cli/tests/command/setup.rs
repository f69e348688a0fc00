//! `setup` on this very machine: for a user that is made for it, in a mount namespace whose `/etc` is a copy. Its cgroups
//! are the machine's own, and gone afterwards.

use std::process::Command;

use crate::common;
use crate::host::{Ended, Host, finish, sampan};
use crate::hosts::{as_user, is_root, own_mounts, prepared};

/// Nobody else's, since cgroups are named for them; one a test.
const UIDS: [u32; 3] = [59_237, 59_238, 59_239];

/// What the scripts share. No systemd is to be told of a copy of `/etc`, nor to make this user's cgroups.
const MACHINE: &str = r#"
set -eu
mkdir "$dir/etc" "$dir/home"
cp -a /etc/. "$dir/etc"
mount --bind "$dir/etc" /etc
if [ -d /run/systemd ]; then mount -t tmpfs tmpfs /run/systemd; fi
rm -rf /etc/sampan
useradd -u "$uid" -M -d "$dir/home" -K SUB_UID_COUNT=0 -K SUB_GID_COUNT=0 sampan-setup
chown "$uid" "$dir/home"
cp /etc/subuid /etc/subgid "$dir"
user() {
  session=/sys/fs/cgroup/sampan-users/$uid/session/cgroup.procs
  (if [ -e "$session" ]; then echo 0 >"$session"; fi
  cd / && exec runuser -u sampan-setup -- env -i HOME="$dir/home" XDG_RUNTIME_DIR="$dir/home" PATH="$PATH" "$sampan" "$@")
}
groups() { find /sys/fs/cgroup -path "*/sampan-users/$uid" 2>/dev/null; }
"#;

fn on_this_machine(uid: u32, script: &str) -> Ended {
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let program = dir.path().join("sampan");
    std::fs::copy(sampan::<&str>(&[]).get_program(), &program).unwrap();
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{MACHINE}{script}")]).env_remove("SAMPAN_RUNG").env_remove("SAMPAN_ROOT");
    command.env("dir", dir.path()).env("sampan", program).env("uid", uid.to_string()).env("image", common::image());
    finish(prepared(command, own_mounts))
}

/// One after the other: each has a note of its own, and no lock keeps them apart.
#[test]
fn a_plain_user_has_what_it_was_given_until_it_is_taken_back() {
    if !is_root() {
        return;
    }
    ids_and_limits_are_given_and_taken_back();
    a_cgroup_that_is_in_use_is_not_taken_back();
}

fn ids_and_limits_are_given_and_taken_back() {
    let ended = on_this_machine(
        UIDS[0],
        r#"
user pull -q "$image" >/dev/null
if user run --rm -m 64m "$image" true 2>/dev/null; then echo "it had limits before"; fi
echo "before: $(user info --format '{{.rung}}')"
"$sampan" setup --user sampan-setup >"$dir/first"
"$sampan" setup --user sampan-setup >"$dir/second"
cmp "$dir/first" "$dir/second"
echo "then: $(user info --format '{{.rung}}')"
user run -q --rm -m 64m --pids-limit 20 "$image" sh -c '
  cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null
  touch /tmp/f && chown 1234 /tmp/f && stat -c %u /tmp/f'
useradd -u 59300 -M sampan-other
sort -t: -n -k2 /etc/subuid | awk -F: '$2 < end { print "overlaps: " $0 } { end = $2 + $3 }'
sed -i /sampan-other/d /etc/subuid /etc/subgid
"$sampan" setup --remove >/dev/null
echo "after: $(user info --format '{{.rung}}')"
if user run --rm -m 64m "$image" true 2>/dev/null; then echo "it has limits still"; fi
cmp "$dir/subuid" /etc/subuid
cmp "$dir/subgid" /etc/subgid
ls -d /etc/sampan "$(groups)" /sys/fs/cgroup/*/sampan-users /sys/fs/cgroup/sampan-users 2>/dev/null || true
"#,
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert_eq!(ended.stdout, "before: single-id\nthen: subids\n67108864\n1234\nafter: single-id\n");
}

fn a_cgroup_that_is_in_use_is_not_taken_back() {
    let ended = on_this_machine(
        UIDS[1],
        r#"
"$sampan" setup --user sampan-setup >/dev/null
user pull -q "$image" >/dev/null
user run -q -d --name c -m 64m "$image" sleep 1000 >/dev/null
code=0
"$sampan" setup --remove >"$dir/said" || code=$?
echo "code $code"
grep -c "can't .*processes run in it" "$dir/said" | sed 's/[1-9][0-9]*/some/'
user rm -f c
"$sampan" setup --remove >/dev/null
"$sampan" setup --remove
groups
"#,
    );
    assert_eq!((ended.code, ended.stderr.as_str()), (0, ""), "{ended:?}");
    assert_eq!(ended.stdout, "code 1\nsome\nc\nnothing was done here that could be taken back\n");
}

#[test]
fn it_is_for_root_but_for_a_look() {
    let host = Host::empty();
    let as_it_is = |args: &[&str]| match is_root() {
        true => {
            let (command, _program) = as_user(&host, UIDS[2], args);
            finish(command)
        }
        false => host.run(args),
    };
    let ended = as_it_is(&["setup"]);
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(ended.stderr.contains("root's to do; sudo sampan setup"), "{ended:?}");
    let ended = as_it_is(&["setup", "--dry-run", "--format", "{{.name}} {{.state}}", "--user", "root"]);
    assert!(ended.stdout.contains("ids of root not_needed\n"), "{ended:?}");
    assert_eq!(as_it_is(&["setup", "--remove", "--user", "x"]).code, 125);
    // A directory's programs are not this machine's.
    assert_eq!(as_it_is(&["setup", "--dry-run", "--machine", "/tmp"]).code, 125);
}
