//! Leases: what a running pull uses before any reference does.
//!
//! A lease is a file of digests whose lock dies with the process.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;

use super::crash;
use crate::error::{Context, Result};
use crate::fs::{self, File};
use crate::id::Digest;
use crate::lock::{self, Lock, Mode};
use crate::paths::Paths;
use crate::sys;

/// A pull can't name more; a lease is read whole.
const MAX: u64 = 1 << 20;

/// Keeps blobs and layers from garbage collection for as long as it lives.
#[derive(Debug)]
pub struct Lease {
    paths: Paths,
    path: PathBuf,
    file: File,
    _lock: Lock,
}

impl Lease {
    /// A lease of nothing yet.
    pub fn new(paths: &Paths) -> Result<Lease> {
        loop {
            let random = sys::random_bytes().context("make lease in", paths.leases().display())?;
            let path = paths.leases().join(format!("{:032x}", u128::from_ne_bytes(random)));
            let Some(file) = fs::create_new(&path)? else { continue };
            crash::point("lease made");
            let locked = file.try_clone().context("lock", path.display())?;
            // A collection between the making and the lock took it for a dead one: then another.
            if let Some(lock) = Lock::try_open(locked, &path, Mode::Exclusive)? {
                return Ok(Lease { paths: paths.clone(), path, file, _lock: lock });
            }
        }
    }

    /// Keeps these too. What is in the store when this returns stays; so lease first, look then.
    pub fn hold(&mut self, digests: &[Digest]) -> Result<()> {
        let _guard = lock::shared(&self.paths.gc_lock())?;
        let lines: String = digests.iter().map(|d| format!("{d}\n")).collect();
        self.file.write_all(lines.as_bytes()).context("write", self.path.display())?;
        crash::point("lease written");
        Ok(())
    }

    /// Returns when all that was put in the store is on the disk: to be called before a reference is set.
    ///
    /// One `syncfs` waits for what others wrote there, too, and is still far cheaper than a sync of every file
    /// (8,000 files of 16 KiB on ext4: 0.6 s, and 28 s one by one). As the lease's file was open meanwhile, it
    /// also tells of a write that failed in the background, as on NFS.
    pub fn settle(&self) -> Result<()> {
        nix::unistd::syncfs(&self.file).context("sync", self.paths.root().display())
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// What living leases hold. Dead ones are removed.
pub fn held(paths: &Paths) -> Result<HashSet<Digest>> {
    let mut held = HashSet::new();
    for name in fs::list(&paths.leases())? {
        let path = paths.leases().join(name);
        let file = match fs::open(&path) {
            Err(e) if e.errno() == Some(libc::ENOENT) => continue,
            file => file?,
        };
        match Lock::try_open(file, &path, Mode::Exclusive)? {
            Some(_dead) => drop(fs::remove_file(&path)?),
            None => held.extend(digests(&fs::read_if_exists(&path, MAX)?.unwrap_or_default())),
        }
    }
    Ok(held)
}

fn digests(lease: &[u8]) -> Vec<Digest> {
    String::from_utf8_lossy(lease).lines().filter_map(|l| l.parse().ok()).collect()
}
