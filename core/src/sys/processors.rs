//! On which processor a thread begins.

use std::os::unix::thread::RawPthread;

use nix::sched::{CpuSet, sched_getaffinity, sched_getcpu, sched_setaffinity};
use nix::unistd::Pid;

/// The processors that a thread had before it was moved.
#[derive(Debug)]
#[must_use = "the thread keeps to fewer processors than it had, and so does what it starts"]
pub struct Moved(CpuSet);

/// Moves a new thread, which may not have run yet, off the caller's processor; `None` where it can run nowhere else, and nothing
/// has changed. Where processors share no cache Linux lets a program's first thread wait for its creator, though others
/// are idle (6.18: 0.3 to 1.3 ms).
///
/// `thread` must be running or joinable, and leave its processors alone until it has been given what this returns.
pub fn move_aside(thread: RawPthread) -> Option<Moved> {
    let before = sched_getaffinity(Pid::from_raw(0)).ok()?;
    let mut others = before;
    others.unset(sched_getcpu().ok()?).ok()?;
    // A number to the standard library; in musl a pointer.
    #[allow(clippy::unnecessary_cast)]
    let thread = thread as libc::pthread_t;
    // SAFETY: the caller says that the thread is there; nix's set is the C library's and nothing else.
    let failed = unsafe { libc::pthread_setaffinity_np(thread, size_of::<CpuSet>(), (&raw const others).cast()) };
    (failed == 0).then_some(Moved(before))
}

/// Gives the calling thread its processors back.
///
/// A set of the kernel's, which a cpuset made, is no wish of anybody's, and must not become one: what the thread starts would keep
/// to it in every other cpuset. So all are asked for first, and the set that was only where that has made another.
pub fn move_freely(moved: &Moved) {
    let own = Pid::from_raw(0);
    let all = (0..CpuSet::count()).fold(CpuSet::new(), |mut all, processor| {
        let _ = all.set(processor);
        all
    });
    let same = sched_setaffinity(own, &all).and_then(|()| sched_getaffinity(own)) == Ok(moved.0);
    if !same {
        let _ = sched_setaffinity(own, &moved.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::thread::JoinHandleExt;
    use std::sync::mpsc::channel;
    use std::thread;

    use super::*;

    fn processors() -> CpuSet {
        sched_getaffinity(Pid::from_raw(0)).unwrap()
    }

    fn count(set: &CpuSet) -> usize {
        (0..CpuSet::count()).filter(|&i| set.is_set(i).unwrap()).count()
    }

    /// A thread that was moved: its processors then, and when it moves freely.
    fn moved() -> Option<[CpuSet; 2]> {
        let (tell, told) = channel();
        let thread = thread::spawn(move || {
            let moved: Option<Moved> = told.recv().unwrap();
            moved.map(|moved| {
                let then = processors();
                move_freely(&moved);
                [then, processors()]
            })
        });
        tell.send(move_aside(thread.as_pthread_t())).unwrap();
        thread.join().unwrap()
    }

    #[test]
    fn a_moved_thread_has_its_processors_again() {
        let before = processors();
        let moved = moved();
        assert_eq!(moved.is_some(), count(&before) > 1);
        if let Some([then, after]) = moved {
            assert_eq!((count(&then), after), (count(&before) - 1, before));
        }
        assert_eq!(processors(), before);
    }

    /// Who keeps to some processors, by `taskset`, has what he starts keep to them.
    #[test]
    fn a_wish_is_kept() {
        thread::spawn(|| {
            let mut few = CpuSet::new();
            (0..CpuSet::count()).filter(|&i| processors().is_set(i).unwrap()).take(1).for_each(|i| few.set(i).unwrap());
            sched_setaffinity(Pid::from_raw(0), &few).unwrap();
            assert!(moved().is_none());
            move_freely(&Moved(few));
            assert_eq!(processors(), few);
        })
        .join()
        .unwrap();
    }
}
