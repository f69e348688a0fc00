//! Files that the kernel makes when they are read: their size tells nothing of how much that is.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::BorrowedFd;

use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, PROC_SUPER_MAGIC, SYSFS_MAGIC, fstatfs};

use super::COPY;
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};

/// Most bytes of one: some, as `/proc/kcore`, have no end to speak of.
const MOST: u64 = 64 << 20;

/// Whether a file or directory is of a file system of the kernel's.
pub fn owns(file: BorrowedFd<'_>) -> bool {
    let kinds = [PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC];
    fstatfs(file).is_ok_and(|found| kinds.contains(&found.filesystem_type()))
}

/// What is read from such a file now, in memory, and how many bytes it is.
pub fn read_out(file: BorrowedFd<'_>, cancel: &Cancel) -> Result<(File, u64)> {
    let mut from = File::from(file.try_clone_to_owned().context("read", "")?);
    let mut to = File::from(memfd_create(c"sampan-copy", MFdFlags::MFD_CLOEXEC).context("make a memory file", "")?);
    let (mut buffer, mut size) = (vec![0; 64 << 10], 0);
    from.rewind().context("read", "")?;
    loop {
        cancel.check(COPY, "")?;
        match from.read(&mut buffer).context("read", "")? {
            0 => return Ok((to, size)),
            n => to.write_all(&buffer[..n]).context("write", "")?,
        }
        size = to.stream_position().context("write", "")?;
        if size > MOST {
            return Err(Error::new(Kind::LimitExceeded, COPY, "")
                .because(format!("the kernel makes more than {} MiB of it", MOST >> 20))
                .hint("read as much of it as is needed in the container, by `exec`"));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn all_that_is_read_is_kept_whatever_the_size_is() {
        let version = File::open("/proc/version").unwrap();
        assert!(owns(version.as_fd()) && version.metadata().unwrap().len() == 0);
        for _ in 0..2 {
            let (mut kept, size) = read_out(version.as_fd(), &Cancel::new()).unwrap();
            kept.rewind().unwrap();
            let mut text = String::new();
            kept.read_to_string(&mut text).unwrap();
            assert!(text.starts_with("Linux version") && text.len() as u64 == size, "{text}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        let zeros = File::open("/dev/zero").unwrap();
        assert!(!owns(zeros.as_fd()));
        assert_eq!(read_out(zeros.as_fd(), &Cancel::new()).unwrap_err().kind(), Kind::LimitExceeded);
    }
}
