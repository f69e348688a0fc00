//! Health: the container's own check, run in it on a timer; what came of it is in `health.json`.
//!
//! A probe is a command like any other, but that its output is kept here, up to a bound, and that the shim waits for it.

use crate::command;
use crate::control::Container;
use crate::ending;
use crate::events;
use crate::fail::Fail;
use crate::freezer;
use crate::log_json::{ROOM, escape, put};
use crate::records::read_file;
use crate::sys::{self, Ended, Errno, Fd};
use crate::text::{Text, parse_dec};
use crate::time::{self, LENGTH};
use crate::wire::{self, Launch, PACKET_MAX, Probes, Process, Status};

/// As many results are kept, and as much of the output of each, as Docker keeps.
const KEPT: usize = 5;
const OUTPUT: usize = 4096;
/// The code of a probe that did not come to its own end.
const NONE: i32 = -1;
/// So long is waited for the container's end, which kills a probe, or keeps it from being made, just before.
const DOUBT_MS: u64 = 100;

/// What a container's health is looked after with; nothing of it for one without a check.
pub struct Health(Option<Check>);

struct Check {
    plan: wire::Health<'static>,
    probes: Probes,
    running: Option<Probe>,
    /// What a probe has come to that the container's end may have cut short, and until when that is waited for.
    doubt: Option<(Found, u64)>,
    results: [Entry; KEPT],
    /// Probes that have ended.
    count: usize,
    /// What they have written, [`OUTPUT`] bytes each, and room for the file's text.
    outputs: &'static mut [u8],
    room: &'static mut [u8],
}

struct Probe {
    pid: i32,
    sync: Fd,
    /// Where the process tells why it could not be executed.
    told: Fd,
    output: Fd,
    began_ms: u64,
    deadline: u64,
    late: bool,
}

/// What a probe has come to.
struct Found {
    code: i32,
    /// The step and the errno of one that could not be run.
    failed: Option<(i32, i32)>,
    began_ms: u64,
}

#[derive(Clone, Copy)]
struct Entry {
    began: [u8; LENGTH],
    ended: [u8; LENGTH],
    code: i32,
    written: usize,
    /// The step and the errno of one that could not be run.
    failed: Option<(i32, i32)>,
}

const NOTHING: Entry = Entry { began: [0; LENGTH], ended: [0; LENGTH], code: NONE, written: 0, failed: None };

impl Health {
    /// Begins with the container's start.
    pub fn new(launch: &Launch<'static>) -> sys::Result<Health> {
        let Some(plan) = launch.supervise.health else { return Ok(Health(None)) };
        let (outputs, room) = (sys::map_anonymous(KEPT * OUTPUT)?, sys::map_anonymous(ROOM)?);
        let probes = Probes::new(&plan.timing, sys::now_ms());
        let check =
            Check { plan, probes, running: None, doubt: None, results: [NOTHING; KEPT], count: 0, outputs, room };
        Ok(Health(Some(check)))
    }

    /// Between two runs: what was found holds no more, and must not be read of the next.
    pub fn forget(&self, dir: Fd) {
        if self.0.is_some() {
            let _ = sys::unlinkat(dir, c"health.json", 0);
        }
    }

    /// Begins anew with another start.
    pub fn renew(&mut self) {
        if let Some(check) = &mut self.0 {
            (check.probes, check.count) = (Probes::new(&check.plan.timing, sys::now_ms()), 0);
            check.doubt = None;
        }
    }

    /// The output of the probe that runs; -1 for none.
    pub fn output(&self) -> Fd {
        self.0.as_ref().and_then(|check| check.running.as_ref()).map_or(-1, |probe| probe.output)
    }

    /// Milliseconds until [`Health::tick`] has something to do.
    pub fn wait_ms(&self) -> Option<u64> {
        let check = self.0.as_ref()?;
        let at = match (&check.doubt, &check.running) {
            (Some((_, until)), _) => *until,
            (None, Some(probe)) if probe.late => return None,
            (None, Some(probe)) => probe.deadline,
            (None, None) => check.probes.due_ms(),
        };
        Some(at.saturating_sub(sys::now_ms()))
    }

    /// Starts a probe that is due, ends one that is late. Neither while the container stands still.
    pub fn tick(&mut self, container: &Container, dir: Fd) {
        let due = self.wait_ms() == Some(0);
        let Some(check) = self.0.as_mut().filter(|_| due) else { return };
        let now = sys::now_ms();
        if let Some((found, _)) = check.doubt.take() {
            return check.conclude(found, container.launch, dir);
        }
        if freezer::is_frozen(&container.launch.cgroup) {
            return check.postpone(now);
        }
        match &mut check.running {
            Some(probe) => {
                probe.late = true;
                end_tree(probe.pid, 0);
            }
            None => check.start(container, now),
        }
    }

