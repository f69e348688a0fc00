//! Pulls into a store in a temporary directory, from registries good and bad.

mod faults;
mod image;
mod processes;
mod real;
mod tls;

use std::path::Path;

use self::image::{Image, Pack, tar};
use super::*;
use crate::fs;
use crate::registry::tests::connections_to;
use crate::registry::tests::server::{Answer, Request, Server, digest};
use crate::store::{containers, layers as stored};

/// A store of its own.
struct Store {
    paths: Paths,
    _dir: Option<tempfile::TempDir>,
}

impl Store {
    fn new() -> Store {
        // In memory where that is possible: a pull ends with a sync of all that others have written, too.
        let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
        Store::at(dir.path()).keeping(dir)
    }

    fn keeping(self, dir: tempfile::TempDir) -> Store {
        Store { _dir: Some(dir), ..self }
    }

    fn at(dir: &Path) -> Store {
        let paths = Store::paths_at(dir);
        paths.make().unwrap();
        Store { paths, _dir: None }
    }

    fn paths_at(dir: &Path) -> Paths {
        let sub = |name: &str| dir.join(name).to_str().unwrap().to_owned();
        Paths::new(Some(&sub("root")), Some(&sub("run"))).unwrap()
    }

    fn pull<'a>(&self, cancel: &'a Cancel) -> Pull<'a> {
        let form = if nix::unistd::geteuid().is_root() { Form::Root } else { Form::User };
        Pull {
            paths: self.paths.clone(),
            form: "test".parse().unwrap(),
            unpack: UnpackOptions { form, max_bytes: 1 << 30, max_entries: 1000 },
            owners: None,
            kept: None,
            keep_blobs: true,
            downloads: 3,
            platform: Platform::host(),
            registry: RegistryOptions::default(),
            cancel,
            used: OnceLock::new(),
        }
    }

    fn layer(&self, diff_id: &Digest) -> Option<std::path::PathBuf> {
        stored::find(&self.paths, &"test".parse().unwrap(), diff_id).unwrap()
    }

    fn file(&self, diff_id: &Digest, name: &str) -> Vec<u8> {
        fs::read_bounded(&self.layer(diff_id).unwrap().join(crate::layer::FILES).join(name), 1 << 20).unwrap()
    }

    fn assert_nothing_half_made(&self) {
        assert_eq!(fs::list(&self.paths.tmp()).unwrap(), Vec::<std::ffi::OsString>::new());
    }

    /// No reference, no lease, nothing half-made. Layers that were whole before another failed may stay:
    /// the next try needs them, and a collection takes them.
    fn assert_clean(&self) {
        let entries = |dir: &Path| fs::list(dir).unwrap_or_default();
        for dir in [self.paths.tmp(), self.paths.leases(), self.paths.refs()] {
            assert!(entries(&dir).is_empty(), "{}: {:?}", dir.display(), entries(&dir));
        }
    }
}

fn name(server: &Server) -> Reference {
    format!("{}/team/app:1", server.host).parse().unwrap()
}

fn run(store: &Store, server: &Server) -> Result<Ref> {
    store.pull(&Cancel::new()).run(&name(server), &mut crate::Quiet)
}

fn serve(image: &Image) -> Server {
    let image = image.clone();
    Server::start(move |r| image.answer(r))
}

fn three_layers() -> Image {
    Image::new(&[
        (Pack::Gzip, tar(&[("a", b"gzip")])),
        (Pack::Zstd, tar(&[("b", b"zstd")])),
        (Pack::Plain, tar(&[("c", b"plain")])),
    ])
}

