//! A store of its own and the command on it.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use crate::common;

pub struct Host {
    pub dir: tempfile::TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Host {
    /// A store without images.
    pub fn empty() -> Host {
        let base = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        Host { dir: tempfile::tempdir_in(base).unwrap() }
    }

    /// A store that has the busybox image, known as `box`.
    pub fn new() -> Host {
        let host = Host::empty();
        let image = common::image();
        host.ok(&["pull", "-q", &image]);
        host.ok(&["tag", &image, "box"]);
        host
    }

    pub fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// The command, not yet started.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = sampan(args);
        command.env("SAMPAN_ROOT", self.path("root")).env("SAMPAN_RUN", self.path("run"));
        if let Ok(rung) = std::env::var("SAMPAN_TEST_RUNG") {
            command.env("SAMPAN_RUNG", rung);
        }
        command
    }

    /// Runs it to its end, with nothing on standard input.
    pub fn run(&self, args: &[&str]) -> Ended {
        finish(self.command(args))
    }

    /// Runs it with these bytes on standard input.
    pub fn feed(&self, args: &[&str], input: &[u8]) -> Ended {
        let mut child = piped(self.command(args)).stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        std::thread::scope(|scope| {
            scope.spawn(move || match stdin.write_all(input) {
                // It ended before it had read all.
                Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => {}
                written => written.unwrap(),
            });
            Ended::of(child)
        })
    }

    /// Runs it and wants its success; what it wrote without the last line's end.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let ended = self.run(args);
        assert_eq!(ended.code, 0, "sampan {}: {ended:?}", args.join(" "));
        ended.stdout.strip_suffix('\n').unwrap_or(&ended.stdout).to_owned()
    }

    /// Starts it and reads its output line by line.
    pub fn start(&self, args: &[&str]) -> Running {
        self.begin(piped(self.command(args)))
    }

    /// The same with an input, which is the child's.
    pub fn start_with_input(&self, args: &[&str]) -> Running {
        let mut command = piped(self.command(args));
        command.stdin(Stdio::piped());
        self.begin(command)
    }

    fn begin(&self, mut command: Command) -> Running {
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Running { child, lines }
    }

    /// The names of all its containers.
    pub fn names(&self) -> Vec<String> {
        self.ok(&["ps", "-a", "--format", "{{.Names}}"]).lines().map(str::to_owned).collect()
    }
}

impl Drop for Host {
    /// What a failed test has left must not outlive it.
    fn drop(&mut self) {
        let ids = self.run(&["ps", "-aq"]).stdout;
        let ids: Vec<&str> = ids.lines().collect();
        if !ids.is_empty() {
            self.run(&[&["rm", "-f", "-v"], &ids[..]].concat());
        }
    }
}

/// The command without a store.
pub fn sampan<S: AsRef<OsStr>>(args: &[S]) -> Command {
    // Another user runs the tests from a copy, where the path of the build can't be read.
    let path = std::env::var_os("SAMPAN_TEST_COMMAND").unwrap_or_else(|| env!("CARGO_BIN_EXE_sampan").into());
    let mut command = Command::new(path);
    command.args(args).env_remove("SAMPAN_RUNG");
    command
}

fn piped(mut command: Command) -> Command {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Runs a command to its end.
pub fn finish(command: Command) -> Ended {
    Ended::of(piped(command).spawn().unwrap())
}

impl Ended {
    fn of(child: Child) -> Ended {
        let output = child.wait_with_output().unwrap();
        let code = output.status.code().unwrap_or(-1);
        Ended { code, stdout: common::text(&output.stdout), stderr: common::text(&output.stderr) }
    }
}

/// A command that still runs.
pub struct Running {
    pub child: Child,
    lines: BufReader<ChildStdout>,
}

impl Running {
    /// The next line of its output; empty at the end.
    pub fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line.trim_end_matches('\n').to_owned()
    }

    pub fn signal(&self, signal: nix::sys::signal::Signal) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Reads no more of its output.
    pub fn unread(self) -> Unread {
        Unread(self.child)
    }

    /// Waits for its end; the output is what was not read yet.
    pub fn end(mut self) -> Ended {
        let mut stdout = String::new();
        self.lines.read_to_string(&mut stdout).unwrap();
        let mut stderr = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let code = self.child.wait().unwrap().code().unwrap_or(-1);
        Ended { code, stdout, stderr }
    }
}

/// A command whose output nobody reads any more. Its standard error may be open in others when it has ended.
pub struct Unread(Child);

impl Unread {
    /// Waits for its end.
    pub fn code(mut self) -> i32 {
        self.0.wait().unwrap().code().unwrap_or(-1)
    }
}
