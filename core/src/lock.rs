//! Locks by `flock`: they die with the process.