#[test]
fn an_image_is_pulled_once() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    let mut events = Vec::new();
    let made = store.pull(&Cancel::new()).run(&name(&server), &mut |e: &Event| events.push(e.clone())).unwrap();
    assert_eq!(made.manifest, digest(&image.manifest));
    for (diff_id, file, content) in [(0, "a", "gzip"), (1, "b", "zstd"), (2, "c", "plain")] {
        assert_eq!(store.file(&image.diff_ids[diff_id], file), content.as_bytes());
    }
    for (digest, blob) in &image.blobs {
        assert_eq!(&blobs::read(&store.paths, &digest.parse().unwrap(), 1 << 20).unwrap(), blob);
    }
    assert!(matches!(&events[0], Event::Resolved { layers: 3, .. }));
    assert!(matches!(events.last(), Some(Event::Done { .. })));
    let done = events.iter().filter(|e| matches!(e, Event::LayerDone { unpacked, .. } if *unpacked > 0));
    assert_eq!(done.count(), 3);

    let (before, mut again) = (server.paths().len(), Vec::new());
    let same = store.pull(&Cancel::new()).run(&name(&server), &mut |e: &Event| again.push(e.clone())).unwrap();
    assert_eq!((same, server.paths().len()), (made, before + 1));
    assert_eq!(again.iter().filter(|e| matches!(e, Event::LayerSkipped { .. })).count(), 3);
}

#[test]
fn a_digest_that_is_here_needs_no_registry() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    let pinned = name(&server).with_digest(digest(&image.manifest));
    let pull = || store.pull(&Cancel::new()).run(&pinned, &mut crate::Quiet);
    let made = pull().unwrap();
    drop(server);
    assert_eq!(pull().unwrap(), made);
}

#[test]
fn blobs_are_dropped_when_asked_and_used_when_there() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    let cancel = Cancel::new();
    let pull = Pull { keep_blobs: false, ..store.pull(&cancel) };
    pull.run(&name(&server), &mut crate::Quiet).unwrap();
    assert!(image.layers.iter().all(|l| blobs::find(&store.paths, l).unwrap().is_none()));

    let store = Store::new();
    run(&store, &server).unwrap();
    fs::remove_tree(&store.paths.layers()).unwrap();
    let before = server.paths().len();
    run(&store, &server).unwrap();
    assert_eq!(server.paths().len(), before + 1);
    assert_eq!(store.file(&image.diff_ids[1], "b"), b"zstd");
}

/// A pull that ended before its reference was set, and then the power failed.
fn lose_power(store: &Store, image: &Image, server: &Server) {
    refs::remove(&store.paths, &name(server)).unwrap();
    for diff_id in &image.diff_ids {
        let dir = store.layer(diff_id).unwrap();
        assert!(fs::remove_file(&dir.join("settled")).unwrap());
        let path = dir.join("layer.json");
        let text = String::from_utf8(fs::read_bounded(&path, 4096).unwrap()).unwrap();
        assert!(text.contains(&crate::sys::boot_id()));
        fs::remove_file(&path).unwrap();
        fs::write_new(&path, text.replace(&crate::sys::boot_id(), "another").as_bytes()).unwrap();
    }
    let file = store.layer(&image.diff_ids[0]).unwrap().join(crate::layer::FILES).join("a");
    fs::remove_file(&file).unwrap();
    fs::write_new(&file, b"").unwrap();
}

#[test]
fn a_layer_that_may_not_have_reached_the_disk_is_unpacked_again() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    run(&store, &server).unwrap();
    lose_power(&store, &image, &server);
    run(&store, &server).unwrap();
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"gzip");
    store.assert_nothing_half_made();
    // What a container stands on stays under it, and is not taken for whole when the container is gone.
    lose_power(&store, &image, &server);
    let record = container(&store.paths, &image);
    run(&store, &server).unwrap();
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"");
    let trash = containers::unlist(&store.paths, &record).unwrap().unwrap();
    fs::remove_tree(&trash).unwrap();
    run(&store, &server).unwrap();
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"gzip");
    store.assert_nothing_half_made();
}

/// A container of that image, which was not started yet.
fn container(paths: &Paths, image: &Image) -> containers::Record {
    let mut record = containers::tests::record(1, "c");
    (record.form, record.layers) = ("test".parse().unwrap(), image.diff_ids.clone());
    containers::create(paths, &record).unwrap();
    record
}

