//! One error type for the whole library, and the one table of its kinds.
//!
//! The table feeds the Rust enum, the C constants, the Python exceptions, the Node codes and the
//! reference docs, so a kind is added here and nowhere else. Numbers are never reused.

use std::borrow::Cow;
use std::fmt;

macro_rules! error_kinds {
    ($($(#[doc = $doc:literal])+ $name:ident = $code:literal $word:literal,)+) => {
        /// What went wrong, as a program would ask it. The number is the C error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(i32)]
        pub enum Kind { $($(#[doc = $doc])+ $name = $code,)+ }

        impl Kind {
            /// Every kind, in the order of the table.
            pub const ALL: &'static [Kind] = &[$(Kind::$name,)+];

            /// The stable word: `not_found`.
            pub fn word(self) -> &'static str {
                match self { $(Kind::$name => $word,)+ }
            }

            /// One sentence on when it is returned.
            pub fn about(self) -> &'static str {
                match self { $(Kind::$name => concat!($($doc,)+).trim_ascii(),)+ }
            }
        }
    };
}

error_kinds! {
    /// A kind that this version has no word for.
    Unknown = 1 "unknown",
    /// A bug in Sampan: a panic was caught at the boundary.
    Panic = 2 "panic",
    /// An argument or option is malformed or contradicts another.
    InvalidArgument = 3 "invalid_argument",
    /// The image, container, blob or file does not exist.
    NotFound = 4 "not_found",
    /// The name or object exists already.
    AlreadyExists = 5 "already_exists",
    /// The object is in use, or in a state that does not allow the call.
    Conflict = 6 "conflict",
    /// The system or the registry refused permission.
    PermissionDenied = 7 "permission_denied",
    /// This host, kernel or version can't do what was asked.
    Unsupported = 8 "unsupported",
    /// The call was cancelled by its caller.
    Cancelled = 9 "cancelled",
    /// The time that the caller gave ran out.
    Timeout = 10 "timeout",
    /// The registry could not be reached or broke off.
    Network = 11 "network",
    /// The registry wants credentials, or refused those given.
    Unauthorized = 12 "unauthorized",
    /// The registry answered with an error or with something outside the protocol.
    Registry = 13 "registry",
    /// Bytes don't match their digest, size or diff id.
    Integrity = 14 "integrity",
    /// An image, layer or manifest is malformed or hostile.
    InvalidImage = 15 "invalid_image",
    /// The disk or a quota is full.
    NoSpace = 16 "no_space",
    /// A limit set by an option was exceeded.
    LimitExceeded = 17 "limit_exceeded",
    /// The store on disk is damaged or was written by a newer version.
    Store = 18 "store",
    /// The container could not be set up.
    Launch = 19 "launch",
    /// The command was not found in the container (a shell's 127).
    CommandNotFound = 20 "command_not_found",
    /// The command exists in the container but can't be executed (a shell's 126).
    CommandNotExecutable = 21 "command_not_executable",
    /// The container's user or group does not exist in the image.
    UnknownUser = 22 "unknown_user",
    /// A limit was asked for that this host can't enforce.
    UnenforceableLimit = 23 "unenforceable_limit",
    /// A system call failed for a reason that has no kind of its own.
    System = 24 "system",
    /// A handle was inherited by fork and can't be used in the child.
    ForkedHandle = 25 "forked_handle",
}

impl Kind {
    /// The C error code; never 0.
    pub fn code(self) -> i32 {
        self as i32
    }

    /// The kind that fits an errno when nothing more is known.
    pub fn from_errno(errno: i32) -> Kind {
        match errno {
            libc::ENOENT => Kind::NotFound,
            libc::EEXIST => Kind::AlreadyExists,
            libc::EACCES | libc::EPERM | libc::EROFS => Kind::PermissionDenied,
            libc::ENOSPC | libc::EDQUOT => Kind::NoSpace,
            libc::ENOSYS | libc::EOPNOTSUPP => Kind::Unsupported,
            libc::EBUSY => Kind::Conflict,
            _ => Kind::System,
        }
    }
}

type Source = Box<dyn std::error::Error + Send + Sync>;

#[derive(Debug)]
struct Inner {
    kind: Kind,
    operation: Cow<'static, str>,
    subject: String,
    message: String,
    errno: Option<i32>,
    hint: Option<Cow<'static, str>>,
    leftovers: Vec<String>,
    source: Option<Source>,
}

/// An error: kind, operation, subject, cause and, where we know it, the cure.
///
/// ```
/// use sampan::error::{Error, Kind};
/// let e = Error::new(Kind::NotFound, "pull image", "alpine:9").because("the registry has no such tag");
/// assert_eq!(e.to_string(), "pull image alpine:9: the registry has no such tag");
/// ```
#[derive(Debug)]
pub struct Error(Box<Inner>);

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind` in `operation` ("pull layer") on `subject` (an image, path or id; may be empty).
    pub fn new(kind: Kind, operation: impl Into<Cow<'static, str>>, subject: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            operation: operation.into(),
            subject: subject.into(),
            message: String::new(),
            errno: None,
            hint: None,
            leftovers: Vec::new(),
            source: None,
        }))
    }

    /// An error from an errno; its kind is [`Kind::from_errno`].
    pub fn errno_in(errno: i32, operation: impl Into<Cow<'static, str>>, subject: impl Into<String>) -> Self {
        Error::new(Kind::from_errno(errno), operation, subject).with_errno(errno)
    }

    /// The cause in words, without the operation and the subject.
    pub fn because(mut self, message: impl Into<String>) -> Self {
        self.0.message = message.into();
        self
    }

    /// What the user can do about it.
    pub fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The errno behind it; its text becomes part of the message.
    pub fn with_errno(mut self, errno: i32) -> Self {
        self.0.errno = Some(errno);
        self
    }

    /// Another kind than the errno suggests.
    pub fn with_kind(mut self, kind: Kind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error under a wider operation and subject, as its caller would name them. Said twice, it is said once.
    pub fn within(mut self, operation: impl Into<Cow<'static, str>>, subject: impl Into<String>) -> Self {
        let (operation, subject, cause) = (operation.into(), subject.into(), self.cause());
        let again = self.0.operation == operation;
        let narrower = match (again, self.0.subject.is_empty() || (again && self.0.subject == subject)) {
            (true, true) => String::new(),
            (true, false) => self.0.subject.clone(),
            (false, true) => self.0.operation.to_string(),
            (false, false) => format!("{} {}", self.0.operation, self.0.subject),
        };
        let parts = [narrower, cause].into_iter().filter(|part| !part.is_empty());
        self.0.message = parts.collect::<Vec<_>>().join(": ");
        self.0.operation = operation;
        self.0.subject = subject;
        self
    }

    /// The error that caused it.
    pub fn caused_by(mut self, source: impl Into<Source>) -> Self {
        self.0.source = Some(source.into());
        self
    }

    /// Something that could not be cleaned up after the failure.
    pub fn leaving(mut self, what: impl Into<String>) -> Self {
        self.0.leftovers.push(what.into());
        self
    }

    /// What went wrong.
    pub fn kind(&self) -> Kind {
        self.0.kind
    }

    /// The operation that failed: "pull layer".
    pub fn operation(&self) -> &str {
        &self.0.operation
    }

    /// The image, path or id that it failed on; may be empty.
    pub fn subject(&self) -> &str {
        &self.0.subject
    }

    /// The errno behind it.
    pub fn errno(&self) -> Option<i32> {
        self.0.errno
    }

    /// What the user can do about it.
    pub fn hint_text(&self) -> Option<&str> {
        self.0.hint.as_deref().or_else(|| usual_cure(self.0.errno?))
    }

    /// What could not be cleaned up.
    pub fn leftovers(&self) -> &[String] {
        &self.0.leftovers
    }

    /// True when the same call may succeed later without a change.
    pub fn retryable(&self) -> bool {
        matches!(self.kind(), Kind::Network | Kind::Timeout) || matches!(self.errno(), Some(libc::EAGAIN | libc::EINTR))
    }

    /// The exit code that `docker run` would give: 127, 126 or 125.
    pub fn exit_code(&self) -> i32 {
        match self.kind() {
            Kind::CommandNotFound => 127,
            Kind::CommandNotExecutable => 126,
            _ => 125,
        }
    }

    /// The cause alone: the message and the errno's text.
    pub fn cause(&self) -> String {
        let text = |n: i32| {
            let full = std::io::Error::from_raw_os_error(n).to_string();
            full.split(" (os error").next().unwrap_or_default().to_lowercase()
        };
        match (self.0.message.is_empty(), self.0.errno) {
            (true, None) => String::new(),
            (true, Some(n)) => text(n),
            (false, None) => self.0.message.clone(),
            (false, Some(n)) => match text(n) {
                t if self.0.message.ends_with(&t) => self.0.message.clone(),
                t => format!("{}: {t}", self.0.message),
            },
        }
    }
}

/// What a caller or a registry wrote may be of any length and hold any character; a sentence is one line.
fn one_line(text: &str) -> Cow<'_, str> {
    const MOST: usize = 512;
    let long = |word: &str| word.len() > MOST;
    if !text.contains(char::is_control) && !text.split(' ').any(long) {
        return text.into();
    }
    let plain: String =
        text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect();
    let shortened = |word: &str| match long(word) {
        true => format!("{}… ({} bytes)", word.chars().take(64).collect::<String>(), word.len()),
        false => word.to_owned(),
    };
    plain.split(' ').map(shortened).collect::<Vec<_>>().join(" ").into()
}

/// For an errno that has one cure wherever it comes from.
fn usual_cure(errno: i32) -> Option<&'static str> {
    match errno {
        libc::EMFILE => Some("raise this process's limit of open files (ulimit -n) to 64 or more"),
        libc::ENFILE => Some("the whole machine has too many files open: raise sysctl fs.file-max"),
        libc::ENOSPC => Some("make room on the disk: space, or inodes"),
        libc::EDQUOT => Some("make room in the quota of this user"),
        libc::EROFS => Some("make the file system writable, or give a root on one that is"),
        libc::EFBIG => Some("raise this process's limit of file sizes (ulimit -f)"),
        _ => None,
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.operation)?;
        if !self.0.subject.is_empty() {
            write!(f, " {}", one_line(&self.0.subject))?;
        }
        match self.cause() {
            c if c.is_empty() => write!(f, ": {}", self.0.kind.about().trim_end_matches('.'))?,
            c => write!(f, ": {}", one_line(&c))?,
        }
        if let Some(hint) = self.hint_text() {
            write!(f, "; {hint}")?;
        }
        for left in &self.0.leftovers {
            write!(f, " (left behind: {left})")?;
        }
        Ok(())
    }
}

impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source.as_ref().map(|s| s.as_ref() as _)
    }
}

/// Gives a system error its operation and subject.
pub trait Context<T> {
    /// Names the operation and what it was done to.
    fn context(self, operation: &'static str, subject: impl fmt::Display) -> Result<T>;
}

impl<T> Context<T> for std::io::Result<T> {
    fn context(self, operation: &'static str, subject: impl fmt::Display) -> Result<T> {
        self.map_err(|e| match e.raw_os_error() {
            Some(n) => Error::errno_in(n, operation, subject.to_string()),
            None => Error::new(Kind::System, operation, subject.to_string()).because(e.to_string()).caused_by(e),
        })
    }
}

impl<T> Context<T> for nix::Result<T> {
    fn context(self, operation: &'static str, subject: impl fmt::Display) -> Result<T> {
        self.map_err(|e| Error::errno_in(e as i32, operation, subject.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sentence_with_cause_and_cure() {
        let e = Error::errno_in(libc::ENOENT, "run newuidmap", "")
            .hint("apt install uidmap, or run with the single-id map");
        assert_eq!(
            e.to_string(),
            "run newuidmap: no such file or directory; apt install uidmap, or run with the single-id map"
        );
        let wider = e.within("start container", "db");
        assert!(wider.to_string().starts_with("start container db: run newuidmap: no such file"));
        let said = wider.to_string();
        assert_eq!(wider.within("start container", "db").to_string(), said);
        let inner = Error::new(Kind::Launch, "start container", "/etc").because("is a file");
        assert_eq!(inner.within("start container", "db").to_string(), "start container db: /etc: is a file");
    }

    #[test]
    fn one_line_whatever_was_asked_for() {
        let e =
            Error::new(Kind::NotFound, "find image", "a\nb").because(format!("{:?} is not there", "x".repeat(5000)));
        let said = e.to_string();
        assert!(
            said.starts_with("find image a\\nb: \"xxx") && said.ends_with("xxx… (5002 bytes) is not there"),
            "{said}"
        );
        let path = "/long/path".repeat(40);
        assert!(Error::new(Kind::NotFound, "open", &path).to_string().contains(&path));
    }

    #[test]
    fn codes_and_words_are_unique_and_never_zero() {
        let mut codes: Vec<i32> = Kind::ALL.iter().map(|k| k.code()).collect();
        let mut words: Vec<&str> = Kind::ALL.iter().map(|k| k.word()).collect();
        assert!(codes.iter().all(|c| *c > 0));
        codes.sort_unstable();
        words.sort_unstable();
        codes.dedup();
        words.dedup();
        assert_eq!((codes.len(), words.len()), (Kind::ALL.len(), Kind::ALL.len()));
    }
}
