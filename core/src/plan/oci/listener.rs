//! A seccomp listener: what it is told with a filter's descriptor (config-linux.md, "The Container Process State").

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompAction, LinuxSeccompFilterFlag, Spec};
use serde_json::Value;

use super::invalid;
use crate::error::Result;

/// Where a listener waits, when the filter has calls for one.
///
/// # Errors
/// `InvalidArgument`, with the field.
pub fn path(spec: &Spec) -> Result<Option<String>> {
    let Some(seccomp) = seccomp(spec) else { return Ok(None) };
    let named = seccomp.listener_path().as_deref().filter(|path| !path.as_os_str().is_empty());
    match (is_asked(seccomp), named) {
        (false, _) => Ok(None),
        (true, None) => Err(invalid("linux.seccomp.listenerPath", "SCMP_ACT_NOTIFY needs one, and it is missing")),
        (true, Some(path)) => match path.to_str().filter(|path| path.starts_with('/')) {
            Some(path) => Ok(Some(path.to_owned())),
            None => Err(invalid("linux.seccomp.listenerPath", "it is not an absolute path")),
        },
    }
}

fn seccomp(spec: &Spec) -> Option<&LinuxSeccomp> {
    spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref())
}

fn is_asked(seccomp: &LinuxSeccomp) -> bool {
    seccomp.syscalls().iter().flatten().any(|rule| rule.action() == LinuxSeccompAction::ScmpActNotify)
}

/// As in runc, a listener decides calls by name only.
pub(super) fn check(seccomp: &LinuxSeccomp) -> Result<()> {
    match seccomp.default_action() {
        LinuxSeccompAction::ScmpActNotify => {
            Err(invalid("linux.seccomp.defaultAction", "SCMP_ACT_NOTIFY can't be the default one"))
        }
        _ => Ok(()),
    }
}

/// Flags of the filter as `seccomp(2)` takes them. No thread is to be synchronized: the payload has one, and who tells the
/// listener beside it may have no filter.
pub(super) fn flags(seccomp: &LinuxSeccomp) -> Result<u32> {
    let flag = |flag: &LinuxSeccompFilterFlag| match flag {
        LinuxSeccompFilterFlag::SeccompFilterFlagTsync => Ok(0),
        LinuxSeccompFilterFlag::SeccompFilterFlagLog => Ok(2),
        LinuxSeccompFilterFlag::SeccompFilterFlagSpecAllow => Ok(4),
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv if is_asked(seccomp) => Ok(32),
        LinuxSeccompFilterFlag::SeccompFilterFlagWaitKillableRecv => {
            Err(invalid("linux.seccomp.flags", "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV is for SCMP_ACT_NOTIFY"))
        }
    };
    seccomp.flags().iter().flatten().try_fold(0, |all, one| Ok(all | flag(one)?))
}

/// Whose process it is.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The container's id.
    pub id: &'a str,
    /// Its bundle.
    pub bundle: &'a str,
    /// `created`, `running`.
    pub status: &'a str,
    /// Its first process; `None` when that is the process.
    pub init: Option<i32>,
}

/// What the listener is told of a process, in the pieces between which its number belongs.
pub(super) fn told(spec: &Spec, subject: &Subject<'_>) -> Vec<String> {
    let Some(seccomp) = seccomp(spec).filter(|seccomp| is_asked(seccomp)) else { return Vec::new() };
    let text = |value: &str| Value::from(value).to_string();
    let version = text(spec.version());
    let metadata = seccomp.listener_metadata().as_deref().map(|told| format!("\"metadata\":{},", text(told)));
    let annotations = serde_json::json!(spec.annotations().clone().unwrap_or_default());
    let head = format!("{{\"ociVersion\":{version},\"fds\":[\"seccompFd\"],\"pid\":");
    let state = format!(
        ",{}\"state\":{{\"ociVersion\":{version},\"id\":{},\"status\":{},\"pid\":",
        metadata.unwrap_or_default(),
        text(subject.id),
        text(subject.status)
    );
    let tail = format!(",\"bundle\":{},\"annotations\":{annotations}}}}}", text(subject.bundle));
    match subject.init {
        None => vec![head, state, tail],
        Some(init) => vec![head, format!("{state}{init}{tail}")],
    }
}
