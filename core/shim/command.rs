//! A command in the running container: from a client's request to the exec.
//!
//! Two children, one after the other. The first joins the container, of whose process ids only children can
//! be a part; the second, which it makes the shim's own child, enters the cgroups, takes on the container's
//! limits and becomes the command. The container can look into neither: like the shim they are not dumpable
//! (CVE-2016-9962), and what is executed of ours is sealed (CVE-2019-5736).

use core::ffi::CStr;
use core::marker::PhantomData;

use crate::control::Container;
use crate::fail::{At, Fail, Outcome};
use crate::launch::word;
use crate::sys::{self, AT_FDCWD, Errno, Fd, Forked};
use crate::text::Text;
use crate::user;
use crate::wire::{EXEC_MAX, ExecHead, Launch, Namespace, Process, Reader, Step, fd};
use crate::{chroot, exec, init, label, limits, shifted, terminal};

/// A client's request.
pub struct Order<'a> {
    /// All but the process.
    pub head: &'a ExecHead<'a>,
    /// A sealed memory file that holds the process.
    pub blob: Fd,
    /// How long that is.
    pub length: u32,
    /// Where it is told what became of it.
    pub client: Fd,
    /// The process, where it doesn't come in a file.
    pub process: Option<Process<'static>>,
}

/// A command on its way.
pub struct Started {
    /// Its process.
    pub pid: i32,
    /// What it says until it is executed.
    pub sync: Fd,
    /// The other ends of its streams, -1 for none: see `Client`.
    pub streams: [Fd; 3],
}

/// Makes the command's process; what it does from there on is not waited for.
pub fn start(container: &Container, order: &Order) -> Outcome<Started> {
    // What could still change would be a trap for the reader.
    if order.length > EXEC_MAX || !sys::is_sealed(order.blob) {
        return Err(Fail { step: Step::Request, errno: Errno::EINVAL, detail: b"" });
    }
    let mut streams = Streams::new(order.head)?;
    streams.theirs.iter().for_each(|end| shifted::give(container.launch, *end));
    let started = fork(container, order, &mut streams);
    streams.theirs.iter().for_each(|fd| drop(sys::close(*fd)));
    if started.is_err() {
        streams.ours.iter().for_each(|fd| drop(sys::close(*fd)));
    }
    started
}

/// A command of our own: without input, and with both outputs in one pipe, whose ends are the caller's.
pub fn probe(container: &Container, process: Process<'static>, output: Fd, client: Fd) -> Outcome<Started> {
    let head = ExecHead {
        tty: false,
        stdin: false,
        detach: true,
        timeout_ms: 0,
        rows: 0,
        columns: 0,
        id: c"",
        of: PhantomData,
    };
    let order = Order { head: &head, blob: -1, length: 0, client, process: Some(process) };
    let mut streams = Streams { theirs: [null()?, output, output], ours: [-1; 3] };
    let started = fork(container, &order, &mut streams);
    let _ = sys::close(streams.theirs[0]);
    started
}

fn fork(container: &Container, order: &Order, streams: &mut Streams) -> Outcome<Started> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let pid = join(container, order, streams, theirs);
    let _ = sys::close(theirs);
    match pid {
        Ok(pid) => {
            let _ = sys::set_status_flags(ours, sys::O_NONBLOCK);
            Ok(Started { pid, sync: ours, streams: streams.ours })
        }
        Err(fail) => {
            let _ = sys::close(ours);
            Err(fail)
        }
    }
}

/// Makes the first child and has it make the second, whose pid is returned. The first one's work is short,
/// and nothing of it waits for anybody.
fn join(container: &Container, order: &Order, streams: &Streams, sync: Fd) -> Outcome<i32> {
    // Not by `sync`, where the second child may be faster.
    let (read, write) = pipe()?;
    let told = match sys::fork_plainly(0) {
        Ok(Forked::Child) => Joining { container, order, streams: streams.theirs, sync, report: write }.run(),
        Ok(Forked::Parent { pid, pidfd }) => {
            let _ = sys::wait(pid, false);
            let _ = sys::close(pidfd);
            let _ = sys::close(write);
            hear(read)
        }
        Err(errno) => {
            let _ = sys::close(write);
            Err(Fail { step: Step::Clone, errno, detail: b"" })
        }
    };
    let _ = sys::close(read);
    told
}

/// What the first child had to say: a pid, or a step and an errno.
fn hear(report: Fd) -> Outcome<i32> {
    let mut words = [0; 12];
    let n = sys::read(report, &mut words).unwrap_or(0);
    let word = |at: usize| i32::from_ne_bytes([words[at], words[at + 1], words[at + 2], words[at + 3]]);
    match n {
        12 if word(0) > 0 => Ok(word(0)),
        12 => Err(Fail {
            step: Step::from_number(word(4) as u32).unwrap_or(Step::Join),
            errno: Errno(word(8)),
            detail: b"",
        }),
        _ => Err(Fail { step: Step::Join, errno: Errno::ESRCH, detail: b"" }),
    }
}

