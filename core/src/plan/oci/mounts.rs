//! Mounts and their options (config.md, "Mounts" and its table of Linux options).

use oci_spec::runtime::{Mount, Spec};

use super::{Request, invalid, unsupported};
use crate::error::Result;
use crate::plan::launch::{MountSource, MountStep};
use crate::plan::mounts::{NODEV, NOEXEC, NOSUID, RDONLY};

const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// Words that set an attribute; with an `r` before them, of everything below too.
const SETS: [(&str, u64); 9] = [
    ("ro", RDONLY),
    ("nosuid", NOSUID),
    ("nodev", NODEV),
    ("noexec", NOEXEC),
    ("noatime", NOATIME),
    ("strictatime", STRICTATIME),
    ("nodiratime", NODIRATIME),
    ("nosymfollow", NOSYMFOLLOW),
    ("relatime", 0),
];
/// Words that take one away again: what a new mount does not have anyway.
const CLEARS: [&str; 8] = ["rw", "suid", "dev", "exec", "atime", "diratime", "symfollow", "norelatime"];
/// Words that mean nothing to a mount of this kind, but are allowed.
const IDLE: [&str; 6] = ["defaults", "async", "nostrictatime", "loud", "nomand", "noiversion"];

/// True unless the host's /dev is mounted in the container's: then all devices are there, and none is made.
pub(super) fn has_own_dev(spec: &Spec) -> bool {
    let on_dev = |mount: &&Mount| mount.destination().to_str().map(|path| path.trim_end_matches('/')) == Some("/dev");
    !spec.mounts().iter().flatten().filter(on_dev).any(is_bind)
}

fn is_bind(mount: &Mount) -> bool {
    let word = |word: &String| word == "bind" || word == "rbind";
    mount.typ().as_deref() == Some("bind") || mount.options().iter().flatten().any(word)
}

/// All mounts, in order.
pub(super) fn read(spec: &Spec, request: &Request<'_>) -> Result<Vec<MountStep>> {
    let mut steps = Vec::new();
    for (at, mount) in spec.mounts().iter().flatten().enumerate() {
        one(&format!("mounts[{at}]"), mount, request, &mut steps)?;
    }
    Ok(steps)
}

fn one(field: &str, mount: &Mount, request: &Request<'_>, steps: &mut Vec<MountStep>) -> Result<()> {
    let target = mount.destination().to_str().ok_or_else(|| invalid(field, "its destination is not UTF-8"))?;
    // Relative ones are deprecated, and start at the root.
    let target = if target.starts_with('/') { target.to_owned() } else { format!("/{target}") };
    if mount.uid_mappings().as_ref().is_some_and(|maps| !maps.is_empty()) {
        return Err(unsupported(
            format!("{field}.uidMappings"),
            "mounts with id maps of their own are not made by this version",
        ));
    }
    let words = Words::read(field, mount)?;
    let kind = mount.typ().as_deref().unwrap_or("none");
    match kind {
        _ if is_bind(mount) => steps.push(words.step(bind(field, mount, request, words.recursive)?, target)),
        "cgroup" | "cgroup2" => cgroup(&words, target, request, steps),
        _ => {
            let named = mount.source().iter().filter_map(|source| source.to_str()).filter(|source| !source.is_empty());
            let source = named.map(|source| ("source".to_owned(), source.to_owned()));
            let options = source.chain(words.data.clone()).collect();
            steps.push(words.step(MountSource::Fs { fstype: kind.to_owned(), options }, target));
        }
    }
    Ok(())
}

fn bind(field: &str, mount: &Mount, request: &Request<'_>, recursive: bool) -> Result<MountSource> {
    let source = mount.source().as_deref().and_then(|path| path.to_str()).filter(|path| !path.is_empty());
    let source = source.ok_or_else(|| invalid(format!("{field}.source"), "a bind needs one"))?;
    let path = if source.starts_with('/') { source.to_owned() } else { format!("{}/{source}", request.bundle) };
    Ok(MountSource::Bind { path, recursive })
}

