//! `setup` on machines that are directories: what it writes, what it leaves alone, and that all comes back as it was.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "common/trace.rs"]
mod trace;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use sampan::Kind;
use sampan::setup::{Setup, Start, State, Step};

const PASSWD: &str =
    "root:x:0:0::/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/sh\nbob:x:1001:100::/home/bob:/bin/sh\n";
const V2: &str = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
const SWITCH: &str = "proc/sys/kernel/apparmor_restrict_unprivileged_userns";
const PROFILE: &str = "etc/apparmor.d/sampan.usr.bin.sampan";
const LOADED: &str = "sys/kernel/security/apparmor/profiles";
const DROP_IN: &str = "etc/systemd/system/user@.service.d/sampan-delegate.conf";

struct Machine(tempfile::TempDir);

impl Machine {
    /// One with users, and nothing else that setup would look at.
    fn new() -> Machine {
        let base = if Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let machine = Machine(tempfile::tempdir_in(base).unwrap());
        machine.put("etc/passwd", PASSWD);
        machine.put("usr/bin/sampan", "");
        // The lock of accounts, which every machine has.
        machine.put("etc/.pwd.lock", "");
        ["newuidmap", "newgidmap"].iter().for_each(|name| machine.program(name));
        machine
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn put(&self, path: &str, text: impl AsRef<[u8]>) {
        std::fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        std::fs::write(self.at(path), text).unwrap();
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap()
    }

    fn program(&self, name: &str) {
        self.put(&format!("usr/bin/{name}"), "");
        std::fs::set_permissions(self.at(&format!("usr/bin/{name}")), PermissionsExt::from_mode(0o755)).unwrap();
    }

    fn setup(&self, users: &[&str]) -> Setup {
        Setup {
            root: self.0.path().to_owned(),
            users: users.iter().map(|user| user.to_string()).collect(),
            program: "/usr/bin/sampan".into(),
            helper: None,
        }
    }

    fn apply(&self, users: &[&str]) -> Vec<Step> {
        self.setup(users).apply(&|program, _| panic!("nothing is to be started, and not {program:?}")).unwrap()
    }

    fn remove(&self) -> Vec<Step> {
        self.setup(&[]).remove(&|program, _| panic!("nothing is to be started, and not {program:?}")).unwrap()
    }

    fn remove_starting(&self, start: &Start<'_>) -> Vec<Step> {
        self.setup(&[]).remove(start).unwrap()
    }

    /// Every file and directory with its mode and content.
    fn all(&self) -> BTreeMap<PathBuf, (u32, Vec<u8>)> {
        let mut all = BTreeMap::new();
        walk(self.0.path(), &mut all);
        all
    }
}

fn walk(dir: &Path, all: &mut BTreeMap<PathBuf, (u32, Vec<u8>)>) {
    for entry in std::fs::read_dir(dir).unwrap().flatten() {
        let meta = entry.metadata().unwrap();
        if meta.is_dir() {
            walk(&entry.path(), all);
        }
        let bytes = if meta.is_file() { std::fs::read(entry.path()).unwrap() } else { Vec::new() };
        all.insert(entry.path(), (meta.mode(), bytes));
    }
}

#[track_caller]
fn states(steps: &[Step], of: &str) -> Vec<State> {
    steps.iter().filter(|step| step.name.contains(of)).map(|step| step.state).collect()
}

#[track_caller]
fn detail<'a>(steps: &'a [Step], of: &str) -> &'a str {
    &steps.iter().find(|step| step.name.contains(of)).unwrap_or_else(|| panic!("no {of} in {steps:?}")).detail
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn ranges_are_given_where_there_are_none_and_taken_back() {
    let machine = Machine::new();
    machine.put("etc/subuid", "# ours\nalice:100000:65536\nold:300000:65536");
    machine.put("etc/subgid", "");
    machine.put("etc/login.defs", "SUB_GID_MIN 500000\n");
    std::fs::set_permissions(machine.at("etc/subuid"), PermissionsExt::from_mode(0o640)).unwrap();
    let before = machine.all();
    let planned = machine.setup(&["alice", "1001"]).plan().unwrap();
    assert_eq!(machine.all(), before);
    assert_eq!(states(&planned, "/etc/subuid"), [State::Done, State::ToDo]);
    let steps = machine.apply(&["alice", "1001"]);
    let details = |steps: &[Step]| steps.iter().map(|step| step.detail.clone()).collect::<Vec<_>>();
    assert_eq!(details(&planned), details(&steps));
    assert_eq!(states(&steps, "/etc/sub"), [State::Done; 4]);
    assert_eq!(machine.text("etc/subuid"), "# ours\nalice:100000:65536\nold:300000:65536\nbob:165536:65536");
    assert_eq!(machine.text("etc/subgid"), "alice:500000:65536\nbob:565536:65536\n");
    assert_eq!(machine.at("etc/subuid").metadata().unwrap().mode() & 0o777, 0o640);

    let (after, inode) = (machine.all(), machine.at("etc/subuid").metadata().unwrap().ino());
    assert_eq!(machine.apply(&["alice", "1001"]), steps);
    assert_eq!(machine.all(), after);
    assert_eq!(machine.at("etc/subuid").metadata().unwrap().ino(), inode, "nothing was written anew");

    assert_eq!(states(&machine.setup(&[]).planned_removal().unwrap(), "in /etc/sub"), [State::ToDo; 3]);
    assert_eq!(states(&machine.remove(), "in /etc/sub"), [State::Done; 3]);
    assert_eq!(machine.all(), before);
    assert_eq!(machine.remove(), []);
}

