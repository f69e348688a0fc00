//! Looking after the running container: one loop over its streams, its end, the host's word and the
//! host's death.

use core::cell::Cell;

use crate::attach;
use crate::control::{self, Container, Control};
use crate::ending::{self, End};
use crate::fail::{At, Outcome};
use crate::launch::Started;
use crate::limits;
use crate::log::Log;
use crate::memory;
use crate::oom;
use crate::probe::Health;
use crate::records::{self, Moment, State};
use crate::relay::{self, Input, Output, open_anew};
use crate::rotate::Files;
use crate::sys::{self, AT_FDCWD, Ended, Errno, Fd, POLLIN, Poll};
use crate::tie::Tie;
use crate::time;
use crate::wire::{Header, Launch, PACKET_MAX, Restart, Restarts, Step, fd};

/// The init's ends of its standard streams, and what the shim keeps of them; -1 for none.
pub struct Streams {
    /// Standard input, output and error of the init; all -1 with a terminal.
    pub init: [Fd; 3],
    /// The other ends: where input is written to, where output and error are read from.
    pub ours: [Fd; 3],
    /// The log.
    pub log: Option<Files>,
}

/// A container whose payload runs.
pub struct Running {
    /// What was asked for.
    pub launch: &'static Launch<'static>,
    /// Which descriptors the host passed.
    pub header: Header,
    /// Its init.
    pub init: Started,
    /// Its standard streams.
    pub streams: Streams,
    /// Where it can be asked for something; -1 for nowhere.
    pub listener: Fd,
}

/// Before the init is made: its standard streams, the log, no signal that could end the shim.
pub fn prepare(launch: &Launch<'static>, header: &Header) -> Outcome<Streams> {
    let _ = sys::set_signal_mask(u64::MAX);
    if launch.supervise.direct {
        fill_low()?;
        return Ok(Streams { init: [fd::STDIN, fd::STDOUT, fd::STDERR], ours: [-1; 3], log: None });
    }
    [fd::STDIN, fd::STDOUT, fd::STDERR].into_iter().filter(|fd| header.has(*fd)).for_each(open_anew);
    fill_low()?;
    let log = Files::open(launch)?;
    let (init, ours) = pipes(launch, header.has(fd::STDIN))?;
    Ok(Streams { init, ours, log })
}

/// The init's ends of its streams and ours; none with a terminal.
pub fn pipes(launch: &Launch<'static>, fed: bool) -> Outcome<([Fd; 3], [Fd; 3])> {
    if launch.process.tty {
        return Ok(([-1; 3], [-1; 3]));
    }
    // Kept open without a source: whoever reads it waits, as for an input that has not come yet.
    let (stdin, ours) = match fed || launch.supervise.keep_stdin {
        true => pipe()?,
        false => (open_null()?, -1),
    };
    let ((stdout_read, stdout), (stderr_read, stderr)) = (pipe()?, pipe()?);
    for end in [ours, stdout_read, stderr_read] {
        set_nonblocking(end);
    }
    Ok(([stdin, stdout, stderr], [ours, stdout_read, stderr_read]))
}

/// The init has the host's streams: what is kept open here would keep the host from seeing their end.
pub fn let_go(launch: &Launch<'static>) {
    if let (true, Ok(null)) = (launch.supervise.direct, open_null()) {
        for fd in [fd::STDIN, fd::STDOUT, fd::STDERR] {
            let _ = sys::dup_to(null, fd);
        }
        let _ = sys::close(null);
    }
}

/// The low descriptors have fixed meanings: those that the host left empty must not be taken by chance.
fn fill_low() -> Outcome {
    loop {
        let null = open_null()?;
        if null >= fd::FIRST_FREE {
            let _ = sys::close(null);
            return Ok(());
        }
    }
}

fn open_null() -> Outcome<Fd> {
    sys::openat(AT_FDCWD, c"/dev/null", sys::O_RDWR, 0).at(Step::Streams, c"/dev/null")
}

/// Read end, write end.
fn pipe() -> Outcome<(Fd, Fd)> {
    sys::pipe(0).step(Step::Streams)
}

fn set_nonblocking(fd: Fd) {
    if let Ok(flags) = sys::status_flags(fd) {
        let _ = sys::set_status_flags(fd, flags | sys::O_NONBLOCK);
    }
}

