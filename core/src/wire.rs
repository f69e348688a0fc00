//! The flat messages host → shim → host. `no_std`, shared with the shim; no I/O.
