//! `inspect`: records as JSON, of containers, then of images.

use sampan::{Engine, Error, Kind};
use serde_json::Value;

use crate::cli::InspectArgs;
use crate::fail::{Outcome, complain};
use crate::output;

pub fn inspect(engine: &Engine, args: &InspectArgs, kind: Option<&str>) -> Outcome {
    let mut found = Vec::new();
    let mut code = 0;
    for name in &args.names {
        match look_up(engine, name, kind) {
            Ok(value) => found.push(value),
            Err(error) => {
                complain(error);
                code = 1;
            }
        }
    }
    match args.format.as_deref() {
        None => output::line(serde_json::to_string_pretty(&found)?)?,
        Some(format) => found.iter().try_for_each(|value| output::record(format, value))?,
    }
    Ok(code)
}

fn look_up(engine: &Engine, name: &str, kind: Option<&str>) -> Result<Value, Error> {
    let container = || engine.container(name).and_then(|c| c.inspect()).and_then(json);
    let image = || engine.inspect_image(name).and_then(json);
    match kind {
        Some("container") => container(),
        Some(_) => image(),
        None => container().or_else(|error| match error.kind() {
            Kind::NotFound | Kind::InvalidArgument => image().map_err(|_| nothing(name)),
            _ => Err(error),
        }),
    }
}

fn nothing(name: &str) -> Error {
    Error::new(Kind::NotFound, "inspect", name).because("there is no such container or image")
}

fn json<T: serde::Serialize>(record: T) -> Result<Value, Error> {
    serde_json::to_value(record).map_err(|e| Error::new(Kind::System, "write JSON", "").because(e.to_string()))
}
