//! `docs/security.md` promises attacks for each rule: they are where it says.

#![allow(clippy::disallowed_methods)]

use std::path::Path;

/// The words in backticks of a cell, in order.
fn quoted(cell: &str) -> Vec<&str> {
    cell.split('`').skip(1).step_by(2).collect()
}

/// How a test of that name begins: here, in a module, and in the emulated machine.
fn heads(name: &str) -> [String; 3] {
    [format!("#[test]\nfn {name}()"), format!("#[test]\n    fn {name}()"), format!("\ntest_{name}() {{")]
}

#[test]
fn every_rule_has_the_attacks_that_are_promised() {
    let top = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = std::fs::read_to_string(top.join("docs/security.md")).unwrap();
    let table = text.split("## Rules, each with its attacks").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let mut missing = Vec::new();
    for row in &rows {
        let cell = row.trim_matches('|').rsplit('|').next().unwrap();
        let (mut source, mut tests) = (String::new(), 0);
        for word in quoted(cell) {
            if word.contains('/') {
                source = std::fs::read_to_string(top.join(word)).unwrap_or_default();
                tests += (source.contains("#[test]") || source.contains("\ntest_")) as usize;
            } else if !heads(word).iter().any(|head| source.contains(head)) {
                missing.push(word);
            }
        }
        assert!(tests > 0, "no attack in: {row}");
    }
    assert!(rows.len() >= 14, "the table has {} rows", rows.len());
    assert_eq!(missing, Vec::<&str>::new());
}
