//! What a process of a container tries on the host. The same script is run outside first, where all of it works: that it
//! fails inside is the rung's doing.

use std::io::IoSlice;
use std::os::fd::AsRawFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use nix::libc;
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use sampan::{Cancel, Container, CopyOptions, RunOptions};

use super::common::{Host, command, text};
use super::{exec, gone, host, sh, sleeper};

/// A directory of the host's comes over a socket, as from a careless neighbour; the rest is tried by number and name.
const ATTACKS: &str = r#"
    my ($socket, $victim, $abstract, $secret, $new) = @ARGV;
    sub told { my ($what, $done) = @_; printf "%s: %s\n", $what, $done ? 'done' : $!+0; }
    socket(my $s, 1, 1, 0) or die; connect($s, pack('S a*', 1, $socket)) or die "connect: $!";
    my ($byte, $control) = ('x', "\0" x 24);
    my $vector = pack('P Q', $byte, 1);
    my $message = pack('Q L x4 P Q P Q L x4', 0, 0, $vector, 1, $control, 24, 0);
    syscall(RECVMSG, fileno($s), $message, 0) == 1 or die "recvmsg: $!";
    my $dir = unpack('l', substr($control, 16, 4));
    told('read', syscall(OPENAT, $dir, $secret, 0, 0) >= 0);
    told('write', syscall(OPENAT, $dir, $new, 0101, 0600) >= 0);
    my $dot = '.';
    told('list', syscall(OPENAT, $dir, $dot, 0200000, 0) >= 0);
    told('enter', syscall(FCHDIR, $dir) == 0 && open(my $f, '<', $secret));
    chdir '/';
    told('signal', kill(0, $victim));
    my $pidfd = syscall(PIDFD_OPEN, $victim + 0, 0);
    told('signal by descriptor', $pidfd >= 0 && syscall(PIDFD_SEND_SIGNAL, $pidfd, 0, 0, 0) == 0);
    told('descriptor', syscall(PIDFD_GETFD, $pidfd, 0, 0) >= 0);
    my $page = "\0" x 16; my ($here, $there) = (pack('P Q', $page, 16), '');
    $there .= pack('Q Q', ADDRESS, 16);
    told('memory', syscall(READV, $victim + 0, $here, 1, $there, 1, 0) == 16);
    told('trace', syscall(PTRACE, 0x4206, $victim + 0, 0, 0) == 0);
    my $limit = "\0" x 16; syscall(PRLIMIT, $victim + 0, 4, 0, $limit);
    told('prlimit', syscall(PRLIMIT, $victim + 0, 4, $limit, 0) == 0);
    socket(my $a, 1, 1, 0) or die; told('abstract', connect($a, pack('S a*', 1, "\0$abstract")));
    my ($base) = $socket =~ m{(.*)/};
    my $node = "$base/node";
    told('node', syscall(MKNODAT, -100, $node, 020666, 0x103) == 0);
    mkdir "$base/root";
    told('chroot', chroot("$base/root"));
"#;

/// All that is tried, in its order.
const TRIED: [&str; 13] = [
    "read",
    "write",
    "list",
    "enter",
    "signal",
    "signal by descriptor",
    "descriptor",
    "memory",
    "trace",
    "prlimit",
    "abstract",
    "node",
    "chroot",
];

/// Something to be read in this process.
static SECRET: [u8; 16] = *b"of the host only";

fn script() -> String {
    let numbers: [(&str, libc::c_long); 11] = [
        ("RECVMSG", libc::SYS_recvmsg),
        ("OPENAT", libc::SYS_openat),
        ("FCHDIR", libc::SYS_fchdir),
        ("PIDFD_OPEN", libc::SYS_pidfd_open),
        ("PIDFD_SEND_SIGNAL", libc::SYS_pidfd_send_signal),
        ("PIDFD_GETFD", libc::SYS_pidfd_getfd),
        ("READV", libc::SYS_process_vm_readv),
        ("PTRACE", libc::SYS_ptrace),
        ("PRLIMIT", libc::SYS_prlimit64),
        ("MKNODAT", libc::SYS_mknodat),
        ("ADDRESS", SECRET.as_ptr() as libc::c_long),
    ];
    let constants = numbers.map(|(name, number)| format!("sub {name} () {{ {number} }}\n")).concat();
    constants + ATTACKS
}

