//! Which ids a container gets: nobody else's, as long as it has them.

use super::*;

/// Whichever stores they are in, and however many are made at a time.
#[test]
fn no_two_containers_have_an_id_in_common() {
    if !is_root() {
        return;
    }
    let hosts = [Host::new(), Host::new()];
    hosts.iter().for_each(|host| drop(host.sh("true")));
    let small = RunOptions { userns: Some("auto:size=1024".into()), ..command(&["true"]) };
    let make = |host: &Host| [(); 4].map(|()| create(host, &small));
    let all: Vec<Container> = std::thread::scope(|scope| {
        let threads = [&hosts[0], &hosts[1], &hosts[0], &hosts[1]].map(|host| scope.spawn(move || make(host)));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut ids: Vec<(u32, u32)> = all.iter().map(mapped).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), 16);
    assert!(ids.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "{ids:?}");
    all.iter().for_each(remove);
}

#[test]
fn a_removal_frees_its_ids_whatever_is_killed() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let one = create(&host, &own(&["true"]));
    let id = one.id().to_string();
    assert!(claim(&id).is_some());
    remove(&one);
    assert_eq!(claim(&id), None);
    // By its own shim.
    let own_end = RunOptions { auto_remove: true, tie: Tie::Host, ..own(&["sleep", "1000"]) };
    let two = host.spawn(own_end).unwrap();
    let id = two.id().to_string();
    assert!(claim(&id).is_some());
    two.kill("KILL").unwrap();
    until("its removal", || claim(&id).is_none());
    // What could not be made has none, as has what could not be started.
    let named = || RunOptions { name: Some("one".into()), ..own(&["true"]) };
    let one = create(&host, &named());
    let before = claim(one.id()).unwrap();
    assert_eq!(host.engine.create(&named(), &mut Quiet, &Cancel::new()).unwrap_err().kind(), Kind::AlreadyExists);
    assert!(host.run(own(&["/no/such/command"])).is_err());
    let store = host.dir.path().display().to_string();
    let of_store = || {
        let links =
            std::fs::read_dir(CLAIMS).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link.starts_with(&store)).count()
    };
    assert_eq!(of_store(), 1);
    // A kill after the container went out of sight: whoever comes next frees them.
    let dir = std::fs::read_link(&before).unwrap();
    std::fs::rename(&dir, host.dir.path().join("root/tmp/trash-killed")).unwrap();
    std::fs::remove_file(host.dir.path().join("root/names/one")).unwrap();
    let next = create(&host, &own(&["true"]));
    assert!(!before.is_symlink() && of_store() == 1);
    remove(&next);
}

/// A claim tells a path, which may lead nowhere while the container runs.
#[test]
fn ids_in_use_are_not_free_when_their_store_is_moved() {
    if !is_root() {
        return;
    }
    let (host, other) = (Host::new(), Host::new());
    let (root, moved) = (host.dir.path().join("root"), host.dir.path().join("moved"));
    let one = host.spawn(own(&["sleep", "1000"])).unwrap();
    std::fs::rename(&root, &moved).unwrap();
    let two = other.spawn(own(&["sleep", "1000"])).unwrap();
    std::fs::rename(&moved, &root).unwrap();
    let ((a, length), (b, _)) = (mapped(&one), mapped(&two));
    assert!(a.abs_diff(b) >= length, "{a} {b}");
    assert!(claim(one.id()).is_some());
    remove(&one);
    remove(&two);
}

/// Nor are they freed by the removal of a copy.
#[test]
fn a_copy_s_removal_frees_no_ids_of_the_other() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let one = create(&host, &RunOptions { name: Some("one".into()), ..own(&["sleep", "1000"]) });
    let at = |name: &str| host.dir.path().join(name).display().to_string();
    assert!(std::process::Command::new("cp").args(["-a", &at("root"), &at("copy")]).status().unwrap().success());
    let options = sampan::EngineOptions { root: Some(at("copy")), ..Host::options(&host.dir) };
    let copy = sampan::Engine::open(&options).unwrap();
    let its = copy.container("one").unwrap();
    assert_eq!(its.start(&Stdio::default(), &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    its.remove(&RemoveOptions::default()).unwrap();
    assert!(claim(one.id()).is_some());
    remove(&one);
    assert!(claim(one.id()).is_none());
}

#[test]
fn waiting_for_who_claims_ids_ends_by_cancel() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.sh("true");
    // Nobody else's tests wait for long: the lock is held until the call ends.
    std::fs::create_dir_all(CLAIMS).unwrap();
    let file = std::fs::File::create(Path::new(CLAIMS).join("lock")).unwrap();
    file.lock().unwrap();
    let cancel = Cancel::new();
    let error = std::thread::scope(|scope| {
        let made = scope.spawn(|| host.engine.create(&own(&["true"]), &mut Quiet, &cancel));
        cancel.cancel();
        made.join().unwrap().unwrap_err()
    });
    file.unlock().unwrap();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Of a store that was copied, as long as the other is there.
#[test]
fn a_start_finds_that_its_ids_are_another_s() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let container = create(&host, &own(&["true"]));
    let own_claim = claim(container.id()).unwrap();
    let name = own_claim.file_name().unwrap().to_string_lossy().into_owned();
    let other = Path::new(CLAIMS).join(name.replace(container.id(), &"f".repeat(64)));
    std::os::unix::fs::symlink(host.dir.path(), &other).unwrap();
    // Its own says so still.
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    std::fs::remove_file(&own_claim).unwrap();
    let error = container.start(&Stdio::default(), &Cancel::new()).unwrap_err();
    std::fs::remove_file(&other).unwrap();
    assert!(error.kind() == Kind::Conflict && error.to_string().contains("ffffffffffff"), "{error}");
    remove(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn more_ids_than_there_are_is_one_sentence() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let many = RunOptions { userns: Some("auto:size=4000000000".into()), ..command(&["true"]) };
    let error = host.run(many).unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
    let told = error.to_string();
    assert!(
        ["4000000000", "/etc/subuid", "\"sampan\"", "auto:size=NUMBER"].iter().all(|word| told.contains(word)),
        "{told}"
    );
    assert_eq!(host.left(), Vec::<String>::new());
}
