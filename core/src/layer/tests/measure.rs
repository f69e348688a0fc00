//! Speed of unpacking, by hand: `SAMPAN_LAYER=layer.tar.gz SAMPAN_INTO=/dev/shm cargo test --release -p sampan
//! --lib layer::tests::measure -- --ignored --nocapture`.

use std::io::Read;
use std::os::fd::AsFd;
use std::time::Instant;

use sha2::{Digest as _, Sha256};

use super::archive::forms;
use crate::cancel::Cancel;
use crate::layer::{Compression, UnpackOptions, unpack};

/// Hashes what goes through, as a pull does.
struct Hashing<R>(R, Sha256);

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(buffer)?;
        self.1.update(&buffer[..n]);
        Ok(n)
    }
}

#[test]
#[ignore = "a measurement"]
fn speed() {
    let layer = std::env::var("SAMPAN_LAYER").unwrap();
    let into = std::env::var("SAMPAN_INTO").unwrap_or("/dev/shm".into());
    let options = UnpackOptions { form: forms()[0], max_bytes: 1 << 40, max_entries: 1 << 30 };
    for _ in 0..5 {
        let staging = tempfile::tempdir_in(&into).unwrap();
        let dir = std::fs::File::open(staging.path()).unwrap();
        let reader = Hashing(std::fs::File::open(&layer).unwrap(), Sha256::new());
        let start = Instant::now();
        let done = unpack(reader, Compression::Gzip, dir.as_fd(), &options, &Cancel::new()).unwrap();
        let seconds = start.elapsed().as_secs_f64();
        let rate = done.bytes as f64 / 1e6 / seconds;
        println!("{seconds:.3} s, {rate:.0} MB/s of tar, {} entries, {}", done.entries, peak());
    }
}

fn peak() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    status.lines().find(|l| l.starts_with("VmHWM")).unwrap().replace(char::is_whitespace, " ")
}