/// Both ends of a command's streams; none of ours with a terminal.
struct Streams {
    theirs: [Fd; 3],
    ours: [Fd; 3],
}

impl Streams {
    fn new(head: &ExecHead) -> Outcome<Streams> {
        let mut streams = Streams { theirs: [-1; 3], ours: [-1; 3] };
        if head.tty {
            return Ok(streams);
        }
        let filled = streams.fill(head);
        if filled.is_err() {
            streams.theirs.iter().chain(&streams.ours).for_each(|fd| drop(sys::close(*fd)));
        }
        filled.map(|()| streams)
    }

    fn fill(&mut self, head: &ExecHead) -> Outcome {
        (self.theirs[0], self.ours[0]) = if head.stdin { pipe()? } else { (null()?, -1) };
        for i in [1, 2] {
            (self.ours[i], self.theirs[i]) = if head.detach { (-1, null()?) } else { pipe()? };
        }
        Ok(())
    }
}

fn pipe() -> Outcome<(Fd, Fd)> {
    sys::pipe(0).step(Step::Streams)
}

fn null() -> Outcome<Fd> {
    sys::openat(AT_FDCWD, c"/dev/null", sys::O_RDWR, 0).at(Step::Streams, c"/dev/null")
}

/// More hierarchies than a kernel has controllers.
const MOST_GROUPS: usize = 24;

/// The first child.
struct Joining<'a> {
    container: &'a Container<'a>,
    order: &'a Order<'a>,
    streams: [Fd; 3],
    sync: Fd,
    report: Fd,
}

impl Joining<'_> {
    fn run(self) -> ! {
        let (pid, step, errno) = match self.join() {
            Ok(pid) => (pid, 0, 0),
            Err(fail) => (0, fail.step as i32, fail.errno.0),
        };
        let mut words = [0; 12];
        for (to, word) in words.chunks_exact_mut(4).zip([pid, step, errno]) {
            to.copy_from_slice(&word.to_ne_bytes());
        }
        let _ = sys::write(self.report, &words);
        sys::exit(0)
    }

    fn join(&self) -> Outcome<i32> {
        self.let_go()?;
        let launch = self.container.launch;
        // By the host's /proc and cgroup trees, which are out of sight inside.
        limits::set_score_unseen(&launch.process)?;
        if launch.id_map.is_some() {
            limits::raise(&launch.process, limits::OWN)?;
        }
        let groups = Groups::open(launch)?;
        let proc = label::host(&launch.process)?;
        if launch.rootfs.tree().is_none() {
            sys::setns(self.container.pidfd, namespaces(launch)).step(Step::Join)?;
        }
        match groups.fork()? {
            (Forked::Child, entered) => Command { joining: self, groups: &groups, proc, entered }.run(),
            (Forked::Parent { pid, .. }, _) => Ok(pid),
        }
    }

    /// Lets everything go that is the shim's. What is done after the second fork tells the client of failures.
    fn let_go(&self) -> Outcome {
        sys::dup_to(self.order.client, fd::STATUS).step(Step::Join)?;
        let [a, b, c] = self.streams;
        let (sync, report) = (self.sync, self.report);
        let mut keep = [fd::STDERR, fd::STATUS, sync, report, self.order.blob, self.container.pidfd, a, b, c];
        keep.sort_unstable();
        for (low, high) in keep.iter().zip(&keep[1..]).filter(|(low, high)| **low >= 0 && **high > **low + 1) {
            let _ = sys::close_range(low + 1, high - 1);
        }
        // Where that call is missing these three would be kept over the exec.
        for number in [fd::LOCK, fd::TIE, fd::HOST] {
            let _ = sys::close(number);
        }
        let _ = sys::close_from(keep[keep.len() - 1] + 1);
        Ok(())
    }
}

fn namespaces(launch: &Launch<'static>) -> u64 {
    let n = &launch.namespaces;
    let own = |which: &Namespace, flag| if *which == Namespace::Host { 0 } else { flag };
    let user = if n.user { sys::CLONE_NEWUSER } else { 0 };
    sys::CLONE_NEWNS
        | user
        | own(&n.pid, sys::CLONE_NEWPID)
        | own(&n.net, sys::CLONE_NEWNET)
        | own(&n.ipc, sys::CLONE_NEWIPC)
        | own(&n.uts, sys::CLONE_NEWUTS)
}

