//! The first process of a container by the OCI's rules, from the clone to the exec.

use crate::ahead::Ahead;
use crate::between::Outside;
use crate::bundle::stage;
use crate::doors::Doors;
use crate::fail::{At, Fail, Outcome};
use crate::hooks::{self, Stage};
use crate::label::{self, Labels};
use crate::launch::word;
use crate::listener::Listener;
use crate::passed::Passed;
use crate::place::Place;
use crate::scratch::Scratch;
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::user::User;
use crate::wire::{Bundle, Namespace, Step, fd};
use crate::{credentials, device, early, exec, init, limits, mounts, rootfs, terminal, tuning, user};

/// What was made outside: where its root is to be at last, and mounts.
pub type Opened = (Place, Outside);

/// Everything between the clone and the exec. `cgroup` is a v2 directory that the kernel did not put it into.
pub fn run(bundle: &Bundle<'static>, passed: &Passed, opened: Opened, sync: Fd, cgroup: Option<Fd>) -> ! {
    let failed = match create(bundle, opened, sync, cgroup) {
        Ok(made) => match start(bundle, passed, sync, &made) {
            Ok(()) => exec::run(&bundle.launch.process, made.user.home),
            Err(failed) => failed,
        },
        Err(failed) => failed,
    };
    failed.report();
    let _ = sys::send(sync, &[word::FAILED]);
    sys::exit(1)
}

/// What its start needs.
struct Made {
    user: User,
    /// The process's number outside.
    pid: i32,
    labels: Labels,
    doors: Doors,
}

/// All but what the payload may not have yet: its credentials.
fn create(bundle: &Bundle<'static>, opened: Opened, sync: Fd, cgroup: Option<Fd>) -> Outcome<Made> {
    let launch = &bundle.launch;
    init::enter_cgroups(launch, cgroup)?;
    if launch.cgroup.awaited {
        init::expect(sync, word::PLACED)?;
    }
    let mapped = launch.id_map.is_some() || bundle.user.is_some();
    // In a user namespace whoever is outside gives it.
    if !mapped {
        limits::set_score(&launch.process, limits::OWN)?;
    }
    // A change of credentials gives what /proc has of this process to the host's root, so before that.
    let labels = label::by_hosts_proc(&launch.process)?;
    enter_time(bundle)?;
    init::become_root(launch, sync)?;
    if bundle.user.is_some() {
        init::take_root()?;
    }
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    let _ = sys::setsid();
    init::leave_keyring(&labels)?;
    init::enter_namespaces(launch, Ahead::NOTHING)?;
    let doors = if mapped { Doors::open() } else { Doors::NONE };
    let (slave, pid) = make_root(bundle, opened, sync)?;
    let user = user::find(&launch.process)?;
    init::enter_directory(&launch.process)?;
    init::connect([fd::STDIN, fd::STDOUT, fd::STDERR], slave, user.uid)?;
    limits::set(&launch.process)?;
    tuning::apply(&bundle.tuning)?;
    if let Some(persona) = bundle.personality {
        sys::personality(persona).step(Step::Personality)?;
    }
    exec::look_for(&launch.process)?;
    Ok(Made { user, pid, labels, doors })
}

/// By the host's /proc, while that is still this process's to write. Clocks can be set only before anybody is inside.
fn enter_time(bundle: &Bundle<'static>) -> Outcome {
    match bundle.time {
        Namespace::Host => Ok(()),
        Namespace::Join(_) if early::is_joined(sys::CLONE_NEWTIME) => Ok(()),
        Namespace::Join(path) => init::join(path, sys::CLONE_NEWTIME),
        Namespace::New => {
            sys::unshare(sys::CLONE_NEWTIME).step(Step::TimeOffsets)?;
            if !bundle.time_offsets.is_empty() {
                let offsets = bundle.time_offsets;
                sys::put(AT_FDCWD, c"/proc/self/timens_offsets", offsets.to_bytes()).at(Step::TimeOffsets, offsets)?;
            }
            init::join(c"/proc/self/ns/time_for_children", sys::CLONE_NEWTIME)
        }
    }
}

