//! Which control groups this process may make: read off the mounts, not assumed.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::Result;
use crate::fs;

/// What was found. `v1` and `v2` name only directories that can be written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// `v1`, `hybrid`, `v2` or `none`.
    pub mode: &'static str,
    /// Controller to the directory that containers' cgroups go below.
    pub v1: BTreeMap<String, String>,
    /// The directory that containers' cgroups go below.
    pub v2: Option<String>,
    /// v2: where the whole hierarchy is seen.
    pub top: Option<String>,
    /// The controllers that can be had there.
    pub v2_controllers: Vec<String>,
    /// Those that could be, were there no processes in that directory itself.
    pub v2_crowded: Vec<String>,
}

const CONTROLLERS: [&str; 11] =
    ["memory", "cpu", "cpuacct", "pids", "freezer", "cpuset", "blkio", "devices", "hugetlb", "perf_event", "rdma"];
/// Those that v2 does not have at all: some hosts of v2 mount them beside it, and are no hosts of v1 for that.
const NETWORK: [&str; 2] = ["net_cls", "net_prio"];
const MOST: u64 = 8 << 20;

/// Below a hierarchy: the cgroups of plain users that `setup` makes where no systemd does it, each named by its user's
/// number.
pub const USERS: &str = "sampan-users";

/// v2: the controllers that limits need, and that a plain user may be given.
pub const DELEGATED: [&str; 5] = ["cpu", "cpuset", "io", "memory", "pids"];

/// The hierarchies that are mounted, whoever may write to them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hierarchies {
    /// `v1`, `hybrid`, `v2` or `none`.
    pub mode: &'static str,
    /// Controller to its mount point, where v1 has the controllers.
    pub v1: BTreeMap<String, String>,
    /// The mount point, where v2 has them.
    pub v2: Option<String>,
}

/// Reads them off the text of a `mountinfo`.
pub fn hierarchies(mountinfo: &str) -> Hierarchies {
    let mounts = parse_mounts(mountinfo);
    let mode = mode(&mounts);
    let v2 = mounts.iter().find(|(_, fstype, _)| mode == "v2" && fstype == "cgroup2").map(|(point, ..)| point.clone());
    let mut v1 = if v2.is_some() { BTreeMap::new() } else { v1_places(&mounts, |point| Some(point.to_owned())) };
    // A host's rules for packets may go by their class, which is no plain user's to choose.
    v1.retain(|controller, _| !NETWORK.contains(&controller.as_str()));
    Hierarchies { mode, v1, v2 }
}

/// Reads `/proc/self/mountinfo` and `/proc/self/cgroup` and tries what is writable.
pub fn detect() -> Result<Found> {
    let text = |path: &str| {
        let bytes = fs::read_bounded(Path::new(path), MOST).map_err(|e| e.hint("mount /proc: proc(5)"))?;
        Ok::<_, crate::error::Error>(String::from_utf8_lossy(&bytes).into_owned())
    };
    let mounts = parse_mounts(&text("/proc/self/mountinfo")?);
    let own = text("/proc/self/cgroup")?;
    let mut found = Found { mode: mode(&mounts), ..Found::default() };
    match found.mode {
        "v2" => v2(&mut found, &mounts, &own),
        "none" => {}
        _ => found.v1 = v1(&mounts),
    }
    Ok(found)
}

/// `(mount point, file system, super options)` of each cgroup mount.
type Mounts = Vec<(String, String, String)>;

fn parse_mounts(mountinfo: &str) -> Mounts {
    let one = |line: &str| {
        let (left, right) = line.split_once(" - ")?;
        let (point, mut right) = (left.split(' ').nth(4)?, right.split(' '));
        let (fstype, options) = (right.next()?, right.nth(1)?);
        fstype.starts_with("cgroup").then(|| (unescape(point), fstype.to_owned(), options.to_owned()))
    };
    mountinfo.lines().filter_map(one).collect()
}

