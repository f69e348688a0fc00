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
}
