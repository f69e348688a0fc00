//! What the command has: the facade's methods that it calls, and the options that it sets.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use syn::visit::{self, Visit};

use super::Face;
use crate::api::{Api, Role};
use crate::repo;

/// Reads `cli/src/`.
pub fn face(api: &Api) -> Result<Face> {
    let mut found = Found::default();
    read(&repo::path("cli/src"), &mut found)?;
    let mut face = Face { methods: found.calls, ..Face::default() };
    for record in api.records_of(Role::Options) {
        let literal = found.literals.iter().filter(|(name, _)| *name == record.name).map(|(_, field)| field.clone());
        // `options.memory = …`: its record is not known here, so it counts for each that has such a field.
        face.fields.insert(record.name.clone(), literal.chain(found.assigned.iter().cloned()).collect());
    }
    Ok(face)
}

fn read(dir: &Path, found: &mut Found) -> Result<()> {
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            read(&path, found)?;
        } else if path.extension().is_some_and(|e| e == "rs") {
            found.visit_file(&syn::parse_file(&std::fs::read_to_string(&path)?)?);
        }
    }
    Ok(())
}

#[derive(Default)]
struct Found {
    calls: BTreeSet<String>,
    literals: BTreeSet<(String, String)>,
    assigned: BTreeSet<String>,
}

fn name(member: &syn::Member) -> Option<String> {
    match member {
        syn::Member::Named(name) => Some(name.to_string()),
        syn::Member::Unnamed(_) => None,
    }
}

impl<'ast> Visit<'ast> for Found {
    fn visit_expr_method_call(&mut self, call: &'ast syn::ExprMethodCall) {
        self.calls.insert(call.method.to_string());
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_path(&mut self, path: &'ast syn::ExprPath) {
        // `Engine::open(…)`, or a method that is passed on by name.
        if path.path.segments.len() > 1 {
            self.calls.extend(path.path.segments.last().map(|s| s.ident.to_string()));
        }
        visit::visit_expr_path(self, path);
    }

    fn visit_expr_struct(&mut self, literal: &'ast syn::ExprStruct) {
        let record = literal.path.segments.last().map(|s| s.ident.to_string()).unwrap_or_default();
        let fields = literal.fields.iter().filter_map(|f| Some((record.clone(), name(&f.member)?)));
        self.literals.extend(fields);
        visit::visit_expr_struct(self, literal);
    }

    fn visit_expr_assign(&mut self, assign: &'ast syn::ExprAssign) {
        if let syn::Expr::Field(field) = &*assign.left {
            self.assigned.extend(name(&field.member));
        }
        visit::visit_expr_assign(self, assign);
    }
}
