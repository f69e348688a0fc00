//! One file a verb. Each gathers facts, asks `plan`, and works through the floors below, undoing on failure.

pub mod apparmor;
pub mod attach;
mod capture;
mod context;
pub mod copy;
pub mod create;
mod disks;
pub mod doctor;
pub mod events;
pub mod exec;
pub mod facts;
mod follow;
pub mod health;
pub mod images;
pub mod info;
mod joined;
mod leftovers;
pub mod list;
pub mod logs;
mod oom;
pub mod pause;
mod placed;
mod probe;
pub mod pull;
pub mod remove;
pub mod rename;
pub mod run;
pub mod selinux;
mod shims;
pub mod start;
pub mod stats;
pub mod stop;
pub mod top;
pub mod update;
pub mod wait;

pub use context::Context;