/// The init exists and waits: the record that makes the container visible.
pub fn record(launch: &Launch<'static>, init: i32, restarts: u32) -> Outcome<Moment> {
    let started_at = time::now();
    let path = launch.supervise.dir;
    let dir = records::open_dir(path).at(Step::Record, path)?;
    let state = State { init, started_at, restarts, restarting: false };
    // An end that can't be noted would be read as one of a shim that was killed.
    let reserved = if restarts == 0 { records::reserve_exit(dir) } else { Ok(()) };
    let written = reserved.and_then(|()| records::write_state(dir, launch.supervise.state_prefix, &state));
    if written.is_err() {
        records::forget(dir);
    }
    let _ = sys::close(dir);
    written.at(Step::Record, path).map(|()| started_at)
}

/// The start failed after [`record`]: takes the record back.
pub fn forget(launch: &Launch<'static>) {
    if let Ok(dir) = records::open_dir(launch.supervise.dir) {
        records::forget(dir);
        let _ = sys::close(dir);
    }
}

/// From the payload's first instruction to its end, and what is to be done then.
#[inline(never)]
pub fn run(mut running: Running) -> ! {
    memory::shed_stack();
    limits::raise_files();
    match Watch::new(&mut running) {
        Ok(mut watch) => while watch.turn() {},
        // Without the little memory that this takes nothing can be looked after.
        Err(_) => drop(sys::kill(running.init.pid, sys::SIGKILL)),
    }
    sys::exit(0)
}

/// The exit code of a container whose own is lost.
const UNKNOWN: i32 = 255;
/// Where the descriptors of the input, of processes and of the host are among those that are polled; first come the outputs.
const INPUT: usize = 2 * relay::POLLS;
const CHILDREN: usize = INPUT + 3;
const STATUS: usize = INPUT + 4;
const TIES: [usize; 2] = [INPUT + 5, INPUT + 6];
const HEALTH: usize = INPUT + 7;
/// Descriptors that are polled besides the clients'.
const OWN: usize = INPUT + 8;

/// All that is watched.
pub struct Watch {
    pub pid: i32,
    pub pidfd: Fd,
    children: Fd,
    status: Fd,
    pub terminal: Fd,
    /// The other end of the terminal, held open.
    pub peer: Fd,
    pub control: Control,
    pub launch: &'static Launch<'static>,
    /// When the init was let go, as records tell it and by the clock that only goes forward.
    pub started_at: Moment,
    pub started_ms: u64,
    /// How many were killed for want of memory before that.
    pub oom_kills: u64,
    pub restarts: Restarts,
    pub restart: Cell<Restart>,
    pub health: Health,
    pub outputs: [Output; 2],
    pub input: Input,
    log: Log,
    pub tie: Tie,
    pub dir: Fd,
    /// The container's user namespace, to remove what its users own.
    pub users: Option<Fd>,
}

impl Watch {
    #[inline(never)]
    fn new(running: &mut Running) -> sys::Result<Watch> {
        let log = running.streams.log.take();
        let supervise = &running.launch.supervise;
        let given = |fd| running.header.has(fd).then_some(fd);
        let stream = |fd| given(fd).filter(|_| !supervise.direct);
        let tied = |fd| given(fd).filter(|_| supervise.tie_host).unwrap_or(-1);
        let [stdin, stdout, stderr] = running.streams.ours;
        let Terminal { master, held, peer } = running.init.terminal.map_or(NO_TERMINAL, own_terminal);
        let stdin = if master < 0 { stdin } else { master };
        let stdout = if master < 0 { stdout } else { held };
        // Who can't be reached can't be told to stop starting it.
        let restart = if running.listener < 0 { Restart::No } else { supervise.restart };
        let source = stream(fd::STDIN);
        let dir = records::open_dir(supervise.dir).unwrap_or(-1);
        const SIGCHLD_BIT: u64 = 1 << (sys::SIGCHLD - 1);
        Ok(Watch {
            pid: running.init.pid,
            pidfd: running.init.pidfd,
            children: sys::signalfd(SIGCHLD_BIT)?,
            status: fd::STATUS,
            terminal: master,
            peer,
            control: Control::new(running.listener)?,
            launch: running.launch,
            started_at: running.init.started_at,
            started_ms: sys::now_ms(),
            oom_kills: 0,
            restarts: Restarts::default(),
            restart: Cell::new(restart),
            health: Health::new(running.launch)?,
            outputs: [
                Output::new(b"stdout", stdout, stream(fd::STDOUT))?,
                Output::new(b"stderr", stderr, stream(fd::STDERR))?,
            ],
            // As in Docker: an attached input that ends is the input's end; kept open is what nobody is attached to.
            input: Input::new(source, stdin, master >= 0, supervise.keep_stdin && source.is_none())?,
            log: Log::new(log, supervise.log_json)?,
            tie: Tie::new(
                tied(fd::HOST),
                tied(fd::TIE),
                supervise.stop_signal,
                supervise.stop_timeout_ms,
                running.launch.cgroup,
            ),
            dir,
            users: ending::user_namespace(running.launch, running.init.pid),
        })
    }

