# What is done often. `just --list` shows it.

# Every lane of the gate, or those named.
test *lanes:
    bash tests/run.sh {{lanes}}

# Builds all and runs the main job.
quickstart:
    bash examples/quickstart.sh

# Writes what is generated from the facade.
generate:
    cargo run -p xtask -- generate

# The fast checks, before a commit.
check:
    bash tests/run.sh fmt clippy gates
