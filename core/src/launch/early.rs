//! A shim that is started while the host still works out what to ask of it: on another processor, the one is done when
//! the other is.

use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::thread::JoinHandleExt;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::mpsc::sync_channel;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::SigSet;

use super::helper::{self, HelperSource};
use super::spawn::{self, Shim, header, unstarted};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind as ErrorKind, Result};
use crate::sys;
use crate::wire::{Kind, NEW_NET, fd};

/// A shim without a request. It ends when it is dropped, before the drop returns.
#[derive(Debug)]
pub struct Early {
    helper: HelperSource,
    /// It was begun without the places of who asks, where it may start yet.
    guessed: bool,
    /// `None` where the host can't have a thread more.
    starting: Option<JoinHandle<Result<Shim>>>,
}

/// One that was begun before it was known for what. No lock, which a fork of the host could leave held.
static WAITING: AtomicPtr<Early> = AtomicPtr::new(null_mut());

impl Early {
    /// Begins to start it, with a network namespace made ahead where a new one is expected. What fails is told when it is
    /// asked.
    pub fn begin(helper: HelperSource, new_net: bool) -> Early {
        match helper.installed {
            None => match Early::take_waiting() {
                Some(waiting) => waiting.with(helper),
                None => Early::begin_another(helper, new_net),
            },
            Some(_) => Early::begin_another(helper, new_net),
        }
    }

    /// Begins one for the next start of this process's; one that waits already has been in vain.
    pub fn begin_to_wait(new_net: bool) {
        let mut early = Early::begin_another(HelperSource::default(), new_net);
        early.guessed = true;
        drop(Early::own(WAITING.swap(Box::into_raw(Box::new(early)), Ordering::AcqRel)));
    }

    /// One that was begun without them, and now has the places of who asks.
    fn with(mut self, helper: HelperSource) -> Early {
        self.helper = helper;
        self
    }

    /// The one that waits, if there is one.
    pub fn take_waiting() -> Option<Early> {
        Early::own(WAITING.swap(null_mut(), Ordering::AcqRel))
    }

    fn own(waiting: *mut Early) -> Option<Early> {
        // SAFETY: it was made from a box, and whoever swapped it out of its place is alone in having it.
        (!waiting.is_null()).then(|| *unsafe { Box::from_raw(waiting) })
    }

    fn begin_another(helper: HelperSource, new_net: bool) -> Early {
        let source = helper.clone();
        let starting = without_signals(|| beside(move || idle(&source, new_net)));
        Early { helper, guessed: false, starting }
    }

