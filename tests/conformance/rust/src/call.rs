//! One call: its words taken apart, the call made, its result as a value.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::thread::JoinHandle;

use anyhow::{Context, Result, bail};
use nix::fcntl::OFlag;
use nix::sys::stat::Mode;
use sampan::{Cancel, Container, ContainerStats, Engine, EngineEvent, Error, Event, ExitStatus, Stdio, Stream};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::value::{Value, escape, unescape};
use crate::world::{Bound, World};

pub enum Answer {
    Result(Bound),
    Error(Error),
}

/// How many plain arguments an operation takes, and its record of options.
fn signature(operation: &str) -> Result<(usize, &'static str)> {
    Ok(match operation {
        "open" => (0, "EngineOptions"),
        "mkdir" | "fifo" | "read" | "inspect_image" | "container" | "kill" | "rename" | "stats_stream" | "attach" => {
            (1, "")
        }
        "path_stat" => (1, "CopyOptions"),
        "copy_from" | "copy_to" | "get_archive" => (2, "CopyOptions"),
        "write" | "tag" | "resize" | "put_archive" | "read_in" | "write_in" => (2, ""),
        "info" | "doctor" | "images" | "gc" | "start" | "wait" | "wait_healthy" | "inspect" => (0, ""),
        "pull" => (1, "PullOptions"),
        "remove_image" => (1, "RemoveImageOptions"),
        "create" | "spawn" | "run" | "plan" => (0, "RunOptions"),
        "containers" => (0, "ListOptions"),
        "events" => (0, "EventOptions"),
        "stop" | "restart" => (0, "StopOptions"),
        "logs" => (0, "LogOptions"),
        "remove" => (0, "RemoveOptions"),
        "exec" | "exec_start" => (0, "ExecOptions"),
        "update" => (0, "UpdateOptions"),
        "pause" | "unpause" | "top" | "stats" => (0, ""),
        _ => bail!("there is no operation {operation}"),
    })
}

struct Call<'w> {
    world: &'w World,
    record: &'static str,
    plain: Vec<String>,
    fields: Vec<(String, String)>,
    /// Words for the driver, without their colon.
    own: BTreeMap<String, String>,
    cancel: Cancel,
}

/// Makes a call. `Err` when the case makes no sense or the driver itself failed.
pub fn make(world: &mut World, words: &[&str]) -> Result<Answer> {
    let (first, rest) = words.split_first().context("no call")?;
    let (target, operation) = first.split_once('.').unwrap_or(("e", first));
    let mut events = Vec::new();
    let call = Call::new(world, operation, rest)?;
    let answer = match call.own_operation(operation)? {
        Some(value) => Answer::Result(Bound::Value(value)),
        None => call.watched(target, operation, &mut events)?,
    };
    world.events = events;
    Ok(answer)
}

fn pair(word: &str) -> Result<(String, String)> {
    let (name, text) = word.split_once('=').with_context(|| format!("{word} has no ="))?;
    Ok((name.to_owned(), text.to_owned()))
}