/// The kernel writes space, tab, newline and backslash as `\ooo`.
fn unescape(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(text.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

fn mode(mounts: &Mounts) -> &'static str {
    let has = |fstype: &str| mounts.iter().any(|(_, f, _)| f == fstype);
    let controllers = mounts.iter().any(|(_, f, o)| f == "cgroup" && o.split(',').any(|c| CONTROLLERS.contains(&c)));
    match (controllers, has("cgroup2")) {
        (true, true) => "hybrid",
        (true, false) => "v1",
        (false, true) => "v2",
        (false, false) => "none",
    }
}

/// Those that the machine has and this user was not given, of what was found; none for root, who takes what there is.
pub fn withheld(found: &Found) -> Result<Vec<&'static str>> {
    if found.v2.is_none() || nix::unistd::geteuid().is_root() {
        return Ok(Vec::new());
    }
    let mounts = fs::read_bounded(Path::new("/proc/self/mountinfo"), MOST)?;
    let Some(top) = hierarchies(&String::from_utf8_lossy(&mounts)).v2 else { return Ok(Vec::new()) };
    Ok(lacking(&words(&Path::new(&top).join("cgroup.controllers")), &found.v2_controllers))
}

fn lacking(all: &[String], given: &[String]) -> Vec<&'static str> {
    let has = |list: &[String], name: &str| list.iter().any(|have| have == name);
    DELEGATED.into_iter().filter(|name| has(all, name) && !has(given, name)).collect()
}

/// Controller to the first of its mounts for which there is a place.
fn v1_places(mounts: &Mounts, place: impl Fn(&str) -> Option<String>) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for (point, _, options) in mounts.iter().filter(|(_, f, _)| f == "cgroup") {
        let Some(place) = place(point) else { continue };
        for controller in options.split(',').filter(|c| CONTROLLERS.contains(c) || NETWORK.contains(c)) {
            found.entry(controller.to_owned()).or_insert_with(|| place.clone());
        }
    }
    found
}

/// Root takes the top, a plain user what `setup` has made for it there.
fn v1(mounts: &Mounts) -> BTreeMap<String, String> {
    let user = nix::unistd::geteuid();
    v1_places(mounts, |point| {
        let own = format!("{point}/{USERS}/{user}");
        [point.to_owned(), own].into_iter().find(|dir| fs::writable(Path::new(dir)))
    })
}

/// Root takes the top. A plain user takes the highest directory above its own that was delegated to it:
/// a process may only be moved where the common ancestor can be written (cgroup-v2.rst, "Delegation Containment").
fn v2(found: &mut Found, mounts: &Mounts, own: &str) {
    let Some((top, ..)) = mounts.iter().find(|(_, f, _)| f == "cgroup2") else { return };
    found.top = Some(top.trim_end_matches('/').to_owned());
    let own = own.lines().find_map(|l| l.strip_prefix("0::")).unwrap_or("/");
    let base = match nix::unistd::geteuid().is_root() && fs::writable(Path::new(top)) {
        true => Some(top.clone()),
        false => delegated(top, own),
    };
    if let Some(base) = base {
        (found.v2_controllers, found.v2_crowded) = controllers(Path::new(&base));
        found.v2 = Some(base);
    }
}

fn delegated(top: &str, own: &str) -> Option<String> {
    // A cgroup outside our namespace's root shows as `/../…`; nothing there is ours.
    let parts: Vec<&str> = own.split('/').filter(|p| !p.is_empty()).collect();
    let above = (0..=parts.len()).map(|n| format!("{top}/{}", parts[..n].join("/")));
    above.filter(|_| !parts.contains(&"..")).map(|d| d.trim_end_matches('/').to_owned()).find(|dir| {
        let dir = Path::new(dir);
        fs::writable(dir)
            && fs::writable(&dir.join("cgroup.procs"))
            && fs::writable(&dir.join("cgroup.subtree_control"))
    })
}

/// The controllers that a directory hands down or can be made to, and those that its own processes keep it
/// from handing down (cgroup-v2.rst, "No Internal Process Constraint").
pub fn controllers(base: &Path) -> (Vec<String>, Vec<String>) {
    let words = |file: &str| words(&base.join(file));
    let handed_down = words("cgroup.subtree_control");
    // Only the real root of the hierarchy has no type, and is free of the constraint.
    let free = !fs::exists(&base.join("cgroup.type")).unwrap_or(false) || words("cgroup.procs").is_empty();
    words("cgroup.controllers").into_iter().partition(|c| free || handed_down.contains(c))
}