/// Who has another's id as a subordinate one is that user.
#[test]
fn a_range_has_no_id_that_an_account_has() {
    let machine = Machine::new();
    machine.put("etc/passwd", format!("{PASSWD}far:x:120000:7::/:/bin/sh\n"));
    machine.put("etc/group", "far:x:130000:\n");
    // Numbers may be written as in C (subuid(5) is read by strtoul).
    machine.put("etc/subuid", "old:0x1d4c1:65536\n");
    machine.put("etc/subgid", "old:0373002:65536\n");
    machine.apply(&["alice"]);
    assert_eq!(machine.text("etc/subuid"), format!("old:0x1d4c1:65536\nalice:{}:65536\n", 0x1d4c1 + 65536));
    assert_eq!(machine.text("etc/subgid"), format!("old:0373002:65536\nalice:{}:65536\n", 0o373002 + 65536));
}

#[test]
fn what_others_do_meanwhile_is_kept() {
    let machine = Machine::new();
    machine.apply(&["alice"]);
    let ours = machine.text("etc/subuid");
    machine.put("etc/subuid", format!("first:1:2\n{ours}last:200000:65536\n"));
    machine.put("etc/subgid", "alice:9:9\n");
    let steps = machine.remove();
    assert_eq!(machine.text("etc/subuid"), "first:1:2\nlast:200000:65536\n");
    assert_eq!((machine.text("etc/subgid").as_str(), detail(&steps, "/etc/subgid")), ("alice:9:9\n", "gone already"));
    assert!(!machine.at("etc/sampan").exists());
}

/// `userdel` takes a user's lines away, and a `useradd` later gives the same: they are no longer ours.
#[test]
fn a_range_that_was_gone_at_a_run_is_not_taken_back() {
    let machine = Machine::new();
    machine.apply(&["alice"]);
    let (uids, gids) = (machine.text("etc/subuid"), machine.text("etc/subgid"));
    machine.put("etc/subuid", "");
    machine.apply(&[]);
    machine.put("etc/subuid", &uids);
    assert_eq!(states(&machine.setup(&[]).planned_removal().unwrap(), "in /etc/sub"), [State::ToDo]);
    machine.put("etc/subgid", "");
    machine.apply(&[]);
    machine.put("etc/subgid", &gids);
    assert!(!machine.at("etc/sampan").exists());
    assert_eq!(machine.remove(), []);
    assert_eq!((machine.text("etc/subuid"), machine.text("etc/subgid")), (uids, gids));
}