/// Waits for the word to start, and gives everything away that the plan does not leave.
fn start(bundle: &Bundle<'static>, passed: &Passed, sync: Fd, made: &Made) -> Outcome {
    sys::send(sync, &[stage::CREATED]).step(Step::Died)?;
    init::expect(sync, word::GO)?;
    let _ = sys::close(sync);
    await_start(&made.doors)?;
    let process = &bundle.launch.process;
    let mapped = bundle.launch.id_map.is_some() || bundle.user.is_some();
    run_hooks(bundle, mapped, &made.user, &made.labels)?;
    let listener = passed.listener(made.pid)?.map(|listener| Listener { ready: true, ..listener });
    // Whoever started it can tell the exec from this process's death by it; what fails from here on is told besides.
    // A container's filter may deny it later.
    // With a listener, that is its messenger's to say.
    if listener.is_none() {
        let _ = sys::send(fd::STATUS, &[word::READY]);
    }
    init::become_user(process, mapped, &made.user, &made.labels, Some((passed, listener.as_ref())))
}

/// Those of the container's own tree, where what they are called may be the image's: each is what the payload is. A
/// listener is not told of their filter, so that what it would decide they are refused.
fn run_hooks(bundle: &Bundle<'static>, mapped: bool, user: &User, labels: &Labels) -> Outcome {
    if bundle.start_container.is_empty() {
        return Ok(());
    }
    // For the next exec of this process, and of those that it makes.
    labels.apply()?;
    let give_away = || credentials::drop_to(&bundle.launch.process, mapped, user, None);
    hooks::run_as(&bundle.start_container, &stage(bundle, b"created", -1), &give_away)
}

/// For hooks inside, which know this process by the number that it has there (runtime.md, "State").
fn stage(bundle: &Bundle<'static>, status: &'static [u8], caller: Fd) -> Stage {
    Stage { state: bundle.state, status, pid: sys::getpid(), caller }
}

/// From here on whoever starts it is told of failures, and sees the exec by the end of the connection.
fn await_start(doors: &Doors) -> Outcome {
    loop {
        let caller = sys::accept(fd::START).step(Step::AwaitStart)?;
        // What is accepted does not wait; this process has nothing else to do.
        let _ = sys::set_status_flags(caller, 0);
        let mut packet = [0];
        // One that went away without a word did not start it.
        match sys::recv(caller, &mut packet, false) {
            // The listening socket stays until the exec: it tells others that the payload does not run yet.
            Ok(1) if packet[0] == word::GO => return sys::dup_to(caller, fd::STATUS).step(Step::AwaitStart).map(drop),
            Ok(1) if packet[0] == word::DOORS => doors.show(caller),
            _ => {}
        }
        let _ = sys::close(caller);
    }
}

/// Builds the container's tree and enters it; returns the terminal's slave, and this process's number outside.
fn make_root(bundle: &Bundle<'static>, (place, outside): Opened, sync: Fd) -> Outcome<(Option<Fd>, i32)> {
    let launch = &bundle.launch;
    place.copy()?;
    rootfs::detach_from_host()?;
    let made = outside.take(launch)?;
    let root = made.root.map_or_else(|| rootfs::make(&launch.rootfs, launch.mount_label), Ok)?;
    let mut scratch = Scratch::new(launch)?;
    rootfs::attach(root, &launch.rootfs)?;
    mounts::apply_all(root, launch, &mut scratch, made.trees, &[])?;
    bundle.devices.iter().try_for_each(|device| device::make(root, &device))?;
    mounts::symlinks(root, &launch.symlinks)?;
    let slave = if launch.process.tty { Some(terminal::make(root, sync)?) } else { None };
    init::set_sysctls(launch)?;
    let pid = await_outside(sync)?;
    hooks::run(&bundle.create_container, &stage(bundle, b"creating", fd::STATUS))?;
    launch.readonly_paths.iter().try_for_each(|path| mounts::make_readonly(root, path))?;
    launch.masked_paths.iter().try_for_each(|path| mounts::mask(root, path, &mut scratch))?;
    init::make_working_directory(root, &launch.process)?;
    if launch.rootfs.readonly {
        rootfs::make_readonly(root)?;
    }
    if place.enter(root)? {
        return Ok((slave.map(terminal::reopen).transpose()?, pid));
    }
    rootfs::enter(root)?;
    if bundle.propagation != 0 {
        sys::mount(c"", c"/", c"", bundle.propagation, c"").step(Step::RootPropagation)?;
    }
    Ok((slave, pid))
}

/// The hooks outside have their turn; returns this process's number there.
fn await_outside(sync: Fd) -> Outcome<i32> {
    sys::send(sync, &[stage::MOUNTED]).step(Step::Died)?;
    let mut packet = [0; 5];
    match sys::recv(sync, &mut packet, false) {
        Ok(5) if packet[0] == word::GO => Ok(i32::from_ne_bytes([packet[1], packet[2], packet[3], packet[4]])),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}
