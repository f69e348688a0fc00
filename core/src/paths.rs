//! The only builder of state paths.

use std::path::{Path, PathBuf};

use sha2::{Digest as _, Sha256};

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Digest, Name};

/// Where one store keeps everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Paths {
    root: PathBuf,
    run: PathBuf,
    below: Vec<Paths>,
}

/// The files of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContainerPaths(PathBuf);

impl ContainerPaths {
    /// Of a container whose directory is `dir`, in its place or still in `tmp/`.
    pub fn at(dir: PathBuf) -> Self {
        ContainerPaths(dir)
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0
    }

    /// What it was created from and as.
    pub fn record(&self) -> PathBuf {
        self.0.join("record.json")
    }

    /// Which process runs it; written by the shim.
    pub fn state(&self) -> PathBuf {
        self.0.join("state.json")
    }

    /// How it ended; written by the shim.
    pub fn exit(&self) -> PathBuf {
        self.0.join("exit.json")
    }

    /// The same before the end: the shim takes the room for it when it starts a container, and renames it.
    pub fn exit_to_come(&self) -> PathBuf {
        self.0.join("exit.json.new")
    }

    /// There once somebody has told of the end of a run whose shim was killed, and could not.
    pub fn lost(&self) -> PathBuf {
        self.0.join("lost")
    }

    /// What the shim has found of its health.
    pub fn health(&self) -> PathBuf {
        self.0.join("health.json")
    }

    /// Its output.
    pub fn log(&self) -> PathBuf {
        self.0.join("log")
    }

    /// Held exclusively as long as its shim lives.
    pub fn lock(&self) -> PathBuf {
        self.0.join("lock")
    }

    /// Held while its record is changed.
    pub fn record_lock(&self) -> PathBuf {
        self.0.join("record.lock")
    }

    /// Once it has been renamed: the claim of its name, a NUL, and what its events are about. Its shim was started by the
    /// name before.
    pub fn renamed(&self) -> PathBuf {
        self.0.join("renamed")
    }

    /// What it has written over its image.
    pub fn upper(&self) -> PathBuf {
        self.0.join("upper")
    }

    /// All of its files, where nothing can be mounted: its image's too.
    pub fn tree(&self) -> PathBuf {
        self.0.join("tree")
    }

    /// Overlayfs' own.
    pub fn work(&self) -> PathBuf {
        self.0.join("work")
    }
}

impl Paths {
    /// The given directories, or this user's usual ones. Touches nothing but `/etc/passwd`.
    pub fn new(root: Option<&str>, run: Option<&str>) -> Result<Paths> {
        Paths::for_user(root, run, &User::current())
    }

    fn for_user(root: Option<&str>, run: Option<&str>, user: &User) -> Result<Paths> {
        let root = match root {
            Some(given) => absolute(given)?,
            None => user.default_root()?,
        };
        let run = match run {
            Some(given) => absolute(given)?,
            None => user.default_run(),
        };
        Ok(Paths { root, run, below: Vec::new() })
    }

    /// The same with read-only stores below it, in which images and layers are looked for too.
    pub fn with_below(mut self, stores: &[String]) -> Result<Paths> {
        for store in stores {
            self.below.push(Paths { root: absolute(store)?, run: self.run.clone(), below: Vec::new() });
        }
        Ok(self)
    }

    /// This store, then those below it.
    pub fn all(&self) -> impl Iterator<Item = &Paths> {
        std::iter::once(self).chain(&self.below)
    }

    /// Makes what is missing, closed to everyone else, and refuses a store that is someone else's.
    pub fn make(&self) -> Result<()> {
        // Whoever owns the disks may move the store by a symlink. One in /tmp may be anybody's.
        make_private(&self.root, fs::owner_followed)?;
        make_private(&self.run, fs::owner)?;
        for dir in [
            self.blobs(),
            self.refs(),
            self.layers(),
            self.containers(),
            self.names(),
            self.volumes(),
            self.tmp(),
            self.locks(),
            self.leases(),
            self.events(),
        ] {
            fs::make_dirs(&dir)?;
        }
        Ok(())
    }

    /// The store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// What need not outlive a boot: sockets and mount points.
    pub fn run(&self) -> &Path {
        &self.run
    }

    /// The marker of an OCI layout.
    pub fn oci_layout(&self) -> PathBuf {
        self.root.join("oci-layout")
    }

    /// The index of the derived OCI layout.
    pub fn index(&self) -> PathBuf {
        self.root.join("index.json")
    }

    /// All blobs.
    pub fn blobs(&self) -> PathBuf {
        self.root.join("blobs/sha256")
    }

    /// One blob.
    pub fn blob(&self, digest: &Digest) -> PathBuf {
        self.blobs().join(digest.hex())
    }

    /// All tags.
    pub fn refs(&self) -> PathBuf {
        self.root.join("refs")
    }

    /// One tag.
    pub fn reference(&self, reference: &str) -> PathBuf {
        self.refs().join(escape(reference))
    }

    /// All unpacked layers: a directory a form, in it one a diff id.
    pub fn layers(&self) -> PathBuf {
        self.root.join("layers")
    }