#[test]
fn a_range_that_processes_have_ids_of_stays() {
    let machine = Machine::new();
    let before = machine.all();
    machine.apply(&["alice"]);
    let uids = machine.text("etc/subuid");
    machine.put("proc/self/uid_map", "0 0 4294967295\n");
    for (file, text) in [
        ("status", "Name:\tx\nUid:\t1000\t1000\t165535\t1000\nGid:\t1\t1\t1\t1\nGroups:\t1 2\n"),
        ("uid_map", "         0       1000          1\n         1     100000      65536\n"),
    ] {
        machine.put("proc/1/uid_map", "0 0 4294967295\n");
        machine.put("proc/2/uid_map", "0 100000 65536\n");
        machine.put("proc/2/status", "Name:\tended\nState:\tZ (zombie)\nUid:\t100000\t100000\t100000\t100000\n");
        machine.put("proc/1/status", "Uid:\t0\t99999\t165536\t0\nGid:\t0\t0\t0\t0\nGroups:\t\n");
        machine.put(&format!("proc/77/{file}"), text);
        let steps = machine.remove();
        assert_eq!(states(&steps, "in /etc/subuid"), [State::Impossible], "{file}");
        assert!(detail(&steps, "in /etc/subuid").contains("process 77 has ids of it"), "{steps:?}");
        assert_eq!(machine.text("etc/subuid"), uids);
        std::fs::remove_dir_all(machine.at("proc/77")).unwrap();
    }
    machine.remove();
    std::fs::remove_dir_all(machine.at("proc")).unwrap();
    assert_eq!(machine.all(), before);
}

#[test]
fn a_range_of_groups_that_a_process_is_in_stays() {
    let machine = Machine::new();
    machine.apply(&["alice"]);
    machine.put("proc/77/status", "Uid:\t1000\t1000\t1000\t1000\nGid:\t1\t1\t1\t1\nGroups:\t1 100001\n");
    let steps = machine.remove();
    assert_eq!(states(&steps, "in /etc/subgid"), [State::Impossible]);
    assert_eq!(states(&steps, "in /etc/subuid"), [State::Done]);
}

#[test]
fn files_that_were_not_there_are_gone_again() {
    let machine = Machine::new();
    let before = machine.all();
    machine.apply(&["alice"]);
    assert_eq!(machine.text("etc/subuid"), "alice:100000:65536\n");
    machine.remove();
    assert_eq!(machine.all(), before);
}

#[test]
fn what_cannot_be_is_said_and_the_rest_is_done() {
    let machine = Machine::new();
    std::fs::remove_file(machine.at("usr/bin/newuidmap")).unwrap();
    machine.put("etc/login.defs", "SUB_GID_COUNT 0\n");
    let steps = machine.apply(&["nobody-here", "root", "alice"]);
    assert!(detail(&steps, "newuidmap").contains("apt install uidmap"));
    assert!(detail(&steps, "ids of nobody-here").contains("by its number"));
    assert_eq!(states(&steps, "ids of root"), [State::NotNeeded]);
    assert_eq!(states(&steps, "/etc/sub"), [State::Done, State::Impossible]);
    assert!(detail(&steps, "/etc/subgid").contains("SUB_GID_COUNT is 0"));
    assert!(detail(&steps, "cgroups of alice").contains("no cgroups"));
    machine.put("etc/nsswitch.conf", "subid: sss\n");
    assert!(detail(&machine.apply(&["bob"]), "/etc/subuid").contains("come from sss"));
    machine.put("etc/nsswitch.conf", "");
    machine.put("etc/static", "");
    std::fs::remove_file(machine.at("etc/subuid")).unwrap();
    symlink("static", machine.at("etc/subuid")).unwrap();
    assert!(detail(&machine.apply(&["bob"]), "/etc/subuid").contains("not a plain file"));
    assert_eq!(machine.text("etc/static"), "");
}