/// Gives a directory of the host's to whoever comes.
fn give_away(socket: &UnixListener, dir: &Path) {
    let (to, _) = socket.accept().unwrap();
    let dir = std::fs::File::open(dir).unwrap();
    let fds = [dir.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    sendmsg::<()>(to.as_raw_fd(), &[IoSlice::new(b"x")], &rights, MsgFlags::empty(), None).unwrap();
}

/// The host's interpreter with all that it needs, in a container that has none of its own.
fn install_perl(container: &Container) {
    let listed = Command::new("ldd").arg("/usr/bin/perl").output().unwrap();
    let listed = text(&listed.stdout);
    let libraries = listed.split_whitespace().filter(|word| word.starts_with('/'));
    for file in libraries.chain(["/usr/bin/perl"]) {
        let dir = Path::new(file).parent().unwrap().display().to_string();
        assert_eq!(exec(container, sh(&format!("mkdir -p {dir}"))).code, 0);
        let follow = CopyOptions { follow_link: true, ..CopyOptions::default() };
        container.copy_to(file, file, &follow, &Cancel::new()).unwrap();
    }
}

/// What came of each: `done`, or the number of the error.
fn outcomes(said: &str) -> Vec<String> {
    let lines: Vec<(&str, &str)> = said.lines().map(|line| line.split_once(": ").unwrap_or((line, ""))).collect();
    assert_eq!(lines.iter().map(|(what, _)| *what).collect::<Vec<_>>(), TRIED, "{said}");
    lines.iter().map(|(_, came)| came.to_string()).collect()
}

struct Scene {
    host: Host,
    container: Container,
    tree: PathBuf,
}

fn scene(options: RunOptions) -> Option<Scene> {
    let host = host()?;
    let container = host.spawn(options).unwrap();
    install_perl(&container);
    let tree = host.dir.path().join("root/containers").join(container.id()).join("tree");
    std::fs::write(host.dir.path().join("secret"), "of the host").unwrap();
    Some(Scene { host, container, tree })
}

/// Attacks this process by whatever `run` starts with these arguments.
fn attacked(scene: &Scene, at: &Path, name: &str, run: impl FnOnce(&[String]) -> String) -> Vec<String> {
    let (socket, new) = (at.join("socket"), format!("new-{name}"));
    // The whole path is longer than that of a socket may be.
    let dir = std::fs::File::open(at).unwrap();
    let listener = UnixListener::bind(format!("/proc/self/fd/{}/socket", dir.as_raw_fd())).unwrap();
    let word = format!("sampan-test-{}-{name}", std::process::id());
    let _abstract = UnixListener::bind_addr(&SocketAddr::from_abstract_name(&word).unwrap()).unwrap();
    let said = std::thread::scope(|scope| {
        scope.spawn(|| give_away(&listener, scene.host.dir.path()));
        let inside = socket.strip_prefix(&scene.tree).map_or(socket.clone(), |path| Path::new("/").join(path));
        let place = inside.display().to_string();
        let said = run(&[place, std::process::id().to_string(), word, "secret".into(), new.clone()]);
        // Whoever did not come is not waited for.
        drop(UnixStream::connect(format!("/proc/self/fd/{}/socket", dir.as_raw_fd())));
        said
    });
    std::fs::remove_file(socket).unwrap();
    let made = scene.host.dir.path().join(new).exists();
    let outcomes = outcomes(&said);
    assert_eq!(made, outcomes[1] == "done", "{said}");
    outcomes
}

#[test]
fn nothing_of_the_host_is_had_from_inside() {
    let Some(scene) = scene(sleeper()) else { return };
    let outside = attacked(&scene, scene.host.dir.path(), "outside", |args| {
        let mut all = vec!["-e".to_owned(), script()];
        all.extend_from_slice(args);
        text(&Command::new("perl").args(all).output().unwrap().stdout)
    });
    assert!(outside.iter().all(|came| came == "done"), "{outside:?}");
    for (name, user) in [("root", None), ("user", Some("1234:1234".to_owned()))] {
        let inside = attacked(&scene, &scene.tree.join("tmp"), name, |args| {
            let _ = exec(&scene.container, sh("chmod 777 /tmp/socket"));
            let mut all = vec!["perl".to_owned(), "-e".to_owned(), script()];
            all.extend_from_slice(args);
            let options = sampan::ExecOptions { command: all, user, ..Default::default() };
            let output = exec(&scene.container, options);
            text(&output.stdout) + &text(&output.stderr)
        });
        let refused = |came: &String| [libc::EPERM.to_string(), libc::EACCES.to_string()].contains(came);
        assert!(inside.iter().all(refused), "{name}: {:?}", TRIED.iter().zip(&inside).collect::<Vec<_>>());
    }
    gone(&scene.host, &scene.container);
}

/// A process of the host's that is gone with its value.
struct Victim(Child);

impl Drop for Victim {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Those of the same user that may no more than it: whoever may more is out of its reach in any case.
#[test]
fn other_processes_of_its_user_keep_their_turns() {
    const USER: u32 = 61_236;
    let unconfined = RunOptions { security_opt: vec!["seccomp=unconfined".into()], ..sleeper() };
    let Some(scene) = scene(unconfined) else { return };
    let victim = Victim(Command::new("sleep").arg("1000").uid(USER).gid(USER).spawn().unwrap());
    let calls = [
        format!("syscall({}, 0, $v, 19)", libc::SYS_setpriority),
        format!("syscall({}, 2, {USER}, 19)", libc::SYS_setpriority),
        format!("syscall({}, 1, $v, 3 << 13 | 7)", libc::SYS_ioprio_set),
        format!("syscall({}, 3, {USER}, 3 << 13 | 7)", libc::SYS_ioprio_set),
        format!("syscall({}, $v, 8, $mask)", libc::SYS_sched_setaffinity),
        format!("syscall({}, $v, 0, $none)", libc::SYS_sched_setscheduler),
        format!("syscall({}, $v, $none)", libc::SYS_sched_setparam),
        format!("syscall({}, $v, $attributes, 0)", libc::SYS_sched_setattr),
    ];
    let tried = calls.map(|call| format!("print {call} == 0 ? 'done' : $!+0, \"\\n\";")).concat();
    let given = "my ($mask, $none) = (pack('Q', 1), pack('Q', 0)); my $attributes = pack('LLQLLQQQ', 48, 0, 0, 19);";
    let script = format!("my $v = {}; {given} {tried}", victim.0.id());
    let outside = Command::new("perl").args(["-e", &script]).uid(USER).gid(USER).output().unwrap();
    assert_eq!(text(&outside.stdout), "done\n".repeat(8), "{}", text(&outside.stderr));
    let command = ["perl", "-e", &script].map(str::to_owned).into();
    let user = Some(format!("{USER}:{USER}"));
    let inside = exec(&scene.container, sampan::ExecOptions { command, user, ..Default::default() });
    assert_eq!(text(&inside.stdout), format!("{}\n", libc::EPERM).repeat(8), "{}", text(&inside.stderr));
    let own = "taskset 1 true && ionice -c 3 true && perl -e 'print setpriority(0, 0, 19)' && echo own";
    assert_eq!(text(&exec(&scene.container, sh(own)).stdout), "1own\n");
    gone(&scene.host, &scene.container);
}

/// Where no filter forbids system calls either.
#[test]
fn no_filter_is_needed_for_that() {
    let unconfined = RunOptions { security_opt: vec!["seccomp=unconfined".into()], ..sleeper() };
    let Some(scene) = scene(unconfined) else { return };
    let script = format!(
        "my ($from, $to) = ('/etc', '/tmp'); print syscall({}, 0x10000000) == 0 ? 'done' : $!+0, ' ', \
         syscall({}, $from, $to, 0, 0x1000, 0) == 0 ? 'done' : $!+0, ' '; \
         my $limit = \"\\0\" x 16; syscall({2}, {3}, 4, 0, $limit); \
         print syscall({2}, {3}, 4, $limit, 0) == 0 ? 'done' : $!+0, ' ', syscall({2}, 0, 4, $limit, 0)",
        libc::SYS_unshare,
        libc::SYS_mount,
        libc::SYS_prlimit64,
        std::process::id()
    );
    let command = ["perl", "-e", &script].map(str::to_owned).into();
    let output = exec(&scene.container, sampan::ExecOptions { command, ..Default::default() });
    assert_eq!(text(&output.stdout), format!("{0} {0} {0} 0", libc::EPERM), "{}", text(&output.stderr));
    gone(&scene.host, &scene.container);
}

/// Who has no other stream has `/dev/null`, and of the host's own a mode and an owner could be changed.
#[test]
fn no_stream_is_the_host_s_null() {
    let wait = "mkfifo /go; read -r x </go; exec perl -e \"$x\"";
    let waiting = RunOptions { command: ["sh", "-c", wait].map(str::to_owned).into(), ..sleeper() };
    let Some(scene) = scene(waiting) else { return };
    let told = |path: &str| std::fs::metadata(path).map(|file| format!("{}:{}\n", file.dev(), file.ino())).unwrap();
    let null = scene.tree.join("dev/null").display().to_string();
    assert_ne!(told(&null), told("/dev/null"));
    let look = "printf qq(%d:%d\\n), (stat STDIN)[0, 1]";
    let command = ["perl", "-e", look].map(str::to_owned).into();
    let output = exec(&scene.container, sampan::ExecOptions { command, ..Default::default() });
    assert_eq!(text(&output.stdout), told(&null), "{output:?}");
    // The container may end first, and this command with it.
    exec(&scene.container, sh(&format!("echo '{look}' >/go")));
    assert_eq!(scene.container.wait(None, &Cancel::new()).unwrap().code, 0);
    let mut log = scene.container.logs(&Default::default()).unwrap();
    assert_eq!(text(&log.next(&Cancel::new()).unwrap().unwrap().data), told(&null));
    gone(&scene.host, &scene.container);
}

/// One that has put something else there gets no command in that would have the host's.
#[test]
fn a_stream_that_can_t_be_had_is_none() {
    let Some(host) = host() else { return };
    let container = host.spawn(sleeper()).unwrap();
    for other in ["ln -s /dev/zero /dev/null", "mkfifo /dev/null", "mkdir /dev/null", "true"] {
        let command = sh(&format!("rm -r /dev/null; {other}; cat"));
        assert_eq!(exec(&container, sampan::ExecOptions { stdin: Some(Vec::new()), ..command }).code, 0);
        let error = container.exec(&sh("true"), &Cancel::new()).unwrap_err();
        assert!(error.to_string().contains("/dev/null"), "{error}");
    }
    gone(&host, &container);
}

#[test]
fn links_lead_nowhere_else() {
    let Some(host) = host() else { return };
    let secret = host.dir.path().join("secret");
    std::fs::write(&secret, "of the host").unwrap();
    let path = secret.display();
    let script = format!(
        "ln -s {path} /l; ln -s ../../../../../../..{path} /tmp/l; cat /l /tmp/l /../../..{path}; echo x >{path}; \
         cd /..; cd ../..; pwd; ls -di / /.. | sort -u | cut -c1-12"
    );
    let output = host.run(command(&["sh", "-c", &script])).unwrap();
    let said = text(&output.stdout);
    assert!(!said.contains("of the host") && said.starts_with("/\n"), "{said}");
    assert_eq!(std::fs::read_to_string(&secret).unwrap(), "of the host");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_set_user_id_program_gives_nothing() {
    let Some(scene) = scene(sleeper()) else { return };
    let made = exec(&scene.container, sh("cp /usr/bin/perl /bin/other && chmod 4755 /bin/other && ls -l /bin/other"));
    assert!(text(&made.stdout).starts_with("-rwsr-xr-x"), "{made:?}");
    let command = ["/bin/other", "-e", "print \"$< $>\""].map(str::to_owned).into();
    let options = sampan::ExecOptions { command, user: Some("1234".into()), ..Default::default() };
    assert_eq!(text(&exec(&scene.container, options).stdout), "1234 1234");
    gone(&scene.host, &scene.container);
}
