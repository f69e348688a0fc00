use super::*;
use crate::id::ContainerId;
use crate::store::containers::Record;
use crate::store::tests::{Sample, pull, sample};

struct Home {
    _dir: tempfile::TempDir,
    context: Context,
}

fn home() -> Home {
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let at = |s: &str| Some(dir.path().join(s).display().to_string());
    let options = EngineOptions { root: at("root"), run: at("run"), ..EngineOptions::default() };
    let context = Context::open(&options).unwrap();
    Home { _dir: dir, context }
}

impl Home {
    fn pull(&self, seed: &str, reference: &str) -> Sample {
        let image = sample(seed);
        pull(&self.context.paths, &image, reference);
        image
    }

    fn remove(&self, text: &str, force: bool) -> Result<Vec<RemovedImage>> {
        remove(&self.context, text, &RemoveImageOptions { force })
    }

    /// A container that was created, and not started.
    fn container(&self, name: &str, image: &ImageInfo) -> Record {
        let record = Record {
            version: containers::VERSION,
            id: ContainerId::from_random([7; 32]),
            name: name.parse().unwrap(),
            created_at: "2024-01-01T00:00:00Z".into(),
            image: image.tags[0].clone(),
            image_id: image.id.parse().unwrap(),
            manifest: image.digest.parse().unwrap(),
            layers: image.layers.iter().map(|l| l.parse().unwrap()).collect(),
            form: "root".parse().unwrap(),
            rung: Rung::Root,
            unenforced: Vec::new(),
            options: RunOptions::default(),
            spec: crate::spec::Spec::default(),
        };
        containers::create(&self.context.paths, &record).unwrap();
        record
    }
}

fn untagged(reference: &str) -> RemovedImage {
    RemovedImage { untagged: Some(reference.into()), deleted: None }
}

fn deleted(info: &ImageInfo) -> RemovedImage {
    RemovedImage { untagged: None, deleted: Some(info.id.clone()) }
}

#[test]
fn an_image_is_found_by_reference_id_prefix_and_digest() {
    let h = home();
    h.pull("1", "alpine");
    let info = inspect(&h.context, "alpine").unwrap();
    assert_eq!(info.tags, ["docker.io/library/alpine:latest"]);
    assert_eq!((info.size, &info.env[0][..], &info.command[0][..]), (7, "A=b", "1"));
    let hex = info.id.strip_prefix("sha256:").unwrap();
    let by_digest = format!("alpine@{}", info.digest);
    for text in ["docker.io/library/alpine:latest", &info.id, hex, &hex[..12], &info.id[..20], &by_digest] {
        assert_eq!(inspect(&h.context, text).unwrap(), info, "{text}");
    }
    for text in ["alpine:9", "debian", &"0".repeat(64), &format!("debian@{}", info.digest)] {
        assert_eq!(inspect(&h.context, text).unwrap_err().kind(), Kind::NotFound, "{text}");
    }
    assert_eq!(inspect(&h.context, "UPPER").unwrap_err().kind(), Kind::InvalidArgument);
}

#[test]
fn a_container_gets_an_image_that_is_unpacked_for_it() {
    if !nix::unistd::geteuid().is_root() {
        return; // The samples are unpacked for root.
    }
    let h = home();
    let image = h.pull("1", "alpine");
    let id = inspect(&h.context, "alpine").unwrap().id;
    for text in ["alpine", &id, &id[7..19]] {
        assert_eq!(for_container(&h.context, text).unwrap().id, id, "{text}");
    }
    let form = h.context.form().unwrap();
    let layer = h.context.paths.layer(&form, &image.diff_id);
    crate::fs::remove_tree(&layer).unwrap();
    let e = for_container(&h.context, "alpine").unwrap_err();
    assert!(e.kind() == Kind::NotFound && e.to_string().contains("not unpacked in the form"), "{e}");
}

#[test]
fn a_prefix_of_several_ids_is_refused() {
    let h = home();
    // Among seventeen images two begin with the same digit.
    for n in 0..17 {
        h.pull(&n.to_string(), &format!("many:{n}"));
    }
    let firsts: Vec<String> = list(&h.context).unwrap().iter().map(|i| i.id[7..8].to_owned()).collect();
    let twice = firsts.iter().find(|f| firsts.iter().filter(|g| g == f).count() > 1).unwrap();
    assert!(inspect(&h.context, twice).unwrap_err().to_string().contains("several ids begin with that"));
}

