//! Control groups: find, make, limit, remove.

mod change;
mod detect;
pub mod devices;
mod end;
mod file;
mod freeze;
mod make;
mod members;
mod usage;

pub use change::change;
pub use detect::{DELEGATED, Found, Hierarchies, USERS, controllers, detect, hierarchies, withheld};
pub use end::{end, end_paths, remove_paths};
pub use file::target;
pub use freeze::Freezer;
pub use make::{
    Directory, Made, enable, hand_down, inherit_cpuset, is_occupied, limit_all, make, make_or_share, open_to_all,
    refuse_occupied,
};
pub use members::{members, members_below, signal_below};
pub use usage::{Counters, oom_kills, usage};
