//! The floors of `core/src/`: a room imports only from floors below its own (ARCHITECTURE.md).

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use syn::spanned::Spanned;
use syn::visit::{self, Visit};

use crate::repo;

/// Room and floor. Rooms of one floor may know each other on the two lowest only.
const FLOORS: &[(&str, u8)] = &[
    ("error", 0),
    ("id", 0),
    ("reference", 0),
    ("cancel", 0),
    ("progress", 0),
    ("capability", 0),
    ("spec", 0),
    ("paths", 1),
    ("fs", 1),
    ("given", 1),
    ("lock", 1),
    ("sys", 1),
    ("wire", 1),
    ("store", 2),
    ("registry", 2),
    ("layer", 3),
    ("cgroup", 3),
    ("net", 3),
    ("seccomp", 3),
    ("systemd", 3),
    ("plan", 4),
    ("launch", 5),
    ("setup", 6),
    ("ops", 7),
    ("ahead", 8),
    ("api", 8),
    ("oci", 8),
    ("capi", 9),
];

/// What of the facade is logic; the rest of it is plain records, which every floor may read.
const HANDLES: [&str; 5] = ["Engine", "Container", "EventStream", "LogStream", "*"];

/// Checks every file of the core.
pub fn run() -> Result<()> {
    let root = repo::path("core/src");
    let mut breaches = Vec::new();
    for file in sources(&root)? {
        breaches.extend(check(&root, &file)?);
    }
    if !breaches.is_empty() {
        bail!("imports that don't go down:\n{}", breaches.join("\n"));
    }
    println!("floors: every import goes down");
    Ok(())
}

fn sources(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))? {
        let path = entry?.path();
        match path.is_dir() {
            true => found.extend(sources(&path)?),
            false if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            false => {}
        }
    }
    found.sort();
    Ok(found)
}

fn check(root: &Path, file: &Path) -> Result<Vec<String>> {
    let inside = file.strip_prefix(root)?;
    let room = inside.components().next().expect("a file has a name").as_os_str().to_string_lossy();
    let room = room.trim_end_matches(".rs");
    // Tests reach where they must.
    let is_test = inside.components().any(|c| c.as_os_str().to_string_lossy().contains("tests"));
    if room == "lib" || is_test {
        return Ok(Vec::new());
    }
    let floor = floor_of(room).with_context(|| format!("{room} has no floor: name it in xtask and ARCHITECTURE.md"))?;
    let syntax = syn::parse_file(&std::fs::read_to_string(file)?).with_context(|| file.display().to_string())?;
    let mut imports = Imports::default();
    imports.visit_file(&syntax);
    let breach = |(line, to, what): &(usize, String, String)| {
        let rises = !allowed(room, floor, to, what);
        rises.then(|| format!("  core/src/{}:{line}: {room} imports {to}::{what}", inside.display()))
    };
    Ok(imports.0.iter().filter_map(breach).collect())
}

fn floor_of(room: &str) -> Option<u8> {
    FLOORS.iter().find(|(name, _)| *name == room).map(|(_, floor)| *floor)
}

fn allowed(room: &str, floor: u8, to: &str, what: &str) -> bool {
    // Not a room: what `lib.rs` gives again.
    let Some(target) = floor_of(to) else { return true };
    let record = to == "api" && !HANDLES.contains(&what);
    // One file a verb: each fills and gives out many records of the facade, but has no business with its handles.
    let verb = room == "ops" && to == "api" && what == "*";
    let neighbours = target == floor && floor <= 1;
    room == to || target < floor || neighbours || record || verb
}

/// `(line, room, item)` of every path that begins with `crate::`.
#[derive(Default)]
struct Imports(BTreeSet<(usize, String, String)>);

impl Imports {
    fn tree(&mut self, tree: &syn::UseTree, path: &[String]) {
        let with = |name: &syn::Ident| [path, &[name.to_string()]].concat();
        match tree {
            syn::UseTree::Path(p) => self.tree(&p.tree, &with(&p.ident)),
            syn::UseTree::Group(g) => g.items.iter().for_each(|t| self.tree(t, path)),
            syn::UseTree::Name(n) => self.path(&with(&n.ident), n.span()),
            syn::UseTree::Rename(r) => self.path(&with(&r.ident), r.span()),
            syn::UseTree::Glob(g) => self.path(&[path, &["*".to_owned()]].concat(), g.span()),
        }
    }

    fn path(&mut self, path: &[String], span: proc_macro2::Span) {
        if let [first, room, rest @ ..] = path
            && first == "crate"
        {
            let what = rest.first().cloned().unwrap_or_default();
            self.0.insert((span.start().line, room.clone(), what));
        }
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.tree(&item.tree, &[]);
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let names: Vec<String> = path.segments.iter().map(|s| s.ident.to_string()).collect();
        self.path(&names, path.span());
        visit::visit_path(self, path);
    }

    fn visit_item_mod(&mut self, module: &'ast syn::ItemMod) {
        let is_test =
            module.attrs.iter().any(|a| a.path().is_ident("cfg") && quote::quote!(#a).to_string().contains("test"));
        if !is_test {
            visit::visit_item_mod(self, module);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn imports(text: &str) -> Vec<(String, String)> {
        let mut imports = Imports::default();
        imports.visit_file(&syn::parse_str(text).unwrap());
        imports.0.into_iter().map(|(_, room, what)| (room, what)).collect()
    }

    #[test]
    fn imports_are_found_wherever_they_stand() {
        let text = "use crate::{store::refs, ops}; fn f() { crate::launch::launch(); } #[cfg(test)] mod t { use crate::api::Engine; }";
        let pair = |room: &str, what: &str| (room.to_owned(), what.to_owned());
        assert_eq!(imports(text), [pair("launch", "launch"), pair("ops", ""), pair("store", "refs")]);
    }

    #[test]
    fn what_rises_or_goes_sideways_is_a_breach() {
        let ok = |room: &str, to: &str, what: &str| allowed(room, floor_of(room).unwrap(), to, what);
        assert!(ok("ops", "launch", "launch") && ok("fs", "paths", "Paths") && ok("store", "api", "RunOptions"));
        assert!(!ok("store", "ops", "run") && !ok("registry", "store", "blobs") && !ok("cgroup", "net", "x"));
        assert!(
            !ok("plan", "api", "Engine")
                && !ok("ops", "api", "Engine")
                && ok("ops", "api", "*")
                && !ok("api", "capi", "x")
        );
    }
}
