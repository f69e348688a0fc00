//! One call: its thread, its token, its callback.
//!
//! Not libuv's four threads: four waits would stop every file and DNS operation of the program.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, MutexGuard, PoisonError};

use napi::Status;
use napi::bindgen_prelude::*;
use napi::threadsafe_function::{ThreadsafeFunction, ThreadsafeFunctionCallMode};
use napi_derive::napi;
use sampan::{Error, Event, Kind, Progress};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::attach::Attachment;
use crate::container::Container;
use crate::engine::Engine;
use crate::events::EventStream;
use crate::exec::Exec;
use crate::logs::LogStream;
use crate::stats::StatsStream;

/// What the callback is given: one member is there, or two with `bytes`.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct Reply {
    pub event: Option<Value>,
    pub error: Option<Value>,
    pub value: Option<Value>,
    pub bytes: Option<Vec<Buffer>>,
    pub engine: Option<Engine>,
    pub container: Option<Container>,
    pub log: Option<LogStream>,
    pub exec: Option<Exec>,
    pub attachment: Option<Attachment>,
    pub stats: Option<StatsStream>,
    pub events: Option<EventStream>,
}

/// It keeps the event loop alive until the call ends, as any pending operation does.
pub type Callback = ThreadsafeFunction<Reply, (), Reply, Status, false>;

/// Ends the calls it was given to.
///
/// Its end is a cancel too: when a worker thread is terminated its objects go, and with them its calls.
#[napi]
pub struct Cancel(Mutex<Option<sampan::Cancel>>);

impl Drop for Cancel {
    fn drop(&mut self) {
        self.cancel();
    }
}

#[napi]
impl Cancel {
    #[napi(constructor)]
    pub fn new() -> Self {
        Self(Mutex::new(Some(sampan::Cancel::new())))
    }

    #[napi]
    pub fn cancel(&self) {
        self.held().iter().for_each(sampan::Cancel::cancel);
    }

    /// Lets go of the token's descriptor, after the call: the object may be collected long after. Whoever means to say it
    /// keeps the object alive until then.
    #[napi]
    pub fn end(&self) {
        *self.held() = None;
    }

    /// The token; of an ended one a new one, which nobody cancels.
    pub fn token(&self) -> sampan::Cancel {
        self.held().clone().unwrap_or_default()
    }

    fn held(&self) -> MutexGuard<'_, Option<sampan::Cancel>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Events to the callback, in order with the end.
pub struct Events<'a>(&'a Callback);

impl Progress for Events<'_> {
    fn event(&mut self, event: &Event) {
        let event = serde_json::to_value(event).ok();
        self.0.call(Reply { event, ..Reply::default() }, ThreadsafeFunctionCallMode::NonBlocking);
    }
}

/// Runs `work` in its own thread and tells the callback how it ended.
pub fn spawn(
    callback: Callback,
    work: impl FnOnce(&mut dyn Progress) -> sampan::Result<Reply> + Send + 'static,
) -> Result<()> {
    let run = move || {
        let result = catch_unwind(AssertUnwindSafe(|| work(&mut Events(&callback))));
        let reply = result
            .unwrap_or_else(|_| Err(Error::new(Kind::Panic, "run call", "")))
            .unwrap_or_else(|e| Reply { error: Some(failure(&e)), ..Reply::default() });
        callback.call(reply, ThreadsafeFunctionCallMode::NonBlocking);
    };
    let thread = std::thread::Builder::new().name("sampan".into()).spawn(run);
    thread.map(drop).map_err(|e| napi::Error::from_reason(format!("start a thread: {e}")))
}

/// An error with all its members.
pub fn failure(error: &Error) -> Value {
    let (message, subject) = told(error);
    json!({
        "message": message,
        "code": error.kind().word(),
        "errno": error.errno(),
        "operation": error.operation(),
        "subject": subject,
        "hint": error.hint_text(),
        "leftovers": error.leftovers(),
        "retryable": error.retryable(),
        "exitCode": error.exit_code(),
    })
}

/// What an error says, and on what. An option has its name in JavaScript.
fn told(error: &Error) -> (String, String) {
    let (message, name) = (error.to_string(), error.subject());
    let is_name = name.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    match message.strip_prefix("read option ").and_then(|rest| rest.strip_prefix(name)) {
        Some(rest) if is_name => (format!("read option {}{rest}", camel(name)), camel(name)),
        _ => (message, name.to_owned()),
    }
}

/// A record from the fields that were given.
pub fn record<T: DeserializeOwned>(what: &'static str, options: Value) -> sampan::Result<T> {
    sampan::given::read(what, &[], options, camel)
}

/// A place in a record as JavaScript writes it: `mounts[0].read_only` is `mounts[0].readOnly`. The keys of a map are the
/// user's own.
fn camel(path: &str) -> String {
    let own = path.split_once('.').filter(|(head, _)| !head.ends_with(']'));
    let (ours, rest) = own.map_or((path, String::new()), |(head, rest)| (head, format!(".{rest}")));
    let mut words = ours.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |all, word| all + &capitalised(word)) + &rest
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// A reply with a record in it.
pub fn value(record: impl Serialize) -> sampan::Result<Reply> {
    let value = serde_json::to_value(record)
        .map_err(|e| Error::new(Kind::Panic, "convert result", "").because(e.to_string()))?;
    Ok(Reply { value: Some(value), ..Reply::default() })
}
