//! SELinux as it is on this machine, and the labels that its policy has for containers.

use std::path::Path;

use crate::api::MountKind;
use crate::error::{Error, Kind, Result};
use crate::paths::Paths;
use crate::plan::facts::{Contexts, SeLinux};
use crate::plan::labels;
use crate::store::containers::Record;
use crate::{fs, sys};

/// What `statfs(2)` calls its file system.
const MAGIC: i64 = 0xf97c_ff8c;
/// Where that is.
const PLACE: &str = "/sys/fs/selinux";

/// Whether it is enabled, and what containers are called by its policy.
pub fn found() -> SeLinux {
    // Before a policy is loaded there is one label, which is the kernel's.
    let Some(own) = label().filter(|label| label != "kernel") else { return SeLinux::Off };
    match contexts().and_then(|contexts| may_give(&own, &contexts.process).map(|()| contexts)) {
        Ok(contexts) => SeLinux::Prepared(contexts),
        Err(error) => SeLinux::Unprepared(error.to_string()),
    }
}

/// This process's, where there are any.
fn label() -> Option<String> {
    let there = sys::fs_type(Path::new(PLACE)) == Ok(MAGIC);
    there.then(|| text("/proc/self/attr/current").trim_end_matches(['\0', '\n']).to_owned())
}

fn text(path: &str) -> String {
    const MOST: u64 = 1 << 16;
    fs::read_following(Path::new(path), MOST).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

/// Policies that know of containers say what they are called (container_contexts(5)), for all of them or for one.
fn contexts() -> Result<Contexts> {
    let config = text("/etc/selinux/config");
    let policy = value(&config, "SELINUXTYPE").unwrap_or("targeted");
    let places =
        ["/usr/share/containers/selinux/contexts".to_owned(), format!("/etc/selinux/{policy}/contexts/lxc_contexts")];
    places.iter().find_map(|place| parse(&text(place))).ok_or_else(|| {
        Error::new(Kind::NotFound, "find the labels of containers", "")
            .because("the policy of this machine has none")
            .hint("install the package container-selinux")
    })
}

fn parse(text: &str) -> Option<Contexts> {
    Some(Contexts { process: value(text, "process")?.into(), file: value(text, "file")?.into() })
}

/// Of a line `key = "value"`.
fn value<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    let pairs = text.lines().filter_map(|line| line.split_once('='));
    pairs.filter(|(name, _)| name.trim() == key).map(|(_, value)| value.trim().trim_matches('"')).next_back()
}

/// Else no container could be started: a label is asked for whenever there are any.
fn may_give(own: &str, label: &str) -> Result<()> {
    let enforced = text(&format!("{PLACE}/enforce")).trim() == "1";
    let allowed = |target: &str, permission: &str| is_allowed(own, target, permission).unwrap_or(false);
    match !enforced || (allowed(own, "setexec") && allowed(label, "transition")) {
        true => Ok(()),
        false => Err(Error::new(Kind::PermissionDenied, "give label", label)
            .because(format!("the policy does not let {own} give it to a process"))
            .hint("label this program container_runtime_exec_t (chcon -t container_runtime_exec_t FILE)")),
    }
}

/// What the policy says of a permission about processes; one that it does not know it does not deny.
fn is_allowed(own: &str, target: &str, permission: &str) -> Result<bool> {
    let class = text(&format!("{PLACE}/class/process/index"));
    let Ok(bit) = text(&format!("{PLACE}/class/process/perms/{permission}")).trim().parse::<u32>() else {
        return Ok(true);
    };
    // The answer is a number in hexadecimal for each set of permissions, of which the first is what is allowed.
    let question = format!("{own} {target} {}", class.trim());
    let answer = fs::ask(Path::new(&format!("{PLACE}/access")), question.as_bytes())?;
    let allowed = answer.split(' ').next().and_then(|word| u32::from_str_radix(word, 16).ok()).unwrap_or_default();
    Ok(allowed & bit.checked_sub(1).map_or(0, |shift| 1 << shift) != 0)
}

/// Gives what a container is to have of the host's and of the store's labels that it may read: binds that say so by `z`
/// or `Z`, and volumes that have none yet. `label` is that of its own files.
pub(super) fn relabel(record: &Record, paths: &Paths, label: &str) -> Result<()> {
    let shared = labels::shared(label);
    for mount in record.spec.mounts.iter().map(|mount| &mount.mount) {
        let says = |word: &str| mount.options.iter().any(|option| option == word);
        let label = if says("Z") { label } else { &shared };
        match mount.kind {
            MountKind::Bind if says("z") || says("Z") => relabel_bind(Path::new(&mount.source), label)?,
            MountKind::Volume => {
                let data = paths.volumes().join(&mount.source).join("_data");
                if says("Z") || says("z") || !is_of_containers(&data, label)? {
                    fs::relabel(&data, label)?;
                }
            }
            MountKind::Bind | MountKind::Tmpfs => {}
        }
    }
    Ok(())
}

/// Whichever container's it is.
fn is_of_containers(data: &Path, label: &str) -> Result<bool> {
    let kind = |label: &str| label.split(':').nth(2).map(str::to_owned);
    Ok(fs::label(data)?.is_none_or(|found| kind(&found) == kind(label)))
}

/// Directories of the system, without the labels of which programs of the host would not find what is theirs.
fn relabel_bind(source: &Path, label: &str) -> Result<()> {
    const SYSTEM: [&str; 25] = [
        "/",
        "/bin",
        "/boot",
        "/dev",
        "/etc",
        "/etc/passwd",
        "/etc/pki",
        "/etc/shadow",
        "/home",
        "/lib",
        "/lib64",
        "/media",
        "/mnt",
        "/opt",
        "/proc",
        "/root",
        "/run",
        "/sbin",
        "/srv",
        "/sys",
        "/tmp",
        "/usr",
        "/var",
        "/var/lib",
        "/var/log",
    ];
    let place = fs::resolved(source)?;
    let home = std::env::var_os("HOME").is_some_and(|home| place == Path::new(&home));
    match home || SYSTEM.iter().any(|dir| place == Path::new(dir)) {
        false => fs::relabel(&place, label),
        true => Err(Error::new(Kind::InvalidArgument, "relabel", place.display().to_string())
            .because("programs of the host need the labels that it has")
            .hint("mount a directory below it, or leave z and Z out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_read_as_policies_write_them() {
        let text = "# comment\nprocess = \"system_u:system_r:container_t:s0\"\ncontent = \"x\"\n\
                    file = \"system_u:object_r:container_file_t:s0\"\nro_file=\"y\"\n";
        let found = parse(text).unwrap();
        assert_eq!(found.process, "system_u:system_r:container_t:s0");
        assert_eq!(found.file, "system_u:object_r:container_file_t:s0");
        assert_eq!(parse("process = \"a\"\n"), None);
        assert_eq!(value("SELINUX=enforcing\nSELINUXTYPE=mls\n", "SELINUXTYPE"), Some("mls"));
    }
}
