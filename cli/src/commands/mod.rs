//! Commands become calls of the facade.

mod attach;
mod container;
mod cp;
mod events;
mod exec;
mod image;
mod inspect;
mod logs;
mod ps;
mod run;
mod setup;
mod system;
mod watch;

use clap::CommandFactory;
use sampan::Engine;

use crate::cli::{Cli, Command, ContainerCommand, ImageCommand, SystemCommand};
use crate::fail::{Fail, Outcome, complain};
use crate::output;

/// Runs what the command line says. Commands that need no store open none.
pub fn execute(cli: Cli) -> Outcome {
    match &cli.command {
        Command::Version(format) => return system::version(format),
        Command::Completion { shell } => {
            clap_complete::generate(*shell, &mut Cli::command(), "sampan", &mut std::io::stdout());
            return Ok(0);
        }
        Command::Setup(args) => return setup::setup(args),
        // Only with options before the word: else the runtime has its own command line (`oci::asked`).
        Command::Oci { .. } => {
            return Err(Fail::usage("the options of the OCI runtime stand behind `oci`: sampan oci --root DIR list"));
        }
        _ => {}
    }
    let running = match &cli.command {
        Command::Run(_) => true,
        Command::Container(command) => matches!(**command, ContainerCommand::Run(_)),
        _ => false,
    };
    let engine = Engine::open(&cli.global.options()).map_err(if running { Fail::running } else { Fail::from })?;
    dispatch(&engine, cli.command)
}

fn dispatch(engine: &Engine, command: Command) -> Outcome {
    use ContainerCommand as C;
    match command {
        Command::Run(args) => run::run(engine, &args),
        Command::Container(command) => container(engine, command.into_inner()),
        Command::Create(args) => container(engine, C::Create(args)),
        Command::Exec(args) => container(engine, C::Exec(args)),
        Command::Attach(args) => container(engine, C::Attach(args)),
        Command::Cp(args) => container(engine, C::Cp(args)),
        Command::Pause(names) => container(engine, C::Pause(names)),
        Command::Unpause(names) => container(engine, C::Unpause(names)),
        Command::Top(args) => container(engine, C::Top(args)),
        Command::Stats(args) => container(engine, C::Stats(args)),
        Command::Update(args) => container(engine, C::Update(args)),
        Command::Start(args) => container(engine, C::Start(args)),
        Command::Stop(args) => container(engine, C::Stop(args)),
        Command::Restart(args) => container(engine, C::Restart(args)),
        Command::Kill(args) => container(engine, C::Kill(args)),
        Command::Wait(names) => container(engine, C::Wait(names)),
        Command::Rm(args) => container(engine, C::Rm(args)),
        Command::Rename(args) => container(engine, C::Rename(args)),
        Command::Ps(args) => container(engine, C::Ls(args)),
        Command::Logs(args) => container(engine, C::Logs(args)),
        Command::Inspect(args) => inspect::inspect(engine, &args, args.kind.as_deref()),
        Command::Image(command) => image(engine, command.into_inner()),
        Command::Images(args) => image(engine, ImageCommand::Ls(args)),
        Command::Pull(args) => image(engine, ImageCommand::Pull(args)),
        Command::Rmi(args) => image(engine, ImageCommand::Rm(args)),
        Command::Tag(args) => image(engine, ImageCommand::Tag(args)),
        Command::System(command) => match command.into_inner() {
            SystemCommand::Info(format) => system::info(engine, &format),
            SystemCommand::Events(args) => events::events(engine, &args),
            SystemCommand::Prune(args) => system::prune(engine, &args),
        },
        Command::Info(format) => system::info(engine, &format),
        Command::Events(args) => events::events(engine, &args),
        Command::Doctor(format) => system::doctor(engine, &format),
        Command::Gc => system::gc(engine),
        Command::Version(_) | Command::Setup(_) | Command::Completion { .. } | Command::Oci { .. } => {
            unreachable!("answered before a store was opened")
        }
    }
}

fn container(engine: &Engine, command: ContainerCommand) -> Outcome {
    use ContainerCommand as C;
    match command {
        C::Run(args) => run::run(engine, &args),
        C::Create(args) => run::create(engine, &args),
        C::Exec(args) => exec::exec(engine, &args),
        C::Attach(args) => attach::attach(engine, &args),
        C::Cp(args) => cp::cp(engine, &args),
        C::Pause(names) => container::pause(engine, &names),
        C::Unpause(names) => container::unpause(engine, &names),
        C::Top(args) => watch::top(engine, &args),
        C::Stats(args) => watch::stats(engine, &args),
        C::Update(args) => container::update(engine, &args),
        C::Start(args) => run::start(engine, &args),
        C::Stop(args) => container::stop(engine, &args),
        C::Restart(args) => container::restart(engine, &args),
        C::Kill(args) => container::kill(engine, &args),
        C::Wait(names) => container::wait(engine, &names),
        C::Rm(args) => container::remove(engine, &args),
        C::Rename(args) => container::rename(engine, &args),
        C::Ls(args) => ps::ps(engine, &args),
        C::Logs(args) => logs::logs(engine, &args),
        C::Inspect(args) => inspect::inspect(engine, &args, Some("container")),
        C::Prune(args) => container::prune(engine, &args),
    }
}

fn image(engine: &Engine, command: ImageCommand) -> Outcome {
    match command {
        ImageCommand::Ls(args) => image::list(engine, &args),
        ImageCommand::Pull(args) => image::pull(engine, &args),
        ImageCommand::Rm(args) => image::remove(engine, &args),
        ImageCommand::Tag(args) => image::tag(engine, &args),
        ImageCommand::Inspect(args) => inspect::inspect(engine, &args, Some("image")),
        ImageCommand::Prune(args) => image::prune(engine, &args),
    }
}

/// Does one thing to each name. A failure is told at once and does not keep the others from their turn.
fn each(names: &[String], mut act: impl FnMut(&str) -> Result<Option<String>, sampan::Error>) -> Outcome {
    let mut code = 0;
    for name in names {
        match act(name) {
            Ok(Some(text)) => output::line(text)?,
            Ok(None) => {}
            Err(error) => {
                complain(error);
                code = 1;
            }
        }
    }
    Ok(code)
}

/// Asks before something is removed for good; anything but `y` is a no.
fn confirmed(force: bool, what: &str) -> Result<bool, Fail> {
    use std::io::Write;
    if force {
        return Ok(true);
    }
    let mut ask = std::io::stderr();
    write!(ask, "This removes {what}. Go on? [y/N] ")?;
    ask.flush()?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
