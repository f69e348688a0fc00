//! The facade: every language's API is this one, converted.
//!
//! Records here keep to a small set of types, so that `xtask generate` can carry them into C, Python
//! and TypeScript: `bool`, `i32`, `i64`, `u32`, `u64`, `f64`, `String`, `Vec<u8>` (bytes), enums of
//! plain words, records, `Vec` of strings or records, `BTreeMap<String, String>`, and `Option` of
//! these. Times are RFC 3339 strings in UTC, spans are seconds as `f64`, sizes are bytes.

mod attach;
mod container;
mod engine;
mod events;
mod exec;
mod info;
mod logs;
mod options;
mod stats;

pub use attach::Attachment;
pub use container::Container;
pub use engine::Engine;
pub use events::EventStream;
pub use exec::Exec;
pub use info::*;
pub use logs::LogStream;
pub use options::*;
pub use stats::StatsStream;
