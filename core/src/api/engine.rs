//! The engine: one store and everything in it.

use std::sync::Arc;

use super::{
    Container, ContainerInfo, DoctorReport, EngineInfo, EngineOptions, EventOptions, EventStream, ImageInfo,
    ListOptions, Output, PruneReport, PullOptions, RemoveImageOptions, RemovedImage, RunOptions, Stdio,
};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::ops;
use crate::progress::Progress;

/// A store of images and containers on this machine. Cheap to clone, safe to share between threads.
///
/// Opening starts nothing: no daemon, no thread, no process.
#[derive(Clone, Debug)]
pub struct Engine {
    pub(super) context: Arc<ops::Context>,
}

impl Engine {
    /// Opens the store, making it when it is missing.
    pub fn open(options: &EngineOptions) -> Result<Engine> {
        Ok(Engine { context: Arc::new(ops::Context::open(options)?) })
    }

    /// The library's version.
    pub fn version() -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Where this engine stands.
    pub fn info(&self) -> Result<EngineInfo> {
        ops::info::info(&self.context)
    }

    /// What this host allows, which rung is chosen and why, and what to install; runs a self-test container.
    pub fn doctor(&self) -> Result<DoctorReport> {
        ops::doctor::doctor(&self.context)
    }

    /// Pulls an image. Layers that the store has are not fetched again.
    pub fn pull(
        &self,
        reference: &str,
        options: &PullOptions,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<ImageInfo> {
        ops::pull::pull(&self.context, reference, options, progress, cancel)
    }

    /// The images in the store, newest first.
    pub fn images(&self) -> Result<Vec<ImageInfo>> {
        ops::images::list(&self.context)
    }

    /// One image by reference, id or unique prefix of an id.
    pub fn inspect_image(&self, image: &str) -> Result<ImageInfo> {
        ops::images::inspect(&self.context, image)
    }

    /// Gives an image a further reference.
    pub fn tag(&self, image: &str, reference: &str) -> Result<()> {
        ops::images::tag(&self.context, image, reference)
    }

    /// Removes a tag, and the image with its last tag.
    pub fn remove_image(&self, image: &str, options: &RemoveImageOptions) -> Result<Vec<RemovedImage>> {
        ops::images::remove(&self.context, image, options)
    }

    /// Removes blobs, layers and leftovers that no image, container or lease uses.
    pub fn gc(&self) -> Result<PruneReport> {
        ops::images::gc(&self.context)
    }

    /// What happens in the store from now on, whichever process does it, and with `since` what has happened.
    ///
    /// The last mebibyte of events is kept, and up to one before it. Where none can be written, as on a full disk, they are
    /// lost, and nothing fails for it.
    pub fn events(&self, options: &EventOptions) -> Result<EventStream> {
        Ok(EventStream::new(ops::events::open(&self.context, options)?))
    }

    /// Creates a container, pulling its image as its policy says.
    pub fn create(&self, options: &RunOptions, progress: &mut dyn Progress, cancel: &Cancel) -> Result<Container> {
        let id = ops::create::create(&self.context, options, progress, cancel)?;
        Ok(Container::new(self.clone(), id))
    }

    /// Creates and starts a container and returns while it runs.
    pub fn spawn(
        &self,
        options: &RunOptions,
        stdio: &Stdio,
        progress: &mut dyn Progress,
        cancel: &Cancel,
    ) -> Result<Container> {
        let id = ops::run::spawn(&self.context, options, stdio, progress, cancel)?;
        Ok(Container::new(self.clone(), id))
    }

    /// Runs a container to its end, removes it, and returns what it wrote and how it ended.
    pub fn run(&self, options: &RunOptions, progress: &mut dyn Progress, cancel: &Cancel) -> Result<Output> {
        ops::run::run(&self.context, options, progress, cancel)
    }

    /// What a run would do, as JSON, without doing it.
    pub fn plan(&self, options: &RunOptions) -> Result<String> {
        ops::run::plan(&self.context, options)
    }

    /// The containers in the store, newest first; the running ones unless `all`.
    pub fn containers(&self, options: &ListOptions) -> Result<Vec<ContainerInfo>> {
        ops::list::list(&self.context, options)
    }

    /// A container by name, id or unique prefix of an id.
    pub fn container(&self, container: &str) -> Result<Container> {
        let id = ops::list::find(&self.context, container)?;
        Ok(Container::new(self.clone(), id))
    }
}
