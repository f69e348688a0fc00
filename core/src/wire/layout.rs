//! Holds [`ABI`](super::ABI) against what the messages look like.

use sha2::{Digest, Sha256};

/// The number, and the digest of the sources that it stands for.
///
/// When this is red, a message has changed: raise `ABI` in `mod.rs`, and put the number and the digest that the failure
/// tells here. A helper of the number before would misread what it is sent. Two changes that were made beside each other
/// need two numbers: the one that comes second raises it again. Where nothing but a function or a name has changed, the
/// digest alone is put here.
const STANDS_FOR: (u32, &str) = (18, "f3f9b6ffa4f1e9eb");

const SOURCES: [&str; 8] = [
    include_str!("control.rs"),
    include_str!("field.rs"),
    include_str!("files.rs"),
    include_str!("life.rs"),
    include_str!("mod.rs"),
    include_str!("request.rs"),
    include_str!("status.rs"),
    include_str!("step.rs"),
];

/// Comments and tests may change as they like, and `ABI` itself.
fn code(source: &str) -> impl Iterator<Item = &str> {
    let lines = source.lines().map(str::trim_start);
    let lines = lines.take_while(|line| *line != "mod tests {").filter(|line| !line.is_empty());
    lines.filter(|line| !["//", "use ", "pub use ", "pub const ABI"].iter().any(|start| line.starts_with(start)))
}

#[test]
fn the_number_is_that_of_these_messages() {
    let mut digest = Sha256::new();
    for line in SOURCES.into_iter().flat_map(code) {
        digest.update(line);
        digest.update("\n");
    }
    let digest: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((super::ABI, digest.as_str()), STANDS_FOR, "read what stands above STANDS_FOR");
}