    /// Takes what the probe has written.
    pub fn read(&mut self) {
        if let Some(check) = &mut self.0 {
            check.read();
        }
    }

    /// True when it was the probe that has ended.
    pub fn reaped(&mut self, ended: &Ended, launch: &Launch<'static>, dir: Fd) -> bool {
        match &mut self.0 {
            Some(check) if check.running.as_ref().is_some_and(|probe| probe.pid == ended.pid) => {
                check.ended(ended, launch, dir);
                true
            }
            _ => false,
        }
    }

    /// The container has ended, and the probe with it.
    pub fn stop(&mut self) {
        let Some(check) = &mut self.0 else { return };
        check.doubt = None;
        if let Some(probe) = check.running.take() {
            probe.close();
        }
    }
}

impl Check {
    fn postpone(&mut self, now: u64) {
        match &mut self.running {
            Some(probe) => probe.deadline = now.saturating_add(self.plan.timing.timeout_ms),
            None => self.probes.postpone(&self.plan.timing, now),
        }
    }

    fn start(&mut self, container: &Container, now: u64) {
        let process = Process { args: self.plan.args, tty: false, init: false, ..container.launch.process };
        self.results[self.slot()] = Entry { began: time::now(), ..NOTHING };
        match Probe::start(container, process, now.saturating_add(self.plan.timing.timeout_ms)) {
            Ok(probe) => self.running = Some(probe),
            Err(fail) => {
                self.keep(fail.detail);
                self.results[self.slot()].ended = time::now();
                self.wait_for_end(Found { code: NONE, failed: Some((fail.step as i32, fail.errno.0)), began_ms: now });
            }
        }
    }

    fn slot(&self) -> usize {
        self.count % KEPT
    }

    /// Up to the bound; the rest is thrown away, or the probe would stop at a full pipe.
    fn read(&mut self) {
        let slot = self.slot();
        let Some(probe) = &mut self.running else { return };
        let written = &mut self.results[slot].written;
        let mut rest = [0; 1024];
        let into = match &mut self.outputs[slot * OUTPUT + *written..(slot + 1) * OUTPUT] {
            [] => &mut rest[..],
            free => free,
        };
        let length = into.len();
        match sys::read(probe.output, into) {
            Ok(n @ 1..) => *written = (*written + n.min(length)).min(OUTPUT),
            Err(Errno::EAGAIN) => {}
            _ => close(&mut probe.output),
        }
    }

    fn ended(&mut self, ended: &Ended, launch: &Launch<'static>, dir: Fd) {
        // What it has left in the pipe; who else holds that open is not waited for.
        for _ in 0..64 {
            self.read();
        }
        let Some(probe) = self.running.take() else { return };
        let mut packet = [0; PACKET_MAX];
        let told = probe.failure(&mut packet);
        let code = if told.is_none() && !probe.late { ending::status(ended) } else { NONE };
        let (began_ms, late) = (probe.began_ms, probe.late);
        if probe.late {
            self.say_late();
        }
        if let Some((.., detail)) = told {
            self.keep(detail);
        }
        probe.close();
        let found = Found { code, failed: told.map(|(step, errno, _)| (step, errno)), began_ms };
        self.results[self.slot()].ended = time::now();
        match !late && (ended.signal == sys::SIGKILL || found.failed.is_some()) {
            true => self.wait_for_end(found),
            false => self.conclude(found, launch, dir),
        }
    }

    /// Before that counts: nothing is known of the health of one that was ending.
    fn wait_for_end(&mut self, found: Found) {
        self.doubt = Some((found, sys::now_ms() + DOUBT_MS));
    }

    fn say_late(&mut self) {
        let mut said = Text::<80>::of(&[b"the health check took longer than its "]);
        said.dec(self.plan.timing.timeout_ms).push(b" ms, and was killed");
        self.keep(said.bytes());
    }

    fn keep(&mut self, text: &[u8]) {
        let (slot, length) = (self.slot(), text.len().min(OUTPUT));
        self.outputs[slot * OUTPUT..][..length].copy_from_slice(&text[..length]);
        self.results[slot].written = length;
    }

    fn conclude(&mut self, Found { code, failed, began_ms }: Found, launch: &Launch<'static>, dir: Fd) {
        let slot = self.slot();
        let entry = &mut self.results[slot];
        (entry.code, entry.failed) = (code, failed);
        self.count += 1;
        let changed = self.probes.ended(&self.plan.timing, code == 0, began_ms, sys::now_ms());
        let _ = self.write(dir);
        if changed {
            let action = Text::<40>::of(&[b"health_status: ", self.probes.health.word()]);
            events::tell(&launch.supervise, action.bytes(), &[]);
        }
    }