/// The locks are those of `useradd`: one that is held is waited for, one whose holder is gone is taken.
#[test]
fn a_lock_of_a_process_that_is_gone_is_taken_over() {
    let machine = Machine::new();
    let mut child = Command::new("true").spawn().unwrap();
    child.wait().unwrap();
    machine.put("etc/subuid.lock", child.id().to_string() + "\0");
    assert_eq!(states(&machine.apply(&["alice"]), "/etc/subuid"), [State::Done]);
    assert!(!machine.at("etc/subuid.lock").exists());
}

#[test]
fn one_setup_at_a_time() {
    let machine = Machine::new();
    std::fs::create_dir(machine.at("etc/sampan")).unwrap();
    let held = std::fs::File::open(machine.at("etc/sampan")).unwrap();
    held.lock().unwrap();
    let error = machine.setup(&["alice"]).apply(&|_, _| Ok(())).unwrap_err();
    assert!(error.kind() == Kind::Conflict && error.to_string().contains("another setup"), "{error}");
    drop(held);
    machine.put("etc/sampan/setup.json", "{\"version\": 9, \"items\": []}");
    let error = machine.setup(&["alice"]).apply(&|_, _| Ok(())).unwrap_err();
    assert!(error.kind() == Kind::Store && error.to_string().contains("version 9"), "{error}");
}

/// What was started, as words.
type Started = RefCell<Vec<String>>;

fn noting<'a>(started: &'a Started, root: &'a Path) -> impl Fn(&Path, &[&str]) -> Result<(), String> + 'a {
    move |program, arguments| {
        let name = program.file_name().unwrap().to_string_lossy();
        started.borrow_mut().push(format!("{name} {}", arguments.join(" ")).replace(&*root.to_string_lossy(), ""));
        Ok(())
    }
}

fn with_systemd() -> Machine {
    let machine = Machine::new();
    machine.put("proc/self/mountinfo", V2);
    machine.put("usr/lib/systemd/systemd", "");
    std::fs::create_dir_all(machine.at("run/systemd/system")).unwrap();
    machine.program("systemctl");
    machine
}

#[test]
fn systemd_is_told_to_hand_down_all_controllers() {
    let machine = with_systemd();
    let (before, started) = (machine.all(), Started::default());
    let start = noting(&started, machine.0.path());
    let steps = machine.setup(&["alice"]).apply(&start).unwrap();
    assert_eq!(states(&steps, "by systemd"), [State::Done]);
    assert_eq!(states(&steps, "cgroups of alice"), [State::NotNeeded]);
    assert!(machine.text(DROP_IN).ends_with("[Service]\nDelegate=cpu cpuset io memory pids\n"));
    machine.setup(&["alice"]).apply(&start).unwrap();
    machine.setup(&[]).remove(&start).unwrap();
    assert_eq!(*started.borrow(), ["systemctl daemon-reload", "systemctl daemon-reload"]);
    assert_eq!(machine.all(), before);
}

#[test]
fn an_administrators_own_delegation_is_enough() {
    let machine = with_systemd();
    machine.put("etc/systemd/system/user@.service.d/delegate.conf", "[Service]\nDelegate=yes\n");
    let steps = machine.apply(&[]);
    assert!(detail(&steps, "by systemd").contains("user@.service.d/delegate.conf"), "{steps:?}");
    assert!(!machine.at(DROP_IN).exists());
}

#[test]
fn a_refusal_of_systemd_undoes_the_step() {
    let machine = with_systemd();
    let before = machine.all();
    let steps = machine.setup(&[]).apply(&|_, _| Err("Access denied".into())).unwrap();
    assert_eq!(states(&steps, "by systemd"), [State::Impossible]);
    assert!(detail(&steps, "by systemd").contains("run systemctl: Access denied"), "{steps:?}");
    assert_eq!(machine.all(), before);
}

