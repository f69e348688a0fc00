//! Blobs, image refs, layers, container records, volumes on disk; leases and garbage collection.
//!
//! Plain files; no process owns them. What is made is made in `tmp/` and renamed into place whole; what
//! is deleted is renamed out of sight first. So a process killed at any instant leaves nothing half-made
//! in view, and what it leaves in `tmp/` is told from what others work on by a lock that died with it.

pub mod blobs;
pub mod containers;
pub(crate) mod crash;
pub mod events;
pub mod gc;
pub mod ids;
pub mod image;
pub mod layers;
pub mod leases;
pub mod liveness;
mod record;
pub mod refs;
pub mod tmp;
pub mod volumes;

#[cfg(test)]
pub(crate) mod tests;
