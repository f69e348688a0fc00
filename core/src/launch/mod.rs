//! Spawns the shim and speaks `wire` with it.
