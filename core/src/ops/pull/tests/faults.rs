//! Disks that fill up, fail, or lose their power in the middle of a pull.

use super::*;
use crate::store::tests::disk::{self, on_ext4, on_tmpfs};

/// Every file that the three layers hold, or what is wrong with them.
fn whole(store: &Store, image: &Image) {
    for (i, (file, content)) in [("a", "gzip"), ("b", "zstd"), ("c", "plain")].into_iter().enumerate() {
        assert_eq!(store.file(&image.diff_ids[i], file), content.as_bytes(), "{file}");
    }
    for (digest, blob) in &image.blobs {
        assert_eq!(&blobs::read(&store.paths, &digest.parse().unwrap(), 1 << 20).unwrap(), blob, "{digest}");
    }
    crate::store::image::load(&store.paths, &digest(&image.manifest)).unwrap();
}

#[test]
fn what_was_pulled_survives_a_power_failure() {
    on_ext4(|disk| {
        let (store, image) = (Store::at(&disk.dir), three_layers());
        let server = serve(&image);
        run(&store, &server).unwrap();
        let after = Store::at(&disk.after_power_failure());
        assert_eq!(refs::list(&after.paths).unwrap().len(), 1);
        whole(&after, &image);
    });
}

/// An image whose parts take several blocks each, so that a disk can be full in the midst of any of them.
fn of_blocks() -> Image {
    let noise = |seed: u32| (0..9000u32).map(|i| (i.wrapping_mul(i).wrapping_add(seed) >> 3) as u8).collect::<Vec<_>>();
    Image::new(&[
        (Pack::Gzip, tar(&[("a", &noise(1)), ("d/a", &noise(2))])),
        (Pack::Zstd, tar(&[("b", &noise(3)), (".wh.gone", b"")])),
        (Pack::Plain, tar(&[("c", &noise(4)), ("e/.wh..wh..opq", b"")])),
    ])
}

/// Pulls onto ever larger disks. Until one holds it all, each pull is to fail for want of room and nothing
/// else, to leave nothing half-made, and to succeed once there is room. Returns how many failed.
fn on_growing_disks(options: impl Fn(usize) -> String, roomy: &str) -> usize {
    let image = of_blocks();
    let server = serve(&image);
    let (mut failed, mut done) = (0, false);
    for step in 1..200 {
        on_tmpfs(&options(step), |dir| {
            let paths = Store::paths_at(dir);
            if let Err(e) = paths.make() {
                assert_eq!(e.kind(), Kind::NoSpace, "{e}");
                return;
            }
            let store = Store { paths, _dir: None };
            match run(&store, &server) {
                Ok(_) => done = true,
                Err(e) => {
                    failed += 1;
                    assert!(e.kind() == Kind::NoSpace && e.to_string().contains("no space left on device"), "{e}");
                    // The marker of the layout alone may say less than the references, which are asked first.
                    store.assert_clean();
                    disk::resize(dir, roomy);
                    run(&store, &server).unwrap();
                }
            }
            assert_eq!(store.file(&image.diff_ids[1], "b").len(), 9000);
            assert_eq!(refs::list(&store.paths).unwrap().len(), 1);
        });
        if done {
            break;
        }
    }
    failed
}

#[test]
fn a_disk_that_is_full_at_any_byte_is_told_and_nothing_is_left() {
    let failed = on_growing_disks(|step| format!("size={}k", 4 * step), "size=4m");
    assert!(failed > 20 || !nix::unistd::geteuid().is_root(), "{failed}");
}

#[test]
fn a_disk_without_room_for_any_further_file_is_told_and_nothing_is_left() {
    let failed = on_growing_disks(|step| format!("size=4m,nr_inodes={}", 10 + step), "nr_inodes=1000");
    assert!(failed > 15 || !nix::unistd::geteuid().is_root(), "{failed}");
}

#[test]
fn a_read_only_store_is_read_and_not_pulled_into() {
    on_tmpfs("size=4m", |dir| {
        let (store, image) = (Store::at(dir), three_layers());
        let server = serve(&image);
        let made = run(&store, &server).unwrap();
        disk::read_only(dir, true);
        store.paths.make().unwrap();
        assert_eq!(refs::list(&store.paths).unwrap(), [made]);
        whole(&store, &image);
        let error = advised(run(&store, &server).unwrap_err());
        assert_eq!((error.kind(), error.errno()), (Kind::PermissionDenied, Some(libc::EROFS)));
        assert!(error.to_string().contains("read-only file system; give a root that can be written to"), "{error}");
        disk::read_only(dir, false);
        run(&store, &server).unwrap();
    });
}

#[test]
fn an_old_layer_that_can_t_be_removed_ends_no_pull() {
    on_tmpfs("size=4m", |dir| {
        let (store, image) = (Store::at(dir), three_layers());
        let server = serve(&image);
        run(&store, &server).unwrap();
        lose_power(&store, &image, &server);
        let busy = store.layer(&image.diff_ids[0]).unwrap().join(crate::layer::FILES).join("busy");
        fs::make_dirs(&busy).unwrap();
        disk::cover(&busy);
        run(&store, &server).unwrap();
        whole(&store, &image);
        // It is a leftover as any other.
        assert_eq!(fs::list(&store.paths.tmp()).unwrap().len(), 1);
    });
}

/// Has every such system call of this thread, and of those that it starts, fail.
fn without(call: i64, errno: i32) {
    let step = |code: u32, jt, jf, k: u32| libc::sock_filter { code: code as u16, jt, jf, k };
    let mut program = [
        step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: 4, filter: program.as_mut_ptr() };
    // SAFETY: plain integers, and a program that outlives the call that copies it.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        assert_eq!(libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const filter), 0);
    }
}

#[test]
fn a_quota_that_is_spent_is_told_as_a_full_disk_is_and_nothing_is_left() {
    let (store, image) = (Store::new(), of_blocks());
    let server = serve(&image);
    let failing = || {
        without(libc::SYS_mkdirat, libc::EDQUOT);
        advised(run(&store, &server).unwrap_err())
    };
    let error = std::thread::scope(|scope| scope.spawn(failing).join().unwrap());
    assert_eq!((error.kind(), error.errno(), error.operation()), (Kind::NoSpace, Some(libc::EDQUOT), "unpack layer"));
    assert!(error.hint_text().is_some_and(|h| h.contains("make room")), "{error}");
    store.assert_clean();
    run(&store, &server).unwrap();
}

#[test]
fn a_blob_that_can_t_be_read_now_is_not_taken_for_damaged() {
    let store = Store::new();
    let id = blobs::put(&store.paths, b"{}").unwrap();
    let failing = || {
        without(libc::SYS_openat, libc::EMFILE);
        blobs::restore(&store.paths, b"{}").unwrap_err()
    };
    let error = std::thread::scope(|scope| scope.spawn(failing).join().unwrap());
    assert_eq!(error.errno(), Some(libc::EMFILE), "{error}");
    assert_eq!(blobs::read(&store.paths, &id, 9).unwrap(), b"{}");
    assert!(!blobs::restore(&store.paths, b"{}").unwrap());
}