/// The container's cgroups, opened.
struct Groups {
    tasks: [Fd; MOST_GROUPS],
    v2: Option<Fd>,
    /// The file of the v2 cgroup by which a process enters it.
    procs: Fd,
}

impl Groups {
    fn open(launch: &Launch<'static>) -> Outcome<Groups> {
        let mut groups = Groups { tasks: [-1; MOST_GROUPS], v2: None, procs: -1 };
        for (dir, tasks) in launch.cgroup.v1.iter().zip(&mut groups.tasks) {
            let mut path: Text<4096> = Text::of(&[dir.to_bytes(), b"/tasks"]);
            *tasks = sys::openat(AT_FDCWD, path.c(), sys::O_WRONLY, 0).at(Step::CgroupOpen, dir)?;
        }
        if let Some(dir) = launch.cgroup.v2 {
            let flags = sys::O_RDONLY | sys::O_DIRECTORY;
            let opened = sys::openat(AT_FDCWD, dir, flags, 0).at(Step::CgroupOpen, dir)?;
            // While this is who may: inside it is the container's root.
            groups.procs = sys::openat(opened, c"cgroup.procs", sys::O_WRONLY, 0).at(Step::CgroupOpen, dir)?;
            groups.v2 = Some(opened);
        }
        Ok(groups)
    }

    /// The second child, and whether it was born in the v2 cgroup.
    fn fork(&self) -> Outcome<(Forked, bool)> {
        if self.v2.is_some()
            && let Ok(forked) = sys::fork(sys::CLONE_PARENT, self.v2)
        {
            return Ok((forked, true));
        }
        let forked = match sys::fork(sys::CLONE_PARENT, None) {
            Err(Errno::ENOSYS) => sys::fork_by_clone(sys::CLONE_PARENT),
            other => other,
        };
        forked.step(Step::Clone).map(|forked| (forked, false))
    }

    /// A frozen cgroup keeps who enters it, so this is the second child's to do.
    fn enter(&self, entered: bool) -> Outcome {
        init::leave_real_time();
        for tasks in self.tasks.iter().filter(|fd| **fd >= 0) {
            sys::write_all(*tasks, b"0").step(Step::CgroupEnter)?;
        }
        match self.v2 {
            Some(_) if !entered => sys::write_all(self.procs, b"0").step(Step::CgroupEnter),
            _ => Ok(()),
        }
    }
}

/// The second child.
struct Command<'a> {
    joining: &'a Joining<'a>,
    groups: &'a Groups,
    proc: Option<Fd>,
    entered: bool,
}

impl Command<'_> {
    fn run(&self) -> ! {
        let failed = match self.set_up() {
            Ok((process, home)) => exec::run(&process, home),
            Err(failed) => failed,
        };
        failed.report();
        let _ = sys::send(self.joining.sync, &[word::FAILED]);
        sys::exit(1)
    }

    /// The same steps as those of the container's init, but for what stands already.
    fn set_up(&self) -> Outcome<(Process<'static>, &'static CStr)> {
        let Joining { container, order, streams, sync, .. } = *self.joining;
        let launch = container.launch;
        self.groups.enter(self.entered)?;
        // The container's, whoever runs a command in it.
        let labels = label::open(self.proc, &launch.process)?;
        if launch.namespaces.cgroup != Namespace::Host {
            // After the cgroup: from inside, the one we come from can't be seen, nor left.
            sys::setns(container.pidfd, sys::CLONE_NEWCGROUP).step(Step::Join)?;
        }
        init::assume_root(launch)?;
        let _ = sys::setsid();
        init::leave_keyring(&labels)?;
        let process = read(order)?;
        let of_host = chroot::join(launch, order.head.tty.then(|| order.head.size()), sync)?;
        let user = user::find(&process)?;
        init::enter_directory(&process)?;
        let slave = match of_host {
            None if order.head.tty => Some(terminal::make_inside(sync, order.head.size())?),
            of_host => of_host,
        };
        init::connect(streams, slave, user.uid)?;
        limits::set(&process)?;
        init::become_user(&process, launch.id_map.is_some(), &user, &labels, None)?;
        // After the last change of credentials, which would clear it.
        let _ = sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize, 0);
        // The shim may be gone by now, and would take nobody along.
        sys::send(sync, &[word::READY]).step(Step::Died)?;
        Ok((process, user.home))
    }
}

fn read(order: &Order) -> Outcome<Process<'static>> {
    if let Some(process) = order.process {
        return Ok(process);
    }
    let blob = sys::map_file(order.blob, order.length as usize).step(Step::Request)?;
    Reader(blob).get().map_err(|_| Fail { step: Step::Request, errno: Errno::EINVAL, detail: b"" })
}
