//! The container's first process, from the clone to the exec.

use core::ffi::CStr;

use crate::ahead::Ahead;
use crate::fail::{At, Fail, Outcome};
use crate::label::Labels;
use crate::launch::word;
use crate::listener::Listener;
use crate::passed::Passed;
use crate::scratch::Scratch;
use crate::shelf::{self, Made};
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::target::{self, Missing};
use crate::text::Text;
use crate::wire::{Launch, Namespace, Process, Step, fd};
use crate::{accounts, chroot, credentials, early, exec, label, limits, mounts, reaper, rootfs, terminal, user};

/// Everything between the clone and the exec. `cgroup` is a v2 directory that the kernel did not put it into.
/// `states`: of its volumes (`fill.rs`).
pub fn run(
    launch: &Launch<'static>,
    ahead: Ahead,
    streams: [Fd; 3],
    sync: Fd,
    cgroup: Option<Fd>,
    states: &[usize],
) -> ! {
    let failed = match set_up(launch, ahead, streams, sync, cgroup, states) {
        Ok((home, labels, kept)) => match launch.process.init {
            true => reaper::split(&launch.process, &labels, kept).unwrap_or_else(|| exec::run(&launch.process, home)),
            false => exec::run(&launch.process, home),
        },
        Err(failed) => failed,
    };
    failed.report();
    let _ = sys::send(sync, &[word::FAILED]);
    sys::exit(1)
}

/// The only order that works; each line leans on those above it.
fn set_up(
    launch: &Launch<'static>,
    ahead: Ahead,
    streams: [Fd; 3],
    sync: Fd,
    cgroup: Option<Fd>,
    states: &[usize],
) -> Outcome<(&'static CStr, Labels, bool)> {
    if launch.cgroup.late {
        expect(sync, word::PLACED)?;
    }
    enter_cgroups(launch, cgroup)?;
    // A change of credentials gives what /proc has of this process to the host's root, so before that.
    limits::set_score(&launch.process, limits::OWN)?;
    let labels = label::by_hosts_proc(&launch.process)?;
    become_root(launch, sync)?;
    // From here on nobody of the container may look into this process, which still knows the host.
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    let _ = sys::setsid();
    leave_keyring(&labels)?;
    enter_namespaces(launch, ahead)?;
    let slave = make_root(launch, sync, states)?;
    let user = user::find(&launch.process)?;
    enter_directory(&launch.process)?;
    connect(streams, slave, user.uid)?;
    limits::set(&launch.process)?;
    let kept = launch.process.init && reaper::is_program_kept();
    become_user(&launch.process, launch.id_map.is_some(), &user, &labels, None)?;
    // After the last change of credentials, which would clear it; then a look whether the shim still lives.
    let _ = sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize, 0);
    expect(sync, word::GO)?;
    Ok((user.home, labels, kept))
}

