//! Trying again: how often, and how long to wait in between.

use std::time::Duration;

use super::failure::{Again, Failure};
use super::transport;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

/// Tries of one request.
const TRIES: u32 = 5;
const FIRST_PAUSE: Duration = Duration::from_millis(150);
const LONGEST_PAUSE: Duration = Duration::from_secs(3);
/// A registry that wants more patience gets an error for its user to decide on.
const LONGEST_RETRY_AFTER: Duration = Duration::from_secs(60);

/// Counts failed tries and pauses between them.
#[derive(Debug, Default)]
pub struct Retry {
    failed: u32,
}

impl Retry {
    /// Pauses before the next try, or gives the error back when there is to be none.
    pub fn pause(&mut self, failure: Failure, cancel: &Cancel) -> Result<()> {
        self.failed += 1;
        let allowed = match failure.again {
            Again::Never => 1,
            Again::Once => 2,
            Again::Soon | Again::After(_) => TRIES,
        };
        if self.failed >= allowed {
            return Err(failure.error);
        }
        let pause = match failure.again {
            Again::After(asked) if asked > LONGEST_RETRY_AFTER => {
                return Err(failure.error.hint(format!("try again in {} s", asked.as_secs())));
            }
            Again::After(asked) => asked,
            _ => (FIRST_PAUSE * 2u32.pow(self.failed - 1)).min(LONGEST_PAUSE),
        };
        let operation = failure.error.operation().to_owned();
        let subject = failure.error.subject().to_owned();
        transport::wait(None, cancel, Some(pause))
            .map(drop)
            .map_err(|_| Error::new(Kind::Cancelled, operation, subject).because("cancelled"))
    }

    /// Progress was made: what failed before no longer counts.
    pub fn forget(&mut self) {
        self.failed = 0;
    }
}

/// Runs `attempt` until it succeeds, its failure is final, or it was tried often enough.
pub fn retrying<T>(cancel: &Cancel, mut attempt: impl FnMut() -> Result<T, Failure>) -> Result<T> {
    let mut retry = Retry::default();
    loop {
        match attempt() {
            Ok(done) => return Ok(done),
            Err(failure) => retry.pause(failure, cancel)?,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tries_of(again: Again) -> u32 {
        let mut tries = 0;
        let result: Result<()> = retrying(&Cancel::new(), || {
            tries += 1;
            Err(Failure { error: Error::new(Kind::Network, "try", ""), again })
        });
        assert_eq!(result.unwrap_err().kind(), Kind::Network);
        tries
    }

    #[test]
    fn as_often_as_it_may_help() {
        assert_eq!(tries_of(Again::Never), 1);
        assert_eq!(tries_of(Again::Once), 2);
        assert_eq!(tries_of(Again::After(Duration::ZERO)), TRIES);
        assert_eq!(tries_of(Again::After(Duration::from_secs(3600))), 1);
    }

    #[test]
    fn a_cancel_ends_the_pause() {
        let cancel = Cancel::new();
        cancel.cancel();
        let failure = Failure { error: Error::new(Kind::Network, "try", ""), again: Again::After(LONGEST_RETRY_AFTER) };
        assert_eq!(Retry::default().pause(failure, &cancel).unwrap_err().kind(), Kind::Cancelled);
    }
}
