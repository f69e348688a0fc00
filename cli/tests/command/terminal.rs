//! `run -t`: the container has a terminal, and ours is passed through.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::process::{Child, Stdio};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};

use crate::common::until;
use crate::host::Host;

nix::ioctl_write_ptr_bad!(set_window_size, nix::libc::TIOCSWINSZ, Winsize);

/// A command on a terminal that the test is at the other end of.
struct Seat {
    child: Child,
    keys: File,
    /// Our handle on the terminal, to see its modes.
    tty: File,
    seen: String,
}

impl Seat {
    fn take(host: &Host, args: &[&str]) -> Seat {
        Seat::take_at("xterm", host, args)
    }

    /// At a terminal of this kind, whatever the one that the tests were started from.
    fn take_at(kind: &str, host: &Host, args: &[&str]) -> Seat {
        let size = Winsize { ws_row: 33, ws_col: 101, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(Some(&size), None).unwrap();
        let tty = File::from(pty.slave);
        let end = || Stdio::from(tty.try_clone().unwrap());
        let mut command = host.command(args);
        command.env("TERM", kind).stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        Seat { child, keys: File::from(pty.master), tty, seen: String::new() }
    }

    /// Reads until this has been seen.
    fn until(&mut self, text: &str) {
        let mut chunk = [0; 4096];
        while !self.seen.contains(text) {
            // We hold the terminal open ourselves, so that its end never comes: a limit for what is never written.
            let mut ready = [PollFd::new(self.keys.as_fd(), PollFlags::POLLIN)];
            let n = match poll(&mut ready, PollTimeout::from(60_000u16)) {
                Ok(1..) => self.keys.read(&mut chunk).unwrap_or(0),
                _ => 0,
            };
            assert!(n > 0, "{text:?} never came: {:?}", self.seen);
            self.seen.push_str(&String::from_utf8_lossy(&chunk[..n]));
        }
        let end = self.seen.find(text).unwrap() + text.len();
        self.seen.drain(..end);
    }

    fn type_in(&mut self, text: &str) {
        self.keys.write_all(text.as_bytes()).unwrap();
    }

    fn is_raw(&self) -> bool {
        !tcgetattr(self.tty.as_fd()).unwrap().local_flags.contains(LocalFlags::ICANON)
    }

    fn code(&mut self) -> i32 {
        self.child.wait().unwrap().code().unwrap()
    }
}

#[test]
fn a_shell_on_a_terminal() {
    let host = Host::new();
    let mut seat = Seat::take(&host, &["run", "--rm", "-it", "box", "sh"]);
    seat.until("# ");
    assert!(seat.is_raw());
    seat.type_in("tty; stty size; exit 5\n");
    seat.until("/dev/pts/");
    seat.until("33 101");
    assert_eq!(seat.code(), 5);
    assert!(!seat.is_raw(), "the terminal is left as it was");
}

#[test]
fn ctrl_c_is_a_key_like_any_other() {
    let host = Host::new();
    let script = "trap 'echo caught; exit 9' INT; echo ready; while :; do sleep 0.05; done";
    let mut seat = Seat::take(&host, &["run", "--rm", "-it", "box", "sh", "-c", script]);
    seat.until("ready");
    seat.type_in("\x03");
    seat.until("caught");
    assert_eq!(seat.code(), 9);
}

#[test]
fn the_terminal_s_size_follows_ours() {
    let host = Host::new();
    let script = "stty size; trap 'stty size; exit 0' WINCH; echo ready; while :; do sleep 0.05; done";
    let mut seat = Seat::take(&host, &["run", "--rm", "-it", "box", "sh", "-c", script]);
    seat.until("33 101");
    seat.until("ready");
    let size = Winsize { ws_row: 44, ws_col: 55, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the descriptor is open and the size is ours.
    unsafe { set_window_size(std::os::fd::AsRawFd::as_raw_fd(&seat.tty), &size) }.unwrap();
    // It isn't the terminal of our session, so the kernel tells nobody.
    let pid = nix::unistd::Pid::from_raw(seat.child.id() as i32);
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGWINCH).unwrap();
    seat.until("44 55");
    assert_eq!(seat.code(), 0);
}

#[test]
fn a_terminal_for_the_output_alone() {
    let host = Host::new();
    let ended =
        host.run(&["run", "--rm", "-t", "box", "sh", "-c", "tty >/dev/null; test -t 1 && echo yes; echo no >&2"]);
    // One stream, and the terminal ends lines with a carriage return.
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "yes\r\nno\r\n", ""));
}

#[test]
fn input_that_is_no_terminal_is_refused() {
    let host = Host::new();
    let ended = host.run(&["run", "--rm", "-it", "box", "sh"]);
    assert_eq!(ended.code, 125);
    assert!(ended.stderr.contains("not a terminal"), "{ended:?}");
    assert!(host.names().is_empty());
}

#[test]
fn a_terminal_shows_a_bar_for_each_layer() {
    let host = Host::empty();
    let image = crate::common::image();
    let mut seat = Seat::take(&host, &["pull", &image]);
    seat.until("= ");
    seat.until("KiB done");
    seat.until(&image);
    assert_eq!(seat.code(), 0);
}

#[test]
fn a_terminal_that_can_t_draw_gets_lines() {
    let host = Host::empty();
    let image = crate::common::image();
    let mut seat = Seat::take_at("dumb", &host, &["pull", &image]);
    seat.until("pulling ");
    seat.until(": unpacked ");
    seat.until(&image);
    assert_eq!(seat.code(), 0);
}

