//! Blobs, image refs, layers, container records, volumes on disk; leases and garbage collection.
