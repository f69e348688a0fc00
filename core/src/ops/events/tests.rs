//! Reading while others write.

use super::*;
use crate::paths::Paths;

struct Store {
    _dir: tempfile::TempDir,
    context: Arc<Context>,
}

fn store() -> Store {
    let dir = tempfile::tempdir().unwrap();
    let at = |s: &str| Some(dir.path().join(s).display().to_string());
    let context =
        Context::open(&EngineOptions { root: at("root"), run: at("run"), ..EngineOptions::default() }).unwrap();
    Store { _dir: dir, context: Arc::new(context) }
}

impl Store {
    fn tell(&self, id: &str, padding: usize) {
        let padding = "x".repeat(padding);
        let subject = events::subject("volume", id, &[("padding", &padding)]);
        events::tell(&self.context.events, &subject, "create", &[]);
    }

    fn open(&self, since: Option<&str>, until: Option<&str>) -> Reader {
        let [since, until] = [since, until].map(|text| text.map(str::to_owned));
        open(&self.context, &EventOptions { since, until, ..EventOptions::default() }).unwrap()
    }
}

fn rest(mut reader: Reader) -> Vec<String> {
    std::iter::from_fn(|| reader.next(&Cancel::new()).unwrap()).map(|event| event.id).collect()
}

#[test]
fn what_is_kept_is_read_and_what_comes_is_waited_for() {
    let store = store();
    store.tell("old", 0);
    assert_eq!(rest(store.open(Some("0"), Some("0s"))), ["old"]);
    assert!(rest(store.open(None, Some("0s"))).is_empty());
    assert!(rest(store.open(Some("0"), Some("1"))).is_empty());
    let mut follower = store.open(None, None);
    std::thread::scope(|scope| {
        let next = scope.spawn(|| follower.next(&Cancel::new()).unwrap().unwrap().id);
        store.tell("new", 0);
        assert_eq!(next.join().unwrap(), "new");
    });
}

#[test]
fn a_cancel_and_the_end_of_the_time_end_a_wait() {
    let store = store();
    let (mut follower, cancel) = (store.open(None, None), Cancel::new());
    std::thread::scope(|scope| {
        let next = scope.spawn(|| follower.next(&cancel));
        cancel.cancel();
        assert_eq!(next.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
    });
    // One that was cancelled goes on where it was.
    store.tell("a", 0);
    assert_eq!(follower.next(&Cancel::new()).unwrap().unwrap().id, "a");
    let soon = Timestamp::now().as_microsecond() as f64 / 1e6 + 0.05;
    assert!(rest(store.open(None, Some(&soon.to_string()))).is_empty());
    assert!(Timestamp::now().as_microsecond() as f64 / 1e6 >= soon);
}

#[test]
fn a_follower_misses_nothing_when_files_change_under_it() {
    let store = store();
    let (mut follower, late) = (store.open(None, None), store.open(Some("0"), None));
    let (writers, each) = (4, 400);
    std::thread::scope(|scope| {
        for writer in 0..writers {
            let store = &store;
            scope.spawn(move || (0..each).for_each(|n| store.tell(&format!("{writer}-{n}"), 1000)));
        }
        let mut met: Vec<String> =
            (0..writers * each).map(|_| follower.next(&Cancel::new()).unwrap().unwrap().id).collect();
        met.sort();
        met.dedup();
        assert_eq!(met.len(), writers * each);
    });
    // Begun before, read after: the files that it opened are read to their end, and those that came since.
    let mut late = late;
    let ids = (0..writers * each).map(|_| late.next(&Cancel::new()).unwrap().unwrap().id);
    assert_eq!(ids.collect::<std::collections::BTreeSet<_>>().len(), writers * each);
    assert!(crate::fs::exists(&store.context.events.with_extension("1")).unwrap());
}

#[test]
fn an_empty_store_is_followed_from_its_first_event() {
    let store = store();
    let mut follower = store.open(None, None);
    store.tell("first", 0);
    assert_eq!(follower.next(&Cancel::new()).unwrap().unwrap().id, "first");
}

#[test]
fn other_machines_events_are_their_own() {
    let store = store();
    let elsewhere = store.context.paths.events().join("0123456789abcdef");
    events::tell(&elsewhere, &events::subject("volume", "theirs", &[("name", "")]), "create", &[]);
    store.tell("ours", 0);
    assert_eq!(rest(store.open(Some("0"), Some("0s"))), ["ours"]);
    let paths: &Paths = &store.context.paths;
    assert_eq!(events::file(paths), store.context.events);
}
