//! Control groups: find, make, limit, remove.
