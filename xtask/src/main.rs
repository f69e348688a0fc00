//! Generators and gates.
fn main() {}
