//! System-call wrappers, pidfds, and the probe of the kernel's features.
