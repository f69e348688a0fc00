//! Progress events. The library never draws a bar: it tells, the caller draws.

use serde::{Deserialize, Serialize};

/// One step of a pull. Byte counts are of the compressed blob.
///
/// Events of one layer come in order; those of different layers interleave. `total` is what the
/// manifest says and may be 0 for a foreign layer. A retried download may count backwards once.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Event {
    /// The reference was resolved to a manifest.
    Resolved {
        /// As it was asked for.
        reference: String,
        /// Digest of the blob, or of the manifest.
        digest: String,
        /// How many layers.
        layers: u64,
        /// Bytes of all blobs.
        bytes: u64,
    },
    /// A layer begins.
    LayerStarted {
        /// Digest of the blob, or of the manifest.
        digest: String,
        /// Bytes that the manifest promises.
        total: u64,
    },
    /// Bytes of a layer have come.
    LayerBytes {
        /// Digest of the blob, or of the manifest.
        digest: String,
        /// Bytes so far.
        done: u64,
        /// Bytes that the manifest promises.
        total: u64,
    },
    /// The layer was in the store already, or another process is making it.
    LayerSkipped {
        /// Digest of the blob, or of the manifest.
        digest: String,
        /// Bytes that the manifest promises.
        total: u64,
    },
    /// The layer is verified and unpacked; `unpacked` bytes of tar.
    LayerDone {
        /// Digest of the blob, or of the manifest.
        digest: String,
        /// Bytes of the tar.
        unpacked: u64,
    },
    /// The image is in the store.
    Done {
        /// As it was asked for.
        reference: String,
        /// Digest of the blob, or of the manifest.
        digest: String,
    },
    /// The layer's blob was kept, and its bytes have become wrong: it is fetched again.
    LayerDamaged {
        /// Digest of the blob, or of the manifest.
        digest: String,
        /// Bytes that the manifest promises.
        total: u64,
    },
}

/// Takes events on the thread that made the call, never on another.
pub trait Progress {
    /// Takes one event. Must not block long: the pull waits for it.
    fn event(&mut self, event: &Event);
}

/// Ignores every event.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quiet;

impl Progress for Quiet {
    fn event(&mut self, _: &Event) {}
}

impl<F: FnMut(&Event)> Progress for F {
    fn event(&mut self, event: &Event) {
        self(event)
    }
}