    /// Serves the streams until the init has ended.
    pub fn until_end(&mut self) -> Ended {
        // What a start has been all over, and a command that has ended.
        let mut rests = true;
        loop {
            // An end that came before the descriptors below were made is found here too.
            if let Some(init) = self.reap() {
                return init;
            }
            if rests {
                memory::shed_program();
                memory::shed_stack();
            }
            let mut polls = [Poll { fd: -1, events: 0, revents: 0 }; OWN + control::POLLS];
            polls[..OWN].copy_from_slice(&self.polls());
            self.control.polls(&mut polls[OWN..], self.input.has_room());
            let used = OWN + self.control.used();
            let _ = sys::poll_open(&mut polls[..used], self.wait_ms());
            rests = polls[CHILDREN].revents != 0;
            self.handle(&polls);
            self.serve(&polls[OWN..used]);
        }
    }

    /// Does for clients what can be done, by the polls of [`Control::polls`].
    pub fn serve(&mut self, polls: &[Poll]) {
        let Watch { launch, pidfd, terminal, restart, .. } = self;
        let container = Container { launch, pidfd: *pidfd, terminal: *terminal, restart };
        let mut streams = attach::Streams { outputs: &mut self.outputs, input: &mut self.input };
        self.control.handle(polls, &container, &mut streams);
        if *pidfd >= 0 {
            self.health.tick(&container, self.dir);
        }
    }

    fn polls(&self) -> [Poll; OWN] {
        let quiet = |fd| Poll { fd, events: POLLIN, revents: 0 };
        let mut polls = [quiet(-1); OWN];
        for (polls, output) in polls.chunks_exact_mut(relay::POLLS).zip(&self.outputs) {
            polls.copy_from_slice(&output.polls());
        }
        polls[INPUT..INPUT + 2].copy_from_slice(&self.input.polls());
        let rest =
            [self.pidfd, self.children, self.status, self.tie.host, self.tie.pipe, self.health.output()].map(quiet);
        polls[INPUT + 2..].copy_from_slice(&rest);
        polls
    }

    #[inline(never)]
    fn handle(&mut self, polls: &[Poll]) {
        let ready = |i: usize| polls[i].revents != 0;
        for (output, polls) in self.outputs.iter_mut().zip(polls.chunks_exact(relay::POLLS)) {
            output.pump(&mut self.log, polls);
            output.settle(&mut self.log);
        }
        self.give_up();
        self.input.pump(ready(INPUT), polls[INPUT + 1].revents);
        if ready(CHILDREN) {
            let _ = sys::read(self.children, &mut [0; 128]);
        }
        if ready(STATUS) {
            self.hear();
        }
        if ready(HEALTH) {
            self.health.read();
        }
        if TIES.into_iter().any(ready) {
            self.tie.cut(self.pid);
        }
        self.tie.tick(self.pid);
    }

    /// Lets those go who joined an output and don't read it.
    fn give_up(&mut self) {
        while let Some(owner) = self.outputs.iter_mut().find_map(Output::give_up) {
            attach::Streams { outputs: &mut self.outputs, input: &mut self.input }.leave(owner);
            self.control.drop_slow(owner);
        }
    }

    fn wait_ms(&self) -> Option<u64> {
        let [a, b] = [&self.outputs[0], &self.outputs[1]].map(|output| output.wait_ms());
        [a, b, self.tie.wait_ms(), self.control.wait_ms(), self.health.wait_ms()].into_iter().flatten().min()
    }

    /// Buries all children that have ended; the container's orphans are among them when it shares our
    /// process ids.
    fn reap(&mut self) -> Option<Ended> {
        loop {
            match sys::wait(-1, true) {
                Ok(Some(ended)) if ended.pid == self.pid => return Some(ended),
                Ok(Some(ended)) if self.health.reaped(&ended, self.launch, self.dir) => {}
                Ok(Some(ended)) => self.control.reaped(&ended, self.launch),
                // Somebody else has buried it, and with it the word of how it ended.
                Err(Errno::ECHILD) => return Some(Ended { pid: self.pid, code: UNKNOWN, signal: 0 }),
                _ => return None,
            }
        }
    }

