//! `--volumes-from`: the mounts that a container has in common with another.

use super::resolve::invalid;
use crate::api::MountKind;
use crate::error::Result;
use crate::id::ContainerId;
use crate::spec::{Spec, SpecMount};

/// `NAME[:ro|rw]`: the other container, and whether its mounts become read-only. Labels (`z`, `Z`) mean nothing here.
pub fn named(text: &str) -> Result<(&str, bool)> {
    let (name, mode) = text.split_once(':').unwrap_or((text, "rw"));
    let mut words = mode.split(',');
    match !name.is_empty() && words.all(|word| ["ro", "rw", "z", "Z"].contains(&word)) {
        true => Ok((name, mode.split(',').any(|word| word == "ro"))),
        false => Err(invalid("volumes_from", format!("{text:?} is not CONTAINER[:ro|rw]"))),
    }
}

/// All of another container's volumes and binds, at the same places. What lies in memory is its own.
pub fn of(other: &Spec, id: &ContainerId, read_only: bool) -> Vec<SpecMount> {
    let taken = |mount: &SpecMount| {
        let mut mount = SpecMount { from: id.to_string(), ..mount.clone() };
        mount.mount.read_only |= read_only;
        mount
    };
    other.mounts.iter().filter(|m| m.mount.kind != MountKind::Tmpfs).map(taken).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Mount;

    #[test]
    fn another_container_is_named_with_a_mode() {
        assert_eq!(named("web").unwrap(), ("web", false));
        assert_eq!(named("web:ro,z").unwrap(), ("web", true));
        assert_eq!(named("web:rw").unwrap(), ("web", false));
        for bad in ["", ":ro", "web:", "web:rx", "web:ro:rw"] {
            assert!(named(bad).unwrap_err().to_string().contains("volumes_from"), "{bad:?}");
        }
    }

    #[test]
    fn volumes_and_binds_are_taken_and_memory_is_not() {
        let id = ContainerId::from_random([7; 32]);
        let mount = |kind, target: &str, read_only| SpecMount {
            mount: Mount { kind, target: target.into(), read_only, ..Mount::default() },
            anonymous: kind == MountKind::Volume,
            from: String::new(),
        };
        let mounts = vec![
            mount(MountKind::Volume, "/data", false),
            mount(MountKind::Tmpfs, "/tmp", false),
            mount(MountKind::Bind, "/etc/app", true),
        ];
        let other = Spec { mounts, ..Spec::default() };
        let told = |read_only| {
            let taken = of(&other, &id, read_only);
            taken.into_iter().map(|m| (m.mount.target, m.mount.read_only, m.anonymous, m.from)).collect::<Vec<_>>()
        };
        let expected = |ro| {
            vec![("/data".to_owned(), ro, true, id.to_string()), ("/etc/app".to_owned(), true, false, id.to_string())]
        };
        assert_eq!(told(false), expected(false));
        assert_eq!(told(true), expected(true));
    }
}
