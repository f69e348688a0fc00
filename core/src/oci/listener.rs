//! The listener of a seccomp filter: a socket of somebody's who decides calls in the kernel's place.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, connect, socket};
use oci_spec::runtime::Spec;

use crate::error::{Context, Result};
use crate::plan::oci;

/// Connects to it, where the configuration has one; what is sent there is for the process itself to send.
pub(super) fn connection(config: &Spec) -> Result<Option<OwnedFd>> {
    let Some(path) = oci::listener_path(config)? else { return Ok(None) };
    let operation = "connect to linux.seccomp.listenerPath";
    let address = UnixAddr::new(path.as_str()).context(operation, path.clone())?;
    let socket =
        socket(AddressFamily::Unix, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).context(operation, path.clone())?;
    connect(socket.as_raw_fd(), &address).context(operation, path)?;
    Ok(Some(socket))
}
