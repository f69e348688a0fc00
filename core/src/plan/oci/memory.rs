//! From which nodes the container's memory comes (config-linux.md, "Memory Policy"; set_mempolicy(2)).

use oci_spec::runtime::{MemoryPolicyFlagType as Flag, MemoryPolicyModeType as Mode, Spec};

use super::invalid;
use super::tuning::mask;
use crate::error::Result;

/// The call's first argument, and the nodes bit by bit. What goes together is the kernel's to say.
pub(super) fn policy(spec: &Spec) -> Result<Option<(u32, Vec<u8>)>> {
    let Some(asked) = spec.linux().as_ref().and_then(|linux| linux.memory_policy().as_ref()) else { return Ok(None) };
    let flags = asked.flags().iter().flatten().map(flag).fold(0, |all, one| all | one);
    let list = asked.nodes().as_deref().map(str::trim).filter(|list| !list.is_empty());
    let nodes = list.map_or(Some(Vec::new()), mask);
    match nodes {
        Some(nodes) => Ok(Some((mode(asked.mode()) | flags, nodes))),
        None => {
            Err(invalid("linux.memoryPolicy.nodes", format!("{:?} is no list of nodes like 0-3,7", list.unwrap_or(""))))
        }
    }
}

fn mode(mode: Mode) -> u32 {
    match mode {
        Mode::MpolDefault => 0,
        Mode::MpolPreferred => 1,
        Mode::MpolBind => 2,
        Mode::MpolInterleave => 3,
        Mode::MpolLocal => 4,
        Mode::MpolPreferredMany => 5,
        Mode::MpolWeightedInterleave => 6,
    }
}

fn flag(flag: &Flag) -> u32 {
    match flag {
        Flag::MpolFNumaBalancing => 1 << 13,
        Flag::MpolFRelativeNodes => 1 << 14,
        Flag::MpolFStaticNodes => 1 << 15,
    }
}