/// As Ubuntu has it since 23.10.
fn with_apparmor() -> Machine {
    let machine = Machine::new();
    machine.put(SWITCH, "1\n");
    machine.put("etc/apparmor.d/abi/4.0", "");
    machine.put(LOADED, "sampan.usr.bin.sampan (unconfined)\n");
    machine.program("apparmor_parser");
    machine
}

#[test]
fn a_profile_is_loaded_where_the_kernel_wants_one() {
    if !is_root() {
        return;
    }
    let machine = with_apparmor();
    let (before, started) = (machine.all(), Started::default());
    let start = noting(&started, machine.0.path());
    let steps = machine.setup(&[]).apply(&start).unwrap();
    assert_eq!(states(&steps, "AppArmor"), [State::Done], "{steps:?}");
    let profile = machine.text(PROFILE);
    assert!(
        profile.contains("\nprofile sampan.usr.bin.sampan /usr/bin/sampan flags=(unconfined) {\n  userns,\n"),
        "{profile}"
    );
    machine.setup(&[]).apply(&start).unwrap();
    machine.setup(&[]).remove(&start).unwrap();
    let at = |option: &str| format!("apparmor_parser {option} /{PROFILE}");
    assert_eq!(*started.borrow(), [at("-r"), at("-R")]);
    assert_eq!(machine.all(), before);
}

#[test]
fn a_profile_is_not_for_what_others_can_replace() {
    if !is_root() {
        return;
    }
    let machine = with_apparmor();
    std::fs::set_permissions(machine.at("usr/bin"), PermissionsExt::from_mode(0o777)).unwrap();
    let said = detail(&machine.apply(&[]), "AppArmor").to_owned();
    assert!(said.contains("/usr/bin can be written by others"), "{said}");
    std::fs::set_permissions(machine.at("usr/bin"), PermissionsExt::from_mode(0o755)).unwrap();
    let odd = Setup { program: "/usr/bin/sam*".into(), ..machine.setup(&[]) };
    assert!(detail(&odd.plan().unwrap(), "AppArmor").contains("install it elsewhere"));
    std::fs::remove_file(machine.at("usr/bin/apparmor_parser")).unwrap();
    assert!(detail(&machine.apply(&[]), "AppArmor").contains("apt install apparmor"));
    machine.put(
        "etc/apparmor.d/sampan",
        "profile sampan /usr/bin/{sampan,x} {\n}\nprofile s /usr/bin/sampan {\n  userns,\n}\n",
    );
    let steps = machine.apply(&[]);
    assert_eq!(states(&steps, "AppArmor"), [State::Impossible]);
    assert!(
        detail(&steps, "AppArmor").contains("is not loaded; apparmor_parser -r /etc/apparmor.d/sampan"),
        "{steps:?}"
    );
    machine.put(LOADED, "s (unconfined)\n");
    let steps = machine.apply(&[]);
    assert_eq!(
        (states(&steps, "AppArmor"), detail(&steps, "AppArmor")),
        (vec![State::Done], "is in /etc/apparmor.d/sampan")
    );
}

/// The kernel takes neither of two profiles for one program.
#[test]
fn a_profile_of_others_counts_for_what_it_gives() {
    if !is_root() {
        return;
    }
    let machine = with_apparmor();
    let of = |name: &str, path: &str, rules: &str| format!("profile {name} {path} {{\n{rules}}}\n");
    let others = of("s", "/usr/bin/sampan", "") + &of("t", "/usr/bin/other", "  userns,\n");
    machine.put("etc/apparmor.d/sampan", others);
    machine.put(LOADED, "s (enforce)\nt (enforce)\n");
    let steps = machine.apply(&[]);
    assert_eq!(states(&steps, "AppArmor"), [State::Impossible]);
    assert!(detail(&steps, "AppArmor").contains("add `userns,` to it"), "{steps:?}");
    assert!(!machine.at(PROFILE).exists());
}

