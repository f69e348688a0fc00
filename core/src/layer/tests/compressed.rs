//! Compressions, streams, bounds.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::mpsc::{Receiver, channel};

use sha2::{Digest as _, Sha256};

use super::archive::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::id::Digest;
use crate::layer::{Compression, Entry, UnpackOptions, read_archive, unpack};

fn sample() -> Vec<u8> {
    let noise: Vec<u8> = (0..300_000u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).collect();
    Archive::new().dir("d").file("d/f", b"hello").file("noise", &noise).end()
}

/// Bytes, after which it waits for as long as it may be told to end.
struct Open(io::Cursor<Vec<u8>>, Receiver<()>);

impl Read for Open {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 => self.1.recv().map(|()| 0).map_err(|_| io::ErrorKind::ConnectionAborted.into()),
            n => Ok(n),
        }
    }
}

#[test]
fn an_archive_is_read_to_its_end_mark_while_its_source_stays_open() {
    let tar = Archive::new().dir("d").file("d/f", b"hello").end();
    for blob in [gzip(&tar), zstd(&tar), tar] {
        let (ended, open) = channel();
        let entries = read_archive(Open(io::Cursor::new(blob), open), &Cancel::new(), |reader| {
            let (mut entry, mut entries) = (Entry::default(), 0);
            while reader.next(&mut entry)? {
                entries += 1;
            }
            drop(ended);
            Ok(entries)
        });
        assert_eq!(entries.unwrap(), 2);
    }
}

fn run(blob: &[u8], compression: Compression) -> Outcome {
    unpack_reader(blob, compression, OPTIONS)
}

#[test]
fn every_compression_gives_the_same_layer() {
    let tar = sample();
    let expected = Digest::from_sha256(Sha256::digest(&tar).into());
    let (gz, zst) = (gzip(&tar), zstd(&tar));
    let several: Vec<u8> = tar.chunks(70_000).flat_map(gzip).collect();
    let frames: Vec<u8> = tar.chunks(70_000).flat_map(zstd).collect();
    let padded = [gz.clone(), vec![0; 100_000]].concat();
    let skipped = [vec![0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 9, 9, 9], zst.clone()].concat();
    for (blob, declared) in [
        (&tar, Compression::None),
        (&gz, Compression::Gzip),
        (&zst, Compression::Zstd),
        (&several, Compression::Gzip),
        (&frames, Compression::Zstd),
        (&padded, Compression::Gzip),
        (&skipped, Compression::Zstd),
        // The first bytes have the last word.
        (&tar, Compression::Gzip),
        (&gz, Compression::Zstd),
        (&zst, Compression::None),
    ] {
        let out = run(blob, declared);
        assert_eq!((&out.done().diff_id, out.done().bytes, out.done().entries), (&expected, tar.len() as u64, 3));
        assert_eq!(out.read("d/f"), "hello");
    }
}

#[test]
fn what_follows_the_end_mark_counts_for_the_diff_id() {
    let mut tar = sample();
    tar.extend_from_slice(&[7; 9999]);
    let out = run(&gzip(&tar), Compression::Gzip);
    assert_eq!(out.done().diff_id, Digest::from_sha256(Sha256::digest(&tar).into()));
}

#[test]
fn an_empty_layer_is_a_layer() {
    for blob in [vec![], vec![0; 1024], gzip(&[]), gzip(&[0; 10240]), zstd(&[])] {
        assert_eq!(run(&blob, Compression::None).done().entries, 0);
    }
    assert_eq!(run(&[], Compression::Gzip).error().kind(), Kind::InvalidImage);
}

#[test]
fn damage_is_told_as_damage() {
    let tar = sample();
    let (gz, zst) = (gzip(&tar), zstd(&tar));
    let flipped = |blob: &[u8]| {
        let mut blob = blob.to_vec();
        let middle = blob.len() / 2;
        blob[middle..middle + 64].iter_mut().for_each(|b| *b = !*b);
        blob
    };
    let mut wrong_sum = gz.clone();
    let sum = gz.len() - 6;
    wrong_sum[sum] ^= 1;
    for blob in [
        flipped(&gz),
        gz[..gz.len() - 1].to_vec(),
        gz[..gz.len() / 2].to_vec(),
        gz[..5].to_vec(),
        wrong_sum,
        [&gz[..], b"junk"].concat(),
        [&gz[..], &[0; 64], b"junk"].concat(),
        zst[..zst.len() - 1].to_vec(),
        [&zst[..], b"junk"].concat(),
        tar[..tar.len() / 2].to_vec(),
        tar[..700].to_vec(),
        b"this is no archive at all".repeat(100),
    ] {
        let error = run(&blob, Compression::Gzip).error();
        assert_eq!(error.kind(), Kind::InvalidImage, "{error}");
    }
}

