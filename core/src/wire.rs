//! The flat messages between the host and the shim. Shared by both, so: no I/O, no allocation, no `std`.
//!
//! A request is one blob on a fixed descriptor: `abi kind fds length`, then the fields of one record in
//! order. Numbers are little words of the machine; a string is a length, its bytes and a NUL, so that the
//! shim hands it to system calls where it lies; a list is a count, a length in bytes and its items.
//! Answers are small packets on a socket ([`Status`]).

// The shim reads what the host writes and the other way round: each side leaves half of this unused.
#![allow(dead_code)]

use core::ffi::CStr;
use core::marker::PhantomData;

/// Changes whenever a record below changes: an installed helper of another version is refused.
pub const ABI: u32 = 1;

/// The descriptors that the shim finds in place.
pub mod fd {
    /// Where the container's standard input comes from.
    pub const STDIN: i32 = 0;
    /// Where its standard output is copied to.
    pub const STDOUT: i32 = 1;
    /// Where its standard error is copied to.
    pub const STDERR: i32 = 2;
    /// The request.
    pub const BLOB: i32 = 3;
    /// Socket (`SOCK_SEQPACKET`) to the host.
    pub const STATUS: i32 = 4;
    /// Open file whose flock tells that the container lives.
    pub const LOCK: i32 = 5;
    /// Read end of a pipe that the host process alone holds open.
    pub const TIE: i32 = 6;
    /// A pidfd of the host process.
    pub const HOST: i32 = 7;
    /// What the shim opens itself begins here.
    pub const FIRST_FREE: i32 = 8;

    /// Set in the header for each of the above that was passed.
    pub const fn bit(fd: i32) -> u32 {
        1 << fd
    }
}

/// What the blob asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Kind {
    /// Start a container and look after it: [`Launch`].
    Launch = 1,
    /// Give the files of unpacked layers their owners: [`ApplyOwners`].
    ApplyOwners = 2,
    /// Delete directory trees: [`RemoveTrees`].
    RemoveTrees = 3,
    /// Run a program of the host and tell how it ended: [`Program`].
    Program = 4,
}

impl Kind {
    /// The kind with this number.
    pub fn from_number(n: u32) -> Option<Kind> {
        [Kind::Launch, Kind::ApplyOwners, Kind::RemoveTrees, Kind::Program].into_iter().find(|k| *k as u32 == n)
    }
}

/// The head of every request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// [`ABI`].
    pub abi: u32,
    /// A [`Kind`].
    pub kind: u32,
    /// [`fd::bit`] of each descriptor that was passed.
    pub fds: u32,
    /// Bytes that follow the header.
    pub length: u32,
}

impl Header {
    /// Its size in the blob.
    pub const SIZE: usize = 16;

    /// Reads it from the beginning of a blob.
    pub fn read(blob: &[u8]) -> Result<Header, Malformed> {
        let r = &mut Reader(blob);
        Ok(Header { abi: r.get()?, kind: r.get()?, fds: r.get()?, length: r.get()? })
    }

    /// True when this descriptor was passed.
    pub fn has(&self, fd: i32) -> bool {
        self.fds & fd::bit(fd) != 0
    }
}

/// The blob is shorter than its fields say, or holds a number without a meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Takes fields off a blob.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a>(pub &'a [u8]);

impl<'a> Reader<'a> {
    /// The next field.
    pub fn get<T: Field<'a>>(&mut self) -> Result<T, Malformed> {
        T::read(self)
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Malformed)?;
        self.0 = tail;
        Ok(head)
    }
}

/// What can lie in a blob.
pub trait Field<'a>: Sized {
    /// Takes it off the blob.
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed>;
}

impl<'a> Field<'a> for u32 {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        r.take(4)?.try_into().map(u32::from_ne_bytes).map_err(|_| Malformed)
    }
}

impl<'a> Field<'a> for u64 {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        r.take(8)?.try_into().map(u64::from_ne_bytes).map_err(|_| Malformed)
    }
}

impl<'a> Field<'a> for i32 {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(r.get::<u32>()? as i32)
    }
}

