//! Time namespaces, and user namespaces that exist.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::mounts::{in_a_user_namespace, open_to_all};
use super::{Bundle, is_root};

const UPTIME: &str = "read -r seconds rest < /proc/uptime; echo ${seconds%%.*}";
const OFFSET: u64 = 1_000_000_000;

fn namespace(config: &mut Value, kind: &str, path: Option<&str>) {
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
    // One that waits can't be looked into by a plain user.
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