fn words(file: &Path) -> Vec<String> {
    let text = fs::read_bounded(file, MOST).unwrap_or_default();
    String::from_utf8_lossy(&text).split_whitespace().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
30 23 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
32 30 0:28 / /sys/fs/cgroup/my\\040mem rw shared:1 master:2 - cgroup cgroup rw,memory
33 30 0:29 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
34 30 0:30 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";

    #[test]
    fn modes_are_told_apart_by_what_is_mounted() {
        let only = |word: &str| HYBRID.lines().filter(|l| l.contains(word)).collect::<Vec<_>>().join("\n");
        assert_eq!(mode(&parse_mounts(HYBRID)), "hybrid");
        assert_eq!(mode(&parse_mounts(&only("- cgroup2"))), "v2");
        assert_eq!(mode(&parse_mounts(&only("cpuacct"))), "v1");
        // systemd's own v1 hierarchy has no controller, so this is v2 in all that matters.
        assert_eq!(mode(&parse_mounts(&(only("systemd") + "\n" + &only("- cgroup2")))), "v2");
        assert_eq!(mode(&parse_mounts("1 2 0:3 / / rw - ext4 /dev/a rw")), "none");
    }

    #[test]
    fn network_controllers_are_found_and_make_no_v1_of_a_host() {
        let (tmp, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mount = |dir: &Path, controllers: &str| {
            format!("31 30 0:27 / {} rw - cgroup cgroup rw,{controllers}\n", dir.display())
        };
        let network = mount(tmp.path(), "net_cls,net_prio");
        assert_eq!(mode(&parse_mounts(&(network.clone() + "34 30 0:30 / /cg rw - cgroup2 cgroup2 rw"))), "v2");
        let both = network + &mount(other.path(), "memory");
        assert_eq!(hierarchies(&both).v1.into_keys().collect::<Vec<_>>(), ["memory"]);
        let found = v1(&parse_mounts(&both));
        assert_eq!(found.keys().collect::<Vec<_>>(), ["memory", "net_cls", "net_prio"]);
        assert_eq!(found["net_prio"], tmp.path().display().to_string());
    }

    #[test]
    fn mount_points_are_unescaped() {
        assert_eq!(parse_mounts(HYBRID)[1].0, "/sys/fs/cgroup/my mem");
    }

    #[test]
    fn a_crowded_directory_hands_down_only_what_it_does_already() {
        let tmp = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| fs::write_kernel(&tmp.path().join(file), text);
        for file in ["cgroup.controllers", "cgroup.procs", "cgroup.subtree_control", "cgroup.type"] {
            std::fs::File::create(tmp.path().join(file)).unwrap();
        }
        put("cgroup.controllers", "cpu memory pids\n").unwrap();
        let all = |list: &[&str]| list.iter().map(|c| c.to_string()).collect::<Vec<_>>();
        assert_eq!(controllers(tmp.path()), (all(&["cpu", "memory", "pids"]), vec![]));
        put("cgroup.procs", "12\n").unwrap();
        assert_eq!(controllers(tmp.path()), (vec![], all(&["cpu", "memory", "pids"])));
        put("cgroup.subtree_control", "pids\n").unwrap();
        assert_eq!(controllers(tmp.path()), (all(&["pids"]), all(&["cpu", "memory"])));
        fs::remove_file(&tmp.path().join("cgroup.type")).unwrap();
        assert_eq!(controllers(tmp.path()), (all(&["cpu", "memory", "pids"]), vec![]));
    }

    #[test]
    fn what_a_user_was_not_given_is_told_of_what_there_is() {
        let list = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(lacking(&list("cpuset cpu io memory hugetlb pids"), &list("memory pids")), ["cpu", "cpuset", "io"]);
        assert_eq!(lacking(&list("cpu memory"), &list("cpu memory")), [""; 0]);
    }

    #[test]
    fn this_host_is_understood() {
        let found = detect().unwrap();
        assert!(["v1", "hybrid", "v2", "none"].contains(&found.mode));
        assert!(found.v1.is_empty() || found.v2.is_none());
    }
}
