//! The records that a request is made of.

use core::ffi::CStr;
use core::marker::PhantomData;

use super::field::{Field, List, Malformed, Reader};
use super::life::{Restart, Timing};

/// A struct whose fields lie in the blob in the order in which they are declared.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident { $($(#[$fdoc:meta])* $field:ident: $type:ty,)+ }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug)]
        pub struct $name<'a> { $($(#[$fdoc])* pub $field: $type,)+ #[doc(hidden)] pub of: PhantomData<&'a ()> }
        impl<'a> Field<'a> for $name<'a> {
            fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
                Ok($name { $($field: r.get()?,)+ of: PhantomData })
            }
        }
    };
}
pub(super) use record;

record! {
    /// One container start; the fields are those of the launch plan.
    Launch {
        /// Namespaces of the init.
        namespaces: Namespaces<'a>,
        /// Id maps of a new user namespace.
        id_map: Option<IdMap<'a>>,
        /// Where the init is put.
        cgroup: Cgroup<'a>,
        /// The root file system.
        rootfs: Rootfs<'a>,
        /// Mounts in order.
        mounts: List<'a, Mount<'a>>,
        /// Link in the container, its target.
        symlinks: List<'a, (&'a CStr, &'a CStr)>,
        /// Paths to hide.
        masked_paths: List<'a, &'a CStr>,
        /// Paths to make read-only.
        readonly_paths: List<'a, &'a CStr>,
        /// File below /proc/sys, its content.
        sysctls: List<'a, (&'a CStr, &'a CStr)>,
        /// Host name.
        hostname: Option<&'a CStr>,
        /// NIS domain name.
        domainname: Option<&'a CStr>,
        /// File in the container, a line that it gets.
        accounts: List<'a, (&'a CStr, &'a CStr)>,
        /// SELinux label of what is on file systems of the container's own.
        mount_label: Option<&'a CStr>,
        /// The process.
        process: Process<'a>,
        /// What the shim does besides.
        supervise: Supervise<'a>,
    }
}

/// Which namespace of one kind the init gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Namespace<'a> {
    /// The shim's own.
    Host,
    /// A new one.
    New,
    /// The one at this host path.
    Join(&'a CStr),
}

impl<'a> Field<'a> for Namespace<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        match r.get::<u32>()? {
            0 => Ok(Namespace::Host),
            1 => Ok(Namespace::New),
            2 => Ok(Namespace::Join(r.get()?)),
            _ => Err(Malformed),
        }
    }
}

record! {
    /// One choice per kind.
    Namespaces {
        /// A new user namespace.
        user: bool,
        /// Process ids.
        pid: Namespace<'a>,
        /// Network.
        net: Namespace<'a>,
        /// System V IPC.
        ipc: Namespace<'a>,
        /// Host name.
        uts: Namespace<'a>,
        /// Cgroups.
        cgroup: Namespace<'a>,
    }
}

/// `inside outside length`.
pub type Extent = (u32, u32, u32);

record! {
    /// Id maps of a user namespace.
    IdMap {
        /// User ids.
        uids: List<'a, Extent>,
        /// Group ids.
        gids: List<'a, Extent>,
        /// Paths of newuidmap and newgidmap.
        helpers: Option<(&'a CStr, &'a CStr)>,
    }
}

record! {
    /// Where the init is put and what is removed after it.
    Cgroup {
        /// v1 directories to enter.
        v1: List<'a, &'a CStr>,
        /// v2 directory to be born in.
        v2: Option<&'a CStr>,
        /// Directories to remove at the end, deepest first.
        remove: List<'a, &'a CStr>,
        /// File that counts `oom_kill`.
        oom: Option<&'a CStr>,
        /// The host puts it there, once it has been told of it.
        awaited: bool,
        /// The host still makes them, and says when they are there.
        late: bool,
    }
}

