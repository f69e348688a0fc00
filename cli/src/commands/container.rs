//! What is done to containers that exist.

use sampan::{Cancel, Engine, Kind, ListOptions, RemoveOptions, Status, StopOptions, UpdateOptions};

use super::{confirmed, each};
use crate::cli::{ForceArg, KillArgs, Names, RenameArgs, RmArgs, StopArgs, UpdateArgs};
use crate::fail::{Fail, Outcome, ended};
use crate::output;

fn stop_options(args: &StopArgs) -> StopOptions {
    StopOptions { timeout: args.timeout, signal: args.signal.clone() }
}

pub fn stop(engine: &Engine, args: &StopArgs) -> Outcome {
    each(&args.names.containers, |name| {
        engine.container(name)?.stop(&stop_options(args), &Cancel::new())?;
        Ok(Some(name.to_owned()))
    })
}

pub fn restart(engine: &Engine, args: &StopArgs) -> Outcome {
    each(&args.names.containers, |name| {
        engine.container(name)?.restart(&stop_options(args), &Cancel::new())?;
        Ok(Some(name.to_owned()))
    })
}

pub fn kill(engine: &Engine, args: &KillArgs) -> Outcome {
    each(&args.names.containers, |name| {
        engine.container(name)?.kill(&args.signal)?;
        Ok(Some(name.to_owned()))
    })
}

pub fn pause(engine: &Engine, names: &Names) -> Outcome {
    each(&names.containers, |name| {
        engine.container(name)?.pause(&Cancel::new())?;
        Ok(Some(name.to_owned()))
    })
}

pub fn unpause(engine: &Engine, names: &Names) -> Outcome {
    each(&names.containers, |name| {
        engine.container(name)?.unpause()?;
        Ok(Some(name.to_owned()))
    })
}

pub fn update(engine: &Engine, args: &UpdateArgs) -> Outcome {
    let options = UpdateOptions { restart: args.restart.clone(), ..args.limits.changes() };
    if options == UpdateOptions::default() {
        return Err(Fail::new(1, "nothing is to be changed; name what is: `sampan update --help`"));
    }
    each(&args.names.containers, |name| {
        engine.container(name)?.update(&options)?;
        Ok(Some(name.to_owned()))
    })
}

pub fn wait(engine: &Engine, names: &Names) -> Outcome {
    each(&names.containers, |name| {
        let exit = engine.container(name)?.wait(None, &Cancel::new())?;
        ended(&exit);
        Ok(Some(exit.code.to_string()))
    })
}

pub fn remove(engine: &Engine, args: &RmArgs) -> Outcome {
    let options = RemoveOptions { force: args.force, volumes: args.volumes };
    each(&args.names.containers, |name| match engine.container(name).and_then(|c| c.remove(&options)) {
        Ok(()) => Ok(Some(name.to_owned())),
        Err(error) if args.force && error.kind() == Kind::NotFound => Ok(None),
        Err(error) => Err(error),
    })
}

pub fn rename(engine: &Engine, args: &RenameArgs) -> Outcome {
    engine.container(&args.container)?.rename(&args.name)?;
    Ok(0)
}

pub fn prune(engine: &Engine, args: &ForceArg) -> Outcome {
    if confirmed(args.force, "every container that does not run")? {
        remove_stopped(engine)?;
    }
    Ok(0)
}

/// Removes what does not run, and prints the ids.
pub fn remove_stopped(engine: &Engine) -> Result<(), Fail> {
    let all = ListOptions { all: true, ..Default::default() };
    for info in engine.containers(&all)? {
        if matches!(info.status, Status::Running | Status::Paused | Status::Restarting) {
            continue;
        }
        match engine.container(&info.id).and_then(|c| c.remove(&RemoveOptions::default())) {
            Ok(()) => output::line(&info.id)?,
            // Somebody else removed or started it since it was listed.
            Err(error) if matches!(error.kind(), Kind::NotFound | Kind::Conflict) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}
