//! Hooks that are run outside, by the call that ends or starts a container.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use super::State;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::launch::{HelperSource, HostProgram, memory_file, run_program};
use crate::plan::oci::Hook;

/// What an error of a hook begins with.
pub(super) const RUN: &str = "run hook";

/// Runs them one after the other; the first that fails ends it.
pub(super) fn run(hooks: &[Hook], state: &State, helper: &HelperSource) -> Result<()> {
    let text = serde_json::to_vec(state).map_err(|e| Error::new(Kind::Unknown, RUN, "").because(e.to_string()))?;
    hooks.iter().try_for_each(|hook| run_one(hook, &text, helper))
}

/// Runs all of them, whether those before have failed or not.
pub(super) fn run_all(hooks: &[Hook], state: &State, helper: &HelperSource) {
    for hook in hooks {
        let _ = run(std::slice::from_ref(hook), state, helper);
    }
}

fn run_one(hook: &Hook, state: &[u8], helper: &HelperSource) -> Result<()> {
    let stdin = memory_file([state, &[]]).context(RUN, hook.path.clone())?;
    // It was written from the beginning on, and is read from there.
    nix::unistd::lseek(&stdin, 0, nix::unistd::Whence::SeekSet).context(RUN, hook.path.clone())?;
    let args = if hook.args.is_empty() { vec![hook.path.clone()] } else { hook.args.clone() };
    let program = HostProgram { path: hook.path.clone(), args, env: hook.env.clone() };
    let deadline = (hook.timeout_ms > 0).then(|| Instant::now() + Duration::from_millis(hook.timeout_ms));
    let streams = [Some(stdin.as_fd()), None, None];
    let exit = run_program(&program, streams, helper, &Cancel::new(), deadline)
        .map_err(|e| if e.kind() == Kind::Timeout { timed_out(hook) } else { e })?;
    match exit.status() {
        0 => Ok(()),
        status => {
            Err(Error::new(Kind::Launch, RUN, hook.path.clone()).because(format!("it ended with status {status}")))
        }
    }
}

fn timed_out(hook: &Hook) -> Error {
    Error::new(Kind::Timeout, RUN, hook.path.clone()).because("it took longer than its timeout, and was killed")
}
