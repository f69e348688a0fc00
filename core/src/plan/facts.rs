//! What a plan must know of the host. Gathered by `ops`, so that planning stays pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::launch::IdMap;
use crate::api::Rung;

/// The host, as far as a start depends on it.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Facts {
    /// The rung of the rootless ladder.
    pub rung: Rung,
    /// Id maps for the rungs that make a user namespace.
    pub id_map: Option<IdMap>,
    /// Capabilities that this process could give on: all in a new user namespace.
    pub capabilities: u64,
    /// The engine itself runs in a user namespace, where overlays keep their marks in `user.*`.
    pub in_user_namespace: bool,
    /// Control groups.
    pub cgroups: Cgroups,
    /// Major and minor version of the kernel.
    pub kernel: (u32, u32),
    /// A fresh `/proc` can be mounted.
    pub fresh_proc: bool,
    /// Boot id and machine id, for the state record.
    pub boot_id: String,
    /// `/etc/machine-id`.
    pub machine_id: String,
    /// The host's `/etc/hosts`, for the host network.
    pub hosts: String,
    /// The host's `/etc/resolv.conf`, for the host network.
    pub resolv_conf: String,
    /// The host's name, when it is shared.
    pub hostname: String,
    /// Whether processes may be confined by AppArmor's profiles.
    pub apparmor: AppArmor,
    /// Whether processes and files have labels of SELinux.
    pub selinux: SeLinux,
}

/// AppArmor, as far as a start depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum AppArmor {
    /// The kernel has none, or has not been told to use it.
    #[default]
    Off,
    /// It is there; the default profile is not loaded, for this reason.
    Unprepared(String),
    /// It is there, and so is the default profile.
    Prepared,
}

/// SELinux, as far as a start depends on it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum SeLinux {
    /// The kernel has none, or no policy.
    #[default]
    Off,
    /// It is there; containers have no labels by default, for this reason.
    Unprepared(String),
    /// It is there, and so are the labels that containers have by default.
    Prepared(Contexts),
}

/// Labels of containers, before they have categories of their own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Contexts {
    /// Of its processes.
    pub process: String,
    /// Of its files.
    pub file: String,
}

/// Which control groups there are and may be written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Cgroups {
    /// `v1`, `hybrid`, `v2` or `none`.
    pub mode: String,
    /// v1: controller to the directory that containers' cgroups go below, when writable.
    pub v1: BTreeMap<String, String>,
    /// v2: the directory that containers' cgroups go below, when writable.
    pub v2: Option<String>,
    /// v2: where the whole hierarchy is seen, whether it can be written or not.
    pub top: Option<String>,
    /// v2: the controllers that can be had there.
    pub v2_controllers: Vec<String>,
    /// v2: those that the processes in that directory itself keep it from handing down.
    pub v2_crowded: Vec<String>,
    /// Block devices that limits name: major and minor number. Without them, limits of theirs are planned without a write.
    pub block_devices: BTreeMap<String, (u32, u32)>,
}
