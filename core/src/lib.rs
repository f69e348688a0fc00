//! Sampan: an embeddable container library with no daemon.
//!
//! Start with [`Engine`]. The rooms and what may import what are told in `ARCHITECTURE.md`.

pub mod ahead;
pub mod api;
pub mod cancel;
pub mod error;
#[doc(hidden)]
pub mod given;
pub mod id;
pub mod oci;
pub mod progress;
pub mod reference;
pub mod setup;

mod capability;
#[cfg(feature = "capi")]
mod capi;
mod cgroup;
mod fs;
mod launch;
mod layer;
mod lock;
mod net;
mod ops;
mod paths;
mod plan;
mod registry;
mod seccomp;
mod spec;
mod store;
mod sys;
mod systemd;
mod wire;

pub use api::*;
pub use cancel::Cancel;
pub use error::{Error, Kind, Result};
pub use progress::{Event, Progress, Quiet};
