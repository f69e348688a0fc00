//! AppArmor as it is on this machine, and the profiles that root's containers have by default.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::launch::{HelperSource, HostProgram, memory_file, run_program};
use crate::plan::confined::{DEFAULT, profiles};
use crate::plan::facts::AppArmor;

/// All that are loaded, one a line: `name (mode)`. Root may read it.
const LOADED: &str = "/sys/kernel/security/apparmor/profiles";
/// A number that grows with each change of them (Linux 4.13).
const REVISION: &str = "/sys/kernel/security/apparmor/revision";
/// Loading takes some hundredths of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whether the kernel confines processes by it; of the default profile nothing is known.
pub fn found() -> AppArmor {
    let enabled = fs::read_bounded(Path::new("/sys/module/apparmor/parameters/enabled"), 16).unwrap_or_default();
    match enabled.trim_ascii() {
        b"Y" => AppArmor::Unprepared("the default one is loaded by root, for its own containers".into()),
        _ => AppArmor::Off,
    }
}

/// What was found at a revision of the kernel's profiles.
#[derive(Debug, Default)]
pub struct Watched(Mutex<Option<(Vec<u8>, AppArmor)>>);

impl Watched {
    /// As [`found`] for root, who has the default profiles loaded where they are not, or have been changed since.
    pub fn prepared(&self, helper: &HelperSource) -> AppArmor {
        // Before the look: what changes during it is looked at the next time.
        let revision = fs::read_following(Path::new(REVISION), 64).ok();
        let mut seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (&*seen, &revision) {
            (Some((then, found)), Some(now)) if then == now => found.clone(),
            _ => {
                let found = prepare(helper);
                *seen = revision.map(|revision| (revision, found.clone()));
                found
            }
        }
    }
}

fn prepare(helper: &HelperSource) -> AppArmor {
    match are_enforced().and_then(|enforced| if enforced { Ok(()) } else { load(helper) }) {
        Ok(()) => AppArmor::Prepared,
        Err(error) => AppArmor::Unprepared(error.to_string()),
    }
}

/// One that is there to complain denies nothing.
fn are_enforced() -> Result<bool> {
    const MOST: u64 = 4 << 20;
    let all = fs::read_bounded(Path::new(LOADED), MOST)
        .map_err(|e| e.hint("mount it: mount -t securityfs securityfs /sys/kernel/security"))?;
    let all = String::from_utf8_lossy(&all);
    let is_enforced = |name: &str| all.lines().any(|line| line.strip_suffix(" (enforce)") == Some(name));
    Ok(profiles().names().iter().all(|name| is_enforced(name)))
}

/// By AppArmor's own compiler. Who else is loading it at the same time loads the same.
fn load(helper: &HelperSource) -> Result<()> {
    let failed = |error: Error| error.within("load AppArmor profile", DEFAULT);
    let program = HostProgram {
        path: parser()?,
        // Nothing is kept in its cache: the text has no file, by whose time that would be told to be old.
        args: ["apparmor_parser", "--replace", "--skip-cache"].map(str::to_owned).into(),
        env: vec!["PATH=/usr/sbin:/usr/bin:/sbin:/bin".into()],
    };
    let text = text().map_err(failed)?;
    let deadline = Some(Instant::now() + PATIENCE);
    let exit =
        run_program(&program, [Some(text.as_fd()), None, None], helper, &Cancel::new(), deadline).map_err(failed)?;
    match exit.status() {
        0 => Ok(()),
        status => Err(Error::new(Kind::Unsupported, "load AppArmor profile", DEFAULT)
            .because(format!("{} ended with status {status}", program.path))),
    }
}

fn text() -> Result<OwnedFd> {
    let text = memory_file([profiles().text.as_bytes(), &[]]).context("make file", "")?;
    nix::unistd::lseek(&text, 0, nix::unistd::Whence::SeekSet).context("read file", "")?;
    Ok(text)
}

fn parser() -> Result<String> {
    let places = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(|dir| format!("{dir}/apparmor_parser"));
    places.into_iter().find(|path| fs::executable(Path::new(path))).ok_or_else(|| {
        Error::new(Kind::NotFound, "find AppArmor's compiler", "apparmor_parser")
            .because("it is not installed")
            .hint("apt install apparmor")
    })
}