/// Waits for the shim's word; a shim that has died says nothing, and then nothing is run.
pub fn expect(sync: Fd, wanted: u8) -> Outcome {
    let mut packet = [0];
    match sys::recv(sync, &mut packet, false) {
        Ok(1) if packet[0] == wanted => Ok(()),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}

pub fn enter_cgroups(launch: &Launch<'static>, v2: Option<Fd>) -> Outcome {
    leave_real_time();
    for dir in launch.cgroup.v1.iter() {
        let mut tasks: Text<4096> = Text::of(&[dir.to_bytes(), b"/tasks"]);
        // By `tasks` and 0: a pid written into cgroup.procs waits for an RCU grace period.
        sys::put(AT_FDCWD, tasks.c(), b"0").at(Step::CgroupEnter, dir)?;
    }
    match (v2, launch.cgroup.v2) {
        (Some(fd), Some(dir)) => sys::put(fd, c"cgroup.procs", b"0").at(Step::CgroupEnter, dir),
        _ => Ok(()),
    }
}

/// A real-time host's children are real-time processes too, and a v1 cpu cgroup without a real-time budget takes none.
/// The container begins with the usual policy, as it does with the usual signals.
pub fn leave_real_time() {
    const SCHED_FIFO: usize = 1;
    const SCHED_RR: usize = 2;
    const SCHED_RESET_ON_FORK: usize = 0x4000_0000;
    if sys::scheduler().is_ok_and(|policy| matches!(policy & !SCHED_RESET_ON_FORK, SCHED_FIFO | SCHED_RR)) {
        let _ = sys::set_usual_scheduler(sys::SCHED_OTHER);
    }
}

pub fn become_root(launch: &Launch<'static>, sync: Fd) -> Outcome {
    if launch.id_map.is_none() {
        return Ok(());
    }
    expect(sync, word::MAPPED)?;
    assume_root(launch)
}

/// In a user namespace of the container's own: its root, and nothing of who made it.
pub fn assume_root(launch: &Launch<'static>) -> Outcome {
    if launch.id_map.is_some() { take_root() } else { Ok(()) }
}

/// In a user namespace that belongs to a container: its root.
pub fn take_root() -> Outcome {
    // Denied with a map of one id; then there is no group to lose.
    let _ = sys::setgroups(&[]);
    sys::setresgid(0).step(Step::BecomeRoot)?;
    sys::setresuid(0).step(Step::BecomeRoot)
}

/// The host's session keyring is not the container's. A kernel without keyrings has none to leave, and where a filter
/// around this process refuses the call, it refuses it to the container too.
pub fn leave_keyring(labels: &Labels) -> Outcome {
    labels.with_keys(|| match sys::new_session_keyring() {
        Err(Errno::ENOSYS | Errno::EPERM) => Ok(()),
        other => other.step(Step::Keyring),
    })
}

pub fn enter_namespaces(launch: &Launch<'static>, ahead: Ahead) -> Outcome {
    let n = &launch.namespaces;
    for (namespace, kind) in [(&n.net, sys::CLONE_NEWNET), (&n.ipc, sys::CLONE_NEWIPC), (&n.uts, sys::CLONE_NEWUTS)] {
        match namespace {
            Namespace::Join(path) if !early::is_joined(kind) => join(path, kind)?,
            _ => {}
        }
    }
    match n.cgroup {
        Namespace::Host => {}
        // Only now, so that the cgroup it is in becomes the root of what it sees.
        Namespace::New => sys::unshare(sys::CLONE_NEWCGROUP).step(Step::CgroupNamespace)?,
        Namespace::Join(_) if early::is_joined(sys::CLONE_NEWCGROUP) => {}
        Namespace::Join(path) => join(path, sys::CLONE_NEWCGROUP)?,
    }
    if n.net == Namespace::New && ahead.namespaces() & sys::CLONE_NEWNET == 0 {
        raise_loopback().step(Step::Loopback)?;
    }
    if let Some(name) = launch.hostname {
        sys::sethostname(name.to_bytes()).at(Step::Hostname, name)?;
    }
    match launch.domainname {
        Some(name) => sys::setdomainname(name.to_bytes()).at(Step::DomainName, name),
        None => Ok(()),
    }
}

/// Joins the namespace at a host path; the kernel checks that it is of the wanted kind (`CLONE_NEW*`).
pub fn join(path: &'static CStr, kind: u64) -> Outcome {
    let fd = sys::openat(AT_FDCWD, path, sys::O_RDONLY, 0).at(Step::JoinNamespace, path)?;
    let joined = sys::setns(fd, kind).at(Step::JoinNamespace, path);
    let _ = sys::close(fd);
    joined
}

pub fn raise_loopback() -> sys::Result {
    const SIOCSIFFLAGS: usize = 0x8914;
    const IFF_UP: u16 = 1;
    #[repr(C)]
    struct Request {
        name: [u8; 16],
        flags: u16,
        rest: [u8; 22],
    }
    let mut request = Request { name: *b"lo\0\0\0\0\0\0\0\0\0\0\0\0\0\0", flags: IFF_UP, rest: [0; 22] };
    let socket = sys::socket(sys::AF_INET, sys::SOCK_DGRAM)?;
    let raised = sys::ioctl_with(socket, SIOCSIFFLAGS, &mut request);
    let _ = sys::close(socket);
    raised.map(drop)
}

/// Builds the container's tree and enters it; returns the terminal's slave, if it has one.
fn make_root(launch: &Launch<'static>, sync: Fd, states: &[usize]) -> Outcome<Option<Fd>> {
    if let Some(tree) = launch.rootfs.tree() {
        return chroot::make(launch, tree, sync);
    }
    rootfs::detach_from_host()?;
    let made = if launch.rootfs.shifted || launch.rootfs.nested {
        shelf::take(launch)?
    } else {
        Made { root: None, trees: &[] }
    };
    // Made before anything is attached there: the place to attach at may be the parent of its directories.
    let root = made.root.map_or_else(|| rootfs::make(&launch.rootfs, launch.mount_label), Ok)?;
    let mut scratch = Scratch::new(launch)?;
    rootfs::attach(root, &launch.rootfs)?;
    mounts::apply_all(root, launch, &mut scratch, made.trees, states)?;
    mounts::symlinks(root, &launch.symlinks)?;
    accounts::add_all(root, launch)?;
    let slave = if launch.process.tty { Some(terminal::make(root, sync)?) } else { None };
    set_sysctls(launch)?;
    for path in launch.readonly_paths.iter() {
        mounts::make_readonly(root, path)?;
    }
    for path in launch.masked_paths.iter() {
        mounts::mask(root, path, &mut scratch)?;
    }
    make_working_directory(root, &launch.process)?;
    if launch.rootfs.readonly {
        rootfs::make_readonly(root)?;
    }
    rootfs::enter(root)?;
    Ok(slave)
}

/// By a /proc of our own, on which nothing can be mounted.
pub fn set_sysctls(launch: &Launch<'static>) -> Outcome {
    let Some((first, _)) = launch.sysctls.iter().next() else { return Ok(()) };
    let proc = private_proc().at(Step::Sysctl, first)?;
    for (key, value) in launch.sysctls.iter() {
        let mut path: Text<512> = Text::of(&[b"sys/", key.to_bytes()]);
        sys::put(proc, path.c(), value.to_bytes()).at(Step::Sysctl, key)?;
    }
    let _ = sys::close(proc);
    Ok(())
}

fn private_proc() -> sys::Result<Fd> {
    let context = sys::fsopen(c"proc")?;
    sys::fsconfig_create(context)?;
    let mount = sys::fsmount(context, 0);
    let _ = sys::close(context);
    mount
}

pub fn make_working_directory(root: Fd, process: &Process<'static>) -> Outcome {
    if process.cwd.is_empty() {
        return Ok(());
    }
    let fd = target::require(root, process.cwd, Missing::Directory, Step::Cwd)?;
    let _ = sys::close(fd);
    Ok(())
}

pub fn enter_directory(process: &Process<'static>) -> Outcome {
    let cwd = if process.cwd.is_empty() { c"/" } else { process.cwd };
    let flags = sys::O_PATH | sys::O_DIRECTORY;
    let fd = sys::openat2(AT_FDCWD, cwd, flags, 0, sys::RESOLVE_NO_MAGICLINKS).at(Step::Cwd, cwd)?;
    sys::fchdir(fd).at(Step::Cwd, cwd)?;
    let _ = sys::close(fd);
    // A directory outside of the root has no path in it.
    let mut path = [0; 4096];
    match sys::getcwd(&mut path) {
        Ok(_) if path[0] == b'/' => Ok(()),
        _ => Err(Fail { step: Step::Cwd, errno: Errno::EPERM, detail: cwd.to_bytes() }),
    }
}

/// Standard streams in place, none of them the host's `/dev/null`; pipes and terminal belong to the user, who may want to open /dev/stdout anew.
pub fn connect(streams: [Fd; 3], slave: Option<Fd>, uid: u32) -> Outcome {
    if let Some(slave) = slave {
        terminal::control(slave)?;
    }
    for (to, from) in (fd::STDIN..).zip(slave.map_or(streams, |slave| [slave; 3])) {
        sys::dup_to(from, to).step(Step::Streams)?;
        let stat = sys::fstat(to).step(Step::Streams)?;
        if is_null(&stat) {
            replace_null(to, &stat).at(Step::Streams, NULL)?;
        }
        let kind = stat.kind();
        if uid != 0 && (kind == sys::S_IFIFO || slave.is_some()) {
            let _ = sys::fchownat(to, c"", uid, u32::MAX, sys::AT_EMPTY_PATH);
        }
    }
    Ok(())
}

const NULL: &CStr = c"/dev/null";

fn is_null(stat: &sys::Stat) -> bool {
    stat.kind() == sys::S_IFCHR && stat.rdev == (1, 3)
}

/// The host's would be the container's root's to change, its mode and its owner, by the descriptor. So the container's; where
/// it has none, which is its own affair, that of nobody.
fn replace_null(stream: Fd, stat: &sys::Stat) -> sys::Result {
    let Err(failed) = reopen_null(stream) else { return Ok(()) };
    // One in a user namespace has no rights on it: refused to this process, which has given none of its own away yet.
    if sys::fchmod(stream, stat.mode & 0o7777).is_err() {
        return Ok(());
    }
    let own = new_null().map_err(|_| failed)?;
    let placed = sys::dup_to(own, stream);
    let _ = sys::close(own);
    placed
}

/// A null device on a file system that is attached nowhere.
fn new_null() -> sys::Result<Fd> {
    let context = sys::fsopen(c"tmpfs")?;
    let mount = sys::fsconfig_create(context).and_then(|()| sys::fsmount(context, 0));
    let _ = sys::close(context);
    let mount = mount?;
    let null = sys::mknodat(mount, c"null", sys::S_IFCHR | 0o666, sys::makedev((1, 3)))
        .and_then(|()| sys::openat(mount, c"null", sys::O_RDWR | sys::O_NOCTTY, 0));
    let _ = sys::close(mount);
    // Whatever the umask: who is not root may open /dev/stdout anew, too.
    null.inspect(|null| drop(sys::fchmod(*null, 0o666)))
}

fn reopen_null(stream: Fd) -> sys::Result {
    let own = sys::openat(AT_FDCWD, NULL, sys::O_RDWR | sys::O_NOCTTY | sys::O_NOFOLLOW, 0)?;
    // One without namespaces may put something else there at any time.
    let placed = match is_null(&sys::fstat(own)?) {
        true => sys::dup_to(own, stream),
        false => Err(Errno::ENODEV),
    };
    let _ = sys::close(own);
    placed
}

/// What is of ours closes with the exec, and all is given away that the plan doesn't leave; `mapped` in a user
/// namespace of the container's own. The credentials come last: a seccomp filter may refuse what is done here.
pub fn become_user(
    process: &Process<'static>,
    mapped: bool,
    user: &user::User,
    labels: &Labels,
    passed: Option<(&Passed, Option<&Listener>)>,
) -> Outcome {
    labels.apply()?;
    close_on_exec().step(Step::CloseFds)?;
    passed.map_or(Ok(()), |(passed, _)| passed.place())?;
    exec::reset_signals();
    sys::umask(process.umask);
    let listener = passed.and_then(|(_, listener)| listener).filter(|_| !process.seccomp.is_empty());
    // Made with the policy it might have no turn, or be refused because of it.
    let messenger = listener.copied().map(Listener::messenger).transpose()?;
    match passed {
        Some((passed, _)) if messenger.is_none() => passed.take_precedence()?,
        _ => {}
    }
    credentials::drop_to(process, mapped, user, messenger)
}

/// All but the standard streams; closed by the exec only, so that its failure can still be told.
pub fn close_on_exec() -> sys::Result {
    match sys::cloexec_from(fd::STDERR + 1) {
        // Before Linux 5.11, or behind an engine's filter that doesn't know it. All others were opened that way.
        Err(Errno::EINVAL | Errno::ENOSYS | Errno::EPERM) => {
            for inherited in [fd::STATUS, fd::LOCK, fd::TIE, fd::HOST] {
                let _ = sys::set_cloexec(inherited, true);
            }
            Ok(())
        }
        other => other,
    }
}
