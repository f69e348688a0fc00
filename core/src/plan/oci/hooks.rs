//! Hooks and the state that they read.

use oci_spec::runtime::{Hook as OciHook, Spec};
use serde::Serialize;

use super::{Request, invalid};
use crate::error::Result;

/// A program that the configuration wants run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Hook {
    /// Absolute path.
    pub path: String,
    /// Arguments, the program's name first.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: Vec<String>,
    /// Milliseconds after which it is killed; 0 for none.
    pub timeout_ms: u64,
}

/// Those that are run before the payload.
#[derive(Default)]
pub(super) struct Hooks {
    pub prestart: Vec<Hook>,
    pub create_runtime: Vec<Hook>,
    pub create_container: Vec<Hook>,
    pub start_container: Vec<Hook>,
}

/// Reads all kinds, so that a malformed one is told before anything is made.
pub(super) fn read(spec: &Spec) -> Result<Hooks> {
    let Some(hooks) = spec.hooks() else { return Ok(Hooks::default()) };
    #[allow(deprecated)]
    let prestart = list("hooks.prestart", hooks.prestart())?;
    poststart(spec)?;
    poststop(spec)?;
    Ok(Hooks {
        prestart,
        create_runtime: list("hooks.createRuntime", hooks.create_runtime())?,
        create_container: list("hooks.createContainer", hooks.create_container())?,
        start_container: list("hooks.startContainer", hooks.start_container())?,
    })
}

/// Those that are run once the payload runs.
pub fn poststart(spec: &Spec) -> Result<Vec<Hook>> {
    spec.hooks().as_ref().map_or(Ok(Vec::new()), |hooks| list("hooks.poststart", hooks.poststart()))
}

/// Those that are run once the container has been deleted.
pub fn poststop(spec: &Spec) -> Result<Vec<Hook>> {
    spec.hooks().as_ref().map_or(Ok(Vec::new()), |hooks| list("hooks.poststop", hooks.poststop()))
}

fn list(field: &str, hooks: &Option<Vec<OciHook>>) -> Result<Vec<Hook>> {
    hooks.iter().flatten().enumerate().map(|(at, hook)| one(&format!("{field}[{at}]"), hook)).collect()
}

fn one(field: &str, hook: &OciHook) -> Result<Hook> {
    let path = hook.path().to_str().filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(|| invalid(format!("{field}.path"), "it is not an absolute path"))?;
    let seconds = match hook.timeout().map(u64::try_from) {
        None => 0,
        Some(Ok(seconds)) if seconds > 0 => seconds,
        Some(_) => return Err(invalid(format!("{field}.timeout"), "it is not greater than zero")),
    };
    Ok(Hook {
        path: path.to_owned(),
        args: hook.args().clone().unwrap_or_default(),
        env: hook.env().clone().unwrap_or_default(),
        timeout_ms: seconds.saturating_mul(1000),
    })
}

/// The state in three pieces, as the status and the pid are known to the shim alone.
pub(super) fn state(spec: &Spec, request: &Request<'_>) -> (String, String, String) {
    let text = |value: &str| serde_json::Value::from(value).to_string();
    let annotations = serde_json::json!(spec.annotations().clone().unwrap_or_default());
    (
        format!("{{\"ociVersion\":{},\"id\":{},\"status\":\"", text(spec.version()), text(request.id)),
        "\",\"pid\":".to_owned(),
        format!(",\"bundle\":{},\"annotations\":{annotations}}}", text(request.bundle)),
    )
}
