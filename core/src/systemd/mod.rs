//! systemd's manager, by D-Bus: cgroups that are its to make and to remove, as transient scopes
//! (org.freedesktop.systemd1(5)).
//!
//! A few calls of one interface, whose answers are waited for: an own connection takes some 30 KiB, where the kept
//! library brings a runtime for futures.

mod bus;
mod message;
mod unit;

use std::cell::Cell;

use bus::Bus;
use message::{Call, Reader, Writer};

pub use bus::Whose;
pub use message::{Property, Value};
pub use unit::{is_plain, slice_path};

use crate::error::{Error, Kind, Result};

const MANAGER: Call<'static> = Call {
    destination: "org.freedesktop.systemd1",
    path: "/org/freedesktop/systemd1",
    interface: "org.freedesktop.systemd1.Manager",
    member: "",
    signature: "",
};
const BUS: Call<'static> = Call {
    destination: "org.freedesktop.DBus",
    path: "/org/freedesktop/DBus",
    interface: "org.freedesktop.DBus",
    member: "",
    signature: "",
};

/// What is known of a manager.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Its own cgroup, below the hierarchy's root; empty for that itself.
    pub cgroup: String,
    /// Its version.
    pub version: u32,
}

/// A scope that is stopped with this value, once it stands, unless it is kept.
pub struct Starting {
    whose: Whose,
    unit: String,
    stands: Cell<bool>,
}

impl Starting {
    /// One that does not stand yet.
    pub fn new(whose: Whose, unit: &str) -> Self {
        Starting { whose, unit: unit.to_owned(), stands: Cell::new(false) }
    }

    /// Starts it around a process.
    ///
    /// # Errors
    /// Those of [`Manager::start_scope`].
    pub fn start(&self, properties: &[Property], pid: i32) -> Result<()> {
        let mut properties = properties.to_vec();
        properties.push(("PIDs".into(), Value::Numbers(vec![pid as u32])));
        Manager::connect(self.whose)?.start_scope(&self.unit, &properties)?;
        self.stands.set(true);
        Ok(())
    }

    /// Stops it.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn stop(&self) -> Result<()> {
        Manager::connect(self.whose)?.stop(&self.unit)
    }

    /// Leaves it to its processes.
    pub fn keep(&self) {
        self.stands.set(false);
    }
}

impl Drop for Starting {
    fn drop(&mut self) {
        if self.stands.get() {
            let _ = self.stop();
        }
    }
}

/// A connection to a manager.
pub struct Manager(Bus);

impl Manager {
    /// Connects to one.
    ///
    /// # Errors
    /// `Unsupported` where it can't be reached; `PermissionDenied` where it does not take this user.
    pub fn connect(whose: Whose) -> Result<Manager> {
        let hello = |bus: &mut Bus| bus.call(&Call { member: "Hello", ..BUS }, &Writer::default()).map(drop);
        let mut manager = Manager(Bus::connect(whose, hello)?);
        manager.subscribe()?;
        Ok(manager)
    }

    /// To the ends of jobs. Where systemd is spoken to directly there is no bus that would have to be told.
    fn subscribe(&mut self) -> Result<()> {
        const RULE: &str = "type='signal',interface='org.freedesktop.systemd1.Manager',member='JobRemoved'";
        let mut rule = Writer::default();
        rule.text(RULE);
        let _ = self.0.call(&Call { member: "AddMatch", signature: "s", ..BUS }, &rule);
        self.0.call(&Call { member: "Subscribe", ..MANAGER }, &Writer::default()).map(drop)
    }

