//! The steps of a start, each with the words that an error begins with.

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
    Busy = 49 "serve one more client",
    Join = 50 "join the container",
    Keyring = 51 "leave the host's keyring",
    Attach = 52 "join the container's streams",
    Slow = 53 "read the container's output",
    Tree = 54 "enter the container's tree",
    Landlock = 55 "confine the container by Landlock",
    Account = 56 "give the user a name in",
    Hook = 64 "run the hook",
    Device = 65 "make the device",
    DomainName = 66 "set the domain name",
    RootPropagation = 67 "set the propagation of the root",
    Personality = 68 "set the personality",
    AwaitStart = 69 "wait for the start",
    Enter = 70 "enter the container",
    Scheduler = 71 "set the scheduling policy",
    IoPriority = 72 "set the I/O priority",
    Affinity = 73 "set the CPU affinity",
    TimeOffsets = 74 "make the time namespace",
    MapMount = 75 "map the ids of the mount",
    Listener = 76 "hand over the seccomp listener",
    Preserve = 77 "hand on the file descriptors",
    AppArmor = 78 "enter the AppArmor profile",
    SeLinux = 79 "take on the SELinux label",
    NetDevice = 80 "move the network device",
    MemoryPolicy = 81 "set the memory policy",
}
