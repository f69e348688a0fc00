//! What a case can name, and the lines of a case, one by one.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use sampan::{Cancel, Container, Engine, EngineOptions, ListOptions, Quiet, RemoveOptions};

use crate::call::{self, Answer};
use crate::script::{Case, Line};
use crate::value::{Schema, Value};

pub enum Bound {
    Engine(Engine),
    Container(Container),
    Value(Value),
}

pub struct World {
    pub schema: Schema,
    pub image: String,
    pub engine: Engine,
    pub events: Vec<Value>,
    names: BTreeMap<String, Bound>,
    scratch: PathBuf,
    cases: u32,
}

impl World {
    pub fn open(schema: Schema, scratch: &Path, image: String) -> Result<World> {
        let at = |name: &str| Some(scratch.join(name).display().to_string());
        let rung = std::env::var("SAMPAN_TEST_RUNG").ok().map(|rung| rung.parse()).transpose()?;
        let options = EngineOptions { root: at("root"), run: at("run"), rung, ..EngineOptions::default() };
        let engine = Engine::open(&options)?;
        engine.pull(&image, &Default::default(), &mut Quiet, &Cancel::new())?;
        let (names, events) = (BTreeMap::new(), Vec::new());
        Ok(World { schema, image, engine, events, names, scratch: scratch.to_owned(), cases: 0 })
    }

    /// False when the case is not for this host.
    pub fn run(&mut self, case: &Case) -> Result<bool> {
        let dir = self.begin()?;
        let ran = self.lines(case);
        let left = self.clean();
        // Layers of a store below it may belong to other ids; whoever made the scratch directory removes those.
        let _ = std::fs::remove_dir_all(dir);
        let ran = ran?;
        ensure!(left? == 0, "{}: a container is left", case.id);
        Ok(ran)
    }

    fn begin(&mut self) -> Result<PathBuf> {
        self.cases += 1;
        let dir = self.scratch.join(format!("case-{}", self.cases));
        std::fs::create_dir(&dir)?;
        let path = |name: &str| self.scratch.join(name).display().to_string();
        let registry = self.image.split('/').next().unwrap_or_default().to_owned();
        let fixed = [
            ("image", self.image.clone()),
            ("registry", registry),
            ("root", path("root")),
            ("run", path("run")),
            ("dir", dir.display().to_string()),
        ];
        self.names = fixed.map(|(name, text)| (name.to_owned(), Bound::Value(Value::text(&text)))).into();
        self.names.insert("e".into(), Bound::Engine(self.engine.clone()));
        Ok(dir)
    }

    fn lines(&mut self, case: &Case) -> Result<bool> {
        for line in &case.lines {
            if !self.line(line).with_context(|| line.place.clone())? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn line(&mut self, line: &Line) -> Result<bool> {
        let words = line.words.iter().map(|word| self.filled(word)).collect::<Result<Vec<_>>>()?;
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["needs", fact, ref any @ ..] => return self.has(fact, any),
            ["expect", path, verb, ref rest @ ..] => self.expect(path, verb, rest.first().unwrap_or(&""))?,
            ["fails", kind, ref call @ ..] => self.fails(kind, call)?,
            [name, "=", ref call @ ..] => {
                let result = self.succeeds(call)?;
                self.names.insert(name.to_owned(), result);
            }
            ref call => drop(self.succeeds(call)?),
        }
        Ok(true)
    }

    fn has(&self, fact: &str, any: &[&str]) -> Result<bool> {
        let info = self.schema.shape("EngineInfo", &serde_json::to_value(self.engine.info()?)?);
        Ok(any.contains(&info.show(fact)?.as_str()))
    }

    fn succeeds(&mut self, words: &[&str]) -> Result<Bound> {
        match call::make(self, words)? {
            Answer::Result(bound) => Ok(bound),
            Answer::Error(error) => bail!("{}: {error}", error.kind().word()),
        }
    }

    fn fails(&mut self, kind: &str, words: &[&str]) -> Result<()> {
        let Answer::Error(error) = call::make(self, words)? else { bail!("it did not fail") };
        ensure!(error.kind().word() == kind, "it failed with {}: {error}", error.kind().word());
        self.names.insert("error".into(), Bound::Value(call::error_value(&error)));
        Ok(())
    }

    fn expect(&self, path: &str, verb: &str, want: &str) -> Result<()> {
        let got = self.show(path)?;
        let holds = match verb {
            "is" => got == want,
            "not" => got != want,
            "has" => got.contains(want),
            "lacks" => !got.contains(want),
            "begins" => got.starts_with(want),
            "ends" => got.ends_with(want),
            _ => bail!("{verb} is unknown"),
        };
        ensure!(holds, "expected {path} {verb} {want}, got {got}");
        Ok(())
    }

    fn show(&self, path: &str) -> Result<String> {
        let (name, rest) = path.split_once('.').unwrap_or((path, ""));
        if name == "events" {
            return Value::List(self.events.clone()).show(rest);
        }
        match self.bound(name)? {
            Bound::Container(container) if rest == "id" => Ok(container.id().to_owned()),
            Bound::Value(value) => value.show(rest).with_context(|| path.to_owned()),
            _ => bail!("{path} is not a value"),
        }
    }

    pub fn bound(&self, name: &str) -> Result<&Bound> {
        self.names.get(name).with_context(|| format!("there is no {name}"))
    }

    fn filled(&self, word: &str) -> Result<String> {
        let (mut out, mut rest) = (String::new(), word);
        while let Some((before, after)) = rest.split_once("%{") {
            let (path, after) = after.split_once('}').context("%{ without }")?;
            out += before;
            out += &self.show(path)?;
            rest = after;
        }
        Ok(out + rest)
    }

    /// Removes what a case has left in the store, and tells how much it was.
    fn clean(&self) -> Result<usize> {
        let left = self.engine.containers(&ListOptions { all: true, filters: Vec::new() })?;
        for info in &left {
            self.engine.container(&info.id)?.remove(&RemoveOptions { force: true, volumes: true })?;
        }
        Ok(left.len())
    }
}
