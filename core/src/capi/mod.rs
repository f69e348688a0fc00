//! The C face of `api`: parse, call, convert. `include/sampan.h` is made from it.
//!
//! A function here is one expression: its arguments are read, the facade is called, its answer is kept for C.
//! What would drift from the facade (records, words, error codes) is in `generated`.

#![allow(non_camel_case_types, missing_docs)]

mod arena;
mod attach;
mod boundary;
mod cancel;
mod container;
mod convert;
mod copy;
mod engine;
mod error;
mod events;
mod exec;
#[allow(dead_code, reason = "constants are for the header")]
mod generated;
mod growable;
mod handle;
mod log;
mod progress;
mod stats;
mod streams;
#[cfg(test)]
mod tests;
mod version;