/// v2: the container's own tree. v1: a directory for each controller, of the container's own cgroups (CVE-2022-0492).
fn cgroup(words: &Words, target: String, request: &Request<'_>, steps: &mut Vec<MountStep>) {
    let facts = &request.facts.cgroups;
    if facts.mode == "v2" {
        let own = MountSource::Fs { fstype: "cgroup2".into(), options: Vec::new() };
        return steps.push(MountStep { fallback: Some("/sys/fs/cgroup".into()), ..words.step(own, target) });
    }
    let mode = vec![("mode".to_owned(), "755".to_owned())];
    steps.push(
        Words { set: words.set & !RDONLY, ..Words::default() }
            .step(MountSource::Fs { fstype: "tmpfs".into(), options: mode }, target.clone()),
    );
    for (controller, dir) in &request.groups.by_controller {
        let source = MountSource::Bind { path: dir.clone(), recursive: false };
        steps.push(words.step(source, format!("{target}/{controller}")));
    }
}

/// The words of a mount's options, sorted by what the kernel takes them as.
#[derive(Debug, Default)]
struct Words {
    set: u64,
    recursive_set: bool,
    propagation: u64,
    recursive: bool,
    data: Vec<(String, String)>,
}

impl Words {
    fn read(field: &str, mount: &Mount) -> Result<Words> {
        let options = mount.options().clone().unwrap_or_default();
        options.iter().try_fold(Words::default(), |words, word| words.take(field, word, is_bind(mount)))
    }

    fn take(mut self, field: &str, word: &str, is_bind: bool) -> Result<Words> {
        let set = |word: &str| SETS.iter().find(|(name, _)| *name == word).map(|(_, bits)| *bits);
        let below = word.strip_prefix('r').and_then(set).filter(|_| set(word).is_none());
        match word {
            "bind" => {}
            "rbind" => self.recursive = true,
            "idmap" | "ridmap" | "tmpcopyup" | "remount" | "mand" | "iversion" | "sync" | "dirsync"
                if is_bind || word.ends_with("map") =>
            {
                return Err(unsupported(format!("{field}.options"), format!("{word:?} is not known to this version")));
            }
            "tmpcopyup" => {
                return Err(unsupported(format!("{field}.options"), "\"tmpcopyup\" is not known to this version"));
            }
            _ if set(word).is_some() => self.set |= set(word).unwrap_or(0),
            _ if below.is_some() => (self.set, self.recursive_set) = (self.set | below.unwrap_or(0), true),
            _ if CLEARS.contains(&word) || IDLE.contains(&word) => {}
            _ if word.strip_prefix('r').is_some_and(|rest| CLEARS.contains(&rest)) => {}
            _ if propagation(word).is_some() => self.propagation = propagation(word).unwrap_or(0),
            // A bind takes no data; Docker and Podman leave some there.
            _ if is_bind => {}
            _ => {
                let (key, value) = word.split_once('=').unwrap_or((word, ""));
                self.data.push((key.to_owned(), value.to_owned()));
            }
        }
        Ok(self)
    }

    fn step(&self, source: MountSource, target: String) -> MountStep {
        MountStep {
            source,
            target,
            attributes: self.set,
            recursive_attributes: self.recursive_set,
            // Of a mount that is attached one at a time there is nothing below to tell.
            propagation: self.propagation & !libc::MS_REC,
            optional: false,
            fallback: None,
            copy_up: false,
        }
    }
}

/// `MS_*` of a word for propagation.
pub(super) fn propagation(word: &str) -> Option<u64> {
    Some(match word {
        "shared" => libc::MS_SHARED,
        "rshared" => libc::MS_SHARED | libc::MS_REC,
        "slave" => libc::MS_SLAVE,
        "rslave" => libc::MS_SLAVE | libc::MS_REC,
        "private" => libc::MS_PRIVATE,
        "rprivate" => libc::MS_PRIVATE | libc::MS_REC,
        "unbindable" => libc::MS_UNBINDABLE,
        "runbindable" => libc::MS_UNBINDABLE | libc::MS_REC,
        _ => return None,
    })
}