#[test]
fn a_shell_in_a_running_container() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    let mut seat = Seat::take(&host, &["exec", "-it", "c", "sh"]);
    seat.until("# ");
    assert!(seat.is_raw());
    seat.type_in("tty; stty size; echo $TERM; exit 5\n");
    seat.until("/dev/pts/");
    seat.until("33 101");
    seat.until("xterm");
    assert_eq!(seat.code(), 5);
    assert!(!seat.is_raw(), "the terminal is left as it was");
}

#[test]
fn keys_leave_a_container_running_and_what_is_typed_later_reaches_it() {
    let script = ["sh", "-c", "echo first; while read a; do echo got $a; done"];
    for at_once in [true, false] {
        let host = Host::new();
        let run = [&["run", "-it", "--name", "c", "box"], &script[..]].concat();
        let run = match at_once {
            true => run,
            false => {
                host.ok(&[&["create", "-it", "--name", "c", "box"], &script[..]].concat());
                vec!["start", "-a", "-i", "c"]
            }
        };
        let mut seat = Seat::take(&host, &run);
        seat.until("first");
        seat.type_in("one\n");
        seat.until("got one");
        seat.type_in("\x10\x11");
        assert_eq!(seat.code(), 0);
        assert!(!seat.is_raw(), "the terminal is left as it was");
        assert_eq!(host.ok(&["inspect", "-f", "{{.status}}", "c"]), "running");
        let mut seat = Seat::take(&host, &["attach", "--detach-keys", "ctrl-x", "c"]);
        // What is typed before belongs to nobody yet.
        until("the terminal was never taken", || seat.is_raw());
        seat.type_in("two\n");
        seat.until("got two");
        // What stands before the keys is the container's too.
        seat.type_in("three\n\x18");
        assert_eq!(seat.code(), 0);
        until("what was typed before the keys was lost", || host.ok(&["logs", "c"]).contains("got three"));
    }
}

/// Lines without a Ctrl-P or Ctrl-Q in them, of this length in all.
fn much(length: usize) -> Vec<u8> {
    let mut lines: Vec<u8> = (0..length / 8 + 1).flat_map(|line| format!("{line:07}\n").into_bytes()).collect();
    lines.truncate(length);
    lines
}

/// However much there is of it and however late the container reads it.
#[test]
fn what_is_typed_in_front_of_the_keys_is_not_lost() {
    let host = Host::new();
    let script =
        "stty raw -echo; echo ready; until [ -e /go ]; do sleep 0.05; done; head -c $0 | md5sum; exec sleep 1000";
    for length in [100_000, 1 << 20] {
        let input = much(length);
        let sum = host.feed(&["run", "--rm", "-i", "box", "md5sum"], &input);
        let mut seat =
            Seat::take(&host, &["run", "-it", "--name", "c", "box", "sh", "-c", script, &length.to_string()]);
        seat.until("ready");
        let mut keys = seat.keys.try_clone().unwrap();
        let typing = std::thread::spawn(move || keys.write_all(&[&input[..], b"\x10\x11"].concat()).unwrap());
        host.ok(&["exec", "c", "touch", "/go"]);
        typing.join().unwrap();
        assert_eq!(seat.code(), 0);
        until("what was typed was lost", || host.ok(&["logs", "c"]).contains(sum.stdout.trim_end()));
        host.ok(&["rm", "-f", "c"]);
    }
}

/// The keys are heard, and what is lost is said.
#[test]
fn a_container_that_reads_nothing_does_not_keep_who_types_the_keys() {
    let host = Host::new();
    let script = "stty raw -echo; echo ready; exec sleep 1000";
    let mut seat = Seat::take(&host, &["run", "-it", "--name", "c", "box", "sh", "-c", script]);
    seat.until("ready");
    // More than there is room for on the way.
    seat.type_in(&String::from_utf8([&much(110_000)[..], b"\x10\x11"].concat()).unwrap());
    seat.until(" bytes of what was typed before the keys");
    assert_eq!(seat.code(), 1);
    assert!(!seat.is_raw(), "the terminal is left as it was");
    assert_eq!(host.ok(&["inspect", "-f", "{{.status}}", "c"]), "running");
}

#[test]
fn other_keys_and_none() {
    let host = Host::new();
    let script = "echo ready; read a; echo got $a; exit 4";
    let mut seat = Seat::take(&host, &["run", "--rm", "-it", "--detach-keys", "", "box", "sh", "-c", script]);
    seat.until("ready");
    seat.type_in("\x16\x10\x16\x11x\n");
    seat.until("got \x10\x11x");
    assert_eq!(seat.code(), 4);
    let refused = host.run(&["run", "--rm", "--detach-keys", "ab", "box", "true"]);
    assert_eq!(refused.code, 125);
    assert!(refused.stderr.contains("is not a key"), "{refused:?}");
}

#[test]
fn keys_leave_a_command_running() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    let script = "echo ready; read a; echo $a > /got";
    let mut seat = Seat::take(&host, &["exec", "-it", "--detach-keys", "ctrl-x,x", "c", "sh", "-c", script]);
    seat.until("ready");
    seat.type_in("\x18x");
    assert_eq!(seat.code(), 0);
    assert!(!seat.is_raw(), "the terminal is left as it was");
    assert_eq!(host.ok(&["exec", "c", "sh", "-c", "ps | grep -c '[r]ead a'"]), "1");
}