/// Where the root's files come from.
#[derive(Clone, Copy, Debug)]
pub enum RootfsKind<'a> {
    /// An overlay: lower directories topmost first, upper, work, and whether its xattrs are `user.`.
    Overlay(List<'a, &'a CStr>, &'a CStr, &'a CStr, bool),
    /// A directory.
    Directory(&'a CStr),
    /// A directory that is entered by chroot, without a mount, and confined by Landlock.
    Tree(&'a CStr),
}

impl<'a> Field<'a> for RootfsKind<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        match r.get::<u32>()? {
            0 => Ok(RootfsKind::Overlay(r.get()?, r.get()?, r.get()?, r.get()?)),
            1 => Ok(RootfsKind::Directory(r.get()?)),
            2 => Ok(RootfsKind::Tree(r.get()?)),
            _ => Err(Malformed),
        }
    }
}

record! {
    /// The root file system.
    Rootfs {
        /// Where its files come from.
        kind: RootfsKind<'a>,
        /// Existing host directory to attach it at.
        attach_at: &'a CStr,
        /// Made read-only at the end.
        readonly: bool,
        /// Devices in it don't work.
        nodev: bool,
        /// It and the binds are made by the host's root, and the files of its layers have the container's ids by it.
        shifted: bool,
        /// It and the binds are made in one user namespace, and the container is born in another below that.
        nested: bool,
    }
}

impl<'a> Rootfs<'a> {
    /// The directory of one that is entered by chroot.
    pub fn tree(&self) -> Option<&'a CStr> {
        match self.kind {
            RootfsKind::Tree(path) => Some(path),
            _ => None,
        }
    }
}

/// What a mount step mounts.
#[derive(Clone, Copy, Debug)]
pub enum MountSource<'a> {
    /// A new file system: type and options.
    Fs(&'a CStr, List<'a, (&'a CStr, &'a CStr)>),
    /// A host path, and whether with everything below it.
    Bind(&'a CStr, bool),
    /// A small file: content and mode.
    File(&'a [u8], u32),
    /// The memory file system at this path of the mount namespace at that path.
    Memory(&'a CStr, &'a CStr),
}

impl<'a> Field<'a> for MountSource<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        match r.get::<u32>()? {
            0 => Ok(MountSource::Fs(r.get()?, r.get()?)),
            1 => Ok(MountSource::Bind(r.get()?, r.get()?)),
            2 => Ok(MountSource::File(r.get()?, r.get()?)),
            3 => Ok(MountSource::Memory(r.get()?, r.get()?)),
            _ => Err(Malformed),
        }
    }
}

record! {
    /// Owners as they are, and as a mount shows them.
    MountIdMap {
        /// User ids.
        uids: List<'a, Extent>,
        /// Group ids.
        gids: List<'a, Extent>,
        /// Of all mounts below too.
        recursive: bool,
    }
}

record! {
    /// One mount.
    Mount {
        /// What is mounted.
        source: MountSource<'a>,
        /// Where in the container.
        target: &'a CStr,
        /// `MOUNT_ATTR_*`.
        attributes: u64,
        /// Those to clear.
        cleared: u64,
        /// Those to set and to clear here and on everything below.
        below: (u64, u64),
        /// Owners of files are others by this mount.
        id_map: Option<MountIdMap<'a>>,
        /// The attributes hold for everything below too.
        recursive_attributes: bool,
        /// `MS_SHARED` etc., or 0.
        propagation: u64,
        /// Skipped when it fails.
        optional: bool,
        /// Host path to bind when it fails.
        fallback: Option<&'a CStr>,
        /// Copy the image's files at the target into an empty source first.
        copy_up: bool,
        /// Whose the target is when it is made.
        target_owner: Option<(u32, u32)>,
    }
}

record! {
    /// Capability sets.
    Capabilities {
        /// What can ever be gained.
        bounding: u64,
        /// In force.
        effective: u64,
        /// May be put in force.
        permitted: u64,
        /// Kept by files that allow it.
        inheritable: u64,
        /// Kept over any exec.
        ambient: u64,
    }
}

