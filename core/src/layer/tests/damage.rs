//! Archives damaged at random, but from fixed seeds: no panic, nothing outside touched, and an error is
//! one of those that the archive can cause.

use tar::EntryType;

use super::archive::*;
use crate::error::Kind;
use crate::layer::Compression;

/// Enough of a generator for tests (xorshift64).
struct Seed(u64);

impl Seed {
    fn new(number: u64) -> Self {
        Seed(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % below as u64) as usize
    }
}

fn everything() -> Vec<u8> {
    Archive::new()
        .dir("./")
        .dir("a")
        .file("a/f", &[b'x'; 700])
        .symlink("l", "../../a")
        .file("l/through", b"1")
        .hard_link("h", "a/f")
        .file("a/.wh.gone", b"")
        .file("a/.wh..wh..opq", b"")
        .pax(&[("path", b"pax/name"), ("mtime", b"1.5"), ("SCHILY.xattr.user.k", b"v\n"), ("size", b"3")])
        .file("p", b"abc")
        .long_name(b"long/name\0")
        .file("x", b"")
        .with("fifo", EntryType::Fifo, |h| h.set_mode(0o666))
        .pax(&[("GNU.sparse.major", b"1"), ("GNU.sparse.minor", b"0"), ("GNU.sparse.realsize", b"9000")])
        .file("sparse", &[&b"1\n8192\n3\n"[..], &[0; 503], b"abc"].concat())
        .end()
}

/// Damages the text, then mends the checksums, so that the damage gets past the first check.
fn damage(tar: &mut Vec<u8>, seed: &mut Seed) {
    for _ in 0..=seed.next(4) {
        let at = seed.next(tar.len());
        match seed.next(6) {
            0 => tar[at] = seed.next(256) as u8,
            1 => tar[at] ^= 1 << seed.next(8),
            2 => tar[at] = b"/.0179-\0\n =L"[seed.next(12)],
            3 => tar.truncate(at.max(512)),
            4 => {
                let blocks = tar.len() / 512;
                let (from, to) = (seed.next(blocks) * 512, seed.next(blocks) * 512);
                tar.copy_within(from..from + 512, to);
            }
            _ => tar[at / 512 * 512 + 156..][..1].copy_from_slice(&[b"01234567xgLKS"[seed.next(13)]]),
        }
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    for block in tar.chunks_exact_mut(512) {
        if block[257..262] == *b"ustar" {
            let mut header = tar::Header::from_byte_slice(block).clone();
            header.set_cksum();
            block.copy_from_slice(header.as_bytes());
        }
    }
}

fn fair(out: Outcome, seed: u64) {
    if out.failed() {
        let error = out.error();
        let kinds = [Kind::InvalidImage, Kind::LimitExceeded];
        // A size or time beyond what the test's file system can hold is the archive's fault, too.
        let errno = matches!(error.errno(), Some(libc::EFBIG | libc::EINVAL | libc::EPERM));
        assert!(kinds.contains(&error.kind()) || errno, "seed {seed}: {error}");
    }
}

#[test]
fn damaged_archives() {
    let whole = everything();
    assert!(!unpack_bytes(&whole, forms()[0]).failed());
    for number in 1..=1500 {
        let (mut tar, mut seed) = (whole.clone(), Seed::new(number));
        damage(&mut tar, &mut seed);
        fair(unpack_bytes(&tar, forms()[seed.next(forms().len())]), number);
    }
}

#[test]
fn damaged_blobs() {
    for blob in [gzip(&everything()), zstd(&everything())] {
        for number in 1..=300 {
            let (mut blob, mut seed) = (blob.clone(), Seed::new(number));
            for _ in 0..=seed.next(3) {
                let at = seed.next(blob.len());
                blob[at] ^= 1 << seed.next(8);
            }
            fair(unpack_reader(&blob[..], Compression::None, OPTIONS), number);
        }
    }
}
