//! The C face of `api`: parse, call, convert.