    /// One unpacked layer: the directory that holds `fs/` and its sidecars.
    pub fn layer(&self, form: &Name, diff_id: &Digest) -> PathBuf {
        self.layers().join(form.as_str()).join(diff_id.hex())
    }

    /// All containers.
    pub fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// One container.
    pub fn container(&self, id: &ContainerId) -> ContainerPaths {
        ContainerPaths(self.containers().join(id.as_str()))
    }

    /// All claims of names.
    pub fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// The claim of one name: a symlink whose text is the container's id.
    pub fn name(&self, name: &Name) -> PathBuf {
        self.names().join(name.as_str())
    }

    /// All volumes.
    pub fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// One volume: the directory that holds `_data/`.
    pub fn volume(&self, name: &Name) -> PathBuf {
        self.volumes().join(name.as_str())
    }

    /// What is being made or deleted.
    pub fn tmp(&self) -> PathBuf {
        self.root.join("tmp")
    }

    /// Lock files.
    pub fn locks(&self) -> PathBuf {
        self.root.join("locks")
    }

    /// The lock that garbage collection takes whole, and commits share.
    pub fn gc_lock(&self) -> PathBuf {
        self.locks().join("gc")
    }

    /// The lock of the tags: held to change one and the layout derived from them.
    pub fn refs_lock(&self) -> PathBuf {
        self.locks().join("refs")
    }

    /// The lock under which stale claims of names are taken back.
    pub fn names_lock(&self) -> PathBuf {
        self.locks().join("names")
    }

    /// The lock of one layer while it is unpacked.
    pub fn layer_lock(&self, form: &Name, diff_id: &Digest) -> PathBuf {
        self.locks().join(format!("layer-{form}-{}", diff_id.hex()))
    }

    /// What happened in the store: a file for each machine that shares it.
    pub fn events(&self) -> PathBuf {
        self.root.join("events")
    }

    /// The leases of running pulls. In the store, not the run directory: two processes with different
    /// run directories (a login shell and a cron job) must see each other's.
    pub fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }
}

/// Who asks, and what the environment says. Apart from the process so that it can be tested.
struct User {
    uid: u32,
    home: Option<PathBuf>,
    data_home: Option<PathBuf>,
    runtime_dir: Option<PathBuf>,
}

impl User {
    fn current() -> User {
        let uid = nix::unistd::geteuid().as_raw();
        let dir = |key| std::env::var_os(key).map(PathBuf::from).filter(|p| p.is_absolute());
        User { uid, home: dir("HOME"), data_home: dir("XDG_DATA_HOME"), runtime_dir: dir("XDG_RUNTIME_DIR") }
    }

    fn default_root(&self) -> Result<PathBuf> {
        if self.uid == 0 {
            return Ok("/var/lib/sampan".into());
        }
        if let Some(data) = &self.data_home {
            return Ok(data.join("sampan"));
        }
        match self.home.clone().or_else(|| passwd_home(self.uid)) {
            Some(home) => Ok(home.join(".local/share/sampan")),
            None => Err(Error::new(Kind::InvalidArgument, "find store", "")
                .because(format!("user {} has no home directory", self.uid))
                .hint("set HOME or give a root")),
        }
    }

    fn default_run(&self) -> PathBuf {
        match &self.runtime_dir {
            _ if self.uid == 0 => "/run/sampan".into(),
            // A stale variable (su, sudo, a pod) names a directory that is missing or another user's.
            Some(dir) if fs::owner(dir).is_ok_and(|o| o == Some(self.uid)) => dir.join("sampan"),
            _ => format!("/tmp/sampan-{}", self.uid).into(),
        }
    }
}

/// Whose ids of the host's are whose: the machine's, and so in no store.
pub fn claimed_ids() -> PathBuf {
    "/var/lib/sampan-ids".into()
}

/// The home directory that `/etc/passwd` gives; read by ourselves, since NSS would load code into the host.
fn passwd_home(uid: u32) -> Option<PathBuf> {
    let passwd = fs::read_bounded(Path::new("/etc/passwd"), 4 << 20).ok()?;
    home_in(&String::from_utf8_lossy(&passwd), uid)
}

fn home_in(passwd: &str, uid: u32) -> Option<PathBuf> {
    let fields = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>());
    let mut of_uid = fields.filter(|f| f.len() >= 7 && f[2].parse() == Ok(uid));
    of_uid.next().map(|f| PathBuf::from(f[5])).filter(|p| p.is_absolute())
}

fn absolute(path: &str) -> Result<PathBuf> {
    match path.is_empty() {
        true => Err(Error::new(Kind::InvalidArgument, "open store", "").because("the path is empty")),
        false => fs::absolute(Path::new(path)),
    }
}

