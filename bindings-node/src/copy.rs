//! Files into a container and out of it.

use std::os::fd::{AsFd, IntoRawFd};

use napi::{Error, Result};
use napi_derive::napi;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use serde_json::Value;

use crate::call::{Callback, Cancel, record, spawn, value};
use crate::container::Container;

fn pipe() -> Result<(std::os::fd::OwnedFd, std::os::fd::OwnedFd)> {
    pipe2(OFlag::O_CLOEXEC).map_err(|e| Error::from_reason(format!("create pipe: {}", e.desc())))
}

#[napi]
impl Container {
    #[napi]
    pub fn copy_from(
        &self,
        path: String,
        dest: String,
        options: Value,
        cancel: &Cancel,
        callback: Callback,
    ) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.copy_from(&path, &dest, &record("copy", options)?, &token)?))
    }

    #[napi]
    pub fn copy_to(
        &self,
        src: String,
        path: String,
        options: Value,
        cancel: &Cancel,
        callback: Callback,
    ) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.copy_to(&src, &path, &record("copy", options)?, &token)?))
    }

    #[napi]
    pub fn path_stat(&self, path: String, options: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.path_stat(&path, &record("copy", options)?, &token)?))
    }

    /// Returns a descriptor that the archive is read from, for the caller to close.
    #[napi]
    pub fn get_archive(&self, path: String, options: Value, cancel: &Cancel, callback: Callback) -> Result<i32> {
        let (container, token) = (self.0.clone(), cancel.token());
        let (read, write) = pipe()?;
        spawn(callback, move |_| {
            value(container.get_archive(&path, write.as_fd(), &record("copy", options)?, &token)?)
        })?;
        Ok(read.into_raw_fd())
    }

    /// Returns a descriptor that the archive is written to, for the caller to close.
    #[napi]
    pub fn put_archive(&self, path: String, cancel: &Cancel, callback: Callback) -> Result<i32> {
        let (container, token) = (self.0.clone(), cancel.token());
        let (read, write) = pipe()?;
        spawn(callback, move |_| value(container.put_archive(&path, read.as_fd(), &token)?))?;
        Ok(write.into_raw_fd())
    }

    /// Answers with a descriptor, for the caller to close.
    #[napi]
    pub fn open(&self, path: String, mode: String, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.open(&path, &mode, &token)?.into_raw_fd()))
    }
}
