//! Time namespaces, user namespaces that exist, network devices.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::mounts::{in_a_user_namespace, open_to_all};
use super::{Bundle, is_root};

const UPTIME: &str = "read -r seconds rest < /proc/uptime; echo ${seconds%%.*}";
const OFFSET: u64 = 1_000_000_000;

pub fn namespace(config: &mut Value, kind: &str, path: Option<&str>) {
    let all = config["linux"]["namespaces"].as_array_mut().unwrap();
    all.retain(|one| one["type"] != kind);
    all.push(match path {
        Some(path) => json!({"type": kind, "path": path}),
        None => json!({"type": kind}),
    });
}

#[test]
fn a_container_has_clocks_of_its_own() {
    let bundle = Bundle::new(&["sh", "-c", &format!("{UPTIME}; exec sleep 1000")], |config| {
        namespace(config, "time", None);
        config["linux"]["timeOffsets"] =
            json!({"boottime": {"secs": OFFSET}, "monotonic": {"secs": OFFSET, "nanosecs": 5}});
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    crate::common::until("its clock", || bundle.output().ends_with('\n'));
    let seconds: u64 = bundle.output().trim().parse().unwrap();
    assert!(seconds >= OFFSET, "{seconds}");
    let inside: u64 = bundle.ok(&["exec", &bundle.id(), "sh", "-c", UPTIME]).trim().parse().unwrap();
    assert!(inside >= OFFSET, "{inside}");
    if is_root() {
        let path = format!("/proc/{}/ns/time", bundle.state()["pid"]);
        let second = Bundle::new(&["sh", "-c", UPTIME], |config| namespace(config, "time", Some(&path)));
        let joined: u64 = second.ok(&["run", "--bundle", &second.path(""), &second.id()]).trim().parse().unwrap();
        assert!(joined >= OFFSET, "{joined}");
    }
}

#[test]
fn a_container_joins_the_user_namespace_of_another() {
    let first = Bundle::new(&["sleep", "1000"], in_a_user_namespace);
    open_to_all(&first);
    assert_eq!(first.create().code, 0, "{}", first.output());
    // The namespace of one that waits can't be opened by its path by a plain user.
    first.ok(&["start", &first.id()]);
    let pid = first.state()["pid"].as_i64().unwrap();
    for share_pids in [false, true] {
        let script = "id -u; cat /proc/self/uid_map; exec sleep 1000";
        let second = Bundle::new(&["sh", "-c", script], |config| {
            namespace(config, "user", Some(&format!("/proc/{pid}/ns/user")));
            if share_pids {
                namespace(config, "pid", Some(&format!("/proc/{pid}/ns/pid")));
            }
        });
        open_to_all(&second);
        second.change(|config| {
            let linux = config["linux"].as_object_mut().unwrap();
            linux.remove("uidMappings");
            linux.remove("gidMappings");
        });
        assert_eq!(second.create().code, 0, "{}", second.output());
        second.ok(&["start", &second.id()]);
        crate::common::until("its map", || second.output().lines().count() == 2);
        let map = std::fs::read_to_string(format!("/proc/{pid}/uid_map")).unwrap();
        let [of_both, uid]: [String; 2] =
            [map.split_whitespace().next().unwrap().to_owned(), second.output()[..1].into()];
        assert_eq!((of_both.as_str(), uid.as_str()), ("0", "0"), "{}", second.output());
        let link = |pid: i64, kind: &str| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
        let own = second.state()["pid"].as_i64().unwrap();
        assert_eq!(link(own, "user"), link(pid, "user"));
        assert_eq!(link(own, "pid") == link(pid, "pid"), share_pids);
        assert_eq!(second.ok(&["exec", &second.id(), "id", "-u"]), "0\n");
        second.ok(&["delete", "--force", &second.id()]);
        assert_eq!(second.left(), Vec::<PathBuf>::new());
    }
}

#[test]
fn a_user_namespace_that_is_not_there_is_told() {
    let bundle = Bundle::new(&["true"], |config| namespace(config, "user", Some("/proc/1/ns/nonexistent")));
    bundle.change(|config| config["linux"]["uidMappings"] = json!([]));
    let ended = bundle.create();
    assert!(ended.code != 0 && ended.stdout.contains("join the namespace /proc/1/ns/nonexistent"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

/// One by path, too: the host's sysctls and names are set through no namespace of it.
#[test]
fn a_namespace_by_path_that_is_the_hosts_is_no_containers() {
    let refused = |kind: &str, name: &str, change: &dyn Fn(&mut Value), field: &str| {
        let own = format!("/proc/{}/ns/{name}", std::process::id());
        let bundle = Bundle::new(&["true"], |config| {
            namespace(config, kind, Some(&own));
            change(config);
        });
        assert_ne!(bundle.create().code, 0);
        assert!(bundle.output().contains(field), "{}", bundle.output());
    };
    // As it is: the host's would be written if it were not refused.
    let forwards = std::fs::read_to_string("/proc/sys/net/ipv4/ip_forward").unwrap();
    let sysctl = |config: &mut Value| config["linux"]["sysctl"] = json!({"net.ipv4.ip_forward": forwards.trim()});
    refused("network", "net", &sysctl, "linux.sysctl.net.ipv4.ip_forward");
    let name = nix::unistd::gethostname().unwrap();
    refused("uts", "uts", &|config| config["hostname"] = json!(name.to_string_lossy()), "hostname");
}

/// A process in namespaces that belong to the host's users.
struct Holder(std::process::Child);

impl Holder {
    fn new() -> Holder {
        let mut holder = std::process::Command::new("unshare");
        holder.args(["--net", "--ipc", "--uts", "--time", "sh", "-c", "echo ready; exec sleep 1000"]);
        let mut holder = holder.stdout(std::process::Stdio::piped()).spawn().unwrap();
        let mut said = [0; 6];
        std::io::Read::read_exact(holder.stdout.as_mut().unwrap(), &mut said).unwrap();
        Holder(holder)
    }

    fn namespace(&self, kind: &str) -> String {
        format!("/proc/{}/ns/{kind}", self.0.id())
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

const BY_PATH: [(&str, &str); 4] = [("network", "net"), ("ipc", "ipc"), ("uts", "uts"), ("time", "time_for_children")];

fn join_all(config: &mut Value, holder: &Holder) {
    BY_PATH.iter().for_each(|(kind, name)| namespace(config, kind, Some(&holder.namespace(name))));
    config.as_object_mut().unwrap().remove("hostname");
    // They belong to who made the namespaces.
    let mounts = config["mounts"].as_array_mut().unwrap();
    mounts.retain(|mount| mount["type"] != "sysfs" && mount["type"] != "mqueue" && mount["type"] != "cgroup");
}

/// A new user namespace, or another container's, has no say in the host's.
#[test]
fn a_container_in_a_user_namespace_joins_namespaces_of_the_hosts() {
    if !is_root() {
        return;
    }
    let holder = Holder::new();
    let first = Bundle::new(&["sleep", "1000"], |config| {
        in_a_user_namespace(config);
        join_all(config, &holder);
    });
    open_to_all(&first);
    assert_eq!(first.create().code, 0, "{}", first.output());
    let second = Bundle::new(&["sleep", "1000"], |config| {
        join_all(config, &holder);
        let path = format!("/proc/{}/ns/user", first.state()["pid"]);
        namespace(config, "user", Some(&path));
    });
    open_to_all(&second);
    assert_eq!(second.create().code, 0, "{}", second.output());
    let link = |pid: &str, name: &str| std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    for bundle in [&first, &second] {
        let pid = bundle.state()["pid"].to_string();
        for (_, name) in BY_PATH {
            let own = name.trim_end_matches("_for_children");
            assert_eq!(link(&pid, own), link(&holder.0.id().to_string(), name), "{own}");
        }
        assert_ne!(link(&pid, "user"), link("self", "user"));
        bundle.ok(&["start", &bundle.id()]);
        assert_eq!(bundle.ok(&["exec", &bundle.id(), "id", "-u"]), "0\n");
    }
}

/// Two ends of a cable, of which a container gets one.
struct Cable([String; 2]);

impl Cable {
    fn new(bundle: &Bundle) -> Cable {
        let tail = bundle.id().chars().rev().take(6).collect::<String>();
        let cable = Cable(["a", "b"].map(|end| format!("{end}-{tail}")));
        cable.ip(&["link", "add", &cable.0[0], "mtu", "1400", "type", "veth", "peer", "name", &cable.0[1]]);
        cable.ip(&["addr", "add", "10.99.1.2/24", "dev", &cable.0[0]]);
        cable.ip(&["addr", "add", "fd00:99::2/64", "dev", &cable.0[0]]);
        cable
    }

    fn ip(&self, words: &[&str]) -> String {
        let done = std::process::Command::new("ip").args(words).output().unwrap();
        assert!(done.status.success(), "{words:?}: {done:?}");
        String::from_utf8(done.stdout).unwrap()
    }

    fn is_here(&self) -> bool {
        std::path::Path::new("/sys/class/net").join(&self.0[0]).exists()
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        let _ = std::process::Command::new("ip")
            .args(["link", "del", &self.0[1]])
            .stderr(std::process::Stdio::null())
            .status();
    }
}

#[test]
fn a_network_device_moves_into_the_container() {
    if !is_root() {
        return;
    }
    for user in [false, true] {
        let bundle = Bundle::new(&["/bin/busybox", "ip", "addr", "show", "dev", "boat0"], |config| {
            if user {
                in_a_user_namespace(config);
            }
            namespace(config, "network", None);
        });
        open_to_all(&bundle);
        let cable = Cable::new(&bundle);
        bundle.change(|config| config["linux"]["netDevices"] = json!({ (&cable.0[0]): {"name": "boat0"} }));
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert_eq!(ended.code, 0, "{ended:?}");
        for part in ["mtu 1400", ",UP", "inet 10.99.1.2/24", "inet6 fd00:99::2/64 scope global"] {
            assert!(ended.stdout.contains(part), "{part}: {}", ended.stdout);
        }
        assert!(!cable.is_here());
    }
}

#[test]
fn a_network_device_comes_back_from_what_failed() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["true"], |config| {
        namespace(config, "network", None);
        config["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]});
    });
    let cable = Cable::new(&bundle);
    bundle.change(|config| config["linux"]["netDevices"] = json!({ (&cable.0[0]): {"name": "boat0"} }));
    assert!(bundle.create().stdout.contains("/bin/false"), "{}", bundle.output());
    assert!(cable.ip(&["addr", "show", "dev", &cable.0[0]]).contains("inet 10.99.1.2/24"));
    bundle.change(|config| config["linux"]["netDevices"] = json!({ (&cable.0[0]): {"name": "lo"} }));
    assert!(bundle.create().stdout.contains(&format!("move the network device {}", cable.0[0])), "{}", bundle.output());
    bundle.change(|config| config["linux"]["netDevices"] = json!({"nonesuch0": {}}));
    assert!(bundle.create().stdout.contains("move the network device nonesuch0"), "{}", bundle.output());
    assert!(cable.is_here());
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}
