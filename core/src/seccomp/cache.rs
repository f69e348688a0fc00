//! Programs that were compiled before, by what they were compiled from.

use std::sync::{Arc, Mutex, PoisonError};

use super::guard::guarded;
use super::{Arch, Circumstances, Filter, compile, default, read};
use crate::error::Result;

/// A program and what it was compiled from: no text stands for the default profile.
struct Entry {
    profile: Option<Arc<str>>,
    around: Circumstances,
    filter: Arc<Filter>,
}

/// Docker's fourteen capabilities.
pub(super) const DOCKERS: u64 = 0xa804_25fb;

/// Few are ever in use at once; the oldest makes room.
const MOST: usize = 16;
static COMPILED: Mutex<Vec<Entry>> = Mutex::new(Vec::new());

/// The program of the profile that applies when none is named.
///
/// # Errors
/// Those of [`compile`].
pub fn default_filter(around: &Circumstances) -> Result<Arc<Filter>> {
    cached(None, around, || match prepared(around) {
        Some(program) => Ok(program.to_vec()),
        None => compile(&guarded(default::policy(around), around)),
    })
}

/// The program of nearly all containers, compiled when this library was written: half the time that a process which
/// runs only one spends in its own code would go into it. A test holds it against the compiler.
fn prepared(around: &Circumstances) -> Option<&'static [u8]> {
    let usual = !around.without_namespaces && around.capabilities == DOCKERS && around.kernel >= default::TRACING_SINCE;
    match around.arch {
        Arch::X86_64 if usual => Some(include_bytes!("prepared/x86_64.bpf")),
        Arch::Aarch64 if usual => Some(include_bytes!("prepared/aarch64.bpf")),
        _ => None,
    }
}

/// The program of a profile in Docker's form.
///
/// # Errors
/// Those of [`read`] and [`compile`].
pub fn filter_of(profile: &str, around: &Circumstances) -> Result<Arc<Filter>> {
    cached(Some(profile), around, || compile(&guarded(read(profile, around)?, around)))
}

fn cached(profile: Option<&str>, around: &Circumstances, make: impl FnOnce() -> Result<Filter>) -> Result<Arc<Filter>> {
    let same = |entry: &&Entry| entry.profile.as_deref() == profile && entry.around == *around;
    if let Some(found) = lock().iter().find(same) {
        return Ok(found.filter.clone());
    }
    // Compiled unlocked: a second thread may do the same work, but none waits.
    let filter = Arc::new(make()?);
    let mut compiled = lock();
    if compiled.len() == MOST {
        compiled.remove(0);
    }
    compiled.push(Entry { profile: profile.map(Arc::from), around: *around, filter: filter.clone() });
    Ok(filter)
}

fn lock() -> std::sync::MutexGuard<'static, Vec<Entry>> {
    COMPILED.lock().unwrap_or_else(PoisonError::into_inner)
}
