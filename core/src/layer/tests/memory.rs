//! Memory does not grow with the entries of a layer: in a child of this test, whose peak is nobody else's.

use std::io::Read;
use std::process::Command;

use tar::EntryType;

use super::archive::*;
use crate::layer::owners::BATCH;
use crate::layer::{Compression, Form, UnpackOptions};

const CHILD: &str = "SAMPAN_TEST_MEMORY";
const DIRECTORIES: usize = 150_000;
/// In MiB. Held in memory, the notes on these directories alone would be 20.
const MOST: u64 = 6;

/// An archive of many directories, each with another owner, that is never whole in memory.
struct Directories {
    made: usize,
    count: usize,
    block: Vec<u8>,
    at: usize,
}

impl Read for Directories {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.block.len() && self.made < self.count {
            self.block = directory(self.made).0;
            (self.made, self.at) = (self.made + 1, 0);
        }
        let n = (&self.block[self.at..]).read(buffer)?;
        self.at += n;
        Ok(n)
    }
}

/// A thousand in each, and names that are as long as names are.
fn directory(n: usize) -> Archive {
    let path = match n % 1000 {
        0 => format!("some-packages-of-a-name/{:06}", n / 1000),
        _ => format!("some-packages-of-a-name/{:06}/some-directory-of-a-package-{n:07}", n / 1000),
    };
    Archive::new().with(&path, EntryType::Directory, |h| {
        h.set_uid(1000 + n as u64);
        h.set_mode(0o555);
    })
}

fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() >> 10
}

#[test]
fn child() {
    // Runs only as a child of the test below.
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    // The program itself is memory too, once it has run.
    unpack(100);
    let before = peak();
    unpack(DIRECTORIES);
    println!("<{}>", peak() - before);
}

fn unpack(count: usize) {
    let archive = Directories { made: 0, count, block: Vec::new(), at: 0 };
    let options = UnpackOptions { form: Form::User, max_bytes: 1 << 30, max_entries: 1 << 20 };
    let out = unpack_reader(archive, Compression::None, options);
    assert_eq!(out.done().entries, count as u64);
    let owners: usize = out.owed_by(BATCH).map(|owed| owed.owners.len()).sum();
    assert_eq!(owners, count);
}

#[test]
fn a_layer_of_any_number_of_directories_takes_the_same_memory() {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["layer::tests::memory::child", "--exact", "--nocapture"]).env(CHILD, "1");
    let output = child.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let grown = text.split(['<', '>']).nth(1).and_then(|mib| mib.parse::<u64>().ok());
    let grown = grown.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
    assert!(grown <= MOST, "{grown} MiB");
}
