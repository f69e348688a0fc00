//! The boundary, driven as C drives it.

use std::ffi::{CStr, CString, c_char, c_void};
use std::ptr::{null, null_mut};

use super::arena::Arena;
use super::boundary::{SAMPAN_OK, entry, kept};
use super::cancel::*;
use super::container::*;
use super::convert::{Given, Record, record, sampan_pair};
use super::engine::*;
use super::error::*;
use super::generated::*;
use super::progress::{Call, sampan_progress};
use super::version::*;
use crate::api::*;
use crate::error::{Error, Kind};
use crate::progress::{Event, Progress};

fn text<'a>(at: *const c_char) -> &'a str {
    // SAFETY: the tests pass texts that the library gave and that still live.
    unsafe { CStr::from_ptr(at) }.to_str().unwrap()
}

/// A record goes to C and comes back the same.
fn round_trip<R: Given + PartialEq + std::fmt::Debug>(rust: &R) {
    let c = kept(rust);
    // SAFETY: `kept` gave it; it is released once.
    unsafe {
        assert_eq!(&record::<R>(c, "record").unwrap(), rust);
        super::arena::release(c);
    }
}

#[test]
fn every_option_survives_the_way_to_c_and_back() {
    round_trip(&RunOptions::default());
    round_trip(&RunOptions {
        image: "alpine".into(),
        command: vec!["echo".into(), String::new()],
        entrypoint: Some(vec![]),
        env: [("A".to_owned(), "1=2".to_owned()), ("B".to_owned(), String::new())].into(),
        mounts: vec![Mount { kind: MountKind::Tmpfs, target: "/t".into(), read_only: true, ..Mount::default() }],
        memory: Some(-1),
        cpus: Some(1.5),
        stdin: Some(vec![0, 1, 255]),
        stop_timeout: Some(0.0),
        tie: Tie::Host,
        pull: PullPolicy::Never,
        oom_score_adj: Some(0),
        ..RunOptions::default()
    });
    round_trip(&RunOptions { stdin: Some(vec![]), ..RunOptions::default() });
    round_trip(&Stdio { stdin: Some(0), stdout: None, stderr: Some(2) });
    round_trip(&EngineOptions { rung: Some(Rung::SingleId), keep_blobs: Some(false), ..EngineOptions::default() });
}

#[test]
fn what_comes_back_is_whole() {
    let info = ContainerInfo {
        id: "ab\0c".into(),
        status: Status::Exited,
        exit: Some(ExitStatus { code: 137, signal: Some(9), ..ExitStatus::default() }),
        labels: [("k".to_owned(), "v".to_owned())].into(),
        ..ContainerInfo::default()
    };
    let list = kept(&vec![info]);
    // SAFETY: `kept` gave the list, and it is freed once.
    unsafe {
        let list_ref = &*list;
        assert_eq!((list_ref.len, (*list_ref.items.add(1)).is_null()), (1, true));
        let c = &**list_ref.items;
        assert_eq!(text(c.id), "ab\u{fffd}c");
        assert_eq!((c.status, (*c.exit).code, *(*c.exit).signal), (SAMPAN_STATUS_EXITED, 137, 9));
        assert!(c.pid.is_null() && (*c.mounts).is_null() && (*c.env).is_null());
        assert_eq!((text((*c.labels).key), (*c.labels.add(1)).key.is_null()), ("k", true));
        sampan_container_info_list_free(list);
        sampan_container_info_list_free(null_mut());
    }
}

#[test]
fn malformed_members_are_named() {
    let mut arena = Arena::default();
    let base = RunOptions { image: "x".into(), ..RunOptions::default() }.to_struct(&mut arena);
    let refused = |options: &sampan_run_options, member: &str| {
        // SAFETY: the members lead to what the test keeps alive, or to NULL.
        let error = unsafe { record::<RunOptions>(options, "run options") }.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains(member), "{error}");
    };
    let pair = |k: &'static CStr| sampan_pair { key: k.as_ptr(), value: null() };
    let byte = 0u8;
    let twice = [pair(c"A"), pair(c"A"), sampan_pair { key: null(), value: null() }];
    refused(&sampan_run_options { name: c"\xff".as_ptr(), ..base }, "name");
    refused(&sampan_run_options { tie: 9, ..base }, "tie");
    refused(&sampan_run_options { env: twice.as_ptr(), ..base }, "env");
    refused(&sampan_run_options { stdin_len: 3, ..base }, "stdin");
    refused(&sampan_run_options { stdin_data: &byte, stdin_len: usize::MAX, ..base }, "stdin");
    refused(&sampan_run_options { size: 0, ..base }, "_INIT");
}

#[test]
fn a_panic_is_an_error_and_nothing_else() {
    let mut err = null_mut();
    // SAFETY: `err` can be written to; the error is freed once.
    unsafe {
        assert_eq!(entry(&mut err, || panic!("boom {}", 1)), SAMPAN_ERROR_PANIC);
        assert!(text(sampan_error_message(err)).contains("boom 1"));
        sampan_error_free(err);
        assert_eq!(entry(null_mut(), || panic!("unseen")), SAMPAN_ERROR_PANIC);
    }
}

