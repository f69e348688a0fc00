//! Mounts and their options (config.md, "Mounts" and its table of Linux options).

use std::path::Path;

use oci_spec::runtime::{Linux, LinuxIdMapping, Mount, Spec};

use super::namespaces::extent;
use super::{Request, invalid, unsupported};
use crate::error::Result;
use crate::plan::labels;
use crate::plan::launch::{MountIdMap, MountSource, MountStep};
use crate::plan::mounts::{NODEV, NOEXEC, NOSUID, OVER_PROC, RDONLY, covers_proc};

const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;
const NOSYMFOLLOW: u64 = 0x20_0000;

/// What of the access time there is a choice of is cleared as a whole.
const ATIME: u64 = 0x70;

/// Words of attributes: what each sets and clears. With an `r` before it, of everything below too.
const WORDS: [(&str, u64, u64); 18] = [
    ("ro", RDONLY, 0),
    ("rw", 0, RDONLY),
    ("nosuid", NOSUID, 0),
    ("suid", 0, NOSUID),
    ("nodev", NODEV, 0),
    ("dev", 0, NODEV),
    ("noexec", NOEXEC, 0),
    ("exec", 0, NOEXEC),
    ("nosymfollow", NOSYMFOLLOW, 0),
    ("symfollow", 0, NOSYMFOLLOW),
    ("nodiratime", NODIRATIME, 0),
    ("diratime", 0, NODIRATIME),
    ("noatime", NOATIME, ATIME),
    ("strictatime", STRICTATIME, ATIME),
    // What remains without the other two.
    ("relatime", 0, ATIME),
    ("atime", 0, ATIME),
    ("nostrictatime", 0, ATIME),
    ("norelatime", 0, ATIME),
];
/// Words that mean nothing to a mount of this kind, but are allowed.
const IDLE: [&str; 5] = ["defaults", "async", "loud", "nomand", "noiversion"];

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
    let linux = spec.linux().clone().unwrap_or_default();
    let mut steps = Vec::new();
    for (at, mount) in spec.mounts().iter().flatten().enumerate() {
        one(&format!("mounts[{at}]"), mount, &linux, request, &mut steps)?;
    }
    Ok(steps)
}

fn one(field: &str, mount: &Mount, linux: &Linux, request: &Request<'_>, steps: &mut Vec<MountStep>) -> Result<()> {
    let target = mount.destination().to_str().ok_or_else(|| invalid(field, "its destination is not UTF-8"))?;
    let target = cleaned(target);
    if target == "/" {
        let why = "nothing may be mounted over the root itself, which is root.path's";
        return Err(invalid(format!("{field}.destination"), why));
    }
    let words = Words::read(field, mount)?;
    let id_map = id_map(field, mount, &words, linux)?;
    let kind = mount.typ().as_deref().unwrap_or("none");
    if words.copy_up && (kind != "tmpfs" || is_bind(mount)) {
        return Err(invalid(format!("{field}.options"), "\"tmpcopyup\" fills a new tmpfs and nothing else"));
    }
    let host_proc = is_bind(mount) && mount.source().as_deref().is_some_and(|source| source == Path::new("/proc"));
    if covers_proc(&target, kind == "proc" || host_proc) {
        return Err(invalid(format!("{field}.destination"), OVER_PROC));
    }
    match kind {
        _ if is_bind(mount) => {
            let source = bind(field, mount, request, words.recursive)?;
            steps.push(MountStep { id_map, ..words.step(source, target) });
        }
        "cgroup" | "cgroup2" => cgroup(&words, target, request, label(linux), steps),
        _ => {
            let named = mount.source().iter().filter_map(|source| source.to_str()).filter(|source| !source.is_empty());
            let source = named.map(|source| ("source".to_owned(), source.to_owned()));
            let options = source.chain(words.data.clone()).chain(labels::option_of(kind, label(linux))).collect();
            steps.push(words.step(MountSource::Fs { fstype: kind.to_owned(), options }, target));
        }
    }
    Ok(())
}

/// Of files on the container's own file systems.
fn label(linux: &Linux) -> Option<&str> {
    linux.mount_label().as_deref().filter(|label| !label.is_empty())
}

