//! The engine.

use std::ffi::c_char;

use super::arena::c_text;
use super::boundary::{boxed, entry, entry_call, entry_to, kept, reference, text, unbox};
use super::cancel::sampan_cancel;
use super::container::sampan_container;
use super::convert::{options, record};
use super::error::sampan_error;
use super::events::sampan_event_stream;
use super::generated::*;
use super::handle::Handle;
use super::progress::{Call, sampan_progress};
use crate::api::Engine;
use crate::cancel::Cancel;
use crate::error::Result;

/// A store of images and containers. Free it with `sampan_engine_free`; its containers stay.
pub struct sampan_engine(Handle<Engine>);

/// The engine behind a handle.
///
/// # Safety
/// `engine` is NULL or an engine that was not freed.
unsafe fn engine<'a>(engine: *const sampan_engine) -> Result<&'a Engine> {
    // SAFETY: vouched for by the caller.
    unsafe { reference(engine, "engine") }?.0.get("engine")
}

/// Opens the store, making it when it is missing. Starts nothing: no daemon, no thread, no process.
///
/// `options` may be NULL. Free the engine with `sampan_engine_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_open(
    options: *const sampan_engine_options,
    out: *mut *mut sampan_engine,
    err: *mut *mut sampan_error,
) -> i32 {
    let open = || {
        // SAFETY: as the header says.
        let options = unsafe { self::options(options, "engine options") }?;
        Ok(boxed(sampan_engine(Handle::new(Engine::open(&options)?))))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, open) }
}

/// Frees an engine; NULL is allowed. Nothing in the store changes, and its containers' handles stay good.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_free(engine: *mut sampan_engine) {
    // SAFETY: as the header says.
    unsafe { unbox(engine) }
}

/// Where this engine stands. Free the answer with `sampan_engine_info_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_inspect(
    engine: *const sampan_engine,
    out: *mut *mut sampan_engine_info,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::engine(engine)?.info()?))) }
}

/// What this host allows, which rung is chosen and why, and what to install; runs a self-test container.
///
/// Free the answer with `sampan_doctor_report_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_doctor(
    engine: *const sampan_engine,
    out: *mut *mut sampan_doctor_report,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::engine(engine)?.doctor()?))) }
}

/// Pulls an image. Layers that the store has are not fetched again.
///
/// `options`, `progress` and `cancel` may be NULL. Free the answer with `sampan_image_info_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_pull(
    engine: *const sampan_engine,
    reference: *const c_char,
    options: *const sampan_pull_options,
    progress: *const sampan_progress,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_image_info,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let pull = |progress: &mut Call, cancel: &Cancel| unsafe {
        let (engine, reference) = (self::engine(engine)?, text(reference, "reference")?);
        Ok(kept(&engine.pull(&reference, &self::options(options, "pull options")?, progress, cancel)?))
    };
    // SAFETY: as the header says.
    unsafe { entry_call((progress, cancel), out, err, pull) }
}

/// The images in the store, newest first. Free the answer with `sampan_image_info_list_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_images(
    engine: *const sampan_engine,
    out: *mut *mut sampan_image_info_list,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::engine(engine)?.images()?))) }
}

/// One image by reference, id or unique prefix of an id. Free the answer with `sampan_image_info_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_inspect_image(
    engine: *const sampan_engine,
    image: *const c_char,
    out: *mut *mut sampan_image_info,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let inspect = || unsafe { Ok(kept(&self::engine(engine)?.inspect_image(&text(image, "image")?)?)) };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, inspect) }
}

/// Gives an image a further reference.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_tag(
    engine: *const sampan_engine,
    image: *const c_char,
    reference: *const c_char,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let tag = || unsafe { self::engine(engine)?.tag(&text(image, "image")?, &text(reference, "reference")?) };
    // SAFETY: as the header says.
    unsafe { entry(err, tag) }
}

/// Removes a tag, and the image with its last tag.
///
/// `options` may be NULL. Free the answer with `sampan_removed_image_list_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_remove_image(
    engine: *const sampan_engine,
    image: *const c_char,
    options: *const sampan_remove_image_options,
    out: *mut *mut sampan_removed_image_list,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let remove = || unsafe {
        let (engine, image) = (self::engine(engine)?, text(image, "image")?);
        Ok(kept(&engine.remove_image(&image, &self::options(options, "remove image options")?)?))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, remove) }
}

