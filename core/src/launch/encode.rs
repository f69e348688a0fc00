//! Requests as the flat blob that `wire` reads: the same fields in the same order.

use std::fmt::Display;

use crate::error::{Error, Kind, Result};
use crate::plan::launch::{
    Capabilities, CgroupPlacement, ExecPlan, Extent, IdMap, LaunchPlan, MountSource, MountStep, Namespace, Namespaces,
    Process, Rootfs, RootfsKind, Supervise,
};
use crate::spec::Health;
use crate::wire::Restart;

/// Appends fields.
#[derive(Default)]
pub(super) struct Writer {
    bytes: Vec<u8>,
    // A NUL inside would silently cut the string in the shim.
    with_nul: Option<String>,
}

impl Writer {
    pub fn finish(self) -> Result<Vec<u8>> {
        match self.with_nul {
            None => Ok(self.bytes),
            Some(s) => Err(Error::new(Kind::InvalidArgument, "start container", format!("{s:?}"))
                .because("a path, argument or variable can't hold a NUL byte")),
        }
    }

    pub fn u32(&mut self, n: u32) {
        self.bytes.extend_from_slice(&n.to_ne_bytes());
    }

    pub fn u64(&mut self, n: u64) {
        self.bytes.extend_from_slice(&n.to_ne_bytes());
    }

    pub fn flag(&mut self, yes: bool) {
        self.u32(yes as u32);
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.u32(bytes.len() as u32);
        self.bytes.extend_from_slice(bytes);
    }

    pub fn text(&mut self, s: &(impl AsRef<str> + Display + ?Sized)) {
        let s = s.as_ref();
        if s.contains('\0') {
            self.with_nul.get_or_insert_with(|| s.to_owned());
        }
        self.raw(s.as_bytes());
        self.bytes.push(0);
    }

    /// A path of an image, whose names may be any bytes.
    pub fn path(&mut self, path: &[u8]) {
        if path.contains(&0) {
            self.with_nul.get_or_insert_with(|| path.escape_ascii().to_string());
        }
        self.raw(path);
        self.bytes.push(0);
    }

    pub fn list<T>(&mut self, items: &[T], mut put: impl FnMut(&mut Self, &T)) {
        self.u32(items.len() as u32);
        let at = self.bytes.len();
        self.u32(0);
        items.iter().for_each(|item| put(self, item));
        let length = (self.bytes.len() - at - 4) as u32;
        self.bytes[at..at + 4].copy_from_slice(&length.to_ne_bytes());
    }

    pub fn option<T>(&mut self, value: &Option<T>, put: impl FnOnce(&mut Self, &T)) {
        self.flag(value.is_some());
        if let Some(value) = value {
            put(self, value);
        }
    }

    pub fn texts(&mut self, items: &[String]) {
        self.list(items, |w, s| w.text(s));
    }

    pub fn pairs(&mut self, items: &[(String, String)]) {
        self.list(items, |w, (a, b)| {
            w.text(a);
            w.text(b);
        });
    }
}

/// The body of a launch request.
pub(super) fn launch(p: &LaunchPlan) -> Result<Vec<u8>> {
    let w = &mut Writer::default();
    launch_into(w, p);
    std::mem::take(w).finish()
}

/// The same as a part of another body.
pub(super) fn launch_into(w: &mut Writer, p: &LaunchPlan) {
    namespaces(w, &p.namespaces);
    w.option(&p.id_map, id_map);
    cgroup(w, &p.cgroup);
    rootfs(w, &p.rootfs);
    w.list(&p.mounts, mount);
    w.pairs(&p.symlinks);
    w.texts(&p.masked_paths);
    w.texts(&p.readonly_paths);
    // `net.ipv4.ip_forward` is the file net/ipv4/ip_forward; a name with slashes is one already.
    w.list(&p.sysctls, |w, (key, value)| {
        w.text(&if key.contains('/') { key.clone() } else { key.replace('.', "/") });
        w.text(value);
    });
    w.option(&p.hostname, |w, s| w.text(s));
    w.option(&p.domainname, |w, s| w.text(s));
    w.pairs(&p.accounts);
    w.option(&p.mount_label, |w, label| w.text(label));
    process(w, &p.process);
    supervise(w, &p.supervise);
}

