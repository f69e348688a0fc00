//! Where a test may kill the process. Nothing is left of it outside this crate's own tests.

/// Every point, in the order of a pull, a container's life and a removal.
#[cfg(test)]
pub const POINTS: &[&str] = &[
    "lease made",
    "lease written",
    "blob staged",
    "blob committed",
    "layer staged",
    "layer written",
    "layer committed",
    "ref staged",
    "ref committed",
    "index written",
    "container staged",
    "name claimed",
    "container placed",
    "name released",
    "container unlinked",
    "volume made",
    "volume unlinked",
    "ref removed",
    "gc marked",
    "gc blob removed",
    "gc layer unlinked",
    "gc tmp swept",
];

/// Dies as by `kill -9` when the environment names this point.
#[cfg(test)]
pub fn point(name: &str) {
    debug_assert!(POINTS.contains(&name), "{name} is not in the list");
    if std::env::var("SAMPAN_CRASH_AT").is_ok_and(|at| at == name) {
        let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
    }
}

/// Nothing.
#[cfg(not(test))]
#[inline(always)]
pub fn point(_: &str) {}
