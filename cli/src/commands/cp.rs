//! `cp`: files between a container and this machine.

use std::io::{IsTerminal, stderr, stdin, stdout};
use std::os::fd::AsFd;

use sampan::{Cancel, Container, CopyOptions, Engine};

use crate::cli::CpArgs;
use crate::fail::{Fail, Outcome};

/// One end of a copy.
#[derive(Debug, PartialEq, Eq)]
enum End<'a> {
    /// Our standard input or output, as an archive.
    Stream,
    Here(&'a str),
    Inside(&'a str, &'a str),
}

/// As Docker reads them: what begins with a dot or a slash is a path of this machine, colons and all.
fn end(word: &str) -> End<'_> {
    match word.split_once(':') {
        _ if word == "-" => End::Stream,
        _ if word.starts_with(['/', '.']) => End::Here(word),
        Some((container, path)) if !container.is_empty() => End::Inside(container, path),
        _ => End::Here(word),
    }
}

pub fn cp(engine: &Engine, args: &CpArgs) -> Outcome {
    let options = CopyOptions { archive: args.archive, follow_link: args.follow_link };
    let cancel = Cancel::new();
    let named = |name: &str| engine.container(name);
    match (end(&args.source), end(&args.dest)) {
        (End::Inside(..), End::Inside(..)) => {
            return Err(Fail::usage("a copy goes between a container and this machine"));
        }
        (End::Inside(name, path), End::Stream) => {
            named(name)?.get_archive(path, stdout().as_fd(), &options, &cancel)?
        }
        (End::Inside(name, path), End::Here(dest)) => named(name)?.copy_from(path, dest, &options, &cancel)?,
        (End::Stream, End::Inside(name, path)) => put(&named(name)?, path, &cancel)?,
        (End::Here(src), End::Inside(name, path)) => named(name)?.copy_to(src, path, &options, &cancel)?,
        _ => return Err(Fail::usage("one end must be a container's: CONTAINER:PATH")),
    }
    // Where a person looks on, as with Docker.
    if !args.quiet && args.dest != "-" && stdout().is_terminal() {
        use std::io::Write;
        writeln!(stderr(), "Copied {} to {}", args.source, args.dest)?;
    }
    Ok(0)
}

fn put(container: &Container, path: &str, cancel: &Cancel) -> sampan::Result<()> {
    container.put_archive(path, stdin().as_fd(), cancel)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_as_docker_reads_them() {
        assert_eq!(end("c:/etc/x:y"), End::Inside("c", "/etc/x:y"));
        for here in ["/a:b", "./c:d", "plain", ":x"] {
            assert_eq!(end(here), End::Here(here));
        }
        assert_eq!(end("-"), End::Stream);
    }
}