#[test]
fn a_damaged_record_keeps_a_layer_only_while_its_container_runs() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    run(&store, &server).unwrap();
    lose_power(&store, &image, &server);
    let at = store.paths.container(&container(&store.paths, &image).id);
    fs::remove_file(&at.record()).unwrap();
    fs::write_new(&at.record(), b"").unwrap();
    let running = crate::store::liveness::hold(&at.lock(), "c").unwrap();
    run(&store, &server).unwrap();
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"");
    drop(running);
    run(&store, &server).unwrap();
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"gzip");
}

#[test]
fn a_layer_stays_until_the_one_that_replaces_it_is_whole() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    run(&store, &server).unwrap();
    lose_power(&store, &image, &server);
    fs::remove_file(&store.paths.blob(&image.layers[0])).unwrap();
    let (missing, good) = (image.layers[0].to_string(), image.clone());
    let bad = Server::start(move |r| match r.path.ends_with(&missing) {
        true => Answer::new(404, ""),
        false => good.answer(r),
    });
    assert_eq!(run(&store, &bad).unwrap_err().kind(), Kind::NotFound);
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"");
    store.assert_clean();
    // Nor does it go when a container has come to stand on it meanwhile.
    let (paths, good) = (store.paths.clone(), image.clone());
    let meanwhile = Server::start(move |r| {
        if r.path.ends_with(good.layers[0].as_str()) {
            container(&paths, &good);
        }
        good.answer(r)
    });
    run(&store, &meanwhile).unwrap();
    assert_eq!(store.file(&image.diff_ids[0], "a"), b"");
    store.assert_nothing_half_made();
}

/// Zeros in place of a file.
fn zero(path: &Path) {
    let zeros = vec![0; fs::file_size(path).unwrap().unwrap() as usize];
    fs::remove_file(path).unwrap();
    fs::write_new(path, &zeros).unwrap();
}

#[test]
fn a_damaged_blob_of_a_layer_is_fetched_again_and_a_good_one_is_not() {
    for of in 0..3 {
        let (store, image) = (Store::new(), three_layers());
        let server = serve(&image);
        run(&store, &server).unwrap();
        zero(&store.paths.blob(&image.layers[of]));
        fs::remove_tree(&store.paths.layers()).unwrap();
        run(&store, &server).unwrap();
        assert_eq!(store.file(&image.diff_ids[1], "b"), b"zstd");
        assert_eq!(
            blobs::read(&store.paths, &image.layers[of], 1 << 20).unwrap(),
            image.blobs[image.layers[of].as_str()]
        );
        // Another image tells wrong of a blob that is right: it is not the blob that goes.
        let mut wrong = image.clone();
        wrong.diff_ids[of] = digest(b"other");
        let (wrong, layer) = (serve(&wrong.sealed()), image.layers[of].as_str());
        assert_eq!(run(&store, &wrong).unwrap_err().kind(), Kind::Integrity);
        assert!(blobs::find(&store.paths, &image.layers[of]).unwrap().is_some());
        assert!(wrong.paths().iter().all(|p| !p.ends_with(layer)));
    }
}

#[test]
fn a_damaged_blob_of_a_store_below_is_fetched_into_ours() {
    for of in 0..3 {
        let (below, image) = (Store::new(), three_layers());
        let server = serve(&image);
        run(&below, &server).unwrap();
        let damaged = below.paths.blob(&image.layers[of]);
        zero(&damaged);
        fs::remove_tree(&below.paths.layers()).unwrap();
        let mut store = Store::new();
        store.paths = store.paths.with_below(&[below.paths.root().display().to_string()]).unwrap();
        let mut events = Vec::new();
        store.pull(&Cancel::new()).run(&name(&server), &mut |e: &Event| events.push(e.clone())).unwrap();
        let told = |e: &&Event| matches!(e, Event::LayerDamaged { digest, .. } if *digest == image.layers[of].as_str());
        assert_eq!(events.iter().filter(told).count(), 1);
        for (i, (file, content)) in [("a", "gzip"), ("b", "zstd"), ("c", "plain")].into_iter().enumerate() {
            assert_eq!(store.file(&image.diff_ids[i], file), content.as_bytes());
        }
        // What is below is not ours to change; the blob that is right stands before it from now on.
        assert!(!blobs::is_sound(&damaged, &image.layers[of]).unwrap());
        let asked = server.paths().len();
        fs::remove_tree(&store.paths.layers()).unwrap();
        run(&store, &server).unwrap();
        assert_eq!(server.paths().len(), asked + 1);
    }
}