    /// The host has nothing to say here, but closes the socket when it has no more interest.
    fn hear(&mut self) {
        match sys::recv(self.status, &mut [0; PACKET_MAX], true) {
            Ok(1..) | Err(Errno::EAGAIN) => {}
            _ => relay::close(&mut self.status),
        }
    }

    /// The init has ended: ends what it has left running, and brings its output where it belongs.
    #[inline(never)]
    pub fn wind_up(&mut self, init: Ended) -> End {
        let (finished_at, ran_ms) = (time::now(), sys::now_ms().saturating_sub(self.started_ms));
        ending::kill_stragglers(self.launch);
        match self.restart.get() {
            Restart::No => self.control.close(self.launch),
            _ => self.control.end_commands(self.launch),
        }
        self.health.stop();
        self.drain();
        self.outputs.iter_mut().for_each(|output| output.taps.close());
        let oom = oom::look(&self.launch.cgroup).since(self.oom_kills);
        let (started_at, restarts, log_error) = (self.started_at, self.restarts.count, self.log.error);
        let unwritten = self.outputs.iter().find_map(|output| output.unwritten);
        let end = End { init, started_at, finished_at, ran_ms, oom, log_error, unwritten, restarts, failed: None };
        ending::tell_end(self.launch, &end);
        end
    }

    /// This end is the last one.
    #[inline(never)]
    pub fn conclude(&mut self, end: &End) {
        self.control.close(self.launch);
        ending::conclude(self.launch, self.dir, end, self.tie.is_cut(), self.users);
        // Who hears of the end may ask for it at once.
        self.control.part(&end.init, end.oom, self.launch);
    }

    /// The host hears no more of the container.
    pub fn leave_host(&mut self) {
        relay::close(&mut self.status);
    }

    /// Nothing is lost on the way to a host that still listens, however slow it is.
    fn drain(&mut self) {
        while self.outputs.iter_mut().fold(false, |waiting, output| output.drain(&mut self.log) | waiting) {
            self.await_readers();
        }
        self.outputs.iter_mut().for_each(|output| output.finish(&mut self.log));
    }

    /// A host that has let go of the socket, or is gone, but left a pipe open gets a last chance.
    fn await_readers(&mut self) {
        const PATIENCE_MS: u64 = 2000;
        let mut polls = self.polls();
        // Only what ends the waiting is of interest now: not the sources, the input and the processes.
        for i in [0, relay::POLLS, INPUT, INPUT + 1, INPUT + 2, CHILDREN, HEALTH] {
            polls[i].fd = -1;
        }
        let patience = (self.status < 0 || self.tie.is_cut()).then_some(PATIENCE_MS);
        let [a, b] = [&self.outputs[0], &self.outputs[1]].map(|output| output.taps_wait_ms());
        let taps = a.into_iter().chain(b).min();
        let nothing = sys::poll_open(&mut polls, patience.into_iter().chain(taps).min()) == Ok(0);
        if nothing && taps.is_none() {
            self.outputs.iter_mut().for_each(Output::drop_sink);
        }
        for (output, polls) in self.outputs.iter_mut().zip(polls.chunks_exact(relay::POLLS)) {
            output.pump(&mut self.log, polls);
        }
        self.give_up();
        if polls[STATUS].revents != 0 {
            self.hear();
        }
        if TIES.into_iter().any(|i| polls[i].revents != 0) {
            self.tie.lose();
        }
    }
}

/// A terminal, as the shim holds it; -1 for none.
pub struct Terminal {
    /// The master, to write to.
    pub master: Fd,
    /// The same, to read from.
    pub held: Fd,
    /// The other end, held open as long as the container runs: a master reports a hang-up whenever nobody has that open,
    /// and a program may open its console again.
    pub peer: Fd,
}

/// That of a container without one.
pub const NO_TERMINAL: Terminal = Terminal { master: -1, held: -1, peer: -1 };

/// Takes over a terminal's master.
pub fn own_terminal(master: Fd) -> Terminal {
    const TIOCGPTPEER: usize = 0x5441;
    let peer = sys::ioctl(master, TIOCGPTPEER, (sys::O_RDWR | sys::O_NOCTTY | sys::O_CLOEXEC) as usize);
    set_nonblocking(master);
    let held = sys::dup_above(master, fd::FIRST_FREE).unwrap_or(-1);
    Terminal { master, held, peer: peer.map_or(-1, |fd| fd as Fd) }
}
