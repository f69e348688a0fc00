//! What C has: the header.

use anyhow::Result;

use super::Face;
use crate::abi::header;
use crate::api::Api;
use crate::generate::names::snake;
use crate::repo;

/// The function of a method.
pub fn function(class: &str, method: &str) -> String {
    match class {
        "LogStream" => format!("sampan_log_{method}"),
        class => format!("sampan_{}_{method}", snake(class)),
    }
}

/// Reads `include/sampan.h`.
pub fn face(api: &Api) -> Result<Face> {
    let header = header::read(&repo::read("include/sampan.h")?);
    let mut face = Face { methods: header.functions.into_keys().collect(), ..Face::default() };
    for record in &api.records {
        let members = header.structs.get(&format!("sampan_{}", snake(&record.name))).map_or(&[][..], Vec::as_slice);
        let fields = members.iter().filter_map(|member| member.rsplit([' ', '*']).next()).map(field);
        face.fields.insert(record.name.clone(), fields.map(str::to_owned).collect());
    }
    let kinds = header.constants.keys().filter_map(|name| name.strip_prefix("SAMPAN_ERROR_"));
    face.errors = kinds.map(str::to_lowercase).collect();
    Ok(face)
}

/// The field behind a member: `stdin` is a macro in C, so it is `stdin_fd` or `stdin_data` there.
fn field(member: &str) -> &str {
    match member {
        "stdin_fd" | "stdin_data" => "stdin",
        "stdout_fd" | "stdout_data" => "stdout",
        "stderr_fd" | "stderr_data" => "stderr",
        other => other,
    }
}
