//! Pure planning: options and facts in, a full plan out. No system call is made here.

pub mod accounts;
pub mod borrowed;
pub mod cgroup;
pub mod chroot;
pub mod confined;
pub mod devices;
pub mod exec;
pub mod facts;
pub mod identity;
pub mod labels;
pub mod launch;
pub mod life;
pub mod limits;
mod logging;
pub mod mounts;
pub mod names;
pub mod oci;
pub mod resolve;
mod rules;
pub mod security;
pub mod sharing;
pub mod start;
pub mod sysctl;
pub mod userns;
