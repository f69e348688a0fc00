//! The conformance driver of Rust; what it does is told in `tests/conformance/README.md`.

#![allow(clippy::disallowed_methods, reason = "a test program reads and writes files of its own")]

mod call;
mod script;
mod value;
mod world;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use script::Case;
use value::Schema;
use world::World;

#[derive(Default)]
struct Tally {
    passed: u32,
    failed: u32,
    skipped: u32,
}

impl Tally {
    fn count(&mut self, case: &Case, world: &mut World) {
        let id = &case.id;
        match world.run(case) {
            Ok(true) => (self.passed += 1, println!("ok {id}")),
            Ok(false) => (self.skipped += 1, println!("skipped {id}")),
            Err(why) => (self.failed += 1, println!("FAILED {id}: {why:#}")),
        };
    }
}

fn main() -> Result<ExitCode> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [cases, scratch, filter @ ..] = &args[..] else {
        anyhow::bail!("usage: sampan-conformance CASES SCRATCH [FILTER]");
    };
    let filter = filter.first().map_or("", String::as_str);
    let schema = Schema::read(&variable("SAMPAN_TEST_API")?)?;
    let mut world = World::open(schema, Path::new(scratch), variable("SAMPAN_TEST_IMAGE")?)?;
    let mut tally = Tally::default();
    for file in files(Path::new(cases))? {
        for case in script::read(&file)?.iter().filter(|case| case.id.contains(filter)) {
            tally.count(case, &mut world);
        }
    }
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    Ok(ExitCode::from(u8::from(tally.failed > 0)))
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("{name} is not set"))
}

fn files(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(dir)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    files.sort();
    Ok(files)
}