/// Removes blobs, layers and leftovers that no image, container or lease uses.
///
/// Free the answer with `sampan_prune_report_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_gc(
    engine: *const sampan_engine,
    out: *mut *mut sampan_prune_report,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::engine(engine)?.gc()?))) }
}

/// What happens in the store from now on, whichever process does it, and with `since` what has happened.
///
/// `options` may be NULL. Free the stream with `sampan_event_stream_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_events(
    engine: *const sampan_engine,
    options: *const sampan_event_options,
    out: *mut *mut sampan_event_stream,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let open = || unsafe {
        let stream = self::engine(engine)?.events(&self::options(options, "event options")?)?;
        Ok(boxed(sampan_event_stream(Handle::new(stream))))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, open) }
}

/// Creates a container, pulling its image as its policy says.
///
/// `progress` and `cancel` may be NULL. Free the handle with `sampan_container_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_create(
    engine: *const sampan_engine,
    options: *const sampan_run_options,
    progress: *const sampan_progress,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_container,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let create = |progress: &mut Call, cancel: &Cancel| unsafe {
        let (engine, options) = (self::engine(engine)?, record(options, "run options")?);
        Ok(boxed(sampan_container::new(engine.create(&options, progress, cancel)?)))
    };
    // SAFETY: as the header says.
    unsafe { entry_call((progress, cancel), out, err, create) }
}

/// Creates and starts a container and returns while it runs.
///
/// `stdio`, `progress` and `cancel` may be NULL. Free the handle with `sampan_container_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_spawn(
    engine: *const sampan_engine,
    options: *const sampan_run_options,
    stdio: *const sampan_stdio,
    progress: *const sampan_progress,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_container,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let spawn = |progress: &mut Call, cancel: &Cancel| unsafe {
        let (engine, options) = (self::engine(engine)?, record(options, "run options")?);
        let stdio = self::options(stdio, "stdio")?;
        Ok(boxed(sampan_container::new(engine.spawn(&options, &stdio, progress, cancel)?)))
    };
    // SAFETY: as the header says.
    unsafe { entry_call((progress, cancel), out, err, spawn) }
}

/// Runs a container to its end, removes it, and returns what it wrote and how it ended.
///
/// `progress` and `cancel` may be NULL. Free the answer with `sampan_output_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_run(
    engine: *const sampan_engine,
    options: *const sampan_run_options,
    progress: *const sampan_progress,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_output,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let run = |progress: &mut Call, cancel: &Cancel| unsafe {
        let (engine, options) = (self::engine(engine)?, record(options, "run options")?);
        Ok(kept(&engine.run(&options, progress, cancel)?))
    };
    // SAFETY: as the header says.
    unsafe { entry_call((progress, cancel), out, err, run) }
}

/// What a run would do, as JSON, without doing it. Free the answer with `sampan_string_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_plan(
    engine: *const sampan_engine,
    options: *const sampan_run_options,
    out: *mut *mut c_char,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let plan = || unsafe {
        let plan = self::engine(engine)?.plan(&record(options, "run options")?)?;
        Ok(c_text(&plan).into_raw())
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, plan) }
}

/// The containers in the store, newest first; the running ones unless `all`.
///
/// `options` may be NULL. Free the answer with `sampan_container_info_list_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_containers(
    engine: *const sampan_engine,
    options: *const sampan_list_options,
    out: *mut *mut sampan_container_info_list,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let list = || unsafe { Ok(kept(&self::engine(engine)?.containers(&self::options(options, "list options")?)?)) };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, list) }
}

/// A container by name, id or unique prefix of an id. Free the handle with `sampan_container_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_engine_container(
    engine: *const sampan_engine,
    container: *const c_char,
    out: *mut *mut sampan_container,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let find = || unsafe {
        Ok(boxed(sampan_container::new(self::engine(engine)?.container(&text(container, "container")?)?)))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, find) }
}
