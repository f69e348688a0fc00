//! Control groups: find, make, limit, remove.

mod detect;
mod make;

pub use detect::detect;
pub use make::{Directory, make, remove};