    /// Asks it; `passed` as for [`spawn::spawn`]. Where it could not be started by a guess, it is by what is known now.
    pub(super) fn ask(mut self, kind: Kind, body: Vec<u8>, passed: &[(i32, BorrowedFd<'_>)]) -> Result<Shim> {
        let shim = match self.starting.take().map(started) {
            Some(Ok(shim)) => shim,
            Some(Err(error)) if !self.guessed => return Err(error),
            Some(Err(_)) | None => return spawn::spawn(kind, body, passed, &self.helper),
        };
        match request(&shim, kind, &body, passed) {
            Ok(()) => Ok(shim),
            Err(error) => Err(told_instead(&shim, error)),
        }
    }
}

impl Drop for Early {
    fn drop(&mut self) {
        if let Some(Ok(shim)) = self.starting.take().map(started) {
            shim.hang_up(PATIENCE);
        }
    }
}

// The thread's own calls are few and flat; those of the shim's first instructions have stacks of their own.
const STACK: usize = 128 * 1024;
/// A shim without a request ends as soon as it runs.
const PATIENCE: Duration = Duration::from_secs(10);

/// Does it in a thread of its own, and at once: on another processor, if there is one.
fn beside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<JoinHandle<T>> {
    let (tell, moved) = sync_channel(1);
    let thread = thread::Builder::new().name("sampan-start".into()).stack_size(STACK).spawn(move || {
        if let Ok(Some(moved)) = moved.recv() {
            sys::move_freely(&moved);
        }
        work()
    });
    let thread = thread.ok()?;
    let _ = tell.send(sys::move_aside(thread.as_pthread_t()));
    Some(thread)
}

fn idle(helper: &HelperSource, new_net: bool) -> Result<Shim> {
    let shim = spawn::idle(helper)?;
    if new_net {
        shim.tell(NEW_NET).context("start helper", "").map_err(|error| told_instead(&shim, error))?;
    }
    Ok(shim)
}

/// Who can't be asked has ended, and has told why.
fn told_instead(shim: &Shim, error: Error) -> Error {
    let told = shim.next(&Cancel::new(), Some(Instant::now())).err().filter(|e| e.kind() != ErrorKind::Timeout);
    shim.hang_up(PATIENCE);
    told.unwrap_or(error)
}

fn started(starting: JoinHandle<Result<Shim>>) -> Result<Shim> {
    starting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The request itself comes last.
fn request(shim: &Shim, kind: Kind, body: &[u8], passed: &[(i32, BorrowedFd<'_>)]) -> Result<()> {
    let blob = helper::memory_file([&header(kind, passed, body.len()), body]).map_err(unstarted)?;
    for (number, fd) in passed.iter().copied().chain([(fd::BLOB, blob.as_fd())]) {
        shim.pass_as(number, fd).context("start helper", "")?;
    }
    Ok(())
}

/// The host's handlers run in its own threads: a new one inherits what is blocked here.
fn without_signals<T>(work: impl FnOnce() -> T) -> T {
    let before = SigSet::all().thread_swap_mask(nix::sys::signal::SigmaskHow::SIG_BLOCK);
    let done = work();
    if let Ok(before) = before {
        let _ = before.thread_set_mask();
    }
    done
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    use super::*;

    fn has_ended(pidfd: &OwnedFd) -> bool {
        poll(&mut [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO) == Ok(1)
    }

    fn early(shim: Option<Shim>) -> Early {
        let starting = shim.map(|shim| thread::spawn(move || Ok(shim)));
        Early { helper: HelperSource::default(), guessed: false, starting }
    }

    #[test]
    fn one_that_is_not_asked_is_gone_after_the_drop() {
        let shim = idle(&HelperSource::default(), true).unwrap();
        let pidfd = shim.pidfd.try_clone().unwrap();
        assert!(!has_ended(&pidfd));
        drop(early(Some(shim)));
        assert!(has_ended(&pidfd));
    }

    #[test]
    fn one_whose_host_is_gone_ends() {
        let shim = spawn::idle(&HelperSource::default()).unwrap();
        drop(shim.status);
        let ended = poll(&mut [PollFd::new(shim.pidfd.as_fd(), PollFlags::POLLIN)], PollTimeout::from(10_000u16));
        assert_eq!(ended, Ok(1));
    }

    #[test]
    fn one_that_waits_is_for_one_start() {
        Early::begin_to_wait(false);
        let other = HelperSource { installed: Some("/nowhere".into()), ..HelperSource::default() };
        drop(Early::begin(other, false));
        let mut taken = Early::begin(HelperSource::default(), true);
        assert!(Early::take_waiting().is_none());
        let shim = started(taken.starting.take().unwrap()).unwrap();
        shim.hang_up(PATIENCE);
        assert!(has_ended(&shim.pidfd));
    }

    /// What it is asked arrives, whether it was there before or is only made for it.
    #[test]
    fn the_request_arrives_either_way() {
        for shim in [Some(spawn::idle(&HelperSource::default()).unwrap()), None] {
            let asked = early(shim).ask(Kind::Launch, b"no request".to_vec(), &[]).unwrap();
            let refused = asked.next(&Cancel::new(), None).map(|_| ()).unwrap_err();
            assert!(refused.to_string().contains("request"), "{refused}");
        }
    }

    /// What failed for want of the store's places does not fail who has them; what had them has failed.
    #[test]
    fn one_begun_by_a_guess_is_begun_anew_when_it_failed() {
        for guessed in [true, false] {
            let failed = Error::new(ErrorKind::PermissionDenied, "start helper", "");
            let starting = Some(thread::spawn(move || Err(failed)));
            let early = Early { helper: HelperSource::default(), guessed, starting };
            let asked = early.ask(Kind::Launch, b"no request".to_vec(), &[]);
            assert_eq!(asked.is_ok(), guessed, "{asked:?}");
            if let Ok(shim) = asked {
                shim.hang_up(PATIENCE);
            }
        }
    }

    #[test]
    fn the_host_s_signals_are_as_before() {
        let before = SigSet::thread_get_mask().unwrap();
        drop(Early::begin(HelperSource::default(), true));
        assert_eq!(SigSet::thread_get_mask().unwrap(), before);
    }
}
