//! A handle knows the process that it was made in.

use crate::error::{Error, Kind, Result};

/// What the header's `const` handles may be used for: by many threads at once.
const _: () = {
    const fn shared<T: Send + Sync>() {}
    const fn moved<T: Send>() {}
    shared::<Handle<crate::api::Engine>>();
    shared::<Handle<crate::api::Container>>();
    shared::<super::attach::sampan_attachment>();
    shared::<super::exec::sampan_exec>();
    shared::<crate::cancel::Cancel>();
    moved::<Handle<crate::api::EventStream>>();
    moved::<Handle<crate::api::LogStream>>();
    moved::<Handle<crate::api::StatsStream>>();
};

/// A value behind an opaque pointer.
pub struct Handle<T> {
    process: u32,
    value: T,
}

impl<T> Handle<T> {
    /// A handle of this process.
    pub fn new(value: T) -> Self {
        Handle { process: std::process::id(), value }
    }

    fn check(&self, name: &'static str) -> Result<()> {
        match self.process == std::process::id() {
            true => Ok(()),
            // A log's file offset and an engine's locks would be shared with the parent.
            false => Err(Error::new(Kind::ForkedHandle, "use handle", name)
                .because("it was made by the parent of this process")
                .hint("open a new engine after fork")),
        }
    }

    /// The value.
    pub fn get(&self, name: &'static str) -> Result<&T> {
        self.check(name).map(|()| &self.value)
    }

    /// The value, for a handle that one thread has at a time.
    pub fn get_mut(&mut self, name: &'static str) -> Result<&mut T> {
        self.check(name).map(|()| &mut self.value)
    }
}
