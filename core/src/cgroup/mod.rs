//! Control groups: find, make, limit, remove.

mod detect;
pub mod devices;
mod end;
mod freeze;
mod make;
mod members;
mod usage;

pub use detect::{Found, detect};
pub use end::end;
pub use freeze::Freezer;
pub use make::{Directory, make};
pub use members::{members, members_below, signal_below};
pub use usage::{Counters, usage};