#[test]
fn a_zstd_window_beyond_the_bound_is_refused() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(28).unwrap();
    encoder.include_contentsize(false).unwrap();
    io::copy(&mut &sample()[..], &mut encoder).unwrap();
    let error = run(&encoder.finish().unwrap(), Compression::Zstd).error();
    assert_eq!(error.kind(), Kind::InvalidImage, "{error}");
}

#[test]
fn bombs_are_bounded() {
    let zeros = Archive::new().file("zeros", &vec![0; 8 << 20]).end();
    for blob in [gzip(&zeros), zstd(&zeros), zeros.clone(), gzip(&vec![0; 8 << 20])] {
        let out = unpack_reader(&blob[..], Compression::None, UnpackOptions { max_bytes: 1 << 20, ..OPTIONS });
        assert_eq!(out.result.as_ref().unwrap_err().kind(), Kind::LimitExceeded);
    }
    let many = (0..100).fold(Archive::new(), |a, i| a.dir(&format!("d{i}"))).end();
    let out = unpack_reader(&many[..], Compression::None, UnpackOptions { max_entries: 99, ..OPTIONS });
    assert_eq!(out.result.as_ref().unwrap_err().kind(), Kind::LimitExceeded);
    let out = unpack_reader(&many[..], Compression::None, UnpackOptions { max_entries: 100, ..OPTIONS });
    assert_eq!(out.done().entries, 100);
}

/// Gives a few bytes at a time, then does what it is told to.
struct Dribble<'a>(&'a [u8], &'a dyn Fn() -> io::Result<usize>);

impl Read for Dribble<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.0.len().min(buffer.len()).min(611);
        if n == 0 {
            return (self.1)();
        }
        buffer[..n].copy_from_slice(&self.0[..n]);
        self.0 = &self.0[n..];
        Ok(n)
    }
}

#[test]
fn the_readers_own_error_comes_through() {
    let gz = gzip(&sample());
    let ours = || Err(io::Error::other(Error::new(Kind::Network, "fetch blob", "x").because("reset")));
    let out = unpack_reader(Dribble(&gz[..gz.len() / 2], &ours), Compression::Gzip, OPTIONS);
    assert_eq!(out.result.as_ref().unwrap_err().to_string(), "fetch blob x: reset");
    let system = || Err(io::Error::from_raw_os_error(libc::ECONNRESET));
    let out = unpack_reader(Dribble(&gz[..3], &system), Compression::Gzip, OPTIONS);
    assert_eq!(out.result.as_ref().unwrap_err().errno(), Some(libc::ECONNRESET));
    let out = unpack_reader(Dribble(&gz, &|| Ok(0)), Compression::Gzip, OPTIONS);
    assert_eq!(out.done().entries, 3);
}

#[test]
fn a_cancelled_call_stops() {
    let (gz, cancel) = (gzip(&sample()), Cancel::new());
    let at_end = || {
        cancel.cancel();
        Ok(0)
    };
    let staging = tempfile::tempdir().unwrap();
    let dir = std::fs::File::open(staging.path()).unwrap();
    let reader = Dribble(&gz[..gz.len() / 2], &at_end);
    let error = unpack(reader, Compression::Gzip, dir.as_fd(), &OPTIONS, &cancel).unwrap_err();
    assert!(matches!(error.kind(), Kind::Cancelled | Kind::InvalidImage), "{error}");
    let staging = tempfile::tempdir().unwrap();
    let dir = std::fs::File::open(staging.path()).unwrap();
    let error = unpack(&gz[..], Compression::Gzip, dir.as_fd(), &OPTIONS, &cancel).unwrap_err();
    assert_eq!(error.kind(), Kind::Cancelled);
}
