//! The only builder of state paths.
