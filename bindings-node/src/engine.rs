//! `sampan::Engine`, call by call.

use napi::Result;
use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;
use sampan::{RunOptions, Stdio};
use serde_json::{Value, json};

use crate::call::{Callback, Cancel, Reply, record, spawn, value};
use crate::container::Container;
use crate::events::EventStream;

/// An open store.
#[napi]
#[derive(Clone)]
pub struct Engine(sampan::Engine);

fn run_options(options: Value, stdin: Option<Vec<u8>>) -> sampan::Result<RunOptions> {
    let mut record: RunOptions = record("run", options)?;
    record.stdin = stdin;
    Ok(record)
}

/// A reply with a container in it.
fn handle(container: sampan::Container) -> Reply {
    let id = serde_json::Value::String(container.id().to_owned());
    Reply { value: Some(id), container: Some(Container(container)), ..Reply::default() }
}

#[napi]
impl Engine {
    #[napi]
    pub fn open(options: Value, callback: Callback) -> Result<()> {
        spawn(callback, move |_| {
            let engine = sampan::Engine::open(&record("engine", options)?)?;
            Ok(Reply { engine: Some(Engine(engine)), ..Reply::default() })
        })
    }

    #[napi]
    pub fn info(&self, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.info()?))
    }

    #[napi]
    pub fn doctor(&self, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.doctor()?))
    }

    #[napi]
    pub fn pull(&self, reference: String, options: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (engine, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |progress| value(engine.pull(&reference, &record("pull", options)?, progress, &token)?))
    }

    #[napi]
    pub fn images(&self, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.images()?))
    }

    #[napi]
    pub fn inspect_image(&self, image: String, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.inspect_image(&image)?))
    }

    #[napi]
    pub fn tag(&self, image: String, reference: String, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.tag(&image, &reference)?))
    }

    #[napi]
    pub fn remove_image(&self, image: String, options: Value, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.remove_image(&image, &record("remove image", options)?)?))
    }

    #[napi]
    pub fn gc(&self, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.gc()?))
    }

    #[napi]
    pub fn create(&self, options: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (engine, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |progress| engine.create(&run_options(options, None)?, progress, &token).map(handle))
    }

    #[napi]
    pub fn spawn(&self, options: Value, streams: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (engine, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |progress| {
            let streams: Stdio = record("stdio", streams)?;
            engine.spawn(&run_options(options, None)?, &streams, progress, &token).map(handle)
        })
    }

    #[napi]
    pub fn run(&self, options: Value, stdin: Option<Uint8Array>, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (engine, token) = (self.0.clone(), cancel.token());
        let stdin = stdin.map(|bytes| bytes.to_vec());
        spawn(callback, move |progress| {
            let output = engine.run(&run_options(options, stdin)?, progress, &token)?;
            let reply = value(json!({ "id": output.id, "exit": output.exit }))?;
            Ok(Reply { bytes: Some(vec![Buffer::from(output.stdout), Buffer::from(output.stderr)]), ..reply })
        })
    }

    #[napi]
    pub fn events(&self, options: Value, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| {
            let events = EventStream::new(engine.events(&record("event", options)?)?);
            Ok(Reply { events: Some(events), ..Reply::default() })
        })
    }

    #[napi]
    pub fn plan(&self, options: Value, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| value(engine.plan(&run_options(options, None)?)?))
    }

    #[napi]
    pub fn containers(&self, options: Value, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| {
            let mut found = engine.containers(&record("list", options)?)?;
            found.iter_mut().for_each(|c| c.options.stdin = None);
            value(found)
        })
    }

    #[napi]
    pub fn container(&self, container: String, callback: Callback) -> Result<()> {
        let engine = self.0.clone();
        spawn(callback, move |_| engine.container(&container).map(handle))
    }
}
