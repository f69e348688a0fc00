//! How a command ends when it fails: one sentence on standard error and an exit code.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use sampan::ExitStatus;

/// The exit code of a command that ran, or why it could not.
pub type Outcome = Result<u8, Fail>;

/// Docker's exit code for wrong arguments and for a container that could not be run.
pub const USAGE: u8 = 125;

#[derive(Debug)]
pub struct Fail {
    code: u8,
    /// `None`: everything was said already, or nobody is left to read it.
    message: Option<String>,
}

impl Fail {
    pub fn new(code: u8, message: impl Display) -> Self {
        Fail { code, message: Some(message.to_string()) }
    }

    pub fn usage(message: impl Display) -> Self {
        Fail::new(USAGE, message)
    }

    /// Too many processes, or a sandbox that is at odds with the C library.
    pub fn thread(error: io::Error) -> Self {
        let hint = match error.raw_os_error() {
            Some(nix::libc::EAGAIN) => "; raise the limit of processes (ulimit -u)",
            Some(nix::libc::EPERM) => "; a seccomp filter refuses clone3, which must fail with ENOSYS or be allowed",
            _ => "",
        };
        Fail::usage(format_args!("start a thread: {error}{hint}"))
    }

    pub fn silent(code: u8) -> Self {
        Fail { code, message: None }
    }

    /// As `docker run` ends: 127, 126 or 125.
    pub fn running(error: sampan::Error) -> Self {
        Fail::new(error.exit_code() as u8, error)
    }

    pub fn report(self) -> ExitCode {
        if let Some(message) = self.message {
            complain(message);
        }
        ExitCode::from(self.code)
    }
}

/// One sentence on standard error; a closed one is no reason to panic.
pub fn complain(message: impl Display) {
    use io::Write;
    let _ = writeln!(io::stderr(), "sampan: {message}");
}

/// The exit code of what has ended. That it failed for want of memory is said, since no code tells it.
pub fn ended(exit: &ExitStatus) -> u8 {
    if let Some(error) = exit.error.as_ref().filter(|_| exit.oom_killed && exit.code != 0) {
        complain(error);
    }
    exit.code as u8
}

/// The same for one whose output was ours: where a part of it is lost, that is a failure, as with Docker.
pub fn attended(exit: &ExitStatus) -> u8 {
    match &exit.error {
        // The one of its sentences that tells of us.
        Some(error) if error.starts_with("write the output of ") => {
            complain(error);
            (exit.code as u8).max(1)
        }
        _ => ended(exit),
    }
}

impl From<sampan::Error> for Fail {
    fn from(error: sampan::Error) -> Self {
        Fail::new(1, error)
    }
}

impl From<io::Error> for Fail {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            // `sampan ps | head -1` is no failure.
            io::ErrorKind::BrokenPipe => Fail::silent(0),
            _ => Fail::new(1, format_args!("write output: {error}")),
        }
    }
}

impl From<serde_json::Error> for Fail {
    fn from(error: serde_json::Error) -> Self {
        io::Error::from(error).into()
    }
}