impl<'w> Call<'w> {
    fn new(world: &'w World, operation: &str, words: &[&str]) -> Result<Call<'w>> {
        let (count, record) = signature(operation)?;
        let (plain, rest) =
            words.split_at_checked(count).with_context(|| format!("{operation} wants {count} words"))?;
        let mut call = Call {
            world,
            record,
            plain: plain.iter().map(|word| (*word).to_owned()).collect(),
            fields: Vec::new(),
            own: BTreeMap::new(),
            cancel: Cancel::new(),
        };
        for word in rest {
            match (word.strip_prefix(':'), word.strip_prefix("sh=")) {
                (Some(own), _) => call.own.extend([pair(own)?]),
                (_, Some(script)) => {
                    let words = ["sh", "-c", script].map(|word| ("command".to_owned(), word.to_owned()));
                    call.fields.extend(words);
                }
                _ => call.fields.push(pair(word)?),
            }
        }
        if record == "RunOptions" && !call.fields.iter().any(|(name, _)| name == "image") {
            call.fields.push(("image".to_owned(), world.image.clone()));
        }
        if operation == "open" {
            call.fields.extend(std::env::var("SAMPAN_TEST_RUNG").ok().map(|rung| ("rung".to_owned(), rung)));
        }
        Ok(call)
    }

    fn options<T: DeserializeOwned>(&self) -> Result<T> {
        Ok(serde_json::from_value(self.world.schema.options(self.record, &self.fields)?)?)
    }

    /// What the driver does itself; `None` for an operation of the library.
    fn own_operation(&self, operation: &str) -> Result<Option<Value>> {
        match (operation, &self.plain[..]) {
            ("mkdir", [path]) => std::fs::create_dir(path)?,
            ("fifo", [path]) => nix::unistd::mkfifo(path.as_str(), Mode::S_IRWXU)?,
            ("write", [path, data]) => std::fs::write(path, unescape(data)?)?,
            ("read", [path]) => return Ok(Some(Value::Text(escape(&std::fs::read(path)?)))),
            _ => return Ok(None),
        }
        Ok(Some(Value::None))
    }

    /// Makes the call while whoever is to cancel it waits for the moment.
    fn watched(&self, target: &str, operation: &str, events: &mut Vec<Value>) -> Result<Answer> {
        let waiting = self.own.get("cancel_by").map(|fifo| cancel_by(fifo.clone(), self.cancel.clone()));
        if self.own.contains_key("cancel") {
            self.cancel.cancel();
        }
        let answer = match (operation, self.world.bound(target)?) {
            ("open", _) => answer(Engine::open(&self.options()?), Bound::Engine),
            (_, Bound::Engine(engine)) => self.engine(engine, operation, events),
            (_, Bound::Container(container)) => self.container(container, operation),
            (_, Bound::Value(_)) => bail!("{target} has no operations"),
        };
        if let (Some(fifo), Some(thread)) = (self.own.get("cancel_by"), waiting) {
            // Had the call failed early, the reader would wait for ever.
            let _ = nix::fcntl::open(fifo.as_str(), OFlag::O_WRONLY | OFlag::O_NONBLOCK, Mode::empty());
            thread.join().map_err(|_| anyhow::anyhow!("the reader of {fifo} failed"))??;
        }
        answer
    }

    fn engine(&self, engine: &Engine, operation: &str, events: &mut Vec<Value>) -> Result<Answer> {
        let (cancel, plain) = (&self.cancel, |n: usize| self.plain[n].as_str());
        let mut watch = |event: &Event| self.event(event, events);
        match operation {
            "info" => self.value(engine.info(), "EngineInfo"),
            "doctor" => self.value(engine.doctor(), "DoctorReport"),
            "pull" => self.value(engine.pull(plain(0), &self.options()?, &mut watch, cancel), "ImageInfo"),
            "images" => self.value(engine.images(), "list<ImageInfo>"),
            "inspect_image" => self.value(engine.inspect_image(plain(0)), "ImageInfo"),
            "tag" => nothing(engine.tag(plain(0), plain(1))),
            "remove_image" => self.value(engine.remove_image(plain(0), &self.options()?), "list<RemovedImage>"),
            "gc" => self.value(engine.gc(), "PruneReport"),
            "create" => answer(engine.create(&self.options()?, &mut watch, cancel), Bound::Container),
            "spawn" => {
                let files = self.files()?;
                answer(engine.spawn(&self.options()?, &files.stdio(), &mut watch, cancel), Bound::Container)
            }
            "run" => self.value(engine.run(&self.options()?, &mut watch, cancel), "Output"),
            "plan" => self.value(engine.plan(&self.options()?), "string"),
            "containers" => self.value(engine.containers(&self.options()?), "list<ContainerInfo>"),
            "container" => answer(engine.container(plain(0)), Bound::Container),
            "events" => self.value(self.told(engine)?, "list<EngineEvent>"),
            _ => bail!("an engine has no {operation}"),
        }
    }

    fn container(&self, container: &Container, operation: &str) -> Result<Answer> {
        let (cancel, plain) = (&self.cancel, |n: usize| self.plain[n].as_str());
        match operation {
            "start" => nothing(container.start(&self.files()?.stdio(), cancel)),
            "stop" => nothing(container.stop(&self.options()?, cancel)),
            "restart" => nothing(container.restart(&self.options()?, cancel)),
            "kill" => nothing(container.kill(plain(0))),
            "wait" => {
                let limit = self.fields.first().map(|(_, seconds)| seconds.parse()).transpose()?;
                self.value(container.wait(limit, cancel), "ExitStatus")
            }
            "wait_healthy" => {
                let limit = self.fields.first().map(|(_, seconds)| seconds.parse()).transpose()?;
                nothing(container.wait_healthy(limit, cancel))
            }
            "logs" => answer(self.logs(container)?, Bound::Value),
            "inspect" => self.value(container.inspect(), "ContainerInfo"),
            "rename" => nothing(container.rename(plain(0))),
            "remove" => nothing(container.remove(&self.options()?)),
            "exec" => self.value(container.exec(&self.options()?, cancel), "ExecOutput"),
            "exec_start" => answer(self.exec_start(container)?, Bound::Value),
            "copy_from" => nothing(container.copy_from(plain(0), plain(1), &self.options()?, cancel)),
            "copy_to" => nothing(container.copy_to(plain(0), plain(1), &self.options()?, cancel)),
            "path_stat" => self.value(container.path_stat(plain(0), &self.options()?, cancel), "PathStat"),
            "get_archive" => {
                let file = File::create(plain(1))?;
                nothing(container.get_archive(plain(0), file.as_fd(), &self.options()?, cancel))
            }
            "put_archive" => nothing(container.put_archive(plain(0), File::open(plain(1))?.as_fd(), cancel)),
            "read_in" => answer(container.open(plain(0), plain(1), cancel), |file| Bound::Value(all_of(file))),
            "write_in" => match container.open(plain(0), plain(1), cancel) {
                Ok(mut file) => {
                    file.write_all(&unescape(self.own.get("input").map_or("", String::as_str))?)?;
                    nothing(Ok(()))
                }
                Err(error) => Ok(Answer::Error(error)),
            },
            "attach" => answer(self.attach(container)?, Bound::Value),
            "pause" => nothing(container.pause(cancel)),
            "unpause" => nothing(container.unpause()),
            "top" => self.value(container.top(), "list<ProcessInfo>"),
            "stats" => self.value(container.stats(), "ContainerStats"),
            "stats_stream" => self.value(self.readings(container)?, "list<ContainerStats>"),
            "update" => nothing(container.update(&self.options()?)),
            "resize" => nothing(container.resize(plain(0).parse()?, plain(1).parse()?)),
            _ => bail!("a container has no {operation}"),
        }
    }

    fn told(&self, engine: &Engine) -> Result<sampan::Result<Vec<EngineEvent>>> {
        let options = self.options()?;
        let read = || {
            let mut events = engine.events(&options)?;
            std::iter::from_fn(|| events.next(&self.cancel).transpose()).collect()
        };
        Ok(read())
    }

    fn logs(&self, container: &Container) -> Result<sampan::Result<Value>> {
        let stop = self.own.get("stop_at");
        let (mut entries, mut stdout, mut stderr) = (Vec::new(), Vec::new(), Vec::new());
        let options = self.options()?;
        let mut read = || {
            let mut log = container.logs(&options)?;
            while let Some(entry) = log.next(&self.cancel)? {
                let stream = if entry.stream == Stream::Stdout { &mut stdout } else { &mut stderr };
                stream.extend_from_slice(&entry.data);
                let last = stop == Some(&escape(&entry.data));
                entries.push(entry);
                if last {
                    break;
                }
            }
            Ok(())
        };
        let done: sampan::Result<()> = read();
        let entries = self.world.schema.shape("list<LogEntry>", &serde_json::to_value(entries)?);
        let text = |bytes: &[u8]| Value::Text(escape(bytes));
        let log = [("entries", entries), ("stdout", text(&stdout)), ("stderr", text(&stderr))];
        Ok(done.map(|()| Value::record(log)))
    }

    fn exec_start(&self, container: &Container) -> Result<sampan::Result<Value>> {
        let mut started = match container.exec_start(&self.options()?, &self.cancel) {
            Ok(started) => started,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(stdin) = started.take_stdin() {
            File::from(stdin).write_all(&unescape(self.own.get("input").map_or("", String::as_str))?)?;
        }
        let read = [read_all(started.take_stdout())?, read_all(started.take_stderr())?];
        Ok(started.wait(&self.cancel).map(|exit| ended(&exit, read)))
    }

    fn attach(&self, container: &Container) -> Result<sampan::Result<Value>> {
        let mut joined = match container.attach(self.plain[0].parse()?, &self.cancel) {
            Ok(joined) => joined,
            Err(error) => return Ok(Err(error)),
        };
        if let Some(stdin) = joined.take_stdin() {
            File::from(stdin).write_all(&unescape(self.own.get("input").map_or("", String::as_str))?)?;
        }
        let read = [read_all(joined.take_stdout())?, read_all(joined.take_stderr())?];
        Ok(joined.wait(&self.cancel).map(|exit| ended(&exit, read)))
    }

    fn readings(&self, container: &Container) -> Result<sampan::Result<Vec<ContainerStats>>> {
        let (interval, count) = (self.plain[0].parse()?, self.own.get("count").context("no :count")?.parse()?);
        let read = || {
            let mut stream = container.stats_stream(interval)?;
            std::iter::from_fn(|| stream.next(&self.cancel).transpose()).take(count).collect()
        };
        Ok(read())
    }

    fn value<T: Serialize>(&self, result: sampan::Result<T>, ty: &str) -> Result<Answer> {
        let json = result.map(|value| serde_json::to_value(value));
        match json {
            Ok(json) => Ok(Answer::Result(Bound::Value(self.world.schema.shape(ty, &json?)))),
            Err(error) => Ok(Answer::Error(error)),
        }
    }

    fn event(&self, event: &Event, events: &mut Vec<Value>) {
        let event = self.world.schema.shape("", &serde_json::to_value(event).unwrap_or_default());
        let kind = event.show("event").ok();
        if kind.is_some() && kind.as_ref() == self.own.get("cancel_on") {
            self.cancel.cancel();
        }
        events.push(event);
    }

    fn files(&self) -> Result<Files> {
        let open = |name: &str, write: bool| {
            let path = self.own.get(name);
            path.map(|path| if write { File::create(path) } else { File::open(path) }).transpose()
        };
        Ok(Files([open("stdin", false)?, open("stdout", true)?, open("stderr", true)?]))
    }
}

struct Files([Option<File>; 3]);

impl Files {
    fn stdio(&self) -> Stdio {
        let [stdin, stdout, stderr] = self.0.each_ref().map(|file| file.as_ref().map(AsRawFd::as_raw_fd));
        Stdio { stdin, stdout, stderr }
    }
}

/// What is read to the end; a terminal's end is an error.
fn read_all(stream: Option<OwnedFd>) -> Result<Value> {
    let Some(stream) = stream else { return Ok(Value::None) };
    let mut bytes = Vec::new();
    match File::from(stream).read_to_end(&mut bytes) {
        Err(e) if e.raw_os_error() != Some(nix::libc::EIO) => Err(e.into()),
        _ => Ok(Value::Text(escape(&bytes))),
    }
}

fn all_of(mut file: File) -> Value {
    let mut bytes = Vec::new();
    match file.read_to_end(&mut bytes) {
        Ok(_) => Value::Text(escape(&bytes)),
        Err(error) => Value::Text(error.to_string()),
    }
}

fn ended(exit: &ExitStatus, [stdout, stderr]: [Value; 2]) -> Value {
    let number = |n: i32| Value::Text(n.to_string());
    let signal = exit.signal.map_or(Value::None, number);
    let killed = Value::Text(exit.oom_killed.to_string());
    let error = exit.error.as_deref().map_or(Value::None, Value::text);
    Value::record([
        ("code", number(exit.code)),
        ("signal", signal),
        ("oom_killed", killed),
        ("error", error),
        ("stdout", stdout),
        ("stderr", stderr),
    ])
}

fn answer<T>(result: sampan::Result<T>, bind: impl FnOnce(T) -> Bound) -> Result<Answer> {
    Ok(result.map_or_else(Answer::Error, |value| Answer::Result(bind(value))))
}

fn nothing(result: sampan::Result<()>) -> Result<Answer> {
    answer(result, |()| Bound::Value(Value::None))
}

fn cancel_by(fifo: String, cancel: Cancel) -> JoinHandle<std::io::Result<()>> {
    std::thread::spawn(move || {
        std::fs::read(fifo)?;
        cancel.cancel();
        Ok(())
    })
}

pub fn error_value(error: &Error) -> Value {
    let number = |n: i32| Value::Text(n.to_string());
    let leftovers = error.leftovers().iter().map(|left| Value::text(left)).collect();
    Value::record([
        ("kind", Value::text(error.kind().word())),
        ("code", number(error.kind().code())),
        ("errno", error.errno().map_or(Value::None, number)),
        ("operation", Value::text(error.operation())),
        ("subject", Value::text(error.subject())),
        ("message", Value::text(&error.to_string())),
        ("hint", error.hint_text().map_or(Value::None, Value::text)),
        ("retryable", Value::Text(error.retryable().to_string())),
        ("exit_code", number(error.exit_code())),
        ("leftovers", Value::List(leftovers)),
    ])
}
