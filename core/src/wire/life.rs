//! When a container is started again, and when its health is looked at: pure functions of a state and of the time, in
//! milliseconds of a clock that only goes forward. Docker's rules.

use super::field::{Field, Malformed, Reader};

/// Which ends of a container are followed by another start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Restart {
    /// None.
    #[default]
    No,
    /// Those with another code than 0, at most so often; 0 for no limit.
    OnFailure(u32),
    /// All.
    Always,
}

impl Restart {
    /// As two numbers of a message.
    pub fn numbers(self) -> (u32, u32) {
        match self {
            Restart::No => (0, 0),
            Restart::OnFailure(most) => (1, most),
            Restart::Always => (2, 0),
        }
    }
}

impl Field<'_> for Restart {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        match r.get()? {
            (0, _) => Ok(Restart::No),
            (1, most) => Ok(Restart::OnFailure(most)),
            (2, _) => Ok(Restart::Always),
            _ => Err(Malformed),
        }
    }
}

/// How often a container was started again, and how long was waited last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restarts {
    /// How often.
    pub count: u32,
    pause_ms: u64,
}

impl Restarts {
    const FIRST_MS: u64 = 100;
    const MOST_MS: u64 = 60_000;
    /// After a run that was so long the pauses begin anew.
    const STEADY_MS: u64 = 10_000;

    /// A run has ended: how long to wait for the next; `None` when there is to be none.
    pub fn after(&mut self, rule: Restart, failed: bool, ran_ms: u64) -> Option<u64> {
        let again = match rule {
            Restart::No => false,
            Restart::OnFailure(most) => failed && (most == 0 || self.count < most),
            Restart::Always => true,
        };
        if ran_ms >= Self::STEADY_MS {
            self.pause_ms = 0;
        }
        self.pause_ms = (self.pause_ms * 2).clamp(Self::FIRST_MS, Self::MOST_MS);
        again.then_some(self.pause_ms)
    }
}

/// When a container's health is looked at, in milliseconds, and how often in a row that must fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timing {
    /// From the end of one probe to the next.
    pub interval_ms: u64,
    /// From the start of a probe to its kill.
    pub timeout_ms: u64,
    /// For so long after the container's start failures don't count.
    pub start_period_ms: u64,
    /// In place of the interval, as long as that is and no probe has succeeded.
    pub start_interval_ms: u64,
    /// Failures in a row.
    pub retries: u32,
}

impl Field<'_> for Timing {
    fn read(r: &mut Reader<'_>) -> Result<Self, Malformed> {
        Ok(Timing {
            interval_ms: r.get()?,
            timeout_ms: r.get()?,
            start_period_ms: r.get()?,
            start_interval_ms: r.get()?,
            retries: r.get()?,
        })
    }
}

/// What the probes have found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Healthy {
    /// Nothing yet.
    Starting,
    /// The last one succeeded, or too few have failed since.
    Yes,
    /// Too many have failed.
    No,
}

impl Healthy {
    /// The word of records and events.
    pub fn word(self) -> &'static [u8] {
        match self {
            Healthy::Starting => b"starting",
            Healthy::Yes => b"healthy",
            Healthy::No => b"unhealthy",
        }
    }
}

/// The probes of one run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Probes {
    /// What they have found.
    pub health: Healthy,
    /// Failures in a row that count.
    pub streak: u32,
    started_ms: u64,
    due_ms: u64,
}

impl Probes {
    /// The container has been started.
    pub fn new(timing: &Timing, now_ms: u64) -> Probes {
        let mut probes = Probes { health: Healthy::Starting, streak: 0, started_ms: now_ms, due_ms: 0 };
        probes.postpone(timing, now_ms);
        probes
    }

    /// When the next is due.
    pub fn due_ms(&self) -> u64 {
        self.due_ms
    }

    /// The next comes an interval from now on.
    pub fn postpone(&mut self, timing: &Timing, now_ms: u64) {
        let early = self.health == Healthy::Starting && now_ms - self.started_ms < timing.start_period_ms;
        let interval = if early { timing.start_interval_ms } else { timing.interval_ms };
        self.due_ms = now_ms.saturating_add(interval);
    }