#[test]
fn a_damaged_blob_is_replaced_by_the_next_pull() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    let made = run(&store, &server).unwrap();
    for id in [&made.id, &made.manifest] {
        zero(&store.paths.blob(id));
        run(&store, &server).unwrap();
        crate::store::image::load(&store.paths, &made.manifest).unwrap();
    }
}

#[test]
fn odd_but_legal_images_are_pulled() {
    let twice = tar(&[("a", b"x")]);
    let image = Image::new(&[(Pack::Gzip, twice.clone()), (Pack::Plain, tar(&[])), (Pack::Gzip, twice)]);
    for image in [image, Image::new(&[])] {
        let (store, server) = (Store::new(), serve(&image));
        run(&store, &server).unwrap();
        assert!(image.diff_ids.iter().all(|d| store.layer(d).is_some()));
        let blobs = server.paths().iter().filter(|p| p.contains("/blobs/")).count();
        assert_eq!(blobs, image.blobs.len());
    }
}

/// The error of pulling what `answer` serves. Nothing of `bad` may be in the store.
fn refused(bad: &Digest, answer: impl FnMut(&Request) -> Answer + Send + 'static) -> (Error, Vec<String>) {
    let (store, server) = (Store::new(), Server::start(answer));
    let error = run(&store, &server).unwrap_err();
    store.assert_clean();
    assert!(store.layer(bad).is_none());
    assert!(blobs::find(&store.paths, bad).unwrap().is_none());
    (error, server.paths())
}

#[test]
fn a_config_that_contradicts_is_refused() {
    let mut short = three_layers();
    short.diff_ids.pop();
    let short = short.sealed();
    let (error, paths) = refused(&short.diff_ids[0].clone(), move |r| short.answer(r));
    assert_eq!((error.kind(), paths.len()), (Kind::InvalidImage, 2));
    assert!(error.to_string().contains("its manifest has 3 layers and its config 2"), "{error}");
    let mut wrong = three_layers();
    wrong.diff_ids[2] = digest(b"other");
    let wrong = wrong.sealed();
    assert_eq!(refused(&digest(b"other"), move |r| wrong.answer(r)).0.kind(), Kind::Integrity);
}

#[test]
fn a_flipped_byte_is_told_as_such_and_not_asked_for_again() {
    for pack in [Pack::Plain, Pack::Gzip, Pack::Zstd] {
        let mut image = Image::new(&[(pack, tar(&[("a", &[7; 5000])]))]);
        let layer = image.layers[0].to_string();
        let blob = image.blobs.get_mut(&layer).unwrap();
        let at = blob.len() / 2;
        blob[at] ^= 0x10;
        let (error, paths) = refused(&image.layers[0].clone(), move |r| image.answer(r));
        assert_eq!(error.kind(), Kind::Integrity, "{pack:?}: {error}");
        assert!(error.to_string().contains(&layer), "{error}");
        assert_eq!(paths.iter().filter(|p| p.ends_with(&layer)).count(), 1);
    }
}

#[test]
fn a_layer_that_was_cut_before_it_was_pushed_is_told_as_malformed() {
    // Every digest fits: it is the archive itself that ends too early.
    for pack in [Pack::Plain, Pack::Gzip, Pack::Zstd] {
        let image = Image::cut(pack, &tar(&[("a", &[7; 5000]), ("b", b"lost")]));
        let layer = image.layers[0].clone();
        let (error, paths) = refused(&layer, move |r| image.answer(r));
        assert_eq!(error.kind(), Kind::InvalidImage, "{pack:?}: {error}");
        assert!(error.to_string().starts_with(&format!("unpack layer {layer}: ")), "{error}");
        assert_eq!(paths.iter().filter(|p| p.ends_with(layer.as_str())).count(), 1);
    }
}