/// Which namespace of one kind.
pub(super) fn namespace(w: &mut Writer, n: &Namespace) {
    match n {
        Namespace::Host => w.u32(0),
        Namespace::New => w.u32(1),
        Namespace::Join(path) => {
            w.u32(2);
            w.text(path);
        }
    }
}

fn namespaces(w: &mut Writer, n: &Namespaces) {
    w.flag(n.user);
    [&n.pid, &n.net, &n.ipc, &n.uts, &n.cgroup].into_iter().for_each(|n| namespace(w, n));
}

fn extent(w: &mut Writer, e: &Extent) {
    [e.inside, e.outside, e.length].into_iter().for_each(|n| w.u32(n));
}

/// Id maps of a user namespace.
pub(super) fn id_map(w: &mut Writer, m: &IdMap) {
    w.list(&m.uids, extent);
    w.list(&m.gids, extent);
    w.option(&m.helpers, |w, (uid, gid)| {
        w.text(uid);
        w.text(gid);
    });
}

fn cgroup(w: &mut Writer, c: &CgroupPlacement) {
    w.texts(&c.v1);
    w.option(&c.v2, |w, s| w.text(s));
    w.texts(&c.remove);
    w.option(&c.oom, |w, s| w.text(s));
    w.flag(c.awaited);
    w.flag(c.late);
}

fn rootfs(w: &mut Writer, r: &Rootfs) {
    match &r.kind {
        RootfsKind::Overlay { lower, upper, work, userxattr } => {
            w.u32(0);
            w.texts(lower);
            w.text(upper);
            w.text(work);
            w.flag(*userxattr);
        }
        RootfsKind::Directory { path } => {
            w.u32(1);
            w.text(path);
        }
        RootfsKind::Tree { path } => {
            w.u32(2);
            w.text(path);
        }
    }
    w.text(&r.attach_at);
    w.flag(r.readonly);
    w.flag(r.nodev);
    w.flag(r.shifted);
    w.flag(r.nested);
}

fn mount(w: &mut Writer, m: &MountStep) {
    match &m.source {
        MountSource::Fs { fstype, options } => {
            w.u32(0);
            w.text(fstype);
            w.pairs(options);
        }
        MountSource::Bind { path, recursive } => {
            w.u32(1);
            w.text(path);
            w.flag(*recursive);
        }
        MountSource::File { content, mode } => {
            w.u32(2);
            w.raw(content.as_bytes());
            w.u32(*mode);
        }
        MountSource::Memory { namespace, path } => {
            w.u32(3);
            w.text(namespace);
            w.text(path);
        }
    }
    w.text(&m.target);
    w.u64(m.attributes);
    w.u64(m.cleared);
    w.u64(m.below.0);
    w.u64(m.below.1);
    w.option(&m.id_map, |w, map| {
        w.list(&map.uids, extent);
        w.list(&map.gids, extent);
        w.flag(map.recursive);
    });
    w.flag(m.recursive_attributes);
    w.u64(m.propagation);
    w.flag(m.optional);
    w.option(&m.fallback, |w, s| w.text(s));
    w.flag(m.copy_up);
    w.option(&m.target_owner, |w, (uid, gid)| [*uid, *gid].into_iter().for_each(|id| w.u32(id)));
}

fn capabilities(w: &mut Writer, c: &Capabilities) {
    [c.bounding, c.effective, c.permitted, c.inheritable, c.ambient].into_iter().for_each(|set| w.u64(set));
}

pub(super) fn process(w: &mut Writer, p: &Process) {
    w.texts(&p.args);
    w.texts(&p.env);
    w.text(&p.cwd);
    w.text(&p.user);
    w.texts(&p.groups);
    w.u32(p.umask);
    w.flag(p.tty);
    w.flag(p.init);
    capabilities(w, &p.capabilities);
    w.flag(p.no_new_privs);
    w.list(&p.rlimits, |w, (resource, soft, hard)| {
        w.u32(*resource);
        w.u64(*soft);
        w.u64(*hard);
    });
    w.option(&p.oom_score_adj, |w, n| w.u32(*n as u32));
    w.raw(p.seccomp.as_deref().map_or(&[], Vec::as_slice));
    w.u32(p.seccomp_flags);
    w.option(&p.apparmor, |w, profile| w.text(profile));
    w.option(&p.selinux, |w, label| w.text(label));
}

