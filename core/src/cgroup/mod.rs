//! Control groups: find, make, limit, remove.

mod detect;
pub mod devices;
mod end;
mod freeze;
mod make;
mod usage;

pub use detect::{Found, detect};
pub use end::end;
pub use freeze::Freezer;
pub use make::{Directory, make};
pub use usage::{Counters, usage};