#[test]
fn a_profile_that_somebody_changed_is_left() {
    if !is_root() {
        return;
    }
    let machine = with_apparmor();
    machine.setup(&[]).apply(&|_, _| Ok(())).unwrap();
    machine.put(PROFILE, machine.text(PROFILE) + "# mine\n");
    let steps = machine.apply(&[]);
    assert!(detail(&steps, "AppArmor").contains("somebody has changed it"), "{steps:?}");
    assert!(detail(&machine.remove(), "apparmor.d").contains("left"));
    assert!(machine.text(PROFILE).ends_with("# mine\n") && !machine.at("etc/sampan").exists());
}

/// A package may bring it: it is the package's then, whoever has loaded it.
#[test]
fn a_profile_that_was_there_is_loaded_and_never_removed() {
    if !is_root() {
        return;
    }
    let machine = with_apparmor();
    machine.setup(&[]).apply(&|_, _| Ok(())).unwrap();
    let profile = machine.text(PROFILE);
    machine.remove_starting(&|_, _| Ok(()));
    machine.put(PROFILE, &profile);
    machine.put(LOADED, "another (enforce)\n");
    let (before, started) = (machine.all(), Started::default());
    let start = noting(&started, machine.0.path());
    assert_eq!(states(&machine.setup(&[]).apply(&start).unwrap(), "AppArmor"), [State::Done]);
    assert_eq!(*started.borrow(), [format!("apparmor_parser -r /{PROFILE}")]);
    assert_eq!(machine.all(), before);
    assert_eq!(machine.remove(), []);
    assert_eq!(machine.all(), before);
    let refused = machine.setup(&[]).apply(&|_, _| Err("Access denied".into())).unwrap();
    assert!(detail(&refused, "AppArmor").contains("Access denied"), "{refused:?}");
    assert_eq!(machine.all(), before);
}

/// By the parser of this machine, which looks at it and loads nothing. One before 4.0 knows neither the rule nor its version.
#[test]
fn the_profile_is_one_to_apparmor_itself() {
    if !is_root() || !Path::new("/usr/sbin/apparmor_parser").exists() {
        return;
    }
    let machine = with_apparmor();
    machine.setup(&[]).apply(&|_, _| Ok(())).unwrap();
    let mut profile = machine.text(PROFILE);
    if !Path::new("/etc/apparmor.d/abi/4.0").exists() {
        profile = profile.replace("abi <abi/4.0>,", "abi <abi/3.0>,").replace("  userns,\n", "");
    }
    machine.put("profile", profile);
    let parsed = Command::new("/usr/sbin/apparmor_parser").arg("-QK").arg(machine.at("profile")).output().unwrap();
    assert!(parsed.status.success(), "{parsed:?}");
}

/// Others would run what its writer has put there.
#[test]
fn the_helper_is_not_installed_where_others_can_replace_it() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    machine.put("home/alice/x", "");
    std::fs::set_permissions(machine.at("home/alice"), PermissionsExt::from_mode(0o777)).unwrap();
    symlink("home/alice", machine.at("link")).unwrap();
    for (path, why) in [
        ("/home/alice/helper", "can be written by others"),
        ("/link/helper", "symbolic link"),
        ("/usr/../helper", ".."),
    ] {
        let setup = Setup { helper: Some(path.into()), ..machine.setup(&[]) };
        let steps = setup.apply(&|_, _| Ok(())).unwrap();
        assert_eq!(states(&steps, "helper"), [State::Impossible, State::NotNeeded], "{steps:?}");
        assert!(detail(&steps, "helper").contains(why), "{steps:?}");
    }
    assert!(!machine.at("home/alice/helper").exists() && !machine.at("helper").exists());
}

