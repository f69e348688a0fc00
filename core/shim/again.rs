//! What follows an end: another start after a pause, or the last records.
//!
//! The shim stays and with it the container's lock, log, cgroups and directories; all else of a run is made anew by the
//! same steps as the first time. While it pauses it can be told, by the container's socket, to leave it at that.

use crate::control;
use crate::ending::{self, End};
use crate::fail::{At, Fail, Outcome, keep};
use crate::launch::{self, Started};
use crate::oom;
use crate::records::{self, State};
use crate::relay;
use crate::supervise::{self, NO_TERMINAL, Terminal, Watch};
use crate::sys::{self, Ended, Errno, Fd, POLLIN, Poll};
use crate::text::Text;
use crate::time;
use crate::wire::{self, Oom, PACKET_MAX, Restart, Status, Step, fd};

/// Between two looks whether a copy has ended that keeps a start waiting.
const COPY_MS: u64 = 10;
/// So many looks at what clients say are taken when a pause is over.
const MOST_WORDS: u32 = 256;

impl Watch {
    /// One run, from the payload's first instruction on; true when another has begun.
    pub fn turn(&mut self) -> bool {
        let init = self.until_end();
        let end = self.wind_up(init);
        let pause = self.pause_after(&end);
        let last = match pause {
            Some(ms) => self.go_on(end, ms),
            None => Some(end),
        };
        match last {
            Some(last) => {
                self.conclude(&last);
                false
            }
            None => true,
        }
    }

    fn pause_after(&mut self, end: &End) -> Option<u64> {
        let rule = if self.tie.is_cut() { Restart::No } else { self.restart.get() };
        self.restarts.after(rule, ending::status(&end.init) != 0, end.ran_ms)
    }

    /// Pauses and starts it again; the end that is the last one when it comes to nothing.
    #[inline(never)]
    fn go_on(&mut self, end: End, pause_ms: u64) -> Option<End> {
        self.rest(&end);
        if !self.pause(pause_ms) {
            return Some(end);
        }
        self.restarts.count += 1;
        match self.start() {
            Ok(()) => None,
            Err(fail) => Some(self.not_started(fail)),
        }
    }

    /// Between two runs: who waits for the end hears of it, and who was joined to the run is let go.
    fn rest(&mut self, end: &End) {
        let state = State { init: 0, started_at: self.started_at, restarts: self.restarts.count, restarting: true };
        // In this order: an end that is read tells that the state says what comes of it. No process is named: the
        // number of the one that is buried may be a stranger's by now.
        let _ = records::write_state(self.dir, self.launch.supervise.state_prefix, &state);
        self.health.forget(self.dir);
        end.note(self.dir);
        // It has run: another run is not kept from beginning for it.
        let _ = records::reserve_exit(self.dir);
        ending::tell(end);
        self.leave_host();
        self.control.part(&end.init, end.oom, self.launch);
        self.outputs.iter_mut().for_each(|output| output.renew(-1));
        self.input.renew(-1);
        // The user namespace stays: when there is no other run, it is needed for the removal.
        for fd in [self.pidfd, self.terminal, self.peer] {
            let _ = sys::close(fd);
        }
        (self.pidfd, self.terminal, self.peer) = (-1, -1, -1);
        // Its files may be copied until they are needed.
        let _ = sys::lock_from(fd::LOCK, wire::LOCK_FILES, false);
    }