/// From the root on, as relative ones do, which are deprecated; `..` goes by the words of the path, as in runc, and never
/// above the root: what is asked about a destination must be about where the mount will lie.
fn cleaned(target: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

fn bind(field: &str, mount: &Mount, request: &Request<'_>, recursive: bool) -> Result<MountSource> {
    let source = mount.source().as_deref().and_then(|path| path.to_str()).filter(|path| !path.is_empty());
    let source = source.ok_or_else(|| invalid(format!("{field}.source"), "a bind needs one"))?;
    let path = if source.starts_with('/') { source.to_owned() } else { format!("{}/{source}", request.bundle) };
    Ok(MountSource::Bind { path, recursive })
}

/// v2: the container's own tree. v1: a directory for each controller, of the container's own cgroups (CVE-2022-0492).
fn cgroup(words: &Words, target: String, request: &Request<'_>, label: Option<&str>, steps: &mut Vec<MountStep>) {
    let facts = &request.facts.cgroups;
    if facts.mode == "v2" {
        let own = MountSource::Fs { fstype: "cgroup2".into(), options: Vec::new() };
        return steps.push(MountStep { fallback: Some("/sys/fs/cgroup".into()), ..words.step(own, target) });
    }
    let mode = std::iter::once(("mode".to_owned(), "755".to_owned()));
    let options = mode.chain(labels::option_of("tmpfs", label)).collect();
    steps.push(
        Words { here: Change { set: words.here.set & !RDONLY, clear: 0 }, ..Words::default() }
            .step(MountSource::Fs { fstype: "tmpfs".into(), options }, target.clone()),
    );
    for (controller, dir) in &request.groups.by_controller {
        let source = MountSource::Bind { path: dir.clone(), recursive: false };
        steps.push(words.step(source, format!("{target}/{controller}")));
    }
}

/// The ids that a bind shows files with: its own map, or the container's.
fn id_map(field: &str, mount: &Mount, words: &Words, linux: &Linux) -> Result<Option<MountIdMap>> {
    let extents = |maps: &Option<Vec<LinuxIdMapping>>| maps.iter().flatten().map(extent).collect::<Vec<_>>();
    let (uids, gids) = (extents(mount.uid_mappings()), extents(mount.gid_mappings()));
    let recursive = words.id_map.unwrap_or(false);
    match (uids.is_empty(), gids.is_empty(), words.id_map) {
        (true, true, None) => return Ok(None),
        _ if !is_bind(mount) => {
            return Err(unsupported(format!("{field}.uidMappings"), "only the ids of a bind are mapped"));
        }
        (true, true, Some(_)) => {}
        (false, false, _) => return Ok(Some(MountIdMap { uids, gids, recursive })),
        _ => return Err(invalid(format!("{field}.uidMappings"), "it and gidMappings need each other")),
    }
    let (uids, gids) = (extents(linux.uid_mappings()), extents(linux.gid_mappings()));
    if uids.is_empty() || gids.is_empty() {
        return Err(invalid(
            format!("{field}.options"),
            "\"idmap\" needs uidMappings and gidMappings, of the mount or of linux",
        ));
    }
    Ok(Some(MountIdMap { uids, gids, recursive }))
}

/// Attributes to set and to clear.
#[derive(Clone, Copy, Debug, Default)]
struct Change {
    set: u64,
    clear: u64,
}

impl Change {
    /// Of words that contradict each other the later one holds.
    fn add(&mut self, (set, clear): (u64, u64)) {
        self.set = self.set & !clear | set;
        self.clear = self.clear & !set | clear;
    }
}

/// The words of a mount's options, sorted by what the kernel takes them as.
#[derive(Debug, Default)]
struct Words {
    here: Change,
    below: Change,
    propagation: u64,
    recursive: bool,
    /// Ids are mapped, and those of everything below or not.
    id_map: Option<bool>,
    /// What the image has there is copied into it.
    copy_up: bool,
    data: Vec<(String, String)>,
}

fn attribute(word: &str) -> Option<(u64, u64)> {
    WORDS.iter().find(|(name, ..)| *name == word).map(|(_, set, clear)| (*set, *clear))
}

impl Words {
    fn read(field: &str, mount: &Mount) -> Result<Words> {
        let options = mount.options().clone().unwrap_or_default();
        let mut all = options.iter().enumerate();
        all.try_fold(Words::default(), |words, (at, word)| {
            words.take(&format!("{field}.options[{at}]"), word, is_bind(mount))
        })
    }

    fn take(mut self, field: &str, word: &str, is_bind: bool) -> Result<Words> {
        let (here, below) = (attribute(word), word.strip_prefix('r').and_then(attribute));
        match (word, here, below) {
            ("bind", ..) => {}
            ("rbind", ..) => self.recursive = true,
            ("idmap" | "ridmap", ..) => self.id_map = Some(word == "ridmap"),
            ("tmpcopyup", ..) => self.copy_up = true,
            ("remount" | "mand" | "iversion" | "sync" | "dirsync", ..) if is_bind => {
                return Err(unsupported(field, format!("a bind has no {word:?} of its own")));
            }
            (_, Some(change), _) => self.here.add(change),
            (_, None, Some(change)) => self.below.add(change),
            _ if IDLE.contains(&word) => {}
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
        // A new mount has nothing to clear.
        let cleared = if matches!(source, MountSource::Bind { .. }) { self.here.clear } else { 0 };
        MountStep {
            source,
            target,
            attributes: self.here.set,
            cleared,
            below: (self.below.set, self.below.clear),
            // Of a mount that is attached one at a time there is nothing below to tell.
            propagation: self.propagation & !libc::MS_REC,
            copy_up: self.copy_up,
            ..MountStep::default()
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