#[test]
fn an_error_has_all_its_members() {
    let error = Error::errno_in(libc::EACCES, "open layer", "/x").hint("chmod it").leaving("/tmp/y");
    let c = Box::into_raw(Box::new(sampan_error::new(&error)));
    // SAFETY: it is freed once, after its last use.
    unsafe {
        assert_eq!((sampan_error_code(c), text(sampan_error_kind(c))), (7, "permission_denied"));
        assert_eq!((sampan_error_errno(c), sampan_error_exit_code(c)), (libc::EACCES, 125));
        assert_eq!((text(sampan_error_operation(c)), text(sampan_error_subject(c))), ("open layer", "/x"));
        assert_eq!(text(sampan_error_hint(c)), "chmod it");
        assert_eq!(text(*sampan_error_leftovers(c)), "/tmp/y");
        assert!((*sampan_error_leftovers(c).add(1)).is_null() && !sampan_error_retryable(c));
        assert_eq!(text(sampan_error_message(c)), error.to_string());
        sampan_error_free(c);
    }
}

#[test]
fn null_is_an_answer_for_every_reader_and_free() {
    // SAFETY: NULL is allowed everywhere here.
    unsafe {
        assert_eq!((sampan_error_code(null()), sampan_error_errno(null())), (SAMPAN_OK, 0));
        assert!(sampan_error_message(null()).is_null() && sampan_container_id(null()).is_null());
        assert!(!sampan_cancel_is_cancelled(null()));
        sampan_error_free(null_mut());
        sampan_engine_free(null_mut());
        sampan_container_free(null_mut());
        sampan_cancel_free(null_mut());
        sampan_string_free(null_mut());
    }
    assert_eq!(text(sampan_version()), env!("CARGO_PKG_VERSION"));
    assert_eq!(sampan_abi_version() >> 16, SAMPAN_ABI_MAJOR);
}

#[test]
fn outputs_are_written_on_success_only() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| CString::new(dir.path().join(name).to_str().unwrap()).unwrap();
    let (root, run, file) = (at("root"), at("run"), at("file"));
    nix::unistd::mkfifo(file.as_c_str(), nix::sys::stat::Mode::S_IRUSR).unwrap();
    let mut arena = Arena::default();
    let mut options = EngineOptions::default().to_struct(&mut arena);
    (options.root, options.run) = (root.as_ptr(), run.as_ptr());
    let (mut engine, mut err) = (null_mut(), null_mut());
    // SAFETY: every pointer is NULL or leads to what lives in this test; handles are freed once.
    unsafe {
        let bad = sampan_engine_options { root: file.as_ptr(), ..options };
        assert_ne!(sampan_engine_open(&bad, &mut engine, &mut err), SAMPAN_OK);
        assert!(engine.is_null() && !err.is_null());
        sampan_error_free(std::mem::replace(&mut err, null_mut()));
        assert_eq!(sampan_engine_open(&options, null_mut(), null_mut()), SAMPAN_ERROR_INVALID_ARGUMENT);
        assert_eq!(sampan_engine_open(&options, &mut engine, &mut err), SAMPAN_OK);
        assert!(!engine.is_null() && err.is_null());
        let mut container = null_mut();
        let missing = sampan_engine_container(engine, c"nobody".as_ptr(), &mut container, &mut err);
        assert_eq!((missing, container.is_null()), (SAMPAN_ERROR_NOT_FOUND, true));
        sampan_error_free(err);
        sampan_engine_free(engine);
    }
}

unsafe extern "C" fn count(_: *const sampan_event, userdata: *mut c_void) -> i32 {
    // SAFETY: the test passes a number.
    let seen = unsafe { &mut *userdata.cast::<[i32; 2]>() };
    seen[0] += 1;
    i32::from(seen[0] == 2)
}

unsafe extern "C" fn finish(userdata: *mut c_void) {
    // SAFETY: as above.
    let seen = unsafe { &mut *userdata.cast::<[i32; 2]>() };
    seen[1] += 1;
}

#[test]
fn a_callback_can_cancel_and_is_finalized_once() {
    let mut seen = [0, 0];
    let userdata = (&raw mut seen).cast();
    let progress =
        sampan_progress { size: size_of::<sampan_progress>(), event: Some(count), userdata, finalize: Some(finish) };
    // SAFETY: the struct and the number live until the call is dropped.
    let mut call = unsafe { Call::new(&progress, null()) }.unwrap();
    let event = Event::LayerStarted { digest: "sha256:x".into(), total: 5 };
    call.event(&event);
    assert!(!call.cancel.is_cancelled());
    call.event(&event);
    assert!(call.cancel.is_cancelled());
    drop(call);
    assert_eq!(seen, [2, 1]);
}

#[test]
fn the_finalizer_is_called_even_when_nothing_was_done() {
    let mut seen = [0, 0];
    let (userdata, size) = ((&raw mut seen).cast(), size_of::<sampan_progress>());
    let progress = sampan_progress { size, event: Some(count), userdata, finalize: Some(finish) };
    // SAFETY: NULL is refused; the struct and the number live until the call returns.
    let code = unsafe { sampan_engine_run(null(), null(), &progress, null(), null_mut(), null_mut()) };
    assert_eq!((code, seen), (SAMPAN_ERROR_INVALID_ARGUMENT, [0, 1]));
}