    /// What there is to know of it.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn about(&mut self) -> Result<About> {
        let (cgroup, version) = (self.property("ControlGroup")?, self.property("Version")?);
        let digits = version.trim_start_matches('v').split(|c: char| !c.is_ascii_digit()).next().unwrap_or_default();
        // What is in a namespace of cgroups has the root for its own.
        Ok(About { cgroup: cgroup.trim_end_matches('/').to_owned(), version: digits.parse().unwrap_or(0) })
    }

    fn property(&mut self, name: &str) -> Result<String> {
        let get = Call { interface: "org.freedesktop.DBus.Properties", member: "Get", signature: "ss", ..MANAGER };
        let mut body = Writer::default();
        body.text(MANAGER.interface);
        body.text(name);
        let answer = self.0.call(&get, &body)?;
        let mut r = Reader::new(&answer);
        let text = r.signature().filter(|kind| *kind == b"s").and_then(|_| r.text());
        text.ok_or_else(|| Error::new(Kind::System, "ask systemd", name.to_owned()).because("its answer is no text"))
    }

    /// Starts a scope, which takes these processes; returns once it stands. A unit of that name that has failed is cleared
    /// away first.
    ///
    /// # Errors
    /// `AlreadyExists`; `InvalidArgument` for a property that it does not take.
    pub fn start_scope(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        match self.start_transient(unit, properties) {
            Err(error) if error.kind() == Kind::AlreadyExists => {
                self.reset_failed(unit);
                self.start_transient(unit, properties)
            }
            other => other,
        }
        .map_err(|e| e.within("start scope", unit))
    }

    fn start_transient(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("replace");
        body.properties(properties);
        body.array(8, [(); 0], |_, ()| {});
        let call = Call { member: "StartTransientUnit", signature: "ssa(sv)a(sa(sv))", ..MANAGER };
        let job = self.0.call(&call, &body)?;
        match self.await_job(&job)?.as_str() {
            "done" => Ok(()),
            other => {
                self.reset_failed(unit);
                Err(Error::new(Kind::System, "", "").because(format!("systemd says of it: {other}")))
            }
        }
    }

    /// How a job ended.
    fn await_job(&mut self, answer: &[u8]) -> Result<String> {
        let job = Reader::new(answer).text().unwrap_or_default();
        loop {
            let signal = self.0.signal()?;
            let mut r = Reader::new(&signal.body);
            let told = (|| Some((r.u32()?, r.text()?, r.text()?, r.text()?)))();
            match told {
                Some((_, ended, _, result)) if signal.member == "JobRemoved" && ended == job => return Ok(result),
                _ => {}
            }
        }
    }

    /// Changes properties of a unit for as long as it is there.
    ///
    /// # Errors
    /// `NotFound`; `InvalidArgument` for what it does not take.
    pub fn set_properties(&mut self, unit: &str, properties: &[Property]) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.u32(true.into());
        body.properties(properties);
        let call = Call { member: "SetUnitProperties", signature: "sba(sv)", ..MANAGER };
        self.0.call(&call, &body).map(drop).map_err(|e| e.within("change scope", unit))
    }

    /// Puts a process into a unit's cgroup, also where this user may not by itself.
    ///
    /// # Errors
    /// `NotFound`; `PermissionDenied`.
    pub fn attach(&mut self, unit: &str, pid: i32) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("");
        body.array(4, [pid as u32], |w, pid| w.u32(pid));
        let call = Call { member: "AttachProcessesToUnit", signature: "ssau", ..MANAGER };
        self.0.call(&call, &body).map(drop).map_err(|e| e.within("enter scope", unit))
    }

    /// Stops a unit, ending all that is in it; one that is not there is fine.
    ///
    /// # Errors
    /// Those of the connection.
    pub fn stop(&mut self, unit: &str) -> Result<()> {
        let mut body = Writer::default();
        body.text(unit);
        body.text("replace");
        let stopped = match self.0.call(&Call { member: "StopUnit", signature: "ss", ..MANAGER }, &body) {
            Ok(job) => self.await_job(&job).map(drop),
            Err(error) if error.kind() == Kind::NotFound => return Ok(()),
            Err(error) => Err(error),
        };
        self.reset_failed(unit);
        stopped.map_err(|e| e.within("stop scope", unit))
    }

    /// So that it is forgotten; one that has not failed is already.
    fn reset_failed(&mut self, unit: &str) {
        let mut body = Writer::default();
        body.text(unit);
        let _ = self.0.call(&Call { member: "ResetFailedUnit", signature: "s", ..MANAGER }, &body);
    }
}