record! {
    /// The process.
    Process {
        /// Arguments.
        args: List<'a, &'a CStr>,
        /// Environment.
        env: List<'a, &'a CStr>,
        /// Working directory.
        cwd: &'a CStr,
        /// `user[:group]`.
        user: &'a CStr,
        /// Supplementary groups.
        groups: List<'a, &'a CStr>,
        /// File mode creation mask.
        umask: u32,
        /// Has a terminal.
        tty: bool,
        /// Is the child of a first process of ours.
        init: bool,
        /// Capability sets.
        capabilities: Capabilities<'a>,
        /// No new privileges by exec.
        no_new_privs: bool,
        /// `RLIMIT_*`, soft, hard.
        rlimits: List<'a, (u32, u64, u64)>,
        /// Out-of-memory score adjustment.
        oom_score_adj: Option<i32>,
        /// An array of `struct sock_filter`.
        seccomp: &'a [u8],
        /// `SECCOMP_FILTER_FLAG_*` of it.
        seccomp_flags: u32,
        /// AppArmor profile that its exec enters.
        apparmor: Option<&'a CStr>,
        /// SELinux label that its exec gives it.
        selinux: Option<&'a CStr>,
    }
}

record! {
    /// A container's health check.
    Health {
        /// The command; all else is as for the container's process.
        args: List<'a, &'a CStr>,
        /// When it is run, and what its failures mean.
        timing: Timing,
    }
}

record! {
    /// What the shim does besides.
    Supervise {
        /// The container's directory.
        dir: &'a CStr,
        /// Members that begin `state.json`.
        state_prefix: &'a CStr,
        /// Log file; empty for none.
        log: &'a CStr,
        /// In Docker's form.
        log_json: bool,
        /// Bytes after which another is begun; 0 for never.
        log_max_size: u64,
        /// How many of them there may be.
        log_max_files: u32,
        /// Ends with the host.
        tie_host: bool,
        /// Removed after its exit.
        auto_remove: bool,
        /// Where `dir` is renamed to first.
        trash: &'a CStr,
        /// Further files and trees to delete.
        remove_also: List<'a, &'a CStr>,
        /// Asks it to stop.
        stop_signal: i32,
        /// From there to SIGKILL.
        stop_timeout_ms: u64,
        /// Standard input is open without one of the host's.
        keep_stdin: bool,
        /// The container has the host's descriptors themselves.
        direct: bool,
        /// Where events are written; empty for nowhere.
        events: &'a CStr,
        /// Members that all events of the container share, open at the end for further attributes.
        event_subject: &'a CStr,
        /// What follows its end.
        restart: Restart,
        /// Its health check.
        health: Option<Health<'a>>,
    }
}

record! {
    /// A program that the configuration wants run on the way (runtime-spec, config.md, "POSIX-platform Hooks").
    Hook {
        /// Absolute path.
        path: &'a CStr,
        /// Arguments, the program's name first; without any the path stands for it.
        args: List<'a, &'a CStr>,
        /// Its whole environment.
        env: List<'a, &'a CStr>,
        /// Milliseconds after which it is killed; 0 for none.
        timeout_ms: u64,
    }
}

record! {
    /// A device node in the container.
    Device {
        /// Where in the container.
        path: &'a CStr,
        /// `S_IFCHR`, `S_IFBLK` or `S_IFIFO`, and the permissions.
        mode: u32,
        /// Its number: major, minor.
        number: (u32, u32),
        /// Owner and group, as ids of the container.
        owner: (u32, u32),
    }
}