/// Makes the directory with mode 0700, and refuses one that is not ours: its owner could change
/// what we read, or we would leave him files that he can't use.
fn make_private(dir: &Path, owner: fn(&Path) -> Result<Option<u32>>) -> Result<()> {
    const CURE: &str = "give another root (and run) directory";
    fs::make_dirs(dir).map_err(|error| match error.hint_text() {
        Some(_) => error,
        None => error.hint(CURE),
    })?;
    let me = nix::unistd::geteuid().as_raw();
    match owner(dir)? {
        Some(owner) if owner == me || me == 0 => Ok(()),
        _ => Err(Error::new(Kind::PermissionDenied, "open store", dir.display().to_string())
            .because("it belongs to another user, or is no directory")
            .hint(CURE)),
    }
}

/// A reference as a file name: all but `[A-Za-z0-9_.-]` becomes `%XX`, so two references never meet.
/// One too long for a file name is cut and told apart by its hash; no short one holds `%%`.
fn escape(reference: &str) -> String {
    let mut name = String::with_capacity(reference.len() + 16);
    for (i, b) in reference.bytes().enumerate() {
        match b {
            b'.' if i == 0 => name.push_str("%2E"),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'-' => name.push(b as char),
            _ => name.push_str(&format!("%{b:02X}")),
        }
    }
    if name.len() <= 250 {
        return name;
    }
    let hash = Digest::from_sha256(Sha256::digest(reference.as_bytes()).into());
    format!("{}%%{}", &name[..180], hash.hex())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(uid: u32) -> User {
        User { uid, home: None, data_home: None, runtime_dir: None }
    }

    fn paths(u: &User) -> (String, String) {
        let p = Paths::for_user(None, None, u).unwrap();
        (p.root.display().to_string(), p.run.display().to_string())
    }

    #[test]
    fn every_user_has_usual_places() {
        assert_eq!(paths(&user(0)), ("/var/lib/sampan".into(), "/run/sampan".into()));
        let home = User { home: Some("/home/a".into()), ..user(4_000_000_001) };
        assert_eq!(paths(&home), ("/home/a/.local/share/sampan".into(), "/tmp/sampan-4000000001".into()));
        let xdg = User { data_home: Some("/data".into()), runtime_dir: Some("/nonexistent".into()), ..home };
        assert_eq!(paths(&xdg), ("/data/sampan".into(), "/tmp/sampan-4000000001".into()));
        let homeless = Paths::for_user(None, None, &user(4_000_000_001)).unwrap_err();
        assert!(homeless.to_string().contains("set HOME"), "{homeless}");
    }

    #[test]
    fn a_runtime_directory_of_ours_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        let uid = nix::unistd::geteuid().as_raw();
        let mine = User { runtime_dir: Some(dir.path().into()), home: Some("/h".into()), ..user(uid) };
        let expected = if uid == 0 { "/run/sampan".into() } else { dir.path().join("sampan") };
        assert_eq!(mine.default_run(), expected);
    }

    #[test]
    fn passwd_gives_a_home() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nodd\na:x:1000:1000::/home/a:/bin/sh\nb:x:1001:1::rel:/bin/sh\n";
        assert_eq!(home_in(passwd, 1000), Some("/home/a".into()));
        assert_eq!(home_in(passwd, 1001), None);
        assert_eq!(home_in(passwd, 7), None);
    }

    #[test]
    fn references_become_distinct_file_names() {
        assert_eq!(escape("127.0.0.1:5000/a/b:1"), "127.0.0.1%3A5000%2Fa%2Fb%3A1");
        assert_eq!(escape(".."), "%2E.");
        assert_ne!(escape("a%2Fb"), escape("a/b"));
        let long = |end: &str| escape(&format!("{}{end}", "r/".repeat(200)));
        assert!(long("a").len() <= 255 && long("a") != long("b"));
    }

    #[test]
    fn a_store_is_made_private() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
        paths.make().unwrap();
        paths.make().unwrap();
        let mode = |p: &Path| p.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(paths.root()), mode(paths.run()), mode(&paths.tmp())), (0o700, 0o700, 0o700));
    }

    #[test]
    fn a_store_of_another_user_is_refused_and_left_alone() {
        use std::os::unix::fs::PermissionsExt;
        if !nix::unistd::geteuid().is_root() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        fs::make_dirs(Path::new(&at("root"))).unwrap();
        let opened = std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                // SAFETY: integers only. The system call, not the library's, changes this thread alone.
                assert_eq!(unsafe { libc::syscall(libc::SYS_setresuid, 65534, 65534, 65534) }, 0);
                Paths::new(Some(&at("root")), Some(&at("run"))).unwrap().make()
            });
            thread.join().unwrap()
        });
        let error = opened.unwrap_err();
        assert_eq!(error.kind(), Kind::PermissionDenied);
        let told =
            format!("open store {}: it belongs to another user, or is no directory; give another root", at("root"));
        assert!(error.to_string().starts_with(&told), "{error}");
        assert!(fs::list(Path::new(&at("root"))).unwrap().is_empty());
        assert_eq!(fs::owner(Path::new(&at("root"))).unwrap(), Some(0));
    }

    #[test]
    fn a_symlink_in_the_place_of_the_run_directory_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/nonexistent", dir.path().join("run")).unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        assert!(Paths::new(Some(&at("root")), Some(&at("run"))).unwrap().make().is_err());
    }
}