    /// True when the time has come and nobody wants it otherwise.
    fn pause(&mut self, pause_ms: u64) -> bool {
        let (mut at, mut late) = (sys::now_ms() + pause_ms, 0);
        while !self.tie.is_cut() && self.restart.get() != Restart::No {
            let left = at.saturating_sub(sys::now_ms());
            let mut polls = [Poll { fd: -1, events: POLLIN, revents: 0 }; 2 + control::POLLS];
            (polls[0].fd, polls[1].fd) = (self.tie.host, self.tie.pipe);
            self.control.polls(&mut polls[2..], false);
            let used = 2 + self.control.used();
            let ready = sys::poll_open(&mut polls[..used], self.control.wait_ms().into_iter().chain([left]).min());
            if left == 0 {
                // What was said in time is heard, however late it is; those who go on talking are not.
                late += 1;
                if ready == Ok(0) || late > MOST_WORDS {
                    if takes_files() {
                        return true;
                    }
                    (at, late) = (sys::now_ms() + COPY_MS, 0);
                }
            }
            if polls[..2].iter().any(|poll| poll.revents != 0) {
                self.tie.lose();
            }
            self.serve(&polls[2..used]);
        }
        false
    }

    fn start(&mut self) -> Outcome {
        ending::clear_cgroups(self.launch);
        self.oom_kills = oom::kills(&self.launch.cgroup);
        let (init, ours) = supervise::pipes(self.launch, false)?;
        let started = self.heard(init).inspect_err(|_| ours.iter().for_each(|fd| drop(sys::close(*fd))))?;
        let Terminal { master, held, peer } = started.terminal.map_or(NO_TERMINAL, supervise::own_terminal);
        (self.terminal, self.peer) = (master, peer);
        self.input.renew(if master < 0 { ours[0] } else { master });
        self.outputs[0].renew(if master < 0 { ours[1] } else { held });
        self.outputs[1].renew(ours[2]);
        (self.pid, self.pidfd) = (started.pid, started.pidfd);
        (self.started_at, self.started_ms) = (started.started_at, sys::now_ms());
        let users = ending::user_namespace(self.launch, self.pid);
        let _ = sys::close(core::mem::replace(&mut self.users, users).unwrap_or(-1));
        self.health.renew();
        Ok(())
    }

    /// Starts it with our own ear where the host's was: what the init tells of its failure is for the record.
    fn heard(&mut self, init: [Fd; 3]) -> Outcome<Started> {
        let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
        let _ = sys::set_status_flags(ours, sys::O_NONBLOCK);
        let _ = sys::dup_to(theirs, fd::STATUS);
        let _ = sys::close(theirs);
        let started = launch::again(self.launch, init, self.restarts.count);
        relay::close(&mut fd::STATUS.clone());
        let told = started.map_err(|fail| fail.unwrap_or_else(|| told_by(ours)));
        let _ = sys::close(ours);
        told
    }

    fn not_started(&self, fail: Fail) -> End {
        let code = match fail.step {
            Step::Exec if wire::is_no_command(fail.errno.0) => wire::NOT_FOUND,
            Step::Exec => wire::NOT_EXECUTABLE,
            _ => wire::NOT_STARTED,
        };
        let (init, now) = (Ended { pid: self.pid, code, signal: 0 }, time::now());
        let (restarts, failed) = (self.restarts.count, Some(fail));
        End {
            init,
            started_at: now,
            finished_at: now,
            ran_ms: 0,
            oom: Oom::default(),
            log_error: None,
            unwritten: None,
            restarts,
            failed,
        }
    }
}

/// False when somebody copies them just now.
fn takes_files() -> bool {
    !matches!(sys::lock_from(fd::LOCK, wire::LOCK_FILES, true), Err(Errno::EAGAIN | Errno::EACCES))
}

/// The failure that the init has told.
fn told_by(socket: Fd) -> Fail {
    let mut packet = [0; PACKET_MAX];
    let n = sys::recv(socket, &mut packet, true).unwrap_or(0);
    match Status::decode(&packet[..n]) {
        Ok(Status::Failed { step, errno, detail }) => {
            let step = Step::from_number(step).unwrap_or(Step::Died);
            Fail { step, errno: Errno(errno), detail: keep(&Text::<PACKET_MAX>::of(&[detail])) }
        }
        _ => Fail { step: Step::Died, errno: Errno(0), detail: b"" },
    }
}