record! {
    /// What a process by the OCI's rules begins with besides.
    Tuning {
        /// A `struct sched_attr`; empty to leave the policy as it is.
        scheduler: &'a [u8],
        /// Class and level of its I/O, packed.
        io_priority: Option<u32>,
        /// Argument of `set_mempolicy(2)` and its nodes, bit by bit.
        memory: Option<(u32, &'a [u8])>,
        /// CPUs before and after it enters its cgroup, bit by bit; empty to leave them as they are.
        affinity: (&'a [u8], &'a [u8]),
        /// So many descriptors come over the status socket behind the request, one a packet.
        preserved: u32,
        /// What a seccomp listener, whose socket comes after those, is told: these with the process's number between
        /// them; none without a listener.
        told: List<'a, &'a CStr>,
    }
}

record! {
    /// A container by the OCI's rules: made, then started by another call, and looked after by the caller.
    Bundle {
        /// As for any container; of `supervise` nothing is used.
        launch: Launch<'a>,
        /// Run by the shim when all mounts stand, before the root is entered.
        prestart: List<'a, Hook<'a>>,
        /// Run by the shim after those.
        create_runtime: List<'a, Hook<'a>>,
        /// Run by the init then.
        create_container: List<'a, Hook<'a>>,
        /// Run by the init inside, when it is started.
        start_container: List<'a, Hook<'a>>,
        /// The state that hooks read, in JSON: before the status, between it and the pid, after that.
        state: (&'a CStr, &'a CStr, &'a CStr),
        /// Device nodes to make.
        devices: List<'a, Device<'a>>,
        /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, with `MS_REC` or not; 0 for none.
        propagation: u64,
        /// Argument of `personality(2)`.
        personality: Option<u64>,
        /// Rows and columns of the terminal.
        console: Option<(u32, u32)>,
        /// Of its process.
        tuning: Tuning<'a>,
        /// A user namespace to join.
        user: Option<&'a CStr>,
        /// Time namespace.
        time: Namespace<'a>,
        /// Mount namespace that its processes are in.
        mount: Namespace<'a>,
        /// Clocks of the time namespace, as `/proc/PID/timens_offsets` takes them.
        time_offsets: &'a CStr,
        /// Network devices to move: name here, name there.
        net_devices: List<'a, (&'a CStr, &'a CStr)>,
    }
}

record! {
    /// A further process in a container by the OCI's rules, with no shim that could be asked.
    Enter {
        /// `CLONE_NEW*` of each namespace to join, all those of [`fd::INSIDE`]'s process.
        namespaces: u64,
        /// So many namespaces to join instead come over the status socket, behind what [`Tuning`] has there.
        doors: u32,
        /// Root of that process, in `/proc`, where no namespace has it.
        root: Option<&'a CStr>,
        /// It has a user namespace of its own.
        mapped: bool,
        /// v1 directories to enter.
        v1: List<'a, &'a CStr>,
        /// v2 directory to enter.
        v2: Option<&'a CStr>,
        /// The caller puts it there, once it has been told of it.
        awaited: bool,
        /// The process.
        process: Process<'a>,
        /// Rows and columns of the terminal.
        console: Option<(u32, u32)>,
        /// Of the process.
        tuning: Tuning<'a>,
    }
}

record! {
    /// Give the files of unpacked trees their owners, inside a user namespace.
    ApplyOwners {
        /// Id maps of the namespace.
        id_map: Option<IdMap<'a>>,
        /// The tree.
        root: &'a CStr,
        /// Path within the tree, user id, group id.
        owners: List<'a, (&'a CStr, u32, u32)>,
        /// Path within the tree of a regular file, value of its `security.capability`.
        capabilities: List<'a, (&'a CStr, &'a [u8])>,
        /// User and group of all files of the tree, each: what is of the first is given to the second, one move after another.
        moves: List<'a, ((u32, u32), (u32, u32))>,
    }
}

record! {
    /// Delete trees, inside a user namespace when there is a map.
    RemoveTrees {
        /// Id maps of the namespace.
        id_map: Option<IdMap<'a>>,
        /// Absolute paths.
        paths: List<'a, &'a CStr>,
    }
}

record! {
    /// Run a program of the host.
    Program {
        /// Absolute path.
        path: &'a CStr,
        /// Arguments, the program's name first.
        args: List<'a, &'a CStr>,
        /// Environment.
        env: List<'a, &'a CStr>,
    }
}
