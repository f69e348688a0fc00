//! What is done to directories at the end: modes, owners and times would be spoilt, or would be in the
//! way, while files are still put into them.

use std::io;
use std::os::fd::BorrowedFd;

use super::entry::{Meta, Time};
use super::spill::{BOUNDS, Sorted, Spill};

/// A note on a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// It was made, for a path that goes through it, without an entry of its own.
    Implied,
    /// An entry made it.
    Made(Meta),
    /// A further entry told of it.
    Changed(Meta),
    /// It hides what the layers below have in it.
    Opaque,
    /// A whiteout in it is a file with an attribute; overlayfs looks for those only where told.
    HoldsWhiteouts,
}

/// The notes, in the order of the archive. A layer may have millions: they are not held in memory.
pub struct Notes(Spill);

/// What is to be done to one directory.
#[derive(Debug, PartialEq, Eq)]
pub struct Final<'a> {
    /// Where it is; no part is a symlink, unless it was replaced since.
    pub path: &'a [u8],
    /// As the last entry told; `None` for an implied one.
    pub meta: Option<Meta>,
    /// To be marked opaque.
    pub opaque: bool,
    /// To be marked as holding whiteouts of attributes.
    pub holds_whiteouts: bool,
}

impl Notes {
    /// None yet; `dir` is where a file without a name may be made for them.
    pub fn new(dir: BorrowedFd<'_>) -> io::Result<Self> {
        Spill::new(dir, BOUNDS).map(Notes)
    }

    /// Notes it.
    pub fn push(&mut self, path: &[u8], note: Note) -> io::Result<()> {
        self.0.push(path, &encode(note))
    }

    /// Takes the notes: what is to be done, to those below before those above.
    pub fn finals(&mut self) -> io::Result<Finals> {
        Ok(Finals { sorted: self.0.sorted()?, path: Vec::new(), next: None })
    }
}

/// Every directory once.
pub struct Finals {
    sorted: Sorted,
    path: Vec<u8>,
    /// The first note of the directory after this.
    next: Option<(Vec<u8>, Note)>,
}

impl Finals {
    /// The next; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<Final<'_>>> {
        let first = match self.next.take() {
            None => self.sorted.next()?.map(|(path, note)| (path.to_vec(), decode(note))),
            first => first,
        };
        let Some((path, note)) = first else { return Ok(None) };
        let mut folded = Folded::default().and(note);
        self.path = path;
        // A directory's notes come one after the other, as they were made.
        while let Some((path, note)) = self.sorted.next()? {
            let note = decode(note);
            if path != self.path {
                self.next = Some((path.to_vec(), note));
                break;
            }
            folded = folded.and(note);
        }
        Ok(Some(folded.of(&self.path)))
    }
}

/// A directory's notes so far.
#[derive(Default)]
struct Folded {
    meta: Option<Meta>,
    opaque: bool,
    holds_whiteouts: bool,
}

impl Folded {
    fn and(self, note: Note) -> Self {
        match note {
            Note::Implied => Folded::default(),
            Note::Made(meta) => Folded { meta: Some(meta), ..Folded::default() },
            Note::Changed(meta) => Folded { meta: Some(meta), ..self },
            Note::Opaque => Folded { opaque: true, ..self },
            Note::HoldsWhiteouts => Folded { holds_whiteouts: true, ..self },
        }
    }

    fn of(self, path: &[u8]) -> Final<'_> {
        let Folded { meta, opaque, holds_whiteouts } = self;
        Final { path, meta, opaque, holds_whiteouts }
    }
}

/// Kind, user, group, mode, nanoseconds, seconds; the last five are there when an entry told them.
const ENCODED: usize = 25;

fn encode(note: Note) -> Vec<u8> {
    let (kind, meta) = match note {
        Note::Implied => (b'i', None),
        Note::Made(meta) => (b'm', Some(meta)),
        Note::Changed(meta) => (b'c', Some(meta)),
        Note::Opaque => (b'o', None),
        Note::HoldsWhiteouts => (b'w', None),
    };
    let mut out = Vec::with_capacity(ENCODED);
    out.push(kind);
    if let Some(Meta { uid, gid, mode, mtime }) = meta {
        [uid, gid, mode, mtime.nanoseconds].iter().for_each(|word| out.extend_from_slice(&word.to_ne_bytes()));
        out.extend_from_slice(&mtime.seconds.to_ne_bytes());
    }
    out
}

/// Of what `encode` made, and nothing else is ever read.
fn decode(note: &[u8]) -> Note {
    let word = |at: usize| u32::from_ne_bytes(std::array::from_fn(|i| note[1 + 4 * at + i]));
    let meta = || {
        let seconds = i64::from_ne_bytes(std::array::from_fn(|i| note[17 + i]));
        Meta { uid: word(0), gid: word(1), mode: word(2), mtime: Time { seconds, nanoseconds: word(3) } }
    };
    match note[0] {
        b'm' => Note::Made(meta()),
        b'c' => Note::Changed(meta()),
        b'o' => Note::Opaque,
        b'w' => Note::HoldsWhiteouts,
        _ => Note::Implied,
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_note_is_read_as_it_was_written() {
        let mtime = Time { seconds: -1 << 40, nanoseconds: 999_999_999 };
        let meta = Meta { uid: u32::MAX, gid: 1 << 31, mode: 0o7777, mtime };
        for note in [Note::Implied, Note::Made(meta), Note::Changed(meta), Note::Opaque, Note::HoldsWhiteouts] {
            assert_eq!(decode(&encode(note)), note);
        }
    }

    #[test]
    fn the_last_word_counts_and_children_come_first() {
        let meta = |mode| Meta { mode, ..Meta::default() };
        let dir = tempfile::tempdir().unwrap();
        let mut notes = Notes::new(std::fs::File::open(dir.path()).unwrap().as_fd()).unwrap();
        notes.push(b"", Note::Implied).unwrap();
        notes.push(b"a", Note::Made(meta(1))).unwrap();
        notes.push(b"a", Note::Opaque).unwrap();
        notes.push(b"a/b", Note::Implied).unwrap();
        notes.push(b"a", Note::Changed(meta(2))).unwrap();
        notes.push(b"a.x", Note::Opaque).unwrap();
        notes.push(b"a.x", Note::Made(meta(3))).unwrap();
        let (mut finals, mut seen) = (notes.finals().unwrap(), Vec::new());
        while let Some(dir) = finals.next().unwrap() {
            seen.push((dir.path.to_vec(), dir.meta.map(|m| m.mode), dir.opaque));
        }
        let expected: [(&[u8], _, _); 4] =
            [(b"a/b", None, false), (b"a.x", Some(3), false), (b"a", Some(2), true), (b"", None, false)];
        assert_eq!(seen, expected.map(|(path, mode, opaque)| (path.to_vec(), mode, opaque)));
    }
}