    /// Whole or not at all, as all records.
    fn write(&mut self, dir: Fd) -> sys::Result {
        let used = self.text();
        let file = sys::openat(dir, c"health.json.new", sys::O_WRONLY | sys::O_CREAT | sys::O_TRUNC, 0o600)?;
        let written = sys::write_all(file, &self.room[..used]);
        let _ = sys::close(file);
        sys::forget_pages(&mut self.room[4096..]);
        written.and_then(|()| sys::renameat2(dir, c"health.json.new", dir, c"health.json", 0))
    }

    fn text(&mut self) -> usize {
        let (mut used, room) = (0, &mut *self.room);
        let mut head = Text::<128>::of(&[b"{\"version\":1,\"status\":\"", self.probes.health.word()]);
        head.push(b"\",\"failing_streak\":").dec(self.probes.streak.into()).push(b",\"log\":[");
        put(room, &mut used, head.bytes());
        let first = self.count.saturating_sub(KEPT);
        for nth in first..self.count {
            let entry = &self.results[nth % KEPT];
            let mut text = Text::<256>::of(&[if nth == first { b"" } else { b"," }, b"{\"started_at\":\""]);
            text.push(&entry.began).push(b"\",\"finished_at\":\"").push(&entry.ended);
            text.push(b"\",\"exit_code\":").signed(entry.code.into());
            if let Some((step, errno)) = entry.failed {
                text.push(b",\"failed_step\":").signed(step.into()).push(b",\"failed_errno\":").signed(errno.into());
            }
            put(room, &mut used, text.push(b",\"output\":\"").bytes());
            escape(room, &mut used, &self.outputs[(nth % KEPT) * OUTPUT..][..entry.written]);
            put(room, &mut used, b"\"}");
        }
        put(room, &mut used, b"]}\n");
        used
    }
}

impl Probe {
    fn start(container: &Container, process: Process<'static>, deadline: u64) -> Result<Probe, Fail> {
        let fail = |errno| Fail { step: wire::Step::Streams, errno, detail: b"" };
        let (output, theirs) = sys::pipe(sys::O_NONBLOCK).map_err(fail)?;
        let ends = sys::socketpair().inspect_err(|_| drop((sys::close(output), sys::close(theirs))));
        let (told, client) = ends.map_err(fail)?;
        let _ = sys::set_status_flags(theirs, 0);
        let _ = sys::set_status_flags(told, sys::O_NONBLOCK);
        let began_ms = sys::now_ms();
        let started = command::probe(container, process, theirs, client);
        let _ = (sys::close(theirs), sys::close(client));
        match started {
            Ok(started) => {
                let command::Started { pid, sync, .. } = started;
                Ok(Probe { pid, sync, told, output, began_ms, deadline, late: false })
            }
            Err(fail) => {
                let _ = (sys::close(output), sys::close(told));
                Err(fail)
            }
        }
    }

    /// Why its process could not be executed, if it has told that: the step, the errno and what belongs to it. All of it
    /// lies in the packet: a copy for each that fails would be kept for ever.
    fn failure<'a>(&self, packet: &'a mut [u8; PACKET_MAX]) -> Option<(i32, i32, &'a [u8])> {
        let n = sys::recv(self.told, packet, true).unwrap_or(0);
        match Status::decode(&packet[..n]) {
            Ok(Status::Failed { step, errno, detail }) => {
                Some((wire::Step::from_number(step).unwrap_or(wire::Step::Exec) as i32, errno, detail))
            }
            _ => None,
        }
    }

    fn close(self) {
        for fd in [self.sync, self.told, self.output] {
            let _ = sys::close(fd);
        }
    }
}

fn close(fd: &mut Fd) {
    let _ = sys::close(*fd);
    *fd = -1;
}

/// Kills a process with its group, and what descends from it, as far as that can be found: who was started by another
/// thread than the first, or has lost its parent, is not.
fn end_tree(pid: i32, depth: usize) {
    const DEEPEST: usize = 8;
    let mut path = Text::<64>::of(&[b"/proc/"]);
    path.signed(pid.into()).push(b"/task/").signed(pid.into()).push(b"/children");
    let mut text = [0; 512];
    let n = if depth < DEEPEST { read_file(path.c(), &mut text).unwrap_or(0) } else { 0 };
    let _ = sys::kill(-pid, sys::SIGKILL);
    let _ = sys::kill(pid, sys::SIGKILL);
    let complete = text[..n].iter().rposition(|b| b.is_ascii_whitespace()).unwrap_or(0);
    for child in text[..complete].split(|b| b.is_ascii_whitespace()).filter_map(parse_dec) {
        if child > 1 {
            end_tree(child as i32, depth + 1);
        }
    }
}
