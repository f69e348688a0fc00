//! Control groups: find, make, limit, remove.

mod detect;
mod end;
mod make;

pub use detect::{Found, detect};
pub use end::end;
pub use make::{Directory, make};