/// The body of a request for a command: what goes into the packet, and what into the blob.
pub(super) fn exec(p: &ExecPlan) -> Result<(Vec<u8>, Vec<u8>)> {
    let (mut head, mut blob) = (Writer::default(), Writer::default());
    [p.process.tty, p.stdin, p.detach].into_iter().for_each(|yes| head.flag(yes));
    head.u64(p.timeout_ms);
    head.u32(p.rows);
    head.u32(p.columns);
    head.text(&p.id);
    process(&mut blob, &p.process);
    Ok((head.finish()?, blob.finish()?))
}

/// What follows a container's end.
pub(super) fn restart(w: &mut Writer, rule: Restart) {
    let (kind, most) = rule.numbers();
    w.u32(kind);
    w.u32(most);
}

fn health(w: &mut Writer, h: &Health) {
    w.texts(&h.args);
    [h.interval_ms, h.timeout_ms, h.start_period_ms, h.start_interval_ms].into_iter().for_each(|ms| w.u64(ms));
    w.u32(h.retries);
}

fn supervise(w: &mut Writer, s: &Supervise) {
    w.text(&s.dir);
    w.text(&s.state_prefix);
    w.text(&s.log);
    w.flag(s.log_json);
    w.u64(s.log_max_size);
    w.u32(s.log_max_files);
    w.flag(s.tie_host);
    w.flag(s.auto_remove);
    w.text(&s.trash);
    w.texts(&s.remove_also);
    w.u32(s.stop_signal as u32);
    w.u64(s.stop_timeout_ms);
    w.flag(s.keep_stdin);
    w.flag(s.direct);
    w.text(&s.events);
    w.text(&s.event_subject);
    restart(w, s.restart);
    w.option(&s.health, health);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{self, Reader};

    #[test]
    fn the_shim_reads_what_was_written() {
        let mut plan = LaunchPlan::default();
        plan.namespaces.net = Namespace::Join("/proc/1/ns/net".into());
        plan.symlinks = vec![("/dev/fd".into(), "/proc/self/fd".into())];
        plan.sysctls = vec![("net.ipv4.ip_forward".into(), "1".into())];
        plan.process.args = vec!["echo".into(), "a b".into()];
        plan.process.rlimits = vec![(7, 1024, 4096)];
        plan.process.seccomp = Some(vec![6, 0, 0, 0, 0, 0, 255, 127].into());
        plan.supervise.stop_timeout_ms = 10_000;
        plan.supervise.keep_stdin = true;
        let body = launch(&plan).unwrap();
        let mut reader = Reader(&body);
        let read: wire::Launch = reader.get().unwrap();
        assert!(reader.0.is_empty());
        assert_eq!(read.namespaces.net, wire::Namespace::Join(c"/proc/1/ns/net"));
        assert_eq!(read.symlinks.iter().next(), Some((c"/dev/fd", c"/proc/self/fd")));
        assert_eq!(read.sysctls.iter().next(), Some((c"net/ipv4/ip_forward", c"1")));
        assert_eq!(read.process.args.iter().collect::<Vec<_>>(), [c"echo", c"a b"]);
        assert_eq!(read.process.rlimits.iter().next(), Some((7, 1024, 4096)));
        assert_eq!((read.process.seccomp.len(), read.supervise.stop_timeout_ms), (8, 10_000));
        assert!(read.supervise.keep_stdin && !read.supervise.tie_host);
    }

    #[test]
    fn a_nul_is_refused_and_a_short_blob_is_malformed() {
        let mut plan = LaunchPlan::default();
        let body = launch(&plan).unwrap();
        assert!(Reader(&body[..body.len() - 1]).get::<wire::Launch>().is_err());
        plan.process.args = vec!["a\0b".into()];
        assert_eq!(launch(&plan).unwrap_err().kind(), Kind::InvalidArgument);
    }
}