impl<'a> Field<'a> for bool {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok(r.get::<u32>()? != 0)
    }
}

impl<'a> Field<'a> for &'a [u8] {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let n: u32 = r.get()?;
        r.take(n as usize)
    }
}

impl<'a> Field<'a> for &'a CStr {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let n: u32 = r.get()?;
        CStr::from_bytes_with_nul(r.take(n as usize + 1)?).map_err(|_| Malformed)
    }
}

impl<'a, A: Field<'a>, B: Field<'a>> Field<'a> for (A, B) {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok((r.get()?, r.get()?))
    }
}

impl<'a, A: Field<'a>, B: Field<'a>, C: Field<'a>> Field<'a> for (A, B, C) {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        Ok((r.get()?, r.get()?, r.get()?))
    }
}

impl<'a, T: Field<'a>> Field<'a> for Option<T> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        r.get::<bool>()?.then(|| r.get()).transpose()
    }
}

/// Items that are decoded while one walks over them.
#[derive(Clone, Copy, Debug)]
pub struct List<'a, T> {
    count: usize,
    items: Reader<'a>,
    of: PhantomData<fn() -> T>,
}

impl<'a, T: Field<'a>> Field<'a> for List<'a, T> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        let count = r.get::<u32>()? as usize;
        let items = Reader(r.get()?);
        Ok(List { count, items, of: PhantomData })
    }
}

impl<'a, T: Field<'a>> List<'a, T> {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.count
    }

    /// True when there are none.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Walks over them; ends early where the blob is malformed.
    pub fn iter(&self) -> impl Iterator<Item = T> + use<'a, T> {
        let mut items = self.items;
        (0..self.count).map_while(move |_| items.get().ok())
    }
}

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
    }
}

/// Where the root's files come from.
#[derive(Clone, Copy, Debug)]
pub enum RootfsKind<'a> {
    /// An overlay: lower directories topmost first, upper, work, and whether its xattrs are `user.`.
    Overlay(List<'a, &'a CStr>, &'a CStr, &'a CStr, bool),
    /// A directory.
    Directory(&'a CStr),
}

impl<'a> Field<'a> for RootfsKind<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        match r.get::<u32>()? {
            0 => Ok(RootfsKind::Overlay(r.get()?, r.get()?, r.get()?, r.get()?)),
            1 => Ok(RootfsKind::Directory(r.get()?)),
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
}