#[test]
fn removing_a_tag_removes_the_image_with_the_last() {
    let h = home();
    h.pull("1", "a:1");
    let info = inspect(&h.context, "a:1").unwrap();
    tag(&h.context, "a:1", "other/b").unwrap();
    assert_eq!(inspect(&h.context, "a:1").unwrap().tags.len(), 2);
    let e = h.remove(&info.id, false).unwrap_err();
    assert!(e.kind() == Kind::Conflict && e.to_string().contains("several tags"), "{e}");
    assert_eq!(h.remove("a:1", false).unwrap(), [untagged("docker.io/library/a:1")]);
    assert_eq!(h.remove("other/b", false).unwrap(), [untagged("docker.io/other/b:latest"), deleted(&info)]);
    assert_eq!(list(&h.context).unwrap(), []);
    assert_eq!(gc(&h.context).unwrap(), PruneReport::default());
    assert_eq!(h.remove("a:1", true).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn force_removes_all_tags_at_once() {
    let h = home();
    h.pull("1", "a:1");
    tag(&h.context, "a:1", "a:2").unwrap();
    let info = inspect(&h.context, "a:1").unwrap();
    assert_eq!(h.remove(&info.id[7..19], true).unwrap().len(), 3);
}

#[test]
fn containers_keep_their_image() {
    let h = home();
    h.pull("1", "a:1");
    let info = inspect(&h.context, "a:1").unwrap();
    let record = h.container("web", &info);
    let e = h.remove("a:1", false).unwrap_err();
    assert!(e.kind() == Kind::Conflict && e.to_string().contains("container web"), "{e}");
    assert_eq!(h.remove("a:1", true).unwrap(), [untagged("docker.io/library/a:1")]);
    assert_eq!(gc(&h.context).unwrap(), PruneReport::default());
    assert_eq!(inspect(&h.context, &info.id).unwrap().tags, Vec::<String>::new());
    assert_eq!(tag(&h.context, &info.id, "again").unwrap_err().kind(), Kind::NotFound);
    let trash = containers::unlist(&h.context.paths, &record).unwrap().unwrap();
    crate::fs::remove_tree(&trash).unwrap();
    assert_eq!(gc(&h.context).unwrap().removed.len(), 4);
    assert_eq!(list(&h.context).unwrap(), []);
}

#[test]
fn a_running_container_keeps_its_image_even_from_force() {
    let h = home();
    h.pull("1", "a:1");
    let record = h.container("web", &inspect(&h.context, "a:1").unwrap());
    let lock = h.context.paths.container(&record.id).lock();
    let _shim = crate::store::liveness::hold(&lock, "web").unwrap();
    let e = h.remove("a:1", true).unwrap_err();
    assert!(e.kind() == Kind::Conflict && e.to_string().contains("runs from it"), "{e}");
}

#[test]
fn a_tag_moves_and_a_digest_is_no_tag() {
    let h = home();
    h.pull("1", "a:1");
    h.pull("2", "a:2");
    tag(&h.context, "a:2", "a:1").unwrap();
    assert_eq!(inspect(&h.context, "a:1").unwrap().command, ["2"]);
    let digest = inspect(&h.context, "a:2").unwrap().digest;
    assert_eq!(tag(&h.context, "a:2", &format!("a@{digest}")).unwrap_err().kind(), Kind::InvalidArgument);
    // The first image has no tag any more: collected.
    assert_eq!(gc(&h.context).unwrap().removed.len(), 4);
}

#[test]
fn a_damaged_image_is_listed_and_can_be_removed() {
    let h = home();
    let image = h.pull("1", "a:1");
    let info = inspect(&h.context, "a:1").unwrap();
    let blob = h.context.paths.blob(&info.digest.parse().unwrap());
    crate::fs::remove_file(&blob).unwrap();
    assert!(!image.manifest.is_empty());
    assert_eq!(list(&h.context).unwrap()[0].tags, ["docker.io/library/a:1"]);
    assert_eq!(inspect(&h.context, "a:1").unwrap_err().kind(), Kind::NotFound);
    h.remove("a:1", false).unwrap();
    assert_eq!(list(&h.context).unwrap(), []);
}

#[test]
fn a_damaged_record_hides_nothing_and_loses_nothing() {
    let h = home();
    let paths = &h.context.paths;
    h.pull("1", "a:1");
    h.pull("2", "a:2");
    h.pull("3", "a:3");
    let record = h.container("web", &inspect(&h.context, "a:3").unwrap());
    let kept = inspect(&h.context, "a:1").unwrap();
    let spoil = |path: &std::path::Path| {
        crate::fs::remove_file(path).unwrap();
        crate::fs::write_new(path, b"{\"vers").unwrap();
    };
    spoil(&paths.reference("docker.io/library/a:1"));
    spoil(&paths.container(&record.id).record());
    assert_eq!(list(&h.context).unwrap().len(), 2);
    let listed = super::super::list::list(&h.context, &ListOptions { all: true, ..ListOptions::default() }).unwrap();
    assert_eq!((listed.len(), &listed[0].name[..], listed[0].status), (1, "web", Status::Dead));
    // Image 2 goes out of view; what it had stays for as long as it can't be told who else has it.
    assert_eq!(h.remove("a:2", false).unwrap(), [untagged("docker.io/library/a:2")]);
    let report = gc(&h.context).unwrap();
    assert_eq!((report.removed.len(), report.unread.len()), (0, 2));
    assert!(
        report.unread[0].contains("a%3A1: it is damaged") && report.unread[1].contains("record.json"),
        "{report:?}"
    );
    assert!(paths.blob(&kept.digest.parse().unwrap()).exists());
    // Both can be removed by name and by id, and then collection is whole again.
    assert_eq!(h.remove("a:1", false).unwrap(), [untagged("docker.io/library/a:1")]);
    super::super::remove::remove(&h.context, &record.id, &RemoveOptions::default()).unwrap();
    let report = gc(&h.context).unwrap();
    assert_eq!((report.removed.len(), report.unread.len()), (8, 0));
    assert_eq!(crate::fs::list(&paths.names()).unwrap(), Vec::<std::ffi::OsString>::new());
}

/// Of a later version: an option, a variant, a version.
const NEWER: [(&str, &str); 3] = [
    ("\"options\":{}", "\"options\":{\"new\":1}"),
    ("\"rung\":\"root\"", "\"rung\":\"new\""),
    ("\"version\":1", "\"version\":3"),
];

#[test]
fn a_container_of_a_newer_version_hides_no_other_and_keeps_its_image() {
    for (old, new) in NEWER {
        let h = home();
        let paths = &h.context.paths;
        h.pull("1", "a:1");
        h.pull("2", "a:2");
        let record = h.container("web", &inspect(&h.context, "a:1").unwrap());
        let path = paths.container(&record.id).record();
        let named = format!("{{\"of_another_image\":[\"{}\"],", inspect(&h.context, "a:2").unwrap().digest);
        let text = String::from_utf8(crate::fs::read_bounded(&path, 1 << 20).unwrap()).unwrap();
        let newer = text.replacen(old, new, 1);
        assert_ne!(newer, text);
        crate::fs::remove_file(&path).unwrap();
        crate::fs::write_new(&path, newer.replacen('{', &named, 1).as_bytes()).unwrap();
        let all = ListOptions { all: true, ..ListOptions::default() };
        let listed = super::super::list::list(&h.context, &all).unwrap();
        assert_eq!((listed.len(), &listed[0].name[..], &listed[0].image[..]), (1, "web", &record.image[..]));
        assert_eq!(list(&h.context).unwrap().len(), 2);
        let e = h.remove("a:1", false).unwrap_err();
        assert!(e.kind() == Kind::Conflict && e.to_string().contains("container web"), "{e}");
        assert!(h.remove("a:2", false).unwrap().contains(&untagged("docker.io/library/a:2")));
        // Also what it names in members that we don't know.
        let report = gc(&h.context).unwrap();
        assert_eq!((report.removed.len(), report.unread.len()), (0, 0), "{report:?}");
        super::super::remove::remove(&h.context, &record.id, &RemoveOptions::default()).unwrap();
        assert_eq!(crate::fs::list(&paths.names()).unwrap(), Vec::<std::ffi::OsString>::new());
        assert_eq!(gc(&h.context).unwrap().removed.len(), 4);
    }
}

/// What it names is kept, with all that that leads to, and the rest is collected.
#[test]
fn a_newer_reference_keeps_what_it_names_and_no_more() {
    let h = home();
    let paths = &h.context.paths;
    h.pull("1", "a:1");
    h.pull("2", "a:2");
    let kept = inspect(&h.context, "a:1").unwrap();
    // By an index, as of an image for several machines.
    let index = format!(r#"{{"manifests":[{{"digest":"{}"}}]}}"#, kept.digest);
    let index = crate::store::blobs::put(paths, index.as_bytes()).unwrap();
    let path = paths.reference("docker.io/library/a:1");
    crate::fs::remove_file(&path).unwrap();
    crate::fs::write_new(&path, format!(r#"{{"version":2,"of":["{index}"]}}"#).as_bytes()).unwrap();
    assert!(h.remove("a:2", true).unwrap().iter().any(|r| r.deleted.is_some()));
    let report = gc(&h.context).unwrap();
    assert_eq!((report.removed.len(), report.unread.len()), (0, 0), "{report:?}");
    for digest in [index.to_string(), kept.digest.clone(), kept.id.clone()] {
        assert!(paths.blob(&digest.parse().unwrap()).exists(), "{digest}");
    }
    assert!(paths.layer(&"root".parse().unwrap(), &kept.layers[0].parse().unwrap()).exists());
    assert_eq!(crate::fs::list(&paths.layers().join("root")).unwrap().len(), 1);
    crate::fs::remove_file(&path).unwrap();
    assert_eq!(gc(&h.context).unwrap().removed.len(), 5);
}

/// What it points to is not told, so nothing is collected; it hides no other, and is left to who knows it.
#[test]
fn a_newer_reference_hides_no_other_and_keeps_what_it_may_use() {
    let h = home();
    h.pull("1", "a:1");
    h.pull("2", "a:2");
    let path = h.context.paths.reference("docker.io/library/a:1");
    let newer = br#"{"version":2,"reference":{}}"#;
    crate::fs::remove_file(&path).unwrap();
    crate::fs::write_new(&path, newer).unwrap();
    assert_eq!(list(&h.context).unwrap().len(), 1);
    let e = h.remove("a:1", true).unwrap_err();
    assert!(e.kind() == Kind::Store && e.to_string().ends_with("use a newer Sampan"), "{e}");
    assert_eq!(h.remove("a:2", true).unwrap(), [untagged("docker.io/library/a:2")]);
    crate::fs::make_dirs(&h.context.paths.tmp().join("left")).unwrap();
    let report = gc(&h.context).unwrap();
    assert_eq!((report.removed.len(), report.unread.len()), (0, 1));
    assert!(crate::fs::list(&h.context.paths.tmp()).unwrap().is_empty());
    assert_eq!(crate::fs::read_bounded(&path, 99).unwrap(), newer);
}

#[test]
fn a_damaged_layer_record_hides_no_image() {
    let h = home();
    let image = h.pull("1", "a:1");
    let path = h.context.paths.layer(&"root".parse().unwrap(), &image.diff_id).join("layer.json");
    crate::fs::remove_file(&path).unwrap();
    crate::fs::write_new(&path, b"").unwrap();
    let listed = list(&h.context).unwrap();
    assert_eq!((listed.len(), listed[0].size), (1, 0));
}

#[test]
fn records_of_a_run_that_a_crash_emptied_hide_nothing() {
    let h = home();
    h.pull("1", "a:1");
    let record = h.container("web", &inspect(&h.context, "a:1").unwrap());
    let at = h.context.paths.container(&record.id);
    let listed = || super::super::list::list(&h.context, &ListOptions { all: true, ..ListOptions::default() }).unwrap();
    for path in [at.state(), at.exit()] {
        crate::fs::write_new(&path, b"").unwrap();
        let all = listed();
        assert_eq!((all.len(), all[0].status), (1, Status::Dead));
        let told = all[0].exit.as_ref().and_then(|e| e.error.clone()).unwrap();
        assert!(told.contains("records of the run are damaged"), "{told}");
    }
    super::super::remove::remove(&h.context, &record.id, &RemoveOptions { force: true, ..RemoveOptions::default() })
        .unwrap();
    assert_eq!(listed(), []);
}