#[test]
fn bombs_are_bounded() {
    let (store, image) = (Store::new(), Image::new(&[(Pack::Zstd, tar(&[("zeros", &[0; 1 << 20])]))]));
    let (server, cancel) = (serve(&image), Cancel::new());
    for (max_bytes, max_entries) in [(1 << 19, 1000), (1 << 30, 0)] {
        let mut pull = store.pull(&cancel);
        pull.unpack = UnpackOptions { max_bytes, max_entries, ..pull.unpack };
        let error = pull.run(&name(&server), &mut crate::Quiet).unwrap_err();
        assert_eq!(error.kind(), Kind::LimitExceeded, "{error}");
        store.assert_clean();
    }
}

#[test]
fn the_bounds_hold_for_all_layers_together() {
    let layer = |name: &str| (Pack::Plain, tar(&[(name, &[0; 1 << 16])]));
    let (store, image) = (Store::new(), Image::new(&[layer("a"), layer("b"), layer("c"), layer("d")]));
    let (server, cancel) = (serve(&image), Cancel::new());
    let mut pull = store.pull(&cancel);
    pull.unpack.max_bytes = 3 << 16;
    assert_eq!(pull.run(&name(&server), &mut crate::Quiet).unwrap_err().kind(), Kind::LimitExceeded);
    assert!(refs::list(&store.paths).unwrap().is_empty());
}

#[test]
fn one_failing_layer_ends_the_others_at_once() {
    let image = three_layers();
    let (missing, silent) = (image.layers[0].to_string(), image.layers[1].to_string());
    let (error, _) = refused(&image.diff_ids[1].clone(), move |r| match &r.path {
        p if p.ends_with(&silent) => Answer::hang(0, b""),
        p if p.ends_with(&missing) => Answer::new(404, ""),
        _ => image.answer(r),
    });
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("not this part of the image"), "{error}");
}

#[test]
fn a_cancel_in_the_middle_of_a_layer_leaves_nothing() {
    let (store, image) = (Store::new(), Image::new(&[(Pack::Plain, tar(&[("a", &[1; 1 << 20])]))]));
    let (cancel, layer) = (Cancel::new(), image.layers[0].to_string());
    let half = image.blobs[&layer][..600 << 10].to_vec();
    let length = image.blobs[&layer].len().to_string();
    let server = Server::start(move |r| match r.path.ends_with(&layer) {
        true => Answer::hang(200, &half).header("content-length", length.clone()),
        false => image.answer(r),
    });
    let mut ring = |e: &Event| {
        if matches!(e, Event::LayerBytes { .. }) {
            cancel.cancel();
        }
    };
    let error = store.pull(&cancel).run(&name(&server), &mut ring).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(connections_to(&server.host), 0);
    store.assert_clean();
}

#[test]
fn two_pulls_of_one_image_do_the_work_once() {
    let (store, image) = (Store::new(), three_layers());
    let server = serve(&image);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| run(&store, &server).unwrap());
        }
    });
    for layer in &image.layers {
        assert_eq!(server.paths().iter().filter(|p| p.ends_with(layer.as_str())).count(), 1);
    }
}

#[test]
fn an_image_for_another_machine_is_refused() {
    let (store, server, cancel) = (Store::new(), serve(&three_layers()), Cancel::new());
    let pull = Pull { platform: "linux/s390x".parse().unwrap(), ..store.pull(&cancel) };
    let error = pull.run(&name(&server), &mut crate::Quiet).unwrap_err();
    assert_eq!(error.kind(), Kind::Unsupported);
    store.assert_clean();
    assert_eq!(platform(Some("windows/amd64")).unwrap_err().kind(), Kind::Unsupported);
}

#[test]
fn the_media_type_tells_the_compression() {
    for (pack, expected) in [(Pack::Gzip, "a"), (Pack::Zstd, "b"), (Pack::Plain, "c")] {
        let (store, image) = (Store::new(), Image::new(&[(pack, tar(&[(expected, b"x")]))]));
        run(&store, &serve(&image)).unwrap();
        assert_eq!(store.file(&image.diff_ids[0], expected), b"x");
    }
}
