//! Real launches.