    /// A probe that had begun then has ended now; true when the health is another from now on.
    pub fn ended(&mut self, timing: &Timing, good: bool, began_ms: u64, now_ms: u64) -> bool {
        let before = self.health;
        let excused = before == Healthy::Starting && began_ms - self.started_ms < timing.start_period_ms;
        match good {
            true => (self.health, self.streak) = (Healthy::Yes, 0),
            false if excused => {}
            false => {
                self.streak = self.streak.saturating_add(1);
                if self.streak >= timing.retries {
                    self.health = Healthy::No;
                }
            }
        }
        self.postpone(timing, now_ms);
        self.health != before
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_and_begin_anew_after_a_steady_run() {
        let mut restarts = Restarts::default();
        let mut after = |ran| restarts.after(Restart::Always, false, ran).unwrap();
        assert_eq!([after(0), after(0), after(9_999), after(0)], [100, 200, 400, 800]);
        assert_eq!((0..10).map(|_| after(1)).last(), Some(60_000));
        assert_eq!([after(10_000), after(0)], [100, 200]);
    }

    #[test]
    fn only_what_the_rule_names_is_followed_by_a_start() {
        let after = |rule, failed, count| Restarts { count, pause_ms: 0 }.after(rule, failed, 0).is_some();
        assert!(!after(Restart::No, true, 0));
        assert!(after(Restart::Always, false, 1000));
        assert!(after(Restart::OnFailure(0), true, 1000) && !after(Restart::OnFailure(0), false, 0));
        assert!(after(Restart::OnFailure(2), true, 1) && !after(Restart::OnFailure(2), true, 2));
    }

    #[test]
    fn a_rule_is_read_as_it_is_written() {
        for rule in [Restart::No, Restart::OnFailure(7), Restart::Always] {
            let (a, b) = rule.numbers();
            let bytes = [a.to_ne_bytes(), b.to_ne_bytes()].concat();
            assert_eq!(Reader(&bytes).get(), Ok(rule));
        }
        assert_eq!(Reader(&[9, 9, 9, 9, 0, 0, 0, 0]).get::<Restart>(), Err(Malformed));
    }

    const TIMING: Timing =
        Timing { interval_ms: 30, timeout_ms: 10, start_period_ms: 100, start_interval_ms: 5, retries: 2 };

    #[test]
    fn probes_come_early_until_one_succeeds_or_the_start_period_is_over() {
        let mut probes = Probes::new(&TIMING, 1000);
        assert_eq!((probes.health, probes.due_ms()), (Healthy::Starting, 1005));
        assert!(!probes.ended(&TIMING, false, 1005, 1006));
        assert_eq!((probes.streak, probes.due_ms()), (0, 1011));
        assert!(probes.ended(&TIMING, true, 1011, 1012));
        assert_eq!((probes.health, probes.due_ms()), (Healthy::Yes, 1042));
        let mut late = Probes::new(&TIMING, 1000);
        late.ended(&TIMING, false, 1099, 1101);
        assert_eq!((late.streak, late.due_ms()), (0, 1131));
    }

    #[test]
    fn so_many_failures_in_a_row_make_it_unhealthy_and_one_success_heals() {
        let mut probes = Probes::new(&Timing { start_period_ms: 0, ..TIMING }, 0);
        let mut ended = |good| {
            let changed = probes.ended(&Timing { start_period_ms: 0, ..TIMING }, good, 1, 2);
            (changed, probes.health, probes.streak)
        };
        assert_eq!(ended(false), (false, Healthy::Starting, 1));
        assert_eq!(ended(true), (true, Healthy::Yes, 0));
        assert_eq!(ended(false), (false, Healthy::Yes, 1));
        assert_eq!(ended(false), (true, Healthy::No, 2));
        assert_eq!(ended(false), (false, Healthy::No, 3));
        assert_eq!(ended(true), (true, Healthy::Yes, 0));
    }

    #[test]
    fn a_failure_counts_in_the_start_period_once_it_was_healthy() {
        let mut probes = Probes::new(&TIMING, 0);
        probes.ended(&TIMING, true, 5, 6);
        probes.ended(&TIMING, false, 10, 11);
        assert_eq!((probes.health, probes.streak), (Healthy::Yes, 1));
    }
}
