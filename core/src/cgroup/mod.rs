//! Control groups: find, make, limit, remove.

mod detect;
mod make;

pub use detect::{Found, detect};
pub use make::{Directory, Made, make};
