//! Pure planning: options and facts in, a full plan out. No system call is made here.

pub mod launch;
