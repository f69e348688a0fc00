//! System-call wrappers, pidfds, and facts of this boot and kernel. Knows nothing of containers.

mod attributes;
mod hidden;
mod host;
mod pidfd;
mod pipe;
mod process;
mod processors;
mod raw;

pub use attributes::{attributes, set_attribute};
pub use hidden::hidden_calls;
pub use host::{boot_id, kernel_at_least, kernel_release, kernel_version, machine_id};
pub use pidfd::PidFd;
pub use pipe::write_quietly;
pub use process::{as_user, has_capability, is_zombie, most_bytes_of_a_file, start_time};
pub use processors::{move_aside, move_freely};
pub use raw::{copy_range, fs_type, landlock_version, random_bytes, rename_noreplace_at};
