//! Freezes what is in a cgroup, and lets it go on.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;

/// A cgroup that can be frozen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Freezer {
    /// A directory of the v1 freezer hierarchy.
    V1(PathBuf),
    /// A directory of the one hierarchy (`cgroup.freeze`, since Linux 5.2).
    V2(PathBuf),
}

/// A process that sleeps uninterruptibly on a slow disk can't be frozen before it wakes.
const PATIENCE: Duration = Duration::from_secs(10);

impl Freezer {
    /// Whether it was frozen and not let go again, though something in there may still be on its way to a stop: what
    /// v1 calls `FREEZING` receives no signal either.
    pub fn is_held(&self) -> bool {
        match self {
            Freezer::V1(dir) => matches!(text(dir, "freezer.state").trim(), "FREEZING" | "FROZEN"),
            Freezer::V2(dir) => text(dir, "cgroup.freeze").trim() == "1" || self.is_frozen(),
        }
    }

    /// Whether all that is in there stands still.
    fn is_frozen(&self) -> bool {
        match self {
            Freezer::V1(dir) => text(dir, "freezer.state").trim() == "FROZEN",
            Freezer::V2(dir) => text(dir, "cgroup.events").lines().any(|line| line == "frozen 1"),
        }
    }

    /// Freezes it; returns once all stands still. What could not be frozen in time goes on again.
    pub fn freeze(&self, cancel: &Cancel) -> Result<()> {
        self.write(true)?;
        let frozen = self.await_frozen(cancel);
        if frozen.is_err() {
            let _ = self.thaw();
        }
        frozen
    }

    /// Lets it go on.
    pub fn thaw(&self) -> Result<()> {
        self.write(false)
    }

    fn write(&self, freeze: bool) -> Result<()> {
        match self {
            Freezer::V1(dir) => fs::write_kernel(&dir.join("freezer.state"), if freeze { "FROZEN" } else { "THAWED" }),
            Freezer::V2(dir) => fs::write_kernel(&dir.join("cgroup.freeze"), if freeze { "1" } else { "0" }),
        }
    }

    /// The kernel tells v1 of no change, so it is asked again and again.
    fn await_frozen(&self, cancel: &Cancel) -> Result<()> {
        let (began, mut pause) = (Instant::now(), Duration::from_micros(100));
        while !self.is_frozen() {
            cancel.check("pause container", "")?;
            if began.elapsed() > PATIENCE {
                return Err(Error::new(Kind::Timeout, "freeze cgroup", "")
                    .because("a process in it is in a system call that can't be interrupted"));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
        }
        Ok(())
    }
}

fn text(dir: &Path, file: &str) -> String {
    String::from_utf8_lossy(&fs::read_bounded(&dir.join(file), 4096).unwrap_or_default()).into_owned()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_to_a_stop_is_held() {
        let tmp = tempfile::tempdir().unwrap();
        let put = |file: &str, text: &str| std::fs::write(tmp.path().join(file), text).unwrap();
        let held_frozen = |freezer: &Freezer| (freezer.is_held(), freezer.is_frozen());
        let v1 = Freezer::V1(tmp.path().into());
        for (state, told) in [("THAWED", (false, false)), ("FREEZING", (true, false)), ("FROZEN", (true, true))] {
            put("freezer.state", &format!("{state}\n"));
            assert_eq!(held_frozen(&v1), told, "{state}");
        }
        let v2 = Freezer::V2(tmp.path().into());
        assert_eq!(held_frozen(&v2), (false, false));
        put("cgroup.freeze", "1\n");
        put("cgroup.events", "populated 1\nfrozen 0\n");
        assert_eq!(held_frozen(&v2), (true, false));
        put("cgroup.events", "populated 1\nfrozen 1\n");
        assert_eq!(held_frozen(&v2), (true, true));
    }
}
