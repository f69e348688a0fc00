//! `sampan::Container`, call by call.

use napi::Result;
use napi::bindgen_prelude::{Buffer, Uint8Array};
use napi_derive::napi;
use serde_json::{Value, json};

use crate::attach::Attachment;
use crate::call::{Callback, Cancel, Reply, record, spawn, value};
use crate::exec::Exec;
use crate::logs::LogStream;
use crate::stats::StatsStream;

/// A container by id.
#[napi]
#[derive(Clone)]
pub struct Container(pub(crate) sampan::Container);

#[napi]
impl Container {
    #[napi]
    pub fn start(&self, streams: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.start(&record("stdio", streams)?, &token)?))
    }

    #[napi]
    pub fn stop(&self, options: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.stop(&record("stop", options)?, &token)?))
    }

    #[napi]
    pub fn restart(&self, options: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.restart(&record("restart", options)?, &token)?))
    }

    #[napi]
    pub fn kill(&self, signal: String, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.kill(&signal)?))
    }

    #[napi]
    pub fn wait(&self, timeout: Option<f64>, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.wait(timeout, &token)?))
    }

    #[napi]
    pub fn wait_healthy(&self, timeout: Option<f64>, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.wait_healthy(timeout, &token)?))
    }

    #[napi]
    pub fn logs(&self, options: Value, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| {
            let options: sampan::LogOptions = record("logs", options)?;
            let log = LogStream::new(container.logs(&options)?, container.id());
            Ok(Reply { log: Some(log), ..Reply::default() })
        })
    }

    #[napi]
    pub fn inspect(&self, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| {
            let mut info = container.inspect()?;
            info.options.stdin = None;
            value(info)
        })
    }

    #[napi]
    pub fn rename(&self, name: String, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.rename(&name)?))
    }

    #[napi]
    pub fn remove(&self, options: Value, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.remove(&record("remove", options)?)?))
    }

    #[napi]
    pub fn exec(&self, options: Value, stdin: Option<Uint8Array>, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        let stdin = stdin.map(|bytes| bytes.to_vec());
        spawn(callback, move |_| {
            let options = sampan::ExecOptions { stdin, ..record("exec", options)? };
            let output = container.exec(&options, &token)?;
            let sampan::ExecOutput { code, signal, oom_killed, error, stdout, stderr } = output;
            let exit = sampan::ExitStatus { code, signal, oom_killed, error, ..Default::default() };
            let reply = value(json!({ "id": container.id(), "exit": exit }))?;
            Ok(Reply { bytes: Some(vec![Buffer::from(stdout), Buffer::from(stderr)]), ..reply })
        })
    }

    #[napi]
    pub fn exec_start(&self, options: Value, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| {
            let exec = Exec::new(container.exec_start(&record("exec", options)?, &token)?);
            Ok(Reply { exec: Some(exec), ..Reply::default() })
        })
    }

    #[napi]
    pub fn attach(&self, interactive: bool, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| {
            let attachment = Attachment::new(container.attach(interactive, &token)?);
            Ok(Reply { attachment: Some(attachment), ..Reply::default() })
        })
    }

    #[napi]
    pub fn pause(&self, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (container, token) = (self.0.clone(), cancel.token());
        spawn(callback, move |_| value(container.pause(&token)?))
    }

    #[napi]
    pub fn unpause(&self, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.unpause()?))
    }

    #[napi]
    pub fn top(&self, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.top()?))
    }

    #[napi]
    pub fn stats(&self, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.stats()?))
    }

    #[napi]
    pub fn stats_stream(&self, interval: f64, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| {
            let stats = StatsStream::new(container.stats_stream(interval)?, container.id());
            Ok(Reply { stats: Some(stats), ..Reply::default() })
        })
    }

    #[napi]
    pub fn update(&self, options: Value, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.update(&record("update", options)?)?))
    }

    #[napi]
    pub fn resize(&self, rows: u32, columns: u32, callback: Callback) -> Result<()> {
        let container = self.0.clone();
        spawn(callback, move |_| value(container.resize(rows, columns)?))
    }
}
