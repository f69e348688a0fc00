//! The native half of the Node package: it converts, and gives each call a thread of its own.
//!
//! Every function takes a callback and returns at once; the callback hears of progress and, last, of
//! the end. Promises are made of it in `lib/`, which is all that a user sees.
#![allow(missing_docs, reason = "seen by `lib/` alone")]

mod attach;
mod call;
mod container;
mod copy;
mod engine;
mod events;
mod exec;
mod logs;
mod stats;
mod streams;

use napi_derive::napi;

/// Unix seconds, finer than a Date.
#[napi]
pub fn now() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{}.{:09}", now.as_secs(), now.subsec_nanos())
}

#[napi]
pub fn version() -> &'static str {
    sampan::Engine::version()
}

/// The option of `known` that an unknown one is taken for.
#[napi]
pub fn nearest(word: String, known: Vec<String>) -> Option<String> {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    sampan::given::nearest(&word, &known).map(str::to_owned)
}
