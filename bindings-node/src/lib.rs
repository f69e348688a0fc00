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

/// The failure for an option of `what` that is none of `known`.
#[napi]
pub fn unknown_option(what: String, word: String, known: Vec<String>) -> serde_json::Value {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    call::failure(&sampan::given::unknown(&what, &word, &known))
}
