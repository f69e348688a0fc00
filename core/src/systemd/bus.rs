//! A connection to a message bus, or to systemd itself, by its socket.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use super::message::{self, Call, HEAD, Kind as Of, Message, Writer};
use crate::error::{Error, Kind, Result};

/// How long an answer, or a unit's start, may take; as long as in other engines.
const PATIENCE: Duration = Duration::from_secs(30);

/// Whose manager.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Whose {
    /// The machine's.
    System,
    /// This user's.
    User,
}

/// One connection.
pub struct Bus {
    stream: UnixStream,
    serial: u32,
    /// What came before the answer that was waited for.
    signals: VecDeque<Message>,
}

const OPERATION: &str = "connect to systemd";

impl Bus {
    /// By a bus, or where there is none by systemd's own socket; `hello` is what has to be said first on a bus.
    pub fn connect(whose: Whose, hello: impl FnOnce(&mut Bus) -> Result<()>) -> Result<Bus> {
        let mut failed = Vec::new();
        for (path, is_bus) in sockets(whose) {
            match UnixStream::connect(&path) {
                Ok(stream) => {
                    let mut bus = Bus { stream, serial: 0, signals: VecDeque::new() };
                    bus.authenticate().map_err(|e| e.within(OPERATION, path.display().to_string()))?;
                    if is_bus {
                        hello(&mut bus)?;
                    }
                    return Ok(bus);
                }
                Err(error) => failed.push(format!("{}: {error}", path.display())),
            }
        }
        Err(unreachable(whose, &failed))
    }

    /// Who we are the kernel tells (SASL's EXTERNAL, without a word of ours): in a user namespace we know ourselves by
    /// another number.
    fn authenticate(&mut self) -> Result<()> {
        let limit = self.stream.set_read_timeout(Some(PATIENCE)).and(self.stream.set_write_timeout(Some(PATIENCE)));
        limit.map_err(|e| broken(&e))?;
        self.send(b"\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n")?;
        match (self.line()?.as_str(), self.line()?.split(' ').next()) {
            ("DATA", Some("OK")) => Ok(()),
            _ => Err(Error::new(Kind::PermissionDenied, OPERATION, "").because("it does not take this user")),
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes).map_err(|e| broken(&e))
    }

    fn receive(&mut self, into: &mut [u8]) -> Result<()> {
        self.stream.read_exact(into).map_err(|e| broken(&e))
    }

    fn line(&mut self) -> Result<String> {
        const LONGEST: usize = 512;
        let mut line = Vec::new();
        while !line.ends_with(b"\r\n") && line.len() < LONGEST {
            let mut byte = [0];
            self.receive(&mut byte)?;
            line.push(byte[0]);
        }
        Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
    }

    fn next(&mut self) -> Result<Message> {
        let strange = || Error::new(Kind::System, "hear from systemd", "").because("what came is no message");
        let mut head = [0; HEAD];
        self.receive(&mut head)?;
        let length = message::length(&head).ok_or_else(strange)?;
        let mut bytes = head.to_vec();
        bytes.resize(length, 0);
        self.receive(&mut bytes[HEAD..])?;
        message::read(&bytes).ok_or_else(strange)
    }

    /// Makes a call and waits for its answer.
    pub fn call(&mut self, call: &Call<'_>, body: &Writer) -> Result<Vec<u8>> {
        self.serial += 1;
        self.send(&message::call(call, self.serial, body))?;
        loop {
            let message = self.next()?;
            match message.kind {
                Of::Return if message.answers == self.serial => return Ok(message.body),
                Of::Error if message.answers == self.serial => return Err(refused(call, &message)),
                Of::Signal => self.signals.push_back(message),
                _ => {}
            }
        }
    }

    /// The next signal.
    pub fn signal(&mut self) -> Result<Message> {
        if let Some(earlier) = self.signals.pop_front() {
            return Ok(earlier);
        }
        loop {
            match self.next()? {
                message if message.kind == Of::Signal => return Ok(message),
                _ => {}
            }
        }
    }
}

/// Where it may be, and whether it is a bus.
fn sockets(whose: Whose) -> Vec<(PathBuf, bool)> {
    let (variable, usual, own) = match whose {
        Whose::System => {
            ("DBUS_SYSTEM_BUS_ADDRESS", "/run/dbus/system_bus_socket".into(), "/run/systemd/private".into())
        }
        Whose::User => {
            let run = PathBuf::from(std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default());
            ("DBUS_SESSION_BUS_ADDRESS", run.join("bus"), run.join("systemd/private"))
        }
    };
    let named = std::env::var(variable).ok().and_then(|address| path_of(&address));
    [named.map(|path| (path, true)), Some((usual, true)), Some((own, false))].into_iter().flatten().collect()
}

/// The first socket with a path in an address of D-Bus (`unix:path=/run/bus,guid=…;…`).
fn path_of(address: &str) -> Option<PathBuf> {
    let keys = address.split(';').filter_map(|one| one.strip_prefix("unix:")).flat_map(|keys| keys.split(','));
    keys.filter_map(|key| key.strip_prefix("path=")).map(PathBuf::from).next()
}

fn broken(error: &std::io::Error) -> Error {
    match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::new(Kind::Timeout, "ask systemd", "").because("it does not answer"),
        _ => Error::errno_in(error.raw_os_error().unwrap_or(libc::EPIPE), "ask systemd", ""),
    }
}

fn unreachable(whose: Whose, failed: &[String]) -> Error {
    let error = Error::new(Kind::Unsupported, OPERATION, "").because(failed.join("; "));
    error.hint(match whose {
        Whose::System => "run systemd as the machine's first process, or make cgroups directly (cgroupfs)",
        Whose::User => {
            "log in by systemd (or have root run: loginctl enable-linger USER) and set XDG_RUNTIME_DIR=/run/user/UID"
        }
    })
}

fn refused(call: &Call<'_>, answer: &Message) -> Error {
    let short = answer.error.rsplit('.').next().unwrap_or_default();
    let kind = match short {
        "AccessDenied" | "InteractiveAuthorizationRequired" | "AuthFailed" => Kind::PermissionDenied,
        "UnitExists" => Kind::AlreadyExists,
        "NoSuchUnit" => Kind::NotFound,
        "InvalidArgs" | "PropertyReadOnly" | "InvalidSignature" => Kind::InvalidArgument,
        "NotSupported" | "UnknownMethod" => Kind::Unsupported,
        _ => Kind::System,
    };
    let text = message::Reader::new(&answer.body).text().unwrap_or_default();
    Error::new(kind, "ask systemd", call.member).because(if text.is_empty() { short.to_owned() } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_path_or_none() {
        let path = |address| path_of(address).map(|path| path.display().to_string());
        assert_eq!(path("unix:path=/run/user/1000/bus").as_deref(), Some("/run/user/1000/bus"));
        assert_eq!(path("tcp:host=a;unix:guid=1,path=/b,x=y").as_deref(), Some("/b"));
        assert_eq!(path("unix:abstract=/tmp/x"), None);
    }
}
