//! The ABI that programs were compiled with, kept in `tests/abi/baseline.h`, and what may change of it.
//!
//! The baseline is the header itself, which says all that a C compiler knows. abidiff was tried in its place: told
//! that structs may grow, it no longer tells that a member's type changed.

use std::collections::BTreeMap;
use std::process::Command;

use anyhow::{Result, bail};

use super::header::{self, Header};
use super::{Scratch, compiler, done};
use crate::repo;

const BASELINE: &str = "tests/abi/baseline.h";

const CURE: &str = "A program that was compiled with the older header would break. Add a function, or a member at the \
end of a struct, instead. Where that can't be: raise SAMPAN_ABI_MAJOR (core/src/capi/version.rs), tell of it in \
CHANGELOG.md, and write the baseline anew with `cargo run -p xtask -- abi --renew`. Before the first release of a major \
number, the last of these is enough.";

/// Writes the baseline from the header as it is.
pub fn renew(header: &Header) -> Result<()> {
    let top = "/* The ABI that later headers are held against; `cargo run -p xtask -- abi --renew` writes it. */\n";
    std::fs::write(repo::path(BASELINE), format!("{top}{}", header.text))?;
    println!("abi: the baseline has {} functions and {} structs", header.functions.len(), header.structs.len());
    Ok(())
}

/// Compares the header with the baseline.
pub fn check(header: &Header) -> Result<()> {
    let changes = changes(&header::read(&repo::read(BASELINE)?), header)?;
    if !changes.is_empty() {
        bail!("the ABI is no longer that of {BASELINE}:\n{}\n\n{CURE}", changes.join("\n"));
    }
    Ok(())
}

/// What of `old` no longer holds; additions are none.
fn changes(old: &Header, new: &Header) -> Result<Vec<String>> {
    let mut found = differences("function", &old.functions, &new.functions);
    // The minor number is there to grow.
    let numbers = |h: &Header| h.constants.iter().map(|(name, n)| (name.clone(), n.to_string())).collect();
    let constants = differences("constant", &numbers(old), &numbers(new));
    found.extend(constants.into_iter().filter(|change| !change.contains("SAMPAN_ABI_MINOR")));
    let gone = old.typedefs.iter().filter(|typedef| !new.typedefs.contains(typedef));
    found.extend(gone.map(|typedef| format!("type: {typedef}: is gone")));
    found.extend(old.structs.iter().filter_map(|(name, members)| reshaped(name, members, new.structs.get(name))));
    if found.is_empty() {
        found.extend(padded(old, new)?);
    }
    Ok(found)
}

fn differences(what: &str, old: &BTreeMap<String, String>, new: &BTreeMap<String, String>) -> Vec<String> {
    let change = |(name, was): (&String, &String)| match new.get(name) {
        Some(is) if is == was => None,
        Some(is) => Some(format!("{what} {name}: was {was}\n  and is {is}")),
        None => Some(format!("{what} {name}: is gone")),
    };
    old.iter().filter_map(change).collect()
}

/// A struct may grow at its end only.
fn reshaped(name: &str, old: &[String], new: Option<&Vec<String>>) -> Option<String> {
    let Some(new) = new else { return Some(format!("struct {name}: is gone")) };
    let at = old.iter().enumerate().find(|(at, member)| new.get(*at) != Some(member));
    at.map(|(at, was)| {
        let is = new.get(at).map_or("nothing", String::as_str);
        format!("struct {name}: member {} was {was}\n  and is {is}", at + 1)
    })
}

/// Members that came to lie in what was padding: an older caller need not have zeroed it.
fn padded(old: &Header, new: &Header) -> Result<Vec<String>> {
    let grown = new.structs.iter().filter_map(|(name, members)| {
        let first = members.get(old.structs.get(name)?.len())?;
        Some((name.as_str(), first.trim_end_matches(']').rsplit([' ', '*']).next()?))
    });
    let grown: Vec<(&str, &str)> = grown.collect();
    if grown.is_empty() {
        return Ok(Vec::new());
    }
    let sizes = numbers(old, grown.iter().map(|(name, _)| format!("sizeof({name})")))?;
    let offsets = numbers(new, grown.iter().map(|(name, member)| format!("offsetof({name}, {member})")))?;
    let lies_inside = grown.iter().zip(sizes.iter().zip(&offsets)).filter(|(_, (size, offset))| offset < size);
    Ok(lies_inside.map(|((name, member), _)| format!("struct {name}: {member} lies in what was padding")).collect())
}

/// What a C compiler makes of expressions.
fn numbers(header: &Header, expressions: impl Iterator<Item = String>) -> Result<Vec<usize>> {
    let scratch = Scratch::new()?;
    let (source, program) = (scratch.0.join("numbers.c"), scratch.0.join("numbers"));
    let prints: String = expressions.map(|e| format!("printf(\"%zu\\n\", {e});\n")).collect();
    let text = format!("#include <stdio.h>\n{}\nint main(void) {{\n{prints}return 0;\n}}\n", header.text);
    std::fs::write(&source, text)?;
    done(compiler("CC", "cc").args(["-std=c11", "-o"]).arg(&program).arg(&source), "a header does not compile")?;
    let output = done(&mut Command::new(program), "numbers")?;
    Ok(String::from_utf8(output.stdout)?.lines().map(str::parse).collect::<Result<_, _>>()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "#include <stdbool.h>
#include <stddef.h>
#define SAMPAN_ABI_MINOR 1
#define SAMPAN_A 1
typedef int sampan_word;
typedef struct sampan_o {
    size_t size;
    int a;
    bool b;
} sampan_o;
int sampan_f(const struct sampan_o *o);
int sampan_g(void);
";

    fn after(from: &str, to: &str) -> Vec<String> {
        assert!(TEXT.contains(from), "{from}");
        changes(&header::read(TEXT), &header::read(&TEXT.replace(from, to))).unwrap()
    }

    #[test]
    fn additions_are_no_change() {
        for (from, to) in [
            ("bool b;", "bool b;\n    const char *c;\n    bool d;"),
            ("int sampan_g(void);", "int sampan_g(void);\nint sampan_h(void);"),
            ("#define SAMPAN_A 1", "#define SAMPAN_A 1\n#define SAMPAN_B 2"),
            ("SAMPAN_ABI_MINOR 1", "SAMPAN_ABI_MINOR 2"),
            ("int sampan_f(const struct", "/* A word. */\nint\n  sampan_f(const  struct"),
        ] {
            assert_eq!(after(from, to), Vec::<String>::new(), "{to}");
        }
    }

    #[test]
    fn what_breaks_a_program_is_told_by_name() {
        for (from, to, told) in [
            ("int sampan_g(void);", "", "function sampan_g: is gone"),
            ("int sampan_g(void);", "int sampan_g(int a);", "function sampan_g: was int sampan_g(void)"),
            ("int sampan_g(void);", "long sampan_g(void);", "and is long sampan_g(void)"),
            ("#define SAMPAN_A 1", "#define SAMPAN_A 2", "constant SAMPAN_A: was 1"),
            ("typedef int sampan_word", "typedef long sampan_word", "type: int sampan_word: is gone"),
            ("    int a;\n", "    long c;\n    int a;\n", "struct sampan_o: member 2 was int a"),
            ("int a;", "unsigned a;", "and is unsigned a"),
            ("    bool b;\n", "", "and is nothing"),
            ("bool b;", "bool b;\n    bool c;", "c lies in what was padding"),
        ] {
            let changes = after(from, to).join("\n");
            assert!(changes.contains(told), "{to}: {changes}");
        }
    }
}