#[test]
fn the_helper_is_installed_where_it_is_named() {
    if !is_root() {
        return;
    }
    let machine = Machine::new();
    let before = machine.all();
    let setup = Setup { helper: Some("/usr/libexec/sampan/helper".into()), ..machine.setup(&[]) };
    let steps = setup.apply(&|_, _| Ok(())).unwrap();
    assert_eq!(states(&steps, "helper"), [State::Done, State::NotNeeded], "{steps:?}");
    let helper = machine.at("usr/libexec/sampan/helper");
    assert_eq!(helper.metadata().unwrap().mode() & 0o777, 0o755);
    assert!(std::fs::read(&helper).unwrap().starts_with(b"\x7fELF"));
    machine.remove();
    assert_eq!(machine.all(), before);
    machine.put("usr/libexec/sampan/helper", "another");
    assert_eq!(states(&setup.apply(&|_, _| Ok(())).unwrap(), "helper"), [State::NotNeeded, State::NotNeeded]);
}

// What is killed.

#[test]
fn victim() {
    let Some(root) = std::env::var_os("SAMPAN_TEST_MACHINE") else { return };
    let setup = Setup {
        root: root.into(),
        users: vec!["alice".into()],
        program: "/usr/bin/sampan".into(),
        helper: Some("/usr/libexec/sampan/helper".into()),
    };
    trace::begin();
    let done = match std::env::var_os("SAMPAN_TEST_REMOVE") {
        None => setup.apply(&|_, _| Ok(())),
        Some(_) => setup.remove(&|_, _| Ok(())),
    };
    assert!(done.is_ok_and(|steps| steps.iter().all(|step| step.state != State::Impossible)));
}

/// A machine with a little of everything; whoever reads its files sees whole ones.
fn machine_to_kill_on() -> Machine {
    let machine = with_systemd();
    machine.put("etc/subuid", "old:100000:65536\n");
    machine.put("etc/subgid", "old:100000:65536\n");
    machine
}

fn is_whole(machine: &Machine, nth: usize) {
    for file in ["etc/subuid", "etc/subgid"] {
        let text = machine.text(file);
        let whole = ["old:100000:65536\n", "old:100000:65536\nalice:165536:65536\n"];
        assert!(whole.contains(&text.as_str()), "{file} after {nth}: {text}");
    }
}

fn killed(removing: bool) {
    if !is_root() {
        return;
    }
    for nth in 0.. {
        let machine = machine_to_kill_on();
        let before = machine.all();
        let setup = Setup { helper: Some("/usr/libexec/sampan/helper".into()), ..machine.setup(&["alice"]) };
        let mut environment = vec![("SAMPAN_TEST_MACHINE", machine.0.path().to_str().unwrap())];
        if removing {
            setup.apply(&|_, _| Ok(())).unwrap();
            environment.push(("SAMPAN_TEST_REMOVE", "1"));
        }
        let outcome = trace::kill_at("victim", &environment, trace::Role::Host, nth);
        is_whole(&machine, nth);
        if !removing {
            let steps = setup.apply(&|_, _| Ok(())).unwrap();
            assert!(steps.iter().all(|step| [State::Done, State::NotNeeded].contains(&step.state)), "{nth}: {steps:?}");
        }
        setup.remove(&|_, _| Ok(())).unwrap();
        let after = machine.all();
        let differs = |path: &&PathBuf| before.get(*path) != after.get(*path);
        let changed: Vec<&PathBuf> = before.keys().chain(after.keys()).filter(differs).collect();
        assert!(changed.is_empty(), "after {nth} calls, before {outcome:?}: {changed:?}");
        if outcome == trace::Outcome::Finished {
            assert!(nth > 20, "it made {nth} calls");
            return;
        }
    }
}

#[test]
fn killed_at_any_instant_it_goes_on_and_comes_back() {
    killed(false);
}

#[test]
fn killed_at_any_instant_a_removal_goes_on() {
    killed(true);
}
