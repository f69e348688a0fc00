//! The shim: container init and supervisor in one small static program without libc.
//!
//! The host executes it from a sealed memfd, hands it one request on a fixed descriptor and hears from
//! it on a socket. It is one thread (but for `listener.rs`), allocates nothing on a heap, and writes JSON but never parses it.
//!
//! A running container costs what this keeps in memory. `inline(never)` keeps what happens once out of the frames that
//! stay for the container's life.

#![no_std]
#![no_main]
#![allow(unsafe_op_in_unsafe_fn)]
// `drop` of a result is how a closure says that there is nothing to be done about a failure.
#![allow(dropping_copy_types)]

#[path = "../src/wire/mod.rs"]
mod wire;

mod accounts;
mod again;
mod ahead;
mod arch;
mod attach;
mod between;
mod binds;
mod borne;
mod bundle;
mod bundle_init;
mod chroot;
mod command;
mod control;
mod copy;
mod credentials;
mod device;
mod dirs;
mod doors;
mod early;
mod ending;
mod enter;
mod entry;
mod events;
mod exec;
mod fail;
mod files;
mod files_enter;
mod fill;
mod freezer;
mod hooks;
mod idmap;
mod init;
mod label;
mod landlock;
mod launch;
mod limits;
mod listener;
mod log;
mod log_json;
mod memory;
mod mounts;
mod moves;
mod near;
mod nested;
mod netdev;
mod oom;
mod orphans;
mod other;
mod owners;
mod passed;
mod place;
mod probe;
mod program;
mod reaper;
mod records;
mod relay;
mod rootfs;
mod rotate;
mod scratch;
mod shelf;
mod shifted;
mod supervise;
mod sys;
mod taps;
mod target;
mod terminal;
mod text;
mod tie;
mod time;
mod tree;
mod tuning;
mod user;
