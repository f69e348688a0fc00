//! Links that take the place of a mount's target while it is being mounted (CVE-2021-30465, CVE-2023-27561,
//! CVE-2023-28642, CVE-2024-45310): containers that share a volume, one of which swaps what the other one is given.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{AT_FDCWD, RenameFlags, renameat2};

use super::common::{Host, command, text};
use sampan::{Mount, MountKind, RunOptions};

struct Shared {
    /// The volume, as it lies on the host.
    volume: PathBuf,
    /// A directory of the host's that no container has.
    outside: PathBuf,
}

impl Shared {
    fn new(host: &Host) -> Shared {
        let [volume, outside] = ["volume", "outside"].map(|name| host.dir.path().join(name));
        fs::create_dir_all(&outside).unwrap();
        fs::create_dir_all(&volume).unwrap();
        Shared { volume, outside }
    }

    fn links(&self) -> Vec<String> {
        let outside = self.outside.display().to_string();
        let up = format!("{}{outside}", "../".repeat(20));
        ["/proc/self/fd/8", "/proc/1/root", "/proc/self/cwd", "/", "..", "/proc/sys", "/dev", "link", "/nowhere/at/all"]
            .map(str::to_owned)
            .into_iter()
            .chain([outside, up.replace("//", "/")])
            .collect()
    }

    /// Starts a container whose mounts lead through the volume, of each kind.
    fn start(&self, host: &Host, target: &str) -> Result<String, sampan::Error> {
        let volume = Mount { source: self.volume.display().to_string(), target: "/vol".into(), ..Mount::default() };
        let tmpfs = Mount {
            kind: MountKind::Tmpfs,
            target: format!("/vol/{target}"),
            options: vec!["size=76k".into()],
            ..Mount::default()
        };
        let bind = Mount { target: format!("/vol/{target}-bound"), ..volume.clone() };
        let options =
            RunOptions { mounts: vec![volume, tmpfs, bind], ..command(&["grep", "-c", "size=76k", "/proc/mounts"]) };
        host.run(options).map(|output| text(&output.stdout))
    }

    #[track_caller]
    fn is_unharmed(&self, what: &str) {
        let made: Vec<PathBuf> = fs::read_dir(&self.outside).unwrap().map(|e| e.unwrap().path()).collect();
        assert_eq!(made, Vec::<PathBuf>::new(), "{what}");
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        assert!(!mounts.contains(self.outside.to_str().unwrap()) && !mounts.contains("size=76k"), "{what}: {mounts}");
    }
}

#[test]
fn links_of_a_volume_lead_no_mount_out() {
    let host = Host::new();
    let shared = Shared::new(&host);
    for link in shared.links() {
        let at = shared.volume.join("link");
        std::os::unix::fs::symlink(&link, &at).unwrap();
        for target in ["link/below", "link"] {
            match shared.start(&host, target) {
                Ok(said) => assert_eq!(said, "1\n", "{link} {target}"),
                Err(error) => assert_eq!(error.exit_code(), 125, "{link} {target}: {error}"),
            }
            shared.is_unharmed(&link);
        }
        fs::remove_file(&at).unwrap();
        let _ = fs::remove_dir_all(shared.volume.join("link-bound"));
    }
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Changes places as fast as it can until it is told.
fn swap(a: &Path, b: &Path, done: &AtomicBool) {
    while !done.load(Ordering::Relaxed) {
        renameat2(AT_FDCWD, a, AT_FDCWD, b, RenameFlags::RENAME_EXCHANGE).unwrap();
    }
}

#[test]
fn a_target_that_becomes_a_link_meanwhile_leads_no_mount_out() {
    const ROUNDS: usize = 25;
    let host = Host::new();
    let shared = Shared::new(&host);
    let (real, link) = (shared.volume.join("real"), shared.volume.join("link"));
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&shared.outside, &link).unwrap();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| swap(&real, &link, &done));
        let rounds = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for round in 0..ROUNDS {
                match shared.start(&host, "real/below") {
                    Ok(said) => assert_eq!(said, "1\n"),
                    Err(error) => assert_eq!(error.exit_code(), 125, "{error}"),
                }
                shared.is_unharmed(&format!("round {round}"));
            }
        }));
        done.store(true, Ordering::Relaxed);
        rounds.unwrap();
    });
    assert_eq!(host.left(), Vec::<String>::new());
}