impl<'a> Field<'a> for MountSource<'a> {
    fn read(r: &mut Reader<'a>) -> Result<Self, Malformed> {
        match r.get::<u32>()? {
            0 => Ok(MountSource::Fs(r.get()?, r.get()?)),
            1 => Ok(MountSource::Bind(r.get()?, r.get()?)),
            2 => Ok(MountSource::File(r.get()?, r.get()?)),
            _ => Err(Malformed),
        }
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
        /// Standard input outlives the host's end.
        keep_stdin: bool,
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

/// The longest packet; longer details are cut.
pub const PACKET_MAX: usize = 1024;

/// An answer of the shim, or a word of the host to it. One packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status<'a> {
    /// The payload runs: its pid and the shim's, as the host sees them.
    Ready { init: i32, shim: i32 },
    /// Nothing runs: the step that failed, the errno, and the path or text that belongs to it.
    Failed { step: u32, errno: i32, detail: &'a [u8] },
    /// It ended: exit code, or the signal that killed it; by the out-of-memory killer?
    Exited { code: i32, signal: i32, oom_killed: bool },
    /// Host to shim: the terminal's new size.
    Resize { rows: u16, columns: u16 },
}

impl<'a> Status<'a> {
    const FIXED: usize = 16;

    /// Writes the packet and returns its length.
    pub fn encode(&self, packet: &mut [u8; PACKET_MAX]) -> usize {
        let none: &[u8] = &[];
        let (words, detail) = match *self {
            Status::Ready { init, shim } => ([1, init as u32, shim as u32, 0], none),
            Status::Failed { step, errno, detail } => ([2, step, errno as u32, 0], detail),
            Status::Exited { code, signal, oom_killed } => ([3, code as u32, signal as u32, oom_killed as u32], none),
            Status::Resize { rows, columns } => ([4, rows as u32, columns as u32, 0], none),
        };
        for (chunk, word) in packet.chunks_exact_mut(4).zip(words) {
            chunk.copy_from_slice(&word.to_ne_bytes());
        }
        let n = detail.len().min(PACKET_MAX - Self::FIXED);
        packet[Self::FIXED..Self::FIXED + n].copy_from_slice(&detail[..n]);
        Self::FIXED + n
    }

    /// Reads a packet.
    pub fn decode(packet: &'a [u8]) -> Result<Status<'a>, Malformed> {
        let r = &mut Reader(packet);
        let (tag, a, b, c): (u32, u32, u32, u32) = (r.get()?, r.get()?, r.get()?, r.get()?);
        match tag {
            1 => Ok(Status::Ready { init: a as i32, shim: b as i32 }),
            2 => Ok(Status::Failed { step: a, errno: b as i32, detail: r.0 }),
            3 => Ok(Status::Exited { code: a as i32, signal: b as i32, oom_killed: c != 0 }),
            4 => Ok(Status::Resize { rows: a as u16, columns: b as u16 }),
            _ => Err(Malformed),
        }
    }
}

macro_rules! steps {
    ($($name:ident = $number:literal $words:literal,)+) => {
        /// Where a start failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u32)]
        #[allow(missing_docs)]
        pub enum Step { $($name = $number,)+ }

        impl Step {
            /// The step with this number.
            pub fn from_number(n: u32) -> Option<Step> {
                match n { $($number => Some(Step::$name),)+ _ => None }
            }

            /// What it was doing: "mount the overlay".
            pub fn words(self) -> &'static str {
                match self { $(Step::$name => $words,)+ }
            }
        }
    };
}

steps! {
    Abi = 1 "check the helper's version",
    Request = 2 "read the request",
    Clone = 3 "create the namespaces",
    IdMap = 4 "write the id map",
    IdMapHelper = 5 "run the id map helper",
    Streams = 6 "set up the standard streams",
    Record = 7 "write the container's state",
    Died = 8 "start the container's first process",
    CgroupOpen = 9 "open the cgroup",
    CgroupEnter = 10 "enter the cgroup",
    JoinNamespace = 11 "join the namespace",
    CgroupNamespace = 12 "create the cgroup namespace",
    BecomeRoot = 13 "become root in the user namespace",
    Propagation = 14 "make the mounts private",
    Overlay = 15 "mount the overlay",
    RootDirectory = 16 "bind the root directory",
    AttachRoot = 17 "attach the root file system",
    MountSource = 18 "open the mount source",
    MountFs = 19 "create the file system",
    MountTarget = 20 "resolve the mount target",
    MountAttach = 21 "attach the mount",
    MountAttributes = 22 "set the mount's attributes",
    CopyUp = 23 "copy the image's files into the volume",
    Scratch = 24 "make the scratch file system",
    Symlink = 25 "make the link",
    Mask = 26 "mask the path",
    ReadonlyPath = 27 "make the path read-only",
    ReadonlyRoot = 28 "make the root read-only",
    Sysctl = 29 "set the sysctl",
    Pivot = 30 "enter the root file system",
    Loopback = 31 "bring up the loopback interface",
    Hostname = 32 "set the host name",
    Terminal = 33 "set up the terminal",
    Rlimit = 34 "set the resource limit",
    OomScore = 35 "set the out-of-memory score",
    User = 36 "find the user",
    Group = 37 "find the group",
    Cwd = 38 "enter the working directory",
    Capabilities = 39 "set the capabilities",
    Ids = 40 "set the user and group ids",
    NoNewPrivs = 41 "forbid new privileges",
    Seccomp = 42 "install the seccomp filter",
    CloseFds = 43 "close the file descriptors",
    Exec = 44 "run the command",
    Owners = 45 "set the owner",
    Remove = 46 "delete",
    Program = 47 "run the program",
    Hostile = 48 "refuse the image's link",
}
